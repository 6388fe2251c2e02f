"""Safetensors files: what is written, what is refused, and that nothing a damaged file holds becomes a traceback."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attndsl.diagnostics import AttnError
from attndsl.storage.safetensors import TensorFile, write_tensors
from attndsl.weights import load_weights, save_weights
from tests.weights.models import GPT2, arrays_for, codes, gpt2_graph, section_of

FEW = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def file_of(path: Path, header: object, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def one(dtype: str = "F32", shape: object = (2,), place: object = (0, 8)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": place}


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "int32", "uint8", "bool"])
def test_what_is_written_is_read_by_the_formats_own_package(tmp_path: Path, dtype: str) -> None:
    from safetensors.numpy import load_file

    arrays = {
        "a.b": np.arange(12).reshape(3, 4).astype(dtype),
        "scalar": np.array(1).astype(dtype),
        "none": np.zeros((0, 3), dtype),
    }
    write_tensors(tmp_path / "x.safetensors", arrays, {"format": "pt", "note": "é"})
    theirs = load_file(tmp_path / "x.safetensors")
    with TensorFile(tmp_path / "x.safetensors") as file:
        assert file.metadata == {"format": "pt", "note": "é"}
        for name, array in arrays.items():
            for read in (theirs[name], file.read(name)):
                assert read.dtype == array.dtype
                assert read.shape == array.shape
                assert (read == array).all()


def test_every_bfloat16_is_read_as_the_float32_of_the_same_value(tmp_path: Path) -> None:
    bits = np.arange(2**16, dtype=np.uint16)
    file_of(tmp_path / "x", {"a": one("BF16", [2**16], [0, 2**17])}, bits.tobytes())
    with TensorFile(tmp_path / "x") as file:
        read = file.read("a")
    assert read.dtype == np.float32
    sign, exponent, fraction = bits >> 15, (bits >> 7 & 0xFF).astype(int), (bits & 0x7F).astype(float)
    value = np.where(
        exponent == 0, fraction / 128 * 2.0**-126, (1 + fraction / 128) * 2.0 ** (np.minimum(exponent, 254) - 127.0)
    )
    value = np.where(exponent == 255, np.where(fraction == 0, math.inf, math.nan), value) * np.where(
        sign == 1, -1.0, 1.0
    )
    with np.errstate(invalid="ignore"):  # signalling NaNs
        assert np.array_equal(read.astype(np.float64), value, equal_nan=True)


def test_equal_arrays_give_equal_bytes_in_any_order(tmp_path: Path) -> None:
    graph = gpt2_graph()
    arrays = arrays_for(graph)
    save_weights(tmp_path / "a", arrays, graph)
    save_weights(tmp_path / "b", dict(reversed(arrays.items())), graph)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("header", "data", "code", "says"),
    [
        (b"{", b"", "E0602", "is not JSON"),
        (b"[]", b"", "E0602", "is not a JSON object"),
        (b"\xff\xfe", b"", "E0602", "UTF-8"),
        (b"[" * 100_000, b"", "E0602", "JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", b"", "E0602", "JSON"),
        (b'{"a": {}, "a": {}}', b"", "E0602", "twice"),
        ({"a": 3}, b"", "E0602", "lacks its dtype"),
        ({"a": one(shape="2")}, b"\0" * 8, "E0602", "no valid shape"),
        ({"a": one(shape=[True, 2])}, b"\0" * 8, "E0602", "no valid shape"),
        ({"a": one(shape=[-2])}, b"\0" * 8, "E0602", "no valid shape"),
        ({"a": one(shape=[2.0])}, b"\0" * 8, "E0602", "no valid shape"),
        ({"a": one(shape=[2**62, 2**62])}, b"\0" * 8, "E0602", "do not fit its shape"),
        ({"a": one(shape=[3])}, b"\0" * 8, "E0602", "do not fit its shape"),
        ({"a": one(place=[8, 0])}, b"\0" * 8, "E0602", "do not fit its shape"),
        ({"a": one(place=[0])}, b"\0" * 8, "E0602", "do not fit its shape"),
        ({"a": one(dtype="F31")}, b"\0" * 8, "E0602", "unknown dtype"),
        ({"a": one(place=[4, 12])}, b"\0" * 12, "E0602", "gap"),
        ({"a": one(), "b": one()}, b"\0" * 8, "E0602", "overlaps"),
        ({"a": one()}, b"\0" * 9, "E0602", "belong to no tensor"),
        ({"a": one()}, b"\0" * 7, "E0603", "truncated"),
        ({"__metadata__": {"a": 1}}, b"", "E0602", "metadata"),
        (b'{"\\ud800": {"dtype":"F32","shape":[0],"data_offsets":[0,0]}}', b"", "E0602", "is not a string"),
    ],
)  # fmt: skip
def test_a_wrong_header_is_refused(tmp_path: Path, header: object, data: bytes, code: str, says: str) -> None:
    with pytest.raises(AttnError, match=says) as raised:
        TensorFile(file_of(tmp_path / "x.safetensors", header, data))
    assert codes(raised.value) == [code]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "E0603"),
        (b"1234567", "E0603"),
        ((2**63).to_bytes(8, "little") + b"{}", "E0602"),
        ((10).to_bytes(8, "little") + b"{}", "E0603"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "E0602"),
        (b"PK\x03\x04" + b"\0" * 60, "E0604"),
        (b"\x80\x02}q\x00." + b"\0" * 60, "E0604"),
        (b"PK\x03\x04" + b"\0" * 26 + b"total.npy" + b"\0" * 60, "E0602"),  # what `numpy.savez` writes
    ],
)
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(AttnError) as raised:
        TensorFile(tmp_path / "x.safetensors")
    assert codes(raised.value) == [code]


@FEW
@given(data=st.data())
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    graph = gpt2_graph(depth=1)
    whole = tmp_path / "whole.safetensors"
    save_weights(whole, arrays_for(graph), graph)
    content = whole.read_bytes()
    cut = data.draw(st.integers(0, len(content) - 1))
    (tmp_path / "cut.safetensors").write_bytes(content[:cut])
    with pytest.raises(AttnError) as raised:
        load_weights(tmp_path / "cut.safetensors", graph)
    assert codes(raised.value) in (["E0603"], ["E0602"])


@FEW
@given(data=st.data())
def test_a_damaged_header_gives_an_error_or_the_right_weights(tmp_path: Path, data: st.DataObject) -> None:
    graph, section = gpt2_graph(depth=1), section_of(GPT2)
    whole = tmp_path / "whole.safetensors"
    arrays = arrays_for(graph)
    save_weights(whole, arrays, graph)
    content = bytearray(whole.read_bytes())
    length = int.from_bytes(content[:8], "little") + 8
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, length - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "bad.safetensors").write_bytes(content)
    loaded, found = arrays, []
    try:
        loaded = load_weights(tmp_path / "bad.safetensors", graph, [section])
    except AttnError as raised:
        found = codes(raised)
        str(raised).encode("utf-8")  # what it says can be printed
    assert all(code.startswith("E06") for code in found)
    assert {name: array.shape for name, array in loaded.items()} == {
        name: array.shape for name, array in arrays.items()
    }


def test_a_folder_that_does_not_exist_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_tensors(tmp_path / "none" / "w", {"a": np.zeros(2)})
    graph = gpt2_graph()
    with pytest.raises(AttnError, match="cannot be written") as raised:
        save_weights(tmp_path / "none" / "w", arrays_for(graph), graph)
    assert codes(raised.value) == ["E0612"]


def test_reading_needs_neither_torch_nor_the_formats_package() -> None:
    import subprocess
    import sys

    program = (
        "import sys, attndsl.weights; "
        "print([m for m in ('numpy', 'torch', 'networkx', 'safetensors', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_threads_read_at_once(tmp_path: Path) -> None:
    arrays = {f"t{at}": np.full(2000 + at, at, np.float32) for at in range(40)}
    write_tensors(tmp_path / "w.safetensors", arrays)
    with TensorFile(tmp_path / "w.safetensors") as file, ThreadPoolExecutor(4) as threads:
        names = [name for _ in range(40) for name in arrays]
        for name, array in zip(names, threads.map(file.read, names), strict=True):
            np.testing.assert_array_equal(array, arrays[name])
