"""Safetensors files: read with nothing taken on trust, written so that a kill leaves the old file or the new one.

The format: eight bytes with the header's length, a JSON header that says for each tensor its dtype, shape and place,
then the bytes. Everything that the header says is checked against the file's length before a tensor is read. bfloat16,
which NumPy lacks, is read as the float32 with the same value.

What is written here has a checksum for each tensor and one for the metadata, under `checksums` in the metadata, and
what has them is held to them as it is read: a bit that flipped on a disk is told, and not computed with.
"""

from __future__ import annotations

import io
import json
import os
import threading
import weakref
import zlib
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from attndsl.diagnostics import AttnError, error, quoted
from attndsl.lazy import Array, np
from attndsl.records import Frozen
from attndsl.storage.deferred import Deferred, stated, stating
from attndsl.storage.whole import replacing

LONGEST_HEADER = 100_000_000
"""In bytes, as in the format's own implementation: GPT-3's header would have 150 thousand."""

BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1,
    "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8, "C64": 8,
}  # fmt: skip
"""The dtypes of the format whose elements are whole bytes."""

NUMPY = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "U32": "<u4", "I32": "<i4",
    "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8", "BF16": "<u2",
}  # fmt: skip

CHECKSUMS = "checksums"

FLOATS = ("F64", "F32", "F16", "BF16")


class TensorEntry(Frozen):
    """What a header says of a tensor; `start` and `stop` count from the beginning of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


class TensorFile:
    """An open safetensors file whose header has been checked. It is closed at the end of a `with`, or when nobody has
    it any more."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises E0601 where the file cannot be read, E0602 where it is not a safetensors file, E0603 where its end is
        missing, E0604 where it is a pickle."""
        self.path = Path(path)
        self.stream = _open(self.path)
        weakref.finalize(self, self.stream.close)
        try:
            self.entries, self.metadata = _read_header(self.stream, self.path)
            self._checksums = self._read_checksums()
        except BaseException:
            self.stream.close()
            raise

    def __enter__(self) -> TensorFile:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        self.stream.close()

    @property
    def tensors(self) -> Deferred:
        """All by name, read as they are asked for. Raises E0608."""
        return Deferred({name: self.stated(name) for name in self.entries}, self.read)

    def stated(self, name: str) -> Array:
        """What `read` would give, of zeros that take no memory. Raises E0608."""
        entry = self.entries[name]
        if entry.dtype not in NUMPY:
            raise error("E0608", f"{quoted(name)} in {self.path} has the dtype {entry.dtype}, which is not supported")
        return stating(entry.shape, "<f4" if entry.dtype == "BF16" else NUMPY[entry.dtype])

    @property
    def is_checked(self) -> bool:
        """Whether the file has checksums."""
        return self._checksums is not None

    def _read_checksums(self) -> dict[str, int] | None:
        """The checksums by the names of the tensors; None where the file has none. Raises E0602 where the metadata do
        not match theirs."""
        written = self.metadata.pop(CHECKSUMS, None)
        if written is None:
            return None
        try:
            found: dict[str, int] = parse_json(written.encode("utf-8"))
            own = found.pop("")
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _corrupt(self.path, "its checksums cannot be read") from None
        if own != _sum_of_metadata(self.metadata):
            raise _corrupt(self.path, "its metadata do not match their checksum")
        return found

    def read(self, name: str) -> Array:
        """The tensor in memory of its own; bfloat16 comes as float32, every other dtype as itself. Raises E0602 where
        it does not match its checksum."""
        self.stated(name)
        entry = self.entries[name]
        array = np.empty(entry.shape, NUMPY[entry.dtype])
        if array.size:
            try:
                count = _fill(self.stream, array.reshape(-1).data.cast("B"), entry.start)
            except OSError as problem:
                raise unreadable(self.path, problem.strerror) from None
            if count != entry.stop - entry.start:
                raise _truncated(self.path, f"the bytes of {quoted(name)} are missing")
        if self._checksums is not None and self._checksums.get(name) != _sum_of(name, entry.dtype, array):
            raise _corrupt(self.path, f"{quoted(name)} does not match its checksum")
        return _widened(array) if entry.dtype == "BF16" else array


def _widened(bits: Array) -> Array:
    """The float32 of the same values, of the bits of bfloat16."""
    wide = np.left_shift(bits, np.uint32(16), dtype=np.uint32)
    found: Array = wide.view(np.float32)
    return found


def _sum_of(name: str, dtype: str, array: Array) -> int:
    head = f"{name} {dtype} {list(array.shape)}".encode("utf-8", "surrogatepass")
    return zlib.crc32(array.reshape(-1).view(np.uint8).data, zlib.crc32(head)) if array.size else zlib.crc32(head)


def _sum_of_metadata(metadata: Mapping[str, str]) -> int:
    return zlib.crc32(json.dumps(dict(sorted(metadata.items()))).encode("utf-8"))


def _fill(stream: io.FileIO, view: memoryview, start: int) -> int:
    """Read from `start` until `view` is full or the file ends (a single read gives no more than two gigabytes). Threads
    and forked processes read at once from one file: its position is theirs together, so that it plays no part."""
    count = 0
    while count < len(view) and (more := _read_at(stream, view[count:], start + count)):
        count += more
    return count


if hasattr(os, "preadv"):

    def _read_at(stream: io.FileIO, view: memoryview, start: int) -> int:
        return os.preadv(stream.fileno(), [view], start)

else:
    _one_at_a_time = threading.Lock()

    def _read_at(stream: io.FileIO, view: memoryview, start: int) -> int:
        with _one_at_a_time:
            stream.seek(start)
            return stream.readinto(view) or 0


def _open(path: Path) -> io.FileIO:
    try:
        stream = io.FileIO(path)
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else str(problem)
        raise unreadable(path, reason) from None
    try:
        beginning = stream.read(64)
    except OSError as problem:
        stream.close()
        raise unreadable(path, problem.strerror) from None
    if beginning.startswith(b"PK\x03\x04") and b".npy" in beginning:
        stream.close()
        way = f'`safetensors.numpy.save_file(dict(numpy.load("{path}")), "{path.with_suffix(".safetensors")}")`'
        raise error("E0602", f"{path} is an archive of NumPy's, and not a safetensors file", help=f"convert it: {way}")
    if _is_pickle(beginning):
        stream.close()
        raise pickled(path)
    if beginning.startswith(b"version https://"):
        stream.close()
        raise error("E0602", f"{path} only points to the weights", help="fetch them: `git lfs pull`")
    return stream


def unreadable(path: Path, reason: str | None, code: str = "E0601") -> AttnError:
    return error(code, f"{path} cannot be read: {reason}", help="check the path and its permissions")


def _is_pickle(beginning: bytes) -> bool:
    """A zip archive (what `torch.save` writes) or a bare pickle; no sane safetensors file begins like either."""
    if len(beginning) < 9 or beginning[8:9] == b"{":
        return False
    return beginning.startswith(b"PK\x03\x04") or (beginning[0] == 0x80 and 2 <= beginning[1] <= 5)


def pickled(path: Path) -> AttnError:
    command = (
        'python -c "import sys, torch, safetensors.torch as s; s.save_file({k: v.clone() for k, v in torch.load('
        'sys.argv[1], weights_only=True).items()}, sys.argv[2])" ' + f"{path} {path.with_name('model.safetensors')}"
    )
    return error(
        "E0604",
        f"{path} is a pickle, which could run any code: it is not read",
        note="if you trust it, convert it once, with PyTorch",
        help=command,
    )


def _truncated(path: Path, what: str) -> AttnError:
    return error("E0603", f"{path} is truncated: {what}", help="download or copy it again")


def _corrupt(path: Path, what: str) -> AttnError:
    return error("E0602", f"{path} is not an intact safetensors file: {what}", help="download or copy it again")


class _Repeated(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Repeated("a name occurs twice")
    return found


def parse_json(data: bytes) -> Any:
    """The value of a JSON text; `ValueError` for every way in which it can be wrong."""
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


def _read_header(stream: io.FileIO, path: Path) -> tuple[dict[str, TensorEntry], dict[str, str]]:
    total = os.fstat(stream.fileno()).st_size
    first = bytearray(8)
    if _fill(stream, memoryview(first), 0) < 8:
        raise _truncated(path, f"it has {total} bytes")
    length = int.from_bytes(first, "little")
    if length > LONGEST_HEADER:
        raise _corrupt(path, f"it does not begin like one (its header would have {length:,} bytes)")
    if length + 8 > total:
        raise _truncated(path, f"its header should have {length} bytes, the file has {total}")
    data = bytearray(length)
    if _fill(stream, memoryview(data), 8) < length:
        raise _truncated(path, "it ends within its header")
    try:
        header = parse_json(bytes(data))
    except ValueError as problem:
        raise _corrupt(path, f"its header is not JSON: {_one_line(problem)}") from None
    if not isinstance(header, dict):
        raise _corrupt(path, "its header is not a JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _corrupt(path, "its metadata is not a table of strings")
    entries = {name: _entry(name, value, 8 + length, path) for name, value in header.items()}
    end = 8 + length
    for entry in sorted(entries.values(), key=lambda e: (e.start, e.stop)):
        if entry.start != end:
            kind = "overlaps the one before it" if entry.start < end else "leaves a gap before it"
            raise _corrupt(path, f"{quoted(entry.name)} {kind}")
        end = entry.stop
    if end > total:
        raise _truncated(path, f"the header lists {end} bytes, the file has {total}")
    if end < total:
        raise _corrupt(path, f"{total - end} bytes at its end belong to no tensor")
    return entries, metadata


def _one_line(problem: Exception) -> str:
    return str(problem).splitlines()[0][:200] if str(problem) else type(problem).__name__


def _entry(name: str, value: Any, base: int, path: Path) -> TensorEntry:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise _corrupt(path, "a tensor's name is not a string") from None
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise _corrupt(path, f"{quoted(name)} lacks its dtype, shape or offsets")
    dtype, shape, place = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BYTES:
        raise _corrupt(path, f"{quoted(name)} has an unknown dtype")
    for numbers in (shape, place):
        if (
            not isinstance(numbers, list)
            or not all(type(n) is int and 0 <= n < 2**63 for n in numbers)
            or len(numbers) > 32
        ):
            raise _corrupt(path, f"{quoted(name)} has no valid shape or offsets")
    if len(place) != 2 or place[1] - place[0] != prod(shape) * BYTES[dtype]:
        raise _corrupt(path, f"{quoted(name)} has offsets that do not fit its shape and dtype")
    return TensorEntry(name, dtype, tuple(shape), base + place[0], base + place[1])


# ---------------------------------------------------------------- writing


def write_tensors(
    path: str | os.PathLike[str], arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes arrays to a safetensors file with their checksums, atomically and durably, one after the other: of those
    that are `Deferred` one is in memory at a time. Equal arrays give equal bytes: tensors stand in the order of
    `in_files`. Raises `OSError`."""
    facts = dict(metadata or {})
    stored, order = stated(arrays), in_files(arrays)
    codes = _codes(stored)
    entries: dict[str, Any] = {}
    end = 0
    for name in order:
        start, end = end, end + stored[name].nbytes
        entries[name] = {"dtype": codes[name], "shape": list(stored[name].shape), "data_offsets": [start, end]}

    def header(sums: Mapping[str, int]) -> bytes:
        told = dict(sorted({**facts, CHECKSUMS: json.dumps(sums)}.items()))
        text = json.dumps({"__metadata__": told, **entries}, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        return text + b" " * (-len(text) % 8)

    def bytes_of(name: str) -> Array:
        array = np.require(arrays[name], stored[name].dtype.newbyteorder("<"), ["C"])
        sums[name] = _sum_of(name, codes[name], array.reshape(stored[name].shape))
        found: Array = array.reshape(-1).view(np.uint8)
        return found

    with replacing(path) as stream:
        sums = {"": _sum_of_metadata(facts), **dict.fromkeys(order, _LARGEST_SUM)}
        if not stream.seekable():  # the header comes first and has the sums of what comes behind it
            for name in order:
                bytes_of(name)
        length = len(header(sums))
        beginning = stream.tell() if stream.seekable() else 0
        stream.write(length.to_bytes(8, "little") + header(sums))
        for name in order:
            stream.write(bytes_of(name).data)
        if stream.seekable():
            stream.seek(beginning + 8)
            stream.write(header(sums).ljust(length))
            stream.seek(0, os.SEEK_END)


_LARGEST_SUM = 2**32 - 1


def in_files(arrays: Mapping[str, Array]) -> list[str]:
    """The names of arrays in the order in which they are written: by falling size of their elements, so that each is
    aligned, then by name."""
    known = stated(arrays)
    return sorted(known, key=lambda name: (-known[name].itemsize, name))


def _codes(arrays: Mapping[str, Array]) -> dict[str, str]:
    """What the format calls the dtypes of arrays."""
    known = {np.dtype(code): name for name, code in NUMPY.items() if name != "BF16"}
    found = {name: known.get(array.dtype.newbyteorder("<")) for name, array in arrays.items()}
    for name, code in found.items():
        if code is None:
            raise TypeError(f"{name} has the dtype {arrays[name].dtype}, which safetensors lacks")
    return {name: code for name, code in found.items() if code is not None}
