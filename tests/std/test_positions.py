"""Positional encodings against independent computations from their papers, and T5's buckets against `transformers`."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.std.meaning import drawn, meaning


def test_sinusoidal() -> None:
    x = drawn(2, 7, 6)
    y = meaning("model M(width=6) {\n input x: float[B, T, width]\n output y = sinusoidal(x)\n}\n", {"x": x})["y"]
    for t in range(7):
        for i in range(3):
            angle = t / 10000 ** (2 * i / 6)
            assert np.allclose(y[:, t, 2 * i] - x[:, t, 2 * i], math.sin(angle), atol=1e-14)
            assert np.allclose(y[:, t, 2 * i + 1] - x[:, t, 2 * i + 1], math.cos(angle), atol=1e-14)


@pytest.mark.parametrize(
    ("block", "pairs"),
    [
        ("rotary", [(0, 3), (1, 4), (2, 5)]),
        ("rotary_interleaved", [(0, 1), (2, 3), (4, 5)]),
    ],
)
def test_rotary(block: str, pairs: list[tuple[int, int]]) -> None:
    x = drawn(2, 7, 6)
    y = meaning(f"model M(width=6) {{\n input x: float[B, T, width]\n output y = {block}(x)\n}}\n", {"x": x})["y"]
    for t in range(7):
        for i, (a, b) in enumerate(pairs):
            turn = np.exp(1j * t / 10000 ** (2 * i / 6)) * (x[:, t, a] + 1j * x[:, t, b])
            assert np.allclose(y[:, t, a], turn.real, atol=1e-13)
            assert np.allclose(y[:, t, b], turn.imag, atol=1e-13)


def slopes(heads: int) -> list[float]:
    """As the authors of ALiBi compute them: recursively, from the powers of two below."""
    power = 2 ** (heads.bit_length() - 1)
    regular = [2 ** (-8 * (i + 1) / power) for i in range(power)]
    return regular if power == heads else regular + slopes(2 * power)[::2][: heads - power]


@pytest.mark.parametrize("heads", [1, 2, 3, 4, 6, 8, 12, 13, 16, 25])
def test_alibi(heads: int) -> None:
    text = f"""
model M(heads={heads}) {{
  input x: float[T]
  input z: float[S]
  output y = alibi(heads)[q=T, k=S]
}}
"""
    y = meaning(text, {"x": drawn(5), "z": drawn(6)})["y"]
    distance = np.abs(np.arange(5)[:, None] - np.arange(6))
    np.testing.assert_allclose(y, -np.array(slopes(heads))[:, None, None] * distance, rtol=1e-14)
    assert (y <= 0).all()  # no key is preferred for being far away, in the future either


def test_the_slopes_that_are_published_for_six_heads() -> None:
    assert slopes(6) == [2.0**-n for n in (2, 4, 6, 8, 1, 3)]


@pytest.mark.oracle
@pytest.mark.torch
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("buckets", "reach"), [(32, 128), (16, 40), (8, 128), (64, 300)])
def test_bucketed(bidirectional: bool, buckets: int, reach: int) -> None:
    torch = pytest.importorskip("torch")
    t5 = pytest.importorskip("transformers.models.t5.modeling_t5")
    text = f"""
model M(heads=3, buckets={buckets}, reach={reach}) {{
  input x: float[T]
  input z: float[S]
  output y = bucketed(heads, buckets, reach, bidirectional={str(bidirectional).lower()})[q=T, k=S]
}}
"""
    table = np.arange(buckets * 3, dtype=float).reshape(buckets, 3)
    y = meaning(text, {"x": drawn(350), "z": drawn(350)}, {"bucketed.table": table})["y"]
    distance = torch.arange(350)[None, :] - torch.arange(350)[:, None]
    bucket = t5.T5Attention._relative_position_bucket(distance, bidirectional, buckets, reach).numpy()
    assert np.array_equal(np.moveaxis(table[bucket], 2, 0), y)
