"""Resizing against its definition, and against `torch.nn.functional.interpolate`."""

from __future__ import annotations

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from tests.std.meaning import Array, drawn, meaning, written

GRID = """
model M(rows={rows}, columns={columns}, width=3) {{
  input table: [row=rows, column=columns, width]
  input image: [Y, X]
  output y = resize2d(table, Y, X, {kernel})
}}
"""

# What a table of positions must fit: larger, smaller, both at once, the same, and hardly anything.
SIZES = [(14, 14, 24, 24), (14, 14, 7, 9), (14, 14, 14, 14), (4, 9, 4, 20), (1, 1, 3, 2), (2, 3, 5, 2), (14, 14, 37, 5)]


def resized(rows: int, columns: int, height: int, width: int, kernel: str, table: Array, dtype: str) -> Array:
    graph = written(GRID.format(rows=rows, columns=columns, kernel=kernel))
    program = NumpyProgram(graph, dtype=dtype)
    return program.run({"table": table.astype(dtype), "image": np.zeros((height, width), dtype)})["y"]


@pytest.mark.torch
@pytest.mark.parametrize(("kernel", "mode"), [("cubic", "bicubic"), ("triangle", "bilinear")])
@pytest.mark.parametrize(("rows", "columns", "height", "width"), SIZES)
def test_a_grid_is_resized_as_torch_does(
    rows: int, columns: int, height: int, width: int, kernel: str, mode: str
) -> None:
    import torch

    table = drawn(rows, columns, 3)
    for dtype, scale, tolerance in (("float64", 1, 1e-12), ("float32", 0.02, 1e-6)):  # 0.02: as positions are drawn
        given = (table * scale).astype(dtype)
        laid_out = torch.from_numpy(given).permute(2, 0, 1)[None]
        meant = torch.nn.functional.interpolate(laid_out, size=(height, width), mode=mode, align_corners=False)
        found = resized(rows, columns, height, width, kernel, given, dtype)
        np.testing.assert_allclose(found, meant[0].permute(1, 2, 0).numpy(), rtol=0, atol=tolerance)


@pytest.mark.parametrize("kernel", ["cubic", "triangle", "cubic(-0.5)"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_same_size_changes_nothing(kernel: str, dtype: str) -> None:
    table = drawn(13, 7, 3).astype(dtype)
    assert np.array_equal(resized(13, 7, 13, 7, kernel, table, dtype), table)


def test_one_axis_by_its_definition() -> None:
    """Each element of the result from the four around its place, one by one, with Keys' a = -1/2."""
    x = drawn(2, 6, 3)
    text = "model M(width=3) {\n input x: [B, T, width]\n output y = resize(x, 2 * T + 1, cubic(-0.5))\n}\n"

    def weight(d: float) -> float:
        d = abs(d)
        if d >= 2:
            return 0.0
        return 1.5 * d**3 - 2.5 * d**2 + 1 if d <= 1 else -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2

    y = meaning(text, {"x": x})["y"]
    for u in range(13):
        place = (u + 0.5) * 6 / 13 - 0.5
        total = sum(weight(place - t) * x[:, min(max(t, 0), 5)] for t in range(-3, 9))
        assert np.allclose(y[:, u], total, atol=1e-14)


def test_what_is_linear_stays_so_away_from_the_ends() -> None:
    x = np.arange(20.0)[:, None]
    text = "model M(width=1) {\n input x: [T, width]\n output y = resize(x, 3 * T)\n}\n"
    places = (np.arange(60) + 0.5) / 3 - 0.5
    y = meaning(text, {"x": x})["y"]
    assert np.allclose(y[6:-6, 0], places[6:-6], atol=0.08)  # a = -3/4 is not an exact reproduction; Keys' -1/2 is
    text = text.replace("3 * T", "3 * T, cubic(-0.5)")
    assert np.allclose(meaning(text, {"x": x})["y"][6:-6, 0], places[6:-6], atol=1e-12)


def test_halves_of_an_even_length_are_whole_lengths() -> None:
    """From a length that a convolution halved, which goes by its requirement, and to one that is calculated."""
    text = """
model M(width=2) {
  input x: [B, T, width] where T % 2 == 0
  output y = x + resize(mean_pool(x, 4, stride=2, pad=1), T, triangle)
  output z = resize(x, T / 2, triangle)
  output share = x * (T / 2)
}
"""
    x = drawn(1, 6, 2)
    found = meaning(text, {"x": x})
    assert found["y"].shape == x.shape
    assert np.allclose(found["z"], (x[:, ::2] + x[:, 1::2]) / 2, atol=1e-14)
    assert np.allclose(found["share"], 3 * x, atol=1e-14)


@pytest.mark.torch
def test_positions_of_a_picture_of_another_size() -> None:
    """A whole usage: a class token's position stays, the grid's are resized, on both backends, with gradients."""
    from attndsl.comparison import compare

    graph = written("""
model M(image=8, patch=2, channels=3, width=4) {
  grid = image / patch
  P = patch
  Q = patch
  input picture: [B, channels, Y * patch, X * patch]
  param place: [1 + grid * grid, width]
  first, rest = split(place, over=1 + grid * grid -> [1, grid * grid])
  rest = rearrange(rest, [grid * grid] -> [row=grid, column=grid]) |> resize2d(Y, X)
    |> rearrange([rows, columns] -> [Y * X])
  x = rearrange(picture, [channels, Y * P, X * Q] -> [Y * X, channels * P * Q]) |> linear(width)
  output y = concat(first, x + rest, over=[1, Y * X] -> T)
}
""")
    for sizes in ({"B": 2, "Y": 3, "X": 7}, {"B": 1, "Y": 4, "X": 4}):
        result = compare(graph, sizes=sizes, gradients=True, dtype="float64")
        assert result.ok, result
