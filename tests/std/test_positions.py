"""Positional encodings against independent computations from their papers, and T5's buckets against `transformers`."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tests.std.meaning import Array, drawn, meaning


def test_sinusoidal() -> None:
    x = drawn(2, 7, 6)
    y = meaning("model M(width=6) {\n input x: float[B, T, width]\n output y = sinusoidal(x)\n}\n", {"x": x})["y"]
    for t in range(7):
        for i in range(3):
            angle = t / 10000 ** (2 * i / 6)
            assert np.allclose(y[:, t, 2 * i] - x[:, t, 2 * i], math.sin(angle), atol=1e-14)
            assert np.allclose(y[:, t, 2 * i + 1] - x[:, t, 2 * i + 1], math.cos(angle), atol=1e-14)


HALVES, NEIGHBOURS = [(0, 3), (1, 4), (2, 5)], [(0, 1), (2, 3), (4, 5)]


def turned(x: Array, pairs: list[tuple[int, int]], rates: list[float], at: Array, gain: float = 1) -> Array:
    """x [B, T, H] with each pair of numbers rotated as one complex number, by a rate times the position [B, T]."""
    y = x.copy()
    for (a, b), rate in zip(pairs, rates, strict=True):
        turn = gain * np.exp(1j * rate * at) * (x[..., a] + 1j * x[..., b])
        y[..., a], y[..., b] = turn.real, turn.imag
    return y


def powers(base: float, pairs: int) -> list[float]:
    return [base ** (-i / pairs) for i in range(pairs)]


@pytest.mark.parametrize(
    ("given", "pairs"),
    [
        ("", HALVES),
        ("interleaved=true", NEIGHBOURS),
        ("share=1/3", [(0, 1)]),
        ("share=third", [(0, 1)]),
        ("share=2/3", [(0, 2), (1, 3)]),
        ("share=2/3, interleaved=true", [(0, 1), (2, 3)]),
    ],
)
def test_rotary(given: str, pairs: list[tuple[int, int]]) -> None:
    """The numbers beyond the share stay as they are, and the angles are those of a head of that size."""
    x, place = drawn(2, 7, 6), np.array([[5, 0, 1, 1, 900, 3, 2], [0, 1, 2, 3, 4, 5, 6]])
    text = f"""
model M(width=6, base=1000, third=0.34) {{
  input x: float[B, T, width]
  input place: int[B, T]
  output plain = rotary(x, base{", " * bool(given)}{given})
  output placed = rotary(x, at=place, base=base{", " * bool(given)}{given})
}}
"""
    found = meaning(text, {"x": x, "place": place})
    rates = powers(1000, len(pairs))
    np.testing.assert_allclose(found["plain"], turned(x, pairs, rates, np.arange(7)), atol=1e-13)
    np.testing.assert_allclose(found["placed"], turned(x, pairs, rates, place), atol=1e-12)


def test_positions_that_are_given_rotate_queries_and_keys() -> None:
    """Scores depend on differences alone: all positions moved by the same number change nothing, and padding in front
    that the positions do not count is as if it were not there."""
    text = """
model M(width=12, heads=2) {
  input x: float[B, T, width]
  input place: int[B, T] optional = positions(T)
  input valid: bool[B, T] optional = true
  output y = attention(x, heads, mask=causal & keys(valid), position=rotary(at=place), init=normal(1)) as attn
}
"""
    x = drawn(2, 5, 12)
    alone = meaning(text, {"x": x})["y"]
    moved = np.add(np.arange(5), [[7], [90]])
    np.testing.assert_allclose(meaning(text, {"x": x, "place": moved})["y"], alone, atol=1e-12)
    padded = np.concatenate([drawn(2, 3, 12, seed=1), x], axis=1)
    inputs = {"x": padded, "place": np.maximum(np.arange(8) - 3, 0) * np.ones((2, 1), int)}
    inputs["valid"] = np.arange(8) >= np.full((2, 1), 3)
    np.testing.assert_allclose(meaning(text, inputs)["y"][:, 3:], alone, atol=1e-12)


def of_yarn(base: float, pairs: int, factor: float, context: int, fast: float, slow: float) -> list[float]:
    """Peng et al., 2023, section 3.2, with the ends of the ramp at whole pairs, as in the authors' program."""

    def pair_that_turns(times: float) -> float:
        return pairs * math.log(context / (times * 2 * math.pi)) / math.log(base)

    low, high = max(math.floor(pair_that_turns(fast)), 0), min(math.ceil(pair_that_turns(slow)), 2 * pairs - 1)
    ramps = [min(max((i - low) / max(high - low, 0.001), 0), 1) for i in range(pairs)]
    return [rate * (1 - ramp) + rate / factor * ramp for rate, ramp in zip(powers(base, pairs), ramps, strict=True)]


def of_llama3(base: float, pairs: int, factor: float, low: float, high: float, context: int) -> list[float]:
    """By wavelengths: long ones are stretched, short ones stay, and between them both are mixed."""
    found = []
    for rate in powers(base, pairs):
        length = 2 * math.pi / rate
        if length > context / low:
            found.append(rate / factor)
        elif length < context / high:
            found.append(rate)
        else:
            kept = (context / length - low) / (high - low)
            found.append((1 - kept) * rate / factor + kept * rate)
    return found


def of_ntk(base: float, pairs: int, factor: float, context: int, length: int) -> list[float]:
    dims = 2 * pairs
    return powers(base * (factor * max(length, context) / context - (factor - 1)) ** (dims / (dims - 2)), pairs)


SHORT, LONG = [1.0, 1.5, 2, 2.5, 3, 3, 3, 3], [1.0, 2, 4, 8, 16, 32, 64, 64]


@pytest.mark.parametrize(
    ("scaling", "rates", "gain"),
    [
        ("linear_rope(4)", lambda length: [rate / 4 for rate in powers(500, 8)], 1),
        ("ntk_rope(3, 20)", lambda length: of_ntk(500, 8, 3, 20, length), 1),
        ("yarn(8, 400)", lambda length: of_yarn(500, 8, 8, 400, 32, 1), 0.1 * math.log(8) + 1),
        ("yarn(8, 400, fast=10, slow=3, gain=1)", lambda length: of_yarn(500, 8, 8, 400, 10, 3), 1),
        ("yarn(0.5, 400)", lambda length: of_yarn(500, 8, 0.5, 400, 32, 1), 1),
        ("llama3_rope(8, 1, 4, 100)", lambda length: of_llama3(500, 8, 8, 1, 4, 100), 1),
        (
            f"longrope({SHORT}, {LONG}, 20, 4)",
            lambda length: [r / f for r, f in zip(powers(500, 8), LONG if length > 20 else SHORT, strict=True)],
            math.sqrt(1 + math.log(4) / math.log(20)),
        ),
    ],
)
@pytest.mark.parametrize("length", [20, 21, 60])
def test_scaled_rotary(scaling: str, rates: Callable[[int], list[float]], gain: float, length: int) -> None:
    """Where positions are given, the length is that of a text that reaches the last of them."""
    text = f"""
model M(width=16) {{
  input x: float[B, T, width]
  input place: int[B, T]
  output plain = rotary(x, base=500, scaling={scaling})
  output placed = rotary(x[T=:3], base=500, scaling={scaling}, at=place[T=:3])
}}
"""
    x, pairs = drawn(2, length, 16), [(i, i + 8) for i in range(8)]
    place = np.full((2, length), length - 1)
    found = meaning(text, {"x": x, "place": place})
    np.testing.assert_allclose(found["plain"], turned(x, pairs, rates(length), np.arange(length), gain), atol=1e-12)
    np.testing.assert_allclose(found["placed"], turned(x, pairs, rates(length), place, gain)[:, :3], atol=1e-12)


@pytest.mark.parametrize(
    "scaling",
    [
        "linear_rope(4)",
        "ntk_rope(3, 20)",
        "yarn(8, 400)",
        "llama3_rope(8, 1, 4, 100)",
        f"longrope({SHORT}, {LONG}, 20, 4)",
    ],
)
@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_scaled_rotary_of_nothing(scaling: str, shape: tuple[int, int]) -> None:
    text = f"""
model M(width=16) {{
  input x: float[B, T, width]
  input place: int[B, T]
  output y = rotary(x, scaling={scaling}, at=place)
}}
"""
    assert meaning(text, {"x": drawn(*shape, 16), "place": np.zeros(shape, int)})["y"].shape == (*shape, 16)


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
