"""Texts as a model reads them on: what has been read is not read again, as far as that is possible.

The compiler derives the graph that does so (`attndsl.passes.incremental`). A model that keeps states of its rows does
it by itself, one text at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from attndsl.diagnostics import AttnError
from attndsl.graph import Graph
from attndsl.graph.limits import most
from attndsl.lazy import Array, np
from attndsl.passes.incremental import incremental, sliding
from attndsl.records import Frozen
from attndsl.running.program import Program
from attndsl.running.reader import SEGMENT, Reader, at_places, running_states
from attndsl.runs.run import Run

Say = Callable[[str], None]


def keeps_rows(graph: Graph) -> bool:
    """Whether a model keeps states of its rows, so that it has no context that a text could be longer than."""
    return len(graph.shared_states) < len(graph.states)


class Opening(Frozen):
    """How a trained model reads texts on: `begin` gives a reading, as often as one is needed. `context` is how many
    tokens of a text the model reads at most, where that is less than all, and `stays` why it does not go back, if it
    does not."""

    begin: Callable[[], Reading]
    context: int | None = None
    stays: str | None = None

    def announce(self, lengths: Sequence[int], say: Say) -> None:
        """Say of which prompts, of these lengths, the model does not see all."""
        long = [length for length in lengths if begins(length, self.context)]
        if long:
            which = "the prompt" if len(lengths) == 1 else "the longest prompt"
            used = max(long) - begins(max(long), self.context)
            what = f"{which} has {max(long):,} tokens, and the model sees {self.context:,}"
            say(f"{what}: only its last {used:,} are used")


def opening(
    run: Run,
    output: str,
    length: int,
    *,
    backend: str | None = None,
    device: str | None = None,
    cache: bool = True,
    say: Say = lambda text: None,
) -> Opening:
    """How a trained model reads texts of up to `length` tokens on, for the logits `output`. `say` is told once what is
    not as one may expect: that the whole text is read again for each token, and why; that some of it falls away."""
    tokens = run.recipe.objective.roles["tokens"]

    def make(graph: Graph) -> Program:
        return run.program(backend, device, graph)

    return opening_of(run.graph, make, tokens, output, length, segment=run.recipe.length, cache=cache, say=say)


def opening_of(
    model: Graph,
    make: Callable[[Graph], Program],
    tokens: str,
    output: str,
    length: int,
    *,
    segment: int = SEGMENT,
    at_once: int = SEGMENT,
    cache: bool = True,
    say: Say = lambda text: None,
) -> Opening:
    """The same of any model of the input `tokens`: `make` gives a program of a graph of its parameters. One that keeps
    states reads `segment` tokens at a time, any other one `at_once`, at most."""
    context = most(model, tokens)
    if keeps_rows(model):
        segment, program = min(segment, context or segment), make(model)
        kept = f"`{model.states[0].address}` {_STAYS}"
        return Opening(lambda: _InStates(program, tokens, output, segment), None, kept)
    whole, graph = model, None
    try:
        if context is not None and length > context and (slid := _slid(model, tokens, output, context)):
            say(f"the text may get longer than the model's context: each token sees the last {context:,}")
            (whole, graph), context = slid, None
        elif cache:
            graph = incremental(model, tokens, (output,))
    except AttnError as problem:
        say(f"the whole text is read again for each token: {reason(problem)}")
    said = _once(say)
    if graph is None or not cache:
        program = make(whole)
        return Opening(lambda: _InWindow(program, tokens, output, context, said), context)
    program, running = make(graph), running_states(graph, tokens)
    stays = f"`{running[0]}` {_STAYS}" if running else None
    reader = partial(
        Reader, program, tokens, output, length if context is None else min(length, context), segment=at_once
    )
    return Opening(lambda: _InMemories(program, tokens, output, context, reader, said), context, stays)


def _slid(graph: Graph, tokens: str, output: str, context: int) -> tuple[Graph, Graph] | None:
    """The graph whose context slides along a text, and that which reads the text on; None where there is none."""
    made = sliding(graph, tokens, (output,), context)
    try:
        return (made, incremental(made, tokens, (output,))) if made is not None else None
    except AttnError:
        return None


_STAYS = "does not go back to what it was some tokens ago"


def _once(say: Say) -> Say:
    """`say` that does not say the same again."""
    heard: set[str] = set()

    def said(text: str) -> None:
        if text not in heard:
            heard.add(text)
            say(text)

    return said


def reason(problem: AttnError) -> str:
    """Why there is no incremental graph, and where."""
    (found,) = problem.diagnostics
    at = f" ({found.primary.span.source.name}:{found.primary.span.line})" if found.primary else ""
    return f"{found.notes[0] if found.notes else found.message}{at}"


class Reading:
    """Texts that a model reads on, a row for each."""

    def __init__(self, program: Program, tokens: str, output: str) -> None:
        self.program, self.input, self.output = program, tokens, output

    def after(self, tokens: Sequence[Sequence[int]]) -> Array:
        """The logits after these further tokens, of which each row has at least one, `[rows, vocab]`."""
        raise NotImplementedError(type(self).__name__)

    def each(self, tokens: Sequence[Sequence[int]]) -> Array:
        """The logits after each of these further tokens, `[rows, n, vocab]`: n of each row, where there is `room`."""
        raise NotImplementedError(type(self).__name__)

    def room(self) -> int:
        """How many tokens `each` takes so that every one sees what it sees in a call of its own."""
        raise NotImplementedError(type(self).__name__)

    def go_back(self, counts: Sequence[int]) -> None:
        """Forget the last tokens of each row, so many of each: fewer than one call has read."""
        raise NotImplementedError(type(self).__name__)

    def choose(self, rows: Sequence[int]) -> None:
        """Go on with these rows alone."""
        raise NotImplementedError(type(self).__name__)

    def run(self, row: Sequence[int], states: Mapping[str, Array] | None = None) -> tuple[Array, Mapping[str, Array]]:
        """The logits after each of a row of tokens, `[n, vocab]`, and the states for the next call."""
        results = self.program.run({self.input: np.array([row])}, [self.output], states=states)
        return at_places(self.program.graph, self.input, self.output, results[self.output])[0], results.states


def begins(length: int, context: int | None) -> int:
    """The first token that a model still sees of a text of this length. Past its context it forgets the older half at
    once and then goes on, so that what is left is read again once in half a context, and not for each token. What a
    token sees depends on its place alone, and not on how the text was split into calls."""
    if context is None or length <= context:
        return 0
    step = max(context // 2, 1)
    return -(-(length - context) // step) * step


class ContextWindow:
    """What a model sees of texts that go on, as `begins` says. `say` is told when some of it falls away."""

    def __init__(self, context: int | None, say: Say, besides: str = "") -> None:
        self.context, self.say, self.besides = context, say, besides
        self.texts: list[list[int]] = []

    def starts(self) -> list[int]:
        return [begins(len(text), self.context) for text in self.texts]

    def add(self, tokens: Sequence[Sequence[int]]) -> bool:
        """Let the texts go on; whether one of them is not what it was with more behind it."""
        before = self.starts()
        self.texts = [[*old, *new] for old, new in zip(self.texts or [[]] * len(tokens), tokens, strict=True)]
        moved = bool(before) and self.starts() != before
        if moved:
            what = f"the text is past the model's context of {self.context:,} tokens"
            self.say(f"{what}: each time that it is full, the older half is dropped{self.besides}")
        return moved

    def seen(self) -> list[list[int]]:
        return [text[start:] for text, start in zip(self.texts, self.starts(), strict=True)]

    def room(self) -> int:
        if self.context is None:
            return SEGMENT
        return min(start + self.context - len(text) for text, start in zip(self.texts, self.starts(), strict=True))

    def go_back(self, counts: Sequence[int]) -> bool:
        """Forget the last tokens of each; whether one of them is to begin earlier again."""
        before = self.starts()
        self.texts = [text[: len(text) - count] for text, count in zip(self.texts, counts, strict=True)]
        return self.starts() != before

    def choose(self, rows: Sequence[int]) -> None:
        self.texts = [list(self.texts[row]) for row in rows]


class _InMemories(Reading):
    """By the incremental graph: the new tokens alone. Past the model's `context`, what is left of the text is read
    again each time that some of it is dropped."""

    def __init__(
        self,
        program: Program,
        tokens: str,
        output: str,
        context: int | None,
        begin: Callable[..., Reader],
        say: Say,
    ) -> None:
        super().__init__(program, tokens, output)
        self.window = ContextWindow(context, say, ", and the other is read again")
        self.begin = begin  # of so many `rows`
        self.reader: Reader | None = None

    def after(self, tokens: Sequence[Sequence[int]]) -> Array:
        if self.window.add(tokens) or self.reader is None:
            tokens = self.window.seen()
            self.reader = self.begin(rows=len(tokens))
        return self.reader.read(tokens)

    def each(self, tokens: Sequence[Sequence[int]]) -> Array:
        if self.reader is None or len(tokens[0]) == 1:
            return self.after(tokens)[:, None]
        self.window.add(tokens)
        return self.reader.read_each(tokens)

    def room(self) -> int:
        if self.reader is None:
            return 1
        longest = max(map(len, self.reader.texts))
        return min(self.window.room(), self.reader.length - longest, self.reader.segment)

    def go_back(self, counts: Sequence[int]) -> None:
        if self.window.go_back(counts) or self.reader is None:
            self.reader = None
        else:
            self.reader.go_back([len(text) for text in self.window.seen()])

    def choose(self, rows: Sequence[int]) -> None:
        self.window.choose(rows)
        if self.reader is not None:
            self.reader.choose(rows)


class _InWindow(Reading):
    """All of the text that the model sees, for each call anew."""

    def __init__(self, program: Program, tokens: str, output: str, context: int | None, say: Say) -> None:
        super().__init__(program, tokens, output)
        self.window = ContextWindow(context, say)

    def after(self, tokens: Sequence[Sequence[int]]) -> Array:
        return self.each(tokens)[:, -1]

    def each(self, tokens: Sequence[Sequence[int]]) -> Array:
        self.window.add(tokens)
        places = min(map(len, tokens))
        return np.stack([self.run(text)[0][-places:] for text in self.window.seen()])

    def room(self) -> int:
        return self.window.room()

    def go_back(self, counts: Sequence[int]) -> None:
        self.window.go_back(counts)

    def choose(self, rows: Sequence[int]) -> None:
        self.window.choose(rows)


class _InStates(Reading):
    """By a model that keeps states: what is new, in segments of at most `segment` tokens; one text at a time."""

    def __init__(self, program: Program, tokens: str, output: str, segment: int) -> None:
        super().__init__(program, tokens, output)
        self.segment = segment
        self.states: Mapping[str, Array] | None = None

    def after(self, tokens: Sequence[Sequence[int]]) -> Array:
        return self.each(tokens)[:, -1]

    def each(self, tokens: Sequence[Sequence[int]]) -> Array:
        (row,) = tokens
        for start in range(0, len(row), self.segment):
            logits, self.states = self.run(row[start : start + self.segment], self.states)
        return logits[None]

    def room(self) -> int:
        return 1
