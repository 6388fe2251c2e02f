"""Small models of every kind of objective, data for them, and what tests ask of their runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.diagnostics import AttnError, Diagnostic
from attndsl.runs.record import RECORD
from attndsl.training import Outcome

SPEC = """
model Tiny(vocab=300, context=32, width=8, depth=1, labels=2, head="words") {
  input tokens: int[B, T] where T <= context, tokens < vocab
  input valid: bool[B, T] optional = true
  layer word = embedding(vocab, width)
  x = word(tokens)
  repeat h in depth {
    x += x |> layer_norm as norm |> attention(2, mask=keys(valid)) as attn
  }
  if head == "words" {
    output logits = dot(x, word.table, over=width)
    input targets: int[B, T] optional where targets >= -100, targets < vocab
    output loss = cross_entropy(logits, targets, over=vocab)
  }
  if head == "class" {
    output logits = linear(mean(x, over=T), labels) as classifier
    input label: int[B] optional where label < labels
    output loss = cross_entropy(logits, label, over=labels)
  }
  if head == "answer" {
    output first = linear(x, 1)[1=0]
    output last = linear(x, 1)[1=0]
    input first_label: int[B] optional where first_label < T
    input last_label: int[B] optional where last_label < T
    output loss = cross_entropy(first, first_label, over=T) + cross_entropy(last, last_label, over=T)
  }
  if head == "tags" {
    output logits = linear(x, labels) as tagger
    input targets: int[B, T] optional where targets >= -100, targets < labels
    output loss = cross_entropy(logits, targets, over=labels)
  }
}
variant Tiny:class { head="class" }
variant Tiny:tags { head="tags" }
variant Tiny:answer { head="answer" }

train Tiny {
  batches   = masked_tokens(tokens, targets, valid=valid)
  special   = tokens(pad="[PAD]", begin="[CLS]", end="[SEP]", mask="[MASK]")
  optimizer = adamw(lr=1e-2)
  schedule  = constant(warmup=2)
  steps     = 8
  batch     = 4
  evaluate  = 4
  evaluate_batches = 2
  checkpoint = 3
}
train Tiny:class {
  batches   = classify(tokens, label, valid=valid)
  special   = tokens(pad="[PAD]", begin="[CLS]", end="[SEP]", mask="[MASK]")
  schedule  = constant()
  steps     = 8
  batch     = 4
  evaluate  = 4
  checkpoint = 3
  held_out  = 0.25
}
train Tiny:answer {
  batches   = answer(tokens, first_label, last_label, valid=valid)
  special   = tokens(pad="[PAD]", begin="[CLS]", end="[SEP]")
  schedule  = constant()
  steps     = 8
  batch     = 4
  held_out  = 0.25
}
train Tiny:tags {
  batches   = tag(tokens, targets, valid=valid)
  special   = tokens(pad="[PAD]", begin="[CLS]", end="[SEP]", mask="[MASK]")
  schedule  = constant()
  steps     = 8
  batch     = 4
  held_out  = 0.25
}
"""


PAIR = """
model Pair(vocab=300, context=32, width=8) {
  input source: int[B, S] where S <= context, source < vocab
  input target: int[B, T] where T <= context, target < vocab
  input valid: bool[B, S] optional = true
  layer word = embedding(vocab, width)
  y = word(target)
  y += attention(y, word(source), 2, mask=keys(valid)) as cross
  y += mlp(y, 32, act=relu) as mlp
  output logits = linear(y, vocab) as head
  input targets: int[B, T] optional where targets >= -100, targets < vocab
  output loss = cross_entropy(logits, targets, over=vocab, smoothing=0.1)
}
train Pair {
  batches   = sequence_to_sequence(source, target, targets, valid=valid)
  special   = tokens(pad="<pad>", end="</s>", mask="<mask>", start="<s>", sentinels=9)
  optimizer = adamw(lr=1e-2)
  schedule  = constant()
  steps     = 8
  batch     = 4
  evaluate  = 4
  evaluate_batches = 2
  checkpoint = 3
}
"""


PICTURES = """
model Pictures(size=4, labels=2) {
  input image: [B, 1, size, breadth=size]
  output logits = rearrange(image, [1, size, breadth] -> [size * breadth]) |> linear(labels)
  input label: int[B] optional where label < labels
  output loss = cross_entropy(logits, label, over=labels)
}
train Pictures {
  batches   = classify_images(image, label, shift=1)
  schedule  = constant()
  steps     = 8
  batch     = 4
  held_out  = 0.25
}
"""


TOWERS = """
model Towers(size=4, vocab=300, context=20, width=8) {
  input image: [B, 1, size, across=size] optional
  input tokens: int[N, T] optional where T <= context, tokens < vocab
  input last: int[N] optional = 0 where last < T
  a = rearrange(image, [1, size, across] -> [size * across]) |> linear(width)
  x = embedding(tokens, vocab, width)
  output scores = dot(a, take(x, last, over=T), over=width)
  input match: int[B] optional where match < N
  output loss = contrastive_loss(scores, match)
}
train Towers {
  batches   = contrast(image, tokens, match, last=last, label="label", shift=1)
  special   = tokens(pad="[PAD]", end="[END]")
  schedule  = constant()
  steps     = 8
  batch     = 4
  held_out  = 0.25
}
"""


SPELLED = """
model Spelled(entries=300, longest=9, width=8, vocab=9, labels=2, task=false) {
  input characters: int[B, T, C] where C <= longest, characters < entries
  input valid: bool[B, T] optional = true
  output hidden = max(conv(embedding(characters, entries, width) as character, width, 3), over=C - 2) |> tanh
  if task {
    output logits = linear(sum(hidden * valid, over=T) / (1 + sum(valid, over=T)), labels) as classifier
    input label: int[B] optional where label < labels
    output loss = cross_entropy(logits, label, over=labels)
  } else {
    output next = recurrent(elman_cell(width))(hidden, valid=valid) as ahead |> linear(vocab)
    output previous = recurrent(elman_cell(width), reverse=true)(hidden, valid=valid) as back |> linear(vocab)
    input next_word: int[B, T] optional where next_word >= -100, next_word < vocab
    input previous_word: int[B, T] optional where previous_word >= -100, previous_word < vocab
    output loss = (cross_entropy(next, next_word, over=vocab) + cross_entropy(previous, previous_word, over=vocab)) / 2
  }
}
variant Spelled:task { task=true }
train Spelled {
  batches   = both_directions(characters, next_word, previous_word, valid=valid, words=12)
  special   = tokens(pad="<pad>", begin="<w>", end="</w>")
  optimizer = adamw(lr=1e-2)
  schedule  = constant()
  steps     = 8
  batch     = 4
  length    = 12
  evaluate  = 4
  evaluate_batches = 2
  checkpoint = 3
}
train Spelled:task {
  batches   = classify(characters, label, valid=valid)
  special   = tokens(pad="<pad>", begin="<w>", end="</w>")
  schedule  = constant()
  steps     = 8
  batch     = 4
  held_out  = 0.25
}
"""


TEXTS = [f"{'good' if i % 3 else 'bad'} text number {i}" for i in range(24)]


ROWS = [{"text": text, "label": text.split()[0]} for text in TEXTS]


PAIRS = [{"source": f"{a} and {b}", "target": f"{a + b}"} for a in range(6) for b in range(5)]


TAGGED = [{"tokens": text.split(), "tags": ["A", "N", "N", "Q"]} for text in TEXTS]


PATCHES = {"image": np.arange(24 * 16, dtype=np.uint8).reshape(24, 4, 4), "label": [i % 3 for i in range(24)]}


QUESTIONS = [{"question": "what?", "context": text, "answer": "text", "start": text.index("text")} for text in TEXTS]


CAPTIONED = PATCHES | {"caption": [["one", f"a {i % 3}"] for i in range(24)]}


Go = Callable[..., Outcome]


def facts(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / RECORD).read_text())
    return found


def refused(act: Callable[[], Any], code: str) -> Diagnostic:
    with pytest.raises(AttnError) as problem:
        act()
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == code, diagnostic
    assert diagnostic.helps, f"{code} gives no way out"
    return diagnostic
