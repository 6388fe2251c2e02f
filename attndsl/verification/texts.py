"""Texts read in pieces by an incremental graph, beside what the model says of them as a whole.

Texts of several lengths stand in one batch, and are read in calls of which each gives a row any number of new tokens,
none or as many as a call takes. Now and then rows read something else first, and go back. All that the model is given
at each position besides the tokens goes with them; what it is given once (an encoder's source) is read once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from attndsl.graph import INT, Graph, Type
from attndsl.lazy import Array, np
from attndsl.passes.incremental import NEW_TOKENS, Derived
from attndsl.running.program import Program
from attndsl.running.reader import Reader, at_places
from attndsl.verification.calls import cut_inputs

if TYPE_CHECKING:
    import numpy


class Heard(NamedTuple):
    """What a call said of the last `new` positions of a row up to `end`, and what the whole text says there."""

    output: str
    row: int
    end: int
    expected: Array
    found: Array


class Texts:
    """What a model is given for a batch of texts, of which the row r is `lengths[r]` tokens long; `made` reads them
    on."""

    def __init__(self, graph: Graph, made: Derived, inputs: Mapping[str, Array], lengths: Sequence[int]) -> None:
        self.graph, self.made, self.lengths = graph, made, list(lengths)
        self.tokens = read_input(made.graph)
        types = {info.name: info.value.type for info in graph.inputs}
        self.axes = types[self.tokens].axes
        self.rows, self.time = (str(axis.size) for axis in self.axes)
        self.inputs = {name: array for name, array in inputs.items() if name in types}
        self.outputs = [info.name for info in made.graph.own_outputs]
        taken = {info.name for info in made.graph.own_inputs} - {self.tokens, NEW_TOKENS}
        self.besides = {name: types[name] for name in taken if name in self.inputs}
        self.sources = {info.name for info in made.sources.own_inputs} if made.sources else set()

    def whole(self, program: Program) -> list[dict[str, Array]]:
        """What the model says of each text by itself: outputs as `[length, …]`."""
        found = []
        for row, length in enumerate(self.lengths):
            cut = {self.rows: slice(row, row + 1), self.time: slice(0, length)}
            said = program.run(cut_inputs(self.graph, self.inputs, cut), self.outputs)
            found.append({name: at_places(self.graph, self.tokens, name, array)[0] for name, array in said.items()})
        return found

    def reader(self, step: Program, source: Program | None, segment: int) -> Reader:
        """What reads these texts on, from the beginning, in calls of up to `segment` tokens."""
        sources = None
        if source is not None:
            sources = source.run({name: array for name, array in self.inputs.items() if name in self.sources}).copy()
        rows, length = len(self.lengths), max(self.lengths)
        besides = self.given([0] * rows, [min(segment, length)] * rows)
        return Reader(
            step, self.tokens, self.outputs[0], length, rows=rows, segment=segment, sources=sources, besides=besides
        )

    def given(self, read: Sequence[int], steps: Sequence[int]) -> dict[str, Array]:
        """What the model is given besides its tokens, at the positions that a call reads; behind those that it reads
        of a row, what stands there, which it must not look at."""
        first = np.array([at if n else max(at - 1, 0) for at, n in zip(read, steps, strict=True)])
        places = np.minimum(first[:, None] + np.arange(max(*steps, 1)), max(self.lengths) - 1)
        found = {}
        for name, type in self.besides.items():
            found[name] = self._at(self.inputs[name], type, places)
        return found

    def _at(self, array: Array, type: Type, places: Array) -> Array:
        if self.axes[1] not in type.axes:
            return array
        r, t = (type.axes.index(axis) for axis in self.axes)
        moved = np.moveaxis(array, (r, t), (0, 1))
        picked = moved[np.arange(len(places))[:, None], places]
        return np.ascontiguousarray(np.moveaxis(picked, (0, 1), (r, t)))

    def read(
        self, reader: Reader, expected: Sequence[Mapping[str, Array]], draw: numpy.random.Generator, back: float = 0.4
    ) -> Iterator[list[Heard]]:
        """Read all texts, and give what each call says; before a share `back` of the calls something else is read, and
        forgotten."""
        tokens = self.inputs[self.tokens]
        back = 0.0 if reader.runs_on else back
        for read, steps in pieces_of(self.lengths, draw, reader.segment):
            if all(read) and draw.random() < back:
                self._read_something_else(reader, read, draw)
            new = [tokens[row, at : at + n].tolist() for row, (at, n) in enumerate(zip(read, steps, strict=True))]
            said = reader.call(new, self.outputs, self.given(read, steps))
            yield [
                Heard(
                    name, row, at + n, expected[row][name][at if n else at - 1 : at + n], said[name][row, : max(n, 1)]
                )
                for name in self.outputs
                for row, (at, n) in enumerate(zip(read, steps, strict=True))
            ]

    def _read_something_else(self, reader: Reader, read: Sequence[int], draw: numpy.random.Generator) -> None:
        """Read up to two tokens that are not what follows, where there is room for them, and go back."""
        longest, words = max(self.lengths), int(self.inputs[self.tokens].max(initial=0)) + 1
        most = reader.segment - bool(reader.windows)
        counts = [min(int(draw.integers(0, 3)), longest - at, most) for at in read]
        if any(counts):
            drafts = [draw.integers(0, words, count).tolist() for count in counts]
            elsewhere = [at // 2 if count else at for at, count in zip(read, counts, strict=True)]
            reader.call(drafts, self.outputs, self.given(elsewhere, counts))
            reader.go_back(read)


def read_input(graph: Graph) -> str:
    """The input of tokens of an incremental graph."""
    return next(info.name for info in graph.own_inputs if info.value.type.dtype == INT and info.name != NEW_TOKENS)


def pieces_of(
    lengths: Sequence[int], draw: numpy.random.Generator, segment: int
) -> Iterator[tuple[list[int], list[int]]]:
    """How far each row has been read, and how many tokens it reads next: at least one at first, then any number, and
    every now and then as many as a call takes."""
    read = [0] * len(lengths)
    while any(done < length for done, length in zip(read, lengths, strict=True)):
        steps = [min(int(draw.integers(0 if done else 1, 4 * segment // 3 + 2)), segment) for done in read]
        steps = [min(step, length - done) for step, done, length in zip(steps, read, lengths, strict=True)]
        if any(steps):
            yield list(read), steps
            read = [done + step for done, step in zip(read, steps, strict=True)]


__all__ = ["Heard", "Texts", "pieces_of", "read_input"]
