"""What the system refuses, said so that a user knows what to do."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from attndsl.diagnostics import error


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
