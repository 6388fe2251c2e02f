"""Convolution and its transpose: products over sliding windows, which passes make from windows and products."""

from __future__ import annotations

from typing import TypeVar

from attndsl.lazy import Array, np
from attndsl.ops import rules
from attndsl.ops.arithmetic import Add, Mul
from attndsl.ops.arrays import as_float, contract
from attndsl.ops.base import Call, Mismatch, the_others
from attndsl.ops.contraction import Dot
from attndsl.ops.fused import Emitter, Fused
from attndsl.ops.generators import Range, SizeOf
from attndsl.ops.movement import Broadcast
from attndsl.ops.pieces import ScatterAdd, Slice, Windows
from attndsl.types import Axis, Type

V = TypeVar("V")


class Sliding(Fused):
    """What both have in common: `windows` slide along axes of the longer side, one after the other; `channels` are
    summed over besides. Axes that x and the kernel share and that stay are groups, each with a kernel of its own."""

    operands = ("x", "kernel")
    contracts = True
    windows: tuple[Windows, ...]
    channels: tuple[Axis, ...]

    @property
    def goes_over(self) -> tuple[Axis, ...]:
        return tuple(window.axis for window in self.windows)

    @property
    def offsets(self) -> tuple[Axis, ...]:
        return tuple(window.offsets for window in self.windows)

    @property
    def summed(self) -> tuple[Axis, ...]:
        return self.channels

    def kept(self, needed: tuple[bool, ...]) -> tuple[int, ...]:
        return the_others(needed)


class Convolution(Sliding):
    """dot(windows of x, kernel, over=[offsets in the windows, channels]), without the windows in memory: y[u, o] is the
    sum of x[u * stride + r * dilation - before, i] * kernel[r, i, o] over r and i (LeCun et al., 1989)."""

    name = "convolution"
    windows: tuple[Windows, ...]
    channels: tuple[Axis, ...] = ()

    @property
    def summed(self) -> tuple[Axis, ...]:
        return (*self.offsets, *self.channels)

    def expand(self, builder: Emitter[V], *values: V) -> V:
        x, kernel = values
        for window in self.windows:
            x = builder.emit(window, x)
        return builder.emit(Dot((*self.offsets, *self.channels)), x, kernel)


class TransposedConvolution(Sliding):
    """The transpose of a convolution as a linear map (Zeiler et al., 2010; Dumoulin and Visin, 2016, section 4): every
    element of x gives its products with the kernel to the window around its place in the result, and what overlaps is
    added. `windows` are those of the result; their `positions` are x's axes."""

    name = "transposed_convolution"
    windows: tuple[Windows, ...]
    channels: tuple[Axis, ...] = ()

    def infer(self, x: Type, kernel: Type) -> Type:
        product = Dot(self.channels).infer(x, kernel)
        axes = product.axes
        for window in self.windows:
            rules.has(x, (window.positions,), 0, self.name)
            rules.has(kernel, (window.offsets,), 1, self.name)
            axes = tuple(axis for axis in axes if axis != window.offsets)
            axes = rules.replaced(axes, window.positions, (window.axis,))
        result = rules.unique(product.dtype, axes, self.name, (0, 1))
        if set(self._seen(result)[-1].axes) != set(product.axes):
            raise Mismatch("E0203", f"the windows of `{self.name}` are not those of `{x}` and `{kernel}`", (0, 1))
        return result

    def _seen(self, result: Type) -> list[Type]:
        """The result's type, and those of its windows along one axis after the other."""
        types = [result]
        for window in self.windows:
            types.append(window.infer(types[-1]))
        return types

    def _calls(self, call: Call) -> list[tuple[Windows, Call]]:
        types = self._seen(call.output)
        return [(window, call.of((types[i],), types[i + 1])) for i, window in enumerate(self.windows)]

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        x, kernel = (as_float(call, array) for array in arrays)
        x_axes, kernel_axes = (type.axes for type in call.inputs)
        y = contract(x, x_axes, kernel, kernel_axes, self._seen(call.output)[-1].axes)
        for window, inner in reversed(self._calls(call)):
            empty = np.broadcast_to(np.zeros((), y.dtype), inner.shape(inner.inputs[0]))
            y = window.backward(inner, y, y, empty)
        return y

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        x, kernel = (as_float(call, array) for array in arrays)
        x_axes, kernel_axes = (type.axes for type in call.inputs)
        seen = upstream
        for window, inner in self._calls(call):
            seen = window.forward(inner, seen)
        axes = self._seen(call.output)[-1].axes
        return (
            contract(seen, axes, kernel, kernel_axes, x_axes) if call.needs(0) else None,
            contract(x, x_axes, seen, axes, kernel_axes) if call.needs(1) else None,
        )

    def expand(self, builder: Emitter[V], *values: V) -> V:
        y = builder.emit(Dot(self.channels), *values)
        for window in self.windows:
            both = window.positions, window.offsets
            steps = [
                builder.emit(Mul(), builder.emit(Range(axis)), builder.emit(SizeOf(step)))
                for axis, step in zip(both, (window.stride, window.dilation), strict=True)
            ]
            at = builder.emit(Add(), *(builder.emit(Broadcast(both), step) for step in steps))
            size = window.axis.size + window.before + window.after
            whole = window.axis if window.axis.size == size else Axis(f"{window.axis.name}'", size)
            y = builder.emit(ScatterAdd(both, whole), y, at)
            if whole != window.axis:
                y = builder.emit(Slice(whole, window.before, window.axis), y)
        return y


__all__ = ["Convolution", "Sliding", "TransposedConvolution"]
