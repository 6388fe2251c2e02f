"""Primitives that combine the elements along an axis, or normalise along it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attndsl.diagnostics import error
from attndsl.lazy import np
from attndsl.ops import rules
from attndsl.ops.arrays import as_float, places, softmax, softmax_gradient, spread
from attndsl.ops.base import OUTPUT, Call, Op
from attndsl.records import dataclass
from attndsl.sizes import Size
from attndsl.types import BOOL, FLOAT, INT, Axis, Type

if TYPE_CHECKING:
    from attndsl.ops.base import Array


@dataclass(frozen=True, slots=True)
class Reduction(Op):
    """Combines all elements along the axes `over`, which the result lacks."""

    operands = ("x",)
    called = True
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

    def flops(self, output: Type, *inputs: Type) -> Size:
        return inputs[0].elements if inputs[0].dtype == FLOAT else Size.of(0)


def not_empty(op: Op, call: Call, over: tuple[Axis, ...]) -> None:
    """Raises E0805 where `op`, which `needs_elements`, goes over an axis that has none. A checked model carries a
    constraint that says so before."""
    for axis in over:
        if call.length(axis.size) == 0:
            raise error("E0805", f"`{op.name}` over `{axis.name}`, which has no elements")


class Sum(Reduction):
    """The sum over axes; of bools, how many are True."""

    __slots__ = ()
    name = "sum"
    keeps = ()
    noun = "total"

    def result(self, x: Type) -> str:
        return FLOAT if x.dtype == FLOAT else INT

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        found: Array = arrays[0].sum(self.places(call), dtype=call.dtype(call.output.dtype))
        return found

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        if not call.needs(0):
            return (None,)
        places = self.places(call)
        return (np.broadcast_to(np.expand_dims(upstream, places), arrays[0].shape),)


class Mean(Reduction):
    """The mean over axes, always a float; of bools, the share that is True."""

    __slots__ = ()
    name = "mean"
    keeps = ()

    def result(self, x: Type) -> str:
        return FLOAT

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        x, places = as_float(call, arrays[0]), self.places(call)
        found: Array = x.sum(places) / _count(x, places)
        return found

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        if not call.needs(0):
            return (None,)
        x, places = arrays[0], self.places(call)
        return (np.broadcast_to(np.expand_dims(upstream / _count(x, places), places), x.shape),)


class Max(Reduction):
    """The largest over axes; equal largest elements share the gradient evenly."""

    __slots__ = ()
    name = "max"
    keeps = (0, OUTPUT)
    needs_elements = True

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        not_empty(self, call, self.over)
        found: Array = arrays[0].max(self.places(call))
        return found

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        return (_to_extreme(upstream, output, arrays[0], self.places(call)) if call.needs(0) else None,)


class Min(Reduction):
    """The smallest over axes; equal smallest elements share the gradient evenly."""

    __slots__ = ()
    name = "min"
    keeps = (0, OUTPUT)
    needs_elements = True

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        not_empty(self, call, self.over)
        found: Array = arrays[0].min(self.places(call))
        return found

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

    name = "argmax"
    operands = ("x",)
    called = True
    noun = "best"
    differentiable = False
    needs_elements = True
    over: Axis

    def infer(self, x: Type) -> Type:
        rules.number(x, 0, self.name)
        rules.has(x, (self.over,), 0, self.name)
        return x.without(self.over).with_dtype(INT)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        not_empty(self, call, (self.over,))
        found: Array = arrays[0].argmax(call.inputs[0].index(self.over))
        return found


@dataclass(frozen=True, slots=True)
class Softmax(Op):
    """e^x divided by its sum along `over`, as IEEE arithmetic gives e^(x - m) / sum of e^(x - m) with the largest x as
    m, so that large numbers do not overflow.

    Only what `where` allows counts. Elsewhere the weight is 0 and no gradient flows, whatever stands there, NaN
    included. A row with nothing to attend to (all of it masked or -inf) is zeros, and so is its gradient. A row in
    which a NaN or +inf counts is NaN wherever it counts."""

    name = "softmax"
    operands = ("x", "where?")
    keeps = (1, OUTPUT)
    role = "activation"
    noun = "weights"
    over: Axis

    def infer(self, x: Type, where: Type | None = None) -> Type:
        rules.number(x, 0, self.name)
        rules.has(x, (self.over,), 0, self.name)
        if where is not None:
            rules.boolean(where, 1, self.name)
            rules.within(where, x, 1, self.name, "mask")
        return x.with_dtype(FLOAT)

    def _mask(self, call: Call, where: tuple[Array, ...]) -> Array | None:
        return spread(where[0], call.inputs[1].axes, call.inputs[0].axes) if where else None

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        x, *where = arrays
        return softmax(as_float(call, x), call.inputs[0].index(self.over), self._mask(call, tuple(where)))

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        _, *where = arrays
        rest = (None,) * len(where)
        if not call.needs(0):
            return (None, *rest)
        at = call.inputs[0].index(self.over)
        return (softmax_gradient(upstream, output, at, self._mask(call, tuple(where))), *rest)

    def flops(self, output: Type, *inputs: Type) -> Size:
        return output.elements * 5


@dataclass(frozen=True, slots=True)
class LogSoftmax(Op):
    """The logarithm of the softmax along `over`. It is what IEEE arithmetic makes of (x - m) - log(sum of e^(x - m))
    with the largest x as m, so that no digits are lost however far from 0 a row lies. A row that holds NaN or +inf, or
    nothing but -inf, has no such logarithm: it is NaN throughout, and so is its gradient."""

    name = "log_softmax"
    operands = ("x",)
    called = True
    keeps = (OUTPUT,)
    over: Axis

    def infer(self, x: Type) -> Type:
        rules.number(x, 0, self.name)
        rules.has(x, (self.over,), 0, self.name)
        return x.with_dtype(FLOAT)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        x, at = as_float(call, arrays[0]), call.inputs[0].index(self.over)
        shifted: Array = x - x.max(axis=at, keepdims=True, initial=-np.inf)
        shifted -= np.log(np.exp(shifted).sum(at, keepdims=True))
        return shifted

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        if not call.needs(0):
            return (None,)
        total = upstream.sum(axis=call.inputs[0].index(self.over), keepdims=True)
        return (upstream - np.exp(output) * total,)

    def flops(self, output: Type, *inputs: Type) -> Size:
        return output.elements * 5


@dataclass(frozen=True, slots=True)
class LogSumExp(Op):
    """The logarithm of the sum of e^x along `over`. It is -inf where nothing is added (no elements, or all of them
    -inf), else as IEEE arithmetic gives it (+inf where +inf is added, NaN where NaN is). Its gradient is e^(x - y) at
    each x, y being the result, and zeros where nothing is added."""

    name = "logsumexp"
    operands = ("x",)
    called = True
    keeps = (0, OUTPUT)
    over: Axis

    def infer(self, x: Type) -> Type:
        rules.number(x, 0, self.name)
        rules.has(x, (self.over,), 0, self.name)
        return x.without(self.over).with_dtype(FLOAT)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        x, at = as_float(call, arrays[0]), call.inputs[0].index(self.over)
        highest = x.max(axis=at, keepdims=True, initial=-np.inf)
        highest[~np.isfinite(highest)] = 0
        found: Array = np.log(np.exp(x - highest).sum(at)) + highest.squeeze(at)
        return found

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        if not call.needs(0):
            return (None,)
        at = call.inputs[0].index(self.over)
        total = np.where(output == -np.inf, np.array(0, output.dtype), output)
        return (upstream[_at(at)] * np.exp(arrays[0] - total[_at(at)]),)

    def flops(self, output: Type, *inputs: Type) -> Size:
        return inputs[0].elements * 4


def _at(place: int) -> tuple[slice | None, ...]:
    """An index that puts a new axis at `place`."""
    return (*[slice(None)] * place, None)


def _count(x: Array, places: tuple[int, ...]) -> int:
    count = 1
    for place in places:
        count *= x.shape[place]
    return count


def _to_extreme(upstream: Array, output: Array, x: Array, places: tuple[int, ...]) -> Array:
    """The gradient of a largest or smallest element, shared evenly among those that are equal to it; NaN throughout
    where it is NaN, which nothing is equal to."""
    extreme = x == np.expand_dims(output, places)
    count = extreme.sum(places, keepdims=True, dtype=upstream.dtype)
    found: Array = extreme * np.expand_dims(upstream, places) / count
    return found
