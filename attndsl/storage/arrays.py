"""Files of named arrays (.npz), of which names, shapes and dtypes are known before an array is read.

A file of a few kilobytes can hold gigabytes of zeros: an array that nobody asks for is not read, and one that the
machine cannot hold is refused. Python objects are never read, as reading them runs code.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from attndsl.diagnostics import AttnError, did_you_mean, error
from attndsl.lazy import Array, np
from attndsl.storage.deferred import stating

if TYPE_CHECKING:
    import numpy

HOW = 'write it with `numpy.savez("in.npz", tokens=…)`, one array for each input by its name'
_DAMAGES = (ValueError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)


class ArrayFile:
    """An .npz file. `stated` has for each name an array of the shape and dtype that the file states, of zeros that take
    no memory."""

    def __init__(self, path: str) -> None:
        """Raises E0880 (no file is there), E0881 (it is damaged, or of another kind), E0882 (it holds objects)."""
        self.path = path
        try:
            with open(path, "rb") as file:
                if file.read(6) == b"\x93NUMPY":
                    raise error("E0881", f"`{path}` holds one array without a name (.npy)", help=HOW)
                with zipfile.ZipFile(file) as archive:
                    self.stated = {_name(entry): self._state(archive, entry) for entry in archive.infolist()}
        except FileNotFoundError:
            folder = Path(path).parent
            near = did_you_mean(Path(path).name, (f.name for f in folder.iterdir())) if folder.is_dir() else ()
            raise error("E0880", f"there is no file `{path}`", help=near or HOW) from None
        except IsADirectoryError:
            raise error("E0881", f"`{path}` is a folder, not an .npz file", help=HOW) from None
        except (ValueError, zipfile.BadZipFile, EOFError, NotImplementedError):
            raise error("E0881", f"`{path}` is not an .npz file that can be read", help=HOW) from None

    def _state(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Array:
        name = _name(entry)
        try:
            with archive.open(entry) as stream:
                shape, dtype, start = _header(stream)
        except _DAMAGES as problem:
            raise self._damaged(name, problem) from None
        if dtype.hasobject:
            raise error(
                "E0882",
                f"array `{name}` of `{self.path}` holds Python objects, not numbers",
                note="reading it would run code from the file, so it is refused",
                help="give it a numeric dtype before saving: `array.astype(numpy.int64)`",
            )
        needed = prod(shape) * dtype.itemsize
        if start + needed != entry.file_size:
            raise self._damaged(name, f"{needed:,} bytes are stated, and {entry.file_size - start:,} are there")
        return stating(shape, dtype)

    def read(self, name: str) -> Array:
        """The array called `name`. Raises E0881 where it is damaged, or larger than this machine's memory."""
        needed, there = self.stated[name].nbytes, machine_bytes()
        if there is not None and needed > there:
            raise error(
                "E0881",
                f"array `{name}` of `{self.path}` takes {needed / 2**30:,.1f} GiB, and this machine has "
                f"{there / 2**30:,.1f}",
                help="write a smaller one",
            )
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{name}.npy") as stream:
                array: Array = np.lib.format.read_array(stream, allow_pickle=False)
        except _DAMAGES as problem:
            raise self._damaged(name, problem) from None
        return array

    def _damaged(self, name: str, problem: object) -> AttnError:
        help = "write the file again, or copy it again"
        return error("E0881", f"array `{name}` of `{self.path}` is damaged: {problem}", help=help)


def machine_bytes() -> int | None:
    """This machine's memory, None where it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _name(entry: zipfile.ZipInfo) -> str:
    return entry.filename.removesuffix(".npy")


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], numpy.dtype[Any], int]:
    """The shape and the dtype that the beginning of an array's bytes states, and how long that beginning is."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(stream)
    if version not in readers:
        raise ValueError(f"version {version} of the format has names in its dtype")
    shape, _, dtype = readers[version](stream)
    return shape, dtype, stream.tell()
