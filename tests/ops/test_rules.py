"""What the shape rules refuse, and in which words; the types that they give."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attndsl import ops
from attndsl.graph import Axis, Type, align
from attndsl.graph.cursor import parse_size
from attndsl.sizes import Size
from tests.samples.ops import axes, axis, size, typed

DISPLACED = Type("float", (Axis("S", size("S"), Size.symbol("M") * -1),))

RESULTS = [
    (ops.Add(), ["float B T D", "float D"], "float[B, T, D]"),
    (ops.Add(), ["float D", "float B T D"], "float[B, T, D]"),
    (ops.Add(), ["int T", "int S"], "int[T, S]"),
    (ops.Add(), ["float T D", "float D B T"], "float[D, B, T]"),
    (ops.Div(), ["int T", "int T"], "float[T]"),
    (ops.Add(), ["float T D", "float32 D"], "float32[T, D]"),
    (ops.Div(), ["int T", "float32 T"], "float32[T]"),
    (ops.Mul(), ["float32 T", "bool T"], "float32[T]"),
    (ops.Exp(), ["float32 T"], "float32[T]"),
    (ops.Gt(), ["float32 T", "float"], "bool[T]"),
    (ops.Where(), ["bool T", "float32", "int B"], "float32[T, B]"),
    (ops.Sum(axes("T")), ["float32 B T"], "float32[B]"),
    (ops.CumSum(axis("T")), ["float32 B T"], "float32[B, T]"),
    (ops.Softmax(axes("T"), sink=True), ["float B T", "float32"], "float32[B, T]"),
    (ops.Dot(axes("D")), ["float32 T D", "float D E"], "float32[T, E]"),
    (ops.LayerNorm(axes("D"), 1e-5), ["float32 T D", "float D", "float D"], "float32[T, D]"),
    (ops.Dropout(0.1, "d"), ["float32 T"], "float32[T]"),
    (ops.Cast("float"), ["float32 T"], "float[T]"),
    (ops.Mul(), ["bool T", "bool T"], "int[T]"),
    (ops.Mul(), ["float T", "bool T"], "float[T]"),
    (ops.Exp(), ["int T"], "float[T]"),
    (ops.Pow(), ["int T", "int"], "int[T]"),
    (ops.Lt(), ["int T", "float"], "bool[T]"),
    (ops.Where(), ["bool T", "int", "float B"], "float[T, B]"),
    (ops.Sum(axes("T")), ["bool B T"], "int[B]"),
    (ops.Mean(axes("T")), ["int B T"], "float[B]"),
    (ops.ArgMax(axis("T")), ["float B T"], "int[B]"),
    (ops.Dot(axes("D")), ["float B T H D", "float B S H D"], "float[B, T, H, S]"),
    (ops.Dot(axes("S")), ["float B T H S", "float B S H D"], "float[B, T, H, D]"),
    (ops.Dot(axes("D")), ["float V D", "float B T D"], "float[V, B, T]"),
    (ops.Rename(axis("T"), axis("S=T")), ["float B T"], "float[B, S=T]"),
    (ops.Unflatten(axis("H*K"), axes("H K")), ["float B H*K T"], "float[B, H, K, T]"),
    (ops.Flatten(axes("K H"), axis("W=H*K")), ["float B H T K"], "float[B, W=H*K, T]"),
    (ops.Take(axis("V")), ["float V D", "int B T"], "float[B, T, D]"),
    (ops.Take(axis("V")), ["float B V D", "int B T"], "float[B, T, D]"),
    (ops.Take(axis("V")), ["float V H", "int T S"], "float[T, S, H]"),
    (ops.OneHot(axis("V")), ["int B T"], "float[B, T, V]"),
]


@pytest.mark.parametrize(("op", "given", "expected"), RESULTS, ids=lambda part: str(part))
def test_result(op: ops.Op, given: list[str], expected: str) -> None:
    assert str(op.infer(*map(typed, given))) == expected


REFUSED = [
    (ops.Add(), ["float T=D", "float T=S"], "E0203", "axis `T` has size `D` in one and `S` in the other"),
    (ops.Add(), ["float S", DISPLACED], "E0203", "axis `S` starts at position 0 in one and at -M in the other"),
    (ops.Add(), ["bool T", "float T"], "E0204", "`add` takes numbers, but this is `bool[T]`"),
    (ops.Exp(), ["bool T"], "E0204", "`exp` takes numbers"),
    (ops.Eq(), ["bool T", "int T"], "E0204", "takes numbers"),
    (ops.And(), ["bool T", "int T"], "E0204", "`and` takes a bool, but this is `int[T]`"),
    (ops.Not(), ["int T"], "E0204", "`not` takes a bool"),
    (ops.Where(), ["int T", "int T", "int T"], "E0204", "`where` takes a bool"),
    (ops.Where(), ["bool T", "bool T", "int T"], "E0204", "`where` chooses between"),
    (ops.Cast("complex"), ["int T"], "E0204", "there is no dtype `complex`"),
    (ops.Sum(axes("S")), ["float B T"], "E0203", "`sum` is over `S`, which `float[B, T]` does not have"),
    (ops.Sum(axes("T")), ["float B T=D"], "E0203", "axis `T` has size `T` in one and `D` in the other"),
    (ops.Any(axes("T")), ["float B T"], "E0204", "`any` takes a bool"),
    (ops.Softmax(axes("S")), ["float T S", "float T S"], "E0204", "`softmax` takes a bool"),
    (ops.Softmax(axes("S")), ["float T S", "bool B S"], "E0203", "the mask of `softmax` is `bool[B, S]`"),
    (ops.Dot(axes("D")), ["float T D", "float S"], "E0203", "`dot` is over `D`, which `float[S]` does not have"),
    (ops.Dot(()), ["float T D", "float S"], "E0203", "`dot` needs an axis"),
    (ops.Dot(axes("D")), ["float T D", "float T=S D"], "E0203", "axis `T` has size `T` in one and `S` in the other"),
    (ops.Rename(axis("T"), axis("B=T")), ["float B T"], "E0205", "would have the axis `B` twice"),
    (
        ops.Unflatten(axis("D"), axes("H K")),
        ["float D"],
        "E0206",
        "`D` does not split into [H, K]: `D` is not `H*K`",
    ),
    (ops.Flatten(axes("H K"), axis("D")), ["float H K"], "E0206", "[H, K] do not make up `D`"),
    (ops.Transpose(axes("T")), ["float B T"], "E0203", "has [B], which the new order lacks"),
    (ops.Broadcast(axes("B T")), ["float D"], "E0203", "`float[B, T]` has no `D`"),
    (ops.Concat(axes("T S"), axis("U=T")), ["float B T", "float B S"], "E0206", "do not add up to `U`"),
    (ops.Concat(axes("T S"), axis("U=T")), ["float B T", "float D S"], "E0203", "their axes differ"),
    (ops.Concat(axes("T T"), axis("U=2*T")), ["float T", "int T"], "E0204", "`concat` of `float[T]` and `int[T]`"),
    (ops.Slice(axis("T"), size("1"), axis("U=T")), ["float T"], "E0206", "is not within `T`"),
    (ops.Select(axis("T"), Size.of(-1)), ["float T"], "E0206", "there is no element -1 along `T`"),
    (ops.Select(axis("T"), size("T")), ["float T"], "E0206", "there is no element T along `T`"),
    (ops.Take(axis("V")), ["float V D", "float T"], "E0204", "an index must be an int"),
    (ops.Take(axis("V")), ["float V D", "int D=T"], "E0203", "axis `D` has size `D` in one and `T` in the other"),
    (ops.Windows(axis("T"), axis("U=T"), axis("R=3")), ["float T"], "E0206", "another number of windows"),
    (ops.Dropout(1.0, "d"), ["float T"], "E0206", "below 1"),
    (ops.LayerNorm(axes("D"), 1e-5), ["float T D", "float S", "float D"], "E0203", "the scale of `layer_norm`"),
]


@pytest.mark.parametrize(("op", "given", "code", "words"), REFUSED, ids=lambda part: str(part)[:60])
def test_refused(op: ops.Op, given: list[str | Type], code: str, words: str) -> None:
    with pytest.raises(ops.Mismatch) as problem:
        op.infer(*(typed(t) if isinstance(t, str) else t for t in given))
    assert problem.value.code == code
    assert words in problem.value.message
    assert problem.value.operands or code == "E0204" or op.name == "dot"


@given(st.lists(st.sampled_from("ABCDE"), unique=True), st.lists(st.sampled_from("ABCDE"), unique=True))
def test_alignment(left: list[str], right: list[str]) -> None:
    first, second = axes(" ".join(left)), axes(" ".join(right))
    result = align(first, second)
    assert set(result) == {*first, *second}
    assert len(set(result)) == len(result)
    if set(first) >= set(second):
        assert result == first
    elif set(second) > set(first):
        assert result == second
    else:
        assert result[: len(first)] == first
    assert ops.Add().infer(Type("float", first), Type("float", second)).axes == result


def test_how_many_windows_there_are() -> None:
    def count(
        length: str, of: str, stride: str = "1", dilation: str = "1", before: str = "0", after: str = "0"
    ) -> Size:
        return ops.Windows.count(*map(parse_size, (length, of, stride, dilation, before, after)))

    assert count("T", "3", before="1", after="1") == size("T")
    assert count("T", "1") == size("T")
    assert count("10", "3", stride="2") == size("4")
    assert count("10", "3", dilation="2") == size("6")
    assert count("T", "R", dilation="D", before="D*(R-1)") == size("T")
    assert count("R*T", "R", stride="R") == size("T")


def test_constants_of_different_dtypes_differ() -> None:
    assert len({ops.Constant(1), ops.Constant(1.0), ops.Constant(True), ops.Constant(0.0), ops.Constant(-0.0)}) == 5
    assert ops.Constant(float("nan")) == ops.Constant(float("nan"))
