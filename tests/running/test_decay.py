"""Weight decay pulls at matrices and tables, and leaves alone what is only added or multiplied place by place."""

from __future__ import annotations

from pathlib import Path

import pytest

from attndsl.elaborate import load
from attndsl.running.decay import decaying

HEAD = "model M(vocab=11, width=8, heads=2, k=4, depth=3) {\n  input tokens: int[B, T] where tokens < vocab\n"
BODY = "  layer e = embedding(vocab, width)\n  x = e(tokens)\n"


def decayed(tmp_path: Path, body: str) -> set[str]:
    """The parameters that decay, the table of the words left out."""
    path = tmp_path / "m.attn"
    path.write_text(f"{HEAD}{BODY}{body}  output y = x\n}}\n")
    found = decaying(load(str(path)))
    assert "e.table" in found
    return {*found} - {"e.table"}


SPLIT = "  param q: [width, heads, k] = ones\n  y = dot(x, q, over=width)\n"


@pytest.mark.parametrize(
    "body",
    [
        # Biases and gains of heads, whatever they are called and whatever rank they have.
        SPLIT + "  param bias: [heads, k] = zeros\n  param scale: [heads, k] = ones\n"
        "  x += mean(y * scale + bias, over=[heads, k])\n",
        SPLIT + "  param weight: [heads, k] = ones\n  x += mean(dot(y * weight, y, over=k), over=heads)\n",
        "  param gain: [width] = ones\n  x = x * gain |> layer_norm |> rms_norm |> rms_norm\n",
        # One for each layer, chosen by its index.
        "  param gains: [layer=depth, width] = ones\n  repeat h in depth {\n    x = x * gains[layer=h]\n  }\n",
        # Decided by parameters alone, and then only multiplied.
        "  param log: [width] = zeros\n  x = x * exp(-exp(log))\n",
        # Places that are added as they are.
        "  param place: [width] = zeros\n  x = where(tokens > 3, place, x)\n",
    ],
)  # fmt: skip
def test_what_does_not_decay(tmp_path: Path, body: str) -> None:
    assert decayed(tmp_path, body) - {"q"} == set()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("  x += linear(x, width) as p\n", {"p.weight"}),
        ("  x = x + embedding(range(T), 50, width) as p\n", {"p.table"}),
        # A vector that is summed over, and a product that is spelled out.
        ("  param w: [width] = ones\n  x = x * dot(x, w, over=width)\n", {"w"}),
        ("  param w: [width] = ones\n  x = x * sum(x * w, over=width)\n", {"w"}),
        # Through what is done to the matrix first.
        ("  param w: [width, other=width] = ones\n  x = x + dot(x, tanh(w) / 2, over=width)[other=0]\n", {"w"}),
        ("  param a: [width, low=2] = ones\n  param b: [low=2, out=width] = ones\n"
         "  x = x * sum(dot(x, dot(a, b, over=low), over=width), over=out)\n", {"a", "b"}),
        ("  repeat h in depth {\n    x += linear(x, width) as p |> layer_norm as n\n  }\n",
         {"h.0.p.weight", "h.1.p.weight", "h.2.p.weight"}),
    ],
)  # fmt: skip
def test_what_decays(tmp_path: Path, body: str, expected: set[str]) -> None:
    assert decayed(tmp_path, body) == expected


@pytest.mark.parametrize("spec", ["gpt2", "bert", "t5", "transformer", "bart", "gpt1"])
def test_the_shipped_models_decay_matrices_and_tables(spec: str) -> None:
    graph = load(spec)
    last = {address.rpartition(".")[2] for address in decaying(graph)}
    assert last <= {"weight", "table"}
    ranks = {info.type.rank >= 2 for info in graph.parameters if next(info.addresses()) in decaying(graph)}
    assert ranks == {True}
