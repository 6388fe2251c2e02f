"""Small cases of every primitive: what each backend's lowering, each shape rule and each gradient is tried on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from attndsl.graph import Axis, Graph, InputInfo, OutputInfo, Type, Value
from attndsl.graph.builder import Builder
from attndsl.lazy import np
from attndsl.ops import (
    along,
    contraction,
    control,
    convolution,
    elementwise,
    fused,
    generators,
    movement,
    pieces,
    products,
    reductions,
)
from attndsl.ops import arithmetic as a
from attndsl.ops import comparison as c
from attndsl.ops import pieces as p
from attndsl.ops.arrays import generator
from attndsl.ops.base import Op
from attndsl.sizes import Size

if TYPE_CHECKING:
    import numpy

    from attndsl.lazy import Array

    Maker = Callable[[numpy.random.Generator, tuple[int, ...]], Array]

SIZES: Mapping[str, int] = {"B": 2, "T": 3, "S": 4, "D": 6, "H": 2, "V": 5, "R": 3}


def size(text: str) -> Size:
    """A size from `T`, `3`, or `H*K` (a product)."""
    total = Size.of(1)
    for part in text.split("*"):
        total = total * (Size.of(int(part)) if part.isdigit() else Size.symbol(part))
    return total


def axis(text: str) -> Axis:
    """`T`, or `U=T` for an axis with another name than its size."""
    name, _, length = text.rpartition("=")
    found = Axis.of(size(length))
    return found.named(name) if name else found


def axes(text: str) -> tuple[Axis, ...]:
    return tuple(axis(word) for word in text.split())


def typed(text: str) -> Type:
    """`float B T` and the like."""
    dtype, _, rest = text.partition(" ")
    return Type(dtype, axes(rest))


@dataclass(frozen=True)
class Sample:
    """An op on operands of some types. `makers` are by operand, for those whose values are not to be just anything.
    Where `smooth` is False, the function has kinks or ties in it, and differences do not give its gradient."""

    op: Op
    types: tuple[Type, ...]
    makers: Mapping[int, Maker] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=lambda: SIZES)
    smooth: bool = True
    label: str = ""

    def __str__(self) -> str:
        return f"{self.op.name}({', '.join(map(str, self.types))}){self.label and ' ' + self.label}"

    @property
    def output(self) -> Type:
        return self.op.infer(*self.types)

    def arrays(self, float_dtype: str = "float32", seed: int = 0) -> list[Array]:
        """The operands: floats normal, ints from -3 to 5, bools even, unless a maker says otherwise."""
        draw = generator("sample", str(self), seed)
        made = []
        for i, type in enumerate(self.types):
            shape = tuple(axis.size.value(self.sizes) for axis in type.axes)
            dtype = {"float": float_dtype, "int": "int64", "bool": "bool"}[type.dtype]
            default = {"float": _normal, "int": integers(-3, 6), "bool": integers(0, 2)}[type.dtype]
            made.append(np.asarray(self.makers.get(i, default)(draw, shape)).astype(dtype))
        return made

    def graph(self) -> Graph:
        """A graph that does just this: inputs `x0`, `x1`, … and the output `y`."""
        builder = Builder()
        values = tuple(Value(type) for type in self.types)
        result = builder.emit(self.op, *values)
        return Graph(
            name="Sample",
            hyperparameters={},
            sizes=dict(self.sizes),
            inputs=tuple(InputInfo(f"x{i}", value) for i, value in enumerate(values)),
            outputs=(OutputInfo("y", result),),
            parameters=(),
            constraints=(),
            scopes={},
            body=builder.region(values, (result,)),
        )


def _normal(draw: numpy.random.Generator, shape: tuple[int, ...]) -> Array:
    return draw.standard_normal(shape)


def integers(low: int, high: int) -> Maker:
    return lambda draw, shape: draw.integers(low, high, shape)


def uniform(low: float, high: float) -> Maker:
    return lambda draw, shape: draw.uniform(low, high, shape)


def fixed(values: object) -> Maker:
    return lambda draw, shape: np.broadcast_to(np.array(values), shape)


def apart(draw: numpy.random.Generator, shape: tuple[int, ...]) -> Array:
    """Values that differ from each other by a tenth at least, so that no maximum changes under a small difference."""
    count = int(np.prod(shape))
    return (draw.permutation(count) - count / 2).reshape(shape) / 10


def sample(
    op: Op, *types: str, makers: Mapping[int, Maker] | None = None, smooth: bool = True, label: str = "", **sizes: int
) -> Sample:
    """`Sample` from types as text."""
    return Sample(op, tuple(map(typed, types)), makers or {}, {**SIZES, **sizes}, smooth, label)


def _unary() -> list[Sample]:
    e = elementwise
    function: Op
    positive = {0: uniform(0.2, 3)}
    found = []
    for function in (e.Exp(), e.Tanh(), e.Erf(), e.Sigmoid(), e.Sin(), e.Cos(), e.Neg()):
        found += [sample(function, "float B T"), sample(function, "float"), sample(function, "int T")]
    for function in (e.Log(), e.Sqrt(), e.Rsqrt()):
        found += [sample(function, "float B T", makers=positive), sample(function, "int T", makers={0: integers(1, 9)})]
    found += [sample(function, "float T", makers={0: fixed([0.0, 30.0, -30.0])}) for function in (e.Erf(), e.Sigmoid())]
    for function in (e.Floor(), e.Ceil(), e.Round()):
        halves = {0: fixed([-2.5, 0.5, 1.5])}
        found += [
            sample(function, "float B T"),
            sample(function, "int T"),
            sample(function, "float T", makers=halves, smooth=False),
        ]
    for function in (e.Abs(), e.Sign()):
        found += [sample(function, "float B T"), sample(function, "int T")]
    found.append(sample(e.Not(), "bool B T"))
    for given in ("float", "int", "bool"):
        found += [sample(e.Cast(dtype), f"{given} B T") for dtype in ("float", "int", "bool")]
    found += [sample(e.StopGradient(), "float B T", smooth=False), sample(e.StopGradient(), "int T")]
    return found


def _binary() -> list[Sample]:
    function: Op
    found = []
    for function in (a.Add(), a.Sub(), a.Mul(), a.Maximum(), a.Minimum()):
        found += [
            sample(function, "float B T D", "float B T D"),
            sample(function, "float B T D", "float D"),
            sample(function, "float B T", "float T B", label="transposed"),
            sample(function, "float T", "float S", label="outer"),
            sample(function, "float", "float B T"),
            sample(function, "int T", "int T"),
            sample(function, "float B T", "int T"),
            sample(function, "int", "float T"),
        ]
    for function in (a.Maximum(), a.Minimum()):
        equal = dict.fromkeys((0, 1), fixed(1))
        found += [sample(function, "float T", "float T", makers=equal, smooth=False, label="of equals")]
    found += [
        sample(a.Mul(), "float B T", "bool T"),
        sample(a.Mul(), "bool T", "bool S"),
        sample(a.Mul(), "int T", "bool T"),
    ]
    nonzero: Mapping[int, Maker] = {1: uniform(0.5, 2)}
    signed: Mapping[int, Maker] = {1: fixed([2, -3, 5])}
    found += [
        sample(a.Div(), "float B T", "float T", makers=nonzero),
        sample(a.Div(), "float T", "float B T", makers=nonzero),
        sample(a.Div(), "int T", "int T", makers=signed),
        sample(a.Div(), "float T", "int", makers={1: fixed(3)}),
    ]
    for function in (a.FloorDiv(), a.Mod()):
        found += [
            sample(function, "int B T", "int T", makers=signed),
            sample(function, "float B T", "float T", makers=signed),
            sample(function, "float B T", "int", makers={1: fixed(-2)}),
        ]
    base = {0: uniform(0.3, 2)}
    found += [
        sample(a.Pow(), "float B T", "int", makers={1: fixed(power)}, label=f"^ {power}") for power in range(-2, 5)
    ]
    found += [
        sample(a.Pow(), "float B T", "float", makers={**base, 1: fixed(power)}, label=f"^ {power}")
        for power in (0.5, -0.5, 1.7, 2.0, 9.0)
    ]
    found += [
        sample(a.Pow(), "float B T", "float T", makers=base),
        sample(a.Pow(), "float", "float T", makers={0: fixed(2.0)}),
        sample(a.Pow(), "int", "float T", makers={0: fixed(2)}),
        sample(a.Pow(), "int T", "int", makers={1: fixed(3)}),
        sample(a.Pow(), "int T", "int T", makers={1: integers(0, 4)}),
        sample(
            a.Pow(), "float T", "float", makers={0: fixed([0.0, 1.0, 2.0]), 1: fixed(2.0)}, smooth=False, label="of 0"
        ),
    ]
    ties = {0: integers(0, 3), 1: integers(0, 3)}
    for function in (
        c.Eq(),
        c.Ne(),
        c.Lt(),
        c.Le(),
        c.Gt(),
        c.Ge(),
    ):
        found += [
            sample(function, "int T", "int S", makers=ties),
            sample(function, "float B T", "float T", makers=ties),
            sample(function, "float T", "int", makers=ties),
        ]
    found += [sample(function, "bool T", "bool B T") for function in (c.Eq(), c.Ne(), c.And(), c.Or())]
    found += [sample(function, "bool T", "bool S") for function in (c.And(), c.Or())]
    found += [
        sample(a.Where(), "bool B T", "float B T", "float B T"),
        sample(a.Where(), "bool T", "float B T", "float"),
        sample(a.Where(), "bool B T", "float T", "float B"),
        sample(a.Where(), "bool B T", "int", "float T"),
        sample(a.Where(), "bool T S", "int T", "int S"),
        sample(a.Where(), "bool T", "bool T", "bool"),
    ]
    return found


def _reductions() -> list[Sample]:
    r = reductions
    kind: type[reductions.Reduction]
    function: Op
    found = []
    for kind in (r.Sum, r.Mean, r.Max, r.Min):
        makers = {0: apart} if kind in (r.Max, r.Min) else {}
        found += [sample(kind(axes(over)), "float B T D", makers=makers) for over in ("D", "T", "B D", "B T D")]
        found.append(sample(kind(axes("T")), "int B T"))
    for kind in (r.Max, r.Min):
        found.append(sample(kind(axes("S")), "float B S", makers={0: fixed([1.0, 2.0, 2.0, 1.0])}, smooth=False))
    for kind in (r.Sum, r.Mean):
        found.append(sample(kind(axes("T")), "bool B T"))
        found.append(sample(kind(()), "float B T", label="over nothing"))
    for kind in (r.Any, r.All):
        found += [sample(kind(axes("T")), "bool B T"), sample(kind(axes("B T")), "bool B T")]
    found += [
        sample(r.ArgMax(axis("S")), "float B S D"),
        sample(r.ArgMax(axis("S")), "int B S", makers={0: fixed([0, 7, 7, 1])}, label="of equals"),
    ]
    for running in (along.CumSum(axis("T")), along.CumProd(axis("T"))):
        found += [sample(running, "float B T D"), sample(running, "int B T"), sample(running, "bool T")]
    zeros = {0: fixed([2.0, 0.0, 3.0, 0.0])}
    found += [
        sample(along.CumProd(axis("S")), "float B S", makers=zeros, label="of zeros"),
        sample(along.CumProd(axis("0")), "float B 0", label="of nothing"),
    ]
    equal = {0: fixed([1, 7, 7, 1])}
    for order in (along.ArgSort(axis("S")), along.ArgSort(axis("S"), descending=True)):
        found += [sample(order, "float B S D"), sample(order, "int S B", makers={0: integers(0, 3)})]
        found.append(sample(order, "int B S", makers=equal, label="of equals"))
    empty = {1: fixed([[True, False, True, True], [False] * 4, [True] * 4])}
    large = {0: fixed([1000.0, 999.0, -1000.0, 0.0])}
    for over in ("S", "T", "T S", "S B"):
        found += [
            sample(r.Softmax(axes(over)), "float B T S"),
            sample(r.Softmax(axes(over)), "float B T S", "bool B T S"),
            sample(r.LogSoftmax(axes(over)), "float B T S"),
            sample(r.LogSumExp(axes(over)), "float B T S"),
        ]
    found += [
        sample(r.Softmax(axes("S")), "float B T S", "bool T S", makers=empty, label="with an empty row"),
        sample(r.Softmax(axes("S")), "float B T S", "bool S B"),
        sample(r.Softmax(axes("S")), "int S"),
        sample(r.Softmax(axes("T S")), "float B T S", "bool S"),
        sample(r.Softmax(axes("T S")), "float B T S", "bool B"),
        sample(r.Softmax(axes("S"), sink=True), "float B T S", "float T"),
        sample(r.Softmax(axes("T"), sink=True), "float B T S", "float"),
        sample(r.Softmax(axes("T"), sink=True), "float B T S", "bool S T", "float S B"),
        sample(r.Softmax(axes("S"), sink=True), "float B T S", "bool T S", "int", makers=empty, label="all but empty"),
        sample(r.Softmax(axes("S B"), sink=True), "float B T S", "bool T S", "float T", makers=empty),
        sample(r.Softmax(axes("S"), sink=True), "float 0 S", "float", label="of nothing"),
        sample(r.Softmax(axes("0"), sink=True), "float T 0", "float T", label="over nothing"),
    ]
    for function in (r.Softmax(axes("S")), r.LogSoftmax(axes("S")), r.LogSumExp(axes("S"))):
        found += [sample(function, "float B S", makers=large, label="of large numbers")]
    found += [
        sample(r.Prod(axes("T")), "float B T S"),
        sample(r.Prod(axes("S B")), "float B T S"),
        sample(r.Prod(axes("S")), "float S", label="to a scalar"),
        sample(
            r.Prod(axes("S")), "float B S", makers={0: fixed([[2.0, 0.0, 3.0, 1.0], [0.0, 1.5, 0.0, 2.0]])}, label="0s"
        ),
        sample(r.Prod(axes("T")), "int B T"),
        sample(r.Prod(axes("T")), "bool B T"),
        sample(r.Prod(axes("0")), "float B 0", label="of nothing"),
        sample(r.Prod(axes("T")), "float 0 T", label="for nothing"),
    ]
    d = contraction.Dot
    found += [
        sample(d(axes("D")), "float B T D", "float D V"),
        sample(d(axes("D")), "float B T D", "float V D"),
        sample(d(axes("D")), "float B T H D", "float B S H D", label="with batch axes"),
        sample(d(axes("S")), "float B T H S", "float B S H D"),
        sample(d(axes("D")), "float B T D", "float B T D", label="row by row"),
        sample(d(axes("D")), "float D", "float D", label="to a scalar"),
        sample(d(axes("H D")), "float B T H D", "float D H V", label="over two axes"),
        sample(d(axes("D")), "float D", "float B D T"),
        sample(d(axes("D")), "int T D", "int D"),
        sample(d(axes("D")), "float T D", "int D S"),
    ]
    solve = contraction.SolveTriangular(axis("S"), axis("E=S"))
    found += [
        sample(solve, "float B S E=S", "float B S D"),
        sample(solve, "float E=S B S H", "float D S H V B", label="in another order, with two axes of columns"),
        sample(solve, "float S E=S", "float S", label="of a vector"),
        sample(solve, "int S E=S", "int H S", label="of ints"),
    ]
    return found


def _movement() -> list[Sample]:
    m = movement
    of = axis
    found = [
        sample(m.Rename(of("T"), of("U=T")), "float B T"),
        sample(m.Unflatten(of("H*R"), axes("H R")), "float B H*R T"),
        sample(m.Flatten(axes("H R"), of("H*R")), "float B H R T"),
        sample(m.Flatten(axes("R H"), of("H*R")), "float B H T R", label="of parts that are apart"),
        sample(m.Flatten(axes("T"), of("U=T")), "int B T"),
        sample(m.Transpose(axes("D B T")), "float B T D"),
        sample(m.Transpose(()), "float"),
        sample(m.Broadcast(axes("B T D")), "float T"),
        sample(m.Broadcast(axes("D T")), "float T D"),
        sample(m.Broadcast(axes("B T")), "bool"),
        sample(m.Concat((of("T"), of("S")), Axis("U", size("T") + size("S"))), "float B T", "float B S"),
        sample(m.Concat((of("T"), of("T")), Axis("U", size("T") * 2)), "float B T D", "float T D B"),
        sample(m.Concat((of("T"), of("S"), of("T")), Axis("U", size("S") + size("T") * 2)), "int T", "int S", "int T"),
        sample(p.Slice(of("D"), size("1"), of("T")), "float B D"),
        sample(p.Slice(of("D"), size("T"), of("U=T")), "float D B"),
        sample(p.Slice(of("D"), size("D"), of("0")), "float D", label="of nothing"),
        sample(p.Select(of("T"), size("1")), "float B T D"),
        sample(p.Select(of("D"), size("S")), "int D"),
        sample(m.Flip(of("T")), "float B T D"),
        sample(m.Flip(of("T")), "bool T"),
    ]
    index = {1: integers(0, SIZES["V"])}
    found += [
        sample(p.Take(of("V")), "float V D", "int B T", makers=index, label="of an embedding"),
        sample(p.Take(of("V")), "float D V", "int B T", makers=index),
        sample(p.Take(of("V")), "float V", "int T S", makers=index),
        sample(p.Take(of("V")), "float V H", "int", makers=index),
        sample(p.Take(of("V")), "float B T V", "int B T", makers=index, label="one per place"),
        sample(p.Take(of("V")), "float B V D", "int T B", makers=index),
        sample(p.Take(of("V")), "float V D", "int D", makers=index),
        sample(p.Take(of("V")), "float V D", "int V", makers=index, label="by an index over the same axis"),
        sample(p.Take(of("V")), "float V D", "int V T", makers=index, label="over the same axis and a new one"),
        sample(p.Take(of("V")), "float V B D", "int B V", makers=index, label="per place, over the same axis"),
        sample(
            p.Take(of("V")),
            "float V B D",
            "int T V B",
            makers=index,
            label="per place, the same axis and a new one",
        ),
        sample(p.Take(of("V")), "bool V", "int T", makers=index),
        sample(p.Take(of("V")), "float V E", "int T", makers=index, E=40, label="of wide rows"),
        *_written(of("V")),
        sample(p.ScatterAdd(axes("T"), of("V")), "float B T D", "int T", makers=index),
        sample(p.ScatterAdd(axes("T"), of("V")), "float D T B", "int B T", makers=index, label="one per place"),
        sample(p.ScatterAdd(axes("B T"), of("V")), "float B T D", "int B T", makers=index, label="of an embedding"),
        sample(p.ScatterAdd(axes("T B"), of("V")), "float B H T", "int B H T", makers=index, label="and an axis kept"),
        sample(p.ScatterAdd(axes("T"), of("V")), "int T", "int T", makers=index),
        sample(p.ScatterAdd(axes("T"), of("V")), "float T E", "int T", makers=index, E=40, label="of wide rows"),
    ]
    for stride, dilation, before, after in ((1, 1, 0, 0), (2, 1, 1, 1), (1, 2, 2, 2), (3, 1, 0, 2)):
        places = (SIZES["D"] + before + after - dilation * (SIZES["R"] - 1) - 1) // stride + 1
        numbers = tuple(Size.of(n) for n in (stride, dilation, before, after))
        positions = Axis("P", pieces.Windows.count(size("D"), size("R"), *numbers))
        window = p.Windows(of("D"), positions, of("R"), *numbers)
        found.append(sample(window, "float B D T", label=f"{places} places"))
    return found


def _generators() -> list[Sample]:
    g = generators
    return [
        *(sample(g.Constant(value)) for value in (1.5, -2, True)),
        sample(g.Range(axis("T"))),
        sample(g.SizeOf(size("T") * 2 + 1)),
        sample(g.Element((0.5, -2.0, 1e-3)), "int", makers={0: fixed(2)}),
        sample(g.Element((4, 0, -7)), "int B T", makers={0: integers(0, 3)}),
        sample(g.Element((True, False)), "int", makers={0: fixed(1)}),
        sample(g.OneHot(axis("V")), "int B T", makers={0: integers(0, SIZES["V"])}),
        sample(g.OneHot(axis("V")), "int", makers={0: fixed(4)}),
        sample(g.Uniform(axes("B T"), "u")),
        sample(g.Dropout(0.0, "d"), "float B T"),
        sample(g.Dropout(0.5, "d"), "float B T"),
        sample(g.Dropout(0.5, "d", axes("T")), "float B T"),
        sample(g.Dropout(None, "d"), "float B T", "float", makers={1: fixed(0.5)}, smooth=False),
        *(sample(control.Given(), f"{dtype} B T", f"{dtype} B T") for dtype in ("float", "int", "bool")),
        sample(control.Given(), "float", "float"),
        *(sample(control.InTraining(), f"{dtype} B T", f"{dtype} B T") for dtype in ("float", "int", "bool")),
        sample(control.InTraining(), "float", "float"),
    ]


def _fused() -> list[Sample]:
    f = fused
    q, k, v = "float B T H D", "float B S H D", "float B S H R"
    weights: Mapping[int, Maker] = {3: fixed([[True, False, True, True], [False] * 4, [True] * 4])}

    def attend(**options: object) -> fused.Attention:
        return f.Attention(axes("D"), axis("S"), **options)  # type: ignore[arg-type]

    found = [
        sample(attend(), q, k, v),
        sample(attend(scale=0.3), "float T D", "float S D", "float S R"),
        sample(attend(scale=0.3, masked=True), q, k, v, "bool T S", makers=weights, label="with an empty row"),
        sample(attend(scale=0.3, masked=True), q, k, v, "bool B S"),
        sample(attend(scale=0.3, biased=True), q, k, v, "float H T S"),
        sample(attend(biased=True), q, k, v, "float B T H S"),
        sample(attend(scale=2.0, masked=True, biased=True), q, k, v, "bool B T S", "float S T"),
        sample(attend(scale=0.3), "float B T H R D", "float B S H D", "float B S H V", label="grouped queries"),
        sample(attend(scale=0.3), q, "float B S D", "float B S R", label="multi-query"),
        sample(attend(scale=0.3, dropout=0.4, site="attn"), q, k, v),
        sample(attend(scale=0.3, cap=1.5), q, k, v),
        sample(
            attend(cap=2.0, masked=True, biased=True), q, k, v, "bool T S", "float S T", makers=weights, label="capped"
        ),
        sample(attend(scale=0.3, sunk=True), q, k, v, "float H"),
        sample(attend(cap=2.0, masked=True, sunk=True), q, k, v, "bool T S", "float H", makers=weights, label="sunk"),
        sample(attend(biased=True, sunk=True), q, k, v, "float H T S", "float B T", label="a sink for each query"),
        sample(attend(sunk=True, dropout=0.4, site="attn"), q, k, v, "float"),
    ]
    x = "float B T D"
    found += [
        sample(f.LayerNorm(axes("D"), 1e-5, True, True), x, "float D", "float D"),
        sample(f.LayerNorm(axes("D"), 1e-5, True, False), x, "float D"),
        sample(f.LayerNorm(axes("D"), 1e-5, False, True), x, "float D"),
        sample(f.LayerNorm(axes("D"), 1e-5, False, False), x),
        sample(f.LayerNorm(axes("T D"), 1e-5, True, True), x, "float D", "float D T", label="over two axes"),
        sample(f.LayerNorm(axes("T"), 1e-5, True, True), x, "float T", "float B T", label="over an inner axis"),
        sample(f.RMSNorm(axes("D"), 1e-6, True), x, "float D"),
        sample(f.RMSNorm(axes("D"), 1e-6, False), x),
        sample(f.RMSNorm(axes("T"), 1e-6, True), x, "float T"),
    ]
    for function in (f.Gelu(False), f.Gelu(True), f.Silu()):
        found += [sample(function, x), sample(function, "float T", makers={0: fixed([0.0, 12.0, -12.0])})]
    return found


def _written(over: Axis) -> list[Sample]:
    """Writes, to places that differ from one another."""

    def places(draw: numpy.random.Generator, shape: tuple[int, ...]) -> Array:
        order = draw.random((*shape[:-1], SIZES[over.name])).argsort(-1)
        return order[..., : shape[-1]] if shape else np.asarray(draw.integers(SIZES[over.name]))

    def write(memory: str, values: str, at: str, label: str = "") -> Sample:
        return Sample(pieces.Write(over), (typed(memory), typed(values), typed(at)), {2: places}, label=label)

    return [
        write("float B V D", "float B T D", "int B T", "one for each row"),
        write("float H V B D", "float D B H T", "int B T", "in another layout"),
        write("float B V D", "float T B D", "int T", "the same for all"),
        write("float B V D", "float B D", "int", "at one place"),
        write("bool B V", "bool B T", "int B T", "of bools"),
    ]


def _grouped() -> list[Sample]:
    index, sorted_ = {2: integers(0, 5)}, {2: fixed([1, 1, 4])}
    some, sorted_some = {2: integers(-3, 8)}, {2: fixed([-2, 1, 7])}

    def product(over: str = "D", *, ordered: bool = False, partial: bool = False) -> products.GroupedDot:
        return products.GroupedDot(axes(over), axis("V"), ordered, partial)

    return [
        sample(product(), "float T D", "float V D H", "int T", makers=index),
        sample(product(ordered=True), "float T D", "float V D H", "int T", makers=sorted_, label="groups without rows"),
        sample(product(ordered=True), "float T S D", "float V D H", "int T", makers=sorted_, label="rows of several"),
        sample(product(ordered=True), "float S T D", "float V D H", "int T", makers=sorted_, label="in another order"),
        sample(product(), "float B T D", "float V D H", "int B T", makers=index),
        sample(product(), "float B T D", "float V D H", "int T B", makers=index, label="an index laid out otherwise"),
        sample(product(), "float D T", "float D H V", "int T", makers=index, label="all laid out otherwise"),
        sample(product("D S"), "float T S D", "float V D R S H", "int T", makers=index, label="over two axes to two"),
        sample(product(), "float T D", "float V D H", "int T", makers=index, label="no rows", T=0),
        sample(product(), "int T D", "float V D H", "int T", makers=index, label="of ints"),
        sample(product(partial=True), "float B T D", "float V D H", "int B T", makers=some, label="of some rows"),
        sample(
            product(ordered=True, partial=True),
            "float T S D",
            "float V D H",
            "int T",
            makers=sorted_some,
            label="of some rows that lie together",
        ),
    ]


def _cross_entropies() -> list[Sample]:
    target, rows = {2: integers(0, SIZES["V"])}, ("float B T D", "float D V", "int B T")
    few: Mapping[int, Maker] = {**target, 3: fixed([[True, False, False], [False, True, False]])}
    all_out: Mapping[int, Maker] = {**target, 3: fixed(False)}

    def lost(along: str = "B T", **options: object) -> products.LinearCrossEntropy:
        return products.LinearCrossEntropy(axis("D"), axis("V"), axes(along), **options)  # type: ignore[arg-type]

    everything = lost(smoothing=0.2, cap=1.5, biased=True, weighted=True, masked=True)
    shares = {**target, 4: uniform(0.5, 2)}
    return [
        sample(lost(), *rows, makers=target),
        sample(lost(), "float B T D", "float V D", "int B T", makers=target, label="with a table of classes"),
        sample(lost(), "float D T B", "float D V", "int B T", makers=target, label="laid out otherwise"),
        sample(lost("B"), "float B D", "float V D", "int B", makers=target),
        sample(lost(biased=True), *rows, "float V", makers=target, label="biased"),
        sample(
            lost(biased=True), "float B T D", "float V D", "int B T", "float V", makers=target, label="biased table"
        ),
        sample(lost(cap=1.5), *rows, makers=target, label="capped"),
        sample(lost(smoothing=0.1), *rows, makers=target, label="smoothed"),
        sample(lost(weighted=True), *rows, "float T", makers=target, label="weighted by one axis"),
        sample(lost(masked=True), *rows, "bool B T", makers=few, label="of few rows"),
        sample(lost(masked=True), *rows, "bool B T", makers=all_out, label="of none of the rows"),
        sample(lost(), *rows, makers=target, label="without rows", T=0),
        sample(everything, *rows, "float V", "float T B", "bool B T", makers=shares, label="with everything"),
        sample(lost(), "int B T D", "float D V", "int B T", makers=target, label="of ints"),
    ]


def _window(along: str, offsets: str, stride: int = 1, dilation: int = 1, before: int = 0, after: int = 0) -> p.Windows:
    """Windows along an axis, one for each place on `P` and the name of the axis."""
    whole, inside = axis(along), axis(offsets)
    numbers = tuple(Size.of(n) for n in (stride, dilation, before, after))
    places = Axis(f"P{whole.name}", p.Windows.count(whole.size, inside.size, *numbers))
    return p.Windows(whole, places, inside, *numbers)


def _convolutions() -> list[Sample]:
    found = []
    for kind in (convolution.Convolution, convolution.TransposedConvolution):

        def one(x: str, kernel: str, *windows: p.Windows, over: str = "H", label: str = "", kind: Any = kind) -> Sample:
            """A convolution of x; or, transposed, of what has the places of the windows instead of x's axes."""
            type, filled = typed(x), typed(kernel)
            if kind is convolution.TransposedConvolution:
                along = {w.axis: w.positions for w in windows}
                type = Type(type.dtype, tuple(along.get(each, each) for each in type.axes))
            return Sample(kind(windows, axes(over)), (type, filled), label=label)

        found += [
            one("float B D H", "float R H V", _window("D", "R")),
            one("float B D H", "float V R H", _window("D", "R", 2, 1, 1, 1), label="strided"),
            one("float H D", "float R V H", _window("D", "R", 1, 2, 2, 2), label="dilated, no batch"),
            one("float D H T B", "float R H V", _window("D", "R", 1, 1, 2, 0), label="causal"),
            one("float D H T B", "float R H V", _window("D", "R", 2, 1, 0, 1), label="padded at the end"),
            one("float B D H S", "float R H V S", _window("D", "R", 1, 1, 1, 1), label="in groups"),
            one("float B D H", "float R H", _window("D", "R"), label="to one channel"),
            one("float B D H S", "float S R H V", _window("D", "R"), over="S H", label="over two axes"),
            one("float B D H", "float B R H V T", _window("D", "R"), label="a kernel for each of the batch"),
            one(
                "float B V D H",
                "float R T H S",
                _window("V", "R", 2, 1, 1, 1),
                _window("D", "T"),
                label="over two axes",
            ),
            one(
                "float B V D H S",
                "float R T=2 H S",
                _window("D", "R", 3),
                _window("V", "T=2"),
                label="over two, in groups",
            ),
            one(
                "float V D S H",
                "float R T Q=2 H U=2",
                _window("V", "R"),
                _window("D", "T"),
                _window("S", "Q=2"),
                label="over three",
            ),
            one(
                "float V D S T H",
                "float R=2 K=2 Q=2 O=2 H",
                *map(_window, ("V", "D", "S", "T"), ("R=2", "K=2", "Q=2", "O=2")),
                label="over four",
            ),
            one("int B D H", "float R H V", _window("D", "R")),
        ]
    found.append(
        Sample(
            convolution.Convolution((_window("D", "R"),)),
            (typed("float B D H"), typed("float R H")),
            label="of each channel",
        )
    )
    return found


def _table() -> dict[str, list[Sample]]:
    table: dict[str, list[Sample]] = {}
    for found in (
        *_unary(),
        *_binary(),
        *_reductions(),
        *_movement(),
        *_generators(),
        *_fused(),
        *_grouped(),
        *_cross_entropies(),
        *_convolutions(),
    ):
        table.setdefault(found.op.name, []).append(found)
    return table


SAMPLES: dict[str, list[Sample]] = _table()
