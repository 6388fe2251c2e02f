"""Arrays as Python gives them: in either byte order, of any width, of rank 0."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
from attndsl.weights import adapt_arrays, export_huggingface, load_weights, save_weights
from tests.weights.models import codes, graph_of, parameter, section_of

SECTION = section_of('weights M from x {\n  config { width = hidden }\n  "s" <-> scale\n  "n.w" <-> norm.scale\n}\n')
GRAPH = graph_of("M", {"width": 4}, parameter("scale"), parameter("norm.scale", "width"))
VALUES = {"scale": np.array(2.5), "norm.scale": np.arange(4.0)}
Write = Callable[[Path, dict[str, np.ndarray]], None]


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    save_weights(path, arrays, GRAPH)


def export(path: Path, arrays: dict[str, np.ndarray]) -> None:
    export_huggingface(path, GRAPH, arrays, SECTION)


@pytest.mark.parametrize("write", [save, export])
@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", ">f4", "<f2", ">f2"])
def test_every_real_array_goes_out_and_comes_back(tmp_path: Path, dtype: str, write: Write) -> None:
    write(tmp_path / "w", {name: value.astype(dtype) for name, value in VALUES.items()})
    back = load_weights(tmp_path / "w", GRAPH, [SECTION])
    for name, value in VALUES.items():
        assert back[name].shape == value.shape
        assert back[name].dtype.isnative
        assert (back[name] == value).all()


def test_arrays_in_another_byte_order_are_adapted_in_this_one() -> None:
    found = adapt_arrays({name: value.astype(">f4") for name, value in VALUES.items()}, GRAPH).arrays
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
    assert all((found[name] == value).all() for name, value in VALUES.items())


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="a long double is a double here")
@pytest.mark.parametrize("write", [save, export, lambda path, arrays: adapt_arrays(arrays, GRAPH)])
def test_a_long_double_is_refused_with_a_way_out(tmp_path: Path, write: Write) -> None:
    with pytest.raises(AttnError, match="astype") as raised:
        write(tmp_path / "w", {name: value.astype(np.longdouble) for name, value in VALUES.items()})
    assert set(codes(raised.value)) == {"E0608"}
    assert not (tmp_path / "w").exists()
