"""Texts that a model goes on with, several at a time, and a smaller model that drafts what it may say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attndsl.decoding.sampling import Sampling
from attndsl.generation.continuing import Reading
from attndsl.lazy import Array
from attndsl.records import Frozen, dataclass

AT_ONCE = 4  # tokens that are drafted before the model reads them


@dataclass(slots=True)
class Told:
    """How a text came about: `tokens` written in `passes` of the model; of `drafted` tokens how many were `taken`."""

    tokens: int = 0
    passes: int = 0
    drafted: int = 0
    taken: int = 0

    def __str__(self) -> str:
        share = f" ({self.taken / self.drafted:.0%})" if self.drafted else ""
        drafts = f"{self.taken:,} of {self.drafted:,} drafted tokens were taken{share}"
        return f"{self.tokens:,} tokens in {self.passes:,} passes of the model: {drafts}"


class TokenChoice(Frozen):
    """Which token comes next in a text, until one is `end`. Of the logits the `vocab` first count: a model's table may
    be larger than the tokenizer (padding)."""

    sampling: Sampling
    vocab: int
    end: int | None = None

    def next(self, logits: Array, place: int, row: int) -> int:
        """The token at a place of the text `row`."""
        return self.sampling.choose(logits[: self.vocab], place, row)

    def after(self, said: Array, draft: Sequence[int], places: range, row: int) -> list[int]:
        """What comes at these places of a text, of which `said` has the logits as long as it is as the draft has it."""
        found: list[int] = []
        for place, logits, drafted in zip(places, said, (*draft, None), strict=False):
            found.append(self.next(logits, place, row))
            if found[-1] == self.end or found[-1] != drafted:
                break
        return found


class Drafter:
    """What a smaller model says would come next in texts that go on; `unread` is what it has not read of them yet."""

    def __init__(self, reading: Reading, choice: TokenChoice, texts: Sequence[Sequence[int]]) -> None:
        self.reading, self.choice = reading, choice
        self.unread = [list(text) for text in texts]
        self.drafts: list[list[int]] = [[] for _ in texts]
        self.begun = False

    def draft(self, count: int, places: Sequence[int], rows: Sequence[int]) -> list[list[int]]:
        """`count` further tokens of each text; `places` are those of the first ones in the texts `rows`."""
        self.drafts = [[] for _ in rows]
        for step in range(count):
            said, self.begun = self.reading.after(self.unread), True
            at = zip(said, places, rows, self.drafts, strict=True)
            self.unread = [[self.choice.next(logits, place + step, row)] for logits, place, row, _ in at]
            self.drafts = [[*draft, *token] for draft, token in zip(self.drafts, self.unread, strict=True)]
        return self.drafts

    def settle(self, kept: Sequence[int], chosen: Sequence[Sequence[int]]) -> None:
        """Let the texts that are `kept` go on as they were `chosen` to: with some of the draft, and a token more."""
        if self.begun and len(kept) < len(self.drafts):
            self.reading.choose(kept)
        drafts = [self.drafts[place] for place in kept]
        wrong = [len(draft) + 1 - len(new) for draft, new in zip(drafts, chosen, strict=True)]
        if any(count > 1 for count in wrong):  # the last token of a draft has not been read
            self.reading.go_back([max(count - 1, 0) for count in wrong])
        left = [self.unread[place] if count == 0 else [] for place, count in zip(kept, wrong, strict=True)]
        self.unread = [[*unread, new[-1]] for unread, new in zip(left, chosen, strict=True)]
        self.drafts = [[] for _ in kept]


def written(
    reading: Reading,
    prompts: Sequence[Sequence[int]],
    tokens: int,
    choice: TokenChoice,
    *,
    drafting: Reading | None = None,
    first: int = 0,
    told: Told | None = None,
) -> Iterator[tuple[int, int]]:
    """The tokens that follow each of `prompts`, at most so many, with the number of the text, as they are chosen. Each
    text draws from numbers of its own: those of the rows `first`, `first + 1`, …

    With `drafting` a smaller model drafts tokens, all of which the model reads in one pass (Leviathan, Kalman and
    Matias, "Fast inference from Transformers via speculative decoding", 2023; Chen et al., "Accelerating large language
    model decoding with speculative sampling", 2023). Both choose by the same random numbers, one for each place of a
    text, and a drafted token is taken if it is the one that the model chooses. So the text is the one without a draft,
    token by token, whatever is drafted, and so is its distribution (a coupling as in Daliri, Musco and Suresh,
    "Coupling without communication and drafter-invariant speculative decoding", 2024).
    """
    told = told or Told()
    alive, counts = list(range(len(prompts))), [0] * len(prompts)
    said = reading.after(prompts)[:, None] if tokens and prompts else None
    drafts: list[list[int]] = [[] for _ in prompts]
    drafter: Drafter | None = None
    while said is not None:
        told.passes += 1
        chosen = [
            choice.after(logits, draft, range(counts[row], tokens), first + row)
            for logits, draft, row in zip(said, drafts, alive, strict=True)
        ]
        for row, draft, new in zip(alive, drafts, chosen, strict=True):
            counts[row] += len(new)
            told.drafted, told.taken = told.drafted + len(draft), told.taken + _agreed(draft, new)
            told.tokens += len(new)
            yield from ((row, token) for token in new if token != choice.end)
        kept = [place for place, row in enumerate(alive) if counts[row] < tokens and chosen[place][-1] != choice.end]
        if not kept:
            return
        if len(kept) < len(alive):
            reading.choose(kept)
        alive = [alive[place] for place in kept]
        drafts, chosen = ([those[place] for place in kept] for those in (drafts, chosen))
        if any(drafts):
            reading.go_back([len(draft) + 1 - len(new) for draft, new in zip(drafts, chosen, strict=True)])
        if drafter is not None:
            drafter.settle(kept, chosen)
        elif drafting is not None:
            drafter = Drafter(drafting, choice, [[*prompts[row], *new] for row, new in zip(alive, chosen, strict=True)])
        places = [counts[row] for row in alive]
        count = max(min(AT_ONCE, reading.room() - 1, tokens - min(places) - 1), 0)
        drafts = drafter.draft(count, places, [first + row for row in alive]) if drafter else [[] for _ in alive]
        said = reading.each([[new[-1], *draft] for new, draft in zip(chosen, drafts, strict=True)])


def _agreed(draft: Sequence[int], chosen: Sequence[int]) -> int:
    return sum(drafted == token for drafted, token in zip(draft, chosen, strict=False))
