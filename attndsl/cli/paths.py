"""Reading and writing what the command line names. A file is written whole or not at all."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attndsl.diagnostics import AttnError, did_you_mean, error
from attndsl.storage.whole import replacing, way_to_folder

if TYPE_CHECKING:
    from attndsl.running.program import Array


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


def read_arrays(path: str) -> dict[str, Array]:
    """The arrays of an .npz file by name. Raises AttnError where it is missing, damaged, no .npz, or holds pickles."""
    import zipfile

    import numpy

    how = 'write it with `numpy.savez("in.npz", tokens=…)`, one array for each input by its name'
    try:
        with open(path, "rb") as file:
            loaded: Any = numpy.load(file, allow_pickle=False)
            if isinstance(loaded, numpy.lib.npyio.NpzFile):
                return {name: _array(loaded, name, path) for name in loaded.files}
    except FileNotFoundError:
        folder = Path(path).parent
        near = did_you_mean(Path(path).name, (f.name for f in folder.iterdir())) if folder.is_dir() else ()
        raise error("E0880", f"there is no file `{path}`", help=near or how) from None
    except IsADirectoryError:
        raise error("E0881", f"`{path}` is a folder, not an .npz file", help=how) from None
    except (ValueError, zipfile.BadZipFile, EOFError):
        raise error("E0881", f"`{path}` is not an .npz file that can be read", help=how) from None
    raise error("E0881", f"`{path}` holds one array without a name (.npy)", help=how)


def _array(loaded: Any, name: str, path: str) -> Array:
    import zipfile
    import zlib

    try:
        array: Array = loaded[name]
    except (ValueError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as problem:  # or encrypted
        if "pickle" in str(problem):
            raise _pickled(path, name) from None
        help = "write the file again, or copy it again"
        raise error("E0881", f"array `{name}` of `{path}` is damaged: {problem}", help=help) from None
    return array


def _pickled(path: str, name: str) -> AttnError:
    return error(
        "E0882",
        f"array `{name}` of `{path}` holds Python objects, not numbers",
        note="reading it would run code from the file, so it is refused",
        help="give it a numeric dtype before saving: `array.astype(numpy.int64)`",
    )


def write_arrays(arrays: Mapping[str, Array], path: str) -> None:
    """Write an .npz file, whole or not at all."""
    import numpy

    from attndsl.storage.refusals import file_errors

    target = checked(path)
    with file_errors("write", target), replacing(target) as stream:
        numpy.savez(stream, **arrays)  # type: ignore[arg-type]
