"""Texts read in pieces by an incremental graph, beside what the model says of them as a whole.

Texts of several lengths stand in one batch, and are read in calls of which each gives a row any number of new tokens,
none or as many as a call takes. Now and then rows read something else first, and go back, as drafts that are rejected;
and now and then it goes on with some of the rows alone, in any order, one of them in several places, as beams do. All
that the model is given at each position besides the tokens goes with them; what it is given once (an encoder's source)
is read once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from attndsl.graph import Graph, Type
from attndsl.lazy import Array, np
from attndsl.passes.incremental import NEW_TOKENS, Derived
from attndsl.running.program import Program
from attndsl.running.reader import Reader, at_places
from attndsl.verification.calls import cut_inputs

if TYPE_CHECKING:
    import numpy


BEAMS = 3
"""How often a reading goes on with other rows, at most."""


class Heard(NamedTuple):
    """What a call said of the last positions of a text up to `end`, and what the whole text says there."""

    output: str
    text: int
    end: int
    expected: Array
    found: Array


class TextRow(NamedTuple):
    """A row of a reader: which text it reads, how many of its tokens it has read, and how many it reads next."""

    text: int
    read: int = 0
    new: int = 0


class Texts:
    """What a model is given for a batch of texts, of which the row r is `lengths[r]` tokens long; `made` reads them
    on."""

    def __init__(self, graph: Graph, made: Derived, inputs: Mapping[str, Array], lengths: Sequence[int]) -> None:
        self.graph, self.made, self.lengths = graph, made, list(lengths)
        self.tokens = made.tokens
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
        length = max(self.lengths)
        besides = self.given([TextRow(text, 0, min(segment, length)) for text in range(len(self.lengths))])
        return Reader(
            step, self.tokens, self.outputs[0], length, rows=len(self.lengths), segment=segment, sources=sources,
            besides=besides,
        )  # fmt: skip

    def given(self, rows: Sequence[TextRow]) -> dict[str, Array]:
        """What the model is given besides its tokens, at the positions that a call reads; behind those that it reads
        of a row, what stands there, which it must not look at."""
        first = np.array([row.read if row.new else max(row.read - 1, 0) for row in rows])
        longest = max([row.new for row in rows] + [1])
        places = np.minimum(first[:, None] + np.arange(longest), max(self.lengths) - 1)
        texts = np.array([row.text for row in rows])
        return {name: self._at(self.inputs[name], type, texts, places) for name, type in self.besides.items()}

    def _at(self, array: Array, type: Type, texts: Array, places: Array) -> Array:
        """The part of an input that belongs to these texts, at these places."""
        if self.axes[0] not in type.axes:
            return array
        r = type.axes.index(self.axes[0])
        if self.axes[1] not in type.axes:
            return array.take(texts, r)
        t = type.axes.index(self.axes[1])
        moved = np.moveaxis(array, (r, t), (0, 1))
        picked = moved[texts[:, None], places]
        return np.ascontiguousarray(np.moveaxis(picked, (0, 1), (r, t)))

    def read(
        self, reader: Reader, expected: Sequence[Mapping[str, Array]], draw: numpy.random.Generator, back: float = 0.4
    ) -> Iterator[list[Heard]]:
        """Read all texts, and give what each call says; before a share `back` of the calls something else is read, and
        forgotten. A few times it goes on with other rows (`beams`)."""
        tokens = self.inputs[self.tokens]
        back = 0.0 if reader.runs_on else back
        rows, turns = [TextRow(text) for text in range(len(self.lengths))], BEAMS
        while any(row.read < self.lengths[row.text] for row in rows):
            if turns and all(row.read for row in rows) and draw.random() < 0.7:
                chosen, turns = self.beams(rows, draw), turns - 1
                reader.choose(chosen)
                rows = [rows[origin] for origin in chosen]
            if all(row.read for row in rows) and draw.random() < back:
                self._read_something_else(reader, rows, draw)
            rows = self._with_steps(rows, reader.segment, draw)
            if not any(row.new for row in rows):
                continue
            new = [tokens[row.text, row.read : row.read + row.new].tolist() for row in rows]
            said = reader.call(new, self.outputs, self.given(rows))
            yield [
                self._heard(name, row, expected, found)
                for name in self.outputs
                for row, found in zip(rows, said[name], strict=True)
            ]
            rows = [TextRow(row.text, row.read + row.new) for row in rows]

    def _heard(self, name: str, row: TextRow, expected: Sequence[Mapping[str, Array]], found: Array) -> Heard:
        end = row.read + row.new
        right = expected[row.text][name][row.read if row.new else end - 1 : end]
        return Heard(name, row.text, end, right, found[: max(row.new, 1)])

    def beams(self, rows: Sequence[TextRow], draw: numpy.random.Generator) -> list[int]:
        """The rows to go on with: one more or fewer than there are, or as many; any, some of them several times, rather
        those that go on, and among them the one that has most before it."""
        left = [self.lengths[row.text] - row.read for row in rows]
        those = [*range(len(rows)), *np.flatnonzero(left)]
        chosen = draw.choice(those, int(draw.integers(max(len(rows) - 1, 1), len(rows) + 2)))
        chosen[int(draw.integers(0, len(chosen)))] = np.argmax(left)
        return [int(origin) for origin in chosen]

    def _with_steps(self, rows: Sequence[TextRow], segment: int, draw: numpy.random.Generator) -> list[TextRow]:
        """How many tokens each row reads next: at least one at first, then any number, and every now and then as many
        as a call takes."""
        steps = [min(int(draw.integers(0 if row.read else 1, 4 * segment // 3 + 2)), segment) for row in rows]
        return [
            TextRow(row.text, row.read, min(step, self.lengths[row.text] - row.read))
            for row, step in zip(rows, steps, strict=True)
        ]

    def _read_something_else(self, reader: Reader, rows: Sequence[TextRow], draw: numpy.random.Generator) -> None:
        """Read up to two tokens that are not what follows, where there is room for them, and go back."""
        longest, words = max(self.lengths), int(self.inputs[self.tokens].max(initial=0)) + 1
        most = reader.segment - bool(reader.windows)
        counts = [min(int(draw.integers(0, 3)), longest - row.read, most) for row in rows]
        if any(counts):
            drafts = [draw.integers(0, words, count).tolist() for count in counts]
            elsewhere = [
                TextRow(row.text, row.read // 2 if count else row.read, count)
                for row, count in zip(rows, counts, strict=True)
            ]
            reader.call(drafts, self.outputs, self.given(elsewhere))
            reader.go_back([row.read for row in rows])
