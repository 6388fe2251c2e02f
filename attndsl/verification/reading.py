"""The claim about texts that are read on: every way of splitting them into calls gives what one call gives.

Texts of several lengths stand in one batch, some as short as a token, and are read in pieces of random lengths, some of
none. Now and then a row reads something else first and goes back. What each call says of its new positions is held
against what the model says of the whole text, by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from attndsl.comparison import tolerance
from attndsl.comparison.sides import distance, greatest, largest
from attndsl.diagnostics import AttnError
from attndsl.graph import INT, Graph
from attndsl.graph.limits import most
from attndsl.lazy import Array, np
from attndsl.passes.incremental import NEW_TOKENS, Derived, derived
from attndsl.records import replace
from attndsl.running.reader import BLOCK, Reader, at_places
from attndsl.running.slots import slots
from attndsl.verification.case import Case
from attndsl.verification.report import Finding, worst

if TYPE_CHECKING:
    import numpy

    from attndsl.running.backends import Backend

CLAIM = "incremental = full"
LONGEST = BLOCK + 16  # tokens of a text: memories are read in more than one block


class Texts:
    """A model, the incremental graph of it, and texts to read: `tokens` are `int[rows, length]` with rows of these
    `lengths`, `others` the model's other inputs, a row for each text."""

    def __init__(self, case: Case, made: Derived, lengths: Sequence[int], seed: int) -> None:
        self.case, self.made, self.lengths = case, made, list(lengths)
        self.graph = case.graph
        self.input = read_input(made.graph)
        self.type = next(info.value.type for info in self.graph.inputs if info.name == self.input)
        self.outputs = [info.name for info in made.graph.own_outputs]
        inputs = self._examples(seed)
        self.tokens = inputs.pop(self.input)
        taken = {info.name for info in (made.sources or made.graph).own_inputs}
        self.others = {name: array for name, array in inputs.items() if name in taken}

    def _examples(self, seed: int) -> dict[str, Array]:
        from attndsl.running.inputs import example_inputs

        rows, time = self.type.axes
        sizes = {str(rows.size): len(self.lengths), str(time.size): max(self.lengths)}
        return example_inputs(self.graph, {**self.case.asked, **sizes}, seed)

    def row(self, row: int, length: int | None = None) -> dict[str, Array]:
        """The inputs of the model for one text."""
        length = self.lengths[row] if length is None else length
        inputs = {name: array[row : row + 1] for name, array in self.others.items()}
        return {**inputs, self.input: self.tokens[row : row + 1, :length]}

    def whole(self) -> list[dict[str, Array]]:
        """What the model says of each text, by itself: outputs as `[length, …]`."""
        program = self.case.program(self.graph)
        return [
            {name: at_places(self.graph, self.input, name, array)[0] for name, array in found.items()}
            for found in (program.run(self.row(row), self.outputs) for row in range(len(self.lengths)))
        ]

    def reader(self, backend: Backend, segment: int) -> Reader:
        """What reads these texts on, with what is made of the other inputs once."""
        sources = self.case.program(self.made.sources, backend).run(self.others) if self.made.sources else None
        program = self.case.program(self.made.graph, backend)
        length = max(self.lengths)
        return Reader(
            program, self.input, self.outputs[0], length, rows=len(self.lengths), segment=segment, sources=sources
        )

    def read_something_else(self, reader: Reader, read: Sequence[int], draw: numpy.random.Generator) -> None:
        """Read up to two tokens that are not what follows, where there is room for them, and go back."""
        longest, words = max(self.lengths), int(self.tokens.max(initial=0)) + 1
        counts = [min(int(draw.integers(0, 3)), longest - at) for at in read]
        if any(counts):
            reader.read([draw.integers(0, words, count).tolist() for count in counts])
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
        steps = [min(int(draw.integers(0 if done else 1, 4 * segment // 3)), segment) for done in read]
        steps = [min(step, length - done) for step, done, length in zip(steps, read, lengths, strict=True)]
        if any(steps):
            yield list(read), steps
            read = [done + step for done, step in zip(read, steps, strict=True)]


def read_on(case: Case) -> Iterator[Finding]:
    """Texts read in pieces, on every backend."""
    graph = case.graph
    try:
        made = derived(graph)
    except AttnError as problem:
        yield Finding(CLAIM, "", reason=reason_of(problem))
        return
    if made.graph is graph:
        yield Finding(CLAIM, "", reason="it keeps states of its rows by itself, from call to call")
        return
    window = max((least - 1 for least in slots(made.graph, {symbol(made): 1}).values()), default=0)
    longest = min(most(graph, read_input(made.graph)) or LONGEST, max(LONGEST, 2 * window if window < 256 else 0))
    lengths = sorted({1, 2, max(longest // 3, 1), max(longest - 3, 1), longest})
    texts = Texts(case, made, lengths, case.seed)
    expected = texts.whole()
    for backend in case.readers:
        yield held(texts, expected, backend, seed=case.seed, short_of=window if window >= longest else 0)


def symbol(made: Derived) -> str:
    """The size that counts the tokens of a call."""
    name = read_input(made.graph)
    return str(next(info.value.type.axes[-1].size for info in made.graph.inputs if info.name == name))


def reason_of(problem: AttnError) -> str:
    """Why a graph cannot read on, with the line."""
    found = problem.diagnostics[0]
    at = f" ({found.primary.span.source.name}:{found.primary.span.line})" if found.primary else ""
    return f"{found.notes[0] if found.notes else found.message}{at}"


def held(
    texts: Texts,
    expected: Sequence[Mapping[str, Array]],
    backend: Backend,
    *,
    seed: int,
    segment: int = 12,
    back: bool = True,
    short_of: int = 0,
) -> Finding:
    """Whether texts that are read in random pieces say what they say as a whole, at every position. `short_of` is a
    window that is longer than the texts, so that they do not cross it."""
    case, made = texts.case, texts.made
    types = {info.name: info.value.type for info in made.graph.outputs}
    sizes = {
        **made.graph.sizes,
        **{str(axis.size): length for axis, length in zip(texts.type.axes, texts.tokens.shape, strict=True)},
    }
    work = case.work({**case.double.sizes, **sizes})
    around = greatest(case.weights.values())
    draw = np.random.default_rng(seed)
    reader = texts.reader(backend, segment)
    goes_back = back and not reader.runs_on
    rows, calls, returns = [Finding(CLAIM, "")], 0, 0
    for read, steps in pieces_of(texts.lengths, draw, segment):
        if goes_back and all(read) and draw.random() < 0.4:
            texts.read_something_else(reader, read, draw)
            returns += 1
        new = [texts.tokens[row, at : at + n].tolist() for row, (at, n) in enumerate(zip(read, steps, strict=True))]
        said = reader.call(new, texts.outputs)
        calls += 1
        for name in texts.outputs:
            found = said[name]
            for row, (at, n) in enumerate(zip(read, steps, strict=True)):
                true = expected[row][name]
                size = largest(true)
                allowed = (
                    tolerance.for_output("float64", size, 0.0, max(around, size), work) if types[name].is_float else 0.0
                )
                off = distance(true[at if n else at - 1 : at + n], found[row, : max(n, 1)])
                where = f"output {name} of a text of {texts.lengths[row]} tokens, at its {at + n}th"
                rows.append(Finding(CLAIM, "", off, allowed, "", where))
    how = f"{backend.title} float64: texts of {', '.join(map(str, texts.lengths))} tokens in {calls} calls"
    how += f", {returns} times back" if returns else ""
    how += f"; its window of {short_of} is longer" if short_of else ""
    return replace(worst(rows), how=how)


__all__ = ["CLAIM", "Texts", "held", "read_on"]
