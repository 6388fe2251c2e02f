"""Which inputs a file takes and which outputs it gives; everything else is decided before it is written."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from attndsl.diagnostics import did_you_mean, error
from attndsl.graph import Graph, Node
from attndsl.ops import Given
from attndsl.passes.algebra import Algebra
from attndsl.passes.base import Pass, PassReport
from attndsl.passes.dce import DeadCode
from attndsl.passes.decide import Decide
from attndsl.passes.incremental import derived
from attndsl.passes.pipeline import RECOGNISED, optimize
from attndsl.passes.rewrite import Rewriter
from attndsl.passes.rules import Found, apply, simple
from attndsl.records import replace


class TakeDefaults(Pass):
    """Every optional input of these names is left out: its default stands for it. The others are given."""

    name = "take-defaults"
    missing: frozenset[str] = frozenset()

    def rewrite(self, rewriter: Rewriter) -> PassReport:
        left_out = {info.value for info in rewriter.graph.inputs if info.name in self.missing}

        def taken(algebra: Algebra, node: Node) -> Found:
            assert isinstance(node.op, Given)
            return node.inputs[node.op.taken(given=node.inputs[0] not in left_out, training=False)]

        return self.report(*apply(rewriter, (simple("decided", (Given,), taken),)))


def by_file(
    path: str | os.PathLike[str],
    graph: Graph,
    inputs: Sequence[str],
    outputs: Sequence[str] | None,
    *,
    incremental: bool,
) -> dict[Path, tuple[Graph, list[str], Sequence[str] | None]]:
    """What an export writes, by place: a graph, which of its optional inputs are taken, and which outputs are given. If
    `incremental`, it is the graph that reads a text on; what that keeps of other inputs (an encoder's source) is made
    once, by a second one beside it, `NAME.sources.SUFFIX`. Raises E0761 where there is no incremental graph. An input
    that none has is named in all."""
    target = Path(path)
    graphs = {target: graph}
    if incremental:
        made = derived(graph, outputs=outputs)
        graphs = {target: made.graph}
        if made.sources is not None:
            graphs[target.with_name(f"{target.stem}.sources{target.suffix}")] = made.sources
    own = {place: {info.name for info in each.own_inputs} for place, each in graphs.items()}
    others = [name for name in inputs if not any(name in names for names in own.values())]
    return {
        place: (each, [*(name for name in inputs if name in own[place]), *others], outputs if place == target else None)
        for place, each in graphs.items()
    }


def chosen(graph: Graph, inputs: Sequence[str], outputs: Sequence[str] | None, fixed: Collection[str] = ()) -> Graph:
    """The graph in use (not in training), with its required inputs, the optional ones in `inputs`, the states of its
    rows, and those that all rows share if they are `fixed`; and with these outputs; if None, with all that these inputs
    allow. Raises E0803 for a name that it lacks, and where no output is left."""
    declared = [info.name for info in graph.own_inputs]
    for name in inputs:
        if name not in declared:
            raise error("E0803", f"there is no input `{name}`", help=did_you_mean(name, declared))
    shared = {info.name for info in graph.shared_states}
    missing = frozenset(i.name for i in graph.own_inputs if i.optional and i.name not in inputs) | (shared - {*fixed})
    named = {*_possible(graph, missing, outputs), *graph.state_names} - shared
    pairs = [pair for pair in zip(graph.outputs, graph.body.results, strict=True) if pair[0].name in named]
    body = replace(graph.body, results=tuple(value for _, value in pairs))
    asked = replace(graph, outputs=tuple(info for info, _ in pairs), body=body)
    decided, _ = optimize(asked, verify=False, passes=(Decide(), TakeDefaults(missing=missing), DeadCode()))
    left = tuple(replace(i, optional=False, default=None) for i in decided.inputs if i.name not in missing)
    body = replace(decided.body, parameters=tuple(info.value for info in left))
    given = tuple(replace(info, needs=frozenset()) for info in decided.outputs)
    states = tuple(info for info in decided.states if info.name not in shared)
    plain = replace(decided, inputs=left, outputs=given, states=states, body=body)
    return optimize(plain, passes=(*RECOGNISED, DeadCode()))[0]


def _possible(graph: Graph, missing: Collection[str], outputs: Sequence[str] | None) -> tuple[str, ...]:
    known = {info.name: info for info in graph.own_outputs}
    if outputs is None:
        found = tuple(name for name, info in known.items() if info.needs.isdisjoint(missing))
        if not found:
            optional = ",".join(sorted(set().union(*(info.needs for info in known.values()))))
            ways = f"name those that the file is to take: `--inputs {optional}`"
            raise error("E0803", "every output needs an optional input", help=ways)
        return found
    for name in outputs:
        if name not in known:
            raise error("E0803", f"there is no output `{name}`", help=did_you_mean(name, known))
        for lacking in sorted(known[name].needs & set(missing)):
            message = f"the output `{name}` needs the input `{lacking}`, which the file does not take"
            raise error("E0803", message, known[name].span, help=f"add it: `--inputs {lacking}`")
    return tuple(outputs)
