"""The settings of a recipe that are plain values: what kind each is, what it may be, and what it is when not said."""

from __future__ import annotations

from collections.abc import Mapping

from attndsl.choices import Option

PRECISIONS = ("float32", "float64", "bfloat16", "float16")

SETTINGS: Mapping[str, Option] = {
    "minimize": Option("word", "loss", "the output to minimise, a scalar"),
    "clip": Option("float", 1.0, "the largest norm of all gradients together (0: no limit)", 0),
    "batch": Option("int", 8, "windows, rows or images in a batch", 1, 1_000_000),
    "accumulate": Option("int", 1, "batches that make one step, as if they were one", 1, 1_000_000),
    "length": Option("int", 0, "the most tokens of a window or row (unless given, the model's `context`)", 1, 10**9),
    "precision": Option("word", "float32", "what is computed in; parameters are kept in float32", words=PRECISIONS),
    "recompute": Option("bool", False, "compute a `repeat`'s layers once more for the gradients, and keep none of it"),
    "steps": Option("int", 1000, "steps of training", 1, 10**12),
    "evaluate": Option("int", 100, "steps from one evaluation on held-out data to the next (0: at the end only)", 0),
    "evaluate_batches": Option("int", 16, "batches in an evaluation", 1),
    "checkpoint": Option("int", 100, "steps from one checkpoint to the next (0: at the end only)", 0),
    "tokenizer": Option(
        "word",
        "bytes",
        "`bytes`, `chars`, `bpe(1024)`, `wordpiece(2000)`, `unigram(2000)`, `words(10000)`, or a tokenizer.json",
    ),
    "held_out": Option("float", 0.05, "share of the data that is kept for evaluation", 0, 0.5),
    "freeze": Option("words", (), "addresses of parameters that keep their values, as patterns: `word.*`"),
    "seed": Option("int", 0, "of initial values, batches and dropout", 0, (1 << 63) - 1),
}
