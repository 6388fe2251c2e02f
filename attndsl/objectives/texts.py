"""Windows of running text: where its documents and sentences are, and pieces of it that cross no document's end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from attndsl.diagnostics import error
from attndsl.lazy import Array, np
from attndsl.records import Frozen

if TYPE_CHECKING:
    from attndsl.data.tokenizers import Tokenizer

BLOCK = 1 << 20  # tokens that are looked at in one go


class TokenText(Frozen, eq=False):
    """Tokens in a row, the bounds of the documents in it (separators between them left out), and the places where a
    sentence begins."""

    tokens: Array
    starts: Array
    stops: Array
    sentences: Array

    @staticmethod
    def of(tokens: Array, tokenizer: Tokenizer) -> TokenText:
        """Documents end at the tokenizer's separator, where that is not a character of a text; else it is all one."""
        separator = tokenizer.separator
        if (separator is not None and separator in tokenizer.special.values()) or (
            separator is not None and tokenizer.kind not in ("bytes", "chars")
        ):
            bounds = _where(tokens, lambda some: some == separator)
        else:
            bounds = np.zeros(0, dtype=np.int64)
        starts = np.concatenate([[0], bounds + 1]).astype(np.int64)
        stops = np.concatenate([bounds, [len(tokens)]]).astype(np.int64)
        filled = stops > starts
        starts, stops = starts[filled], stops[filled]
        ends = tokenizer.sentence_ends()
        sentences = np.union1d(starts, _where(tokens, lambda some: ends[some]) + 1)
        # Several signs in a row end one sentence: a place whose own token ends one too begins none.
        inside = sentences[sentences < len(tokens)]
        return TokenText(tokens, starts, stops, inside[~ends[np.asarray(tokens[inside])]])

    def require(self, origin: str = "the text") -> None:
        """Raise E0704 where there is nothing to learn from."""
        if not len(self.starts) or int((self.stops - self.starts).max()) < 2:
            raise error("E0704", f"{origin} is too short: no document has two tokens", help="give more text")

    def document(self, places: Array) -> Array:
        """The number of the document that each place is in (of the one before it, for a separator)."""
        found: Array = np.maximum(np.searchsorted(self.starts, places, side="right") - 1, 0)
        return found

    def ends(self, places: Array) -> Array:
        """Whether a document ends at each place, bool."""
        return np.isin(places, self.stops)

    def window(self, places: Array, length: int) -> tuple[Array, Array]:
        """Starts and ends of windows of `length` tokens from `places`, moved back where a document ends before, and
        shorter where it is shorter than that."""
        numbers = self.document(places)
        starts, stops = self.starts[numbers], self.stops[numbers]
        begin = np.minimum(np.maximum(places, starts), np.maximum(stops - length, starts))
        return begin, np.minimum(begin + length, stops)

    def spread(self, count: int, length: int) -> Array:
        """At most `count` places, spread evenly over the text, no two nearer than `length`."""
        size = len(self.tokens)
        number = max(1, min(count, size // max(length, 1)))
        return np.arange(number) * size // number

    def rows(self, starts: Array, stops: Array) -> list[Array]:
        """The tokens of windows, each as int64."""
        return [
            np.asarray(self.tokens[start:stop]).astype(np.int64)
            for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
        ]


def _where(tokens: Array, holds: Callable[[Array], Array]) -> Array:
    """The places of the tokens for which it `holds`, int64. Tokens that are mapped may not fit into memory, and neither
    may what is computed for each of them."""
    blocks = range(0, len(tokens), BLOCK)
    found = [np.flatnonzero(holds(np.asarray(tokens[first : first + BLOCK]))) + first for first in blocks]
    return np.concatenate([np.zeros(0, dtype=np.int64), *found])


def encode_typed(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Array]:
    """The tokens of texts that somebody typed, int64: the name of a special token in one means that token."""
    return [np.asarray(tokenizer.encode(text, special=True)).astype(np.int64) for text in texts]
