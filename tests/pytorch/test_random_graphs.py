"""Whatever graph it is given, the written source computes what NumPy computes: variables taken up again, expressions
inside others, values shared, loops in place and in classes."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from attndsl import ops
from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.graph import (
    FLOAT,
    INT,
    Axis,
    Graph,
    Initializer,
    InputInfo,
    OutputInfo,
    ParameterInfo,
    Region,
    Type,
    Value,
)
from attndsl.graph.builder import Builder
from attndsl.ops import Op
from attndsl.sizes import Size

pytestmark = pytest.mark.torch

B, T, W, H = (Axis.of(Size.symbol(name)) for name in ("B", "T", "width", "heads"))
S, D = T.named("S"), Axis.of(Size.symbol("width") / Size.symbol("heads"))
TWICE = Axis.of(Size.symbol("T") * 2)
SIZES = {"width": 4, "heads": 2, "depth": 3}

OPS: tuple[Op, ...] = (
    ops.Add(), ops.Add(), ops.Sub(), ops.Mul(), ops.Mul(), ops.Neg(), ops.Tanh(), ops.Sigmoid(), ops.Sin(), ops.Abs(),
    ops.Maximum(), ops.Minimum(), ops.Cast("float"), ops.Cast("int"), ops.StopGradient(), ops.Mean((W,)), ops.Sum((T,)),
    ops.Max((T,)), ops.Sum((B, W)), ops.Softmax((S,)), ops.Softmax((T,)), ops.LogSoftmax((W,)), ops.CumSum(T),
    ops.Dot((W,)), ops.Dot((T,)), ops.Dot((S,)), ops.Dot((D,)), ops.Rename(T, S), ops.Rename(S, T),
    ops.Transpose((T, B, W)), ops.Unflatten(W, (H, D)), ops.Flatten((H, D), W), ops.Flatten((D, H), W),
    ops.Transpose((B, H, T, D)),
    ops.Broadcast((B, T, W)), ops.Slice(W, Size.of(1), H), ops.Select(T, Size.of(0)), ops.Select(W, Size.of(2)),
    ops.Flip(T), ops.Concat((T, T), TWICE), ops.Ge(), ops.Lt(), ops.And(), ops.Not(), ops.Where(), ops.Where(),
    ops.Constant(2), ops.Constant(0.5), ops.Constant(-1.0), ops.Range(T), ops.Range(W), ops.SizeOf(Size.symbol("T")),
    ops.LayerNorm((W,), 1e-5, False, False), ops.Gelu(), ops.Silu(), ops.Dropout(0.0, "d"),
)  # fmt: skip
EXAMPLES = int(os.environ.get("ATTNDSL_EXAMPLES", "150"))
NAMES = ("x", "y", "h.*.x", "h.*.attn.x", "T", "torch", "value", "h.*.block", "self", "i", "out")

Step = tuple[int, list[int], int]
steps = st.lists(
    st.tuples(st.integers(0, len(OPS) - 1), st.lists(st.integers(0, 7), min_size=3, max_size=3), st.integers(-20, 10)),
    min_size=3,
    max_size=24,
)


def _grow(builder: Builder, made: list[Value], choices: list[Step]) -> None:
    """Append the nodes that `choices` describe: each an op, its operands counted from the last value, and a name."""
    for choice, operands, named in choices:
        op = OPS[choice]
        count = 1 if isinstance(op, ops.Softmax) else 2 if isinstance(op, ops.Concat) else len(op.operands)
        names = (NAMES[named],) if named >= 0 else ()
        given = [made[-1 - i % len(made)] for i in operands[:count]]
        if isinstance(op, (ops.Ge, ops.Lt)) or op == ops.Cast("int"):
            given = [value for value in made if value.type.dtype == INT][-count:]  # no jumps at the last bit of a float
            if len(given) < count:
                continue
        try:
            value = builder.emit(op, *given, names=names)
        except ops.Mismatch:
            continue
        if value.type.rank <= 4:
            made.append(value)


def _carried(builder: Builder, made: list[Value], start: Value) -> Value:
    """The last value of the start's type, kept small."""
    found = [value for value in made if value.type == start.type][-1]
    return builder.emit(ops.Tanh(), found)


def _loop(builder: Builder, made: list[Value], choices: list[Step], kind: int) -> None:
    """A repeat with parameters (kind 0), one without (1), a repeat of cases (2) or a scan (3), that reads what is
    around it, carries two values and emits one."""
    starts = tuple([value for value in made if value.type.dtype == FLOAT][-2:])
    bodies = []
    for case in range(2 if kind == 2 else 1):
        inner = Builder(scope="h.*" if kind != 3 else "t")
        index = Value(Type(INT), ("h.*.i",))
        given = tuple(Value(v.type, (f"h.*.{n}",)) for v, n in zip(starts, "xy", strict=True))
        inside = [*made[-3:], index, *given]
        if kind in (0, 2):
            inside.append(inner.emit(ops.Parameter(f"h.*.w{case}", Type(FLOAT, (W,)))))
        _grow(inner, inside, choices[case:])
        results = tuple(_carried(inner, inside, v) for v in given)
        emitted = [v for v in inside if v.type.rank < 3 and v.type.dtype == FLOAT and not {S, T} & set(v.type.axes)]
        emit = inner.emit(ops.Sum(emitted[-1].type.axes), emitted[-1]) if emitted else inner.emit(ops.Constant(1.0))
        bodies.append(inner.region((index, *given), (*results, emit)))
    op: ops.Repeat | ops.Scan
    if kind == 3:
        op = ops.Scan("t", T, 2, bool(len(choices) % 2), (T,))
        builder.scope = "t"
    else:
        op = ops.Repeat(
            "h", Size.symbol("depth"), (0, 1, 1) if kind == 2 else None, 2, (Axis.of(Size.symbol("depth")),)
        )
        builder.scope = "h"
    types = op.outputs(tuple(v.type for v in starts), tuple(bodies))
    made += builder.emit_regions(op, starts, tuple(bodies), types)
    builder.scope = ""


def _built(first: list[Step], inside: list[Step], last: list[Step], kind: int) -> Graph:
    x, s = Value(Type(FLOAT, (B, T, W)), ("x",)), Value(Type(FLOAT, (W,)))
    builder, made = Builder(), [x, s]
    _grow(builder, made, first)
    if kind < 4:
        _loop(builder, made, inside, kind)
    _grow(builder, made, last)
    results = made[-3:]
    layers = {0: [(0, range(3))], 2: [(0, (0,)), (1, (1, 2))]}.get(kind, [])
    parameters = tuple(
        ParameterInfo(f"h.*.w{case}", Type(FLOAT, (W,)), Initializer("normal", (1.0,)), (where,))
        for case, where in layers
    )
    return Graph(
        "M", {}, SIZES, (InputInfo("x", x), InputInfo("self", s)),
        tuple(OutputInfo(f"y{i}", value) for i, value in enumerate(results)), parameters, (), {},
        Region((x, s), tuple(builder.nodes), tuple(results)),
    )  # fmt: skip


@settings(max_examples=EXAMPLES, phases=[p for p in Phase if p is not Phase.explain])
@given(steps, steps, steps, st.integers(0, 4), st.booleans())
def test_source_computes_what_numpy_computes(
    first: list[Step], inside: list[Step], last: list[Step], kind: int, passes: bool
) -> None:
    from attndsl.backends.pytorch.program import TorchProgram

    graph = _built(first, inside, last, kind)
    random = np.random.default_rng(0)
    inputs = {"x": random.uniform(0.5, 1.5, (2, 3, 4)), "self": random.uniform(0.5, 1.5, 4)}
    with np.errstate(all="ignore"):
        meant = NumpyProgram(graph, dtype="float64").run(inputs)
    program = TorchProgram(graph, dtype="float64", passes=passes)
    for name, array in program.run(inputs).items():
        assert array.dtype == meant[name].dtype
        assert array.shape == meant[name].shape
        usual = np.abs(meant[name]) < 1e9
        np.testing.assert_allclose(array[usual], meant[name][usual], rtol=1e-6, atol=1e-6, err_msg=program.source)
