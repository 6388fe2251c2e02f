"""Some hundreds of random programs, run every way there is. `python scripts/programs.py` runs more."""

from __future__ import annotations

import importlib.util

import pytest

from tests.programs.holding import differences
from tests.programs.writer import Program

COUNT, AT_ONCE = 400, 20
HAS_TORCH = importlib.util.find_spec("torch") is not None


@pytest.mark.parametrize("first", range(0, COUNT, AT_ONCE))
def test_every_way_of_running_gives_the_same(first: int) -> None:
    wrong = {
        seed: found
        for seed in range(first, first + AT_ONCE)
        if (found := differences(Program.random(seed), torch=HAS_TORCH))
    }
    assert not wrong, "\n".join(f"{seed}: {found[0]}" for seed, found in wrong.items())


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
