"""The walk through a graph that lays it out: for each operation the way in which the devices compute it that moves the
fewest bytes, given where its operands lie and where the rules want its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attndsl.diagnostics import Diagnostic, warning
from attndsl.graph import Graph, Node, Region, Value
from attndsl.graph.builder import Builder
from attndsl.layouts.channels import Channel, channels, linear_channels
from attndsl.layouts.emitting import DeviceEmitter, Move
from attndsl.layouts.facts import Facts
from attndsl.layouts.lowering import LocalNode, lowered
from attndsl.layouts.placements import PARTIAL, VARYING, WHOLE, Placement, State, part_of
from attndsl.layouts.wanted import WantedPlacements
from attndsl.ops import Given, Op, Parameter, Rename, Repeat, Scan, Transpose
from attndsl.records import dataclass, field, fields
from attndsl.sizes import ONE, Size
from attndsl.types import Axis, Type

States = tuple[State, ...]

RARELY = 1e6
"""What moving a part of a weight costs besides: it was divided so that no device has it all."""


@dataclass(slots=True)
class Located:
    """A value on the mesh: `placement` is how it was made, `planned` how operations are to see it (a parameter that is
    divided only to be stored is whole to them), `versions` what it has been moved to, by state, each made in the region
    of `emitter`. A `recipe` is a node that is computed wherever and however its result is needed; if it only calls the
    axes of `source` otherwise, that is what is moved, once for all its names."""

    value: Value
    placement: Placement
    planned: Placement
    emitter: DeviceEmitter
    versions: dict[States, Value] = field(default_factory=dict)
    recipe: Node | None = None
    source: Located | None = None

    def has(self, number: int, state: State) -> bool:
        """Whether it lies so along a dimension in some version."""
        if self.source is not None and self.recipe is not None:
            return self.source.has(number, _before(self.recipe, state))
        return self.recipe is not None or any(states[number] == state for states in self.versions)


class LayoutWalk:
    """Lays a graph out: `body` is that of one device. `placements` has where each value lies, with the reason."""

    def __init__(self, graph: Graph, wanted: WantedPlacements, stored: Mapping[tuple[str, Type], Placement]) -> None:
        self.graph, self.wanted, self.mesh, self.stored = graph, wanted, wanted.mesh, stored
        self.facts = Facts(graph)
        self.moves: list[Move] = []
        self.warnings: list[Diagnostic] = []
        self.placements: dict[Value, tuple[Placement, str]] = {}
        self.located: dict[Value, Located] = {}
        self.inputs: dict[str, Value] = {}
        top = DeviceEmitter(self.mesh, self.moves, Builder(), ONE)
        for info in graph.inputs:
            placement = self.of_input(info.value)
            local = Value(placement.local(info.value.type), info.value.names)
            self.inputs[info.name] = top.builder.parameter(local)
            self._made(info.value, placement, local, top, "an input")
        for node in graph.body.nodes:
            self._node(node, top)
        results = [self._request(info.value, self._given_out(info.name, info.value)) for info in graph.outputs]
        self.body = top.builder.region(tuple(self.inputs[info.name] for info in graph.inputs), tuple(results))

    # ------------------------------------------------------------ the ends

    def of_input(self, value: Value) -> Placement:
        """How the devices are given an input: divided along its first axis alone. What is divided further is cut
        where it is read, which moves nothing."""
        first, wanted = value.type.axes[:1], self.wanted.of(value)
        return Placement(self.mesh, tuple(state if state in first else WHOLE for state in wanted.states))

    def of_output(self, name: str) -> Placement:
        """How an output of this name is given."""
        return self._given_out(name, next(info.value for info in self.graph.outputs if info.name == name))

    def _given_out(self, name: str, value: Value) -> Placement:
        if name in self.graph.state_names:
            return self.of_input(next(info.value for info in self.graph.inputs if info.name == name))
        return self.wanted.of(value)

    def _made(self, value: Value, placement: Placement, local: Value, emitter: DeviceEmitter, reason: str) -> Located:
        """Note where a value lies, and the device's part of it."""
        assert local.type == placement.local(value.type), (local.type, placement, value.type)
        found = Located(value, placement, placement, emitter, {placement.states: local})
        self.located[value] = found
        self.placements[value] = placement, reason
        return found

    # ------------------------------------------------------------ nodes

    def _node(self, node: Node, emitter: DeviceEmitter) -> None:
        emitter.stamp(node)
        if node.regions:
            self._loop(node, emitter)
        elif isinstance(node.op, Parameter):
            self._parameter(node, node.op, emitter)
        elif isinstance(node.op, Given):
            placement = self.located[node.inputs[0]].placement
            local = emitter.emit(node.op, *(self._request(value, placement) for value in node.inputs))
            self._made(node.output, placement, _called(local, node.output), emitter, "as its input")
        elif isinstance(node.op, Rename | Transpose) and not self.facts.is_made_anywhere(node):
            source = self.located[node.inputs[0]]
            placement, planned = (_after(node, each) for each in (source.placement, source.planned))
            self.located[node.output] = Located(node.output, placement, planned, emitter, {}, node, source)
            self.placements[node.output] = placement, "as its operand"
        elif self.facts.is_made_anywhere(node):
            whole = Placement.whole(self.mesh)
            self.located[node.output] = Located(node.output, whole, whole, emitter, {}, node)
            self.placements[node.output] = whole, "made wherever it is read"
        else:
            self._operation(node, emitter)

    def _parameter(self, node: Node, op: Parameter, emitter: DeviceEmitter) -> None:
        stored = self.stored[op.address, op.type]
        planned = self.wanted.of(node.output)
        local = emitter.emit(Parameter(op.address, stored.local(op.type)), names=node.output.names)
        self._made(node.output, stored, local, emitter, "a parameter").planned = planned

    def _operation(self, node: Node, emitter: DeviceEmitter) -> None:
        chosen: list[Channel] = []
        for number in range(len(self.mesh.dimensions)):
            chosen.append(self._best(node, number, emitter, chosen))
        placement = Placement(self.mesh, tuple(channel.result for channel in chosen))
        inputs = []
        for i, value in enumerate(node.inputs):
            states = tuple(
                VARYING if channel.operands[i] is WHOLE and not channel.is_whole else channel.operands[i]
                for channel in chosen
            )
            self._warn(node, i, states, chosen)
            inputs.append(self._request(value, Placement(self.mesh, states), node))
            emitter.stamp(node)
        local = self._computed(node, tuple(inputs), chosen, placement, emitter)
        self._made(node.output, placement, _called(local, node.output), emitter, self._reason(node, placement, chosen))

    def _computed(
        self,
        node: Node,
        inputs: tuple[Value, ...],
        chosen: Sequence[Channel],
        placement: Placement,
        emitter: DeviceEmitter,
    ) -> Value:
        """The device's part of the result."""
        own = tuple([(number, channel.own) for number, channel in enumerate(chosen) if channel.own is not None])
        parts = _parts(node, chosen, placement)
        differentiated = bool(node.inputs) and node.inputs[0] in self.facts.differentiated
        local = lowered(LocalNode(emitter, node, localized(node.op, parts), inputs, own, differentiated))
        return emitter.laid_out(local, placement.local(node.output.type))

    def _reason(self, node: Node, placement: Placement, chosen: Sequence[Channel]) -> str:
        words = []
        for (name, size), channel in zip(self.mesh.dimensions, chosen, strict=True):
            if isinstance(channel.result, Axis) and size > 1:
                rule = self.wanted.rule(node.output, channel.result, name)
                words.append(f"`{rule}`" if rule else f"as its operands on {name}")
            elif channel.result is PARTIAL:
                words.append(f"summed over parts on {name}")
        return "; ".join(words) or "nothing divides it"

    # ------------------------------------------------------------ which way

    def _best(self, node: Node, number: int, emitter: DeviceEmitter, others: Sequence[Channel]) -> Channel:
        """How to compute a node along a dimension: the cheapest of its channels, and of equally cheap ones that which
        gives what is wanted."""
        if self.mesh.dimensions[number][1] == 1:
            return channels(node)[0]
        wanted = self.wanted.of(node.output).states[number]
        states = [self.located[value].planned.states[number] for value in node.inputs]
        partial = [i for i, state in enumerate(states) if state is PARTIAL]
        zero = [i for i, value in enumerate(node.inputs) if value in self.facts.zeros]
        there = {state for state in (*states, wanted) if isinstance(state, Axis)}
        possible = [
            channel
            for channel in channels(node)
            if channel.is_whole or any(state in there for state in (*channel.operands, channel.result))
        ]
        possible += linear_channels(node, partial, zero)
        free = [channel for channel in possible if not any(_clash(channel, other) for other in others)]
        return min(free, key=lambda channel: self._cost(node, number, channel, wanted, emitter))

    def _cost(
        self, node: Node, number: int, channel: Channel, wanted: State, emitter: DeviceEmitter
    ) -> tuple[float, bool, bool]:
        size = self.mesh.dimensions[number][1]
        total, needed = 0.0, 0.0
        for i, (value, after) in enumerate(zip(node.inputs, channel.operands, strict=True)):
            there = self.located[value]
            elements = self.facts.elements(value.type) * self.facts.often(there.emitter.times)
            needed += self.facts.elements(value.type)
            after = VARYING if after is WHOLE and not channel.is_whole and value in self.facts.differentiated else after
            if there.has(number, after):
                continue
            if after is PARTIAL and i not in self._partial(node, number):
                continue  # zeros
            before = there.planned.states[number]
            rare = RARELY if value in self.facts.weights and isinstance(before, Axis) else 1.0
            total += rare * elements * _price(before, after, size)
        result = self.facts.elements(node.output.type)
        often = self.facts.often(emitter.times)
        total += result * often * _price(channel.result, wanted, size)
        divided = isinstance(wanted, Axis) or any(
            isinstance(self.located[value].planned.states[number], Axis) for value in node.inputs
        )
        if channel.is_whole and divided:
            total += 2 * (needed + result) * often  # each device does the work of all
        return total, channel.result != wanted, channel.is_whole

    def _partial(self, node: Node, number: int) -> set[int]:
        return {i for i, v in enumerate(node.inputs) if self.located[v].planned.states[number] is PARTIAL}

    def _warn(self, node: Node, operand: int, states: States, chosen: Sequence[Channel]) -> None:
        """Tell of an operand that is gathered since the operation cannot be computed on parts of it."""
        there = self.located[node.inputs[operand]]
        for (name, _), before, after in zip(self.mesh.dimensions, there.planned.states, states, strict=True):
            if not isinstance(before, Axis) or isinstance(after, Axis):
                continue
            if any(channel.operands[operand] == before for channel in channels(node)):
                continue
            shown = there.placement.shown(there.value.type)
            self.warnings.append(
                warning(
                    "W1001",
                    f"`{node.op.name}` works along `{before.name}`, which lies on `{name}`: {shown} is gathered first",
                    node.at,
                    help=f"let another axis lie on `{name}` here, or leave `{before.name}` whole",
                )
            )

    # ------------------------------------------------------------ moves

    def _request(self, value: Value, placement: Placement, reader: Node | None = None) -> Value:
        """The device's part of a value that lies so; it is moved once for all who want it there."""
        there = self.located[value]
        differentiated = value in self.facts.differentiated
        states = placement.states if differentiated else tuple(WHOLE if s is VARYING else s for s in placement.states)
        if states in there.versions:
            return there.versions[states]
        if there.source is not None and there.recipe is not None:
            before = tuple(_before(there.recipe, state) for state in states)
            local = self._request(there.source.value, Placement(self.mesh, before), reader)
            there.emitter.stamp(there.recipe)
            parts = {axis: part_of(axis, n) for p in (before, states) for axis, (_, n) in self._divided(p).items()}
            found = _called(there.emitter.emit(localized(there.recipe.op, parts), local), value)
        elif there.recipe is not None:
            found = self._made_anew(there.recipe, states, there.emitter)
        elif value in self.facts.zeros and PARTIAL in states:
            whole = tuple(WHOLE if state is PARTIAL else state for state in states)
            found = self._request(value, Placement(self.mesh, whole), reader)
        else:
            if reader is not None:
                there.emitter.stamp(reader)
            found = self._moved(there, states, self._why(reader), differentiated=differentiated)
        there.versions[states] = found
        return found

    def _moved(self, there: Located, target: States, reason: str, *, differentiated: bool) -> Value:
        """One step after the other, first those that make it smaller."""
        for number, state in enumerate(target):
            nearly = (*target[:number], WHOLE, *target[number + 1 :])
            if state is VARYING and nearly in there.versions:
                return there.emitter.vary(there.versions[nearly], number, reason, differentiated=differentiated)
        now = there.placement.states
        while now != target:
            after = _next(now, target)
            if after not in there.versions:
                number = next(i for i, (a, b) in enumerate(zip(now, after, strict=True)) if a != b)
                there.versions[after] = there.emitter.moved(
                    there.versions[now], number, now[number], after[number], reason, differentiated=differentiated
                )
            now = after
        return there.versions[target]

    def _made_anew(self, node: Node, states: States, emitter: DeviceEmitter) -> Value:
        """A value that anybody can make, as it is wanted here."""
        chosen, left = list[Channel](), list[tuple[int, Axis]]()
        for number, state in enumerate(states):
            ways = channels(node)
            found = next((c for c in ways if c.result == state and not any(_clash(c, o) for o in chosen)), None)
            if found is None or (found.own is not None and any(channel.own for channel in chosen)):
                found = ways[0]
                if isinstance(state, Axis):
                    left.append((number, state))
            chosen.append(found)
        inputs = tuple(
            self._request(value, Placement(self.mesh, tuple(channel.operands[i] for channel in chosen)), node)
            for i, value in enumerate(node.inputs)
        )
        emitter.stamp(node)
        placement = Placement(self.mesh, tuple(channel.result for channel in chosen))
        local = self._computed(node, inputs, chosen, placement, emitter)
        for number, axis in left:
            local = emitter.moved(local, number, WHOLE, axis, "", differentiated=False)
        return local if left else _called(local, node.output)

    def _divided(self, states: States) -> dict[Axis, tuple[str, int]]:
        return Placement(self.mesh, states).divided

    def _why(self, reader: Node | None) -> str:
        return "it is given so" if reader is None else f"for `{reader.op.name}`"

    # ------------------------------------------------------------ loops

    def _loop(self, node: Node, emitter: DeviceEmitter) -> None:
        op = node.op
        assert isinstance(op, Repeat | Scan)
        carried = [self.wanted.of(value) for value in node.inputs]
        stacked = [
            Placement(self.mesh, tuple(WHOLE if state == axis else state for state in self.wanted.of(value).states))
            for value, axis in zip(node.outputs[op.carried :], op.stacked, strict=True)
        ]
        inputs = tuple([self._request(v, p, node) for v, p in zip(node.inputs, carried, strict=True)])
        bodies = tuple(self._body(node, case, carried, stacked, emitter) for case in range(len(node.regions)))
        emitter.stamp(node)
        placements = (*carried, *stacked)
        types = tuple(p.local(v.type) for p, v in zip(placements, node.outputs, strict=True))
        made = emitter.builder.emit_regions(op, inputs, bodies, types)
        for local, value, placement in zip(made, node.outputs, placements, strict=True):
            self._made(value, placement, _called(local, value), emitter, "carried by the loop")

    def _body(
        self, node: Node, case: int, carried: Sequence[Placement], stacked: Sequence[Placement], emitter: DeviceEmitter
    ) -> Region:
        op, region = node.op, node.regions[case]
        assert isinstance(op, Repeat | Scan)
        if isinstance(op, Scan):
            often = op.axis.size
        else:
            often = op.count if op.cases is None else Size.of(len(op.rounds(case, self.graph.sizes)))
        inner = DeviceEmitter(self.mesh, self.moves, Builder(outer=emitter.builder), emitter.times * often)
        placements = (Placement.whole(self.mesh), *carried)
        locals_ = []
        for value, placement in zip(region.parameters, placements, strict=True):
            local = inner.builder.parameter(Value(placement.local(value.type), value.names))
            self._made(value, placement, local, inner, "carried by the loop")
            locals_.append(local)
        for each in region.nodes:
            self._node(each, inner)
        inner.stamp(node)
        results = [self._request(v, p) for v, p in zip(region.results, (*carried, *stacked), strict=True)]
        return inner.builder.region(tuple(locals_), tuple(results))


# ---------------------------------------------------------------- helpers


def _clash(channel: Channel, other: Channel) -> bool:
    """Whether both divide one axis of one value."""
    pairs = zip((*channel.operands, channel.result), (*other.operands, other.result), strict=True)
    return any(isinstance(left, Axis) and left == right for left, right in pairs)


def _price(before: State, after: State, size: int) -> float:
    """What a move costs, in elements sent for each of the value."""
    if before == after or before is VARYING:
        return 0.0
    if after is PARTIAL:
        return float("inf")
    if isinstance(before, Axis):
        return 1 / size if isinstance(after, Axis) else 1.0
    if before is PARTIAL:
        return 1.0 if isinstance(after, Axis) else 2.0
    return 0.0 if isinstance(after, Axis) else 0.01  # cut; or let vary, which costs something on the way back


_RANKS = ((WHOLE, Axis), (PARTIAL, Axis), (Axis, Axis), (PARTIAL, WHOLE), (Axis, WHOLE), (WHOLE, VARYING))


def _next(now: States, target: States) -> States:
    """The states after the next step from one to the other."""
    steps: list[tuple[int, States]] = []
    for number, (before, after) in enumerate(zip(now, target, strict=True)):
        if before == after:
            continue
        if before is PARTIAL and after is VARYING:
            after = WHOLE
        if isinstance(after, Axis) and after in now:
            continue  # another dimension must let go of it first
        order = next((i for i, kinds in enumerate(_RANKS) if _is(before, kinds[0]) and _is(after, kinds[1])), 4)
        steps.append((order, (*now[:number], after, *now[number + 1 :])))
    if not steps:  # two dimensions exchange their axes
        number = next(i for i, (before, after) in enumerate(zip(now, target, strict=True)) if before != after)
        return (*now[:number], WHOLE, *now[number + 1 :])
    return min(steps, key=lambda step: step[0])[1]


def _is(state: State, kind: object) -> bool:
    return isinstance(state, Axis) if kind is Axis else state is kind


def _before(node: Node, state: State) -> State:
    """How the operand of an operation that only calls axes otherwise lies, where its result lies so."""
    return next((own for own, new in node.op.corresponding if new == state), state)


def _after(node: Node, placement: Placement) -> Placement:
    """How the result of such an operation lies, where its operand lies so."""
    new = dict(node.op.corresponding)
    states = (new.get(state, state) if isinstance(state, Axis) else state for state in placement.states)
    return Placement(placement.mesh, tuple(states))


def _called(local: Value, value: Value) -> Value:
    """The local value, under the names of the whole one unless it is another's too."""
    return Builder.rename(local, value.names) if value.names and not local.names else local


def _parts(node: Node, chosen: Sequence[Channel], placement: Placement) -> dict[Axis, Axis]:
    """The axes of a node's operands and result that are divided, with the device's part. What an attribute says of an
    axis it says of the first operand's, if that has it."""
    found = {axis: part_of(axis, count) for axis, (_, count) in placement.divided.items()}
    for i in reversed(range(len(node.inputs))):
        states = Placement(placement.mesh, tuple(channel.operands[i] for channel in chosen))
        found |= {axis: part_of(axis, count) for axis, (_, count) in states.divided.items()}
        if i == 0:
            for axis in node.inputs[0].type.axes:
                if axis not in states.divided:
                    found.pop(axis, None) if axis in node.op.goes_over else None
    return found


def localized(op: Op, parts: Mapping[Axis, Axis]) -> Op:
    """The op with parts in the place of axes."""
    if not parts:
        return op
    changes = {f.name: _with_parts(getattr(op, f.name), parts) for f in fields(op)}  # type: ignore[arg-type]
    return type(op)(**changes) if changes else op


def _with_parts(attribute: object, parts: Mapping[Axis, Axis]) -> object:
    if isinstance(attribute, Axis):
        return parts.get(attribute, attribute)
    if isinstance(attribute, tuple):
        return tuple([_with_parts(each, parts) for each in attribute])
    return attribute
