"""The claim about texts that are read on past what a model takes: the context slides along them, or the older half is
dropped each time that it is full (`generation.continuing`), and either is what it is with the whole of what is left
read again. A text that just fits is what the model says of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from attndsl.comparison import tolerance
from attndsl.comparison.sides import distance, greatest, largest
from attndsl.generation.continuing import Opening, Reading, opening_of
from attndsl.graph.limits import most, vocabulary
from attndsl.lazy import Array, np
from attndsl.running.reader import at_places
from attndsl.verification.calls import needed_inputs
from attndsl.verification.case import Case
from attndsl.verification.findings import Finding, worst

if TYPE_CHECKING:
    import numpy

    from attndsl.graph import Graph
    from attndsl.running.backends import Backend
    from attndsl.running.program import Program
    from attndsl.verification.texts import Texts

CLAIM = "incremental = full"
LONGEST_CONTEXT = 256
"""Texts past a longer one would take too long."""
PIECE = 12
"""Tokens that a row reads in one call, at most, behind its prompt."""


def past_context(case: Case, texts: Texts) -> Iterator[Finding]:
    """Texts that become longer than the context, on every backend."""
    context = most(case.graph, texts.tokens)
    others = sorted(needed_inputs(case.graph) - {texts.tokens})
    how = "past the context"
    if context is None:
        yield Finding(CLAIM, how, reason="it takes texts of any length")
    elif others:
        yield Finding(CLAIM, how, reason=f"with `{others[0]}` beside it, a text ends with the context")
    elif context > LONGEST_CONTEXT:
        yield Finding(CLAIM, how, reason=f"it takes {context:,} tokens, and {LONGEST_CONTEXT} are tried at most")
    else:
        for backend in case.readers:
            yield _past(case, texts, context, backend)


def _past(case: Case, texts: Texts, context: int, backend: Backend) -> Finding:
    longest = context + max(context // 2, 1) + PIECE  # past it twice
    output = texts.outputs[0]

    def opened(backend: Backend, cache: bool) -> Opening:
        def make(graph: Graph) -> Program:
            return case.program(graph, backend)

        return opening_of(case.graph, make, texts.tokens, output, longest, at_once=PIECE, cache=cache)

    right, judged = opened(case.right, False), opened(backend, True)
    whole = case.program(case.graph)
    words, draw = vocabulary(case.graph, texts.tokens)[1] or 2, np.random.default_rng(case.seed)
    full = _random(draw, words, [context])
    said = whole.run({texts.tokens: np.array(full)}, [output])[output]
    last = at_places(case.graph, texts.tokens, output, said)[:, -1]
    heard = [(last, judged.begin().after(full)), *_calls(judged, right, context, longest, words, draw)]
    work = case.work({**case.double.sizes, texts.rows: 1, texts.time: context})
    around = max([greatest(case.weights.values()), *(largest(expected) for expected, _ in heard)])
    form = f"the last {context} seen" if judged.context is None else f"the older half of {context} dropped"
    how = f"{backend.title} float64, past the context, {form}, {len(heard)} calls"
    where = f"output {output}, in texts of up to {longest} tokens"
    return worst(
        Finding(
            CLAIM, how, distance(expected, found),
            tolerance.for_output("float64", largest(expected), 0.0, around, work), "", where,
        )
        for expected, found in heard
    )  # fmt: skip


def _calls(
    judged: Opening, right: Opening, context: int, longest: int, words: int, draw: numpy.random.Generator
) -> Iterator[tuple[Array, Array]]:
    """What both say of the same calls: prompts of unequal lengths, pieces of unequal lengths, drafts of which all but
    the first token is rejected, rows in another order."""
    readings = (right.begin(), judged.begin())
    lengths = [1, max(context // 2, 1), context]
    yield _both(readings, _random(draw, words, lengths))
    turn = 0
    while max(lengths) < longest:
        turn += 1
        room = min(reading.room() for reading in readings)
        if turn % 3 == 0 and not judged.stays and room > 1:
            count = min(room, PIECE)
            drafts = _random(draw, words, [count] * len(lengths))
            said = [reading.each(drafts) for reading in readings]
            yield said[0], said[1]
            for reading in readings:
                reading.go_back([count - 1] * len(lengths))
            lengths = [length + 1 for length in lengths]
            continue
        if turn == 4:
            for reading in readings:
                reading.choose([2, 0])
            lengths = [lengths[2], lengths[0]]
        pieces = [min(int(draw.integers(1, 3 * PIECE // 2)), PIECE) for _ in lengths]
        new = [min(piece, longest - length) or 1 for piece, length in zip(pieces, lengths, strict=True)]
        lengths = [length + count for length, count in zip(lengths, new, strict=True)]
        yield _both(readings, _random(draw, words, new))


def _both(readings: tuple[Reading, Reading], tokens: Sequence[Sequence[int]]) -> tuple[Array, Array]:
    right, judged = (reading.after(tokens) for reading in readings)
    return right, judged


def _random(draw: numpy.random.Generator, words: int, lengths: Sequence[int]) -> list[list[int]]:
    return [draw.integers(0, words, length).tolist() for length in lengths]
