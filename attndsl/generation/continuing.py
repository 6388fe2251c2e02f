"""Texts as a model reads them on: what has been read is not read again, as far as that is possible.

The compiler derives the graph that does so (`attndsl.passes.incremental`). A model that keeps states of its rows does
it by itself, one text at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from attndsl.diagnostics import AttnError
from attndsl.graph import Graph
from attndsl.graph.limits import most
from attndsl.lazy import Array, np
from attndsl.passes.incremental import incremental
from attndsl.running.program import Program
from attndsl.running.reader import Reader, last_place
from attndsl.runs.run import Run

Say = Callable[[str], None]


def keeps_rows(graph: Graph) -> bool:
    """Whether a model keeps states of its rows, so that it has no context that a text could be longer than."""
    return len(graph.shared_states) < len(graph.states)


def open_reading(
    run: Run,
    output: str,
    length: int,
    *,
    backend: str | None = None,
    device: str | None = None,
    cache: bool = True,
    say: Say = lambda text: None,
) -> Reading:
    """How to read texts of up to `length` tokens with a trained model, for the logits `output`."""
    tokens = run.recipe.objective.roles["tokens"]
    context = most(run.graph, tokens)
    if keeps_rows(run.graph):
        segment = min(run.recipe.length, context or run.recipe.length)
        return _InStates(run.program(backend, device), tokens, output, segment)
    if not cache:
        return _InWindow(run.program(backend, device), tokens, output, context, say)
    try:
        graph = incremental(run.graph, tokens, (output,))
    except AttnError as problem:
        (found,) = problem.diagnostics
        at = f" ({found.primary.span.source.name}:{found.primary.span.line})" if found.primary else ""
        say(f"the whole text is read again for each token: {found.notes[0] if found.notes else found.message}{at}")
        return _InWindow(run.program(backend, device), tokens, output, context, say)
    return _InMemories(run.program(backend, device, graph), tokens, output, context, length, say)


class Reading:
    """Texts that a model reads on, a row for each."""

    def __init__(self, program: Program, tokens: str, output: str) -> None:
        self.program, self.input, self.output = program, tokens, output

    def after(self, tokens: Sequence[Sequence[int]]) -> Array:
        """The logits after these further tokens, of which each row has at least one, `[rows, vocab]`."""
        raise NotImplementedError(type(self).__name__)

    def run(self, row: Sequence[int], states: Mapping[str, Array] | None = None) -> tuple[Array, Mapping[str, Array]]:
        """The logits after a row of tokens, `[1, vocab]`, and the states for the next call."""
        results = self.program.run({self.input: np.array([row])}, [self.output], states=states)
        return last_place(self.program.graph, self.input, self.output, results[self.output]), results.states


class ContextWindow:
    """What a model sees of texts that go on: the last `context` tokens. `say` is told when the first one falls away."""

    def __init__(self, context: int | None, say: Say, besides: str = "") -> None:
        self.context, self.say, self.besides = context, say, besides
        self.texts: list[list[int]] = []
        self.slid = False

    def add(self, tokens: Sequence[Sequence[int]]) -> bool:
        """Let the texts go on; whether one of them is not what it was with more behind it."""
        self.texts = [[*old, *new] for old, new in zip(self.texts or [[]] * len(tokens), tokens, strict=True)]
        if self.context is None or max(map(len, self.texts)) <= self.context:
            return False
        if not self.slid:
            what = f"the text is past the model's context of {self.context:,} tokens"
            self.say(f"{what}: the oldest are dropped from here on{self.besides}")
            self.slid = True
        self.texts = [text[-self.context :] for text in self.texts]
        return True


class _InMemories(Reading):
    """By the incremental graph: the new tokens alone. Past the model's `context`, all of the text that it holds."""

    def __init__(self, program: Program, tokens: str, output: str, context: int | None, length: int, say: Say) -> None:
        super().__init__(program, tokens, output)
        self.window = ContextWindow(context, say, ", and the others are read again for each token")
        self.length = length if context is None else min(length, context)
        self.reader: Reader | None = None

    def after(self, tokens: Sequence[Sequence[int]]) -> Array:
        if self.window.add(tokens) or self.reader is None:
            self.reader = Reader(self.program, self.input, self.output, self.length, rows=len(tokens))
            tokens = self.window.texts
        return self.reader.read(tokens)


class _InWindow(Reading):
    """All of the text that the model's `context` holds, for each token anew."""

    def __init__(self, program: Program, tokens: str, output: str, context: int | None, say: Say) -> None:
        super().__init__(program, tokens, output)
        self.window = ContextWindow(context, say)

    def after(self, tokens: Sequence[Sequence[int]]) -> Array:
        self.window.add(tokens)
        return np.concatenate([self.run(text)[0] for text in self.window.texts])


class _InStates(Reading):
    """By a model that keeps states: what is new, in segments of at most `segment` tokens; one text at a time."""

    def __init__(self, program: Program, tokens: str, output: str, segment: int) -> None:
        super().__init__(program, tokens, output)
        self.segment = segment
        self.states: Mapping[str, Array] | None = None

    def after(self, tokens: Sequence[Sequence[int]]) -> Array:
        (row,) = tokens
        for start in range(0, len(row), self.segment):
            logits, self.states = self.run(row[start : start + self.segment], self.states)
        return logits


__all__ = ["Reading", "keeps_rows", "open_reading"]
