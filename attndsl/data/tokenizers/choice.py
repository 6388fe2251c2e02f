"""Which tokenizer a user asks for, and making, keeping and reading it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from attndsl.data.special import SpecialTokens
from attndsl.data.tokenizers.protocol import CHARACTERS_FILE, SPECIAL_FILE, TOKENIZER_FILE, Tokenizer
from attndsl.data.tokenizers.published import Published, read_published
from attndsl.data.tokenizers.simple import Bytes, Characters
from attndsl.data.tokenizers.trained import train_pairs, train_unigram, train_wordpiece, train_words
from attndsl.diagnostics import did_you_mean, error
from attndsl.records import Frozen, field, replace
from attndsl.storage.refusals import file_errors

# Tokenizers that are trained: what they are, an example, and the fewest tokens that make sense beside special ones.
TRAINED = {
    "bpe": ("byte pairs", "bpe:1024", 256),
    "wordpiece": ("word pieces", "wordpiece:2000", 8),
    "unigram": ("unigram pieces", "unigram:2000", 8),
    "words": ("words", "words:10000", 8),
}
MOST = 1_000_000
_ALL = "`bytes`, `chars`, `bpe:1024`, `wordpiece:2000`, `unigram:2000`, `words:10000`"
_UNKNOWN = {
    "wordpiece": "[UNK]",
    "unigram": "<unk>",
    "words": "<unk>",
}  # where the spec names no token for what is unknown


class TokenizerChoice(Frozen):
    """What a user asked for: `bytes`, `chars`, `bpe:N`, `wordpiece:N` (`wordpiece:N:lower`: without capitals),
    `unigram:N`, `words:N`, or a path; and the special tokens that the spec names."""

    kind: str
    size: int = 0
    path: str = ""
    lower: bool = False
    special: SpecialTokens = field(default_factory=SpecialTokens)

    def __str__(self) -> str:
        if self.kind in TRAINED:
            return f"{self.kind}:{self.size}" + (":lower" if self.lower else "")
        return self.path or self.kind

    @staticmethod
    def parse(text: str, special: SpecialTokens | None = None) -> TokenizerChoice:
        """Read `bytes`, `chars`, `bpe:1024`, `wordpiece:2000`, `unigram:2000`, `words:10000` or the path of a
        `tokenizer.json` (or of its folder). E0706 if it is none of them."""
        special = special or SpecialTokens()
        if text in ("bytes", "chars"):
            return TokenizerChoice(text, special=special)
        name, _, size = text.partition(":")
        if name in TRAINED:
            return _trained(text, name, size, special)
        place = Path(text).expanduser()
        if place.is_dir() and (place / TOKENIZER_FILE).is_file():
            place = place / TOKENIZER_FILE
        if place.is_file():
            return TokenizerChoice("file", path=str(place), special=special)
        if text.endswith(".json") or "/" in text:
            raise error("E0706", f"there is no tokenizer file `{text}`", help=f"the tokenizers without a file: {_ALL}")
        raise error(
            "E0706",
            f"there is no tokenizer `{text}`",
            help=did_you_mean(name, ("bytes", "chars", *TRAINED))
            or (f"choose {_ALL} or the path of a `tokenizer.json`",),
        )


def _trained(text: str, name: str, size: str, special: SpecialTokens) -> TokenizerChoice:
    what, example, least = TRAINED[name]
    number, _, option = size.partition(":")
    lower = name == "wordpiece" and option == "lower"
    beside = max(1, len(special.names)) + special.sentinels
    if not number.isdecimal() or (option and not lower) or not least + beside <= int(number) <= MOST:
        holds = "all bytes, and the end of a text" if name == "bpe" and not special else "its special tokens and more"
        lowered = "; `wordpiece:2000:lower` knows no capitals" if name == "wordpiece" else ""
        raise error(
            "E0706",
            f"`{text}` does not give the vocabulary size of {what}",
            help=f"write `{example}`, a number from {least + beside:,} ({holds}) to {MOST:,}{lowered}",
        )
    return TokenizerChoice(name, int(number), lower=lower, special=special)


def make_tokenizer(choice: TokenizerChoice, texts: Iterable[str]) -> Tokenizer:
    """The tokenizer asked for; `texts`, the training part of the data, is read for those that learn from it only.
    Raises E0705 to E0708 and, for a file that lacks a special token, E0717."""
    if choice.kind == "bytes":
        return Bytes(choice.special)
    if choice.kind == "chars":
        found: set[str] = set()
        for text in texts:
            found.update(text)
        return Characters(found, choice.special)
    if choice.kind not in TRAINED:
        return read_published(Path(choice.path), special=choice.special)
    special = choice.special
    if choice.kind in _UNKNOWN and not special.unknown:
        special = replace(special, unknown=_UNKNOWN[choice.kind], order=(*special.order, "unknown"))
    if isinstance(texts, Iterator):  # some are read twice
        texts = list(texts)
    if choice.kind == "bpe":
        trained = train_pairs(choice.size, texts, special)
    elif choice.kind == "wordpiece":
        trained = train_wordpiece(choice.size, texts, special, choice.lower)
    elif choice.kind == "unigram":
        trained = train_unigram(choice.size, texts, special)
    else:
        trained = train_words(choice.size, texts, special)
    return Published(trained, kind=str(choice), special=special)


def load_tokenizer(kind: str, folder: Path) -> Tokenizer:
    """The tokenizer of that kind which `save` put into `folder`. Raises E0705, E0707, E0717."""
    special = _read_special(folder)
    if kind == "bytes":
        return Bytes(special)
    if kind != "chars":
        return read_published(folder / TOKENIZER_FILE, kind, special)
    path = folder / CHARACTERS_FILE
    with file_errors("read", path):
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(kept["characters"], str):
                return Characters(kept["characters"], special)
        except (ValueError, KeyError, TypeError):
            pass
    raise error(
        "E0707", f"`{path}` does not hold the characters of a tokenizer", help="restore the file, or train again"
    )


def _read_special(folder: Path) -> SpecialTokens:
    """The special tokens that were kept in `folder`; none, where nothing was."""
    path = folder / SPECIAL_FILE
    if not path.is_file():
        return SpecialTokens()
    with file_errors("read", path):
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            count = kept.get("sentinels", 0)
            named = all(isinstance(value, str) for name, value in kept.items() if name != "sentinels")
            if named and isinstance(count, int):
                return SpecialTokens.from_json(kept)
        except (ValueError, AttributeError):
            pass
    raise error(
        "E0707", f"`{path}` does not hold the special tokens of a tokenizer", help="restore the file, or train again"
    )
