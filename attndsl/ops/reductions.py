"""Primitives that combine the elements along an axis, or normalise along it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from attndsl.diagnostics import error
from attndsl.graph.types import BOOL, FLOAT, INT, Axis, Type
from attndsl.lazy import np
from attndsl.ops import rules
from attndsl.ops.arrays import as_float, places, softmax, softmax_gradient, spread
from attndsl.ops.base import Call, Op
from attndsl.sizes import Size

if TYPE_CHECKING:
    from attndsl.ops.base import Array


@dataclass(frozen=True, slots=True)
class Reduction(Op):
    """Combines all elements along the axes `over`, which the result lacks."""

    operands = ("x",)
    over: tuple[Axis, ...]

    def infer(self, x: Type) -> Type:
        dtype = self.result(x)
        rules.has(x, self.over, 0, self.name)
        return x.without(*self.over).with_dtype(dtype)

    def result(self, x: Type) -> str:
        """The result's dtype."""
        return rules.number(x, 0, self.name)

    def places(self, call: Call) -> tuple[int, ...]:
        return places(call.inputs[0].axes, self.over)

    def not_empty(self, call: Call) -> None:
        """Some reductions of nothing have no value."""
        for axis in self.over:
            if call.length(axis.size) == 0:
                raise error("E0805", f"`{self.name}` over `{axis.name}`, which has no elements")

    def flops(self, output: Type, *inputs: Type) -> Size:
        return inputs[0].elements if inputs[0].dtype == FLOAT else Size.of(0)


class Sum(Reduction):
    """The sum; of bools, how many are True."""

    __slots__ = ()
    name = "sum"

    def result(self, x: Type) -> str:
        return FLOAT if x.dtype == FLOAT else INT

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return arrays[0].sum(self.places(call), dtype=call.dtype(call.output.dtype))

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        if not call.needs(0):
            return (None,)
        places = self.places(call)
        return (np.broadcast_to(np.expand_dims(upstream, places), arrays[0].shape),)


class Mean(Reduction):
    """The mean, always a float; of bools, the share that is True."""

    __slots__ = ()
    name = "mean"

    def result(self, x: Type) -> str:
        return FLOAT

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        x, places = as_float(call, arrays[0]), self.places(call)
        return x.sum(places) / _count(x, places)

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        if not call.needs(0):
            return (None,)
        x, places = arrays[0], self.places(call)
        return (np.broadcast_to(np.expand_dims(upstream / _count(x, places), places), x.shape),)


class Max(Reduction):
    """The largest; equal largest elements share the gradient evenly."""

    __slots__ = ()
    name = "max"

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        self.not_empty(call)
        return arrays[0].max(self.places(call))

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        return (_to_extreme(upstream, output, arrays[0], self.places(call)) if call.needs(0) else None,)


class Min(Reduction):
    """The smallest; equal smallest elements share the gradient evenly."""

    __slots__ = ()
    name = "min"

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        self.not_empty(call)
        return arrays[0].min(self.places(call))

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        return (_to_extreme(upstream, output, arrays[0], self.places(call)) if call.needs(0) else None,)


class Any(Reduction):
    """Whether at least one is True."""

    __slots__ = ()
    name = "any"
    differentiable = False

    def result(self, x: Type) -> str:
        rules.boolean(x, 0, self.name)
        return BOOL

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return np.asarray(arrays[0].any(self.places(call)))


class All(Reduction):
    """Whether all are True."""

    __slots__ = ()
    name = "all"
    differentiable = False

    def result(self, x: Type) -> str:
        rules.boolean(x, 0, self.name)
        return BOOL

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return np.asarray(arrays[0].all(self.places(call)))


@dataclass(frozen=True, slots=True)
class ArgMax(Op):
    """The index of the largest element along `over`; of equal ones the lowest."""

    name = "arg_max"
    operands = ("x",)
    differentiable = False
    over: Axis

    def infer(self, x: Type) -> Type:
        rules.number(x, 0, self.name)
        rules.has(x, (self.over,), 0, self.name)
        return x.without(self.over).with_dtype(INT)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        if call.length(self.over.size) == 0:
            raise error("E0805", f"`{self.name}` over `{self.over.name}`, which has no elements")
        return arrays[0].argmax(call.inputs[0].index(self.over))


@dataclass(frozen=True, slots=True)
class CumSum(Op):
    """At each place the sum of the elements up to it along `over`, itself included; bools count."""

    name = "cum_sum"
    operands = ("x",)
    over: Axis

    def infer(self, x: Type) -> Type:
        rules.has(x, (self.over,), 0, self.name)
        return x.with_dtype(INT if x.dtype == BOOL else x.dtype)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return arrays[0].cumsum(call.inputs[0].index(self.over), dtype=call.dtype(call.output.dtype))

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        if not call.needs(0):
            return (None,)
        at = call.inputs[0].index(self.over)
        return (np.flip(np.flip(upstream, at).cumsum(at), at),)

    def flops(self, output: Type, *inputs: Type) -> Size:
        return output.elements if output.dtype == FLOAT else Size.of(0)


@dataclass(frozen=True, slots=True)
class Softmax(Op):
    """e^x divided by its sum along `over`. Where `where` is False the weight is 0 and does not count in the sum; a row
    with nothing to count is all zeros, and so is its gradient."""

    name = "softmax"
    operands = ("x", "where?")
    over: Axis

    def infer(self, x: Type, where: Type | None = None) -> Type:
        rules.number(x, 0, self.name)
        rules.has(x, (self.over,), 0, self.name)
        if where is not None:
            rules.boolean(where, 1, self.name)
            rules.within(where, x, 1, self.name, "mask")
        return x.with_dtype(FLOAT)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        x, *where = arrays
        mask = spread(where[0], call.inputs[1].axes, call.inputs[0].axes) if where else None
        return softmax(as_float(call, x), call.inputs[0].index(self.over), mask)

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        rest = (None,) * (len(arrays) - 1)
        if not call.needs(0):
            return (None, *rest)
        return (softmax_gradient(upstream, output, call.inputs[0].index(self.over)), *rest)

    def flops(self, output: Type, *inputs: Type) -> Size:
        return output.elements * 5


@dataclass(frozen=True, slots=True)
class LogSoftmax(Op):
    """The logarithm of the softmax along `over`."""

    name = "log_softmax"
    operands = ("x",)
    over: Axis

    def infer(self, x: Type) -> Type:
        rules.number(x, 0, self.name)
        rules.has(x, (self.over,), 0, self.name)
        return x.with_dtype(FLOAT)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        x, at = as_float(call, arrays[0]), call.inputs[0].index(self.over)
        return x - _log_sum_exp(x, at)[_at(at)]

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        if not call.needs(0):
            return (None,)
        total = upstream.sum(axis=call.inputs[0].index(self.over), keepdims=True)
        return (upstream - np.exp(output) * total,)

    def flops(self, output: Type, *inputs: Type) -> Size:
        return output.elements * 5


@dataclass(frozen=True, slots=True)
class LogSumExp(Op):
    """The logarithm of the sum of e^x along `over`, which the result lacks."""

    name = "log_sum_exp"
    operands = ("x",)
    over: Axis

    def infer(self, x: Type) -> Type:
        rules.number(x, 0, self.name)
        rules.has(x, (self.over,), 0, self.name)
        return x.without(self.over).with_dtype(FLOAT)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return _log_sum_exp(as_float(call, arrays[0]), call.inputs[0].index(self.over))

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        if not call.needs(0):
            return (None,)
        at = call.inputs[0].index(self.over)
        shifted = arrays[0] - np.where(np.isfinite(output), output, 0)[_at(at)]
        return (upstream[_at(at)] * np.exp(shifted),)

    def flops(self, output: Type, *inputs: Type) -> Size:
        return inputs[0].elements * 4


def _at(place: int) -> tuple[slice | None, ...]:
    """An index that puts a new axis at `place`."""
    return (*[slice(None)] * place, None)


def _log_sum_exp(x: Array, place: int) -> Array:
    highest = x.max(axis=place, keepdims=True, initial=-np.inf)
    highest[~np.isfinite(highest)] = 0
    return np.log(np.exp(x - highest).sum(place)) + highest.squeeze(place)


def _count(x: Array, places: tuple[int, ...]) -> int:
    count = 1
    for place in places:
        count *= x.shape[place]
    return count


def _to_extreme(upstream: Array, output: Array, x: Array, places: tuple[int, ...]) -> Array:
    """The gradient of a largest or smallest element, shared evenly among those that are equal to it."""
    found = x == np.expand_dims(output, places)
    share = upstream / found.sum(places)
    return np.where(found, np.expand_dims(share, places), 0).astype(upstream.dtype, copy=False)
