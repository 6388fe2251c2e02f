"""What every tokenizer can do, and what is common to those that need no package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from attndsl.data.special import SpecialTokens
from attndsl.lazy import Array
from attndsl.storage.whole import write_json

TOKENIZER_FILE, CHARACTERS_FILE, SPECIAL_FILE = "tokenizer.json", "characters.json", "special_tokens.json"
# What ends a sentence, behind which quotes and brackets may close; an ellipsis may.
_STOPS, _CLOSING = ".!?…。！？", "\"'”’»)]}"


class Tokenizer(Protocol):
    """`kind` is how it is asked for: `bytes`, `chars`, `bpe:1024`, `wordpiece:2000`, `unigram:2000`, `words:10000` or
    `file`.

    `begin` stands before an empty prompt, `separator` between documents; either may be None. `special` gives the token
    of each role (`{"pad": 0, "mask": 4}`) and `names` what it is called, `sentinels` those of `<extra_id_0>`,
    `<extra_id_1>`, …. `fingerprint` changes when its numbers for a text would.
    """

    kind: str
    vocab: int
    begin: int | None
    separator: int | None
    special: Mapping[str, int]
    names: Mapping[str, str]
    sentinels: tuple[int, ...]
    fingerprint: str

    def encode(self, text: str, special: bool = False) -> Array:
        """The tokens of a text, as a flat array of integers.

        A text that happens to contain the name of a special token (`[MASK]`) is text like any other; only with
        `special`, for what somebody typed on purpose, the name gives the token.
        """
        ...

    def encode_batch(self, texts: Sequence[str]) -> list[Array]:
        """The tokens of each text, int64 (many at a time are faster than one by one)."""
        ...

    def encode_spans(self, texts: Sequence[str]) -> list[tuple[Array, Array]]:
        """The tokens of each text, int64, and where each of them stands in it: the first character and the one behind
        the last, int64 `[tokens, 2]` (a space before a word may belong to its token)."""
        ...

    def decode(self, tokens: Sequence[int], skip_special: bool = False) -> str:
        """The text of tokens; where they break off inside a character, U+FFFD stands for it. With `skip_special`,
        special tokens and sentinels are left out, but not the one for what is unknown: it stands for text."""
        ...

    def word_starts(self) -> Array:
        """Which tokens begin a word, bool `[vocab]`: where the tokenizer marks what goes on a word (`##ing`), all
        others; else all that do not begin with a letter or a digit, such as ` the` with its space, and `(`. The first
        token of a text begins a word anyway."""
        ...

    def sentence_ends(self) -> Array:
        """Which tokens end a sentence, bool `[vocab]`: those that end in `.`, `!`, `?` or a new line."""
        ...

    def streamer(self, after: Sequence[int] = ()) -> Streamer:
        """For text as it comes, following the tokens `after`."""
        ...

    def to_file(self) -> str:
        """The same as the text of a `tokenizer.json`, as the `tokenizers` package reads it."""
        ...

    def save(self, folder: Path) -> None:
        """Write what `load_tokenizer` needs beside the kind (nothing, for bytes without special tokens)."""
        ...


class Streamer(Protocol):
    """Takes tokens one at a time and gives the text that is certain by then: whole characters only."""

    def push(self, token: int) -> str: ...

    def finish(self) -> str: ...


def begins_word(text: str) -> bool:
    """Whether a token with this text begins a word: one that begins with a letter, a digit or a broken character goes
    on the word before it."""
    return not text or not (text[0].isalnum() or text[0] in "_\ufffd")


def ends_sentence(text: str) -> bool:
    """Whether a token with this text is the last of a sentence."""
    if text.rstrip(" \t\r").endswith("\n"):
        return True
    return text.rstrip().rstrip(_CLOSING).endswith(tuple(_STOPS))


def save_special(special: SpecialTokens, folder: Path) -> None:
    """Keep the special tokens in `folder`, for `read_special_file`."""
    if special:
        write_json(folder / SPECIAL_FILE, special.to_json())
