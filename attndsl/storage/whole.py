"""Files and folders written whole or not at all: a kill at any moment leaves the old one or the new one.

`replacing` puts a file in its place, `new_folder` a folder; for several files that belong together, `readied` says what
a move of each must keep.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from attndsl.storage.refusals import file_errors
from attndsl.storage.whose import is_running, numbering

PARTIAL = ".partial"  # the end of a name that is still being written
_ROOM = 255 - len(f"..{0:08x}.{1 << 32}{PARTIAL}")
_STAGED: set[Path] = set()  # what this process is writing: any other of its number is a dead one's, which had it before


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A stream whose bytes become the file `path` all at once when the `with` ends well, and are dropped otherwise.
    They are on the disk, as far as the system can promise, when it has ended. Raises `OSError`."""
    target, replaceable = place_of(path)
    if not replaceable:
        with open(target, "wb") as stream:
            yield stream
        return
    partial = target.with_name(f"{_begun(target)}{os.getpid()}{PARTIAL}")
    try:
        with open(partial, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, readied(partial, target))
        sync_folder(target.parent)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A folder to write into, which becomes the folder `path` all at once when the `with` ends well, and is dropped
    otherwise. Raises `OSError`, also where something is at `path` by then that is not an empty folder."""
    target = Path(path)
    with staged(target) as partial:
        yield partial
        sync_folder(partial)
        if target.is_dir():
            target.rmdir()  # which some systems do not replace
        os.rename(partial, target)
        sync_folder(target.parent)


@contextlib.contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A new folder beside `target`, which is gone afterwards; so is what a killed process of those that this one sees
    had begun for the same `target`. Raises `OSError`."""
    import glob
    import shutil

    name = _begun(target)
    partial = target.with_name(f"{name}{os.getpid()}{PARTIAL}")
    for begun in target.parent.glob(f"{glob.escape(name)}*{PARTIAL}"):
        number = begun.name.removeprefix(name).removesuffix(PARTIAL)
        if begun.absolute() not in _STAGED if begun == partial else not is_running(number):
            shutil.rmtree(begun, ignore_errors=True)
    partial.mkdir(parents=True)  # one that is there is another's
    _STAGED.add(partial.absolute())
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        _STAGED.remove(partial.absolute())


def _begun(target: Path) -> str:
    """What the name of a partial one begins with, before the number of a process that this one sees: the target's, as
    far as there is room in the 255 bytes that a name may have. One that is shortened is told apart by a digest."""
    name, shown = os.fsencode(target.name), target.name
    if len(name) > _ROOM:
        import hashlib

        shown = os.fsdecode(name[: _ROOM - 20]).encode("utf-8", "ignore").decode()
        shown += hashlib.sha256(name).hexdigest()[:16]
    return f".{shown}.{numbering()}."


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file through `replacing`. Raises E0705."""
    with file_errors("write", path), replacing(path) as stream:
        stream.write(data)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` with a text."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """`write_bytes` with a value as readable JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


# ---------------------------------------------------------------- places


def place_of(path: str | os.PathLike[str]) -> tuple[Path, bool]:
    """Where bytes for `path` go (a link's target, so that links stay), and whether that may be replaced: a device or a
    pipe is written into instead."""
    target = Path(os.path.realpath(path))
    return target, not target.exists() or target.is_file()


def readied(finished: Path, path: Path) -> Path:
    """Where `finished` is to be moved, so that it becomes the file `path`: a link stays one, and whoever may read or
    run what is there still may. Raises `OSError` where that is nothing that a file can replace, or on another disk."""
    target, replaceable = place_of(path)
    if not replaceable:
        raise OSError(errno.EEXIST, f"`{path.name}` in it is not a file")
    if target.parent.stat().st_dev != finished.stat().st_dev:
        raise OSError(errno.EXDEV, f"`{path.name}` in it is a link to another disk")
    if target.exists():
        finished.chmod(target.stat().st_mode)
    return target


def way_to_folder(folder: Path) -> str:
    """What to do where a file is to be written into a `folder` that is not there."""
    there = next((parent for parent in (folder, *folder.parents) if parent.exists()), folder)
    if there.exists() and not there.is_dir():
        return f"`{there}` is a file, not a folder: name another folder"
    return f"make it first: `mkdir -p {folder}`"


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk, where the system can do that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_partial(folder: Path) -> None:
    """Drop what a killed process had begun to write."""
    if folder.is_dir():
        for path in folder.glob(f".*{PARTIAL}"):
            with contextlib.suppress(OSError):
                path.unlink()
