"""The faults of `scripts/mutations.py` are faults of the code as it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.scripts import script

ROOT = Path(__file__).resolve().parents[2]


FAULTS = script("mutations").FAULTS


def test_each_has_a_name_of_its_own() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_it_can_be_put_in(fault) -> None:
    text = (ROOT / fault.file).read_text(encoding="utf-8")
    assert text.count(fault.old) == 1, f"{text.count(fault.old)} times in {fault.file}"
    tests = ROOT / fault.tests
    assert tests.is_file() or any(tests.glob("test_*.py")), f"{fault.tests} has no tests"
    ast.parse(text.replace(fault.old, fault.new))  # it changes what the code does, not whether it is code
