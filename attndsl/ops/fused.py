"""Operators that passes make from groups of primitives; each can be taken apart again (`expand`)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Protocol, TypeVar

from attndsl.lazy import Array, np
from attndsl.ops import rules
from attndsl.ops.arithmetic import Add, Div, Mul, Pow, Sub
from attndsl.ops.base import OUTPUT, Call, Op
from attndsl.ops.contraction import Dot
from attndsl.ops.elementwise import Erf, Rsqrt, Sigmoid, Tanh
from attndsl.ops.generators import Constant, Dropout
from attndsl.ops.reductions import Mean, Softmax
from attndsl.records import Frozen, replace
from attndsl.sizes import Size
from attndsl.types import Axis, Type, widest

_GELU = math.sqrt(2 / math.pi)
_ROOT_2 = math.sqrt(2)


V = TypeVar("V")  # what is put together: values of a graph, or types alone


class Emitter(Protocol[V]):
    """Applies ops one after the other, as `attndsl.graph.builder.Builder` does."""

    def emit(self, op: Op, *inputs: V) -> V: ...


class Fused(Op):
    """An operator with a decomposition into primitives, which says what it means and how its gradient flows. So what is
    not finite is the same with it and without."""

    def expand(self, builder: Emitter[V], *values: V) -> V:
        """The same result, from primitives that `builder` applies."""
        raise NotImplementedError(type(self).__name__)

    def infer(self, *inputs: Type) -> Type:
        """That of the decomposition."""
        return _steps(self, inputs)[-1].output

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        """That of the decomposition."""
        return _Run(self, call, arrays).forward()

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        """That of the decomposition, which is computed once more up to its last step."""
        return _Run(self, call, arrays).backward(upstream, output)

    def flops(self, output: Type, *inputs: Type) -> Size:
        """Those of the decomposition."""
        return sum((step.op.flops(step.output, *step.types) for step in _steps(self, inputs)), Size.of(0))


class _Step(Frozen):
    """An op of a decomposition. Values have numbers, first the operands, then the results in order: it reads those in
    `reads`, and `dead` are read by no later one."""

    op: Op
    reads: tuple[int, ...]
    types: tuple[Type, ...]
    output: Type
    dead: tuple[int, ...] = ()


class _Recorder:
    """Writes down what is applied to values that are numbers."""

    def __init__(self, types: tuple[Type, ...]) -> None:
        self.types = list(types)
        self.steps: list[_Step] = []

    def emit(self, op: Op, *inputs: int) -> int:
        types = tuple([self.types[i] for i in inputs])
        self.steps.append(_Step(op, inputs, types, op.infer(*types)))
        self.types.append(self.steps[-1].output)
        return len(self.types) - 1


@lru_cache(maxsize=1024)
def _steps(op: Fused, types: tuple[Type, ...]) -> tuple[_Step, ...]:
    """The decomposition of `op` for operands of these types. Its last step gives the result."""
    recorder = _Recorder(types)
    result = op.expand(recorder, *range(len(types)))
    assert result == len(recorder.types) - 1
    seen: set[int] = set()
    steps: list[_Step] = []
    for step in reversed(recorder.steps):
        steps.append(replace(step, dead=tuple(set(step.reads) - seen)))
        seen.update(step.reads)
    return tuple(reversed(steps))


class _Run:
    """A decomposition at work on arrays."""

    def __init__(self, op: Fused, call: Call, arrays: tuple[Array, ...]) -> None:
        self.call, self.count = call, len(arrays)
        self.steps = tuple(enumerate(_steps(op, call.inputs), self.count))  # by the number of what each gives
        self.values: dict[int, Array] = dict(enumerate(arrays))

    def forward(self) -> Array:
        """The result. What no later step reads is forgotten on the way."""
        for number, step in self.steps:
            self.take(number, step)
            for i in step.dead:
                del self.values[i]
        return self.values[self.steps[-1][0]]

    def take(self, number: int, step: _Step) -> None:
        call = self.call.of(step.types, step.output)
        self.values[number] = np.asarray(step.op.evaluate(call, *[self.values[i] for i in step.reads]))

    def backward(self, upstream: Array, output: Array) -> tuple[Array | None, ...]:
        """The gradients of the operands, given that of the result and the result."""
        needed = [self.call.needs(i) for i in range(self.count)]
        for _, step in self.steps:
            needed.append(step.op.differentiable and step.output.is_float and any(needed[i] for i in step.reads))
        for number, step in self.steps[:-1]:
            self.take(number, step)
        last, _ = self.steps[-1]
        self.values[last] = output
        gradients = {last: upstream}
        for number, step in reversed(self.steps):
            found, result = gradients.pop(number, None), self.values.pop(number)
            if found is None or not needed[number]:
                continue
            asked = tuple([needed[i] for i in step.reads])
            call = self.call.of(step.types, step.output, asked)
            shares = step.op.gradient(call, found, result, *[self.values[i] for i in step.reads])
            for i, share in zip(step.reads, shares, strict=True):
                if share is not None and needed[i]:
                    gradients[i] = gradients[i] + share if i in gradients else share
        return tuple([gradients.get(i) for i in range(self.count)])


class MaskFacts(Frozen):
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


class Attention(Fused):
    """dot(dropout(softmax(score, over=over, where=where, sink=sink)), v, over=over), where the score is
    dot(q, k, over=contract) * scale + bias (Vaswani et al., 2017, equation 1) or, with a soft cap, cap * tanh(dot(q, k,
    over=contract) * scale / cap) + bias (Bello et al., 2016; Gemma Team, 2024). `where` is an operand if `masked`,
    `bias` if `biased`, `sink` if `sunk`. Queries with nothing to attend to, scores that are NaN or infinite, and the
    sink are as `Softmax` says. `mask` is what is known of `where`, for those who write code for it: it changes no
    value."""

    name = "attention"
    operands = ("q", "k", "v", "where?", "bias?", "sink?")
    keeps = (0, 1, 2, 3, 4, 5, OUTPUT)
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
    cap: float = 0.0  # 0: none
    sunk: bool = False

    @property
    def draws(self) -> bool:
        return self.dropout > 0

    def infer(self, q: Type, k: Type, v: Type, *extra: Type) -> Type:
        where, bias, sink = self.extra(*extra)
        score = Dot(self.contract).infer(q, k).floating()
        if bias is not None:
            rules.number(bias, 3 + self.masked, self.name)
            rules.within(bias, score, 3 + self.masked, self.name, "bias")
            score = score.with_dtype(widest(score.dtype, bias.dtype))
        weight = self._softmax.infer(score, *(type for type in (where, sink) if type is not None))
        return Dot((self.over,)).infer(weight, v)

    @property
    def _softmax(self) -> Softmax:
        return Softmax((self.over,), self.sunk)

    def extra(self, *extra: V) -> tuple[V | None, V | None, V | None]:
        """`where`, `bias` and `sink` among the operands after v, None where there is none."""
        rest = iter(extra)
        where, bias, sink = (next(rest) if there else None for there in (self.masked, self.biased, self.sunk))
        return where, bias, sink

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        """That of the decomposition, by blocks of queries."""
        from attndsl.ops.query_blocks import blocks, parts

        found = blocks(self, call, arrays)
        if not found:
            return Fused.evaluate(self, call, *arrays)
        result = np.empty(call.shape(call.output), call.dtype(call.output.dtype))
        for block in found:
            result[block.of(call.output)] = Fused.evaluate(self, call, *parts(block, call.inputs, arrays))
        return result

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        """That of the decomposition, by blocks of queries: what these give for a key is added up."""
        from attndsl.ops.query_blocks import blocks, parts

        found = blocks(self, call, arrays, upstream)
        if not found:
            return Fused.gradient(self, call, upstream, output, *arrays)
        totals: list[Array | None] = [None] * len(arrays)
        for block in found:
            here = block.of(call.output)
            shares = Fused.gradient(self, call, upstream[here], output[here], *parts(block, call.inputs, arrays))
            for i, share in enumerate(shares):
                if share is not None:
                    total = totals[i]
                    total = totals[i] = np.zeros(arrays[i].shape, share.dtype) if total is None else total
                    total[block.of(call.inputs[i])] += share
        return tuple(totals)

    def expand(self, builder: Emitter[V], *values: V) -> V:
        q, k, v, *extra = values
        where, bias, sink = self.extra(*extra)
        score = builder.emit(Dot(self.contract), q, k)
        within = self.scale / self.cap if self.cap else self.scale
        if within != 1.0:
            score = builder.emit(Mul(), score, builder.emit(Constant(within)))
        if self.cap:
            score = builder.emit(Mul(), builder.emit(Tanh(), score), builder.emit(Constant(self.cap)))
        if bias is not None:
            score = builder.emit(Add(), score, bias)
        weight = builder.emit(self._softmax, score, *(value for value in (where, sink) if value is not None))
        if self.dropout:
            weight = builder.emit(Dropout(self.dropout, self.site), weight)
        return builder.emit(Dot((self.over,)), weight, v)


def _normalised_type(op: Op, over: tuple[Axis, ...], x: Type, *affine: Type) -> Type:
    rules.number(x, 0, op.name)
    rules.has(x, over, 0, op.name)
    for i, type in enumerate(affine, 1):
        rules.number(type, i, op.name)
        rules.within(type, x, i, op.name, op.operands[i].rstrip("?"))
    return x.floating()


class LayerNorm(Fused):
    """(x - mean) / sqrt(variance + eps), the variance being the mean squared deviation; then times scale, plus shift
    (Ba, Kiros and Hinton, 2016). `scale` is an operand if `scaled`, `shift` if `shifted`."""

    name = "layer_norm"
    operands = ("x", "scale?", "shift?")
    keeps = (0, 1)
    by_rows = True
    role = "norm"
    over: tuple[Axis, ...]
    eps: float
    scaled: bool = True
    shifted: bool = True

    def infer(self, x: Type, *affine: Type) -> Type:
        return _normalised_type(self, self.over, x, *affine)

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


class RMSNorm(Fused):
    """x / sqrt(mean(x ^ 2) + eps), then times scale (Zhang and Sennrich, 2019). `scale` is an operand if `scaled`."""

    name = "rms_norm"
    operands = ("x", "scale?")
    keeps = (0, 1)
    keeps_beside = 1
    by_rows = True
    role = "norm"
    over: tuple[Axis, ...]
    eps: float
    scaled: bool = True

    def infer(self, x: Type, *affine: Type) -> Type:
        return _normalised_type(self, self.over, x, *affine)

    def expand(self, builder: Emitter[V], *values: V) -> V:
        x, *affine = values
        squares = builder.emit(Pow(), x, builder.emit(Constant(2)))
        y = _divided_by_root(builder, x, builder.emit(Mean(self.over), squares), self.eps)
        return builder.emit(Mul(), y, affine[0]) if self.scaled else y


class Gelu(Fused):
    """x times the normal distribution function at x (Hendrycks and Gimpel, 2016); with `approximate`, their tanh form
    0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))."""

    name = "gelu"
    operands = ("x",)
    keeps = (0,)
    by_rows = True
    role = "activation"
    approximate: bool = False

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


class Silu(Fused):
    """x * sigmoid(x) (Elfwing et al., 2017; also known as swish)."""

    name = "silu"
    operands = ("x",)
    keeps = (0,)
    by_rows = True
    role = "activation"

    def expand(self, builder: Emitter[V], *values: V) -> V:
        (x,) = values
        return builder.emit(Mul(), x, builder.emit(Sigmoid(), x))
