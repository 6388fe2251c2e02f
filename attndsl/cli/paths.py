"""Reading and writing what the command line names. A file is written whole or not at all."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from attndsl.diagnostics import error
from attndsl.lazy import Array
from attndsl.storage.whole import replacing, way_to_folder


def write_text(text: str, path: str | None) -> None:
    """Write `text` to `path`; to stdout where that is None or `-`."""
    text = text if text.endswith("\n") else text + "\n"
    if path is None or path == "-":
        sys.stdout.write(text)
        return
    from attndsl.storage import whole

    whole.write_text(checked(path), text)


def checked(path: str) -> Path:
    """`path`, if a file can stand there. Raises AttnError where its folder does not exist or it is itself one."""
    place = Path(path)
    if place.is_dir():
        raise error("E0883", f"cannot write `{path}`: it is a folder", help="name a file")
    if not place.parent.is_dir():
        raise error(
            "E0883",
            f"cannot write `{path}`: there is no folder `{place.parent}`",
            help=way_to_folder(place.parent),
        )
    return place


def write_arrays(arrays: Mapping[str, Array], path: str) -> None:
    """Write an .npz file, whole or not at all."""
    import numpy

    from attndsl.storage.refusals import file_errors

    target = checked(path)
    with file_errors("write", target), replacing(target) as stream:
        numpy.savez(stream, **arrays)  # type: ignore[arg-type]
