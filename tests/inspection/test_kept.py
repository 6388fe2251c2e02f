"""What is kept for the backward pass: totals against counts by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from attndsl.elaborate import load
from attndsl.inspection import inspect


def kept(tmp_path: Path, body: str, **sizes: int) -> int:
    file = tmp_path / "m.attn"
    file.write_text(f"model M(D=8, H=16, depth=3) {{\n  input x: [B, D]\n{body}\n}}\n")
    return inspect(load(str(file), {}), sizes).totals.activation_bytes


@pytest.mark.parametrize(
    ("body", "elements"),
    [
        ("  output y = linear(x, H) as a", 0),  # only the input, which is not counted
        ("  output y = linear(tanh(linear(x, H) as a), D) as b", 16),  # the tanh, once for both that read it
        ("  output y = linear(x, H) as a |> rearrange([H] -> [2, H / 2]) |> exp", 16),
        ("  z = linear(x, H) as a\n  output y = z * z", 16),
        ("  z = linear(x, H) as a\n  output y = z + z + 1", 0),
        ("  repeat h in depth {\n    x = tanh(linear(x, D) as a)\n  }\n  output y = x", 2 * 3 * 8),
        ("  output y = tanh(x) * exp(x)", 0),  # nothing is trained
        ("  output y = stop_gradient(exp(linear(x, H) as a))", 16),
    ],
)
def test_by_hand(tmp_path: Path, body: str, elements: int) -> None:
    assert kept(tmp_path, body, B=5) == 4 * 5 * elements


def test_what_a_body_reads_from_outside_is_kept_once(tmp_path: Path) -> None:
    body = (
        "  m = exp(linear(x, D) as first)\n  repeat h in depth {\n    x = x + (linear(m, D) as a)\n  }\n  output y = x"
    )
    assert kept(tmp_path, body, B=5) == 4 * 5 * 8


def test_dropout_keeps_a_bit_map(tmp_path: Path) -> None:
    assert kept(tmp_path, "  output y = dropout(linear(x, H) as a, 0.5)", B=5) == 5 * 16
    assert kept(tmp_path, "  output y = dropout(linear(x, H) as a, 0)", B=5) == 0
