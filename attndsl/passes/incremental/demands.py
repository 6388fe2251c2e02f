"""What has to be known of each value when some positions of a text are new: of these alone, or of all so far.

Asked from the results backwards. Whatever is done to each position alike is asked for the new positions. Attention asks
for its keys and values at all positions that its mask may allow, and so for what they are made of; where that has been
computed from the tokens, it is remembered: it is asked for the new positions, and the others are in a memory. What is
computed from positions alone is computed anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attndsl.graph import Axis, Graph, Node, Region, Value
from attndsl.masks.reach import Reach, reach
from attndsl.ops import (
    Attention,
    Broadcast,
    Convolution,
    CumSum,
    Dot,
    Op,
    Parameter,
    Range,
    Rename,
    Repeat,
    Scan,
    Slice,
    Softmax,
    Take,
    Transpose,
    Windows,
)
from attndsl.passes.incremental.clock import Clock, NotCausal, sizes_of
from attndsl.passes.incremental.routes import Routes
from attndsl.records import Frozen, dataclass, field
from attndsl.sizes import ONE, Size


class Past(Frozen):
    """All positions along `axis`, which is time: those so far, or with `window` those of the last `window` and the new
    ones."""

    axis: Axis
    window: Size | None = None


Asked = tuple[Past, ...]
"""The axes along which all positions are asked for; along others that are time, only new ones."""

NEW: Asked = ()


@dataclass(eq=False)
class BodyDemands:
    """What is asked of the values of a body: of each how, and what a memory of it is to be called. `results` are those
    of its own that are needed, by their places."""

    region: Region
    outer: BodyDemands | None
    loops: tuple[str, ...] = ()
    needs: dict[Value, dict[Asked, str]] = field(default_factory=dict)
    bodies: dict[Node, tuple[BodyDemands, ...]] = field(default_factory=dict)
    results: tuple[int, ...] = ()


class Demands:
    """Of a graph for the outputs `results`. `NotCausal` where one of these needs what comes after a position."""

    def __init__(self, graph: Graph, clock: Clock, results: Iterable[Value]) -> None:
        self.graph, self.clock = graph, clock
        self.producers = {node.output: node for node in graph.body.walk() if not node.regions}
        self.routes = Routes(clock)
        self.refused: dict[Node, str] = {}
        self.fixed: set[Value] = set()  # what does not depend on what is read
        own = {name for axis in (clock.time, *clock.rows) for name in axis.size.symbols}
        self.foreign = {*graph.free_sizes} - own  # the sizes that other inputs alone say
        self.steps: set[Value] = set()  # the indices of scans along time
        times = {info.value for info in graph.inputs if clock.times(info.value.type.axes)}
        self.moving = moving(graph.body, clock, times)  # what depends on the text, or on positions in it
        self.sources: dict[Value, str] = {}  # what is made of other inputs once, and what a memory of it is called
        self._read(graph.body)
        kept = graph.state_names
        states = {info.value for info in graph.inputs if info.name in kept}
        self.shared = moving(graph.body, clock, states, states_only=True)  # what the model keeps for all rows
        self.owners: dict[Value, BodyDemands] = {}
        self.top = self._body(graph.body, None, (), results)

    # ------------------------------------------------------------ forwards: what each node does along time

    def _read(self, region: Region) -> None:
        for node in region.nodes:
            if self.routes.concerns(node) and not node.regions:
                reason = self.routes.follow(node)
            else:
                reason = self._alike(node)
            if reason is not None:
                self.refused[node] = reason
            alike = not isinstance(node.op, (Attention, Convolution, CumSum, Windows))
            alike = alike and self.foreign.isdisjoint(sizes_of(node.op))
            if not node.regions and alike and self.fixed.issuperset(node.inputs):
                self.fixed.update(node.outputs)
            for inner in node.regions:
                if isinstance(node.op, Repeat):
                    self.fixed.add(inner.parameters[0])
                elif isinstance(node.op, Scan) and self.clock.is_time(node.op.axis):
                    self.steps.add(inner.parameters[0])
                self._read(inner)

    def _alike(self, node: Node) -> str | None:
        """The reason why a node does not do the same to each position by itself, if it does not."""
        op = node.op
        if isinstance(op, (Broadcast, Transpose, Range, Attention, Parameter)):
            return None
        if isinstance(op, Repeat):
            return "it repeats as often as the text is long" if self.clock.symbol in op.count.symbols else None
        if isinstance(op, Rename):
            both = self.clock.is_time(op.old), self.clock.is_time(op.new)
            return None if both[0] == both[1] and op.old not in self.clock.rows else "it renames the rows of a batch"
        if isinstance(op, Scan):
            if not self.clock.is_time(op.axis):
                return None
            return "it begins with the last position" if op.reverse else None
        if (isinstance(op, CumSum) and self.clock.is_time(op.over)) or self.clock.tail(op) is not None:
            return None
        if isinstance(op, Take) and node.inputs[1] in self.steps and self.clock.is_time(op.over):
            return None
        along = next((each for each in self.clock.along(op)), None)
        if along is None:
            return "it draws random numbers" if op.draws and node.output.type.axes and not op.operands else None
        if isinstance(along, Axis) and along in self.clock.rows:
            return f"it takes the rows of a batch together, along `{along.name}`"
        return f"it takes positions together, along `{along.name if isinstance(along, Axis) else along}`"

    # ------------------------------------------------------------ backwards: what is asked

    def _body(
        self, region: Region, outer: BodyDemands | None, loops: tuple[str, ...], results: Iterable[Value]
    ) -> BodyDemands:
        body = BodyDemands(region, outer, loops)
        values = (*region.parameters, *(value for node in region.nodes for value in node.outputs))
        self.owners.update(dict.fromkeys(values, body))
        for value in results:
            self._ask(value)
        for node in reversed(region.nodes):
            if any(value in body.needs for value in node.outputs):
                self._visit(node, body)
        for value in region.parameters:
            if any(asked for asked in body.needs.get(value, ())):
                self._ask(value)
        return body

    def _ask(self, value: Value, asked: Asked = NEW, called: str = "") -> None:
        if value not in self.fixed and value not in self.moving and value not in self.shared:
            self.sources.setdefault(value, called)
            return
        self.owners[value].needs.setdefault(value, {}).setdefault(asked, called)

    def _visit(self, node: Node, body: BodyDemands) -> None:
        if node in self.refused:
            raise NotCausal(self.refused[node], self._culprit(node))
        if node.regions:
            self._visit_loop(node, body)
            return
        needs, done = body.needs[node.output], set[Asked]()
        while left := [asked for asked in needs if asked not in done]:
            asked = left[0]
            done.add(asked)
            if asked and self.is_kept(node.output, asked):
                self._ask(node.output)
                continue
            for value, of_it, called in self._operands(node, asked):
                self._ask(value, of_it, called or needs[asked])

    def is_kept(self, value: Value, asked: Asked) -> bool:
        """Whether the value's positions are remembered where all of them are asked for; what is a part of a value that
        is remembered itself is taken from that."""
        if not asked or value in self.fixed or self.clock.times(value.type.axes) != (asked[0].axis,):
            return False
        maker = self.producers.get(value)
        if maker is None or not isinstance(maker.op, Slice):
            return True
        whole = maker.inputs[0]
        return asked not in self.owners[whole].needs.get(whole, ())

    def operands(self, node: Node, asked: Asked) -> list[tuple[Value, Asked]]:
        """How much of its operands a node reads, where its result is asked for so."""
        return [(value, of_it) for value, of_it, _ in self._operands(node, asked)]

    def _operands(self, node: Node, asked: Asked) -> Iterator[tuple[Value, Asked, str]]:
        op = node.op
        if isinstance(op, Attention) and self.clock.is_time(op.over):
            yield from self._attended(node, asked)
            return
        if asked and isinstance(op, (CumSum, Attention, Convolution, Windows)):
            raise NotCausal("it takes positions together, and all of its results are needed at once", node)
        if isinstance(op, Rename):
            asked = tuple(Past(op.old, past.window) if past.axis == op.new else past for past in asked)
        if isinstance(op, Attention):
            yield from ((value, NEW, called) for value, called in self._parts(node))
            return
        for value in node.inputs:
            if not (isinstance(op, Take) and value in self.steps and self.clock.is_time(op.over)):
                yield value, tuple(past for past in asked if past.axis in value.type.axes), ""

    def _attended(self, node: Node, asked: Asked) -> Iterator[tuple[Value, Asked, str]]:
        op = node.op
        assert isinstance(op, Attention)
        if asked:
            raise NotCausal("all of its results are needed at once", node)
        past = Past(op.over, self.window(node))
        (q, _), *others = self._parts(node)
        yield q, NEW, ""
        for value, called in others:
            yield value, (past,) if past.axis in value.type.axes else NEW, called

    def _parts(self, node: Node) -> Iterator[tuple[Value, str]]:
        """The operands of an attention, and what memories of them are called."""
        op, (q, k, v, *rest) = node.op, node.inputs
        assert isinstance(op, Attention)
        around = f"{node.scope}." if node.scope else ""
        names = ("queries", "keys", "values", "seen", "bias", "sink")
        for value, name in zip((q, k, v, *op.extra(*rest)), names, strict=True):
            if value is not None:
                yield value, around + name

    def window(self, node: Node) -> Size | None:
        """How many positions the queries of an attention along time see, themselves included; None: all so far.
        `NotCausal` where they see what comes after them."""
        found, keys = self._reach(node), node.op.goes_over[0]
        if not found.causal(self.graph.sizes):
            known = "" if found.after is None else f", up to {found.after} behind them"
            raise NotCausal(f"its queries see positions along `{keys.name}` that come after them{known}", node)
        before = found.before
        if before is None or before.symbols - self.graph.sizes.keys():
            return None
        return before + 1 if before.value(self.graph.sizes) >= 0 else ONE  # where nothing is allowed

    def _reach(self, node: Node) -> Reach:
        op = node.op
        assert isinstance(op, Attention)
        mask, *_ = op.extra(*node.inputs[3:])
        if mask is None:
            return Reach()
        if op.mask.aligned and op.mask.banded:
            return Reach(op.mask.before, op.mask.after)
        axes = [axis for axis in self.clock.times(mask.type.axes) if axis != op.over]
        found = [reach(mask, self.producers, axis, op.over, self.graph.sizes) for axis in axes]
        return next((each for each in found if each.causal(self.graph.sizes)), found[0] if found else Reach())

    # ------------------------------------------------------------ bodies

    def _visit_loop(self, node: Node, body: BodyDemands) -> None:
        """Ask the bodies of a loop for what is needed of it, and for what they carry to make that."""
        op = node.op
        assert isinstance(op, Repeat | Scan)
        if node.active:
            raise NotCausal("it is active in some steps alone", node)
        wanted = {i for i, value in enumerate(node.outputs) if value in body.needs}
        for i in wanted:
            if any(asked for asked in body.needs[node.outputs[i]]):
                self._ask(node.outputs[i])
        loops = (*body.loops, op.path)
        while True:
            results = tuple(sorted(wanted))
            bodies = tuple(
                self._body(region, body, loops, [region.results[i] for i in results]) for region in node.regions
            )
            read = {
                i
                for each in bodies
                for i, value in enumerate(each.region.parameters[1 : op.carried + 1])
                if value in each.needs
            }
            if read <= wanted:
                break
            wanted |= read
        for each in bodies:
            each.results = results
        body.bodies[node] = bodies
        for i in results:
            if i < op.carried:
                self._ask(node.inputs[i])

    def _culprit(self, node: Node) -> Node:
        """The node to point at: of an attention that was not recognised, its softmax."""
        if isinstance(node.op, Dot):
            waiting, seen = list(node.inputs), 0
            while waiting and seen < 12:
                maker, seen = self.producers.get(waiting.pop(0)), seen + 1
                if maker is not None and maker in self.refused and isinstance(maker.op, Softmax):
                    return maker
                waiting += maker.inputs if maker is not None else ()
        return node


def moving(region: Region, clock: Clock, found: set[Value], *, states_only: bool = False) -> set[Value]:
    """The values that depend on those in `found`, to which they are added, and on places along time unless
    `states_only`."""
    for node in region.nodes:
        named = not states_only and any(True for _ in _time_in(node.op, clock))
        if named or not found.isdisjoint(node.inputs):
            found.update(node.outputs)
        if node.regions:
            _moving_loop(node, clock, found, states_only)
    return found


def _time_in(op: Op, clock: Clock) -> Iterator[Axis | Size]:
    return (each for each in clock.along(op) if not (isinstance(each, Axis) and each in clock.rows))


def _moving_loop(node: Node, clock: Clock, found: set[Value], states_only: bool) -> None:
    op = node.op
    assert isinstance(op, Repeat | Scan)
    along = isinstance(op, Scan) and clock.is_time(op.axis) and not states_only
    while True:
        before = len(found)
        for inner in node.regions:
            for start, value in zip(node.starts, inner.parameters[1:], strict=True):
                if start in found:
                    found.add(value)
            if along:
                found.update(inner.parameters)
            moving(inner, clock, found, states_only=states_only)
            for end, value in zip(inner.results[: op.carried], inner.parameters[1:], strict=False):
                if end in found:
                    found.add(value)
            found.update(out for end, out in zip(inner.results, node.outputs, strict=True) if end in found)
        if along:
            found.update(node.outputs)
        if len(found) == before:
            return
