"""Bytes and characters: tokenizers that need nothing installed. Special tokens come behind their own."""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from attndsl.data.special import SpecialTokens, sentinel
from attndsl.data.tokenizers.protocol import CHARACTERS_FILE, Streamer, begins_word, ends_sentence, save_special
from attndsl.data.tokenizers.published import byte_characters
from attndsl.lazy import Array, np
from attndsl.storage.whole import write_json


class _Simple:
    """What bytes and characters share: tokens below `_own` are text, the special tokens are numbered from there."""

    kind: str
    vocab: int
    begin: int | None
    separator: int | None
    fingerprint: str

    def __init__(self, own: int, special: SpecialTokens, unknown: int | None = None) -> None:
        self._own = own
        self._asked = special
        taken = {special.unknown: unknown} if special.unknown and unknown is not None else {}
        names = [name for name in (*special.names, *special.last) if name not in taken]
        self._numbers: dict[str, int] = {**taken, **{name: own + place for place, name in enumerate(names)}}
        self._names = names
        self.names: Mapping[str, str] = {role: str(getattr(special, role)) for role in special.order}
        self.vocab = own + len(names)
        self.special: Mapping[str, int] = {role: self._numbers[getattr(special, role)] for role in special.order}
        self.sentinels = tuple(self._numbers[sentinel(number)] for number in range(special.sentinels))
        self._split = re.compile("|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)))

    def _text(self, text: str) -> Array:
        raise NotImplementedError

    def _token_text(self, token: int) -> str:
        raise NotImplementedError

    def _mark(self) -> str:
        """What the fingerprint says of the special tokens."""
        return "" if not self._asked else f"+{json.dumps(self._asked.to_json())}"

    def encode(self, text: str, special: bool = False) -> Array:
        if not special or not self._names:
            return self._text(text)
        parts: list[Array] = []
        at = 0
        for found in self._split.finditer(text):
            parts += [self._text(text[at : found.start()]), np.array([self._numbers[found.group()]])]
            at = found.end()
        return np.concatenate([*parts, self._text(text[at:])]).astype(np.int64)

    def encode_batch(self, texts: Sequence[str]) -> list[Array]:
        return [self._text(text).astype(np.int64) for text in texts]

    def encode_spans(self, texts: Sequence[str]) -> list[tuple[Array, Array]]:
        found = []
        for text, tokens in zip(texts, self.encode_batch(texts), strict=True):
            places = np.repeat(np.arange(len(text)), [self._tokens_of(character) for character in text])
            found.append((tokens, np.stack([places, places + 1], axis=1).astype(np.int64)))
        return found

    def _tokens_of(self, character: str) -> int:
        return 1

    def _file(self, split: Mapping[str, object], model: Mapping[str, object], decoder: Mapping[str, object]) -> str:
        """A `tokenizer.json` whose special tokens are this tokenizer's."""
        plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        added = [{"id": self._numbers[name], "content": name, **plain} for name in self._names]
        parts: dict[str, object] = {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": None,
        }
        parts |= {"pre_tokenizer": split, "post_processor": None, "decoder": decoder, "model": model}
        return json.dumps(parts, ensure_ascii=False, indent=1)

    def word_starts(self) -> Array:
        return self._flags(begins_word, True)

    def sentence_ends(self) -> Array:
        return self._flags(ends_sentence, False)

    def _flags(self, holds: Callable[[str], bool], special: bool) -> Array:
        found = [holds(self._token_text(token)) for token in range(self._own)]
        return np.array(found + [special] * len(self._names), dtype=bool)

    def _skipped(self, token: int, skip_special: bool) -> str:
        return "" if skip_special and token != self.special.get("unknown") else self._names[token - self._own]


class Bytes(_Simple):
    """The 256 bytes of UTF-8."""

    kind = fingerprint = "bytes"
    vocab = 256

    def __init__(self, special: SpecialTokens | None = None) -> None:
        super().__init__(256, special or SpecialTokens())
        self.begin: int | None = self.special.get("begin", 10)  # else a new line
        self.separator: int | None = self.special.get("end", 10)
        self.fingerprint = "bytes" + self._mark()

    def _text(self, text: str) -> Array:
        return np.frombuffer(text.encode("utf-8"), dtype=np.uint8)

    def _tokens_of(self, character: str) -> int:
        return len(character.encode("utf-8"))

    def _token_text(self, token: int) -> str:
        return chr(token) if token < 128 else "\ufffd"

    def decode(self, tokens: Sequence[int], skip_special: bool = False) -> str:
        numbers = np.asarray(tokens, dtype=np.int64)
        if (numbers < 256).all():
            return numbers.astype(np.uint8).tobytes().decode("utf-8", errors="replace")
        streamer = _ByteStreamer(self, skip_special)
        return "".join(map(streamer.push, numbers.tolist())) + streamer.finish()

    def streamer(self, after: Sequence[int] = ()) -> Streamer:
        return _ByteStreamer(self)

    def to_file(self) -> str:
        """Byte pairs (as in GPT-2) of which none is merged."""
        vocab = {character: byte for byte, character in enumerate(byte_characters())}
        split = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
        return self._file(split, {"type": "BPE", "vocab": vocab, "merges": []}, split)

    def save(self, folder: Path) -> None:
        """Nothing to keep but the special tokens."""
        save_special(self._asked, folder)


class _ByteStreamer:
    def __init__(self, tokenizer: Bytes, skip_special: bool = False) -> None:
        self.tokenizer = tokenizer
        self.skip_special = skip_special
        self.decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token: int) -> str:
        if token < 256:
            return self.decoder.decode(bytes((token,)))
        before = self.finish()
        self.decoder.reset()
        return before + self.tokenizer._skipped(token, self.skip_special)

    def finish(self) -> str:
        return self.decoder.decode(b"", final=True)


class Characters(_Simple):
    """The characters of a text, by code point; token 0 stands for every other character and reads as U+FFFD. It is the
    special token for what is unknown, where one is named."""

    kind = "chars"

    def __init__(self, characters: Iterable[str], special: SpecialTokens | None = None) -> None:
        self.characters = "".join(sorted(set(characters)))
        super().__init__(len(self.characters) + 1, special or SpecialTokens(), unknown=0)
        self._points = np.array([ord(c) for c in self.characters], dtype=np.uint32)
        newline = self.characters.index("\n") + 1 if "\n" in self.characters else None
        self.begin = self.special.get("begin", newline)
        self.separator = self.special.get("end", newline)
        self.fingerprint = "chars:" + hashlib.sha256((self.characters + self._mark()).encode("utf-8")).hexdigest()

    def _text(self, text: str) -> Array:
        points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        if not self.characters:
            return np.zeros(len(points), dtype=np.int64)
        places = np.minimum(np.searchsorted(self._points, points), len(self._points) - 1)
        return np.where(self._points[places] == points, places + 1, 0)

    def _token_text(self, token: int) -> str:
        return self.characters[token - 1] if token else "\ufffd"

    def decode(self, tokens: Sequence[int], skip_special: bool = False) -> str:
        own, text = self._own, self._token_text
        return "".join(text(token) if token < own else self._skipped(token, skip_special) for token in tokens)

    def streamer(self, after: Sequence[int] = ()) -> Streamer:
        return _CharacterStreamer(self)

    def to_file(self) -> str:
        """Words of one character each."""
        unknown = self.names.get("unknown", "\ufffd")
        vocab = {unknown: 0, **{character: place for place, character in enumerate(self.characters, 1)}}
        split = {"type": "Split", "pattern": {"Regex": r"[\s\S]"}, "behavior": "Isolated", "invert": False}
        shown = {"type": "Replace", "pattern": {"String": unknown}, "content": "\ufffd"}
        decoder = {"type": "Sequence", "decoders": [shown, {"type": "Fuse"}]}
        return self._file(split, {"type": "WordLevel", "vocab": vocab, "unk_token": unknown}, decoder)

    def save(self, folder: Path) -> None:
        write_json(folder / CHARACTERS_FILE, {"tokenizer": "chars", "characters": self.characters})
        save_special(self._asked, folder)


class _CharacterStreamer:
    def __init__(self, tokenizer: Characters) -> None:
        self.tokenizer = tokenizer

    def push(self, token: int) -> str:
        return self.tokenizer.decode((token,))

    def finish(self) -> str:
        return ""
