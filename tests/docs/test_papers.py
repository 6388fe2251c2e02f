"""docs/papers.md: its commands print what it shows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from attndsl.formatting import format_text
from tests.conftest import Finished

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "papers.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"^```console\n\$ attndsl ([^\n]*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FILES = re.findall(r"^```attn file (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in FILES:
        (tmp_path / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("command", "shown"), SHOWN, ids=[command for command, _ in SHOWN])
def test_a_command_prints_what_is_shown(command: str, shown: str, attndsl: Callable[..., Finished]) -> None:
    done = attndsl(*shlex.split(command))
    assert (done.code, done.err) == (0, "")
    assert done.out == shown


def test_the_page_has_commands_of_each_kind() -> None:
    assert len(SHOWN) == PAGE.count("```console")
    assert {(command.split()[0], command.split()[-1]) for command, _ in SHOWN} >= {
        ("inspect", "--markdown"), ("inspect", "--latex"), ("show", "--equations"),
    }  # fmt: skip


def test_the_formulas_that_are_rendered_are_those_that_are_printed() -> None:
    rendered = PAGE.partition("<!-- equations -->")[2].partition("<!-- /equations -->")[0]
    formulas = re.findall(r"^\$\$\n.*?^\$\$$", rendered, re.MULTILINE | re.DOTALL)
    (printed,) = [shown for command, shown in SHOWN if command.endswith("window.attn --equations")]
    assert len(formulas) == 2
    assert all(formula in printed for formula in formulas)
    assert r"t \ge s \land t - s < 256" in formulas[1]


def test_the_specs_are_laid_out() -> None:
    for name, text in FILES:
        assert format_text(text, name) == text
