"""Memories of which only the slots in use are read and written."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from attndsl.passes.incremental import incremental
from attndsl.running import backends
from attndsl.running.slots import moves_of, slots, slots_in_use
from tests.passes.test_incremental import shipped

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("backend", ["numpy", "pytorch"])
def test_slots_that_are_not_in_use_are_left_alone(backend: str) -> None:
    graph = incremental(shipped("gpt2"))
    program = backends.find(backend).program(graph, dtype="float64")
    texts = np.array([[1, 2, 3, 4], [5, 6, 7, 1]])
    whole, part = (program.begin({"tokens": texts}, {"C": 9}) for _ in range(2))
    keys = "h.*.attn.keys"
    part[keys][:, 6:] = 7.0
    for start, in_use in ((0, 3), (2, 4)):
        inputs = {"tokens": texts[:, start : start + 2]}
        expected, whole = program.advance(inputs, whole, ["logits"])
        found, part = program.advance(inputs, part, ["logits"], slots_in_use(graph, in_use))
        np.testing.assert_allclose(found["logits"], expected["logits"], atol=1e-12)
    np.testing.assert_allclose(np.asarray(part[keys])[:, :4], np.asarray(whole[keys])[:, :4], atol=1e-12)
    assert (np.asarray(part[keys])[:, 6:] == 7.0).all()


def test_a_memory_for_a_window_is_no_longer_than_the_text() -> None:
    graph = incremental(shipped("gemma3"))
    assert slots_in_use(graph, 5) == {"C": 5, "W": 5}
    band, segment = 3, 4
    assert slots(graph, {"T": segment}, 100) == {"C": 100, "W": band - 1 + segment}
    assert slots(graph, {"T": segment}, 5) == {"C": 5, "W": 5}


@pytest.mark.parametrize("backend", ["numpy", "pytorch"])
def test_chosen_rows_are_written_where_others_were(backend: str) -> None:
    program = backends.find(backend).program(incremental(shipped("gpt2")), dtype="float64")
    texts = np.array([[1, 2, 3], [5, 6, 7], [4, 4, 4]])
    keys, values = "h.*.attn.keys", "h.*.attn.values"
    _, stacks = program.advance({"tokens": texts}, program.begin({"tokens": texts}, {"C": 9}), [])
    before = np.asarray(stacks[keys]).copy()
    memory, kept = stacks[keys], np.asarray(stacks[values]).copy()
    chosen = program.chosen_rows(stacks, [2, 1], {"C": 3}, stay=[values])
    np.testing.assert_array_equal(chosen[keys], before[[2, 1]])
    np.testing.assert_array_equal(chosen[values], kept[:2])
    assert np.shares_memory(np.asarray(chosen[keys]), np.asarray(memory))
    more = program.chosen_rows(chosen, [1, 0, 0, 1], {"C": 3})
    np.testing.assert_array_equal(more[keys], before[[1, 2, 2, 1]])
    if backend == "pytorch":
        layers = more[keys].movedim(3, 0)
        assert layers[0].transpose(1, 2).is_contiguous()  # laid out as before


def test_rows_move_one_after_the_other() -> None:
    for rows in (each for count in range(1, 5) for each in product(range(4), repeat=count)):
        moves, aside = moves_of(rows)
        found, copies = list(range(4)), {row: row for row in aside}
        for to, origin in moves:
            found[to] = copies.get(origin, found[origin])
        assert found[: len(rows)] == list(rows)
        assert len(moves) == sum(to != origin for to, origin in enumerate(rows))
        assert len(aside) <= len(rows) // 2, "at most one for each ring"
    assert moves_of([1, 2, 3, 3]) == ([(0, 1), (1, 2), (2, 3)], [])
