"""Texts that an incremental graph reads on, on any backend."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attndsl.graph import Graph
from attndsl.lazy import Array, np
from attndsl.passes.incremental import NEW_TOKENS, PAST
from attndsl.running.program import Program
from attndsl.running.slots import slots, slots_in_use
from attndsl.running.states import row_places

SEGMENT = 256  # so many tokens of a row are read in one call, at most
ALONE = 32  # the last of more tokens than so many is read in a call of its own
BLOCK = 64  # of memories as long as a text whole blocks of so many slots are read


def at_places(graph: Graph, tokens: str, output: str, array: Array) -> Array:
    """What an output says at the places of its texts, `[rows, T, …]`, whatever the order of its axes."""
    type = next(info.value.type for info in graph.outputs if info.name == output)
    axes = next(info.value.type.axes for info in graph.inputs if info.name == tokens)
    found: Array = np.moveaxis(array, [type.index(axis) for axis in axes], range(len(axes)))
    return found


def running_states(graph: Graph, tokens: str, sources: Collection[str] = ()) -> list[str]:
    """The states of an incremental graph that hold a sum, what a recurrence carries, or the last inputs alone: they do
    not go back. `sources` are what does not depend on the text."""
    axes = next(info.value.type.axes for info in graph.inputs if info.name == tokens)
    memories = slots(graph, {axes[-1].name: 1}).keys()
    kept = [info for info in graph.inputs if info.name in graph.state_names and not info.optional]
    return [
        info.name
        for info in kept
        if info.name not in (PAST, *sources) and not any(a.size.symbols & memories for a in info.value.type.axes)
    ]


class Reader:
    """A batch of texts, each as long as it is. `program` runs a graph that `attndsl.passes.incremental` made, whose
    input `tokens` are `int[rows, T]`; `length` is how many tokens a text may come to have. Nothing is read twice, and
    the memories are allocated once: those for windows as long as the window and what is read in one call, or as a text
    that is shorter. `sources` are what the graph of the model's other inputs gives, a row for each text, and texts of
    one of the `owners` have the same; `besides` what else a call of `segment` tokens is given."""

    def __init__(
        self,
        program: Program,
        tokens: str,
        output: str,
        length: int,
        *,
        rows: int = 1,
        segment: int = SEGMENT,
        sources: Mapping[str, Array] | None = None,
        besides: Mapping[str, Array] | None = None,
        owners: Sequence[int] | None = None,
    ) -> None:
        self.program, self.tokens, self.output = program, tokens, output
        self.length, self.segment = length, max(min(segment, length), 1)
        self.texts: list[list[int]] = [[] for _ in range(rows)]
        graph = program.graph
        axes = next(info.value.type.axes for info in graph.inputs if info.name == tokens)
        begin = {**(besides or {}), tokens: np.zeros((rows, self.segment), np.int64)}
        holds = slots(graph, {axes[-1].name: 1})
        self.sources = frozenset(sources or ())
        self.owners = list(range(rows) if owners is None else owners)
        self.memories = slots_in_use(graph, 0).keys()
        self.windows = [name for name, least in holds.items() if least > 1]
        self.runs_on = running_states(graph, tokens, (sources or {}).keys())
        self.stacks: dict[str, Any] = program.begin(begin, slots(graph, {axes[-1].name: self.segment}, length), sources)

    def read(self, tokens: Sequence[Sequence[int]]) -> Array:
        """The output after these further tokens, `[rows, …]`: of a row without any, that after its last one. Each
        text begins with at least one."""
        *before, last = self._calls(tokens)
        for pieces in before:
            self.call(pieces, [])
        return self.call(last, [self.output])[self.output][:, -1]

    def _calls(self, tokens: Sequence[Sequence[int]]) -> list[list[Sequence[int]]]:
        """These further tokens as pieces for calls. The last of many tokens is a call of its own: what the last layer
        says at the others is not asked for, and that saves more."""
        alone = max(map(len, tokens)) > ALONE and all(
            old or len(new) > 1 for old, new in zip(self.texts, tokens, strict=True)
        )
        firsts = [new[:-1] for new in tokens] if alone else tokens
        starts = range(0, max(map(len, firsts)), self.segment)
        calls = [[new[start : start + self.segment] for new in firsts] for start in starts]
        return [*calls, [new[-1:] for new in tokens]] if alone else calls

    def read_each(self, tokens: Sequence[Sequence[int]]) -> Array:
        """The output after each of these further tokens, `[rows, n, …]`: n of each row, `segment` at most."""
        assert {len(new) for new in tokens} == {len(tokens[0])}
        assert len(tokens[0]) <= self.segment
        return self.call(tokens, [self.output])[self.output]

    def call(
        self, pieces: Sequence[Sequence[int]], outputs: Sequence[str], besides: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """These outputs of one call, `[rows, n, …]`, at all positions of the longest piece, of at most `segment`
        tokens: in a row with fewer, what stands behind them is as at the last one. `besides` is what the model is
        given with these tokens."""
        lengths = [len(piece) for piece in pieces]
        given = np.zeros((len(pieces), max(*lengths, 1)), np.int64)
        for row, (piece, text) in enumerate(zip(pieces, self.texts, strict=True)):
            given[row, : max(len(piece), 1)] = list(piece) or text[-1:]
            text += piece
        inputs = {**(besides or {}), self.tokens: given, NEW_TOKENS: np.array(lengths, np.int64)}
        longest = max(given.shape[1], *map(len, self.texts))
        if self.windows and longest > self.length:
            raise ValueError(f"the memories were made for texts of up to {self.length:,} tokens, and not {longest:,}")
        results, self.stacks = self.program.advance(inputs, self.stacks, outputs, self._in_use(longest))
        return {name: at_places(self.program.graph, self.tokens, name, array) for name, array in results.items()}

    def go_back(self, lengths: Sequence[int]) -> None:
        """Forget all but the first `lengths` tokens of each text: drafts that were not taken. `ValueError` for a model
        that keeps sums or the states of a recurrence, and where a window would have to be as it was `segment` tokens
        ago: what the last token saw that is left may be asked for again."""
        back = max(len(text) - length for text, length in zip(self.texts, lengths, strict=True))
        if back and self.runs_on:
            raise ValueError(f"`{self.runs_on[0]}` does not go back")
        if back >= self.segment and self.windows:
            raise ValueError(f"the memories for windows go back by {self.segment - 1} tokens at most, and not {back}")
        self.texts = [text[:length] for text, length in zip(self.texts, lengths, strict=True)]
        self.stacks = {**self.stacks, PAST: self.program.native(np.array(lengths, np.int64))}

    def choose(self, rows: Sequence[int]) -> None:
        """Go on with these rows, in this order; a row may be there several times (the beams of a search)."""
        owners = [self.owners[row] for row in rows]
        stay = self.sources if owners == self.owners[: len(rows)] else ()
        self.stacks = self.program.chosen_rows(self.stacks, rows, self._in_use(max(map(len, self.texts))), stay)
        self.texts, self.owners = [list(self.texts[row]) for row in rows], owners

    def _in_use(self, length: int) -> dict[str, int]:
        """How many slots of the memories hold texts of this length, in whole blocks."""
        return dict.fromkeys(self.memories, -(-length // BLOCK) * BLOCK)


class Prefixes:
    """The logits that `attndsl.decoding.sequences` asks for, of prefixes that each are one from the call before with a
    token more. Called with `int[N, L]` and the row of the batch that each belongs to."""

    def __init__(
        self, program: Program, tokens: str, output: str, length: int, sources: Mapping[str, Array], vocab: int
    ) -> None:
        self.program, self.tokens, self.output, self.length = program, tokens, output, length
        self.sources, self.vocab = sources, vocab
        self.reader: Reader | None = None
        self.known: dict[tuple[int, tuple[int, ...]], int] = {}

    def __call__(self, prefixes: Array, rows: Array) -> Array:
        asked = [(int(row), tuple(prefix.tolist())) for row, prefix in zip(rows, prefixes, strict=True)]
        before = [self.known.get((row, prefix[:-1])) for row, prefix in asked]
        if self.reader is None or None in before:
            self.reader = self._begin(rows)
            new = [list(prefix) for _, prefix in asked]
        else:
            chosen = [place for place in before if place is not None]
            if chosen != list(range(len(self.reader.texts))):
                self.reader.choose(chosen)
            new = [[prefix[-1]] for _, prefix in asked]
        self.known = {key: place for place, key in enumerate(asked)}
        # A model's table may be larger than the tokenizer (padding): the further numbers mean nothing.
        return self.reader.read(new)[:, : self.vocab]

    def _begin(self, rows: Array) -> Reader:
        places = row_places(self.program.graph)
        sources = {
            name: array.take(rows, places[name]) if name in places else array for name, array in self.sources.items()
        }
        return Reader(
            self.program, self.tokens, self.output, self.length, rows=len(rows), sources=sources, owners=rows.tolist()
        )


__all__ = ["Prefixes", "Reader", "at_places", "running_states"]
