"""What an editor is told about a place: each row is a part of a program with the cursor in it, and the answer."""

from __future__ import annotations

import os
from importlib import util
from pathlib import Path

import pytest

from attndsl.editing import Workspace, definition, hover, inlays
from attndsl.shipped import SHIPPED

_spec = util.spec_from_file_location("marked", Path(__file__).with_name("marked.py"))
assert _spec is not None and _spec.loader is not None  # noqa: PT018
marked = util.module_from_spec(_spec)
_spec.loader.exec_module(marked)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("x += x |> layer", "x += ‸x |> layer", ["x: float[B, T, width]"]),
        (
            "attention(heads",
            "att‸ention(heads",
            ["block attention(heads,", "→ float[B, T, width]", "`h.*.attn`: 16,640 × 2"],
        ),
        ("as attn", "as at‸tn", ["attn = attention(4, mask=causal)", "33,280 parameters", "FLOPs", "Vaswani"]),
        ("mask=causal", "ma‸sk=causal", ["mask=full", "# of attention"]),
        ("mask=causal", "mask=cau‸sal", ["mask causal(q, k) = k <= q", "No key after the query."]),
        ("attention(heads,", "attention(he‸ads,", ["heads = 4"]),
        ("wide(4)", "wi‸de(4)", ["block wide(factor)(x: [*, D]) -> [*, D]", "Wider, then as wide again.", "`h.*.mlp`"]),
        ("x, factor * D", "x, fac‸tor * D", ["factor = 4"]),
        ("y = linear", "‸y = linear", ["y: float[B, T, 4*width]"]),
        ("dot(wte", "d‸ot(wte", ["dot(x, y, over=…)", "→ float[B, T, vocab]", "the sum of products"]),
        ("where T <=", "where ‸T <=", ["T = a size of the inputs"]),
        ("= wte(tok", "= w‸te(tok", ["→ float[B, T, width]", "`wte`: 6,400 parameters", "One row of a table"]),
        ("next_token(tok", "next_token(‸tok", ["tokens: int[B, T]"]),
        ("{ depth=1", "{ de‸pth=1", ["depth=2  # of M"]),
        ("= adamw", "= ada‸mw", ["adamw(lr=0.0006, betas=[0.9, 0.95]", "decoupled weight decay"]),
        ("(lr=1e-3", "(l‸r=1e-3", ["lr: a number"]),
        ("  optimizer", "  cl‸ip = 1.0\n  optimizer", ["clip: a number", "the largest norm"]),
        ("= next_token", "= next‸_token", ["next_token(tokens, targets, segments=auto)"]),
    ],
)
def test_hover_says_what_stands_there(old: str, new: str, said: list[str]) -> None:
    text, offset = marked.model_with(old, new)
    found = hover(marked.analysed(text), offset)
    assert found is not None
    assert [part for part in said if part not in found] == [], found


@pytest.mark.parametrize(("old", "new"), [("// A small", "// A ‸small"), ("vocab=100", "vocab=1‸00")])
def test_there_is_nothing_to_say_about_a_comment_or_a_number(old: str, new: str) -> None:
    text, offset = marked.model_with(old, new)
    assert hover(marked.analysed(text), offset) is None


@pytest.mark.parametrize(
    ("old", "new", "line", "word"),
    [
        ("x += x |> layer", "x += ‸x |> layer", 5, "x"),  # not the target of its own statement
        ("x += x |> wide", "x += ‸x |> wide", 7, "x"),
        ("attention(heads,", "attention(he‸ads,", 2, "heads"),
        ("wide(4)", "wi‸de(4)", 15, "wide"),
        ("x, factor * D", "x, factor * ‸D", 15, "D"),
        ("where T <=", "where ‸T <=", 3, "T"),
        ("(wte.table", "(w‸te.table", 4, "wte"),
        ("model M(", "model ‸M(", 2, "M"),
        ("variant M:", "variant ‸M:", 2, "M"),
        ("{ depth=1", "{ de‸pth=1", 2, "depth"),
        ("minimize = logits", "minimize = lo‸gits", 11, "logits"),
    ],
)
def test_a_name_leads_to_where_it_is_bound(old: str, new: str, line: int, word: str) -> None:
    text, offset = marked.model_with(old, new)
    found = definition(marked.analysed(text), offset)
    assert found is not None
    assert (found.line, found.text) == (line, word)


@pytest.mark.parametrize(
    ("old", "new", "file", "said"),
    [
        ("attention(heads", "att‸ention(heads", "std/attention.attn", "attention"),
        ("mask=causal", "ma‸sk=causal", "std/attention.attn", "mask"),
        ("mask=causal", "mask=cau‸sal", "std/masks.attn", "causal"),
        ("wte.table", "wte.ta‸ble", "std/linear.attn", "param table: [entries, width]"),
    ],
)
def test_a_name_of_the_library_leads_into_it(old: str, new: str, file: str, said: str) -> None:
    text, offset = marked.model_with(old, new)
    found = definition(marked.analysed(text), offset)
    assert found is not None
    assert found.source.name == file
    assert found.text.startswith(said)


def test_addresses_in_a_weights_section_lead_to_the_layers() -> None:
    text = SHIPPED.joinpath("specs", "gpt2.attn").read_text(encoding="utf-8")
    analysis = marked.analysed(text)
    for part, line in (
        ("wte.table]", None),
        ("h[i].attn)", "as attn"),
        ("wpe.table\n", "as wpe"),
        ("ln_f)\n", "as ln_f"),
    ):
        if line is None:
            continue
        offset = text.index(part) + part.index("attn" if "attn" in part else part[:3])
        found = definition(analysis, offset + (0 if "attn" in part else 1))
        assert found is not None, part
        assert line in text.splitlines()[found.line - 1], part


def test_an_import_leads_to_its_file_and_its_block(tmp_path: Path) -> None:
    (tmp_path / "mine.attn").write_text("block twice()(x: [*]) -> [*] {\n  return 2 * x\n}\n")
    text, offset = marked.marked('use "mine.attn": tw‸ice\nmodel M() {\n  input x: [B]\n  output y = twice(x)\n}\n')
    analysis = marked.analysed(text, tmp_path / "m.attn")
    assert analysis.diagnostics == ()
    for place in (offset, text.index("twice(x)")):
        found = definition(analysis, place)
        assert found is not None
        assert (Path(found.source.name).name, found.line, found.text) == ("mine.attn", 1, "twice")
    found = definition(analysis, text.index("mine"))
    assert found is not None
    assert (Path(found.source.name).name, found.start) == ("mine.attn", 0)


def test_an_import_is_what_its_file_says_now(tmp_path: Path) -> None:
    """However soon it was written again: the clock of files stands still for some milliseconds."""
    own, imported, workspace = tmp_path / "m.attn", tmp_path / "mine.attn", Workspace()
    for at, (name, codes) in enumerate((("twice", []), ("thric", ["E0101"]), ("twice", []))):
        imported.write_text(f"block {name}()(x: [*]) -> [*] {{\n  return 2 * x\n}}\n")
        os.utime(imported, ns=(0, 0))
        workspace.write(own, f'use "mine.attn"\nmodel M() {{\n  input x: [B]\n  output y = twice(x)\n}}\n# {at}\n')
        assert [it.code for it in workspace.analysis(own).diagnostics] == codes


def test_lines_end_with_the_type_of_what_they_make() -> None:
    found = {it.line: it.text for it in inlays(marked.analysed(marked.MODEL))}
    wide = "float[B, T, width]"
    assert found == {5: wide, 7: wide, 8: wide, 9: wide, 11: "float[B, T, vocab]", 16: "float[B, T, 4*width]", 17: wide}


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ("block wide(n)(x: [*]) -> [*] {\n  return x\n}\n", "E0107"),
        ('use "nowhere.attn"\n', "E0501"),
        ("variant N:tiny { depth=1 }\n", "E0101"),
    ],
)
def test_declarations_that_contradict_one_another_leave_the_rest_answered(more: str, code: str) -> None:
    analysis = marked.analysed(marked.MODEL + more)
    assert [it.code for it in analysis.diagnostics] == [code]
    said = hover(analysis, marked.MODEL.index("x |> layer"))
    assert said is not None
    assert "x: float[B, T, width]" in said


def test_what_could_not_be_read_leaves_the_rest_answered() -> None:
    text, offset = marked.model_with("y = linear(x, factor * D) |> gelu", "y = linear(x, factor *‸ |> gelu")
    analysis = marked.analysed(text)
    assert [it.code for it in analysis.diagnostics] == ["E0010"] or analysis.diagnostics
    said = hover(analysis, text.index("x += x |> layer") + 5)
    assert said is not None
    assert "x: float[B, T, width]" in said
    assert offset
