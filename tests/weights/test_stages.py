"""A line of a `weights` section goes through four stages, and never back."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import attndsl.weights
from attndsl.elaborate import elaborate, open_spec
from attndsl.weights import mapping

ROOM = Path(attndsl.weights.__file__).parent
ORDER = (
    "wording", "forms", "axes", "patterns", "stacks", "words", "conditions",
    "expanding",  # what is written, and what it means
    "lines",
    "resolving",  # of which parameters
    "computing", "rearranging", "shaping",  # of which axes
    "mapping",  # whether all is there
)  # fmt: skip


def imported(module: str) -> set[str]:
    tree = ast.parse((ROOM / f"{module}.py").read_text(encoding="utf-8"))
    found = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {name.removeprefix("attndsl.weights.") for name in found if name.startswith("attndsl.weights.")}


@pytest.mark.parametrize("module", ORDER)
def test_each_stage_knows_those_before_it_alone(module: str) -> None:
    assert imported(module) <= set(ORDER[: ORDER.index(module)])


@pytest.mark.parametrize("spec", ["bert", "gpt2"])
def test_each_line_enters_each_stage_once(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entered: dict[int, list[str]] = {}

    def watch(stage: str) -> None:
        through = getattr(mapping, stage)

        def watched(given: object, *rest: object) -> object:
            line = getattr(given, "line", given)
            entry = line.entry if stage == "parse_line" else line.tree
            entered.setdefault(id(entry), []).append(stage)
            return through(given, *rest)

        monkeypatch.setattr(mapping, stage, watched)

    stages = ("parse_line", "resolve", "form_of")
    for stage in stages:
        watch(stage)
    opened = open_spec(spec)
    mapping.WeightMap(opened.weights[0], elaborate(opened, {})).items()
    assert len(entered) > 10
    for found in entered.values():
        assert found[:2] == ["parse_line", "resolve"]
        assert set(found[2:]) == {"form_of"}  # once for each tensor, and for the first and the last when it is checked
