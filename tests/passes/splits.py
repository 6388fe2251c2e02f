"""Texts read on by an incremental graph, in whatever pieces: it must say what the model says of whole texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attndsl.graph import Graph
from attndsl.passes.incremental import incremental
from attndsl.running import backends
from attndsl.running.program import Program
from attndsl.running.reader import Reader

Array = np.ndarray[Any, Any]


class Pair:
    """A model and the incremental graph of it, with the same parameters, none of which is a round number."""

    def __init__(self, graph: Graph, backend: str = "numpy", tokens: str = "tokens", output: str = "logits") -> None:
        self.graph, self.tokens, self.output = graph, tokens, output
        self.incremental = incremental(graph, tokens, (output,))
        self.whole: Program = backends.find("numpy").program(graph, dtype="float64", seed=1)
        draw = np.random.default_rng(2)
        moved = {
            name: array + 0.2 * draw.standard_normal(array.shape) for name, array in self.whole.parameters().items()
        }
        self.whole.load(moved := moved | shared_states(graph))
        self.part: Program = backends.find(backend).program(self.incremental, dtype="float64", parameters=moved)

    def said(self, texts: Sequence[Sequence[int]]) -> list[Array]:
        """What the model says at each position of whole texts, each by itself."""
        return [self.whole.run({self.tokens: np.array([text])}, [self.output])[self.output][0] for text in texts]

    def reader(self, rows: int, length: int, segment: int = 64) -> Reader:
        return Reader(self.part, self.tokens, self.output, length, rows=rows, segment=segment)


def shared_states(graph: Graph) -> dict[str, Array]:
    """What training may have made of the states that all texts share, by address."""
    draw = np.random.default_rng(4)
    return {
        address: draw.uniform(0.5, 2, info.type.shape(graph.sizes))
        for info in graph.shared_states
        for address in info.addresses()
    }


def texts_of(graph: Graph, lengths: Sequence[int], seed: int, vocab: int = 0) -> list[list[int]]:
    draw = np.random.default_rng(seed)
    return [draw.integers(0, vocab or graph.sizes["vocab"], length).tolist() for length in lengths]


def gap(pair: Pair, lengths: Sequence[int], seed: int, *, segment: int = 5, back: bool = True, most: int = 7) -> float:
    """The largest difference between what is said of texts that are read in random pieces, and of whole ones. Rows have
    pieces of different lengths, some none; now and then some go back, having read something else."""
    draw = np.random.default_rng(seed)
    texts = texts_of(pair.graph, lengths, seed)
    expected = pair.said(texts)
    reader = pair.reader(len(texts), max(lengths), segment)
    read, worst = [0] * len(texts), 0.0
    while any(done < len(text) for done, text in zip(read, texts, strict=True)):
        steps = [int(draw.integers(0 if done else 1, most + 1)) for done in read]
        steps = [min(step, len(text) - done) for step, done, text in zip(steps, read, texts, strict=True)]
        if back and draw.random() < 0.3:  # a draft, which is not what follows
            drafts = [draw.integers(0, pair.graph.sizes["vocab"], min(step, 2)).tolist() for step in steps]
            if all(read) and any(drafts):
                reader.read(drafts)
                reader.go_back(read)
        pieces = [text[done : done + step] for text, done, step in zip(texts, read, steps, strict=True)]
        if not any(pieces):
            continue
        found = reader.read(pieces)
        read = [done + step for done, step in zip(read, steps, strict=True)]
        worst = max(
            worst, *(float(abs(f - e[done - 1]).max()) for f, e, done in zip(found, expected, read, strict=True))
        )
    return worst


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
