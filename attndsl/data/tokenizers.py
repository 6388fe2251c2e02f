"""From text to token numbers and back: bytes, characters, or a `tokenizer.json` (also one trained on the data).

Bytes and characters need nothing installed; the others need the `tokenizers` package (`attndsl[text]`).
"""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from attndsl.data.files import file_errors, write_json, write_text
from attndsl.diagnostics import did_you_mean, error
from attndsl.lazy import np

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]

END_OF_TEXT = "<|endoftext|>"
# The names under which published tokenizers keep the token that begins a text, and the one that ends it.
_BEGINS = (END_OF_TEXT, "<|begin_of_text|>", "<s>", "<bos>", "[CLS]")
_ENDS = (END_OF_TEXT, "<|end_of_text|>", "</s>", "<eos>", "[SEP]")
LEAST_BPE = 257  # every byte, and the end of a text
TOKENIZER_FILE, CHARACTERS_FILE = "tokenizer.json", "characters.json"


class Tokenizer(Protocol):
    """`kind` is how it is asked for: `bytes`, `chars`, `bpe:1024` or `file`. `begin` stands before an empty prompt,
    `separator` between documents; either may be None. `fingerprint` changes when its numbers for a text would."""

    kind: str
    vocab: int
    begin: int | None
    separator: int | None
    fingerprint: str

    def encode(self, text: str) -> Array:
        """The tokens of a text, as a flat array of integers."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; where they break off inside a character, U+FFFD stands for it."""
        ...

    def streamer(self, after: Sequence[int] = ()) -> Streamer:
        """For text as it comes, following the tokens `after`."""
        ...

    def save(self, folder: Path) -> None:
        """Write what `load_tokenizer` needs beside the kind (nothing, for bytes)."""
        ...


class Streamer(Protocol):
    """Takes tokens one at a time and gives the text that is certain by then: whole characters only."""

    def push(self, token: int) -> str: ...

    def finish(self) -> str: ...


class Bytes:
    """The 256 bytes of UTF-8."""

    kind = fingerprint = "bytes"
    vocab = 256
    begin: int | None = 10  # a new line
    separator: int | None = 10

    def encode(self, text: str) -> Array:
        return np.frombuffer(text.encode("utf-8"), dtype=np.uint8)

    def decode(self, tokens: Sequence[int]) -> str:
        return bytes(tokens).decode("utf-8", errors="replace")

    def streamer(self, after: Sequence[int] = ()) -> Streamer:
        return _ByteStreamer()

    def save(self, folder: Path) -> None:
        """Nothing to keep."""


class _ByteStreamer:
    def __init__(self) -> None:
        self.decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token: int) -> str:
        return self.decoder.decode(bytes((token,)))

    def finish(self) -> str:
        return self.decoder.decode(b"", final=True)


class Characters:
    """The characters of a text, by code point; token 0 stands for every other character and reads as U+FFFD."""

    kind = "chars"

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters = "".join(sorted(set(characters)))
        self.vocab = len(self.characters) + 1
        self._points = np.array([ord(c) for c in self.characters], dtype=np.uint32)
        self.begin = self.separator = self.characters.index("\n") + 1 if "\n" in self.characters else None
        self.fingerprint = "chars:" + hashlib.sha256(self.characters.encode("utf-8")).hexdigest()

    def encode(self, text: str) -> Array:
        points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        if not self.characters:
            return np.zeros(len(points), dtype=np.int64)
        places = np.minimum(np.searchsorted(self._points, points), len(self._points) - 1)
        return np.where(self._points[places] == points, places + 1, 0)

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(self.characters[token - 1] if token else "\ufffd" for token in tokens)

    def streamer(self, after: Sequence[int] = ()) -> Streamer:
        return _CharacterStreamer(self)

    def save(self, folder: Path) -> None:
        write_json(folder / CHARACTERS_FILE, {"tokenizer": "chars", "characters": self.characters})


class _CharacterStreamer:
    def __init__(self, tokenizer: Characters) -> None:
        self.tokenizer = tokenizer

    def push(self, token: int) -> str:
        return self.tokenizer.decode((token,))

    def finish(self) -> str:
        return ""


class Published:
    """A `tokenizer.json`, through the `tokenizers` package; `text` is the file's."""

    def __init__(self, text: str, kind: str = "file", name: str = TOKENIZER_FILE) -> None:
        package = _package(f"the tokenizer `{name}`")
        self.kind = kind
        self.text = text
        try:
            self.inner = package.Tokenizer.from_str(text)
        except Exception as problem:  # the package raises plain `Exception`
            raise error(
                "E0707",
                f"`{name}` is not a tokenizer that the `tokenizers` package can read",
                note=str(problem),
                help=f"give a `{TOKENIZER_FILE}` as `tokenizer.save(…)` writes it, or use `bytes` or `bpe:1024`",
            ) from None
        # A file may ask for cutting and filling up to a fixed length; text for training is neither.
        self.inner.no_truncation()
        self.inner.no_padding()
        numbers = self.inner.get_vocab(with_added_tokens=True)
        if not numbers:
            raise error("E0707", f"the tokenizer `{name}` has no tokens", help="train it first, or use another")
        self.vocab = max(numbers.values()) + 1
        self.begin = next((numbers[name] for name in _BEGINS if name in numbers), None)
        self.separator = next((numbers[name] for name in _ENDS if name in numbers), None)
        self.fingerprint = "file:" + hashlib.sha256(text.encode("utf-8")).hexdigest()

    def encode(self, text: str) -> Array:
        (encoded,) = self.inner.encode_batch_fast([text], add_special_tokens=False)
        return np.array(encoded.ids, dtype=np.int64)

    def decode(self, tokens: Sequence[int]) -> str:
        return str(self.inner.decode([int(token) for token in tokens], skip_special_tokens=False))

    def streamer(self, after: Sequence[int] = ()) -> Streamer:
        return _WindowStreamer(self, after)

    def save(self, folder: Path) -> None:
        write_text(folder / TOKENIZER_FILE, self.text)


class _WindowStreamer:
    """What a token adds can depend on those before it (spaces, half characters), so it is the difference between the
    text of a short window with it and without it."""

    HOLD = 4  # a character has at most four bytes: after as many tokens, what is broken stays broken

    def __init__(self, tokenizer: Published, after: Sequence[int]) -> None:
        self.tokenizer = tokenizer
        self.context: list[int] = list(after)[-self.HOLD :]
        self.held: list[int] = []

    def push(self, token: int) -> str:
        self.held.append(token)
        return self._give(final=False)

    def finish(self) -> str:
        return self._give(final=True) if self.held else ""

    def _give(self, final: bool) -> str:
        before = self.tokenizer.decode(self.context)
        after = self.tokenizer.decode(self.context + self.held)
        if after.endswith("\ufffd") and not final and len(self.held) < self.HOLD:
            return ""
        self.context, self.held = self.held, []
        return after[len(before) :]


# ---------------------------------------------------------------------------------------------- choosing and making one


@dataclass(frozen=True, slots=True)
class TokenizerChoice:
    """What a user asked for: `bytes`, `chars`, `bpe:N`, or a path."""

    kind: str
    size: int = 0
    path: str = ""

    def __str__(self) -> str:
        return f"bpe:{self.size}" if self.kind == "bpe" else self.path or self.kind

    @staticmethod
    def parse(text: str) -> TokenizerChoice:
        """Read `bytes`, `chars`, `bpe:1024` or the path of a `tokenizer.json` (or of its folder). E0706 if neither."""
        if text in ("bytes", "chars"):
            return TokenizerChoice(text)
        name, colon, size = text.partition(":")
        if name == "bpe":
            if not colon or not size.isdecimal() or not LEAST_BPE <= int(size) <= 1_000_000:
                raise error(
                    "E0706",
                    f"`{text}` does not say a vocabulary for byte pairs",
                    help=f"write `bpe:1024`, a number from {LEAST_BPE} (all bytes, and the end of a text) to 1,000,000",
                )
            return TokenizerChoice("bpe", int(size))
        place = Path(text).expanduser()
        if place.is_dir() and (place / TOKENIZER_FILE).is_file():
            place = place / TOKENIZER_FILE
        if place.is_file():
            return TokenizerChoice("file", path=str(place))
        if text.endswith(".json") or "/" in text:
            raise error(
                "E0706",
                f"there is no tokenizer file `{text}`",
                help="the tokenizers without a file: `bytes`, `chars`, `bpe:1024`",
            )
        raise error(
            "E0706",
            f"there is no tokenizer `{text}`",
            help=did_you_mean(name, ("bytes", "chars", "bpe"))
            or ("choose `bytes`, `chars`, `bpe:1024` or the path of a `tokenizer.json`",),
        )


def make_tokenizer(choice: TokenizerChoice, texts: Iterator[str]) -> Tokenizer:
    """The tokenizer asked for; `texts`, the training part of the data, is read for `chars` and `bpe` only."""
    if choice.kind == "bytes":
        return Bytes()
    if choice.kind == "chars":
        found: set[str] = set()
        for text in texts:
            found.update(text)
        return Characters(found)
    if choice.kind == "bpe":
        return Published(_train_pairs(choice.size, texts), kind=str(choice))
    return read_published(Path(choice.path))


def read_published(path: Path, kind: str = "file") -> Published:
    """The tokenizer in a `tokenizer.json`. Raises E0705, E0707."""
    with file_errors("read", path):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise error(
                "E0707", f"`{path}` is not a tokenizer file: it is not UTF-8 text", help=f"give a `{TOKENIZER_FILE}`"
            ) from None
    return Published(text, kind, str(path))


def load_tokenizer(kind: str, folder: Path) -> Tokenizer:
    """The tokenizer of that kind which `save` put into `folder`. Raises E0705, E0706, E0707."""
    if kind == "bytes":
        return Bytes()
    if kind != "chars":
        return read_published(folder / TOKENIZER_FILE, kind)
    path = folder / CHARACTERS_FILE
    with file_errors("read", path):
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(kept["characters"], str):
                return Characters(kept["characters"])
        except (ValueError, KeyError, TypeError):
            pass
    raise error(
        "E0707", f"`{path}` does not hold the characters of a tokenizer", help="restore the file, or train again"
    )


def _train_pairs(size: int, texts: Iterator[str]) -> str:
    """Byte-pair encoding (Sennrich et al., 2016) over bytes as in GPT-2, as the text of a `tokenizer.json`."""
    package = _package("byte-pair encoding")
    tokenizer = package.Tokenizer(package.models.BPE())
    tokenizer.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = package.decoders.ByteLevel()
    trainer = package.trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(package.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return str(tokenizer.to_str(pretty=True))


def _package(what: str) -> Any:
    try:
        import tokenizers
        import tokenizers.decoders
        import tokenizers.models
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ImportError:
        raise error(
            "E0708",
            f"{what} needs the package `tokenizers`, which is not installed",
            help=(
                "install it with `pip install 'attndsl[text]'`",
                "or use `--set tokenizer=bytes` or `chars`, which need nothing",
            ),
        ) from None
    return tokenizers
