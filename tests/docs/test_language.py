"""Every example of the language reference does what the page says."""

from __future__ import annotations

import contextlib
import io
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.api.checking import check
from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.diagnostics import AttnError, collected
from attndsl.diagnostics.report import render
from attndsl.elaborate import open_spec
from attndsl.running.inputs import example_inputs
from attndsl.syntax import limits
from attndsl.syntax.tables import tables
from tests.docs.pages import PAGE, Example, as_file, examples, with_claims

EXAMPLES = [e for e in examples() if e.language == "attn"]
RIGHT = [e for e in EXAMPLES if e.kind in ("program", "fragment")]
WRONG = [e for e in EXAMPLES if e.kind == "wrong"]
WARNED = [e for e in EXAMPLES if e.kind == "warns"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with the files that the page gives a name."""
    monkeypatch.chdir(tmp_path)
    for example in EXAMPLES:
        if example.kind == "file":
            Path(example.words[1]).write_text(example.text, encoding="utf-8")
    return tmp_path


def test_every_block_is_of_a_known_kind() -> None:
    assert {e.kind for e in EXAMPLES} == {"frame", "program", "fragment", "wrong", "warns", "file"}
    assert all(e.language in ("attn", "python", "text", "console") for e in examples())


def test_the_programs_print_what_stands_below_them() -> None:
    pairs = [(program, printed) for program, printed in pairwise(examples()) if program.language == "python"]
    assert pairs
    for program, printed in pairs:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(program.text, {})
        assert out.getvalue() == printed.text


@pytest.mark.parametrize("example", RIGHT, ids=str)
def test_a_right_example_is_right_and_runs(example: Example, folder: Path) -> None:
    text, claims = with_claims(as_file(example))
    Path("my.attn").write_text(text, encoding="utf-8")
    for name in ("my.attn", *(f"my.attn:{v.name.text}" for v in open_spec("my.attn").variants)):
        with collected() as warnings:
            graph = check(name)
        # What a fragment's frame is there for, other fragments read.
        assert {it.code for it in warnings} <= ({"W0101"} if example.kind == "fragment" else set())
        types = {o.name: str(o.value.type).removeprefix("float") for o in graph.own_outputs}
        assert {c.output: types[c.output] for c in claims} == {c.output: c.type for c in claims}
        inputs = example_inputs(graph)
        found = NumpyProgram(graph).run(inputs)
        assert found.keys() == types.keys()


@pytest.mark.parametrize("example", WARNED, ids=str)
def test_an_example_that_warns_gives_the_code_beside_it(example: Example, folder: Path) -> None:
    Path("my.attn").write_text(as_file(example), encoding="utf-8")
    with collected() as warnings:
        check("my.attn")
    assert [it.code for it in warnings] == [example.words[1]]


@pytest.mark.parametrize("example", WRONG, ids=str)
def test_a_wrong_example_gives_the_code_beside_it(example: Example, folder: Path) -> None:
    Path("my.attn").write_text(as_file(example), encoding="utf-8")
    with pytest.raises(AttnError) as caught:
        check("my.attn")
    assert [d.code for d in caught.value.diagnostics] == [example.words[1]]


def test_the_message_that_is_shown_is_the_one_that_comes(folder: Path) -> None:
    blocks = examples()
    shown = [(before, block) for before, block in pairwise(blocks) if block.kind == "error"]
    assert shown
    for program, message in shown:
        Path("my.attn").write_text(as_file(program), encoding="utf-8")
        with pytest.raises(AttnError) as caught:
            check("my.attn")
        assert render(caught.value.diagnostics, color=False).strip() == message.text.strip()


def test_the_frame_is_right_by_itself(folder: Path) -> None:
    (frame,) = [e for e in EXAMPLES if e.kind == "frame"]
    Path("my.attn").write_text(frame.text.replace("  …\n", ""), encoding="utf-8")
    check("my.attn")


def test_the_limits_are_those_of_the_code() -> None:
    from attndsl.elaborate import bounds
    from attndsl.values import number

    page = PAGE.read_text(encoding="utf-8")
    for row in (
        f"size of a file | {limits.MAX_BYTES // 1024} KiB",
        f"nested brackets | {limits.MAX_NESTING}",
        f"operators in a row, with no comma or end of statement | {limits.MAX_CHAIN:,}",
        f"nested expressions and statements | {limits.MAX_DEPTH}",
        f"digits of a whole number | {limits.MAX_DIGITS}",
        f"nested blocks, masks and biases | {bounds.MAX_DEPTH}",
        f"operations, with blocks and unrolled bodies expanded | {bounds.MAX_STEPS:,}, "
        f"and {bounds.STEPS_FOR_A_CHARACTER} for each character of the file",
        f"operators on repeat indices, for each layer that they are computed for | {bounds.MAX_OUTCOMES:,}",
        f"terms, symbols and functions in the formula of a size, multiplied out | {number.MAX_SIZE_PARTS}",
        f"operators by which a number follows from repeat indices | {number.MAX_FORMULA}",
    ):
        assert f"| {row} |" in page


def test_the_reserved_words_are_those_of_the_lexer() -> None:
    (line,) = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if "are reserved" in line]
    assert set(line[1 : line.index("`", 1)].split()) == tables().reserved


def test_the_contents_are_the_headings() -> None:
    """Under the names that GitHub gives them."""
    page = re.sub(r"```.*?```", "", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    expected = [(h, re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-")) for h in headings]
    assert re.findall(r"\[([^\]]+)\]\(#([^)]+)\)", page.partition("\n## ")[0]) == expected


def example_of(model: str) -> str:
    (text,) = [e.text for e in RIGHT if f"model {model}(" in e.text]
    return text


def test_each_stack_has_its_own_layers(folder: Path) -> None:
    Path("my.attn").write_text(example_of("TwoStacks"), encoding="utf-8")
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    said = re.findall(r"`([\w.]+)`", text.partition("Each stack has its own `x`")[2].partition("## ")[0])
    assert len(said) == 4
    there = {address for info in check("my.attn").parameters for address in info.addresses()}
    assert set(said) <= there


def test_a_head_that_is_not_asked_for_is_not_run(folder: Path) -> None:
    """Another head, which would fail, does not; one that is not chosen is not there."""
    text = example_of("TwoHeads")
    looked_up = "  param few: [2, width]\n  output seen = take(few, tokens, over=2)\n  if tagged {"
    Path("my.attn").write_text(text.replace("  if tagged {", looked_up), encoding="utf-8")
    graph = check("my.attn")
    program = NumpyProgram(graph)
    tokens = {"tokens": np.array([[7, 8, 9]])}
    assert program.run(tokens, ["hidden"]).keys() == {"hidden"}
    with pytest.raises(AttnError):
        program.run(tokens, ["seen"])
    tagger = check("my.attn:tagger")
    assert {o.name for o in tagger.outputs} - {o.name for o in graph.outputs} == {"tags", "loss"}
    assert not [info.address for info in graph.parameters if info.address.startswith("tagger")]


def test_the_keys_of_a_recipe_are_all_named() -> None:
    from attndsl.recipe.recipe import KEYS

    training = PAGE.read_text(encoding="utf-8").partition("## Training")[2].partition("\n## ")[0]
    missing = [name for name in KEYS if f"`{name}`" not in training and f"\n  {name} " not in training]
    assert not missing


@pytest.mark.parametrize("what", ["objective", "optimizer", "schedule", "ramp"])
def test_the_kinds_of_a_recipe_are_in_tables(what: str) -> None:
    """All of them, with all their options at their defaults, as they can be written."""
    from attndsl.objectives import OBJECTIVES
    from attndsl.recipe.ramps import RAMPS
    from attndsl.recipe.reading import CHOICES

    registry: Any = {"objective": OBJECTIVES, "ramp": RAMPS, **CHOICES}[what]
    table = PAGE.read_text(encoding="utf-8").partition(f"\n| {what} |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]
    assert [row[0].split("`")[1] for row in rows] == list(registry)
    for cells, about in zip(rows, registry.values(), strict=True):
        said = dict(re.findall(r"`(\w+)(?:=([^`]+))?`", cells[-1]))
        assert said.keys() == about.options.keys(), about.name
        for option, value in said.items():
            default = about.options[option].read(option, _read(value), None) if value else None
            assert default == (about.options[option].default if value else None), f"{about.name}: {option}"
        if what == "objective":
            assert cells[1] == {"TEXT": "text", "RECORDS": "rows", "IMAGES": "images"}[about.data.name]
            assert cells[2:4] == [
                ", ".join(f"`{role}`" for role in roles) for roles in (about.required, about.optional)
            ]
        else:
            assert cells[1] == about.doc


def _read(value: str) -> object:
    from attndsl.recipe.reading import typed

    return typed(value.strip('"'))
