"""Files of arrays: what they state is known, and checked, before an array is read."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
from attndsl.storage import arrays as module
from attndsl.storage.arrays import ArrayFile

LARGE = 300_000_000


def refused(path: Path, name: str = "") -> str:
    with pytest.raises(AttnError) as problem:
        ArrayFile(str(path)).read(name)
    (found,) = problem.value.diagnostics
    assert found.code in ("E0880", "E0881", "E0882")
    return f"{found.code}: {found.message}"


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Three numbers, and in half a megabyte an array of 300 million zeros."""
    path = tmp_path / "large.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (LARGE,)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in ("few", "many"):
            with archive.open(f"{name}.npy", "w") as stream:
                if name == "few":
                    np.lib.format.write_array(stream, np.arange(3))
                else:
                    stream.write(header.getvalue())
                    for _ in range(300):
                        stream.write(bytes(LARGE // 300))
    return path


def test_arrays_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = {
        "ints": np.arange(6).reshape(2, 3),
        "turned": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "scalar": np.float32(3.5),
        "nothing": np.zeros((0, 4)),
        "texts": np.array(["a", "bc"]),
        "big-endian": np.arange(3, dtype=">i4"),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "in.npz", **written)
        file = ArrayFile(str(tmp_path / "in.npz"))
        for name, array in written.items():
            assert (file.stated[name].shape, file.stated[name].dtype) == (array.shape, array.dtype)
            np.testing.assert_array_equal(file.read(name), array)


def test_a_large_array_that_nobody_asks_for_takes_no_memory(large: Path) -> None:
    tracemalloc.start()
    try:
        file = ArrayFile(str(large))
        assert file.stated["many"].shape == (LARGE,)
        assert file.read("few").tolist() == [0, 1, 2]
        assert tracemalloc.get_traced_memory()[1] < LARGE / 100
    finally:
        tracemalloc.stop()


def test_an_array_beyond_the_memory_is_refused(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "machine_bytes", lambda: 2**28)
    assert refused(large, "many") == f"E0881: array `many` of `{large}` takes 0.3 GiB, and this machine has 0.2"


def test_a_header_that_promises_more_than_there_is(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    with zipfile.ZipFile(tmp_path / "in.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(16))
    assert refused(tmp_path / "in.npz").endswith("8,000,000,000,000 bytes are stated, and 16 are there")


def test_what_is_no_array(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "in.npz", "w") as archive:
        archive.writestr("note.txt", "hello")
    assert refused(tmp_path / "in.npz").startswith(f"E0881: array `note.txt` of `{tmp_path / 'in.npz'}` is damaged")
    np.savez(tmp_path / "in.npz", x=np.array([object()]))
    assert refused(tmp_path / "in.npz").startswith("E0882")
