"""Scans that torch has a kernel for: one layer of `nn.RNN`, `nn.LSTM` or `nn.GRU`, recognised by what a step computes.

    RNN     h' = act(a)                                             act = tanh or relu
    LSTM    c' = sigmoid(f) * c + sigmoid(i) * tanh(g)              h' = sigmoid(o) * tanh(c')
    GRU     h' = (1 - z) * n + z * h                                n = tanh(a + r * b), r and z sigmoids

What stands in a gate is the step's part of x times a matrix, plus h times a matrix, plus vectors; in a GRU's n, `a` has
no h and `b` no x. Matrices may be joint or one for each gate, in any order: they are put in torch's order first.
"""

from __future__ import annotations

from collections.abc import Iterator

from attndsl import ops
from attndsl.graph import Axis, Node, Value
from attndsl.ops.base import Op
from attndsl.passes.base import Refusal
from attndsl.records import Frozen, dataclass, field, replace
from attndsl.sizes import Size


class GatePart(Frozen):
    """The part of a matrix or vector that a gate has: from `start` on along the axis `at`."""

    value: Value
    at: Axis
    start: Size

    def inputs(self) -> Axis:
        """The axis of a matrix that is summed over."""
        (axis,) = (axis for axis in self.value.type.axes if axis != self.at)
        return axis


@dataclass(eq=False, slots=True)
class GateTerms:
    """What goes into an activation: the matrices that x and h are multiplied with, and vectors."""

    x: list[GatePart] = field(default_factory=list)
    h: list[GatePart] = field(default_factory=list)
    biases: list[GatePart] = field(default_factory=list)


class RecurrentPlan(Frozen):
    """A kernel for a scan: x, what its gates have in torch's order, and the place of h among the states."""

    kind: str
    x: Value
    h: int
    from_x: tuple[GateTerms, ...]
    from_h: tuple[GateTerms, ...]
    mask: Value | None = None  # false where the states stay as they are, and zeros are given


class _Step:
    """The body of a scan, read backwards."""

    def __init__(self, node: Node) -> None:
        assert isinstance(node.op, ops.Scan)
        self.node, self.op, (self.region,) = node, node.op, node.regions
        self.makers: dict[Value, Node] = {v: made for made in self.region.nodes for v in made.outputs}
        self.index, *self.states = self.region.parameters
        self.next = self.region.results[: self.op.carried]
        self.x: Value | None = None
        self.mask: Value | None = None
        self._unmask()

    def _unmask(self) -> None:
        """Where the states stay as they are in steps for which a mask is false, look at what they are in the others."""
        chosen = [self.made(value, ops.Where) for value in self.next]
        masks = {self.reads_x(node.inputs[0]) for node in chosen if node is not None}
        stays = [
            node is not None and self.bare(node.inputs[2]) is h for node, h in zip(chosen, self.states, strict=True)
        ]
        if stays and all(stays) and len(masks) == 1 and None not in masks:
            (self.mask,) = masks
            self.next = tuple(node.inputs[1] for node in chosen if node is not None)

    def emits(self, value: Value, h: Value) -> bool:
        """Whether what is emitted is the next h, or zeros where the mask is false."""
        node = self.made(value, ops.Where) if self.mask is not None else None
        if node is not None and self.reads_x(node.inputs[0]) is self.mask:
            zeros = self.makers.get(node.inputs[2])
            return zeros is not None and _is(zeros, 0) and self.bare(node.inputs[1]) is self.bare(h)
        return self.mask is None and self.bare(value) is self.bare(h)

    def made(self, value: Value, *kinds: type[Op]) -> Node | None:
        """The node of these kinds that makes a value, renames passed over."""
        node = self.makers.get(value)
        while node is not None and isinstance(node.op, (ops.Rename, ops.Transpose)):
            node = self.makers.get(node.inputs[0])
        return node if node is not None and isinstance(node.op, kinds) else None

    def bare(self, value: Value) -> Value:
        """A value without the renames that lead to it."""
        node = self.makers.get(value)
        while node is not None and isinstance(node.op, (ops.Rename, ops.Transpose)):
            value = node.inputs[0]
            node = self.makers.get(value)
        return value

    def pairs(self, value: Value, kind: type[Op]) -> Iterator[tuple[Value, Value]]:
        """The operands of a sum or a product, in both orders."""
        node = self.made(value, kind)
        if node is not None:
            yield node.inputs[0], node.inputs[1]
            yield node.inputs[1], node.inputs[0]

    def inside(self, value: Value, kind: type[Op]) -> Value | None:
        """What `value` is the sigmoid or tanh of."""
        node = self.made(value, kind)
        return None if node is None else node.inputs[0]

    def reads_x(self, value: Value) -> Value | None:
        """The sequence of which `value` is the step's part."""
        node = self.made(value, ops.Take)
        if node is None or node.op.goes_over != (self.op.axis,) or node.inputs[1] is not self.index:
            return None
        return node.inputs[0]

    def is_outside(self, value: Value) -> bool:
        node = self.makers.get(value)
        return (node is None and value not in self.region.parameters) or (
            node is not None and isinstance(node.op, ops.Parameter)
        )

    def gate(self, value: Value, h: Value) -> GateTerms:
        """The terms of a sum. Raises `Refusal` where one is none of those that a kernel has."""
        found = GateTerms()
        self._terms(value, Size.of(0), h, found)
        return found

    def _terms(self, value: Value, start: Size, h: Value, found: GateTerms) -> None:
        value = self.bare(value)
        node = self.makers.get(value)
        if self.is_outside(value):
            if value.type.rank != 1:
                raise Refusal("a tensor that is not a vector is added in a gate", node or self.node, 1)
            found.biases.append(GatePart(value, value.type.axes[0], start))
        elif node is not None and isinstance(node.op, ops.Add):
            for operand in node.inputs:
                self._terms(operand, start, h, found)
        elif node is not None and isinstance(node.op, ops.Slice):
            self._terms(node.inputs[0], start + node.op.start, h, found)
        elif node is not None and isinstance(node.op, ops.Dot) and len(node.op.over) == 1:
            self._product(node, start, h, found)
        else:
            what = f"`{node.op.name}`" if node is not None else "a state"
            raise Refusal(f"{what} is added in a gate", node or self.node, 1)

    def _product(self, node: Node, start: Size, h: Value, found: GateTerms) -> None:
        for operand, weight in (node.inputs, node.inputs[::-1]):
            matrix, over = self._traced(weight, node.op.goes_over[0])
            if not self.is_outside(matrix) or matrix.type.rank != 2:
                continue
            at = next(axis for axis in matrix.type.axes if axis != over)
            sequence = self.reads_x(operand)
            if sequence is not None and self.x in (None, sequence):
                self.x = sequence
                found.x.append(GatePart(matrix, at, start))
                return
            if self.bare(operand) is h:
                found.h.append(GatePart(matrix, at, start))
                return
        raise Refusal("a gate has a product of something else than x and the state with matrices", node, 1)

    def _traced(self, value: Value, axis: Axis) -> tuple[Value, Axis]:
        """A value without the renames that lead to it, and what one of its axes is called there."""
        node = self.makers.get(value)
        while node is not None and isinstance(node.op, (ops.Rename, ops.Transpose)):
            if isinstance(node.op, ops.Rename) and node.op.new == axis:
                axis = node.op.old
            value = node.inputs[0]
            node = self.makers.get(value)
        return value, axis


def plan(node: Node) -> RecurrentPlan | None:
    """The kernel for a scan; None where it has nothing to do with one. Raises `Refusal` where it nearly is one."""
    step = _Step(node)
    found = _lstm(step) or _gru(step) or _elman(step)
    if found is None:
        _near(step)
        return None
    h, types = step.next[found.h], {state.type for state in step.states}
    for emitted in step.region.results[step.op.carried :]:
        if not step.emits(emitted, h):
            raise Refusal("what is emitted is not the state that a kernel gives", step.makers.get(emitted) or node, 2)
    x, axes = found.x.type, step.states[found.h].type.axes
    if step.op.reverse or x.rank != 3 or len(types) != 1 or len(axes) != 2 or axes[0] not in x.axes:
        raise Refusal("torch has kernels for batches of sequences of vectors", node, 2)
    if step.mask is not None and set(step.mask.type.axes) != {axes[0], step.op.axis}:
        raise Refusal("the mask is not one of steps and sequences", node, 2)
    for gate in found.from_x:
        if len(gate.x) != 1:
            raise Refusal("each gate has one product with x in torch", node, 2)
    for gate in found.from_h:
        if len(gate.h) != 1:
            raise Refusal("each gate has one product with the state in torch", node, 2)
    return replace(found, mask=step.mask)


def _near(step: _Step) -> None:
    """Refuse with a reason where what comes of a state is multiplied with a matrix: a kernel may have been expected."""
    moving = set(step.states)
    for node in step.region.nodes:
        if moving.isdisjoint(node.inputs):
            continue
        moving.update(node.outputs)
        if isinstance(node.op, ops.Dot) and any(step.is_outside(step.bare(value)) for value in node.inputs):
            chosen = [n for n in map(step.made, step.next, [ops.Where] * len(step.next)) if n is not None]
            if chosen:
                raise Refusal("steps are left out where a mask is false", chosen[0], 1)
            raise Refusal("a step is none of torch's RNN, LSTM or GRU", step.makers.get(step.next[0]) or node, 1)


def _elman(step: _Step) -> RecurrentPlan | None:
    if len(step.states) != 1:
        return None
    made = step.made(step.next[0], ops.Tanh, ops.Where)
    if made is None:
        return None
    inside, kind = made.inputs[0], "rnn_tanh"
    if isinstance(made.op, ops.Where):
        condition, zero, inside = made.inputs
        compared, zeros = step.made(condition, ops.Le), step.makers.get(zero)
        if compared is None or compared.inputs[0] is not inside or zeros is None or not _is(zeros, 0):
            return None
        limit = step.makers.get(compared.inputs[1])
        if limit is None or not _is(limit, 0):
            return None
        kind = "rnn_relu"
    gate = step.gate(inside, step.states[0])
    return None if step.x is None else RecurrentPlan(kind, step.x, 0, (gate,), (gate,))


def _lstm(step: _Step) -> RecurrentPlan | None:
    if len(step.states) != 2:
        return None
    for h, c in ((0, 1), (1, 0)):
        for kept, new in step.pairs(step.next[c], ops.Add):
            f = i = g = o = None
            for state, gate in step.pairs(kept, ops.Mul):
                if step.bare(state) is step.states[c]:
                    f = step.inside(gate, ops.Sigmoid)
            for gate, content in step.pairs(new, ops.Mul):
                i, g = (i, g) if i is not None and g is not None else (
                    step.inside(gate, ops.Sigmoid), step.inside(content, ops.Tanh)
                )  # fmt: skip
            for gate, content in step.pairs(step.next[h], ops.Mul):
                cell = step.inside(content, ops.Tanh)
                if cell is not None and step.bare(cell) is step.bare(step.next[c]):
                    o = step.inside(gate, ops.Sigmoid)
            if i is not None and f is not None and g is not None and o is not None:
                gates = tuple(step.gate(value, step.states[h]) for value in (i, f, g, o))
                return None if step.x is None else RecurrentPlan("lstm", step.x, h, gates, gates)
    return None


def _gru(step: _Step) -> RecurrentPlan | None:
    if len(step.states) != 1:
        return None
    h = step.states[0]
    for kept, new in step.pairs(step.next[0], ops.Add):
        for state, update in step.pairs(kept, ops.Mul):
            z = step.inside(update, ops.Sigmoid)
            if step.bare(state) is not h or z is None:
                continue
            for content, rest in step.pairs(new, ops.Mul):
                left, n = step.made(rest, ops.Sub), step.inside(content, ops.Tanh)
                if left is None or n is None or step.bare(left.inputs[1]) is not step.bare(update):
                    continue
                one = step.makers.get(left.inputs[0])
                if one is None or not _is(one, 1):
                    continue
                for a, product in step.pairs(n, ops.Add):
                    for b, reset in step.pairs(product, ops.Mul):
                        r = step.inside(reset, ops.Sigmoid)
                        if r is not None:
                            return _gru_of(step, r, z, a, b)
                raise Refusal(
                    "the reset gate does not stand behind the product of the state, as it does in torch", left, 1
                )
    return None


def _gru_of(step: _Step, r: Value, z: Value, a: Value, b: Value) -> RecurrentPlan | None:
    h = step.states[0]
    reset, update, new, old = (step.gate(value, h) for value in (r, z, a, b))
    if new.h or old.x:
        raise Refusal("the reset gate is multiplied with more than the product of the state", step.node, 1)
    return None if step.x is None else RecurrentPlan("gru", step.x, 0, (reset, update, new), (reset, update, old))


def _is(node: Node, number: int) -> bool:
    return isinstance(node.op, ops.Constant) and node.op.value == number and not isinstance(node.op.value, bool)
