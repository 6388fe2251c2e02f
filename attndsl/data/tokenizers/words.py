"""What a word is: a run of letters, digits and underscores, or one other sign. Spaces and line ends separate words."""

from __future__ import annotations

import re
from collections import Counter

WORD = r"\w+|[^\w\s]"
_WORD = re.compile(WORD)


def words_of(text: str) -> list[str]:
    """The words of a text, in their order."""
    return _WORD.findall(text)


def most_frequent(counts: Counter[str], most: int) -> list[str]:
    """The `most` frequent words, the most frequent first; those that are as frequent in the order of their letters."""
    return sorted(counts, key=lambda word: (-counts[word], word))[: max(most, 0)]
