"""Arrays that are made as they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from attndsl.storage.deferred import Deferred


def test_all_values_come_by_what_reads_each_once() -> None:
    given = {name: np.full(2, at) for at, name in enumerate("abc")}
    read: list[str] = []

    def through() -> Iterator[tuple[str, np.ndarray]]:
        read.append("all")
        yield from given.items()

    arrays = Deferred(given, lambda name: read.append(name) or given[name], through)  # type: ignore[func-returns-value]
    assert [array[0] for array in arrays.values()] == [0, 1, 2]
    assert [name for name, _ in arrays.items()] == list(given)
    assert read == ["all", "all"]
    assert arrays["b"] is given["b"]
    assert read[2:] == ["b"]
    joined = Deferred.joined({"z": np.ones(1)}, arrays)
    assert [name for name, _ in joined.items()] == ["z", *given]
    assert joined["c"] is given["c"]
    assert read[3:] == ["all", "c"]
