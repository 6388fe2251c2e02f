"""How a module's constructor makes the first values of its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attndsl.backends.pytorch.expressions import ATOM, PRODUCT, SUM, Expr, binary, function, number
from attndsl.graph import Node, ParameterInfo, Type, Value
from attndsl.graph.initial import DRAWS, INDEX, Draw, Initializer, LoopIndex, written_out
from attndsl.ops import Broadcast
from attndsl.records import Frozen
from attndsl.running.initial import by_fan


def loops_read(initializer: object) -> frozenset[int]:
    """The loops around the parameter whose indices its first values hang on."""
    if not isinstance(initializer, Initializer):
        return frozenset()
    if initializer.kind == INDEX:
        return frozenset(initializer.arguments)  # type: ignore[arg-type]
    return frozenset().union(*map(loops_read, initializer.arguments))


def index_name(loop: int) -> str:
    """What a constructor calls the index of a loop, counted from outside."""
    return "ijklmn"[loop] if loop < 6 else f"i{loop}"


class Start(Frozen):
    """Writes the first values of one parameter. `lower` writes a node whose operands are written, `size` the lengths of
    a type's axes, `helper` notes that a function of `helpers` is called; `indices` are the loops' as they are
    written here."""

    info: ParameterInfo
    sizes: Mapping[str, int]
    indices: Callable[[int], str]
    lower: Callable[[Node, tuple[Expr, ...]], Expr]
    size: Callable[[Type], list[str]]
    helper: Callable[[str], str]

    def parameter(self) -> str:
        """A new parameter."""
        region = written_out(self.info.initializer, self.info.type, self.info.stacked)
        (result,) = region.results
        makers = {node.output: node for node in region.nodes}
        made = self.written(result, makers)
        if made.host:
            return self.filled("constant", self.info.type, made).text
        if isinstance(makers[result].op, Draw) and made.level == ATOM:  # what `filled` gives is a parameter already
            return made.text
        shares = isinstance(makers[result].op, Broadcast)  # its memory: one number stands for several
        return function("nn.Parameter", (made.call("contiguous") if shares else made).text).text

    def written(self, value: Value, makers: Mapping[Value, Node]) -> Expr:
        node = makers[value]
        if isinstance(node.op, LoopIndex):
            return Expr(self.indices(node.op.loop), host=True)
        operands = tuple(self.written(operand, makers) for operand in node.inputs)
        if isinstance(node.op, Draw):
            return self.draw(node.op, operands)
        if isinstance(node.op, Broadcast) and operands[0].host:
            return self.filled("constant", node.output.type, *operands)
        return self.lower(node, operands)

    def draw(self, op: Draw, operands: Sequence[Expr]) -> Expr:
        if op.kind in ("xavier", "kaiming"):
            kind, numbers = by_fan(op.kind, op.type.shape(self.sizes)[op.stacked :])
            return self.filled(kind, op.type, *map(number, numbers))
        if all(operand.host for operand in operands):
            return self.filled(op.kind, op.type, *operands)
        one = Expr("1.0", host=True)
        if op.kind == "uniform":
            low, high = operands
            unit = self.filled(op.kind, op.type, Expr("0.0", host=True), one)
            return binary(binary(unit, "*", binary(high, "-", low, SUM), PRODUCT), "+", low, SUM)
        unit = self.filled("ones", op.type) if op.kind == "constant" else self.filled(op.kind, op.type, one)
        return binary(unit, "*", operands[0], PRODUCT)

    def filled(self, kind: str, type: Type, *arguments: Expr) -> Expr:
        named = [f"{name}={argument}" for name, argument in zip(DRAWS[kind], arguments, strict=True)]
        return function(self.helper(kind), *self.size(type), *named)
