"""Words as rows of characters: what a model is given that reads them letter by letter (Kim et al., 2016)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from attndsl.data.tokenizers.words import words_of
from attndsl.diagnostics import AttnError, error
from attndsl.graph.limits import most
from attndsl.lazy import Array, np
from attndsl.objectives.texts import TokenText
from attndsl.records import Frozen

if TYPE_CHECKING:
    from attndsl.data.tokenizers import Tokenizer
    from attndsl.objectives.base import Objective

_SHOWN = 40


def words_of_documents(tokens: Array, tokenizer: Tokenizer) -> Iterator[list[str]]:
    """The words of each document of a running text, of those that have any."""
    text = TokenText.of(tokens, tokenizer)
    for start, stop in zip(text.starts.tolist(), text.stops.tolist(), strict=True):
        if found := words_of(tokenizer.decode(tokens[start:stop].tolist())):
            yield found


class Spelling(Frozen, eq=False):
    """How words are spelled for a model: each as its characters, between the tokens that begin and end a word as far as
    these are named, filled up to the `longest` word, so that what is made of a word does not depend on the others."""

    tokenizer: Tokenizer
    model: str
    longest: int
    begin: int | None
    end: int | None
    padding: int

    @staticmethod
    def of(objective: Objective, name: str) -> Spelling:
        """For the model's input `name`, `int[B, T, C]`. Raises E0721 where nothing says how long a word may be."""
        graph, longest = objective.graph, most(objective.graph, name, 2)
        if longest is None:
            raise error(
                "E0721",
                f"`{name}` does not say how many characters a word may have: words are filled up to that",
                help=f"write `input {name}: int[B, T, C] where C <= longest`",
            )
        begin, end = objective.special_token("begin"), objective.special_token("end")
        return Spelling(objective.tokenizer, graph.name, longest, begin, end, objective.padding)

    @property
    def room(self) -> int:
        """The characters that a word may have."""
        return self.longest - (self.begin is not None) - (self.end is not None)

    def spelled(self, words: Sequence[str], say: Callable[[str], None] | None) -> Array:
        """The characters of words, int64 `[words, longest]`. Words that are too long are cut, and `say` is told how
        many; where it is None they are refused (E0767)."""
        rows = self.tokenizer.encode_batch(words)
        long = [place for place, row in enumerate(rows) if len(row) > self.room]
        if long and say is None:
            raise self._too_long(words[long[0]], len(rows[long[0]]))
        if long and say is not None:
            say(
                f"{len(long):,} of {len(rows):,} different words are longer than {self.room:,} characters: "
                "their ends are cut off"
            )
        found = np.full((len(rows), self.longest), self.padding, dtype=np.int64)
        first = 0
        if self.begin is not None:
            found[:, 0], first = self.begin, 1
        for place, row in enumerate(rows):
            last = first + min(len(row), self.room)
            found[place, first:last] = row[: self.room]
            if self.end is not None:
                found[place, last] = self.end
        return found

    def texts(self, texts: Sequence[str], say: Callable[[str], None] | None) -> list[Array]:
        """The characters of the words of each text, int64 `[words, longest]`; raises and says what `spelled` does."""
        several = [words_of(text) for text in texts]
        different = dict.fromkeys(word for words in several for word in words)
        letters = self.spelled(list(different), say)
        numbers = {word: number for number, word in enumerate(different)}
        return [letters[[numbers[word] for word in words]] for words in several]

    def _too_long(self, word: str, length: int) -> AttnError:
        shown = word if len(word) <= _SHOWN else word[: _SHOWN - 1] + "…"
        framed = self.longest - self.room
        beside = f", of which {framed} begin and end it" if framed else ""
        wide = f"; a letter beyond ASCII is several {self.tokenizer.kind}" if length > len(word) else ""
        return error(
            "E0767",
            f"the word `{shown}` has {length:,} characters, and {self.model} reads {self.room:,}",
            note=f"a word is a row of {self.longest:,} characters{beside}{wide}",
            help=("shorten the word, or put spaces into it", "or train a model that reads longer ones"),
        )
