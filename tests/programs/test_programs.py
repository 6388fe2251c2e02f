"""Some hundreds of random programs, run every way there is. `python scripts/programs.py` runs more."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from attndsl.passes.incremental.demands import Demands
from attndsl.sizes import Size
from tests.programs.holding import differences
from tests.programs.reading import REFUSED, reading_differences
from tests.programs.writer import Program
from tests.programs.written import file_differences

COUNT, CAUSAL, AT_ONCE = 400, 60, 20
HAS_TORCH = importlib.util.find_spec("torch") is not None


@pytest.mark.parametrize("first", range(0, COUNT, AT_ONCE))
def test_every_way_of_running_gives_the_same(first: int) -> None:
    wrong = {
        seed: found
        for seed in range(first, first + AT_ONCE)
        if (found := differences(Program.random(seed), torch=HAS_TORCH))
    }
    assert not wrong, "\n".join(f"{seed}: {found[0]}" for seed, found in wrong.items())


@pytest.mark.parametrize("first", range(0, CAUSAL, AT_ONCE))
def test_texts_that_are_read_in_pieces_are_what_they_are_as_a_whole(first: int) -> None:
    """Or cannot be, which is said."""
    found = {
        seed: reading_differences(Program.causal(seed), torch=HAS_TORCH and seed % 8 == 0)
        for seed in range(first, first + AT_ONCE)
    }
    wrong = {seed: what for seed, what in found.items() if what not in ([], [REFUSED])}
    assert not wrong, "\n".join(f"{seed}: {what[0]}" for seed, what in wrong.items())
    assert sum(what == [REFUSED] for what in found.values()) < AT_ONCE / 2


@pytest.mark.torch
def test_files_of_their_own_give_the_same() -> None:
    wrong = {seed: found for seed in range(5) if (found := file_differences(Program.random(seed)))}
    assert not wrong, "\n".join(f"{seed}: {found[0]}" for seed, found in wrong.items())


def test_a_memory_that_forgets_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that is kept too short by one, in some of the programs."""
    right = Demands.window

    def short(self: Demands, node: Any) -> Size | None:
        window = right(self, node)
        return None if window is None else window - 1

    monkeypatch.setattr(Demands, "window", short)
    assert any(reading_differences(Program.causal(seed), torch=False) not in ([], [REFUSED]) for seed in range(60))


def test_those_that_are_read_hold_what_they_should() -> None:
    text = "\n".join(Program.causal(seed).text for seed in range(200))
    for construct in (
        "causal", "window(", "prefix(", "same(d", "cumsum(", "scan ", "recurrent(gru", "recurrent(lstm", "windows(",
        "experts(", "embedding(range(T)", "before=", "repeat ", "attend(", "spelled(", "rotary", "bucketed(", "alibi(",
        "relative(u", "seen", "cap=2", "sink=true",
    ):  # fmt: skip
        assert text.count(construct) > 4, construct


def test_they_hold_what_they_should() -> None:
    """Every construct that is worth mixing turns up, and often."""
    text = "\n".join(Program.random(seed).text for seed in range(COUNT))
    for construct in (
        "repeat ", "scan ", "scope ", "emit ", "mask=", "position=", "kv_heads=", "softmax(", "where(", "concat(",
        "rearrange(", "-> cut", "take(", "block deep", "block spelled", "conv(", "bucketed(", "same_number(", "flip(",
        "adaptive(", "attend(", "sink=true", "cap=2", "in steps", "unrolled repeat", "grow)",
        "relative(u", "output out0: ", "training", "float32(", "state ", "<- ",
    ):  # fmt: skip
        assert text.count(construct) > COUNT / 40, construct
    sizes = [Program.random(seed).sizes for seed in range(COUNT)]
    assert sum(0 in each.values() for each in sizes) > COUNT / 10
    assert sum(Program.random(seed).poison > 0 for seed in range(COUNT)) > COUNT / 10
