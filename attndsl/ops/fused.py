"""Operators that passes make from groups of primitives; each can be taken apart again (`expand`)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol, TypeVar

from attndsl.lazy import np
from attndsl.ops import rules
from attndsl.ops.arithmetic import Add, Div, Mul, Pow, Sub
from attndsl.ops.arrays import as_float, collect, contract, places, softmax, softmax_gradient, spread
from attndsl.ops.base import OUTPUT, Call, Op
from attndsl.ops.contraction import Dot
from attndsl.ops.elementwise import Erf, Rsqrt, Sigmoid, Tanh
from attndsl.ops.generators import Constant, Dropout
from attndsl.ops.reductions import Mean, Softmax
from attndsl.ops.special import by_chunks, erf, sigmoid
from attndsl.records import dataclass
from attndsl.sizes import Size
from attndsl.types import FLOAT, Axis, Type

if TYPE_CHECKING:
    from attndsl.ops.base import Array


_GELU = math.sqrt(2 / math.pi)
_ROOT_2 = math.sqrt(2)


V = TypeVar("V")  # what is put together: values of a graph, or types alone


class Emitter(Protocol[V]):
    """Applies ops one after the other, as `attndsl.graph.builder.Builder` does."""

    def emit(self, op: Op, *inputs: V) -> V: ...


class Fused(Op):
    """An operator with a decomposition into primitives."""

    __slots__ = ()

    def expand(self, builder: Emitter[V], *values: V) -> V:
        """The same result, from primitives that `builder` applies."""
        raise NotImplementedError(type(self).__name__)

    def flops(self, output: Type, *inputs: Type) -> Size:
        """Those of the decomposition."""
        counter = _Counter()
        self.expand(counter, *inputs)
        return counter.flops


class _Counter:
    """Applies ops to types, and adds up what that would cost."""

    def __init__(self) -> None:
        self.flops = Size.of(0)

    def emit(self, op: Op, *inputs: Type) -> Type:
        output = op.infer(*inputs)
        self.flops = self.flops + op.flops(output, *inputs)
        return output


@dataclass(frozen=True, slots=True)
class MaskFacts:
    """What follows from what a mask computes, for the queries along `queries` (None: there is one) and the keys along
    the axis that the softmax is over. `q` and `k` are positions: they count from each axis's origin. What is not known
    is not said; the default is to know nothing.

    `aligned`: queries and keys have one length and one origin. `banded`: the mask is exactly `q - before <= k <= q +
    after` (None: no bound on that side). `prefix`: it is exactly `k < prefix or k <= q`. `block`: it is exactly
    `q // block == k // block`. `keys_only`: no query takes part. `data`: it depends on more than positions.
    `may_be_empty`: a query may have nothing to attend to.
    """

    queries: Axis | None = None
    aligned: bool = False
    banded: bool = False
    before: Size | None = None
    after: Size | None = None
    prefix: Size | None = None
    block: Size | None = None
    keys_only: bool = False
    data: bool = True
    may_be_empty: bool = True

    @property
    def causal(self) -> bool:
        """Exactly `k <= q`, between axes of one length and origin."""
        return self.aligned and self.banded and self.before is None and self.after == Size.of(0)

    @property
    def window(self) -> Size | None:
        """n, where the mask is exactly `k <= q and q - k < n`, between axes of one length and origin."""
        if not (self.aligned and self.banded and self.after == Size.of(0)) or self.before is None:
            return None
        return self.before + 1


@dataclass(frozen=True, slots=True)
class Attention(Fused):
    """dot(dropout(softmax(dot(q, k, over=contract) * scale + bias, over=over, where=where)), v, over=over)
    (Vaswani et al., 2017, equation 1). `where` is the fourth operand if `masked`; `bias` follows if `biased`. Queries
    with nothing to attend to, and scores that are NaN or infinite, are as `Softmax` says. `mask` is what is known of
    `where`, for those who write code for it: it changes no value."""

    name = "attention"
    operands = ("q", "k", "v", "where?", "bias?")
    keeps = (0, 1, 2, 3, 4, OUTPUT)
    contracts = True
    role = "attention"
    contract: tuple[Axis, ...]
    over: Axis
    scale: float = 1.0
    masked: bool = False
    biased: bool = False
    dropout: float = 0.0
    site: str = ""
    mask: MaskFacts = MaskFacts()

    @property
    def draws(self) -> bool:
        return self.dropout > 0

    def infer(self, q: Type, k: Type, v: Type, *extra: Type) -> Type:
        where, bias = self.extra(*extra)
        score = Dot(self.contract).infer(q, k).with_dtype(FLOAT)
        if bias is not None:
            rules.number(bias, 3 + self.masked, self.name)
            rules.within(bias, score, 3 + self.masked, self.name, "bias")
        weight = Softmax(self.over).infer(score) if where is None else Softmax(self.over).infer(score, where)
        return Dot((self.over,)).infer(weight, v)

    def extra(self, *extra: V) -> tuple[V | None, V | None]:
        """`where` and `bias` among the operands after v, None where there is none."""
        rest = list(extra)
        return (rest.pop(0) if self.masked else None), (rest.pop(0) if self.biased else None)

    def _weights(self, call: Call, arrays: tuple[Array, ...]) -> tuple[Array, Type, Array | None]:
        """The attention weights before dropout, their type, and the mask laid out for them."""
        where, bias = self.extra(*zip(call.inputs[3:], arrays[3:], strict=True))
        q, k = call.inputs[:2]
        type = Dot(self.contract).infer(q, k).with_dtype(FLOAT)
        score = contract(as_float(call, arrays[0]), q.axes, as_float(call, arrays[1]), k.axes, type.axes)
        if self.scale != 1.0:
            score *= self.scale
        if bias is not None:
            score += spread(as_float(call, bias[1]), bias[0].axes, type.axes)
        mask = None if where is None else spread(where[1], where[0].axes, type.axes)
        return softmax(score, type.index(self.over), mask, overwrite=True), type, mask

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        weight, type, _ = self._weights(call, arrays)
        kept = Dropout(self.dropout, self.site).factors(call, type)
        if kept is not None:
            weight *= kept
        return contract(weight, type.axes, as_float(call, arrays[2]), call.inputs[2].axes, call.output.axes)

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        weight, type, mask = self._weights(call, arrays)
        kept = Dropout(self.dropout, self.site).factors(call, type)
        (q, k, v), axes = call.inputs[:3], call.output.axes
        result: list[Array | None] = [None] * len(arrays)
        if call.needs(2):
            dropped = weight if kept is None else weight * kept
            result[2] = contract(dropped, type.axes, upstream, axes, v.axes)
        score = contract(upstream, axes, as_float(call, arrays[2]), v.axes, type.axes)
        if kept is not None:
            score *= kept
        score = softmax_gradient(score, weight, type.index(self.over), mask)
        if self.biased and call.needs(last := len(arrays) - 1):
            result[last] = collect(score, type.axes, call.inputs[last].axes)
        if self.scale != 1.0:
            score = score * self.scale  # not in place: the bias's gradient may be this very array
        if call.needs(0):
            result[0] = contract(score, type.axes, as_float(call, arrays[1]), k.axes, q.axes)
        if call.needs(1):
            result[1] = contract(score, type.axes, as_float(call, arrays[0]), q.axes, k.axes)
        return tuple(result)

    def expand(self, builder: Emitter[V], *values: V) -> V:
        q, k, v, *extra = values
        where, bias = self.extra(*extra)
        score = builder.emit(Dot(self.contract), q, k)
        if self.scale != 1.0:
            score = builder.emit(Mul(), score, builder.emit(Constant(self.scale)))
        if bias is not None:
            score = builder.emit(Add(), score, bias)
        weight = builder.emit(Softmax(self.over), score, *(() if where is None else (where,)))
        if self.dropout:
            weight = builder.emit(Dropout(self.dropout, self.site), weight)
        return builder.emit(Dot((self.over,)), weight, v)


def _normalised_type(op: Op, over: tuple[Axis, ...], x: Type, *affine: Type) -> Type:
    rules.number(x, 0, op.name)
    rules.has(x, over, 0, op.name)
    for i, type in enumerate(affine, 1):
        rules.number(type, i, op.name)
        rules.within(type, x, i, op.name, op.operands[i].rstrip("?"))
    return x.with_dtype(FLOAT)


def _normalised(call: Call, x: Array, over: tuple[Axis, ...], eps: float, *, centre: bool) -> tuple[Array, Array]:
    """x (minus its mean) over the root of its mean square, and one over that root."""
    axes = places(call.inputs[0].axes, over)
    x = as_float(call, x)
    count = 1
    for place in axes:
        count *= x.shape[place]
    if centre:
        x = x - x.sum(axes, keepdims=True) / count
    root = 1 / np.sqrt((x * x).sum(axes, keepdims=True) / count + eps)
    return x * root, root


def _normalised_gradient(
    call: Call,
    upstream: Array,
    arrays: tuple[Array, ...],
    over: tuple[Axis, ...],
    eps: float,
    *,
    scaled: bool,
    centre: bool,
) -> tuple[Array | None, ...]:
    """The gradients for x, the scale and the shift of a normalisation."""
    axes = call.inputs[0].axes
    y, root = _normalised(call, arrays[0], over, eps, centre=centre)
    result: list[Array | None] = [None] * len(arrays)
    for i, type in enumerate(call.inputs[1:], 1):
        if call.needs(i):
            result[i] = collect(upstream * y if scaled and i == 1 else upstream, axes, type.axes)
    if call.needs(0):
        inner = upstream * spread(as_float(call, arrays[1]), call.inputs[1].axes, axes) if scaled else upstream
        at = places(axes, over)
        count = 1
        for place in at:
            count *= y.shape[place]
        inward = inner - y * ((inner * y).sum(at, keepdims=True) / count)
        if centre:
            inward -= inner.sum(at, keepdims=True) / count
        inward *= root
        result[0] = inward
    return tuple(result)


@dataclass(frozen=True, slots=True)
class LayerNorm(Fused):
    """(x - mean) / sqrt(variance + eps), the variance being the mean squared deviation; then times scale, plus shift
    (Ba, Kiros and Hinton, 2016). `scale` is an operand if `scaled`, `shift` if `shifted`."""

    name = "layer_norm"
    operands = ("x", "scale?", "shift?")
    keeps = (0, 1)
    role = "norm"
    over: tuple[Axis, ...]
    eps: float
    scaled: bool = True
    shifted: bool = True

    def infer(self, x: Type, *affine: Type) -> Type:
        return _normalised_type(self, self.over, x, *affine)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        y, _ = _normalised(call, arrays[0], self.over, self.eps, centre=True)
        axes = call.output.axes
        affine = [
            spread(as_float(call, a), type.axes, axes) for a, type in zip(arrays[1:], call.inputs[1:], strict=True)
        ]
        if self.scaled:
            y *= affine.pop(0)
        if self.shifted:
            y += affine.pop(0)
        return y

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        return _normalised_gradient(call, upstream, arrays, self.over, self.eps, scaled=self.scaled, centre=True)

    def expand(self, builder: Emitter[V], *values: V) -> V:
        x, *affine = values
        centred = builder.emit(Sub(), x, builder.emit(Mean(self.over), x))
        squares = builder.emit(Pow(), centred, builder.emit(Constant(2)))
        y = _divided_by_root(builder, centred, builder.emit(Mean(self.over), squares), self.eps)
        if self.scaled:
            y = builder.emit(Mul(), y, affine.pop(0))
        if self.shifted:
            y = builder.emit(Add(), y, affine.pop(0))
        return y


def _divided_by_root(builder: Emitter[V], x: V, square: V, eps: float) -> V:
    safe = builder.emit(Add(), square, builder.emit(Constant(eps)))
    return builder.emit(Mul(), x, builder.emit(Rsqrt(), safe))


@dataclass(frozen=True, slots=True)
class RMSNorm(Fused):
    """x / sqrt(mean(x ^ 2) + eps), then times scale (Zhang and Sennrich, 2019). `scale` is an operand if `scaled`."""

    name = "rms_norm"
    operands = ("x", "scale?")
    keeps = (0, 1)
    role = "norm"
    over: tuple[Axis, ...]
    eps: float
    scaled: bool = True

    def infer(self, x: Type, *affine: Type) -> Type:
        return _normalised_type(self, self.over, x, *affine)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        y, _ = _normalised(call, arrays[0], self.over, self.eps, centre=False)
        if self.scaled:
            y *= spread(as_float(call, arrays[1]), call.inputs[1].axes, call.output.axes)
        return y

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        return _normalised_gradient(call, upstream, arrays, self.over, self.eps, scaled=self.scaled, centre=False)

    def expand(self, builder: Emitter[V], *values: V) -> V:
        x, *affine = values
        squares = builder.emit(Pow(), x, builder.emit(Constant(2)))
        y = _divided_by_root(builder, x, builder.emit(Mean(self.over), squares), self.eps)
        return builder.emit(Mul(), y, affine[0]) if self.scaled else y


@dataclass(frozen=True, slots=True)
class Gelu(Fused):
    """x times the normal distribution function at x (Hendrycks and Gimpel, 2016); with `approximate`, their tanh form
    0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))."""

    name = "gelu"
    operands = ("x",)
    keeps = (0,)
    role = "activation"
    approximate: bool = False

    def infer(self, x: Type) -> Type:
        rules.number(x, 0, self.name)
        return x.with_dtype(FLOAT)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return by_chunks(self._value, as_float(call, arrays[0]))

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        return (upstream * by_chunks(self._slope, arrays[0]) if call.needs(0) else None,)

    def _curve(self, x: Array) -> Array:
        return np.tanh(_GELU * (x + 0.044715 * (x * x * x))) if self.approximate else erf(x / _ROOT_2)

    def _value(self, x: Array) -> Array:
        found: Array = 0.5 * x * (1 + self._curve(x))
        return found

    def _slope(self, x: Array) -> Array:
        curve = self._curve(x)
        if self.approximate:
            steepness = 0.5 * (1 - curve * curve) * (_GELU * (1 + 3 * 0.044715 * x * x))
        else:
            steepness = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
        return 0.5 * (1 + curve) + x * steepness

    def expand(self, builder: Emitter[V], *values: V) -> V:
        (x,) = values

        def times(value: V, factor: float) -> V:
            return builder.emit(Mul(), value, builder.emit(Constant(factor)))

        if self.approximate:
            cube = builder.emit(Pow(), x, builder.emit(Constant(3)))
            inner = times(builder.emit(Add(), x, times(cube, 0.044715)), _GELU)
            curve = builder.emit(Tanh(), inner)
        else:
            curve = builder.emit(Erf(), builder.emit(Div(), x, builder.emit(Constant(_ROOT_2))))
        share = builder.emit(Add(), curve, builder.emit(Constant(1.0)))
        return builder.emit(Mul(), times(x, 0.5), share)


@dataclass(frozen=True, slots=True)
class Silu(Fused):
    """x * sigmoid(x) (Elfwing et al., 2017; also known as swish)."""

    name = "silu"
    operands = ("x",)
    keeps = (0,)
    role = "activation"

    def infer(self, x: Type) -> Type:
        rules.number(x, 0, self.name)
        return x.with_dtype(FLOAT)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return by_chunks(lambda x: x * sigmoid(x), as_float(call, arrays[0]))

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        return (upstream * by_chunks(self._slope, arrays[0]) if call.needs(0) else None,)

    def _slope(self, x: Array) -> Array:
        share = sigmoid(x)
        found: Array = share * (1 + x * (1 - share))
        return found

    def expand(self, builder: Emitter[V], *values: V) -> V:
        (x,) = values
        return builder.emit(Mul(), x, builder.emit(Sigmoid(), x))
