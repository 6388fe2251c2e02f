"""The passes in their order, and what `compile --explain` says about them."""

from __future__ import annotations

from collections.abc import Iterable

from attndsl.diagnostics import Span
from attndsl.graph import Graph, Node
from attndsl.graph.verify import verify as verify_graph
from attndsl.passes.ahead import ComputeAhead
from attndsl.passes.base import Miss, Pass, PassReport, Rewrite
from attndsl.passes.canonicalise import Canonicalise
from attndsl.passes.chunk_scans import ChunkScans
from attndsl.passes.cse import CommonSubexpressions
from attndsl.passes.dce import DeadCode
from attndsl.passes.fold import ConstantFolding
from attndsl.passes.fuse_activation import FuseActivation
from attndsl.passes.fuse_attention import FuseAttention
from attndsl.passes.fuse_convolution import FuseConvolution
from attndsl.passes.fuse_cross_entropy import FuseCrossEntropy
from attndsl.passes.fuse_grouped import FuseGrouped
from attndsl.passes.fuse_norm import FuseNorm
from attndsl.passes.hoist import Hoist
from attndsl.passes.rewrite import Rewriter

RECOGNISED: tuple[Pass, ...] = (
    ConstantFolding(),
    CommonSubexpressions(),
    Canonicalise(),
    CommonSubexpressions(),
    DeadCode(),
    FuseConvolution(),
    FuseNorm(),
    FuseActivation(),
    FuseAttention(),
    FuseGrouped(),
    FuseCrossEntropy(),
    ConstantFolding(),
    Hoist(),
    CommonSubexpressions(),
    DeadCode(),
)
"""The operators that are recognised, loops step by step."""

PIPELINE: tuple[Pass, ...] = (*RECOGNISED, ChunkScans(), CommonSubexpressions(), DeadCode())

TRAINED: tuple[Pass, ...] = (
    ConstantFolding(),
    CommonSubexpressions(),
    Canonicalise(),
    CommonSubexpressions(),
    DeadCode(),
    FuseCrossEntropy(),
    ChunkScans(),
    ComputeAhead(),
    CommonSubexpressions(),
    DeadCode(),
)
"""For training on a backend that computes operator by operator: what saves it memory, and steps of scans."""


def optimize(
    graph: Graph, *, verify: bool = True, passes: Iterable[Pass] = PIPELINE, exact: bool = False
) -> tuple[Graph, list[PassReport]]:
    """The graph after `passes`, and what each of them did. With `verify` the graph is checked before the first and
    after every pass that changed it (`InvalidGraph` is a mistake of the compiler). If `exact`, nothing is done that
    makes something else of infinities and NaN. `ValueError` for a pass that comes before one that it names in
    `after`."""
    reports: list[PassReport] = []
    verified: set[Node] = set()
    if verify:
        verify_graph(graph, verified)
    rewriter = Rewriter(graph, exact=exact)
    for step in passes:
        missing = [name for name in step.after if name not in {report.name for report in reports}]
        if missing:
            raise ValueError(f"the pass `{step.name}` needs {', '.join(missing)} before it")
        edits = rewriter.edits
        reports.append(step.rewrite(rewriter))
        if verify and rewriter.edits > edits:
            verify_graph(rewriter.finish(named=False), verified)
    return rewriter.finish(), reports


# ---------------------------------------------------------------- in words


def explain(
    reports: Iterable[PassReport],
    taken_apart: Iterable[Miss] = (),
    backend: str = "",
    forms: Iterable[Rewrite] = (),
) -> str:
    """What was rewritten and what nearly was, with places: one line for each, housekeeping summed up. `taken_apart` are
    the operators that `backend` computes by their parts all the same, `forms` say how it computes attentions."""
    reports = tuple(reports)
    lines: list[str] = []
    fused = [rewrite for report in reports if not report.housekeeping for rewrite in report.rewrites]
    misses = dict.fromkeys(miss for report in reports for miss in report.misses)
    if fused:
        lines.append("rewritten")
        lines += [f"  {_place(r.at)}{_path(r.scope)}: {r.rule}: {r.detail}{_times(r.count)}" for r in fused]
    if misses:
        lines.append("not rewritten")
        for miss in misses:
            lines += _miss(miss)
    apart = tuple(taken_apart)
    if apart:
        lines.append(f"computed by its parts on {backend}")
        lines += [line for miss in apart for line in _miss(miss)]
    forms = tuple(forms)
    if forms:
        lines.append(f"attention on {backend}")
        lines += [f"  {_place(form.at)}{_path(form.scope)}: {form.detail}" for form in forms]
    by_pass: dict[str, list[Rewrite]] = {}
    for report in reports:
        if report.housekeeping:
            by_pass.setdefault(report.name, []).extend(report.rewrites)
    if any(by_pass.values()):
        lines.append("housekeeping")
        lines += [f"  {name}: {_summary(rewrites)}" for name, rewrites in by_pass.items() if rewrites]
    return "\n".join(lines) + "\n"


def _miss(miss: Miss) -> list[str]:
    lines = [f"  {_place(miss.at)}{_path(miss.scope)}: {miss.rule}: {miss.reason}"]
    if miss.where is not None and str(miss.where) != str(miss.at):
        lines.append(f"    {_place(miss.where)}: `{miss.culprit}` prevents it")
    return lines


def _place(span: Span | None) -> str:
    return f"{span.source.name}:{span.line}" if span is not None else "(no place)"


def _path(scope: str) -> str:
    return f" in {scope}" if scope else ""


def _times(count: int) -> str:
    return f" ({count} times)" if count > 1 else ""


def _summary(rewrites: Iterable[Rewrite]) -> str:
    totals: dict[str, int] = {}
    for rewrite in rewrites:
        totals[rewrite.rule] = totals.get(rewrite.rule, 0) + rewrite.count
    return ", ".join(f"{count} {rule}" for rule, count in sorted(totals.items()))
