"""Whether a model's values depend on where in a text a position is, or on distances between positions alone.

Shift all positions of a text by as much: whatever is made of positions alone may become something else, and so may what
it is combined with. What must stay is what attention makes of it: its scores, its mask, its bias. Rotated queries and
keys change both, and their products do not; a trained vector for each position, added to tokens, is in values too.

Where an attention reads anything that may change, the nodes between that and what cannot change are computed, for some
positions and for shifted ones, with random numbers in place of the rest. Functions of positions that agree there by
accident are not written by anybody. That a value depends on how long the text is, is for others to find.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attndsl.graph import BOOL, INT, Graph, Node, Region, Type, Value
from attndsl.lazy import Array, np
from attndsl.ops import Attention, Call, CumSum, Dot, Op, Parameter, Range, Repeat, Scan, Take
from attndsl.passes.incremental.clock import Clock

POSITIONS = 6  # are compared
SHIFTS = (1, 5, 1000)


class Places:
    """Of a graph with fused attention. `matter` says whether positions count otherwise than by their distances."""

    def __init__(self, graph: Graph, clock: Clock) -> None:
        self.graph, self.clock = graph, clock
        self.producers = {value: node for node in graph.body.walk() for value in node.outputs}
        self.moved: set[Value] = set()  # what may become something else where positions are shifted
        self.made_of_tokens = {info.value for info in graph.inputs}
        self.steps: set[Value] = set()
        self.drawn: dict[Value, Array] = {}
        while True:
            before = len(self.moved), len(self.made_of_tokens)
            self._follow(graph.body)
            if before == (len(self.moved), len(self.made_of_tokens)):
                break

    def matter(self, results: Collection[Value]) -> bool:
        return not self.moved.isdisjoint(results)

    # ------------------------------------------------------------ what may change

    def _follow(self, region: Region) -> None:
        for node in region.nodes:
            if node.regions:
                self._loop(node)
                continue
            if not self.made_of_tokens.isdisjoint(node.inputs):
                self.made_of_tokens.update(node.outputs)
            if self._moves(node):
                self.moved.update(node.outputs)

    def _moves(self, node: Node) -> bool:
        op = node.op
        if isinstance(op, Range):
            return self.clock.is_time(op.axis)
        if isinstance(op, CumSum) and self.clock.is_time(op.over) and self.made_of_tokens.isdisjoint(node.inputs):
            return True  # it counts
        if isinstance(op, Take) and node.inputs[1] in self.steps and self.clock.is_time(op.over):
            return node.inputs[0] in self.moved
        if isinstance(op, Attention) and self.clock.is_time(op.over):
            return not self.moved.isdisjoint(node.inputs) and self._attention_moves(node, op)
        return not self.moved.isdisjoint(node.inputs)

    def _loop(self, node: Node) -> None:
        op = node.op
        assert isinstance(op, Repeat | Scan)
        for region in node.regions:
            if isinstance(op, Scan) and self.clock.is_time(op.axis):
                self.steps.add(region.parameters[0])
                self.moved.add(region.parameters[0])
            for found in (self.moved, self.made_of_tokens):
                carried = zip(node.starts, region.parameters[1:], strict=True)
                found.update(value for start, value in carried if start in found)
                ends = zip(region.results[: op.carried], region.parameters[1:], strict=False)
                found.update(value for end, value in ends if end in found)
            self._follow(region)
            for found in (self.moved, self.made_of_tokens):
                found.update(out for end, out in zip(region.results, node.outputs, strict=True) if end in found)

    # ------------------------------------------------------------ what does change

    def _attention_moves(self, node: Node, op: Attention) -> bool:
        q, k, v, *rest = node.inputs
        sink = op.extra(*rest)[2]
        if v in self.moved or (sink is not None and sink in self.moved):
            return True
        mask, bias, _ = op.extra(*rest)
        others = [value for value in (mask, bias) if value is not None]
        first, *shifted = (_Computed(self, shift) for shift in (0, *SHIFTS))
        for each in shifted:
            try:
                if not np.allclose(first.score(q, k, op), each.score(q, k, op), rtol=1e-6, atol=1e-6):
                    return True
                if not all(np.allclose(first.array(value), each.array(value), atol=1e-6) for value in others):
                    return True
            except (IndexError, NotImplementedError):
                return True  # a table of positions that ends
        return False


class _Computed:
    """Values of a graph for one short text, whose first position is `shift`; random numbers for all that cannot change
    with it, which are the same for every shift."""

    def __init__(self, places: Places, shift: int) -> None:
        self.places, self.shift = places, shift
        graph, clock = places.graph, places.clock
        free = {name for info in graph.inputs for axis in info.value.type.axes for name in axis.size.symbols}
        self.sizes: Mapping[str, int] = {**dict.fromkeys(free, 1), **graph.sizes, clock.symbol: POSITIONS}
        self.known: dict[Value, Array] = {}

    def score(self, q: Value, k: Value, op: Attention) -> Array:
        dot = Dot(op.contract)
        return self._evaluate(dot, (q.type, k.type), dot.infer(q.type, k.type), (self.array(q), self.array(k)))

    def array(self, value: Value) -> Array:
        if value not in self.known:
            self.known[value] = self._made(value)
        return self.known[value]

    def _made(self, value: Value) -> Array:
        node = self.places.producers.get(value)
        given = node is None or bool(node.regions) or isinstance(node.op, Parameter)
        if value not in self.places.moved and (given or value in self.places.made_of_tokens):
            return self._any(value)
        if node is None or node.regions:
            raise NotImplementedError  # a loop of which something moves
        if isinstance(node.op, Range) and self.places.clock.is_time(node.op.axis):
            return np.arange(self.shift, self.shift + POSITIONS)
        types = tuple(each.type for each in node.inputs)
        return self._evaluate(node.op, types, value.type, tuple(map(self.array, node.inputs)))

    def _evaluate(self, op: Op, types: tuple[Type, ...], output: Type, arrays: tuple[Array, ...]) -> Array:
        return np.asarray(op.evaluate(Call(types, output, self.sizes, "float64"), *arrays))

    def _any(self, value: Value) -> Array:
        drawn = self.places.drawn
        if value not in drawn:
            shape = Call((), value.type, self.sizes).shape(value.type)
            numbers = np.random.default_rng(len(drawn)).standard_normal(shape)
            kinds = {INT: np.zeros(shape, np.int64), BOOL: np.ones(shape, bool)}
            drawn[value] = kinds.get(value.type.dtype, numbers)
        return drawn[value]
