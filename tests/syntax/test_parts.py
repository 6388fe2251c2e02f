"""A text that is parsed by its declarations says what it says as a whole, however it is edited."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from attndsl.diagnostics import Source
from attndsl.shipped import SHIPPED
from attndsl.syntax.parser import parse
from attndsl.syntax.parts import Parts
from attndsl.syntax.tree import walk

SPECS = sorted([*SHIPPED.joinpath("specs").glob("*.attn"), *SHIPPED.joinpath("specs", "std").glob("*.attn")])
PAGES = sorted(SHIPPED.joinpath("diagnostics", "errors").glob("E00*.md"))


def said(file: object) -> list[tuple[str, int, int]]:
    """The nodes of a tree, by kind and place in the file."""
    return [(type(node).__name__, *_place(node)) for part in file.declarations for node in walk(part)]  # type: ignore[attr-defined]


def _place(node: object) -> tuple[int, int]:
    span = node.span.in_file  # type: ignore[attr-defined]
    return span.start, span.end


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_parts_of_a_text_are_its_declarations(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    whole, _ = parse(Source("a.attn", text))
    found, problems = Parts().parse(Source("a.attn", text))
    assert not problems
    assert said(found) == said(whole)
    assert found.doc == whole.doc


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_mistakes_are_those_of_the_whole_text(path: Path) -> None:
    for program in re.findall(r"```attn[^\n]*\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
        source = Source("a.attn", program)
        assert list(map(str, Parts().parse(source)[1])) == list(map(str, parse(source)[1]))


def test_what_did_not_change_is_not_parsed_again_and_moves_with_the_text() -> None:
    text = SHIPPED.joinpath("specs", "gpt2.attn").read_text(encoding="utf-8")
    parts = Parts()
    before, _ = parts.parse(Source("a.attn", text))
    assert parts.parsed == len(before.declarations)
    edited = "# a line\n# another\n" + text.replace("depth=36", "depth=37")
    after, _ = parts.parse(Source("a.attn", edited))
    assert parts.parsed == 2  # the first one, which has the comment now, and the variant
    assert said(after) == said(parse(Source("a.attn", edited))[0])
    same = [node for node in after.declarations if node in before.declarations]
    assert len(same) == len(before.declarations) - 2
    assert same[-1].span.line == edited[: edited.index("train GPT2 {")].count("\n") + 1


def test_edits_at_random_leave_it_what_the_whole_text_is() -> None:
    rng = random.Random(1)
    text = SHIPPED.joinpath("specs", "rnn_lm.attn").read_text(encoding="utf-8")
    parts = Parts()
    for _ in range(60):
        at = rng.randrange(len(text))
        text = (
            text[:at]
            + rng.choice(["", "x", "\n", "{", "}", "(", "\nblock ", " = 1", "/// a\n"])
            + text[at + rng.randrange(4) :]
        )
        source = Source("a.attn", text)
        found, problems = parts.parse(source)
        whole, wrong = parse(source)
        assert list(map(str, problems)) == list(map(str, wrong))
        if not wrong:
            assert said(found) == said(whole)
        if rng.random() < 0.3:
            text = SHIPPED.joinpath("specs", "rnn_lm.attn").read_text(encoding="utf-8")
