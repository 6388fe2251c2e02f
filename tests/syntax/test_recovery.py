"""One mistake gives one error, two give two, and no text whatever breaks the parser."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attndsl.diagnostics import MOST_TOLD, Source
from attndsl.diagnostics.report import render, to_json
from attndsl.syntax.parser import parse
from tests.costs import is_ever_less, seconds, steps
from tests.syntax.examples import EXAMPLES
from tests.syntax.notation import KEYWORDS, mistakes

TOKENS = re.compile(
    r'#[^\n]*|///[^\n]*|"(?:[^"\\\n]|\\.)*"|[A-Za-z_]\w*|[\d.]+\w*|<->|\|>|[-+*/<>=!]=|->|<-|//|[^\w\s]'
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("x = = 1\ny = 2\nz = = 3", [("E0010", 2), ("E0010", 4)], id="two statements"),
        pytest.param("x = f(a b)\ny = (1 + \n", [("E0010", 2), ("E0011", 3)], id="two brackets"),
        pytest.param(
            "repeat h in in depth {\n x = = 1\n}\ny = 3 z",
            [("E0010", 2), ("E0010", 3), ("E0010", 5)],
            id="header and body",
        ),
        pytest.param(
            "if a = b {\n x = = 1\n} else {\n y = = 2\n}", [("E0016", 2), ("E0010", 3), ("E0010", 5)], id="if and else"
        ),
        pytest.param(
            "x = scope a {\n y = = 1\n return = y\n}\nz = = 1", [("E0010", 3), ("E0010", 4), ("E0010", 6)], id="scope"
        ),
        pytest.param("x = f(a,\n  b,\n  c\ny = = 1", [("E0011", 4), ("E0010", 5)], id="unclosed call over lines"),
        pytest.param("x = f(a,\n  b c,\n  d\n)\ny = = 1", [("E0010", 3), ("E0010", 6)], id="inside a call over lines"),
        pytest.param("x = 'a'\ny = \"b\nz = 3 % % 2", [("E0012", 2), ("E0013", 3), ("E0010", 4)], id="strings"),
        pytest.param("x = a +\n  b\ny = 2 2", [("E0010", 2), ("E0010", 4)], id="operator at the end of a line"),
        pytest.param("dropout(x)\nreturn y\ninptu z: [B]", [("E0019", 2), ("E0015", 4)], id="unused and misspelt"),
        pytest.param(
            "x = 99999999999999999999999999999999\ny = = 1", [("E0014", 2), ("E0010", 3)], id="number and syntax"
        ),
    ],
)
def test_each_mistake_gives_one_error(text, expected):
    assert mistakes(f"model M {{\n{text}\n}}\n\nmodel N {{ }}\n") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "modle A {\n x = = 1\n}\nblokc B() {\n y = = 2\n}\n",
            [("E0015", 1), ("E0010", 2), ("E0015", 4), ("E0010", 5)],
        ),
        ("block f(x: [A] {\n  return x\n}\nmodel N {\n y = = 2\n}\n", [("E0011", 1), ("E0010", 5)]),
        ("model A {\n x = 1\n\nmodel B {\n y = = 2\n}\n", [("E0011", 4), ("E0010", 5)]),
        ("model A {\n repeat h in d {\n x = 1\n\nmask f(q, k) = q < < k\n", [("E0011", 5), ("E0010", 5)]),
        ("model A\n  x = 1\n  y = = 2\n}\n", [("E0011", 1), ("E0010", 3)]),
        ("model A {\n  x = 1\n}\n  y = 2\n  z = 3\n}\nmodel B {\n y = = 2\n}\n", [("E0020", 4), ("E0010", 8)]),
        (
            'weights M from h {\n config { a = b c, d = = e }\n "x" <-> y y\n prefx "a"\n}\n',
            [("E0010", 2), ("E0010", 2), ("E0010", 3), ("E0015", 4)],
        ),
        ('weights M from h {\n config { a = b\n prefix "a" {\n "x" <-> y y\n }\n}\n', [("E0011", 2), ("E0010", 4)]),
        (
            'weights M from h {\n if a = b {\n "x" <-> y y\n } else {\n config { a = = b }\n prefx "a"\n }\n'
            ' "z" <-> = z\n}\n',
            [("E0016", 2), ("E0010", 3), ("E0010", 5), ("E0010", 5), ("E0015", 6), ("E0010", 8)],
        ),
        ('weights M from h {\n if a {\n "x" <-> y\n else {\n "x" <-> z\n }\n}\n', [("E0011", 3)]),
        ("train M: {\n a = = 1\n}\n", [("E0010", 1), ("E0010", 2)]),
        ("variant M:a { b=1 c=2 }\nvariant M:b { c== 2 }\n", [("E0010", 1), ("E0016", 2)]),
        ("train M {\n a += 1\n b = = 2\n}\n", [("E0010", 2), ("E0010", 3)]),
        ("/// Of l.\nlayout l for M over (\n  /// no\n  data=2) {\n  B on data\n}\n", [("E0020", 3)]),
        ("use foo\nuse std\nmodel M { }\n", [("E0010", 1), ("E0010", 2)]),
    ],
)
def test_declarations(text, expected):
    assert mistakes(text) == expected


def test_what_is_right_is_in_the_tree():
    file, found = parse(Source("t", "model A {\n x = 1\n y = = 2\n z = 3\n}\nmodle B { }\nmodel C { }\n"))
    assert len(found) == 2
    assert [d.name.text for d in file.declarations] == ["A", "_", "C"]
    assert [s.targets[0].text for s in file.declarations[0].body] == ["x", "z"]


def test_many_mistakes_are_counted():
    _, found = parse(Source("t", "model M {\n" + " x = = 1\n" * 100 + "}\n"))
    assert len(found) == 100
    assert [d.primary.span.line for d in found] == list(range(2, 102))
    assert render(found, color=False).endswith(f"… and {100 - MOST_TOLD} more")


@pytest.mark.parametrize(
    ("text", "count"),
    [(" x = = 1\n", 20_000), ("foo bar\n", 30_000), (")", 200_000), ("model M {\n x = 1\n", 12_000), ('"\n', 100_000)],
)
def test_each_of_many_mistakes_costs_no_more_than_one_of_some(text: str, count: int) -> None:
    def parsed(count: int) -> None:
        assert parse(Source("t", "model M {\n" + text * count))[1]

    taken = steps(lambda: parsed(count // 5))
    assert taken < min(10_000_000, 11 * steps(lambda: parsed(count // 50)))
    # What one step of Python looks through in C is not counted.
    assert is_ever_less(lambda: seconds(lambda: parsed(count)), lambda: 2 * seconds(lambda: parsed(count // 10), 10))


def _mutants(text: str, count: int, seed: int):
    """`text` with one token left out, or one said twice."""
    tokens = [m for m in TOKENS.finditer(text) if not m.group().startswith(("#", "///"))]
    random.Random(seed).shuffle(tokens)
    for index, token in enumerate(tokens[:count]):
        if index % 2:
            yield token, text[: token.start()] + text[token.end() :]
        else:
            yield token, f"{text[: token.end()]} {token.group()} {text[token.end() :]}"


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_token_too_many_or_too_few_gives_one_error(name):
    """Nearly always (some slips make two mistakes, some none), and never on a far line, braces aside."""
    text = EXAMPLES[name]
    total = more = 0
    for token, mutant in _mutants(text, 80, seed=1):
        _, found = parse(Source("t", mutant))
        total += 1
        more += len(found) > 1
        line = text.count("\n", 0, token.start()) + 1
        if found and token.group() not in "{}":
            nearest = min(abs(d.primary.span.line - line) for d in found if d.primary)
            assert nearest <= 4, (token, [d.message for d in found])
    assert more <= total * 0.05


RESERVED = ["if", "else", "and", "or", "not", "as", "return", "emit", "true", "false"]
SIGNS = "( ) [ ] { } = == != < <= > >= + - * / // % ^ & | |> -> <- <-> += , : . ; # /// @ \\ \" ' × é \u200b \0 \ud800"
LINES = ["\n", "\r\n", "\t", "{\n", "}\n", "model M {\n", "x = 1\n", "///doc\n", "x", "y", "1", "2.5", "1e-3", '"s"']
FRAGMENTS = st.sampled_from([*KEYWORDS, *RESERVED, *SIGNS.split(" "), *LINES, *LINES])


@settings(max_examples=300)
@given(st.lists(FRAGMENTS, max_size=60))
def test_any_text_is_parsed_or_refused(fragments):
    source = Source("t", " ".join(fragments))
    _, found = parse(source)
    for diagnostic in found:
        assert diagnostic.message
        for label in (diagnostic.primary, *diagnostic.secondary):
            assert label is None or 0 <= label.span.start <= label.span.end <= len(source.text)
    assert render(found, color=True).isascii() is not None
    assert to_json(found)["schema"] == "attndsl.diagnostics/1"


@settings(max_examples=200)
@given(st.data())
def test_cut_and_shuffled_examples_are_parsed_or_refused(data):
    text = EXAMPLES[data.draw(st.sampled_from(sorted(EXAMPLES)))]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=1, max_size=4)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    order = data.draw(st.permutations(range(len(pieces))))
    source = Source("t", "".join(pieces[i] for i in order[: data.draw(st.integers(1, len(pieces)))]))
    _, found = parse(source)
    render(found, color=False)
