"""A `tokenizer.json`, through the `tokenizers` package: one that was published, or one that was trained here."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from attndsl.data.special import SpecialTokens, sentinel
from attndsl.data.tokenizers.protocol import TOKENIZER_FILE, Streamer, begins_word, ends_sentence, save_special
from attndsl.diagnostics import did_you_mean, error, first_of
from attndsl.lazy import Array, np
from attndsl.storage.refusals import file_errors
from attndsl.storage.whole import write_text

END_OF_TEXT = "<|endoftext|>"
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
# The names under which published tokenizers keep the token of each role, the most telling first.
WELL_KNOWN: Mapping[str, tuple[str, ...]] = {
    "pad": ("[PAD]", "<pad>", "<|pad|>"),
    "unknown": ("[UNK]", "<unk>"),
    "begin": (END_OF_TEXT, "<|begin_of_text|>", "<s>", "<bos>", "[CLS]"),
    "end": (END_OF_TEXT, "<|end_of_text|>", "</s>", "<eos>", "[SEP]"),
    "mask": ("[MASK]", "<mask>"),
}


class Published:
    """A `tokenizer.json`; `text` is the file's. `special` says which of its tokens play which role; without any, those
    with well-known names do."""

    def __init__(
        self, text: str, kind: str = "file", name: str = TOKENIZER_FILE, special: SpecialTokens | None = None
    ) -> None:
        tokenizers = package(f"the tokenizer `{name}`")
        self.kind, self.name = kind, name
        self.text = text
        try:
            self.inner = tokenizers.Tokenizer.from_str(text)
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
        unknown = (json.loads(text).get("model") or {}).get("unk_token")
        if unknown is not None and unknown not in numbers:
            raise error(
                "E0707",
                f"the tokenizer `{name}` says that `{unknown}` stands for what is unknown, and has no such token",
                help=f"give it one: `tokenizer.add_tokens(['{unknown}'])` in the vocabulary, or use another tokenizer",
            )
        self.vocab = max(numbers.values()) + 1
        self._asked = special or SpecialTokens()
        guessed = _guess(numbers)
        given = self._asked or guessed
        self._require(given, numbers, name)
        self.special: Mapping[str, int] = {role: numbers[getattr(given, role)] for role in given.order}
        self.names: Mapping[str, str] = {role: str(getattr(given, role)) for role in given.order}
        self.sentinels = tuple(numbers[sentinel(number)] for number in range(given.sentinels))
        self.begin = self.special.get("begin", numbers.get(str(guessed.begin)))
        self.separator = self.special.get("end", numbers.get(str(guessed.end)))
        mark = json.dumps(self._asked.to_json()) if self._asked else ""
        self.fingerprint = "file:" + hashlib.sha256((text + mark).encode("utf-8")).hexdigest()

    def _require(self, special: SpecialTokens, numbers: Mapping[str, int], name: str) -> None:
        for wanted in (*special.names, *reversed(special.last)):
            if wanted in numbers:
                continue
            added = [token.content for token in self.inner.get_added_tokens_decoder().values()]
            role = next((role for role in special.order if getattr(special, role) == wanted), "sentinels")
            example = "0" if role == "sentinels" else added[0] if added else "…"
            raise error(
                "E0717",
                f"the tokenizer `{name}` has no special token `{wanted}`",
                note=f"its special tokens: {first_of(added, 12)}" if added else "it has no special tokens",
                help=(
                    *did_you_mean(wanted, added),
                    f"name what it has, such as `--set special.{role}={example}`",
                ),
            )

    def encode(self, text: str, special: bool = False) -> Array:
        self.inner.encode_special_tokens = not special
        (encoded,) = self._encoded([text])
        return np.array(encoded.ids, dtype=np.int64) if special else self._as_text(encoded.ids)

    def encode_batch(self, texts: Sequence[str]) -> list[Array]:
        self.inner.encode_special_tokens = True
        encoded = self._encoded(list(texts))
        return [self._as_text(each.ids) for each in encoded]

    def encode_spans(self, texts: Sequence[str]) -> list[tuple[Array, Array]]:
        self.inner.encode_special_tokens = True
        found = []
        for encoded in self._encoded(list(texts), spans=True):
            places = np.array(encoded.offsets, dtype=np.int64).reshape(-1, 2)
            found.append((self._as_text(encoded.ids), places))
        return found

    def _encoded(self, texts: list[str], *, spans: bool = False) -> list[Any]:
        """Raises E0707 where the tokenizer has no token for a text, and none that says so."""
        encode = self.inner.encode_batch if spans else self.inner.encode_batch_fast
        try:
            return list(encode(texts, add_special_tokens=False))
        except Exception as problem:  # the package raises plain `Exception`
            raise error(
                "E0707",
                f"the tokenizer `{self.name}` cannot encode a text",
                note=str(problem),
                help="it has no unknown token: use another, or `bytes` or `bpe:1024`",
            ) from None

    def _as_text(self, tokens: Sequence[int]) -> Array:
        """Some files have their special tokens among the pieces of text too; such a piece is unknown."""
        found = np.array(tokens, dtype=np.int64)
        unknown = self.special.get("unknown")
        return found if unknown is None or not len(found) else np.where(self._reserved[found], unknown, found)

    @cached_property
    def _reserved(self) -> Array:
        found = np.zeros(self.vocab, dtype=bool)
        found[sorted(self._unspoken)] = True
        return found

    def decode(self, tokens: Sequence[int], skip_special: bool = False) -> str:
        skipped = self._unspoken if skip_special else frozenset()
        kept = [int(token) for token in tokens if int(token) not in skipped]
        return str(self.inner.decode(kept, skip_special_tokens=False))

    @cached_property
    def _unspoken(self) -> frozenset[int]:
        """Tokens that stand for no text."""
        added = {number for number, token in self.inner.get_added_tokens_decoder().items() if token.special}
        return frozenset((added | set(self.special.values()) | set(self.sentinels)) - {self.special.get("unknown")})

    @cached_property
    def single_bytes(self) -> frozenset[int]:
        """The tokens for single bytes (`<0x0A>`) of which a run is decoded as a whole; none where bytes are decoded one
        after the other."""
        if '"ByteFallback"' not in json.dumps(json.loads(self.text).get("decoder")):
            return frozenset()
        return frozenset(n for name, n in self.inner.get_vocab().items() if _BYTE.fullmatch(name))

    def word_starts(self) -> Array:
        return self._starts

    def sentence_ends(self) -> Array:
        return self._ends

    @cached_property
    def _starts(self) -> Array:
        marks = json.loads(self.text)
        model = marks.get("model") or {}
        # Whole words; or pieces that tell where a word ends, not where it begins: each token counts as one.
        if model.get("type") == "WordLevel" or model.get("end_of_word_suffix"):
            return self._flags(lambda token, text: True, True)
        prefix = model.get("continuing_subword_prefix")
        if prefix:
            return self._flags(lambda token, text: not token.startswith(prefix), True)
        return self._flags(lambda token, text: begins_word(text), True)

    @cached_property
    def _ends(self) -> Array:
        return self._flags(lambda token, text: ends_sentence(text), False)

    def _flags(self, holds: Callable[[str, str], bool], special: bool) -> Array:
        """For every token what `holds` says of it as it is written in the vocabulary, and of its text."""
        found = np.full(self.vocab, special)
        added = self.inner.get_added_tokens_decoder()
        plain = _texts(json.loads(self.text))
        for token, number in self.inner.get_vocab(with_added_tokens=True).items():
            if number not in added and number != self.special.get("unknown"):
                found[number] = holds(token, plain(token))
        return found

    def streamer(self, after: Sequence[int] = ()) -> Streamer:
        return _WindowStreamer(self, after)

    def to_file(self) -> str:
        return self.text

    def save(self, folder: Path) -> None:
        write_text(folder / TOKENIZER_FILE, self.text)
        save_special(self._asked, folder)


def _guess(numbers: Mapping[str, int]) -> SpecialTokens:
    """The roles that tokens with well-known names play."""
    found: dict[str, object] = {
        role: next((name for name in names if name in numbers), None) for role, names in WELL_KNOWN.items()
    }
    count = 0
    while sentinel(count) in numbers:
        count += 1
    return SpecialTokens.of({**found, "sentinels": count})


def _texts(file: Mapping[str, Any]) -> Callable[[str], str]:
    """How a token of this `tokenizer.json` reads, `Ġthe` as ` the`."""
    parts = json.dumps([file.get("pre_tokenizer"), file.get("decoder")])
    if '"ByteLevel"' in parts:
        byte = {character: number for number, character in enumerate(byte_characters())}
        return lambda token: bytes(byte.get(c, 63) for c in token).decode("utf-8", errors="replace")
    prefix = str((file.get("model") or {}).get("continuing_subword_prefix") or "")
    suffix = str((file.get("model") or {}).get("end_of_word_suffix") or "")
    return lambda token: token.removeprefix(prefix).removesuffix(suffix).replace("▁", " ")


def byte_characters() -> list[str]:
    """The printable characters that stand for the 256 bytes in GPT-2's vocabulary: themselves where they are printable,
    the others counted from U+0100."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


class _WindowStreamer:
    """The text of a window of tokens, as far as no further token can change it: what the window has given already is a
    beginning of that. Where nothing is uncertain the window moves on, a few tokens kept before it, since what a token
    adds (its space, say) depends on those before."""

    WINDOW, KEPT = 24, 8

    def __init__(self, tokenizer: Published, after: Sequence[int]) -> None:
        self.tokenizer = tokenizer
        self._begin(list(after)[-self.KEPT :])

    def _begin(self, before: list[int]) -> None:
        """A new window behind some tokens."""
        self.tokens, self.given = before, len(self.tokenizer.decode(before))

    def push(self, token: int) -> str:
        self.tokens.append(token)
        certain = self._certain()
        piece = certain[self.given :]
        self.given += len(piece)
        if len(self.tokens) > self.WINDOW and certain == self.tokenizer.decode(self.tokens):
            self._begin(self.tokens[-self.KEPT :])
        return piece

    def finish(self) -> str:
        piece = self.tokenizer.decode(self.tokens)[self.given :]
        self.given += len(piece)
        return piece

    def _certain(self) -> str:
        """The text of the window without what the next token may change: a character whose bytes are not all there (one
        U+FFFD, by whatever tokens), or the bytes at the end that are decoded together with those that follow."""
        count = len(self.tokens)
        while count and self.tokens[count - 1] in self.tokenizer.single_bytes:
            count -= 1
        return self.tokenizer.decode(self.tokens[:count]).removesuffix("\ufffd")


def read_published(path: Path, kind: str = "file", special: SpecialTokens | None = None) -> Published:
    """The tokenizer in a `tokenizer.json`. Raises E0705, E0707, E0717 (it has no such special token)."""
    with file_errors("read", path):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise error(
                "E0707", f"`{path}` is not a tokenizer file: it is not UTF-8 text", help=f"give a `{TOKENIZER_FILE}`"
            ) from None
    return Published(text, kind, str(path), special)


def package(what: str) -> Any:
    """The `tokenizers` package. Raises E0708 where it is not installed, naming what needs it."""
    try:
        import tokenizers
        import tokenizers.decoders
        import tokenizers.models
        import tokenizers.normalizers
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
