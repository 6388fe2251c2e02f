"""Where two sides part: the first value, in the order of computation, that they do not agree on.

A difference in an output is followed through the values that both sides can show, with the same tolerance as outputs
have. Where all values agree and a gradient does not, every operation is tried by itself, the last first, with the
operands that it has in this run. An operation that differs by itself is the culprit for certain; otherwise the place is
where the difference shows first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from attndsl.addresses import filled
from attndsl.comparison import tolerance
from attndsl.comparison.expose import ValuePlace, exposed, graph_of, places
from attndsl.comparison.report import VALUES, ComparedArray, Divergence
from attndsl.comparison.sides import Sides, as_held, distance, greatest, largest
from attndsl.comparison.tolerance import Work
from attndsl.comparison.work import work_of
from attndsl.diagnostics import AttnError, Span
from attndsl.graph import BOOL, INT, Graph, Node
from attndsl.lazy import Array, np
from attndsl.records import Frozen, replace
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
    if sides.rewrites:
        graph = sides.graph
    elif sides.way.optimizes and sides.way.backend.optimizes:
        from attndsl.passes import optimize

        graph = exposed(optimize(sides.graph)[0])
    else:
        graph = exposed(sides.graph)
    reference = sides.reference(graph, weights)
    single = sides.single(graph, weights)
    judged = sides.judged(graph, weights)
    work, found = work_of(sides.graph, sizes), None
    if any(not row.ok and row.kind in VALUES for row in rows):

        def both(addresses: tuple[str, ...]) -> Iterator[tuple[Array, Array, Array]]:
            """What each address is, what it is in float32, and what the candidate makes of it."""
            dumps = [program.run(inputs, (), dump=addresses) for program in (reference, single, judged)]
            return ((as_held(exact, sides.dtype), cost, given) for exact, cost, given in _together(addresses, dumps))

        shown = {name for value in _values(judged.graph) for name in value}
        last = {
            place.address: place for place in places(graph, inputs, sizes)
        }  # a variable that is made anew keeps its name
        candidates = [place for place in last.values() if place.value.names[-1] in shown]
        around = greatest((*inputs.values(), *weights.values()))
        found = first_value(candidates, sizes, both, sides.dtype, around, work)
        if found is not None and not sides.rewrites:
            place = last[found.place.address]
            by_itself = _differs_by_itself(sides, graph, place, reference, inputs, sizes, work)
            return replace(found.divergence, differs_by_itself=by_itself)
    if found is None and any(not row.ok and row.kind not in VALUES for row in rows):
        return _first_gradient(sides, graph, reference, inputs, sizes, work)
    return found.divergence if found is not None else None


def _together(addresses: Sequence[str], dumps: Sequence[Mapping[str, Array]]) -> Iterator[tuple[Array, ...]]:
    return (tuple(dump[address] for dump in dumps) for address in addresses)


Look = Callable[[tuple[str, ...]], Iterable[tuple[Array, Array, Array]]]
"""Of each address what is right, that in float32, and what was found."""


class FirstValue(Frozen):
    """The place of the first value that differs, and what is said of it."""

    place: ValuePlace
    divergence: Divergence


def first_value(
    candidates: Sequence[ValuePlace], sizes: Mapping[str, int], look: Look, dtype: str, around: float, work: Work
) -> FirstValue | None:
    """The first of these places, in the order of computation, at which `look` finds two values that differ by more than
    is allowed; `around` is the greatest magnitude among inputs and parameters."""
    for group in _groups(candidates, sizes):
        seen = look(tuple(place.address for place in group))
        for place, (true, cost, found) in zip(group, seen, strict=True):
            off, allowed = distance(true, found), _allowed(place, dtype, true, cost, around, work)
            if off > allowed:
                said = Divergence(
                    address=_readable(place),
                    operation=place.node.op.name,
                    absolute=off,
                    tolerance=allowed,
                    in_gradient=False,
                    spans=_spans(place.node),
                    differs_by_itself=False,
                )
                return FirstValue(place, said)
    return None


def _allowed(place: ValuePlace, dtype: str, true: Array, cost: Array, around: float, work: Work) -> float:
    if place.value.type.dtype in (INT, BOOL):
        return 0.0
    return tolerance.for_output(dtype, largest(true), distance(true, cost), max(around, largest(true)), work)


def _values(graph: Graph) -> Iterator[tuple[str, ...]]:
    for node in graph.body.walk():
        for value in node.outputs:
            yield value.names


def _groups(found: Sequence[ValuePlace], sizes: Mapping[str, int]) -> Iterator[list[ValuePlace]]:
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
    sides: Sides,
    graph: Graph,
    place: ValuePlace,
    reference: Program,
    inputs: dict[str, Array],
    sizes: dict[str, int],
    work: Work,
) -> bool:
    """Whether the operation gives something else on the same operands."""
    if not place.node.inputs:
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
    return distance(exact, found) > _allowed(place, sides.dtype, exact, cost, greatest(arrays.values()), work)


def _first_gradient(
    sides: Sides, graph: Graph, reference: Program, inputs: dict[str, Array], sizes: dict[str, int], work: Work
) -> Divergence | None:
    """The last operation whose gradient differs by itself: the first that the backward pass gets wrong."""
    tried: set[Node] = set()
    for place in reversed(list(places(graph, inputs, sizes))):
        node = place.node
        floats = [f"x{i}" for i, value in enumerate(node.inputs) if value.type.is_float]
        if node in tried or not floats or not place.value.type.is_float or sides.rewrites:
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
            allowed = tolerance.for_gradient(sides.dtype, largest(true), own, overall, largest(cotangents["y"]), work)
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
