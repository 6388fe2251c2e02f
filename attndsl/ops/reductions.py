"""Primitives that combine the elements along an axis, or normalise along it."""

from __future__ import annotations

from typing import TypeVar

from attndsl.diagnostics import error
from attndsl.lazy import Array, np
from attndsl.ops import rules
from attndsl.ops.arrays import as_float, collect, places, softmax, softmax_gradient, spread, sunk_gradient
from attndsl.ops.base import OUTPUT, Call, Op, Single
from attndsl.sizes import Size
from attndsl.types import BOOL, INT, Axis, Type, widest

P = TypeVar("P")  # values of a graph, types, or arrays with theirs


class Reduction(Single):
    """Combines all elements along the axes `over`, which the result lacks."""

    by_rows = True
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
        return inputs[0].elements if inputs[0].is_float else Size.of(0)


def not_empty(op: Op, call: Call, over: tuple[Axis, ...]) -> None:
    """Raises E0805 where `op`, which `needs_elements`, goes over an axis that has none. A checked model carries a
    constraint that says so before."""
    for axis in over:
        if call.length(axis.size) == 0:
            raise error("E0805", f"`{op.name}` over `{axis.name}`, which has no elements")


class Sum(Reduction):
    """The sum over axes; of bools, how many are True."""

    name = "sum"
    combines = "sum"
    linear = ((0,),)
    keeps = ()
    noun = "total"

    def result(self, x: Type) -> str:
        return x.dtype if x.is_float else INT

    def forward(self, call: Call, x: Array) -> Array:
        found: Array = x.sum(self.places(call), dtype=call.dtype(call.output.dtype))
        return found

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        places = self.places(call)
        return np.broadcast_to(np.expand_dims(upstream, places), x.shape)


class Mean(Reduction):
    """The mean over axes, always a float; of bools, the share that is True."""

    name = "mean"
    combines = "mean"
    linear = ((0,),)
    keeps = ()

    def result(self, x: Type) -> str:
        return x.floating().dtype

    def forward(self, call: Call, x: Array) -> Array:
        x, places = as_float(call, x), self.places(call)
        found: Array = x.sum(places) / _count(x, places)
        return found

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        places = self.places(call)
        return np.broadcast_to(np.expand_dims(upstream / _count(x, places), places), x.shape)


class Max(Reduction):
    """The largest over axes; equal largest elements share the gradient evenly."""

    name = "max"
    combines = "max"
    keeps = (0, OUTPUT)
    needs_elements = True

    def forward(self, call: Call, x: Array) -> Array:
        not_empty(self, call, self.over)
        found: Array = x.max(self.places(call))
        return found

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        return _to_extreme(upstream, y, x, self.places(call))


class Min(Reduction):
    """The smallest over axes; equal smallest elements share the gradient evenly."""

    name = "min"
    combines = "min"
    keeps = (0, OUTPUT)
    needs_elements = True

    def forward(self, call: Call, x: Array) -> Array:
        not_empty(self, call, self.over)
        found: Array = x.min(self.places(call))
        return found

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        return _to_extreme(upstream, y, x, self.places(call))


class Prod(Reduction):
    """The product over axes; bools count as 0 and 1, and of nothing it is 1."""

    name = "prod"
    keeps = (0,)
    noun = "product"

    def result(self, x: Type) -> str:
        return x.dtype if x.is_float else INT

    def forward(self, call: Call, x: Array) -> Array:
        found: Array = x.prod(self.places(call), dtype=call.dtype(call.output.dtype))
        return found

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        """Each element's is the product of the others, before it and behind it: nothing is divided by one that may be
        0."""
        places = self.places(call)
        moved = np.moveaxis(x, places, range(len(places)))
        flat = moved.reshape(_count(x, places), *moved.shape[len(places) :])
        before, behind = np.ones_like(flat), np.ones_like(flat)
        before[1:] = flat[:-1].cumprod(0)
        behind[:-1] = flat[:0:-1].cumprod(0)[::-1]
        others = (before * behind).reshape(moved.shape)
        found: Array = np.moveaxis(others, range(len(places)), places) * np.expand_dims(upstream, places)
        return found


class Any(Reduction):
    """Whether at least one is True."""

    name = "any"
    combines = "max"
    differentiable = False

    def result(self, x: Type) -> str:
        rules.boolean(x, 0, self.name)
        return BOOL

    def forward(self, call: Call, x: Array) -> Array:
        return np.asarray(x.any(self.places(call)))


class All(Reduction):
    """Whether all are True."""

    name = "all"
    combines = "min"
    differentiable = False

    def result(self, x: Type) -> str:
        rules.boolean(x, 0, self.name)
        return BOOL

    def forward(self, call: Call, x: Array) -> Array:
        return np.asarray(x.all(self.places(call)))


class ArgMax(Single):
    """The index of the largest element along `over`; of equal ones the lowest."""

    name = "argmax"
    called = True
    noun = "best"
    differentiable = False
    needs_elements = True
    over: Axis

    def infer(self, x: Type) -> Type:
        rules.number(x, 0, self.name)
        rules.has(x, (self.over,), 0, self.name)
        return x.without(self.over).with_dtype(INT)

    def forward(self, call: Call, x: Array) -> Array:
        not_empty(self, call, (self.over,))
        found: Array = x.argmax(call.inputs[0].index(self.over))
        return found


class Softmax(Op):
    """e^x divided by its sum along `over`, as IEEE arithmetic gives e^(x - m) / sum of e^(x - m) with the largest x as
    m, so that large numbers do not overflow. With `sink` the last operand is one more number in each row's sum (and in
    m), which gets no place in the result (Xiao et al., 2024; OpenAI, 2025): the weights of a row add up to less than 1.

    Only what `where` allows counts. Elsewhere the weight is 0 and no gradient flows, whatever stands there, NaN
    included. A row with nothing to attend to (all of it masked or -inf) is zeros, and so is its gradient. A row in
    which a NaN or +inf counts is NaN wherever it counts."""

    name = "softmax"
    by_rows = True
    operands = ("x", "where?", "sink?")
    role = "activation"
    noun = "weights"
    over: tuple[Axis, ...]
    sink: bool = False

    def kept(self, needed: tuple[bool, ...]) -> tuple[int, ...]:
        """Without a sink the result says what x did; with one it is computed again."""
        if not any(needed):
            return ()
        return tuple(range(len(needed))) if self.sink else (*range(1, len(needed)), OUTPUT)

    def parts(self, *rest: P) -> tuple[P | None, P | None]:
        """`where` and `sink` among the operands after x, None where there is none."""
        left = list(rest)
        sink = left.pop() if self.sink else None
        return (left[0] if left else None), sink

    def infer(self, x: Type, *rest: Type) -> Type:
        where, sink = self.parts(*rest)
        rules.number(x, 0, self.name)
        rules.has(x, self.over, 0, self.name)
        if where is not None:
            rules.boolean(where, 1, self.name)
            rules.within(where, x, 1, self.name, "mask")
        if sink is not None:
            rules.number(sink, len(rest), self.name)
            rules.within(sink, x.without(*self.over), len(rest), self.name, "sink")
            x = x.with_dtype(widest(x.dtype, sink.dtype))
        return x.floating()

    def _laid_out(self, call: Call, rest: tuple[Array, ...]) -> tuple[Array | None, Array | None]:
        axes = call.inputs[0].axes
        where, sink = self.parts(*zip(rest, call.inputs[1:], strict=True))
        mask = None if where is None else spread(where[0], where[1].axes, axes)
        return mask, None if sink is None else spread(as_float(call, sink[0]), sink[1].axes, axes)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        x, *rest = arrays
        return softmax(as_float(call, x), places(call.inputs[0].axes, self.over), *self._laid_out(call, tuple(rest)))

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        x, *rest = arrays
        found: list[Array | None] = [None] * len(arrays)
        mask, sink = self._laid_out(call, tuple(rest))
        at, axes = places(call.inputs[0].axes, self.over), call.inputs[0].axes
        if sink is None:
            found[0] = softmax_gradient(upstream, output, at, mask) if call.needs(0) else None
            return tuple(found)
        own, share = sunk_gradient(upstream, as_float(call, x), at, mask, sink)
        found[0] = own if call.needs(0) else None
        found[-1] = collect(share, axes, call.inputs[-1].axes) if call.needs(len(rest)) else None
        return tuple(found)

    def flops(self, output: Type, *inputs: Type) -> Size:
        return output.elements * 5


class LogSoftmax(Single):
    """The logarithm of the softmax along `over`. It is what IEEE arithmetic makes of (x - m) - log(sum of e^(x - m))
    with the largest x as m, so that no digits are lost however far from 0 a row lies. A row that holds NaN or +inf, or
    nothing but -inf, has no such logarithm: it is NaN throughout, and so is its gradient."""

    name = "log_softmax"
    called = True
    by_rows = True
    keeps = (OUTPUT,)
    over: tuple[Axis, ...]

    def infer(self, x: Type) -> Type:
        rules.number(x, 0, self.name)
        rules.has(x, self.over, 0, self.name)
        return x.floating()

    def forward(self, call: Call, x: Array) -> Array:
        x, at = as_float(call, x), places(call.inputs[0].axes, self.over)
        shifted: Array = x - x.max(axis=at, keepdims=True, initial=-np.inf)
        shifted -= np.log(np.exp(shifted).sum(at, keepdims=True))
        return shifted

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        total = upstream.sum(axis=places(call.inputs[0].axes, self.over), keepdims=True)
        found: Array = upstream - np.exp(y) * total
        return found

    def flops(self, output: Type, *inputs: Type) -> Size:
        return output.elements * 5


class LogSumExp(Single):
    """The logarithm of the sum of e^x along `over`. It is -inf where nothing is added (no elements, or all of them
    -inf), else as IEEE arithmetic gives it (+inf where +inf is added, NaN where NaN is). Its gradient is e^(x - y) at
    each x, y being the result, and zeros where nothing is added."""

    name = "logsumexp"
    called = True
    by_rows = True
    keeps = (0, OUTPUT)
    over: tuple[Axis, ...]

    def infer(self, x: Type) -> Type:
        rules.number(x, 0, self.name)
        rules.has(x, self.over, 0, self.name)
        return x.without(*self.over).floating()

    def forward(self, call: Call, x: Array) -> Array:
        x, at = as_float(call, x), places(call.inputs[0].axes, self.over)
        highest = x.max(axis=at, keepdims=True, initial=-np.inf)
        highest[~np.isfinite(highest)] = 0
        found: Array = np.log(np.exp(x - highest).sum(at)) + highest.squeeze(at)
        return found

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        at = places(call.inputs[0].axes, self.over)
        total = np.where(y == -np.inf, np.array(0, y.dtype), y)
        found: Array = np.expand_dims(upstream, at) * np.exp(x - np.expand_dims(total, at))
        return found

    def flops(self, output: Type, *inputs: Type) -> Size:
        return inputs[0].elements * 4


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
