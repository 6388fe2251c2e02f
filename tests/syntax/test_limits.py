"""What is too large, too deep or too long is refused at once, with one diagnostic; what is just within is not."""

from __future__ import annotations

import pytest

from attndsl.diagnostics import AttnError, Source
from attndsl.diagnostics.report import render
from attndsl.syntax.limits import MAX_BYTES, MAX_CHAIN, MAX_DEPTH, MAX_DIGITS, MAX_NESTING
from attndsl.syntax.parser import parse, parse_file
from attndsl.syntax.printer import to_outline, to_text
from tests.costs import less_than


def model(value: str) -> str:
    return f"model M {{\n  x = {value}\n}}\n"


REFUSED = {
    "parentheses": (model("(" * 10_000 + "1" + ")" * 10_000), "E0004"),
    "unclosed parentheses": (model("(" * 10_000), "E0004"),
    "braces": ("model M {\n" + "scope a {\n" * 1_000 + "}\n" * 1_001, "E0004"),
    "one bracket too many": (model("(" * MAX_NESTING + "1" + ")" * MAX_NESTING), "E0004"),
    "sums": (model("1" + "+1" * 100_000), "E0004"),
    "sums over lines": (model("1" + "\n + 1" * 50_000), "E0004"),
    "one operator too many": (model("1" + " + 1" * (MAX_CHAIN + 1)), "E0004"),
    "pipes": (model("x" + " |> f" * 2_000), "E0004"),
    "attributes": (model("a" + ".b" * (MAX_DEPTH + 1)), "E0004"),
    "calls": (model("a" + "()" * (MAX_DEPTH + 1)), "E0004"),
    "subscripts": (model("a" + "[0]" * (MAX_DEPTH + 1)), "E0004"),
    "powers": (model("a" + " ^ b" * (MAX_DEPTH + 1)), "E0004"),
    "signs": (model("- " * (MAX_DEPTH + 1) + "a"), "E0004"),
    "negations": (model("not " * (MAX_DEPTH + 1) + "a"), "E0004"),
    "conditionals": (model("a if b else " * (MAX_DEPTH + 1) + "c"), "E0004"),
    "else-ifs": ("model M {\n if a { x = 1 }" + "\n else if b { x = 1 }" * (MAX_DEPTH + 1) + "\n}\n", "E0004"),
    "characters": ("model M { }\n" + "#" * MAX_BYTES, "E0003"),
    "digits": (model("1" * (MAX_DIGITS + 1)), "E0014"),
    "a million digits": (model("1" * 200_000), "E0014"),
    "exponent": (model("1e309"), "E0014"),
}

ACCEPTED = {
    "parentheses": model("(" * (MAX_NESTING - 1) + "1" + ")" * (MAX_NESTING - 1)),
    "calls in calls": model("f(" * (MAX_NESTING - 1) + "1" + ")" * (MAX_NESTING - 1)),
    "sums": model("1" + " + 1" * MAX_CHAIN),
    "many sums in one call": model("f(" + ", ".join(["a.b.c + 1"] * 5_000) + ")"),
    "many statements": "model M {\n" + "  x = a + b * c\n" * 10_000 + "}\n",
    "digits": model("9" * MAX_DIGITS),
    "a long comment": "model M { }\n" + "#" * 200_000,
    "brackets in strings and comments": model('"' + "(" * 1_000 + '"') + "#" + "[" * 1_000,
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    text, code = REFUSED[name]
    parse(Source("small.attn", "model M { }\n"))  # what is loaded for it is not part of it
    with less_than(1):
        file, found = parse(Source("large.attn", text))
    assert [d.code for d in found] == [code]
    assert len(render(found, color=False)) < 2_000
    assert to_outline(file)


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name):
    file, found = parse(Source("fine.attn", ACCEPTED[name]))
    assert found == []
    assert to_text(file)


def test_a_large_file_is_not_read(tmp_path):
    path = tmp_path / "weights.attn"
    with open(path, "wb") as file:
        file.truncate(10 << 30)  # a sparse file: reading it would take seconds and memory
    with less_than(0.1), pytest.raises(AttnError) as caught:
        parse_file(str(path))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E0003"
    assert "10,737,418,240 bytes" in diagnostic.message


@pytest.mark.parametrize("text", ["", "\n \n", "# only a comment\n", "/// only a docstring\n", "/// of the file\n\n"])
def test_a_file_declares_something(text):
    _, found = parse(Source("empty.attn", text))
    assert [d.code for d in found] == ["E0005"]
