"""Texts read on by an incremental graph, in whatever pieces: it must say what the model says of whole texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attndsl.graph import Graph
from attndsl.passes.incremental import Derived, incremental
from attndsl.running import backends
from attndsl.running.program import Program
from attndsl.running.reader import Reader
from attndsl.verification.case import moved
from attndsl.verification.texts import Texts

Array = np.ndarray[Any, Any]


class Pair:
    """A model and the incremental graph of it, with the same parameters, none of which is a round number."""

    def __init__(self, graph: Graph, backend: str = "numpy", tokens: str = "tokens", output: str = "logits") -> None:
        self.graph, self.tokens, self.output = graph, tokens, output
        self.incremental = incremental(graph, tokens, (output,))
        parameters = moved(graph, 2)

        def program(backend: str, graph: Graph) -> Program:
            return backends.find(backend).program(graph, dtype="float64", parameters=parameters)

        self.whole, self.part = program("numpy", graph), program(backend, self.incremental)

    def said(self, texts: Sequence[Sequence[int]]) -> list[Array]:
        """What the model says at each position of whole texts, each by itself."""
        return [self.whole.run({self.tokens: np.array([text])}, [self.output])[self.output][0] for text in texts]

    def reader(self, rows: int, length: int, segment: int = 64) -> Reader:
        return Reader(self.part, self.tokens, self.output, length, rows=rows, segment=segment)


def texts_of(graph: Graph, lengths: Sequence[int], seed: int, vocab: int = 0) -> list[list[int]]:
    draw = np.random.default_rng(seed)
    return [draw.integers(0, vocab or graph.sizes["vocab"], length).tolist() for length in lengths]


def gap(pair: Pair, lengths: Sequence[int], seed: int, *, segment: int = 5) -> float:
    """The largest difference between what is said of texts that are read in random pieces, and of whole ones."""
    draw = np.random.default_rng(seed)
    tokens = draw.integers(0, pair.graph.sizes["vocab"], (len(lengths), max(lengths)))
    texts = Texts(pair.graph, Derived(pair.incremental, pair.tokens), {pair.tokens: tokens}, lengths)
    reader, expected = texts.reader(pair.part, None, segment), texts.whole(pair.whole)
    calls = texts.read(reader, expected, draw)
    return max(float(abs(heard.expected - heard.found).max()) for call in calls for heard in call)


def at_every_position(pair: Pair, text: Sequence[int], cuts: Sequence[int]) -> float:
    """The largest difference at any position of one text that is cut into calls at `cuts`."""
    (expected,) = pair.said([text])
    stacks = pair.part.begin({pair.tokens: np.zeros((1, len(text)), np.int64)})
    worst = 0.0
    for start, end in zip((0, *cuts), (*cuts, len(text)), strict=True):
        if end > start:
            given: Mapping[str, Array] = {pair.tokens: np.array([text[start:end]])}
            results, stacks = pair.part.advance(given, stacks, [pair.output])
            worst = max(worst, float(abs(results[pair.output][0] - expected[start:end]).max()))
    return worst
