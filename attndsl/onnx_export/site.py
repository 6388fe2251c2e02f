"""What a rule sees of the node that it writes: the op, its operands in the file, the type of the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attndsl.graph import Axis, Type
from attndsl.onnx_export.lengths import Lengths
from attndsl.onnx_export.writer import TENSOR_TYPES, OnnxWriter, Tensor, dtype_of
from attndsl.ops import Op
from attndsl.records import Frozen
from attndsl.sizes import ONE

Apply = Callable[[Op, tuple[Tensor, ...], Type], str]


class OnnxSite(Frozen):
    """An op to be written. `apply` writes another one, by its own rule, and gives the name of its result."""

    writer: OnnxWriter
    lengths: Lengths
    op: Any
    inputs: tuple[Tensor, ...]
    output: Type
    apply: Apply

    def emit(self, kind: str, *inputs: str, **attributes: Any) -> str:
        return self.writer.emit(kind, *inputs, **attributes)

    def expanded(self) -> str:
        """The decomposition of a fused operator."""
        tensor: Tensor = self.op.expand(_Parts(self.apply), *self.inputs)
        return in_order(self, tensor.name, tensor.axes, self.output.axes)

    # ------------------------------------------------------------ operands

    def x(self, at: int = 0) -> str:
        return self.inputs[at].name

    def cast(self, name: str, before: Type, dtype: str) -> str:
        """A value in another dtype."""
        wanted = dtype_of(before.with_dtype(dtype))
        if dtype_of(before) == wanted:
            return name
        known = self.writer.initializers.get(name)
        return self.emit("Cast", name, to=TENSOR_TYPES[wanted]) if known is None else self.constant(known, wanted)

    def as_(self, at: int, dtype: str) -> str:
        """An operand in a dtype."""
        return self.cast(self.inputs[at].name, self.inputs[at].type, dtype)

    def floating(self, at: int = 0) -> str:
        return self.as_(at, "float")

    def spread(self, name: str, axes: Sequence[Axis], onto: Sequence[Axis]) -> str:
        """A value laid out for broadcasting against what is laid out as `onto`, a superset of its axes."""
        kept = [axis for axis in onto if axis in axes]
        name = in_order(self, name, axes, kept)
        first = next((i for i, axis in enumerate(onto) if axis in axes), len(onto))
        lacking = [i - first for i, axis in enumerate(onto) if i > first and axis not in axes]
        return self.emit("Unsqueeze", name, self.writer.ints(*lacking)) if lacking else name

    def aligned(self, at: int, dtype: str | None = None, onto: Sequence[Axis] | None = None) -> str:
        """An operand laid out for broadcasting against the result."""
        tensor = self.inputs[at]
        name = tensor.name if dtype is None else self.as_(at, dtype)
        return self.spread(name, tensor.axes, self.output.axes if onto is None else onto)

    # ------------------------------------------------------------ shapes

    def reshaped(self, name: str, axes: Sequence[Axis]) -> str:
        """A value with the lengths of these axes for its shape."""
        return self.shaped(name, self.lengths.shape([axis.size for axis in axes], one_open=True))

    def shaped(self, name: str, shape: str) -> str:
        """A value with a shape that is one of the file; a length of 0 is meant as such."""
        return self.emit("Reshape", name, shape, allowzero=1)

    def constant(self, value: object, dtype: str = "float32") -> str:
        return self.writer.constant(value, dtype)

    def axes(self, *places: int) -> str:
        return self.writer.ints(*places)

    def places(self, chosen: Sequence[Axis], at: int = 0) -> tuple[int, ...]:
        axes = self.inputs[at].axes
        return tuple(axes.index(axis) for axis in chosen)


class _Parts(Frozen):
    """What `Fused.expand` applies ops with."""

    apply: Apply

    def emit(self, op: Op, *inputs: Tensor) -> Tensor:
        output = op.infer(*(tensor.type for tensor in inputs))
        return Tensor(self.apply(op, inputs, output), output)


def in_order(site: OnnxSite, name: str, axes: Sequence[Axis], order: Sequence[Axis]) -> str:
    """A value with its axes in another order."""
    if tuple(axes) == tuple(order):
        return name
    return site.emit("Transpose", name, perm=[tuple(axes).index(axis) for axis in order])


def length_of(axes: Sequence[Axis]) -> Axis:
    """Axes as one, for its length."""
    total = ONE
    for axis in axes:
        total = total * axis.size
    return Axis.of(total)
