"""Every code that the source can give has a page, and the programs in the pages do what they are there for."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from attndsl.api.checking import check
from attndsl.cli.verbs import VERBS
from attndsl.diagnostics import AttnError, collected
from attndsl.diagnostics.codes import RANGES, codes, explanation, read_code
from tests.scripts import script

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r'"([EW][01]\d{3})"')

PAGES = ROOT / "docs" / "errors"
CODES = {code: read_code(code) for code in codes()}
SPECS = [entry for entry in CODES.values() if entry.kind == "spec"]
COMMANDS = [entry for entry in CODES.values() if entry.kind == "command"]


def _used() -> dict[str, list[str]]:
    """Every code that occurs in the source, with the files that it occurs in."""
    found: dict[str, list[str]] = {}
    for folder in ("attndsl", "backends"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for code in CODE.findall(path.read_text(encoding="utf-8")):
                found.setdefault(code, []).append(path.relative_to(ROOT).as_posix())
    return found


def _codes(text: str, folder: Path) -> list[str]:
    """The codes of all that is wrong with a program, else of what it warns of."""
    path = folder / "example.attn"
    path.write_text(text.lstrip("\n"), encoding="utf-8")
    try:
        with collected() as warnings:
            check(str(path))
    except AttnError as problem:
        return [diagnostic.code for diagnostic in problem.diagnostics]
    return [diagnostic.code for diagnostic in warnings]


def test_every_code_in_the_source_has_a_page():
    used = _used()
    missing = {code: places for code, places in used.items() if code not in CODES}
    assert not missing


def test_every_page_is_of_a_code_in_the_source():
    assert {path.stem for path in PAGES.iterdir()} == {"README", *_used()}


def test_the_index_lists_the_pages():
    assert (PAGES / "README.md").read_text(encoding="utf-8") == script("errors_page").page(), (
        "run `python scripts/errors_page.py`"
    )


def test_a_page_that_is_not_laid_out_as_one_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("attndsl.diagnostics.codes._pages", lambda: tmp_path)
    text = (PAGES / "E0203.md").read_text(encoding="utf-8")
    for damaged in (
        text.replace("E0203", "E0202"),
        text.replace("Right:", "And:"),
        text.replace("```attn", "```sh", 1),
    ):
        (tmp_path / "E0203.md").write_text(damaged, encoding="utf-8")
        with pytest.raises(ValueError, match=r"E0203\.md is not laid out"):
            read_code("E0203")


def test_codes_are_in_their_range():
    for entry in CODES.values():
        assert entry.code[:3] in RANGES
        assert entry.kind in ("spec", "command", "situation")


@pytest.mark.parametrize("entry", CODES.values(), ids=lambda entry: entry.code)
def test_an_entry_says_what_why_and_shows_both_programs(entry):
    assert entry.title
    assert not entry.title.endswith(".")
    assert entry.text.rstrip().endswith((".", "?", "`", ")"))
    assert entry.wrong.strip()
    assert entry.right.strip()
    shown = explanation(entry._replace(wrong=""))
    assert all(len(line) <= 110 for line in shown.split("\n"))


@pytest.mark.parametrize("entry", [e for e in CODES.values() if e.kind != "spec"], ids=lambda entry: entry.code)
def test_the_verbs_of_an_entry_are_there(entry):
    assert set(re.findall(r"^attndsl (\w+)", f"{entry.wrong}\n{entry.right}", re.MULTILINE)) <= set(VERBS)


@pytest.mark.parametrize("entry", SPECS, ids=lambda entry: entry.code)
def test_the_wrong_program_gives_the_code_and_nothing_else(entry, tmp_path):
    assert set(_codes(entry.wrong, tmp_path)) == {entry.code}


@pytest.mark.parametrize("entry", SPECS, ids=lambda entry: entry.code)
def test_the_right_program_gives_nothing(entry, tmp_path):
    assert _codes(entry.right, tmp_path) == []


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.code)
def test_the_wrong_command_gives_the_code_and_the_right_one_does_not(attndsl, entry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command, code in ((entry.wrong, 1), (entry.right, 0)):
        argv = shlex.split(command)
        assert argv[0] == "attndsl"
        assert argv[1] in VERBS
        done = attndsl(*argv[1:])
        assert done.code == code, done.err
        assert (f"[{entry.code}]" in done.err) == bool(code)


def test_explain_prints_the_entry(attndsl):
    entry = CODES["E0203"]
    for written in ("E0203", "e0203", "203", "E0203:"):
        assert attndsl("explain", written).out == explanation(entry) + "\n"


def test_explain_lists_all_codes(attndsl):
    listed = attndsl("explain").out
    assert re.findall(r"^  ([EW]\d{4})  ", listed, re.MULTILINE) == list(CODES)
