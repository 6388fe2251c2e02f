"""docs/runs.md: its model, its commands, and that it shows what was measured."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

from attndsl.api.checking import check_spec
from attndsl.cli.arguments import Parser
from attndsl.cli.verbs import VERBS
from attndsl.elaborate import open_text
from attndsl.training.data import CACHE
from tests.scripts import script

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "runs.md").read_text(encoding="utf-8")
SCRIPT = script("runs_page")


def test_the_model_of_the_page_is_right() -> None:
    graph = check_spec(open_text(SCRIPT.spec()))
    assert graph.parameter_count == 120_576


def test_the_page_shows_what_was_measured() -> None:
    figures = json.loads(SCRIPT.FIGURES.read_text(encoding="utf-8"))
    again = "run `python scripts/runs_page.py --render`"
    assert SCRIPT.PICTURE.read_text(encoding="utf-8") == SCRIPT.picture(figures), again
    assert SCRIPT.rendered(figures, PAGE) == PAGE, again
    assert len(figures["curves"]) == 4


def test_the_page_says_where_the_tokens_are() -> None:
    assert f"`{CACHE}`" in PAGE


def test_every_command_of_the_page_can_be_given() -> None:
    written = [*re.findall(r"^\$ (attndsl .*)$", PAGE, re.MULTILINE), *re.findall(r"`(attndsl [^`]*)`", PAGE)]
    written = [" ".join(each.split()) for each in written]
    assert len(written) >= 6
    for command in written:
        _, verb, *words = shlex.split(command)
        parser = Parser(f"attndsl {verb}")
        VERBS[verb].module.configure(parser)
        parser.parse_strictly(words)


def test_the_file_of_the_page_is_one_of_a_sweep() -> None:
    from attndsl.cli.sweep import GIVEN

    (text,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    said = tomllib.loads(text)
    assert said.keys() <= set(GIVEN)
    assert said["set"] == {"lr": [3e-3, 3e-4], "norm": ["layer_norm", "rms_norm"]}
