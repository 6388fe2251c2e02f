"""Writing so that a kill at any moment leaves the old file or the new one, whole, and saying what went wrong if not."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attndsl.diagnostics import error
from attndsl.writing import PARTIAL, place_of, sync_folder


@contextlib.contextmanager
def file_errors(doing: str, path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn the system's refusals into an `AttnError` (E0705) that says what was being done to which file."""
    try:
        yield
    except OSError as problem:
        reason = problem.strerror or str(problem)
        helps = {
            "Permission denied": "choose a place that you may write to, or change its permissions",
            "No space left on device": "free some space, or choose a folder on another disk",
            "Read-only file system": "choose a folder on a disk that can be written to",
        }
        raise error(
            "E0705", f"cannot {doing} `{path}`: {reason}", help=helps.get(reason, "check the path")
        ) from problem


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Have `write` fill a file beside `path`, bring it to the disk, and put it in the place of `path` in one motion.
    A device or a pipe is written into."""
    with file_errors("write", path):
        target, replaceable = place_of(path)
        if not replaceable:
            write(target)
            return
        partial = target.with_name(f".{target.name}{PARTIAL}")
        try:
            write(partial)
            with open(partial, "rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, target)
            sync_folder(target.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise


def write_text(path: Path, text: str) -> None:
    """`write_whole` with a text."""
    write_whole(path, lambda partial: partial.write_bytes(text.encode("utf-8")))


def write_json(path: Path, value: Any) -> None:
    """`write_whole` with a value as readable JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def remove_partial(folder: Path) -> None:
    """Drop what a killed process had begun to write."""
    if folder.is_dir():
        for path in folder.glob(f".*{PARTIAL}"):
            with contextlib.suppress(OSError):
                path.unlink()
