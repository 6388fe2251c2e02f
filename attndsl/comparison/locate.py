"""Where two sides part: the first value, in the order of computation, that they do not agree on.

A difference in an output is followed through the values that both sides can show, with the same tolerance as outputs
have. Where all values agree and a gradient does not, every operation is tried by itself, the last first, with the
operands that it has in this run. An operation that differs by itself is the culprit for certain; otherwise the place is
where the difference shows first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from attndsl.addresses import filled
from attndsl.comparison import tolerance
from attndsl.comparison.expose import ValuePlace, exposed, graph_of, places
from attndsl.comparison.report import VALUES, ComparedArray, Divergence
from attndsl.comparison.sides import Sides, as_held, distance, greatest, largest
from attndsl.diagnostics import AttnError, Span
from attndsl.graph import BOOL, INT, Graph, Node
from attndsl.lazy import Array, np
from attndsl.running.inputs import check_inputs

if TYPE_CHECKING:
    from attndsl.running.program import Program

AT_ONCE = 1 << 28  # bytes of values that are held at a time


def locate(
    sides: Sides, inputs: dict[str, Array], weights: dict[str, Array], rows: Sequence[ComparedArray]
) -> Divergence | None:
    """The first place where the sides part; None where every value that can be looked at agrees."""
    sizes = check_inputs(sides.graph, inputs)
    # Values are looked up where the candidate computes them, which may be in the graph after the passes; a candidate
    # that is the passes themselves shares with the plain graph the values that the author named.
    if sides.after_passes:
        graph = sides.graph
    elif sides.candidate.optimizes:
        from attndsl.passes import optimize

        graph = exposed(optimize(sides.graph)[0])
    else:
        graph = exposed(sides.graph)
    reference = sides.reference(graph, weights)
    single = sides.single(graph, weights)
    judged = sides.judged(graph, weights)
    found = None
    if any(not row.ok and row.kind in VALUES for row in rows):
        around = greatest((*inputs.values(), *weights.values()))
        found = _first_value(sides, graph, reference, single, judged, inputs, sizes, around)
    if found is None and any(not row.ok and row.kind not in VALUES for row in rows):
        found = _first_gradient(sides, graph, reference, inputs, sizes)
    return found


def _first_value(
    sides: Sides,
    graph: Graph,
    reference: Program,
    single: Program,
    judged: Program,
    inputs: dict[str, Array],
    sizes: dict[str, int],
    around: float,
) -> Divergence | None:
    shown = {name for value in _values(judged.graph) for name in value}
    last = {
        place.address: place for place in places(graph, inputs, sizes)
    }  # a variable that is made anew keeps its name
    candidates = [place for place in last.values() if place.value.names[-1] in shown]
    for group in _groups(candidates, sizes):
        addresses = tuple(place.address for place in group)
        exact, cost, found = (program.run(inputs, (), dump=addresses) for program in (reference, single, judged))
        for place in group:
            true = as_held(exact[place.address], sides.dtype)
            off = distance(true, found[place.address])
            allowed = _allowed(place, sides.dtype, true, cost[place.address], around)
            if off > allowed:
                culprit = _differs_by_itself(sides, graph, place, reference, inputs, sizes)
                return Divergence(
                    address=_readable(place),
                    operation=place.node.op.name,
                    absolute=off,
                    tolerance=allowed,
                    in_gradient=False,
                    spans=_spans(place.node),
                    differs_by_itself=culprit,
                )
    return None


def _allowed(place: ValuePlace, dtype: str, true: Array, cost: Array, around: float) -> float:
    if place.value.type.dtype in (INT, BOOL):
        return 0.0
    return tolerance.for_output(dtype, largest(true), distance(true, cost), max(around, largest(true)))


def _values(graph: Graph) -> Iterator[tuple[str, ...]]:
    for node in graph.body.walk():
        for value in node.outputs:
            yield value.names


def _groups(found: Sequence[ValuePlace], sizes: dict[str, int]) -> Iterator[list[ValuePlace]]:
    """Places in order, so many at a time that their values fit into memory."""
    group: list[ValuePlace] = []
    held = 0
    for place in found:
        size = 8 * place.value.type.count(sizes)
        if group and held + size > AT_ONCE:
            yield group
            group, held = [], 0
        group.append(place)
        held += size
    if group:
        yield group


def _operands(graph: Graph, place: ValuePlace, reference: Program, inputs: dict[str, Array]) -> dict[str, Array] | None:
    """What the node of `place` was given in this run, as inputs `x0`, `x1`, …; None where that cannot be shown."""
    node = place.node
    by_value = {id(info.value): info.name for info in graph.inputs}
    wanted: dict[str, str] = {}
    arrays: dict[str, Array] = {}
    for i, value in enumerate(node.inputs):
        if id(value) in by_value and by_value[id(value)] not in inputs:
            return None  # left out: a default stands for it
        if id(value) in by_value:
            arrays[f"x{i}"] = inputs[by_value[id(value)]]
        elif value.names:
            wanted[f"x{i}"] = filled(value.names[-1], place.loops)
        else:
            return None
    try:
        seen = reference.run(inputs, (), dump=tuple(wanted.values()))
    except AttnError:
        return None
    arrays.update({name: seen[address] for name, address in wanted.items()})
    return {f"x{i}": arrays[f"x{i}"] for i in range(len(node.inputs))}


def _differs_by_itself(
    sides: Sides, graph: Graph, place: ValuePlace, reference: Program, inputs: dict[str, Array], sizes: dict[str, int]
) -> bool:
    """Whether the operation gives something else on the same operands."""
    if sides.after_passes or not place.node.inputs:
        return False
    arrays = _operands(graph, place, reference, inputs)
    if arrays is None:
        return False
    tiny = graph_of(graph, place.node, sizes)
    try:
        exact, cost, found = (side(tiny, {}).run(arrays)["y"] for side in (sides.reference, sides.single, sides.judged))
    except AttnError:
        return False
    exact = as_held(exact, sides.dtype)
    return distance(exact, found) > _allowed(place, sides.dtype, exact, cost, greatest(arrays.values()))


def _first_gradient(
    sides: Sides, graph: Graph, reference: Program, inputs: dict[str, Array], sizes: dict[str, int]
) -> Divergence | None:
    """The last operation whose gradient differs by itself: the first that the backward pass gets wrong."""
    tried: set[Node] = set()
    for place in reversed(list(places(graph, inputs, sizes))):
        node = place.node
        floats = [f"x{i}" for i, value in enumerate(node.inputs) if value.type.is_float]
        if node in tried or not floats or not place.value.type.is_float or sides.after_passes:
            continue
        tried.add(node)
        arrays = _operands(graph, place, reference, inputs)
        if arrays is None:
            continue
        tiny = graph_of(graph, node, sizes)
        shape = place.value.type.shape(sizes)
        cotangents = {"y": np.random.Generator(np.random.Philox(key=[0, 0])).standard_normal(shape)}
        try:
            exact, cost, found = (
                side(tiny, {}).gradients(arrays, cotangents)[2]
                for side in (sides.reference, sides.single, sides.judged)
            )
        except AttnError:
            continue
        overall = max(largest(exact[name]) for name in floats)
        for name in floats:
            true = as_held(exact[name], sides.dtype)
            off, own = distance(true, found[name]), distance(true, cost[name])
            allowed = tolerance.for_gradient(sides.dtype, largest(true), own, overall, largest(cotangents["y"]))
            if off > allowed:
                return Divergence(_readable(place), node.op.name, off, allowed, True, _spans(node), True)
    return None


def _readable(place: ValuePlace) -> str:
    """The address by which the author knows the value, or the layer in which it is computed."""
    named = [name for name in place.value.names if "~" not in name]
    return filled(named[-1] if named else place.node.scope, place.loops) or "the model"


def _spans(node: Node) -> tuple[Span, ...]:
    found = [span for span in (node.site, node.span) if span is not None]
    return tuple(found[:1] if len(found) == 2 and found[0] == found[1] else found)
