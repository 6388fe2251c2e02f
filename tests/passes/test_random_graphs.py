"""Whatever graph the passes are given, they keep its types and its numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from attndsl.backends.numpy_reference.evaluator import NumpyProgram
from attndsl.diagnostics import AttnError
from attndsl.graph import FLOAT, Axis, Graph, InputInfo, OutputInfo, Region, Type, Value
from attndsl.graph.builder import Builder
from attndsl.graph.reader import parse_text
from attndsl.graph.text import to_text
from attndsl.graph.verify import verify
from attndsl.ops import (
    Add,
    Cast,
    Constant,
    Div,
    Dot,
    Exp,
    Ge,
    Lt,
    Max,
    Maximum,
    Mean,
    Mismatch,
    Mul,
    Neg,
    Op,
    Pow,
    Range,
    Rename,
    Rsqrt,
    Sigmoid,
    SizeOf,
    Softmax,
    Sqrt,
    Sub,
    Sum,
    Tanh,
    Transpose,
    Where,
)  # fmt: skip
from attndsl.passes import optimize
from attndsl.sizes import Size

B, T, W = (Axis.of(Size.symbol(name)) for name in ("B", "T", "width"))
S = T.named("S")
OPS: tuple[Op, ...] = (
    Add(), Sub(), Mul(), Mul(), Div(), Neg(), Exp(), Tanh(), Sigmoid(), Sqrt(), Rsqrt(), Maximum(), Pow(),
    Cast("float"), Mean((W,)), Sum((W,)), Max((T,)),
    Mean((T,)), Softmax((S,)), Softmax((T,)), Dot((W,)), Dot((T,)), Dot((S,)),
    Rename(T, S), Rename(S, T), Transpose((T, B, W)), Transpose((B, T, W)), Ge(), Lt(), Where(),
    Constant(0), Constant(1), Constant(0.5), Constant(2), Constant(-1e9), Range(T), Range(S),
    SizeOf(Size.symbol("width")),
)  # fmt: skip

steps = st.lists(
    st.tuples(st.integers(0, len(OPS) - 1), st.lists(st.integers(0, 7), min_size=3, max_size=3)), max_size=24
)


def built(choices: list[tuple[int, list[int]]]) -> Graph:
    """The graph that `choices` describe: each names an op and, counted from the last value made, its operands."""
    x, s = Value(Type(FLOAT, (B, T, W))), Value(Type(FLOAT, (W,)))
    builder, made = Builder(), [x, s]
    for choice, operands in choices:
        op = OPS[choice]
        given = tuple(made[-1 - i % len(made)] for i in operands[: len(op.operands)])
        if isinstance(op, Softmax):
            given = given[:1]
        try:
            value = builder.emit(op, *given)
        except Mismatch:
            continue
        if value.type.rank <= 4:
            made.append(value)
    results = made[-3:]
    return Graph(
        "M", {}, {"width": 4}, (InputInfo("x", x), InputInfo("s", s)),
        tuple(OutputInfo(f"y{i}", value) for i, value in enumerate(results)), (), (), {},
        Region((x, s), tuple(builder.nodes), tuple(results)),
    )  # fmt: skip


def taken(graph: Graph, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What it gives; another one is drawn where that has no value, as an integer to the power of a negative one."""
    try:
        return NumpyProgram(graph, dtype="float64").run(inputs)
    except AttnError as problem:
        if [found.code for found in problem.diagnostics] != ["E0805"]:
            raise
        reject()


@settings(max_examples=150)
@given(steps)
def test_types_and_numbers_stay(choices: list[tuple[int, list[int]]]) -> None:
    before = built(choices)
    verify(before)
    assert to_text(parse_text(to_text(before))) == to_text(before)
    after, _ = optimize(before)
    assert [info.value.type for info in after.outputs] == [info.value.type for info in before.outputs]
    random = np.random.default_rng(0)
    inputs = {"x": random.uniform(0.5, 1.5, (2, 3, 4)), "s": random.uniform(0.5, 1.5, 4)}
    with np.errstate(all="ignore"):
        one = taken(before, inputs)
        two = NumpyProgram(after, dtype="float64").run(inputs)
    for name, array in one.items():
        finite = np.isfinite(array) & (np.abs(array) < 1e12)
        np.testing.assert_allclose(two[name][finite], array[finite], rtol=1e-7, atol=1e-7)
