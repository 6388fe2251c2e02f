"""First values: by seed and address alone, with the moments that each initialiser promises."""

from __future__ import annotations

import dataclasses
import math
import threading
import tracemalloc

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_spec
from attndsl.graph import Axis, Graph, Initializer, Type
from attndsl.graph.initial import written_out
from attndsl.ops.arrays import generator
from attndsl.running import initial
from attndsl.running.initial import initial_parameters, initial_value, parameter_bytes
from attndsl.sizes import Size
from attndsl.storage.arrays import machine_bytes
from tests.costs import less_than
from tests.samples.graphs import decoder, repeat


def drawn(kind: str, *arguments: float, shape: tuple[int, ...] = (200, 300)) -> np.ndarray:
    type = Type("float", tuple(Axis.of(Size.of(length)).named(f"a{i}") for i, length in enumerate(shape)))
    array = initial_value(written_out(Initializer(kind, arguments), type), {}, (), generator("test"))
    assert array.dtype == np.float32
    assert array.shape == shape
    assert array.flags.writeable
    return array


def test_normal() -> None:
    values = drawn("normal", 0.02)
    assert values.std() == pytest.approx(0.02, rel=0.01)
    assert abs(values.mean()) < 2e-4


def test_uniform() -> None:
    values = drawn("uniform", -1.0, 3.0)
    assert -1 <= values.min() < -0.99
    assert 2.99 < values.max() <= 3
    assert values.mean() == pytest.approx(1, abs=0.02)


def test_truncated() -> None:
    values = drawn("truncated", 0.5)
    assert 0.99 < np.abs(values).max() <= 1
    assert values.std() == pytest.approx(0.5 * 0.8796, rel=0.01)


def test_xavier() -> None:
    limit = math.sqrt(6 / 500)
    values = drawn("xavier")
    assert 0.99 * limit < np.abs(values).max() <= limit
    assert values.std() == pytest.approx(limit / math.sqrt(3), rel=0.01)
    assert np.abs(drawn("xavier", shape=(10, 20, 300))).max() <= limit


def test_kaiming() -> None:
    assert drawn("kaiming").std() == pytest.approx(math.sqrt(2 / 200), rel=0.01)


def test_constants() -> None:
    assert (drawn("zeros") == 0).all()
    assert (drawn("ones") == 1).all()
    assert (drawn("constant", 0.25) == 0.25).all()
    assert drawn("ones", shape=()) == 1
    np.testing.assert_array_equal(drawn("identity", shape=(2, 3, 4)), np.stack([np.eye(3, 4)] * 2))


def test_values_depend_on_seed_and_address_alone() -> None:
    first = dict(initial_parameters(repeat(3), 5))
    deeper = dict(initial_parameters(repeat(4), 5))
    assert list(first) == ["shared", "h.0.w", "h.1.w", "h.2.w"]
    for address, array in first.items():
        np.testing.assert_array_equal(array, deeper[address])
    assert not np.array_equal(first["h.0.w"], first["h.1.w"])
    assert not np.array_equal(first["h.0.w"], dict(initial_parameters(repeat(3), 6))["h.0.w"])


def enormous() -> Graph:
    graph = repeat(1)
    wide = [dataclasses.replace(p, layers=(range(10**9),)) if p.layers else p for p in graph.parameters]
    return dataclasses.replace(graph, parameters=tuple(wide))


def test_what_cannot_fit_is_refused_at_once() -> None:
    graph = enormous()
    assert parameter_bytes(graph, "float64") == (9 * 10**9 + 3) * 8
    with less_than(0.5):
        for attempt in (lambda: initial_parameters(graph), lambda: NumpyProgram(graph, dtype="float64")):
            with pytest.raises(AttnError, match=r"E0806.* GiB, and this machine has .*") as problem:
                attempt()
            assert "9,000,000,003 parameters" in problem.value.diagnostics[0].notes[0]
    assert (machine_bytes() or 0) > 2**28


def test_what_fits_is_not_refused() -> None:
    graph = decoder()
    assert parameter_bytes(graph, "float32") == sum(array.nbytes for _, array in initial_parameters(graph))


def test_several_threads_draw_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(initial, "MANY", 0)
    found = []
    for threads in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found.append(list(initial_parameters(decoder(), 7)))
    assert [address for address, _ in found[0]] == [address for address, _ in found[1]]
    for (_, one), (_, other) in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    before = set(threading.enumerate())
    next(initial_parameters(decoder(), 7))  # who stops early leaves no thread behind
    assert set(threading.enumerate()) <= before


def test_parts_are_of_what_is_drawn_and_never_whole_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The most memory at once, by what NumPy asks for: all parts, and no more whole parameters than are being drawn."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    graph = elaborate(open_spec("gpt_nano"), {})
    whole = {address: array[: len(array) // 4] for address, array in initial_parameters(graph, 3)}
    largest = max(4 * math.prod(info.type.shape(graph.sizes)) for info in graph.parameters)
    tracemalloc.start()
    found = dict(initial_parameters(graph, 3, lambda array, address: array[: len(array) // 4]))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < parameter_bytes(graph) / 4 + 3 * largest < parameter_bytes(graph) / 2
    assert found.keys() == whole.keys()
    for address, array in found.items():
        np.testing.assert_array_equal(array, whole[address])
    some = list(whole)[1:3]
    assert [address for address, _ in initial_parameters(graph, 3, lambda array, address: array, some)] == some


def test_a_part_of_what_does_not_fit_is_not_refused() -> None:
    next(initial_parameters(enormous(), 3, lambda array, address: array))
