"""Rearrangements against NumPy's reshape and transpose: random splits, merges and permutations of factors, among them
factors of one size that only their names tell apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.diagnostics import AttnError
from tests.std.meaning import Array, drawn, meaning, written

SIZES = {"n": 2, "m": 3, "k": 4}


@dataclass(frozen=True)
class Case:
    """Factors `f0, f1, …`, each with a size's name, and how they are grouped before and after."""

    sizes: tuple[str, ...]
    before: tuple[tuple[int, ...], ...]
    after: tuple[tuple[int, ...], ...]
    untouched: int  # where an axis that the pattern does not mention stands in the input
    named: bool  # whether the axes have names of their own

    def lengths(self, group: tuple[int, ...]) -> int:
        return math.prod(SIZES[self.sizes[f]] for f in group)


def _grouped(draw: st.DrawFn, order: list[int]) -> tuple[tuple[int, ...], ...]:
    cuts = sorted(draw(st.sets(st.integers(1, len(order) - 1)))) if len(order) > 1 else []
    ends = [0, *cuts, len(order)]
    return tuple(tuple(order[a:b]) for a, b in pairwise(ends))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    sizes = draw(st.lists(st.sampled_from(sorted(SIZES)), min_size=1, max_size=5))
    everything = list(range(len(sizes)))
    before = _grouped(draw, draw(st.permutations(everything)))
    after = _grouped(draw, draw(st.permutations(everything)))
    return Case(tuple(sizes), before, after, draw(st.integers(0, len(before))), draw(st.booleans()))


def _terms(case: Case, groups: tuple[tuple[int, ...], ...], prefix: str) -> list[str]:
    """The terms of one side. Without names of their own, axes of one size would be the same axis: those get one."""
    terms, seen = [], set()
    for i, group in enumerate(groups):
        size = tuple(sorted(case.sizes[f] for f in group))
        name = f"{prefix}{i}=" if case.named or size in seen else ""
        seen.add(size)
        terms.append(name + " * ".join(f"f{f}" for f in group))
    return terms


def _reference(case: Case, x: Array) -> Array:
    """What the rearrangement means, with the untouched axis of x last."""
    flat = [f for group in case.before for f in group]
    rest = x.shape[-1:]
    parts = x.reshape(*(SIZES[case.sizes[f]] for f in flat), *rest)
    wanted = [f for group in case.after for f in group]
    moved = parts.transpose(*(flat.index(f) for f in wanted), len(flat))
    return moved.reshape(*(case.lengths(group) for group in case.after), *rest)


@settings(max_examples=150)
@given(cases())
def test_as_reshape_and_transpose(case: Case) -> None:
    before, after = _terms(case, case.before, "a"), _terms(case, case.after, "b")
    axes = [*before[: case.untouched], "R", *before[case.untouched :]]
    names = "\n".join(f"  f{i} = {size}" for i, size in enumerate(case.sizes))
    text = f"""
model M({", ".join(f"{name}={value}" for name, value in SIZES.items())}) {{
{names}
  input x: [{", ".join(axes)}]
  y = rearrange(x, [{", ".join(before)}] -> [{", ".join(after)}])
  output y = y
  output back = rearrange(y, [{", ".join(after)}] -> [{", ".join(before)}])
}}
"""
    lengths = [case.lengths(group) for group in case.before]
    x = drawn(*lengths[: case.untouched], 5, *lengths[case.untouched :])
    found = meaning(text, {"x": x})
    meant = _reference(case, np.moveaxis(x, case.untouched, -1))
    place = 0 if case.untouched == 0 else len(case.after)  # new axes stand where the first of the old ones stood
    assert np.array_equal(found["y"], np.moveaxis(meant, -1, place))
    back = x if case.untouched == 0 else np.moveaxis(x, case.untouched, -1)
    assert np.array_equal(found["back"], back)


PATCHES = """
model M(patch=2, channels=3) {{
  P = patch
  Q = patch
  input image: [B, channels, Y * patch, X * patch]
  output y = rearrange(image, {pattern})
}}
"""


@pytest.mark.parametrize(
    ("pattern", "order"),
    [
        ("[channels, Y*P, X*Q] -> [Y*X, channels*P*Q]", (0, 2, 4, 1, 3, 5)),
        ("[channels, Y*P, X*Q] -> [Y*X, P*Q*channels]", (0, 2, 4, 3, 5, 1)),
        ("[channels, Y*P, X*Q] -> [Y*X, Q*P*channels]", (0, 2, 4, 5, 3, 1)),
        ("[channels, Y*P, X*patch] -> [Y*X, P*patch*channels]", (0, 2, 4, 3, 5, 1)),  # one name is enough
        ("[Y*P, X*Q, channels] -> [channels * Y*X*P*Q]", (0, 1, 2, 4, 3, 5)),
    ],
)
def test_patches(pattern: str, order: tuple[int, ...]) -> None:
    image = drawn(2, 3, 4, 6)
    meant = image.reshape(2, 3, 2, 2, 3, 2).transpose(order)
    found = meaning(PATCHES.format(pattern=pattern), {"image": image})["y"]
    assert np.array_equal(found.reshape(meant.shape), meant)


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("[n*n] -> [row=n, column=n]", lambda x: x.reshape(4, 4, 6)),  # in order: there is nothing else to mean
        ("[n*n, w] -> [w, n*n]", lambda x: x.T),
        ("[n*n, w] -> [w, row=n, column=n]", lambda x: x.T.reshape(6, 4, 4)),
        ("[n*n] -> [one=1, n*n]", lambda x: x[None]),
        ("[w] -> [part=2, half]", lambda x: x.reshape(16, 2, 3)),
        ("[w] -> [half, part=2]", lambda x: x.reshape(16, 3, 2)),
        ("[n*n] -> [all=n*n]", lambda x: x),
    ],
)
def test_without_names_where_there_is_one_meaning(pattern: str, meant: object) -> None:
    x = drawn(16, 6)
    text = f"model M(n=4, w=6) {{\n half = w / 2\n input x: [n*n, w]\n output y = rearrange(x, {pattern})\n}}\n"
    assert callable(meant)
    assert np.array_equal(meaning(text, {"x": x})["y"], meant(x))


@pytest.mark.parametrize(
    "steps",
    [
        "[n*n] -> [row=n, column=n]; [row=n, column=n] -> [n*n]",
        "[n*n] -> [row=n, column=n]; [row, column] -> [row*column]",
        "[n*n] -> [one=1, n*n]; [one=1] -> [o=1]; [o, n*n] -> [n*n]",
        "[n*n, w] -> [a=n*n, b=w]; [a, b] -> [b=a, a=b]; [b, a] -> [n*n, w]",  # two axes change names
    ],
)
def test_there_and_back(steps: str) -> None:
    stages = " ".join(f"|> rearrange({step.strip()})" for step in steps.split(";"))
    x = drawn(16, 6)
    text = f"model M(n=4, w=6) {{\n input x: [n*n, w]\n output y = x {stages}\n}}\n"
    assert np.array_equal(meaning(text, {"x": x})["y"], x)


def test_names_of_one_size_swapped_is_a_transposition() -> None:
    x = drawn(2, 3, 4, 6)
    y = meaning(PATCHES.format(pattern="[Y*P, X*Q] -> [Y*Q, X*P]"), {"image": x})["y"]
    meant = x.reshape(2, 3, 2, 2, 3, 2).transpose(0, 1, 2, 5, 4, 3).reshape(x.shape)
    assert np.array_equal(y, meant)


def test_the_result_depends_on_the_call_only_through_the_sizes() -> None:
    program = NumpyProgram(written(PATCHES.format(pattern="[channels, Y*P, X*Q] -> [Y*X, channels*P*Q]")))
    for height, width in ((2, 2), (4, 10), (6, 2)):
        assert program.run({"image": drawn(1, 3, height, width)})["y"].shape == (1, height * width // 4, 12)
    with pytest.raises(AttnError):
        program.run({"image": drawn(1, 3, 3, 4)})


def test_factors_go_by_the_names_that_the_other_side_gives_them() -> None:
    """Two factors of one size, told apart without an assignment; and a product, read in the order of its text."""
    found = meaning(
        """
model M(patch=2) {
  input image: [B, Y * patch, X * patch]
  tiles = rearrange(image, [Y * P, X * Q] -> [Y, X, P=patch, Q=patch])
  output tiles = tiles
  output again = rearrange(tiles, [Y, X, P, Q] -> [Y * P, X * Q])
  input x: [2 * R]
  output a = rearrange(x, [2 * R] -> [R, part=2])
  output b = rearrange(x, [R * 2] -> [R, part=2])
}
""",
        {"image": (image := drawn(3, 4, 6)), "x": (x := np.arange(6.0))},
    )
    assert np.array_equal(found["tiles"], image.reshape(3, 2, 2, 3, 2).transpose(0, 1, 3, 2, 4))
    assert np.array_equal(found["again"], image)
    assert np.array_equal(found["a"], x.reshape(2, 3).T)
    assert np.array_equal(found["b"], x.reshape(3, 2))
