"""`float32`: what it makes of a value, where a float becomes one, and where it may not stand."""

from __future__ import annotations

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.diagnostics import AttnError
from attndsl.graph.reader import parse_text
from attndsl.graph.text import to_text
from tests.std.meaning import written

HEAD = "model M(width=4, depth=2) {\n  input x: [B, T, width]\n  input fine: float32[B, T, width]\n"

TYPES = {
    "x + fine": "float32[B, T, width]",
    "fine / 2": "float32[B, T, width]",
    "float(fine)": "float[B, T, width]",
    "float32(2) * x": "float[B, T, width]",  # a number has no precision
    "float32(range(T))": "float32[T]",
    "mean(fine, over=T)": "float32[B, width]",
    "linear(fine, 3)": "float32[B, T, 3]",
    "rms_norm(fine)": "float32[B, T, width]",
    "stack(x, fine, T, over=part)": "float32[B, T, width, part=3]",
    "where(x > 0, x, fine)": "float32[B, T, width]",
    "one_hot(argmax(fine, over=width), width)": "float[B, T, width]",
    "attention(x, 2, position=alibi(2) * 0.5)": "float[B, T, width]",
}


@pytest.mark.parametrize("text", TYPES)
def test_the_type_of(text: str) -> None:
    graph = written(f"{HEAD}  output y = {text}\n}}")
    assert str(graph.outputs[0].value.type) == TYPES[text]
    assert to_text(parse_text(to_text(graph))) == to_text(graph)


def test_a_float_is_converted_where_float32_is_written() -> None:
    graph = written(
        HEAD.replace("model", "block twice(y: float32[*]) -> float32[*] {\n  return y + y\n}\nmodel")
        + """  a: float32[T, B, width] = x
  s = scan t in T with h: float32[B, width] = 0.0 {
    h = 0.5 * h + x[T=t]
    emit h
  }
  output y = twice(x)
  output z: float32[B, T, width] = 2 * x
  output both = a + fine
  output states = s
}"""
    )
    assert {str(o.value.type.dtype) for o in graph.outputs} == {"float32"}


WRONG = {
    "y: [B, T, width] = fine\n  output z = y": ("E0204", "convert it with `float(…)`, or write `float32` in the type"),
    "param w: float32[width]\n  output z = w * x": ("E0204", "convert it where it is used: `float32(w)`"),
    "y: float16[B] = mean(x, over=[T, width])\n  output z = y": ("E0204", "write `float[B]`"),
    "y: float23[B] = mean(x, over=[T, width])\n  output z = y": ("E0204", "did you mean `float32`"),
    "repeat h in depth { x += fine }\n  output z = x": ("E0207", "float32[B, T, width] after it"),
}


@pytest.mark.parametrize("text", WRONG)
def test_where_it_may_not_stand(text: str) -> None:
    code, said = WRONG[text]
    with pytest.raises(AttnError) as caught:
        written(f"{HEAD}  {text}\n}}")
    assert caught.value.diagnostics[0].code == code
    assert said in str(caught.value)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_reference_computes_in_its_own_precision(dtype: str) -> None:
    graph = written(HEAD + "  output y = float32(x) * fine\n}")
    ones = np.ones((1, 2, 4), np.float32)
    assert NumpyProgram(graph, dtype=dtype).run({"x": ones, "fine": ones})["y"].dtype == dtype
