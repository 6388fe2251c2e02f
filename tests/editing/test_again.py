"""What is not done again is as if it were: after any edits the answers are those for a text never seen before."""

from __future__ import annotations

import random
import re
from importlib import util
from pathlib import Path

import pytest

from attndsl.api.checking import examine
from attndsl.diagnostics import Diagnostic
from attndsl.editing import Workspace, completions, definition, hover, inlays
from attndsl.elaborate import open_spec
from attndsl.shipped import SHIPPED

_spec = util.spec_from_file_location("marked", Path(__file__).with_name("marked.py"))
assert _spec is not None and _spec.loader is not None  # noqa: PT018
marked = util.module_from_spec(_spec)
_spec.loader.exec_module(marked)

EDITS = (
    *(("width=64", "width=60"), ("wide(4)", "wide(3)"), ("wide(4)", "wild(4)"), ("factor * D", "factor")),
    *(("mask=causal", "mask=cause"), ("depth=1", "deep=1"), ("vocab=100", "vocab=0"), ("return linear", "linear")),
    *(("variant M", "# variant M"), ("lr=1e-3", "rl=1"), ("{\n", "\n"), ("block wide", "\n\nblock wide")),
    *(("over=width", "over=heads"), ("as mlp", "as attn"), ("|> gelu", "")),
    ("block wide", "block gelu()(x: [*]) -> [*] {\n  return x\n}\nblock wide"),
)


def told(found: tuple[Diagnostic, ...]) -> list[str]:
    return sorted(map(str, found))


def test_edits_and_undoing_them_say_what_the_whole_text_says(tmp_path: Path) -> None:
    rng, path = random.Random(3), tmp_path / "m.attn"
    text, workspace = marked.MODEL, Workspace()
    for _ in range(40):
        old, new = rng.choice(EDITS)
        text = text.replace(old, new, 1) if old in text else marked.MODEL
        workspace.write(path, text)
        path.write_text(text, encoding="utf-8")
        analysis = workspace.analysis(path)
        assert told(analysis.diagnostics) == told(examine(lambda: open_spec(str(path)), {})[1]), text
        fresh = marked.analysed(text, path)
        assert inlays(analysis) == inlays(fresh)
        for at in rng.sample([found.start() for found in re.finditer(r"\w+", text)], 5):
            assert hover(analysis, at) == hover(fresh, at)
            assert str(definition(analysis, at)) == str(definition(fresh, at))


def test_only_what_an_edit_touches_is_done_again() -> None:
    workspace = Workspace()
    workspace.write(marked.PATH, marked.MODEL)
    workspace.analysis(marked.PATH)
    unused = "\nblock other()(x: [*]) -> [*] {\n  return x\n}\n"
    for old, new, again in (
        ("lr=1e-3", "lr=2e-3", 0),
        ("\nvariant", f"{unused}\nvariant", 0),
        ("return x\n", "return 2 * x\n", 0),  # of the block that no model names
        ("factor * D", "2 * factor * D", 1),
        ("depth=2", "depth=3", 1),
    ):
        before, text = workspace.elaborated, workspace.text(marked.PATH)
        assert old in text
        workspace.write(marked.PATH, text.replace(old, new, 1))
        workspace.analysis(marked.PATH)
        assert workspace.elaborated - before == again, old


@pytest.mark.parametrize("name", ["gpt2", "rnn_lm", "vit"])
def test_no_text_is_too_broken_to_be_asked_about(name: str) -> None:
    rng, path = random.Random(name), marked.PATH
    whole = SHIPPED.joinpath("specs", f"{name}.attn").read_text(encoding="utf-8")
    workspace = Workspace()
    for _ in range(8):
        cut = rng.randrange(len(whole))
        text = whole[:cut] + whole[cut + rng.randrange(1, 12) :]
        workspace.write(path, text)
        analysis = workspace.analysis(path)
        for found in rng.sample(list(re.finditer(r"\w+", text)), 8):
            hover(analysis, found.start())
            definition(analysis, found.start())
            completions(analysis, text, found.end())
        inlays(analysis)


def test_a_text_that_is_only_tried_leaves_everything_as_it_is() -> None:
    workspace = Workspace()
    workspace.write(marked.PATH, marked.MODEL)
    before = workspace.analysis(marked.PATH)
    shown = inlays(before), told(before.diagnostics), workspace.elaborated
    wrong = "\n\n" + marked.MODEL.replace("width=64", "width=63").replace("block wide", "# one\nblock wide")
    tried = workspace.tried(marked.PATH, wrong)
    assert told(tried.diagnostics) != shown[1]
    assert [d.code for d in tried.diagnostics] == [d.code for d in marked.analysed(wrong).diagnostics]
    assert workspace.analysis(marked.PATH) is before
    assert (inlays(before), told(before.diagnostics)) == shown[:2]
    workspace.write(marked.PATH, marked.MODEL + "# two\n")
    after = workspace.analysis(marked.PATH)
    assert workspace.elaborated == shown[2], "what was known is known again"
    fresh = marked.analysed(marked.MODEL + "# two\n")
    for at in (found.start() for found in re.finditer(r"\w+", marked.MODEL)):
        assert hover(after, at) == hover(fresh, at)
        assert str(definition(after, at)) == str(definition(fresh, at))
