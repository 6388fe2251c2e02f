"""Small models for every objective, a tokenizer of bytes with special tokens, and text to learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.data.special import SpecialTokens
from attndsl.data.tokenizers import Bytes
from attndsl.elaborate import elaborate, open_spec
from attndsl.objectives import Objective, make_objective
from attndsl.recipe.recipe import Recipe, read_recipe
from attndsl.values import hyperparameters_of

SPECIAL = SpecialTokens(
    pad="<pad>", unknown="<unk>", begin="<s>", end="</s>", mask="<mask>", start="<go>", sentinels=40
)
WORDS = (
    "the quick brown fox jumps over the lazy dog. does it? yes! numbers such as 12 and 345 are words too. "
    "a second line follows here, and it is longer than the first one was. "
)

ENCODER = """
model Encoder(vocab=400, context=64, width=8, labels=2) {
  input tokens: int[B, T] where T <= context, tokens < vocab
  input valid: bool[B, T] optional = true
  input segment: int[B, T] optional where segment < 2
  input targets: int[B, T] optional where targets >= -100, targets < vocab
  input next_label: int[B] optional where next_label < 2
  input label: int[B] optional where label < labels
  input tags: int[B, T] optional where tags >= -100, tags < labels
  input last: int[B] optional where last < context
  input first_label: int[B] optional where first_label < T
  input last_label: int[B] optional where last_label < T
  layer e = embedding(vocab, width)
  x = e(tokens) * valid
  output logits = dot(x, e.table, over=width)
  output lm = cross_entropy(logits, targets, over=vocab)
  pooled = mean(x, over=T)
  output next_logits = linear(pooled, 2) as next
  output follows = cross_entropy(next_logits, next_label, over=2)
  output both = lm + follows
  output classes = linear(pooled, labels) as head
  output loss = cross_entropy(classes, label, over=labels)
  ends = linear(x, 2) as ends
  output answer_loss = cross_entropy(ends[2=0], first_label, over=T) + cross_entropy(ends[2=1], last_label, over=T)
  output tag_logits = linear(x, labels) as tagger
  output tag_loss = cross_entropy(tag_logits, tags, over=labels)
}
train Encoder { minimize = lm }
"""
PAIR = """
model Pair(vocab=400, context=64, width=8) {
  input source: int[B, S] where S <= context, source < vocab
  input target: int[B, T] where T <= context, target < vocab
  input valid: bool[B, S] optional = true
  layer e = embedding(vocab, width)
  output logits = e(target) + mean(e(source) * valid, over=S) |> dot(e.table, over=width)
  input targets: int[B, T] optional where targets >= -100, targets < vocab
  output loss = cross_entropy(logits, targets, over=vocab)
}
train Pair {
  batches = sequence_to_sequence(source, target, targets)
  special = tokens(pad="<pad>", end="</s>")
}
"""
SPELLED = """
model Spelled(entries=400, longest=8, width=8, vocab=60, labels=2) {
  input characters: int[B, T, C] where C <= longest, characters < entries
  input valid: bool[B, T] optional = true
  x = mean(embedding(characters, entries, width), over=C) * valid
  output next = linear(x, vocab)
  output previous = linear(x, vocab)
  input next_word: int[B, T] optional where next_word >= -100, next_word < vocab
  input previous_word: int[B, T] optional where previous_word >= -100, previous_word < vocab
  output words = cross_entropy(next, next_word, over=vocab) / 2 + cross_entropy(previous, previous_word, over=vocab) / 2
  input last: int[B] optional = 0 where last < T
  input label: int[B] optional where label < labels
  output logits = linear(mean(x, over=T) + take(x, last, over=T), labels)
  output loss = cross_entropy(logits, label, over=labels)
}
train Spelled { minimize = words }
"""
PICTURES = """
model Pictures(size=6, channels=1, labels=3) {
  input image: [B, channels, size, breadth=size]
  output logits = rearrange(image, [channels, size, breadth] -> [channels * size * breadth]) |> linear(labels)
  input label: int[B] optional where label < labels
  output loss = cross_entropy(logits, label, over=labels)
}
train Pictures { batches = classify_images(image, label) }
"""
DRAWN = """
model Drawn(vocab=400, codes=5, width=8) {
  input caption: int[B, T] where caption < vocab
  input valid: bool[B, T] optional = true
  input grid: int[B, 9] where grid < codes
  said = mean(embedding(caption, vocab, width) * valid, over=T)
  output logits = embedding(grid, codes, width) + said |> linear(codes)
  output loss = cross_entropy(logits, grid, over=codes)
}
train Drawn {
  batches = text_to_image(caption, grid, valid=valid)
  special = tokens(pad="<pad>")
}
"""
AGAIN = """
model Again(size=6) {
  input image: [B, 1, size, breadth=size]
  param gain: [1] = constant(0.5)
  output picture = image * gain
  output loss = mean((picture - image) ^ 2, over=[B, 1, size, breadth])
}
train Again { batches = reconstruct(image) }
"""


class Quarters:
    """A codebook of five levels of grey, one for every 2 × 2 pixels of 6 × 6."""

    origin, codes = "quarters", 5

    def grid(self, images: Any) -> tuple[int, int]:
        return images.shape[2] // 2, images.shape[3] // 2

    def encode(self, images: Any) -> Any:
        rows, _, height, width = images.shape
        means = images.reshape(rows, height // 2, 2, width // 2, 2).mean((2, 4))
        return np.minimum((means * 5).astype(np.int64), 4)

    def decode(self, grids: Any) -> Any:
        grey = grids.reshape(len(grids), 1, 3, 3) / 4
        return grey.repeat(2, 2).repeat(2, 3).astype(np.float32)


@pytest.fixture
def tokenizer() -> Bytes:
    return Bytes(SPECIAL)


@pytest.fixture
def text(tokenizer: Bytes) -> Any:
    """Three documents, the tokens of all in a row."""
    parts = [WORDS * 6, WORDS[:90] * 4, WORDS[40:] * 5]
    separator = [] if tokenizer.separator is None else [tokenizer.separator]
    joined: list[int] = []
    for part in parts:
        joined += (separator if joined else []) + tokenizer.encode(part).tolist()
    return np.array(joined, dtype=np.uint16)


Make = Callable[..., Objective]


@pytest.fixture
def make(tmp_path: Path, tokenizer: Bytes) -> Make:
    """`make("masked_tokens(tokens, targets)", share=0.2)`: that objective of the small model that it fits; options that
    are settings of a recipe (`batch`, `length`, `seed`) go there."""

    def made(
        batches: str, labels: Any = None, settings: dict[str, Any] | None = None, special: SpecialTokens = SPECIAL
    ) -> Objective:
        kinds = {
            "characters": SPELLED,
            "text_to_image": DRAWN,
            "reconstruct": AGAIN,
            "image": PICTURES,
            "source": PAIR,
            "": ENCODER,
        }
        source = next(source for name, source in kinds.items() if name in batches)
        path = tmp_path / "model.attn"
        path.write_text(source)
        spec = open_spec(str(path))
        graph = elaborate(spec, {})
        recipe: Recipe = read_recipe(spec.train, hyperparameters_of(graph))
        recipe = replace(
            recipe.override({"batches": batches, "batch": 8, "length": 48, **(settings or {})}), special=special
        )
        found: Any = make_objective(recipe, graph, tokenizer if special is SPECIAL else Bytes(special), labels)
        if found.companion:
            found.codebook = Quarters()
        return found

    return made
