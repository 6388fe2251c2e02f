"""docs/papers.md: its commands print what it shows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Finished

PAGE = Path(__file__).resolve().parents[2] / "docs" / "papers.md"
SHOWN = re.findall(r"^```console\n\$ attndsl ([^\n]*)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("command", "shown"), SHOWN, ids=[command for command, _ in SHOWN])
def test_a_command_prints_what_is_shown(command: str, shown: str, attndsl: Callable[..., Finished]) -> None:
    done = attndsl(*shlex.split(command))
    assert (done.code, done.err) == (0, "")
    assert done.out == shown


def test_the_page_has_commands() -> None:
    assert len(SHOWN) == PAGE.read_text("utf-8").count("```console")
    assert len(SHOWN) >= 2
