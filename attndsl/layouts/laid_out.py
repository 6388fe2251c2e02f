"""A graph laid out over a mesh: the graph of one device, and where everything lies."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from attndsl.diagnostics import AttnError, Diagnostic, error, listed, quoted, warning
from attndsl.graph import Graph, ParameterInfo, Region, StateInfo, Value
from attndsl.graph.initial import Initializer
from attndsl.graph.kept import KeptValues
from attndsl.layouts.alternatives import Alternatives
from attndsl.layouts.core import NOT_DIVISIBLE, Layout, PlacementRule
from attndsl.layouts.emitting import Move
from attndsl.layouts.in_place import in_place
from attndsl.layouts.placements import WHOLE, Placement, indices
from attndsl.layouts.sharing import equal_parts
from attndsl.layouts.staged_loop import StagedLoop
from attndsl.layouts.stages import Staged, in_stages, local_name, rows_in_stages, staged_loops
from attndsl.layouts.walk import LayoutWalk
from attndsl.layouts.wanted import WantedPlacements
from attndsl.lazy import Array
from attndsl.records import Frozen, replace
from attndsl.sizes import Constraint
from attndsl.types import Axis, Type


class LaidOut(Frozen, eq=False):
    """`graph` is that of one device, an ordinary graph with collectives in it; `whole` the one that it was made from.
    `values` has for each value where it lies, and why; `parameters`, `inputs` and `outputs` the same by
    address, in which each `*` stands for an index, and by name. `rules` are those that divide a parameter's axis over a
    dimension, `alternatives` the ways in which they could lie instead, `moves` the collectives, `loops` the repeats in
    stages."""

    layout: Layout
    whole: Graph
    graph: Graph
    values: Mapping[Value, tuple[Placement, str]]
    parameters: Mapping[tuple[str, Type], Placement]
    inputs: Mapping[str, Placement]
    outputs: Mapping[str, Placement]
    rules: Mapping[tuple[str, Axis, str], PlacementRule]
    alternatives: Alternatives
    moves: tuple[Move, ...]
    warnings: tuple[Diagnostic, ...]
    loops: tuple[StagedLoop, ...] = ()

    def of_parameters(self) -> Iterator[tuple[str, Type, Placement]]:
        """Each parameter by its address in files (`h.0.ln_1.scale`), with its type and where it lies."""
        for info in self.whole.parameters:
            placement = self.parameters[info.address, info.type]
            yield from ((address, info.type, placement) for address in info.addresses())

    def of_devices(self) -> Iterator[tuple[str, str, dict[str, int]]]:
        """Each parameter by its address in files, with what those call it that have it, and the places of these along
        the dimensions on which layers stand in stages. Each counts its own layers from 0."""
        for info in self.whole.parameters:
            rounds = list(self.parameters[info.address, info.type].rounds)
            for address, numbers in zip(info.addresses(), info.indices(), strict=True):
                yield (address, *local_name(info.address, numbers, rounds))

    def own_names(self, rank: int) -> dict[str, str]:
        """What a device calls the parameters that it has, all or a part of each, by their addresses in files."""
        at = self.layout.mesh.coordinates(rank).items()
        return {address: name for address, name, places in self.of_devices() if places.items() <= at}

    def local_parameters(self, arrays: Mapping[str, Array], rank: int) -> dict[str, Array]:
        """What one device has of the parameters, as it calls them."""
        names = self.own_names(rank)
        places = ((address, type, placement) for address, type, placement in self.of_parameters() if address in names)
        return {names[a]: self._cut(arrays[a], type, placement, rank) for a, type, placement in places}

    def local_inputs(self, arrays: Mapping[str, Array], rank: int) -> dict[str, Array]:
        """What one device is given of the inputs that are given. Raises E1004 for an axis that cannot be divided."""
        types = {info.name: info.value.type for info in self.whole.inputs}
        for name, array in arrays.items():
            for axis, on in self.inputs[name].divided.items():
                length, count = array.shape[types[name].index(axis)], self.layout.mesh.count(on)
                if length % count:
                    where = listed(tuple(map(quoted, on)))
                    message = f"`{name}` is {length} long along `{axis.name}`, which {count} devices share on {where}"
                    raise error(NOT_DIVISIBLE, message, help=f"give a multiple of {count}")
        sizes = {
            str(axis.size): n for name, a in arrays.items() for axis, n in zip(types[name].axes, a.shape, strict=True)
        }
        for constraint in self.graph.constraints:
            if constraint.code == NOT_DIVISIBLE and constraint.holds(sizes) is False:
                raise AttnError(constraint.failure(sizes))
        return {name: self._cut(array, types[name], self.inputs[name], rank) for name, array in arrays.items()}

    def _cut(self, array: Array, type: Type, placement: Placement, rank: int) -> Array:
        return array[indices(placement, type, self.layout.mesh.coordinates(rank), array.shape)]


def lay_out(graph: Graph, layout: Layout) -> LaidOut:
    """The graph of one device, which is not optimised yet: `graph` should not be either. Warnings are in what is given
    back (`attndsl.diagnostics.warn` tells them).

    Raises E1004 for an axis that cannot be divided as the layout says.
    """
    whole, wanted = graph, WantedPlacements(Staged(graph), layout)
    taken = staged_loops(graph, layout)
    rows = rows_in_stages(graph, taken, wanted.classes)

    def divided(value: Value) -> dict[Axis, tuple[str, ...]]:
        in_microbatches = {rows[value]: ("",)} if value in rows else {}  # which lie on no dimension
        return in_microbatches | wanted.of(value).divided

    graph = in_place(graph, divided)
    staged = in_stages(graph, layout)
    if staged.graph is not whole:
        wanted = WantedPlacements(staged, layout)
    graph = staged.graph
    stored = {(info.address, info.type): _stored(info, wanted) for info in graph.parameters}
    walk = LayoutWalk(graph, wanted, stored)
    constraints = equal_parts(walk, stored)
    inputs = {info.name: walk.of_input(info.value) for info in graph.inputs}
    outputs = {info.name: walk.of_output(info.name) for info in graph.outputs}
    found = tuple(
        dict.fromkeys((*walk.warnings, *_idle(wanted, walk, stored, taken.values()), *_undivided(wanted, stored)))
    )
    rules = {
        (info.address, axis, name): rule
        for info in graph.parameters
        for axis, on in wanted.of_parameter(info).divided.items()
        for name in on
        if (rule := wanted.rule(info.address, axis, name)) is not None
    }
    again = _made_again(walk)
    return LaidOut(
        layout, whole, _local(graph, walk, stored, constraints), walk.placements, stored, inputs, outputs, rules,
        Alternatives(graph, walk.chooser, stored, layout.parameters, again), tuple(_moves(walk, again)), found,
        tuple(staged.loops.values()),
    )  # fmt: skip


def _made_again(walk: LayoutWalk) -> Collection[Value]:
    """What gradients make again instead of keeping it."""
    kept = KeptValues(walk.graph.parameters)

    def visit(region: Region) -> None:
        for node in region.nodes:
            kept.of(node)
            for inner in node.regions:
                kept.enter(inner, node)
                visit(inner)

    visit(walk.body)
    return kept.made_again


def _moves(walk: LayoutWalk, again: Collection[Value]) -> Iterator[Move]:
    """The collectives, with those that gradients make again."""
    for made, move in walk.moves:
        yield move
        if made in again and not move.in_backward:
            yield replace(move, in_backward=True, reason="for gradients, again")


def _stored(info: ParameterInfo, wanted: WantedPlacements) -> Placement:
    """Where a parameter lies between its uses: where these want it, and divided along its longest axis that can be over
    the dimension that the layout names for parameters."""
    placement, layout = wanted.of_parameter(info), wanted.layout
    for name, rounds in wanted.staged.of(info.address):
        placement = placement.at(layout.mesh.names.index(name), rounds)
    if layout.parameters is None or placement.on(layout.parameters) is not WHOLE:
        return placement
    number, count = layout.mesh.names.index(layout.parameters), layout.mesh.size(layout.parameters)
    if count == 1:
        return placement

    def length(axis: Axis) -> int:
        known = axis.size.known(wanted.graph.sizes) or 0
        return known if known % count == 0 and axis not in placement.divided else 0

    longest = max(info.type.axes, key=length, default=None)
    return placement if longest is None or not length(longest) else placement.at(number, longest)


LARGE = 0.01
"""What share of a model's parameters is worth a warning where each device has all of it."""


def _undivided(wanted: WantedPlacements, stored: Mapping[tuple[str, Type], Placement]) -> Iterator[Diagnostic]:
    """Large parameters that the layout says are to be divided over a dimension, and that cannot be."""
    graph, name = wanted.graph, wanted.layout.parameters
    count = wanted.mesh.size(name) if name is not None else 1
    for info in graph.parameters if count > 1 else ():
        placement = stored[info.address, info.type]
        share = info.copies * info.type.count(graph.sizes) / max(graph.parameter_count, 1)
        free = set(info.type.axes) - placement.divided.keys()
        if name is not None and placement.on(name) is WHOLE and free and share >= LARGE:
            shown, axes = f"`{info.address}` {placement.shown(info.type)}", "free axes" if placement.divided else "axes"
            yield warning(
                "W1003", f"{shown} stays whole along `{name}`: {count} divides none of its {axes}",
                info.span, help=f"make one of them a multiple of {count}, or say `parameters whole`",
            )  # fmt: skip


def _idle(
    wanted: WantedPlacements,
    walk: LayoutWalk,
    stored: Mapping[tuple[str, Type], Placement],
    taken: Collection[PlacementRule],
) -> Iterator[Diagnostic]:
    """Dimensions that no rule names, and rules by which nothing is divided, since rules before them take it all. Those
    that are `taken` divide repeats."""
    layout = wanted.layout
    named = {layout.parameters, *(rule.dimension for rule in layout.rules)}
    for name, size in layout.mesh.dimensions:
        if size > 1 and name not in named:
            yield warning(
                "W1002", f"nothing lies on `{name}`: its {size} devices compute the same", layout.span,
                help=f"place axes there, as `… on {name}`, or take it out of the mesh",
            )  # fmt: skip
    for number, rule in enumerate(layout.rules):
        at = wanted.mesh.names.index(rule.dimension)
        if wanted.mesh.dimensions[at][1] == 1 or rule in taken:
            continue
        places: list[tuple[Value | str, Placement]] = [(v, placement) for v, (placement, _) in walk.placements.items()]
        places += [(address, placement) for (address, _), placement in stored.items()]
        places += [(info.value, walk.of_output(info.name)) for info in walk.graph.outputs]
        divided = ((key, placement.states[at]) for key, placement in places)
        if not any(
            isinstance(state, Axis) and number in wanted.marks.get(wanted.classes.find((key, state)), ())
            for key, state in divided
        ):
            yield warning(
                "W1002", f"the rule `{rule}` divides nothing", rule.span,
                help="rules before it, or axes of length 1, leave nothing to it",
            )  # fmt: skip


def _local(
    graph: Graph, walk: LayoutWalk, stored: Mapping[tuple[str, Type], Placement], constraints: Sequence[Constraint]
) -> Graph:
    """The graph of one device, with its declarations."""
    inputs = tuple(replace(info, value=walk.inputs[info.name]) for info in graph.inputs)
    outputs = tuple(replace(i, value=v) for i, v in zip(graph.outputs, walk.body.results, strict=True))
    parameters = tuple(_local_parameter(info, stored[info.address, info.type]) for info in graph.parameters)
    return replace(
        graph,
        inputs=inputs,
        outputs=outputs,
        parameters=parameters,
        constraints=(*graph.constraints, *constraints),
        states=tuple(_local_state(graph, walk, info) for info in graph.states),
        body=Region(walk.body.parameters, walk.body.nodes, walk.body.results),
    )


def _local_parameter(info: ParameterInfo, placement: Placement) -> ParameterInfo:
    """A part is cut from the first values of the whole: what makes these fits neither its lengths nor its place."""
    if not placement.divided and not any(placement.rounds):
        return info
    return replace(info, type=placement.local(info.type), initializer=Initializer("zeros"))


def _local_state(graph: Graph, walk: LayoutWalk, info: StateInfo) -> StateInfo:
    value = next(given.value for given in graph.inputs if given.name == info.name)
    return replace(info, type=walk.of_input(value).local(info.type))
