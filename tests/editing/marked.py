"""Programs with a place in them: `‸` stands where the cursor is."""

from __future__ import annotations

from pathlib import Path

from attndsl.editing import Analysis, Workspace

MARK = "‸"
PATH = Path("/nowhere/my.attn")

MODEL = """/// A small one.
model M(vocab=100, width=64, heads=4, depth=2) {
  input tokens: int[B, T] where T <= 32, tokens < vocab
  layer wte = embedding(vocab, width)
  x = wte(tokens)
  repeat h in depth {
    x += x |> layer_norm() as ln_1
           |> attention(heads, mask=causal) as attn
    x += x |> wide(4) as mlp
  }
  output logits = x |> layer_norm() as ln_f |> dot(wte.table, over=width)
}

/// Wider, then as wide again.
block wide(factor)(x: [*, D]) -> [*, D] {
  y = linear(x, factor * D) |> gelu
  return linear(y, D)
}

variant M:small { depth=1 }

train M {
  batches = next_token(tokens, tokens)
  minimize = logits
  optimizer = adamw(lr=1e-3)
}
"""


def marked(text: str) -> tuple[str, int]:
    """A text without its mark, and the offset where it was."""
    assert text.count(MARK) == 1
    return text.replace(MARK, ""), text.index(MARK)


def model_with(old: str, new: str) -> tuple[str, int]:
    """The model with a part of it written otherwise, and the place of the mark in it."""
    assert old in MODEL
    return marked(MODEL.replace(old, new, 1))


def analysed(text: str, path: Path = PATH) -> Analysis:
    workspace = Workspace()
    workspace.write(path, text)
    return workspace.analysis(path)
