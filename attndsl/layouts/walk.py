"""The walk through a graph that lays it out: for each operation the way in which the devices compute it that moves the
fewest bytes, given where its operands lie and where the rules want its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attndsl.diagnostics import Diagnostic, warning
from attndsl.graph import Graph, Node, Region, Value
from attndsl.graph.builder import Builder
from attndsl.layouts.channels import Channel, channels
from attndsl.layouts.choosing import ChannelChooser
from attndsl.layouts.emitting import DeviceEmitter
from attndsl.layouts.located import Located, States, lying_after
from attndsl.layouts.parts import called
from attndsl.layouts.placements import PARTIAL, VARYING, WHOLE, Owned, Placement, Rounds
from attndsl.layouts.requests import ValueRequests
from attndsl.layouts.wanted import WantedPlacements
from attndsl.ops import AllGather, AllReduce, Given, Parameter, Rename, Repeat, Scan, Transpose
from attndsl.sizes import ONE, Size
from attndsl.types import Axis, Type


class LayoutWalk(ValueRequests):
    """Lays a graph out: `body` is that of one device. `placements` has where each value lies, with the reason."""

    def __init__(self, graph: Graph, wanted: WantedPlacements, stored: Mapping[tuple[str, Type], Placement]) -> None:
        super().__init__(graph, wanted)
        self.stored = stored
        self.warnings: list[Diagnostic] = []
        self.chooser = ChannelChooser(wanted, self.facts, self.located)
        self.inputs: dict[str, Value] = {}
        self.read: dict[tuple[str, Type, DeviceEmitter, Placement], Located] = {}  # parameters, in each body
        top = DeviceEmitter(self.mesh, self.moves, Builder(), ONE)
        for info in graph.inputs:
            placement = self.of_input(info.value)
            local = Value(placement.local(info.value.type), info.value.names)
            self.inputs[info.name] = top.builder.parameter(local)
            self.made(info.value, placement, local, top, "an input")
        for node in graph.body.nodes:
            self._node(node, top)
        results = [self.request(info.value, self._given_out(info.name, info.value)) for info in graph.outputs]
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

    # ------------------------------------------------------------ nodes

    def _node(self, node: Node, emitter: DeviceEmitter) -> None:
        emitter.stamp(node)
        if node.regions:
            self._loop(node, emitter)
        elif isinstance(node.op, Parameter):
            self._parameter(node, node.op, emitter)
        elif isinstance(node.op, AllReduce | AllGather):
            self._of_stages(node, node.op, emitter)
        elif isinstance(node.op, Given):
            placement = self.located[node.inputs[0]].placement
            local = emitter.emit(node.op, *(self.request(value, placement) for value in node.inputs))
            self.made(node.output, placement, called(local, node.output), emitter, "as its input")
        elif isinstance(node.op, Rename | Transpose) and not self.facts.is_made_anywhere(node):
            source = self.located[node.inputs[0]]
            placement, planned = (lying_after(node, each) for each in (source.placement, source.planned))
            self.located[node.output] = Located(node.output, placement, planned, emitter, {}, node, source)
            self.placements[node.output] = placement, "as its operand"
        elif self.facts.takes_all(node):
            self.located[node.output] = self.located[node.inputs[0]]
            self.placements[node.output] = self.located[node.output].planned, "as its operand"
        elif self.facts.is_made_anywhere(node):
            whole = Placement.whole(self.mesh)
            self.located[node.output] = Located(node.output, whole, whole, emitter, {}, node)
            self.placements[node.output] = whole, "made wherever it is read"
        else:
            self._operation(node, emitter)

    def _parameter(self, node: Node, op: Parameter, emitter: DeviceEmitter) -> None:
        """All who read it in a body share what is gathered of it, where they want it to lie alike."""
        planned = self.wanted.of(node.output)
        stored = self.stored[op.address, op.type]
        own = (VARYING if isinstance(state, Rounds) else state for state in stored.states)
        stored = Placement(self.mesh, tuple(own))
        place = op.address, op.type, emitter, planned
        if place in self.read:
            self.located[node.output] = self.read[place]
            self.placements[node.output] = stored, "a parameter"
            return
        local = emitter.emit(Parameter(op.address, stored.local(op.type)), names=node.output.names)
        self.read[place] = self.made(node.output, stored, local, emitter, "a parameter")
        self.read[place].planned = planned

    def _of_stages(self, node: Node, op: AllReduce | AllGather, emitter: DeviceEmitter) -> None:
        """What comes out of layers in stages: summands, or the layers' parts. It is moved where it is read."""
        placement = self.located[node.inputs[0]].placement
        local = self.request(node.inputs[0], placement, node)
        number = self.mesh.names.index(op.on)
        made = placement.at(number, op.whole if isinstance(op, AllGather) else PARTIAL)
        self.made(node.output, made, called(local, node.output), emitter, f"made in stages along `{op.on}`")

    def _operation(self, node: Node, emitter: DeviceEmitter) -> None:
        chosen: list[Channel] = []
        for number in range(len(self.mesh.dimensions)):
            chosen.append(self.chooser.best(node, number, emitter.times, chosen))
        placement = Placement(self.mesh, tuple(channel.result for channel in chosen))
        inputs = []
        for i, value in enumerate(node.inputs):
            states = tuple(
                VARYING if channel.operands[i] is WHOLE and not channel.is_whole else channel.operands[i]
                for channel in chosen
            )
            self._warn(node, i, states, chosen)
            inputs.append(self.request(value, Placement(self.mesh, states), node))
            emitter.stamp(node)
        local = self.computed(node, tuple(inputs), chosen, placement, emitter)
        self.made(node.output, placement, called(local, node.output), emitter, self._reason(node, placement, chosen))

    def _reason(self, node: Node, placement: Placement, chosen: Sequence[Channel]) -> str:
        words = []
        for (name, size), channel in zip(self.mesh.dimensions, chosen, strict=True):
            if isinstance(channel.result, Axis) and size > 1:
                rule = self.wanted.rule(node.output, channel.result, name)
                words.append(f"`{rule}`" if rule else f"as its operands on {name}")
            elif isinstance(channel.result, Owned):
                words.append(f"where its {channel.result.over.name} is on {name}")
            elif channel.result is PARTIAL:
                words.append(f"summed over parts on {name}")
            elif channel.result is VARYING:
                words.append(f"of its own layers on {name}")
        return "; ".join(words) or "nothing divides it"

    def _warn(self, node: Node, operand: int, states: States, chosen: Sequence[Channel]) -> None:
        """Tell of an operand that is gathered since the operation cannot be computed on parts of it."""
        there = self.located[node.inputs[operand]]
        ways = zip(self.mesh.names, there.planned.states, states, chosen, strict=True)
        for name, before, after, channel in ways:
            if not isinstance(before, Axis) or isinstance(after, Axis) or channel.result is VARYING:
                continue
            if any(way.operands[operand] == before for way in channels(node)):
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

    # ------------------------------------------------------------ loops

    def _loop(self, node: Node, emitter: DeviceEmitter) -> None:
        op = node.op
        assert isinstance(op, Repeat | Scan)
        carried = [self.wanted.of(value) for value in node.outputs[: op.carried]]
        given = (*carried, *map(self.wanted.of, node.active))
        stacked = [
            Placement(self.mesh, tuple(WHOLE if state == axis else state for state in self.wanted.of(value).states))
            for value, axis in zip(node.outputs[op.carried :], op.stacked, strict=True)
        ]
        inputs = tuple([self.request(v, p, node) for v, p in zip(node.inputs, given, strict=True)])
        bodies = tuple(self._body(node, case, carried, stacked, emitter) for case in range(len(node.regions)))
        emitter.stamp(node)
        placements = (*carried, *stacked)
        types = tuple(p.local(v.type) for p, v in zip(placements, node.outputs, strict=True))
        made = emitter.builder.emit_regions(op, inputs, bodies, types)
        for local, value, placement in zip(made, node.outputs, placements, strict=True):
            self.made(value, placement, called(local, value), emitter, "carried by the loop")

    def _body(
        self, node: Node, case: int, carried: Sequence[Placement], stacked: Sequence[Placement], emitter: DeviceEmitter
    ) -> Region:
        op, region = node.op, node.regions[case]
        assert isinstance(op, Repeat | Scan)
        if isinstance(op, Scan):
            often = op.axis.size
        else:
            often = op.count if op.cases is None else Size.of(len(op.rounds(case, self.graph.sizes)))
        if node.active:  # active in the steps in which a device has a microbatch
            loop = self.wanted.staged.loops[op.path]
            often *= Size.of(loop.microbatches) / loop.steps
        inner = DeviceEmitter(self.mesh, self.moves, Builder(outer=emitter.builder), emitter.times * often)
        placements = (Placement.whole(self.mesh), *carried)
        locals_ = []
        for value, placement in zip(region.parameters, placements, strict=True):
            local = inner.builder.parameter(Value(placement.local(value.type), value.names))
            self.made(value, placement, local, inner, "carried by the loop")
            locals_.append(local)
        for each in region.nodes:
            self._node(each, inner)
        inner.stamp(node)
        results = [self.request(v, p) for v, p in zip(region.results, (*carried, *stacked), strict=True)]
        return inner.builder.region(tuple(locals_), tuple(results))
