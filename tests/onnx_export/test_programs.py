"""Some random programs in ONNX Runtime. `python scripts/programs.py --onnx` runs more."""

from __future__ import annotations

import pytest

from tests.onnx_export.programs import onnx_differences
from tests.programs.reading import REFUSED
from tests.programs.writer import Program

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

COUNT, AT_ONCE = 60, 20


@pytest.mark.parametrize("first", range(0, COUNT, AT_ONCE))
def test_a_program_gives_what_it_gives_on_numpy(first: int) -> None:
    found = {seed: onnx_differences(Program.random(seed)) for seed in range(first, first + AT_ONCE)}
    wrong = {seed: what for seed, what in found.items() if what not in ([], [REFUSED])}
    assert not wrong, "\n".join(f"{seed}: {what[0]}" for seed, what in wrong.items())
    assert sum(what == [REFUSED] for what in found.values()) <= AT_ONCE / 10
