"""Sizes that are required to be equal are one size from there on, in values and gradients on both backends."""

from __future__ import annotations

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.diagnostics import AttnError
from attndsl.graph import Graph
from tests.std.meaning import drawn, written

INPUTS = """
model M(width=4, inner=4, kernel=3, frames=5) {
  input a: [B, N, width]
  input b: [B, M, inner]
"""

SAME = """
block product(x: [*, T, D], y: [*, S, E]) -> [*, T, D] {
  require T == S
  require D == E
  return x * y
}
"""

RIGHT = {
    "in a model": (INPUTS + "require inner == width\n require N == M\n output y = a + b", lambda a, b: a + b),
    "at an input": (
        "model M(width=4) {\n input a: [B, N, width]\n input b: [B, M, width] where M == N\n output y = a + b",
        lambda a, b: a + b,
    ),
    "in a block": (SAME + INPUTS + "output y = product(a, b)", lambda a, b: a * b),
    "in a block, of one axis": (
        SAME + INPUTS + "require N == M\n require width == inner\n output y = product(a, b)",
        lambda a, b: a * b,
    ),
    "in a branch": (
        INPUTS + "require N == M\n if width == inner { x = b } else { x = linear(b, width) }\n output y = a + x",
        lambda a, b: a + b,
    ),
    "in the other branch": (
        INPUTS + "require N == M\n if width != inner or kernel == 2 { x = linear(b, width) } else { x = a * b }\n"
        " output y = a + x",
        lambda a, b: a + a * b,
    ),
    "in an expression": (
        INPUTS + "require N == M\n output y = a + (b if width == inner else linear(b, width))",
        lambda a, b: a + b,
    ),
    "carried by a repeat": (
        INPUTS + "require inner == width and kernel == 3\n require M == N\n repeat i in 2 { b = a + b }\n"
        " output y = a + b",
        lambda a, b: 3 * a + b,
    ),
    "from a repeat on": (
        INPUTS + "repeat i in 2 {\n  require M == N\n  require inner == width\n  b = 2 * a + b\n }\n"
        " output y: [B, M, inner] = b",
        lambda a, b: 4 * a + b,
    ),
    "of a formula": (
        INPUTS + "require N == 2 * M\n x = rearrange(a, [N] -> [M, part=2])\n require width == inner\n"
        " output y = sum(x, over=part) * b",
        lambda a, b: a.reshape(2, -1, 2, 4).sum(2) * b,
    ),
    "of what is rounded": (
        INPUTS + "require (N + 1) // 2 == M\n require width == inner\n"
        " output y = mean(windows(a, over=N -> [U, R], size=1, stride=2), over=R) |> rearrange([U] -> [M])\n"
        " output z: [B, M, width] = y + b",
        lambda a, b: a[:, ::2] + b,
    ),
    "of a quotient": (
        INPUTS + "require width % 2 == 0\n require N == M\n require width == inner\n"
        " half = a[width<width // 2] + b[width<width / 2]\n"
        " output y = half[N=:floor(N / 2)] + half[N=ceil(N / 2):]",
        lambda a, b: (a + b)[:, :3, :2] + (a + b)[:, 3:, :2],
    ),
    "of an odd number": (
        INPUTS + "require kernel % 2 == 1\n require N == M\n require width == inner\n"
        " output y = b + sum(windows(a, over=N -> [U, R], size=kernel, pad=kernel // 2), over=R)",
        lambda a, b: b + a + np.pad(a, ((0, 0), (1, 0), (0, 0)))[:, :-1] + np.pad(a, ((0, 0), (0, 1), (0, 0)))[:, 1:],
    ),
}  # fmt: skip


@pytest.mark.torch
@pytest.mark.parametrize("name", RIGHT)
def test_equal_sizes_are_one(name: str) -> None:
    from attndsl.comparison import compare

    text, meant = RIGHT[name]
    graph = written(text + "\n}\n")
    a, b = drawn(2, 6, 4), drawn(2, 3 if "rounded" in name or "formula" in name else 6, 4, seed=1)
    found = NumpyProgram(graph, dtype="float64").run({"a": a, "b": b})
    np.testing.assert_allclose(found[graph.outputs[-1].name], meant(a, b), atol=1e-12)
    assert compare(graph, inputs={"a": a, "b": b}, gradients=True, dtype="float64").ok


def test_what_is_required_is_checked_by_every_call() -> None:
    program = NumpyProgram(written(INPUTS + "require width == inner\n require N == M\n output y = a + b\n}\n"))
    with pytest.raises(AttnError) as caught:
        program.run({"a": drawn(2, 6, 4), "b": drawn(2, 1, 4)})
    assert [d.code for d in caught.value.diagnostics] == ["E0210"]


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        ("output y = a + b\n require N == M", "E0203"),  # only from there on
        ("require N == M\n if width == inner { x = a + b }\n output y = a + b", "E0203"),  # only in the branch
        ("require N == M\n if width == inner { x = a } else { x = a + b }\n output y = x + b", "E0203"),
        ("require N == M\n if width == inner or kernel == 2 { a += b }\n output y = a", "E0203"),  # either may hold
        ("require N >= M\n require width == inner\n output y = a + b", "E0203"),
        ("require N == M\n require width == kernel\n output y = a", "E0210"),
    ],
)
def test_what_is_not_known_to_be_equal_is_not(rest: str, code: str) -> None:
    with pytest.raises(AttnError) as caught:
        written(INPUTS + rest + "\n}\n")
    assert [d.code for d in caught.value.diagnostics] == [code]


def shown(graph: Graph) -> list[str]:
    return [str(output.value.type) for output in graph.outputs]


def test_one_size_goes_by_the_name_that_was_declared_first() -> None:
    graph = written(
        INPUTS + "require inner == width\n require N == M\n require frames == width + 1\n"
        " output x = b\n output y = linear(b, frames)\n"
        " output z = dot(a, rearrange(b, [M] -> [other=M]), over=width)\n}"
    )
    assert shown(graph) == ["float[B, N, width]", "float[B, N, width+1]", "float[B, N, other=N]"]


def test_an_axis_stays_where_the_tensor_has_the_other_one() -> None:
    """So attention over as many keys as queries says which of them it goes over."""
    graph = written(
        "model M {\n input score: [B, T, S]\n require T == S\n output y = softmax(score, over=T)\n"
        " output z = sum(score, over=S)\n}"
    )
    assert shown(graph) == ["float[B, T, S]", "float[B, T]"]
    score = drawn(2, 3, 3)
    found = NumpyProgram(graph, dtype="float64").run({"score": score})
    np.testing.assert_allclose(found["y"], np.exp(score) / np.exp(score).sum(1, keepdims=True))
    np.testing.assert_allclose(found["z"], score.sum(2))


@pytest.mark.parametrize(
    "rest",
    [
        "output y = a + mean(windows(a, over=N -> [U, R], size=kernel, pad=kernel // 2), over=R)",
        "output y = mean(windows(a, over=N -> [N, R], size=kernel, pad=kernel // 2), over=R)",
    ],
)
def test_what_to_require_is_said(rest: str) -> None:
    with pytest.raises(AttnError) as caught:
        written(INPUTS + rest + "\n}\n")
    (told,) = caught.value.diagnostics
    assert told.helps == ("they are equal where this holds: `require kernel % 2 == 1`",)
