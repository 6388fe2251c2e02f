"""docs/planning.md: its commands print what it shows. `ATTNDSL_GOLDEN=write` puts in what they print now."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

from tests.conftest import Finished

PAGE = Path(__file__).resolve().parents[2] / "docs" / "planning.md"
SHOWN = re.compile(r"^```console\n\$ attndsl ([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_commands_print_what_is_shown(attndsl: Callable[..., Finished]) -> None:
    def printed(found: re.Match[str]) -> str:
        done = attndsl(*shlex.split(found[1]))
        assert (done.code, done.err) == (0, "")
        return f"```console\n$ attndsl {found[1]}\n{done.out}```"

    text = PAGE.read_text(encoding="utf-8")
    assert SHOWN.search(text)
    written = SHOWN.sub(printed, text)
    if os.environ.get("ATTNDSL_GOLDEN") == "write":
        PAGE.write_text(written, encoding="utf-8")
    assert written == text
