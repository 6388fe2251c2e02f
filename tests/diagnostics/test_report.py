"""How diagnostics look: golden texts, widths of characters, long lines, several files, colours, JSON."""

from __future__ import annotations

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attndsl.diagnostics import MOST_TOLD, AttnError, Diagnostic, Label, Source, Span, error
from attndsl.diagnostics.report import MAX_WIDTH, render, to_json, wants_color


def span(source: Source, text: str, nth: int = 0) -> Span:
    """The span of the `nth` occurrence of `text`."""
    start = -1
    for _ in range(nth + 1):
        start = source.text.index(text, start + 1)
    return Span(source, start, start + len(text))


def shown(primary: Label | None, *secondary: Label, notes: tuple[str, ...] = (), helps: tuple[str, ...] = ()) -> str:
    return render([Diagnostic("E0203", "it is wrong", primary, secondary, notes, helps)], color=False)


MODEL = Source(
    "my.attn",
    """\
/// A model.

model M(width=768, heads=12, hidden=770) {
  input tokens: int[B, T]
  layer wte = embedding(100, width)
  x = wte(tokens)

  repeat h in 12 {
    x += linear(layer_norm(x), hidden)
  }
}
""",
)


def test_two_places_a_note_and_a_help():
    text = shown(
        Label(span(MODEL, "linear(layer_norm(x), hidden)"), "[B, T, hidden]"),
        Label(span(MODEL, "width=768"), "x: [B, T, width] since line 6"),
        notes=("width = 768 and hidden = 770 now,\nbut the axes differ whatever their values",),
        helps=("project back with `linear(…, width)`",),
    )
    assert (
        text
        == """\
error[E0203]: it is wrong
  --> my.attn:9:10
   |
 3 | model M(width=768, heads=12, hidden=770) {
   |         --------- x: [B, T, width] since line 6
   …
 9 |     x += linear(layer_norm(x), hidden)
   |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ [B, T, hidden]
   |
   = note: width = 768 and hidden = 770 now,
           but the axes differ whatever their values
   = help: project back with `linear(…, width)`"""
    )


def test_several_labels_on_a_line():
    text = shown(
        Label(span(MODEL, "heads=12"), "this one"),
        Label(span(MODEL, "width=768"), "that one"),
        Label(span(MODEL, "hidden=770"), ""),
        Label(span(MODEL, "M"), "of this"),
    )
    assert (
        text
        == """\
error[E0203]: it is wrong
  --> my.attn:3:20
   |
 3 | model M(width=768, heads=12, hidden=770) {
   |       - ---------  ^^^^^^^^  ----------
   |       | |          this one
   |       | that one
   |       of this"""
    )


def test_a_label_inside_another():
    text = shown(
        Label(span(MODEL, "layer_norm(x)"), "inner"), Label(span(MODEL, "linear(layer_norm(x), hidden)"), "outer")
    )
    assert (
        text
        == """\
error[E0203]: it is wrong
  --> my.attn:9:17
   |
 9 |     x += linear(layer_norm(x), hidden)
   |          -------^^^^^^^^^^^^^---------
   |          |      inner
   |          outer"""
    )


def test_neighbouring_lines_are_not_elided():
    text = shown(
        Label(span(MODEL, "x ="), ""), Label(span(MODEL, "layer"), "made here"), Label(span(MODEL, "tokens"), "")
    )
    assert (
        text
        == """\
error[E0203]: it is wrong
  --> my.attn:6:3
   |
 4 |   input tokens: int[B, T]
   |         ------
 5 |   layer wte = embedding(100, width)
   |   ----- made here
 6 |   x = wte(tokens)
   |   ^^^"""
    )


def test_one_line_between_is_shown():
    text = shown(Label(span(MODEL, "wte", 1), "used"), Label(span(MODEL, "input"), "first"))
    assert text.split("\n")[3:] == [
        " 4 |   input tokens: int[B, T]",
        "   |   ----- first",
        " 5 |   layer wte = embedding(100, width)",
        " 6 |   x = wte(tokens)",
        "   |       ^^^ used",
    ]


def test_a_span_over_several_lines():
    start = MODEL.text.index("repeat")
    text = shown(Label(Span(MODEL, start, MODEL.text.index("}") + 1), "this body"))
    assert (
        text
        == """\
error[E0203]: it is wrong
  --> my.attn:8:3
   |
 8 |   repeat h in 12 {
   |   ^^^^^^^^^^^^^^^^
 9 |     x += linear(layer_norm(x), hidden)
10 |   }
   |   ^ this body""".replace("\n  ", "\n   ")
        .replace("\n 8", "\n  8")
        .replace("\n 9", "\n  9")
        .replace("\n10", "\n 10")
    )


def test_several_files():
    other = Source("std/norms.attn", "block layer_norm(eps=1e-5)(x: [*, D]) -> [*, D] {\n}\n")
    text = shown(
        Label(span(MODEL, "layer_norm(x)"), "called with [B, T]"),
        Label(span(other, "x: [*, D]"), "this tensor"),
        Label(span(MODEL, "x ="), "x"),
    )
    assert (
        text
        == """\
error[E0203]: it is wrong
  --> my.attn:9:17
   |
 6 |   x = wte(tokens)
   |   --- x
   …
 9 |     x += linear(layer_norm(x), hidden)
   |                 ^^^^^^^^^^^^^ called with [B, T]
  ::: std/norms.attn:1:28
   |
 1 | block layer_norm(eps=1e-5)(x: [*, D]) -> [*, D] {
   |                            --------- this tensor"""
    )


def test_no_place_at_all():
    text = render([Diagnostic("E0001", "there is no file `a`", helps=("did you mean `b`?",))], color=False)
    assert text == "error[E0001]: there is no file `a`\n  = help: did you mean `b`?"


def test_several_diagnostics_are_set_apart():
    one = Diagnostic("E0001", "one")
    assert render([one, one], color=False) == "error[E0001]: one\n\nerror[E0001]: one"
    assert render([], color=False) == ""


@pytest.mark.parametrize(
    ("line", "marked", "expected"),
    [
        ("\tx = y", "y", "    x = y|        ^"),
        (" \tx\t= y", "=", "    x   = y|        ^"),
        ("名 = 前 + y", "y", "名 = 前 + y|          ^"),
        ("x = 前 + y", "前", "x = 前 + y|    ^^"),
        ("e\u0301 = y", "y", "e\u0301 = y|    ^"),
        ("x\u200b = y", "y", "x� = y|     ^"),
        ("x\x1b[31m = y", "y", "x�[31m = y|         ^"),
        ("x\u202e = y", "y", "x� = y|     ^"),
        ("x = y\r", "y", "x = y|    ^"),
        ("x =", "", "x =|^"),
    ],
)
def test_underlines_stand_below(line, marked, expected):
    source = Source("t", line + "\n")
    _, _, _, shown_line, under = shown(Label(span(source, marked))).split("\n")
    assert f"{shown_line.removeprefix(' 1 | ')}|{under.removeprefix('   | ')}" == expected


@pytest.mark.parametrize("at", [0, 1, 50, 100, 109, 110, 111, 500, 4_990, 4_998])
def test_long_lines_are_cut_around_the_place(at):
    words = "".join(f"{i:04d} " for i in range(1_000))
    source = Source("t", words)
    _, place, _, line, under = shown(Label(Span(source, at, at + 2), "here")).split("\n")
    line, under = line.removeprefix(" 1 | "), under.removeprefix("   | ")
    assert len(line) <= MAX_WIDTH
    start = under.index("^")
    assert under == " " * start + "^^ here"
    assert line[start : start + 2].ljust(2) == words[at : at + 2]
    assert line.endswith("…") == (at < 4_900)
    assert line.startswith("…") == (at > 106)
    assert place.endswith(f":1:{at + 1}")


def test_two_places_far_apart_on_a_long_line():
    source = Source("t", "a" + " " * 300 + "b" + " " * 300 + "c")
    text = shown(
        Label(span(source, "b"), "middle"), Label(span(source, "a"), "left"), Label(span(source, "c"), "right")
    )
    assert text.count(" 1 |") == 3
    assert re.findall(r"[-^] (\w+)", text) == ["left", "middle", "right"]


def test_a_span_longer_than_the_screen():
    source = Source("t", "f(" + "x" * 1_000 + ")")
    _, _, _, line, under = shown(Label(Span(source, 0, 1_003), "all of it")).split("\n")
    assert len(line) <= MAX_WIDTH + 5
    assert under.removeprefix("   | ") == "^" * MAX_WIDTH + " all of it"


def test_messages_cannot_write_control_sequences():
    text = render([Diagnostic("E0001", "no \x1b[2J file", notes=("\u202eback",), helps=("a\tb",))], color=False)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "no \\x1b[2J file" in text


def test_color_changes_nothing_else():
    diagnostics = [
        Diagnostic(
            "E0203",
            "it is wrong",
            Label(span(MODEL, "heads=12"), "this one"),
            (Label(span(MODEL, "width=768"), "that one"), Label(span(MODEL, "x ="))),
            ("a note\nof two lines",),
            ("a help",),
        )
    ]
    plain, colored = render(diagnostics, color=False), render(diagnostics, color=True)
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[\d;]*m", "", colored) == plain
    assert colored.count("\x1b[0m") * 2 == colored.count("\x1b[")
    assert "\x1b[1;31m^^^^^^^^\x1b[0m" in colored
    assert "\x1b[1;34m---------\x1b[0m" in colored


LINES = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=30)


@given(st.lists(LINES, min_size=1, max_size=4), st.data())
def test_any_span_of_any_text_is_rendered(lines, data):
    source = Source("t", "\n".join(lines))
    size = len(source.text)
    places = data.draw(st.lists(st.tuples(st.integers(0, size), st.integers(0, size)), min_size=1, max_size=4))
    first, *others = [Label(Span(source, min(p), max(p)), "text") for p in places]
    text = shown(first, *others)
    assert text.count("\n") < 40
    assert all(c.isprintable() or c in "\n�" for c in text)


def test_twenty_are_told_and_the_others_counted():
    found = [Diagnostic("E0101", f"mistake {number}") for number in range(4_000)]
    shown = render(found, color=False)
    assert shown.count("error[") == MOST_TOLD == 20
    assert shown.endswith("mistake 19\n\n… and 3,980 more")
    said = to_json(found)
    assert (len(said["diagnostics"]), said["more"]) == (20, 3_980)
    assert "more" not in render(found[:20], color=False)
    assert to_json(found[:20])["more"] == 0
    assert str(AttnError(*found)) == shown


def test_json():
    diagnostic = Diagnostic(
        "E0203",
        "it is wrong",
        Label(span(MODEL, "heads=12"), "this one"),
        (Label(span(MODEL, "width=768"), ""),),
        ("a note",),
        ("a help",),
    )
    data = json.loads(json.dumps(to_json([diagnostic, Diagnostic("E0001", "no file")])))
    assert data == {
        "schema": "attndsl.diagnostics/1",
        "diagnostics": [
            {
                "severity": "error",
                "code": "E0203",
                "message": "it is wrong",
                "primary": {
                    "file": "my.attn",
                    "start": {"line": 3, "column": 20, "offset": 33},
                    "end": {"line": 3, "column": 28, "offset": 41},
                    "text": "this one",
                },
                "secondary": [
                    {
                        "file": "my.attn",
                        "start": {"line": 3, "column": 9, "offset": 22},
                        "end": {"line": 3, "column": 18, "offset": 31},
                        "text": "",
                    }
                ],
                "notes": ["a note"],
                "helps": ["a help"],
                "fixes": [],
            },
            {
                "severity": "error",
                "code": "E0001",
                "message": "no file",
                "primary": None,
                "secondary": [],
                "notes": [],
                "helps": [],
                "fixes": [],
            },
        ],
        "more": 0,
    }


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "terminal", "expected"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": ""}, False, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True, True),
        ({"TERM": "xterm"}, True, True),
    ],
)
def test_wants_color(monkeypatch, environment, terminal, expected):
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wants_color(Terminal() if terminal else io.StringIO()) is expected


def test_a_closed_stream_wants_no_color(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    stream = io.StringIO()
    stream.close()
    assert wants_color(stream) is False


@pytest.mark.parametrize("length", [100, 1_000, 100_000])
def test_what_a_message_quotes_is_cut_where_it_is_long(length: int) -> None:
    name = "x" * length
    source = Source("a.attn", f"{name} = 1\n")
    span = Span(source, 0, length)
    found = error(
        "E0101", f"there is nothing called `{name}` here", span, f"`{name}`", help=f"write `{name}`, or {name}"
    )
    text = found.diagnostics[0]
    report = render([text], color=False)
    assert len(report) < 4_000
    assert ("…" in report) == (length > 100)
    assert report.startswith("error[E0101]: there is nothing called `xxx")
    assert report.splitlines()[0].endswith("x` here")
