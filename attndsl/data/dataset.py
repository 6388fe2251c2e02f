"""A corpus as numbers: token files that are mapped into memory, split into a training and a held-out part.

The split is made on text, before any token: where there are documents (files) small enough, some of them, chosen by
their contents' digests, are held out whole; otherwise it is the end of the text. A tokenizer that learns from data
learns from the training part alone. Token files are kept in a folder named after the digest of everything that they
depend on, so a second run on the same data starts at once, and one on changed data never reads old tokens.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from attndsl.data.sources import Corpus, Document, character_start, find_text, pieces
from attndsl.data.tokenizers import Tokenizer, TokenizerChoice, load_tokenizer, make_tokenizer, read_published
from attndsl.diagnostics import error
from attndsl.lazy import Array, np
from attndsl.records import Frozen, replace
from attndsl.storage.refusals import file_errors
from attndsl.storage.whole import new_folder, write_json

FORMAT = 3  # of the token files, and of how text becomes tokens; part of their key
META = "meta.json"
Stretch = tuple[Document, int, int]  # the bytes from … to … of a document


class Split(Frozen):
    """Part of a corpus: its tokens (a flat, read-only array of uint8, uint16 or uint32) and how much text they are."""

    tokens: Array
    bytes: int

    @property
    def bytes_per_token(self) -> float:
        return self.bytes / max(len(self.tokens), 1)


class Dataset(Frozen):
    """`key` names the contents; `unigram_entropy` is that of the held-out text's bytes, in nats per byte: what a model
    that knows how often each byte occurs, and nothing else, would reach. `split_by` is `documents` or `tail`."""

    train: Split
    held_out: Split
    tokenizer: Tokenizer
    key: str
    unigram_entropy: float
    documents: int
    held_out_documents: int
    split_by: str
    cached: bool

    def require(self, length: int, origin: str = "the data", rows: int = 1) -> None:
        """Raise E0704 where the training text does not fill one window of `length` tokens and the one that follows; or
        one in each of `rows`, where these are stretches of the text."""
        if rows > 1 and len(self.train.tokens) <= rows * length:
            raise error(
                "E0704",
                f"{origin} is too short: {len(self.train.tokens):,} tokens to train on, {rows:,} rows of segments of "
                f"{length:,} take {rows * length + 1:,}",
                note="each row of a batch is a stretch of its own, in which segments follow one another",
                help=(
                    "give more text",
                    "train on fewer or shorter segments: `--set batch=…`, `--set length=…`",
                ),
            )
        if len(self.train.tokens) < length + 1:
            raise error(
                "E0704",
                f"{origin} is too short: {len(self.train.tokens):,} tokens to train on, a window takes {length + 1:,}",
                note=f"`length` is {length:,}, and every position predicts the token after it; "
                f"{len(self.held_out.tokens):,} further tokens are held out",
                help=(
                    "give more text",
                    f"train on shorter windows: `--set length={max(1, len(self.train.tokens) // 2)}`",
                ),
            )


def load_dataset(
    paths: str | Iterable[str],
    choice: TokenizerChoice | Tokenizer,
    held_out: float,
    cache: Path,
    say: Callable[[str], None] = lambda text: None,
) -> Dataset:
    """Find the text, make the tokenizer (or take the given one), and write (or find in `cache`) the token files.

    Raises E0701 to E0703 (no data, empty, not text), E0705 (a file cannot be read or written) and what
    `make_tokenizer` raises.
    """
    corpus = find_text(paths)
    key = _key(corpus, choice, held_out)
    folder = cache / key
    try:
        if (found := _open(folder, key)) is not None:
            return found
    except _Damaged as problem:
        say(f"the token files in `{folder}` are damaged ({problem}): they are made again")
        with file_errors("delete", folder):
            shutil.rmtree(folder)
    files = "1 file" if len(corpus.documents) == 1 else f"{len(corpus.documents):,} files"
    say(f"reading {corpus.size:,} bytes in {files} with the tokenizer {_shown(choice)}")
    _build(corpus, choice, held_out, folder)
    found = _open(folder, key)
    assert found is not None
    return replace(found, cached=False)


def open_dataset(cache: Path, key: str) -> Dataset | None:
    """What `load_dataset` wrote under `key`, or None where it is not there, or damaged, and so to be made anew."""
    try:
        return _open(cache / key, key)
    except _Damaged:
        return None


def _shown(choice: TokenizerChoice | Tokenizer) -> str:
    return str(choice) if isinstance(choice, TokenizerChoice) else choice.kind


def _key(corpus: Corpus, choice: TokenizerChoice | Tokenizer, held_out: float) -> str:
    kind, special = _shown(choice), {}
    if not isinstance(choice, TokenizerChoice):
        kind = choice.fingerprint
    elif choice.kind == "file":
        kind = read_published(Path(choice.path), special=choice.special).fingerprint
    elif choice.kind not in ("bytes", "chars"):
        import importlib.metadata

        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            kind += f" tokenizers {importlib.metadata.version('tokenizers')}"
    if isinstance(choice, TokenizerChoice):
        special = choice.special.to_json()
    facts = [FORMAT, kind, special, held_out, [(d.name, d.digest) for d in corpus.documents]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


# ---------------------------------------------------------------------------------------------- the split


def split_corpus(corpus: Corpus, fraction: float) -> tuple[list[Stretch], list[Stretch], str]:
    """The training and the held-out part, and how they were told apart (`documents` or `tail`).

    Documents are taken in the order of their digests as long as they fit into the fraction that is wanted; where less
    than half of it is reached that way (one file, or a few large ones), the end of the text is held out instead, from a
    line's start.
    """
    wanted = int(corpus.size * fraction)
    chosen: set[Document] = set()
    taken = 0
    for document in sorted(corpus.documents, key=lambda d: (d.digest, d.name)):
        if taken + document.size <= wanted:
            chosen.add(document)
            taken += document.size
    if chosen and 2 * taken >= wanted:
        train = [(d, 0, d.size) for d in corpus.documents if d not in chosen]
        return train, [(d, 0, d.size) for d in corpus.documents if d in chosen], "documents"
    cut = corpus.size - wanted
    train, held, at = [], [], 0
    for document in corpus.documents:
        inside = min(max(cut - at, 0), document.size)
        if 0 < inside < document.size:
            inside = _line_start(document, inside)
        if inside:
            train.append((document, 0, inside))
        if inside < document.size:
            held.append((document, inside, document.size))
        at += document.size
    return train, held, "tail"


def _line_start(document: Document, offset: int) -> int:
    """The first start of a line at or after `offset`, or of a character where none is near."""
    with file_errors("read", document.path), open(document.path, "rb") as file:
        file.seek(max(0, offset - 4))
        before = file.read(min(offset, 4))
        near = file.read(4096)
    found = near.find(b"\n")
    if found >= 0 and offset + found + 1 < document.size:
        return offset + found + 1
    return offset - (len(before) - character_start(before + near, len(before)))


class _Texts(Frozen):
    """The text of stretches in pieces, as often as it is asked for."""

    stretches: list[Stretch]

    def __iter__(self) -> Iterator[str]:
        for document, start, stop in self.stretches:
            for piece in pieces(document.path, start, stop):
                yield piece.decode("utf-8")


# ---------------------------------------------------------------------------------------------- token files


def _build(corpus: Corpus, choice: TokenizerChoice | Tokenizer, held_out: float, folder: Path) -> None:
    train, held, split_by = split_corpus(corpus, held_out)
    tokenizer = make_tokenizer(choice, _Texts(train)) if isinstance(choice, TokenizerChoice) else choice
    with file_errors("write token files in", folder.parent):
        try:
            with new_folder(folder) as partial:
                meta: dict[str, Any] = {"format": FORMAT, "tokenizer": tokenizer.kind, "vocab": tokenizer.vocab}
                meta["train"] = _write_tokens(partial / "train.bin", train, tokenizer)
                meta["held_out"] = _write_tokens(partial / "held_out.bin", held, tokenizer)
                meta["unigram_entropy"] = byte_entropy(piece for d, a, b in held for piece in pieces(d.path, a, b))
                meta["documents"] = len(corpus.documents)
                meta["held_out_documents"] = len(held)
                meta["split_by"] = split_by
                tokenizer.save(partial)
                meta["checksums"] = {path.name: _checksum(path) for path in sorted(partial.iterdir())}
                write_json(partial / META, {**meta, "checksum": _checksum_of(meta)})
        except OSError:
            if not (folder / META).is_file():  # else another run has written the very same
                raise


def _write_tokens(path: Path, stretches: list[Stretch], tokenizer: Tokenizer) -> dict[str, int]:
    """Encode into one flat file; every document but the first follows a separator, where the tokenizer has one."""
    dtype = token_dtype(tokenizer.vocab)
    tokens = size = 0
    with open(path, "wb") as file:
        for document, start, stop in stretches:
            if tokens and tokenizer.separator is not None:
                np.array([tokenizer.separator], dtype=dtype).tofile(file)
                tokens += 1
            for piece in pieces(document.path, start, stop):
                encoded = tokenizer.encode(piece.decode("utf-8")).astype(dtype, copy=False)
                encoded.tofile(file)
                tokens += len(encoded)
            size += stop - start
        file.flush()
        os.fsync(file.fileno())
    return {"tokens": tokens, "bytes": size}


def token_dtype(vocab: int) -> str:
    """The smallest unsigned integer that holds every token."""
    return "uint8" if vocab <= 1 << 8 else "uint16" if vocab <= 1 << 16 else "uint32"


def byte_entropy(blocks: Iterable[bytes]) -> float:
    """The entropy of the frequencies of bytes, in nats per byte (0 for no text)."""
    counts = np.zeros(256, dtype=np.int64)
    for block in blocks:
        counts += np.bincount(np.frombuffer(block, dtype=np.uint8), minlength=256)
    total = int(counts.sum())
    shares = [int(count) / total for count in counts if count]
    return -math.fsum(share * math.log(share) for share in shares) if total else 0.0


class _Damaged(Exception):
    """Token files are not as they were written."""


def _open(folder: Path, key: str) -> Dataset | None:
    """The token files in a folder; None where there are none. Raises E0705 (they cannot be read), `_Damaged`."""
    if not (folder / META).is_file():
        if folder.is_dir():
            raise _Damaged(f"`{META}` is not there")
        return None
    with file_errors("read token files in", folder):
        try:
            meta = json.loads((folder / META).read_text(encoding="utf-8"))
            if meta.pop("checksum") != _checksum_of(meta):
                raise ValueError(f"`{META}` does not match its checksum")
            for name, checksum in meta["checksums"].items():
                if not (folder / name).is_file():  # it may be a pipe by now, which would never end
                    raise ValueError(f"`{name}` is not there")
                if _checksum(folder / name) != checksum:
                    raise ValueError(f"`{name}` does not match its checksum")
            dtype = np.dtype(token_dtype(meta["vocab"]))
            splits = [_map(folder / f"{name}.bin", dtype, **meta[name]) for name in ("train", "held_out")]
            tokenizer = load_tokenizer(meta["tokenizer"], folder)
            return Dataset(
                splits[0], splits[1], tokenizer, key, float(meta["unigram_entropy"]), meta["documents"],
                meta["held_out_documents"], meta["split_by"], True,
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise _Damaged(str(problem)) from None


def _checksum(path: Path) -> int:
    found = 0
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            found = zlib.crc32(block, found)
    return found


def _checksum_of(meta: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(meta, sort_keys=True).encode())


def _map(path: Path, dtype: Any, tokens: int, bytes: int) -> Split:
    if path.stat().st_size != tokens * dtype.itemsize:
        raise ValueError(f"`{path.name}` has {path.stat().st_size:,} bytes instead of {tokens * dtype.itemsize:,}")
    if tokens == 0:
        return Split(np.zeros(0, dtype=dtype), bytes)
    return Split(np.memmap(path, dtype=dtype, mode="r", shape=(tokens,)), bytes)
