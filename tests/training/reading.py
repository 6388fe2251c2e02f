"""What tests read of a run, and of what refuses one."""

from __future__ import annotations

from pathlib import Path

import pytest

from attndsl.diagnostics import AttnError
from attndsl.runs.log import read_log


def losses(run: Path) -> list[float]:
    """Of its steps, in their order."""
    return [line["loss"] for line in read_log(run) if "loss" in line]


def refused(problem: pytest.ExceptionInfo[AttnError]) -> str:
    """The code of the one thing that is wrong; there must be a way out."""
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.helps, f"{diagnostic.code} gives no way out"
    return diagnostic.code
