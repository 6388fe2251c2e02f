"""Whole sequences from a model that says the next token: greedy, sampled, and by beam search.

What is asked is a function `logits(prefixes, rows)`: for prefixes `int[N, L]`, of which the n-th belongs to the row
`rows[n]` of a batch, the logits `[N, vocab]` of the token that comes next. All prefixes of a call are equally long.
Rows that are done are asked about no more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from attndsl.decoding.sampling import Sampling, largest, log_probabilities, log_totals
from attndsl.diagnostics import error
from attndsl.lazy import Array, np
from attndsl.records import Frozen

Logits = Callable[["Array", "Array"], "Array"]


class Hypothesis(Frozen):
    """What was written behind the start, the `end` token left out. `log_probability` is the sum over its tokens, that
    of `end` included where it is `ended`; `score` is what beam search ranks by."""

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    ended: bool


class Beam(Frozen):
    """Beam search of a `width`, with the length penalty of Wu et al. ("Google's neural machine translation system",
    2016, eq. 14): `log P(Y) / lp(Y)`, `lp(Y) = ((5 + |Y|) / 6) ^ alpha`, where |Y| counts the `end` token too. At
    `alpha` 0 the likeliest sequence wins. Raises E0743 for values that mean nothing."""

    width: int = 1
    alpha: float = 0.6

    def __post_init__(self) -> None:
        if self.width < 1:
            raise error("E0743", f"a beam cannot be {self.width} wide", help="1 is greedy, 4 is usual")
        if not math.isfinite(self.alpha) or self.alpha < 0:
            raise error(
                "E0743", f"the length penalty cannot be {self.alpha:g}",
                help="0 takes the likeliest sequence, which is a short one; 0.6 to 1 are usual",
            )  # fmt: skip

    def penalty(self, length: int) -> float:
        return float(((5 + length) / 6) ** self.alpha)


def sample(
    logits: Logits, rows: int, start: Sequence[int], end: int | None, most: int, sampling: Sampling, first: int = 0
) -> list[Hypothesis]:
    """One sequence for each of `rows` rows, behind the tokens `start`: token by token as `sampling` chooses (greedily
    at temperature 0), until `end` or until there are `most`. Every row draws from numbers of its own, whatever the
    others do: those of the rows `first`, `first + 1`, …, the numbers of row 0 being those of a single text. Raises
    E0741 for logits that are not numbers."""
    prefixes = _started(rows, start)
    totals, ended = np.zeros(rows), np.zeros(rows, dtype=bool)
    written: list[list[int]] = [[] for _ in range(rows)]
    alive = np.arange(rows)
    for index in range(most):
        if not len(alive):
            break
        answers = logits(prefixes[alive], alive)
        chosen = np.zeros(rows, dtype=np.int64)
        for row, answer in zip(alive.tolist(), answers, strict=True):
            token = sampling.choose(answer, index, first + row)
            totals[row] += log_probabilities(answer)[token]
            chosen[row] = token
            if token == end:
                ended[row] = True
            else:
                written[row].append(token)
        prefixes = np.concatenate([prefixes, chosen[:, None]], axis=1)
        alive = alive[~ended[alive]]
    return [
        Hypothesis(tuple(tokens), float(total), float(total), bool(done))
        for tokens, total, done in zip(written, totals, ended, strict=True)
    ]


def beam_search(
    logits: Logits, rows: int, start: Sequence[int], end: int | None, most: int, beam: Beam, best: int = 1
) -> list[list[Hypothesis]]:
    """The `best` sequences found for each of `rows` rows, the best first.

    Each step extends the `width` hypotheses of a row by every token. An extension by `end` is finished, and kept, if it
    is among the `width` likeliest extensions; the `width` likeliest of the others live on. At `most` tokens those that
    still live count as they are. A row is done earlier when nothing that lives can get among its `best` any more:
    a hypothesis can only lose probability, so its score stays below `log P / lp(most)`. So stopping early never changes
    the result, and with a width that holds every prefix it is the exact optimum.

    Ties go to the hypothesis that stood higher before, then to the lowest token; among finished ones to the shorter,
    then to the lower tokens. Width 1 and alpha 0 is greedy. Raises E0741 for logits that are not numbers.
    """
    states = [_Row(beam, end, most, best) for _ in range(rows)]
    prefix = _started(1, start)[0]
    for _ in range(most):
        asked = [(row, hypothesis) for row, state in enumerate(states) for hypothesis in state.alive]
        if not asked:
            break
        prefixes = np.stack([np.concatenate([prefix, np.array(h.tokens, dtype=np.int64)]) for _, h in asked])
        answers = logits(prefixes, np.array([row for row, _ in asked], dtype=np.int64))
        totals = log_totals(answers)
        for state in states:
            count = len(state.alive)
            if count:
                state.extend(answers[:count], totals[:count])
            answers, totals = answers[count:], totals[count:]
    return [state.result() for state in states]


class _Row:
    """The search for one row. What lives has no score yet: all that lives is equally long."""

    def __init__(self, beam: Beam, end: int | None, most: int, best: int) -> None:
        self.beam, self.end, self.most, self.best = beam, end, most, best
        self.alive = [Hypothesis((), 0.0, 0.0, False)]
        self.finished: list[Hypothesis] = []

    def extend(self, logits: Array, above: Array) -> None:
        """Go on by a token, by the logits `[alive, vocab]`, which are so much `above` log-probabilities."""
        width = self.beam.width
        # Every hypothesis has one extension that ends, so the best `width` that go on are among so many.
        count = width + len(self.alive)
        best = [np.sort(largest(each, count)) for each in logits]
        before = np.array([h.log_probability for h in self.alive]) - above
        sums = np.concatenate([start + each[at] for start, each, at in zip(before, logits, best, strict=True)])
        extensions = [(parent, int(token)) for parent, tokens in enumerate(best) for token in tokens]
        survivors: list[Hypothesis] = []
        for rank, place in enumerate(largest(sums, count).tolist()):
            parent, token = extensions[place]
            total, tokens = float(sums[place]), self.alive[parent].tokens
            if total == -math.inf:
                break
            if token == self.end:
                if rank < width:
                    self.finished.append(self._scored(tokens, total, len(tokens) + 1, ended=True))
            elif len(survivors) < width:
                survivors.append(Hypothesis((*tokens, token), total, 0.0, False))
        self.finished = self._ranked(self.finished)
        length = len(self.alive[0].tokens) + 1
        self.alive = [] if length < self.most and self._is_done(survivors) else survivors
        if length >= self.most:
            self._close()

    def _is_done(self, survivors: Sequence[Hypothesis]) -> bool:
        if not survivors:
            return True
        if len(self.finished) < self.best:
            return False
        reachable = survivors[0].log_probability / self.beam.penalty(self.most)
        return reachable < self.finished[self.best - 1].score

    def _close(self) -> None:
        """Let what still lives count as it is."""
        left = (self._scored(h.tokens, h.log_probability, len(h.tokens), ended=False) for h in self.alive)
        self.finished, self.alive = self._ranked([*self.finished, *left]), []

    def _scored(self, tokens: tuple[int, ...], total: float, length: int, *, ended: bool) -> Hypothesis:
        return Hypothesis(tokens, total, total / self.beam.penalty(length), ended)

    def _ranked(self, found: list[Hypothesis]) -> list[Hypothesis]:
        return sorted(found, key=lambda h: (-h.score, len(h.tokens), h.tokens, not h.ended))[: self.best]

    def result(self) -> list[Hypothesis]:
        self._close()
        return self.finished


def _started(rows: int, start: Sequence[int]) -> Array:
    return np.tile(np.array(start, dtype=np.int64).reshape(1, -1), (rows, 1))


def chunks(count: int, size: int) -> Iterator[range]:
    """`range(count)` in pieces of at most `size`."""
    for begun in range(0, count, size):
        yield range(begun, min(begun + size, count))
