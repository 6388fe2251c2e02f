"""Constant folding: what is known now is computed now, and what does nothing goes.

Two tables: `EVALUATED` is which ops on scalars are computed (by their own NumPy meaning, in double precision), `RULES`
what becomes of an op whose operands are general. A rule gives the value or op that stands for the node, or None.
"""

from __future__ import annotations

from collections.abc import Callable

from attndsl.diagnostics import AttnError
from attndsl.graph import Graph, Node, Value
from attndsl.lazy import np
from attndsl.ops import (
    ELEMENTWISE,
    Add,
    And,
    Broadcast,
    Call,
    Cast,
    Constant,
    Div,
    Dot,
    Dropout,
    Eq,
    Flatten,
    Ge,
    Gt,
    Le,
    Lt,
    Maximum,
    Mean,
    Minimum,
    Mul,
    Ne,
    Neg,
    Not,
    Op,
    Or,
    Pow,
    Rename,
    SizeOf,
    Slice,
    Softmax,
    StopGradient,
    Sub,
    Sum,
    Transpose,
    Unflatten,
    Where,
)
from attndsl.passes.base import Pass, Report, Rewrite, rewritten, tally
from attndsl.passes.rewrite import Facts, Rewriter
from attndsl.records import dataclass
from attndsl.sizes import Size

EVALUATED = frozenset(ELEMENTWISE) - {StopGradient}
SWAPPED: dict[type[Op], type[Op]] = {  # the op that gives the same with its operands the other way round
    **{op: op for op in (Add, Mul, Maximum, Minimum, And, Or, Eq, Ne)}, Lt: Gt, Gt: Lt, Le: Ge, Ge: Le,
}  # fmt: skip
Scalar = bool | int | float


@dataclass(frozen=True, slots=True)
class ConstantFolding(Pass):
    """Computes what is known and drops what does nothing, until nothing more is found."""

    name = "constant-folding"

    def run(self, graph: Graph) -> tuple[Graph, Report]:
        done: list[Rewrite] = []
        while True:
            before, graph = graph, _Folding(graph, done).run()
            if graph is before:
                return graph, Report(self.name, tally(done))


class _Folding:
    def __init__(self, graph: Graph, done: list[Rewrite]) -> None:
        self.graph, self.done = graph, done
        self.producers = dict(Facts(graph).producers)  # new nodes are added as they are made

    def run(self) -> Graph:
        return Rewriter(self.graph, self.visit).run()

    def visit(self, node: Node, rewriter: Rewriter) -> tuple[Value, ...] | None:
        if node.regions:
            return None
        self.producers[node.output] = node
        number = self.number(node)
        if number is not None:
            self.done.append(rewritten("computed", f"`{node.op.name}` is {_shown(number)}", node))
            return (self.emit(rewriter, Constant(number)),)
        rule = RULES.get(type(node.op))
        found = rule(self, node) if rule else None
        if found is None:
            return None
        if isinstance(found, Value):
            if found.type != node.output.type:
                return None
            self.done.append(rewritten("dropped", f"`{node.op.name}` does nothing here", node))
            return (found,)
        op, inputs = found
        if op.infer(*(value.type for value in inputs)) != node.output.type:
            return None
        self.done.append(rewritten("simplified", f"`{node.op.name}` becomes `{op.name}`", node))
        return (self.emit(rewriter, op, *inputs),)

    def emit(self, rewriter: Rewriter, op: Op, *inputs: Value) -> Value:
        value = rewriter.emit(op, *inputs)
        self.producers[value] = rewriter.builder.nodes[-1]
        return value

    # ------------------------------------------------------------ what is known

    def constant(self, value: Value) -> Scalar | None:
        """The number that `value` is, if it is a known scalar or a known scalar repeated along axes."""
        node = self.producers.get(value)
        if node is not None and isinstance(node.op, Broadcast):
            node = self.producers.get(node.inputs[0])
        return node.op.value if node is not None and isinstance(node.op, Constant) else None

    def made_by(self, value: Value, kind: type[Op]) -> Node | None:
        node = self.producers.get(value)
        return node if node is not None and isinstance(node.op, kind) else None

    def number(self, node: Node) -> Scalar | None:
        """The value of a node on known scalars; None where it is not known or no such value exists."""
        if isinstance(node.op, SizeOf):
            return node.op.size.known(self.graph.sizes)
        if type(node.op) not in EVALUATED or node.output.type.axes:
            return None
        numbers = [self.constant(value) for value in node.inputs]
        if None in numbers:
            return None
        types = tuple(value.type for value in node.inputs)
        call = Call(types, node.output.type, self.graph.sizes, "float64")
        arrays = [np.asarray(n, call.dtype(t.dtype)) for n, t in zip(numbers, types, strict=True)]
        try:
            with np.errstate(all="ignore"):
                result: Scalar = node.op.evaluate(call, *arrays).item()
        except (AttnError, ArithmeticError):
            return None  # it fails when it runs, and says so there
        return result if result == result and abs(result) != float("inf") else None

    # ------------------------------------------------------------ what does nothing

    def add(self, node: Node) -> Found:
        left, right = node.inputs
        if _is(self.constant(right), 0):
            return left
        return right if _is(self.constant(left), 0) and isinstance(node.op, Add) else None

    def multiply(self, node: Node) -> Found:
        left, right = node.inputs
        if _is(self.constant(right), 1):
            return left
        return right if _is(self.constant(left), 1) and isinstance(node.op, Mul) else None

    def power(self, node: Node) -> Found:
        return node.inputs[0] if _is(self.constant(node.inputs[1]), 1) else None

    def twice(self, node: Node) -> Found:
        """Two of a kind undo each other: `not not x`, `--x`."""
        inner = self.made_by(node.inputs[0], type(node.op))
        return inner.inputs[0] if inner else None

    def cast(self, node: Node) -> Found:
        return node.inputs[0]  # if it changes the type, that is noticed

    def dropout(self, node: Node) -> Found:
        return node.inputs[0] if isinstance(node.op, Dropout) and node.op.p == 0 else None

    def rename(self, node: Node) -> Found:
        op = node.op
        assert isinstance(op, Rename)
        if op.old == op.new:
            return node.inputs[0]
        inner = self.made_by(node.inputs[0], Rename)
        if inner is not None and isinstance(inner.op, Rename) and inner.op.new == op.old:
            if inner.op.old == op.new:
                return inner.inputs[0]
            return Rename(inner.op.old, op.new), inner.inputs
        return None

    def transpose(self, node: Node) -> Found:
        if node.inputs[0].type == node.output.type:
            return node.inputs[0]
        inner = self.producers.get(node.inputs[0])
        if inner is None:
            return None
        if isinstance(inner.op, Transpose):
            return Transpose(node.output.type.axes), inner.inputs
        swapped = SWAPPED.get(type(inner.op))
        if swapped is not None and swapped().infer(*(v.type for v in inner.inputs[::-1])) == node.output.type:
            return swapped(), inner.inputs[::-1]
        return None

    def broadcast(self, node: Node) -> Found:
        if node.inputs[0].type == node.output.type:
            return node.inputs[0]
        inner = self.made_by(node.inputs[0], Broadcast)
        if inner:
            return Broadcast(node.output.type.axes), inner.inputs
        same = set(node.inputs[0].type.axes) == set(node.output.type.axes)
        return (Transpose(node.output.type.axes), node.inputs) if same else None

    def flatten(self, node: Node) -> Found:
        assert isinstance(node.op, Flatten)
        if len(node.op.parts) == 1:
            return Rename(node.op.parts[0], node.op.axis), node.inputs
        inner = self.made_by(node.inputs[0], Unflatten)
        if inner is not None and isinstance(inner.op, Unflatten):
            if (inner.op.parts, inner.op.axis) == (node.op.parts, node.op.axis):
                return inner.inputs[0]
            if inner.op.parts == node.op.parts:
                return Rename(inner.op.axis, node.op.axis), inner.inputs
        return None

    def unflatten(self, node: Node) -> Found:
        assert isinstance(node.op, Unflatten)
        if len(node.op.parts) == 1:
            return Rename(node.op.axis, node.op.parts[0]), node.inputs
        inner = self.made_by(node.inputs[0], Flatten)
        if inner is not None and (inner.op.parts, inner.op.axis) == (node.op.parts, node.op.axis):  # type: ignore[attr-defined]
            return inner.inputs[0]
        return None

    def slice(self, node: Node) -> Found:
        assert isinstance(node.op, Slice)
        whole = node.op.start == Size.of(0) and node.op.axis.size == node.op.target.size
        return (Rename(node.op.axis, node.op.target), node.inputs) if whole else None

    def where(self, node: Node) -> Found:
        condition, left, right = node.inputs
        known = self.constant(condition)
        if known is not None:
            return left if known else right
        return left if left is right else None

    def logical(self, node: Node) -> Found:
        """`and` with true, `or` with false; with itself."""
        neutral = isinstance(node.op, And)
        for value, other in (node.inputs, reversed(node.inputs)):
            if self.constant(value) is neutral or value is other:
                return other
        return None

    def extreme(self, node: Node) -> Found:
        return node.inputs[0] if node.inputs[0] is node.inputs[1] else None

    def reduction(self, node: Node) -> Found:
        over = node.op.over  # type: ignore[attr-defined]
        return node.inputs[0] if not over else None

    def softmax(self, node: Node) -> Found:
        """A mask that is true everywhere is none."""
        if len(node.inputs) == 2 and self.constant(node.inputs[1]) is True:
            return node.op, node.inputs[:1]
        return None

    def moved(self, node: Node) -> Found:
        """An operand's layout does not matter where the result's comes out the same."""
        inputs = list(node.inputs)
        for i, value in enumerate(inputs):
            inner = self.made_by(value, Transpose)
            if inner is None:
                continue
            given = [*inputs[:i], inner.inputs[0], *inputs[i + 1 :]]
            if node.op.infer(*(v.type for v in given)) == node.output.type:
                inputs = given
        return (node.op, tuple(inputs)) if inputs != list(node.inputs) else None


Found = Value | tuple[Op, tuple[Value, ...]] | None


def _first(*rules: Callable[[_Folding, Node], Found]) -> Callable[[_Folding, Node], Found]:
    def tried(folding: _Folding, node: Node) -> Found:
        return next((found for rule in rules if (found := rule(folding, node)) is not None), None)

    return tried


RULES: dict[type[Op], Callable[[_Folding, Node], Found]] = {
    Add: _first(_Folding.add, _Folding.moved),
    Sub: _first(_Folding.add, _Folding.moved),
    Mul: _first(_Folding.multiply, _Folding.moved),
    Div: _first(_Folding.multiply, _Folding.moved),
    Pow: _Folding.power,
    Neg: _Folding.twice,
    Not: _Folding.twice,
    Cast: _Folding.cast,
    Dropout: _Folding.dropout,
    Rename: _Folding.rename,
    Transpose: _Folding.transpose,
    Broadcast: _Folding.broadcast,
    Flatten: _first(_Folding.flatten, _Folding.moved),
    Unflatten: _Folding.unflatten,
    Slice: _Folding.slice,
    Where: _first(_Folding.where, _Folding.moved),
    And: _first(_Folding.logical, _Folding.moved),
    Or: _first(_Folding.logical, _Folding.moved),
    Maximum: _Folding.extreme,
    Minimum: _Folding.extreme,
    Sum: _first(_Folding.reduction, _Folding.moved),
    Mean: _first(_Folding.reduction, _Folding.moved),
    Dot: _Folding.moved,
    Softmax: _Folding.softmax,
}


def _is(number: Scalar | None, value: int) -> bool:
    return number is not None and not isinstance(number, bool) and number == value


def _shown(number: Scalar) -> str:
    return (
        str(number).lower()
        if isinstance(number, bool)
        else f"{number:.6g}"
        if isinstance(number, float)
        else str(number)
    )
