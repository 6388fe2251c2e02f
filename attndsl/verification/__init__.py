"""Claims that must hold of any model, tried on one: what a reviewer is shown.

Given a graph; gives a `Verification`, a finding for each claim: how far two numbers that should be equal are apart, and
how far they may be (`attndsl.comparison.tolerance`), or why the claim says nothing of this model. `CLAIMS` has all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from attndsl.graph import Graph
from attndsl.lazy import Array
from attndsl.verification import attentions, calls, reading_on, rows, slopes, ways
from attndsl.verification.case import Case
from attndsl.verification.findings import SCHEMA, Claim, Finding, Verification, table
from attndsl.verification.padding import padding_inputs
from attndsl.verification.reducing import Changes, reduced

if TYPE_CHECKING:
    from attndsl.elaborate.settings import Setting
    from attndsl.elaborate.spec import Spec

CLAIMS: tuple[Claim, ...] = (
    ways.fused,
    ways.each_pass,
    ways.every_backend,
    attentions.every_attention,
    ways.every_loss,
    ways.fewer_bits,
    slopes.finite_differences,
    calls.batch,
    rows.padding,
    rows.packed,
    reading_on.read_on,
)


def verify_spec(
    spec: Spec,
    graph: Graph,
    settings: Mapping[str, Setting],
    *,
    weights: Mapping[str, Array] | None = None,
    whole: bool = False,
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    compiled: bool = False,
    told: Callable[[Finding], None] | None = None,
) -> Verification:
    """Verify the model of `spec` at `settings`, whose graph is `graph`: as it is with `weights` or if `whole`, else at
    smaller sizes, which are told. The rest is as in `verify`."""
    changes: Changes | None = None
    if weights is None and not whole:
        graph, changes = reduced(spec, settings)
    padding = padding_inputs(spec, graph)
    return verify(
        graph, weights=weights, sizes=sizes, seed=seed, compiled=compiled, padding=padding, reduced=changes, told=told
    )


def verify(
    graph: Graph,
    *,
    weights: Mapping[str, Array] | None = None,
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    compiled: bool = False,
    padding: Sequence[str] = (),
    reduced: Changes | None = None,
    told: Callable[[Finding], None] | None = None,
) -> Verification:
    """Try every claim on `graph`, with `weights` by address (default: initial values, moved away from round numbers)
    and example inputs at `sizes`. `padding` names the inputs that are false where there is nothing but padding;
    `reduced` is what the caller has made smaller, to be reported. `told` hears of every finding as it comes. A claim
    that raises an error does not hold, and says which. Raises AttnError for sizes and weights that do not fit."""
    case = Case(graph, weights=weights, sizes=sizes, seed=seed, compiled=compiled, padding=padding)
    at = case.sizes
    case.program(graph)
    findings: list[Finding] = []
    for claim in CLAIMS:
        for found in claim(case):
            findings.append(found)
            if told is not None:
                told(found)
    free = {size: at[size] for size in graph.free_sizes if size in at}
    return Verification(graph.title, free, dict(reduced or {}), graph.parameter_count, tuple(findings))


__all__ = ["CLAIMS", "SCHEMA", "Case", "Finding", "Verification", "table", "verify", "verify_spec"]
