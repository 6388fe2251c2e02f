"""Text on the disk: which files make up a corpus, in an order that does not depend on the machine."""

from __future__ import annotations

import codecs
import glob
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from attndsl.diagnostics import AttnError, did_you_mean, error
from attndsl.records import Frozen
from attndsl.storage.refusals import file_errors

_WAY_OUT = "give a UTF-8 text file, a folder of them, or a glob"
EXAMPLE = "example:"  # what the path of an example begins with
BLOCK = 1 << 20  # bytes that are held at a time, whatever a file's size


class Document(Frozen):
    """A text file. `name` is its path within what was asked for, `digest` the SHA-256 of its bytes."""

    path: Path
    name: str
    size: int
    digest: str


class Corpus(Frozen):
    """The documents of a data path, sorted by name; `skipped` has the files that are not text, with the reason."""

    origin: tuple[str, ...]
    documents: tuple[Document, ...]
    skipped: tuple[tuple[str, str], ...]

    @property
    def size(self) -> int:
        return sum(document.size for document in self.documents)


def find_text(paths: str | Iterable[str]) -> Corpus:
    """The corpus at `paths`: each a file, a folder (all text files in it, at any depth), a glob (`src/**/*.py`), or the
    name of an example (`example:stdlib`).

    In folders and globs, names that begin with a dot and files that are binary (a zero byte, or not UTF-8) are skipped;
    a file that is named itself must be text. Raises E0701 (nothing there), E0702 (no text in it), E0703 (not UTF-8),
    E0705 (cannot be read), E0719 (no such example).
    """
    origin = (paths,) if isinstance(paths, str) else tuple(paths)
    documents: dict[str, Document] = {}
    skipped: list[tuple[str, str]] = []
    for path in origin:
        for file, name, chosen in _files(path):
            try:
                document = _examine(file, name)
            except AttnError as problem:
                if chosen or problem.diagnostics[0].code != "E0703":
                    raise
                skipped.append((name, "not text"))
                continue
            if document.size:
                documents.setdefault(str(file.resolve()), document)
            else:
                skipped.append((name, "empty"))
    ordered = tuple(sorted(documents.values(), key=lambda d: (d.name, str(d.path))))
    if not ordered:
        listed = ", ".join(f"`{path}`" for path in origin)
        note = f"{len(skipped)} files were skipped, being empty or not UTF-8 text" if len(skipped) > 1 else ()
        raise error(
            "E0702",
            f"there is no text in {listed}",
            note=note,
            help=_WAY_OUT,
        )
    return Corpus(origin, ordered, tuple(sorted(skipped)))


def _files(path: str) -> Iterator[tuple[Path, str, bool]]:
    """Files with the names they go by, and whether the user named that very file."""
    if not path:  # which `Path` would take for the current folder
        raise error(
            "E0701", "the path to the text is empty", help="give a file, a folder or a glob; `.` is this folder"
        )
    if path.startswith(EXAMPLE):
        from attndsl.data.examples import example_files

        for file, name in example_files(path):
            yield file, name, False
        return
    place = Path(path).expanduser()
    if place.is_dir():
        with file_errors("read", path):
            for folder, folders, names in os.walk(place, onerror=_raise):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                for name in sorted(names):
                    file = Path(folder, name)
                    if not name.startswith(".") and file.is_file():
                        yield file, file.relative_to(place).as_posix(), False
    elif place.exists():
        yield place, place.name, True
    elif glob.has_magic(path):
        found = sorted(glob.glob(str(place), recursive=True))
        if not any(Path(name).is_file() for name in found):
            raise error(
                "E0701", f"no file matches `{path}`", help="quote the pattern; `**` stands for any number of folders"
            )
        for name in found:
            if Path(name).is_file():
                yield Path(name), Path(name).as_posix(), False
    else:
        raise error(
            "E0701",
            f"there is no file or folder `{path}`",
            help=beside(place, "give a UTF-8 text file, a folder of them, or a glob"),
        )


def _raise(problem: OSError) -> None:
    raise problem


def beside(place: Path, way_out: str) -> tuple[str, ...]:
    """What to do about a path where nothing is: the name next to it that was meant, or else `way_out`."""
    try:
        near = did_you_mean(place.name, os.listdir(place.parent))
    except OSError:
        return (f"the folder `{place.parent}` is not there either",)
    return near or (way_out,)


def _examine(path: Path, name: str) -> Document:
    """Read a file once: its size, digest, and that it is text."""
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    size = 0
    with file_errors("read", path), open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            try:
                if b"\0" in block:
                    raise error("E0703", f"`{path}` is not a text file: it has zero bytes", help="give UTF-8 text")
                decoder.decode(block)
            except UnicodeDecodeError as problem:
                raise _not_utf8(path, size + problem.start) from None
            size += len(block)
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise _not_utf8(path, size) from None
    return Document(path, name, size, digest.hexdigest())


def _not_utf8(path: Path, offset: int) -> AttnError:
    return error(
        "E0703",
        f"`{path}` is not UTF-8 text (near byte {offset:,})",
        help=f"convert it first, for example `iconv -f latin1 -t utf-8 {path.name}`",
    )


def pieces(path: Path, start: int, stop: int) -> Iterator[bytes]:
    """The bytes `start <= offset < stop` of a text file, in pieces that end at a line's end, or between two characters
    where a line is longer than a piece."""
    with file_errors("read", path), open(path, "rb") as file:
        file.seek(start)
        left, rest = stop - start, b""
        while left > 0:
            block = file.read(min(BLOCK, left))
            if not block:
                raise error(
                    "E0705",
                    f"`{path}` became shorter while it was read",
                    help="do not change it while it is read, and start again",
                )
            left -= len(block)
            block = rest + block
            cut = len(block) if left == 0 else block.rfind(b"\n") + 1 or character_start(block, len(block) - 1)
            rest = block[cut:]
            if cut:
                yield block[:cut]


def character_start(text: bytes, offset: int) -> int:
    """The start of the UTF-8 character that the byte at `offset` belongs to."""
    while offset > 0 and text[offset] & 0xC0 == 0x80:
        offset -= 1
    return offset
