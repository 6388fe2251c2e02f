"""What a lowering is told: the node, its operands as expressions, and the function that its code will stand in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from attndsl.backends.pytorch.expressions import ATOM, UNARY, Expr, aligned, function
from attndsl.graph import BOOL, FLOAT, INT, Axis, Node, Type, Value
from attndsl.records import Frozen
from attndsl.sizes import Size
from attndsl.types import FLOATS
from attndsl.values import NumberOfSizes


class WrittenFunction(Protocol):
    """A Python function being written; each of these notes what the function then needs."""

    def size(self, size: Size) -> Expr:
        """The value of a size."""
        ...

    @property
    def plain(self) -> bool:
        """Whether it is to call nothing but torch for what torch has a name for."""
        ...

    @property
    def wide(self) -> Collection[Value]:
        """Values that are computed in float32 at least (`widening.widened`)."""
        ...

    def computed(self, number: NumberOfSizes) -> Expr | None:
        """A number by what it was computed from; None where that is not written."""
        ...

    def dtype(self, *, wide: bool = False) -> str:
        """The dtype that the module computes in, or float32 if that is narrower and `wide`."""
        ...

    def device(self) -> str:
        """The device that the module computes on."""
        ...

    def parameter(self, address: str) -> str:
        """The parameter of that address."""
        ...

    def layer(self, path: str) -> str:
        """The layer of that path."""
        ...

    def counts(self, value: Value) -> bool:
        """Whether `value` is what a Python loop around counts."""
        ...

    def parts(self, table: Value, place: int) -> str | None:
        """A tuple of the elements of `table` along its axis number `place`, where a loop reads them one by one."""
        ...

    def helper(self, name: str) -> str:
        """A function of `attndsl.backends.pytorch.helpers`, to be written into the file."""
        ...

    def define(self, name: str, arguments: str, doc: str, body: str) -> str:
        """A function of the file's own, of one statement; what it is called. One that is there already is not written
        again."""
        ...

    def math(self) -> str:
        """The module `math`."""
        ...


class Site(Frozen):
    """One node to be written."""

    node: Node
    arguments: tuple[Expr, ...]
    function: WrittenFunction

    @property
    def op(self) -> Any:
        """The node's operator; what fields it has is known to the lowering that the table has for it."""
        return self.node.op

    @property
    def types(self) -> tuple[Type, ...]:
        return tuple(value.type for value in self.node.inputs)

    @property
    def output(self) -> Type:
        return self.node.output.type

    def shape(self, axes: Sequence[Axis]) -> str:
        """The lengths of `axes`, as a tuple."""
        sizes = self.sizes(axes)
        return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"

    def sizes(self, axes: Sequence[Axis]) -> list[str]:
        return [self.function.size(axis.size).text for axis in axes]

    @property
    def has_float_tensor(self) -> bool:
        return any(t.is_float and not x.host for t, x in zip(self.types, self.arguments, strict=True))

    def align(self, i: int, target: Sequence[Axis] | None = None) -> Expr:
        """Operand i, to broadcast against axes `target` (the output's if None)."""
        axes = self.output.axes if target is None else target
        return aligned(self.arguments[i], self.types[i].axes, axes)

    def floating(self, i: int, x: Expr | None = None) -> Expr:
        """Operand i as a tensor of floats; ints and bools would otherwise turn into torch's default float."""
        x = self.arguments[i] if x is None else x
        if x.host:
            return self.tensor(x, FLOAT)
        return x if self.types[i].is_float else self.cast(x, FLOAT)

    def cast(self, x: Expr, dtype: str) -> Expr:
        if x.host:
            return function({INT: "int", BOOL: "bool"}.get(dtype, "float"), x.text, host=True)
        return x.call("to", self.torch_dtype(dtype))

    def torch_dtype(self, dtype: str) -> str:
        return {INT: "torch.int64", BOOL: "torch.bool"}.get(dtype) or self.float_dtype()

    def float_dtype(self) -> str:
        """The dtype of what this node computes, if that is floats."""
        return self.function.dtype(wide=self.node.output in self.function.wide)

    def tensor(self, x: Expr, dtype: str) -> Expr:
        """A Python number as a tensor without axes; a tensor as it is."""
        if not x.host:
            return x
        return self.filled("()", x, dtype)

    def filled(self, shape: str, x: Expr, dtype: str) -> Expr:
        """A tensor full of a Python number."""
        return filled(shape, x, self.float_dtype() if dtype in FLOATS else None, self.function.device())

    @property
    def host(self) -> bool:
        """Whether all operands are Python numbers."""
        return all(argument.host for argument in self.arguments)


def filled(shape: str, x: Expr, dtype: str | None, device: str) -> Expr:
    """A tensor full of one number, made where it is needed (`torch.tensor` would copy it there). Without `dtype` the
    number says what it is."""
    keywords = [] if dtype is None else [f"dtype={dtype}"]
    if x.text in ("0", "0.0"):
        return function("torch.zeros", shape, f"dtype={dtype or 'torch.int64'}", f"device={device}")
    return function("torch.full", shape, x.text, *keywords, f"device={device}")


def negated(x: Expr) -> Expr:
    return Expr(f"-{x.at(UNARY)}", UNARY, x.host)


def inverted(x: Expr) -> Expr:
    """Not x, for a bool or a tensor of them."""
    return Expr(f"not {x.at(ATOM)}", 1, True) if x.host else Expr(f"~{x.at(UNARY)}", UNARY)
