"""Which floats of a module are computed in float32 at least, though their type is the module's own `float`.

In bfloat16 a number has eight bits. What is added up over thousands of steps loses itself in that, and so does what is
divided by a small root. Two things are therefore computed more precisely, together with all elementwise arithmetic,
sums and running sums that lead to them, back to products with parameters, lookups and inputs:

- what a scan carries from step to step and gives, products of that with data, and the sums and products that these go
  into;
- running sums and products, and the elementwise arithmetic that they go into;
- norms that torch has no kernel for: the root of a sum or mean, what is divided by it, and what scales and shifts that.

Torch's own kernels for softmax, sums and norms have float32 inside as they are. An explicit `float(…)` in
a spec ends what leads to a value: its operand is computed in the module's precision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attndsl import ops
from attndsl.backends.pytorch.special import Relu
from attndsl.graph import FLOAT, FLOAT32, Node, Region, Value
from attndsl.ops.along import Along
from attndsl.ops.arithmetic import Binary
from attndsl.ops.base import Op
from attndsl.ops.elementwise import Unary
from attndsl.ops.reductions import Reduction

# What gives a result as precise as its operands are, besides what is pointwise and what moves elements.
AS_PRECISE = (
    Along, Reduction, ops.Softmax, ops.LogSoftmax, ops.LogSumExp, ops.Dropout, ops.Gelu, ops.Silu, ops.Dot, ops.Take,
    ops.SolveTriangular, ops.ScatterAdd, Relu,
)  # fmt: skip
AFFINE = (ops.Mul, ops.Div, ops.Add, ops.Sub)
RUNNING = (ops.CumSum, ops.CumProd, ops.Prod, ops.SolveTriangular)


def precise_values(body: Region) -> frozenset[Value]:
    """All floats of the body that are computed in float32 at least: those whose type says so, and those above."""
    return frozenset(_Search(body).found)


class _Search:
    def __init__(self, body: Region) -> None:
        self.makers: dict[Value, Node] = {}
        self.readers: dict[Value, list[Node]] = {}
        self.fixed: set[Value] = set()  # made of parameters and numbers alone
        self.numbers: set[Value] = set()  # made of numbers alone
        self.found: set[Value] = set()
        nodes = list(body.walk())
        self._typed((body, *(region for node in nodes for region in node.regions)))
        for node in nodes:
            self.makers.update(dict.fromkeys(node.outputs, node))
            for value in node.inputs:
                self.readers.setdefault(value, []).append(node)
            self._note(node)
        for node in nodes:
            if isinstance(node.op, ops.Scan):
                self._scan(node)
            elif isinstance(node.op, RUNNING) and self._is_as_precise(node):
                self._lead(node.outputs)
                self._follow(node.outputs, (Binary, Unary, ops.Where))
            elif isinstance(node.op, (ops.Rsqrt, ops.Sqrt)) and self._adds_up(node.inputs[0]):
                self._lead(node.outputs)
                self._divided(node.output)

    def _note(self, node: Node) -> None:
        """Whether a node's result depends on parameters and numbers alone, or on numbers alone."""
        if node.regions or node.op.draws:
            return
        if node.op.reads_parameters and not node.inputs:
            self.fixed.add(node.output)
        elif all(value in self.numbers or value in self.fixed for value in node.inputs):
            (self.fixed if any(value in self.fixed for value in node.inputs) else self.numbers).add(node.output)

    def _typed(self, regions: Iterable[Region]) -> None:
        for region in regions:
            made = (*region.parameters, *(value for node in region.nodes for value in node.outputs))
            self.found.update(value for value in made if value.type.dtype == FLOAT32)

    def _scan(self, node: Node) -> None:
        (region,), count = node.regions, len(node.inputs)
        states = (*region.parameters[1:], *node.outputs[:count])
        self.found.update(value for value in states if value.type.is_float)
        self._lead((*node.inputs, *region.results[:count]))
        self._follow((*region.parameters[1:], *region.results[:count]), ())
        products = (inner for inner in region.walk() if isinstance(inner.op, ops.Dot))
        self._lead(inner.output for inner in products if any(value in self.found for value in inner.inputs))
        emitted = zip(node.outputs[count:], region.results[count:], strict=True)
        self.found.update(stack for stack, value in emitted if value in self.found)
        self._follow(node.outputs, (*AFFINE, ops.Dot))

    def _follow(self, values: Iterable[Value], through: tuple[type[Op], ...]) -> None:
        """Compute precisely what those of `values` that are precise go into, by ops of the kinds `through`."""
        waiting = [value for value in values if value in self.found]
        while waiting:
            for node in self._readers(waiting.pop(), through):
                if node.output.type.dtype == FLOAT and node.output not in self.found:
                    self._lead(node.outputs)
                    waiting += [value for value in node.outputs if value in self.found]

    def _lead(self, values: Iterable[Value]) -> None:
        """Compute `values` precisely, and what leads to them."""
        waiting = [value for value in values if value.type.dtype == FLOAT]
        while waiting:
            value = waiting.pop()
            node = self.makers.get(value)
            if value in self.found or node is None or not self._is_as_precise(node):
                continue
            self.found.add(value)
            waiting += [operand for operand in node.inputs if operand.type.dtype == FLOAT]

    def _is_as_precise(self, node: Node) -> bool:
        """Whether more precise operands make for a more precise result."""
        op = node.op
        if isinstance(op, ops.Cast):
            return not node.inputs[0].type.is_float
        if isinstance(op, (ops.Dot, ops.Take)):  # a product with weights, rows of a table
            return not any(value in self.fixed for value in node.inputs if value.type.is_float)
        return bool(node.inputs) and (op.pointwise or op.moves or isinstance(op, AS_PRECISE))

    # ------------------------------------------------------------ norms

    def _adds_up(self, value: Value) -> bool:
        """Whether a value is a sum or a mean of floats, but for elementwise arithmetic."""
        waiting, seen = [value], {value}
        while waiting:
            node = self.makers.get(waiting.pop())
            if node is not None and isinstance(node.op, (ops.Sum, ops.Mean)) and node.inputs[0].type.is_float:
                return True
            if node is not None and (node.op.pointwise or node.op.moves):
                waiting += [operand for operand in node.inputs if operand not in seen]
                seen.update(node.inputs)
        return False

    def _divided(self, root: Value) -> None:
        """What is divided by `root`, or multiplied with it, and what scales and shifts the result."""
        waiting, seen = [(root, False)], set[Node]()
        while waiting:
            value, divided = waiting.pop()
            for node in set(self._readers(value, AFFINE)) - seen:
                seen.add(node)
                others = [other for other in node.inputs if other is not value and other.type.is_float]
                whole = any(set(other.type.axes) == set(node.output.type.axes) for other in others)
                if not whole or (not divided and isinstance(node.op, (ops.Mul, ops.Div))):
                    self._lead(node.outputs)
                    waiting.append((node.output, divided or whole))

    def _readers(self, value: Value, kinds: tuple[type[Op], ...]) -> Iterator[Node]:
        """What reads a value by an op of these kinds, or moves its elements."""
        return (node for node in self.readers.get(value, ()) if node.op.moves or isinstance(node.op, kinds))
