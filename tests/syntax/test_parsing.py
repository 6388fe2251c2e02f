"""What texts parse to: precedence, newlines, words that are keywords only in places, and every construct once."""

from __future__ import annotations

import pytest

from attndsl.diagnostics import Source
from attndsl.syntax import tree
from attndsl.syntax.parser import parse
from attndsl.syntax.printer import to_text
from tests.syntax.examples import EXAMPLES
from tests.syntax.notation import KEYWORDS, body, grouped, mistakes, parsed, shape


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_parse(name):
    assert parsed(EXAMPLES[name]).declarations


def test_examples_show_every_node():
    shown = "\n".join(shape(parsed(text)) for text in EXAMPLES.values())
    kinds = {cls.__name__ for cls in tree.Tree.__subclasses__()}
    inline = {"Identifier", "File"}  # identifiers are written beside the node that they name
    assert {kind for kind in kinds - inline if f"{kind}" not in shown.replace(":", " ").split()} == set()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b * c", "(a + (b * c))"),
        ("a - b - c + d", "(a - b - c + d)"),
        ("a * b / c // d % e", "(a * b / c // d % e)"),
        ("(a + b) + c", "((a + b) + c)"),
        ("-a ^ 2", "(- (a ^ 2))"),
        ("a ^ b ^ c", "(a ^ (b ^ c))"),
        ("2 ^ -x ^ 2", "(2 ^ (- (x ^ 2)))"),
        ("-2 ^ -8 * h", "((- (2 ^ (- 8))) * h)"),
        ("a * -b", "(a * (- b))"),
        ("a - -b", "(a - (- b))"),
        ("a<-b", "(a < (- b))"),
        ("a & b | c & d", "((a & b) | (c & d))"),
        ("a | b == c | d", "((a | b) == (c | d))"),
        ("a + b & c", "((a + b) & c)"),
        ("not a == b", "(not (a == b))"),
        ("not not a and b", "((not (not a)) and b)"),
        ("a or b and not c or d", "(a or (b and (not c)) or d)"),
        ("q >= k and (q - k) % n == 0", "((q >= k) and (((q - k) % n) == 0))"),
        ("a if b else c if d else e", "(a if b else (c if d else e))"),
        ("(a if b else c) if d else e", "((a if b else c) if d else e)"),
        ("a or b if c and d else e", "((a or b) if (c and d) else e)"),
        ("x |> f |> g(1)", "(x |> f |> g(1))"),
        ("x + y |> f", "((x + y) |> f)"),
        ("a if b else c |> f", "((a if b else c) |> f)"),
        ("x |> f as a |> g(1) as b", "(x |> (f as a) |> (g(1) as b))"),
        ("f(x) as a + g(y) as b", "((f(x) as a) + (g(y) as b))"),
        ("f(x) as a |> g", "((f(x) as a) |> g)"),
        ("f(x) as a ^ 2", "((f(x) as a) ^ 2)"),
        ("-f(x) as a", "(- (f(x) as a))"),
        ("f(1)(x).a.b(y)", "f(1)(x).a.b(y)"),
        ("dot(q, k, over=head) / sqrt(head)", "(dot(q, k, over=head) / sqrt(head))"),
    ],
)
def test_precedence(text, expected):
    assert grouped(text) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [("12", 12), ("50_257", 50257), ("0.1", 0.1), ("1e-5", 1e-5), ("6E+4", 6e4), ("1_0.2_5", 10.25), ("007", 7)],
)
def test_numbers(text, value):
    (statement,) = body(f"x = {text}")
    assert statement.value.value == value
    assert type(statement.value.value) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"a"', "a"),
        ('""', ""),
        (r'"a\"b\\c\n\t"', 'a"b\\c\n\t'),
        (r'"\\\\"', "\\\\"),
        ('"# no comment"', "# no comment"),
    ],
)
def test_strings(text, value):
    (statement,) = body(f"x = {text}")
    assert statement.value.value == value


@pytest.mark.parametrize(
    "operator", ["|>", "|", "&", "+", "*", "/", "%", "^", "==", "!=", "<", ">", "<=", ">=", "and", "or"]
)
def test_a_line_that_starts_with_an_operator_goes_on(operator):
    (statement,) = body(f"x = a\n\n  # a comment\n  {operator} b\n")
    assert shape(statement) == shape(body(f"x = a {operator} b")[0])


@pytest.mark.parametrize(
    "text",
    [
        "x = f(\n  a,\n\n  b # a comment\n  ,\n)",
        "x = f(a, b\n)",
        "x = (a\n -b)",
        "x = y[T=0\n]",
        "x = f(a)\n  as name",
        "x = a if c\n  else b",
        "input x: [B]\n  where B < 3,\n  B > 1",
        "states = scan t in T\n  with s = 0 { emit s }",
        "if a { x = 1 }\n\n# a comment\nelse { x = 2 }",
        "if a\n{\n x = 1\n}",
    ],
)
def test_one_statement_over_several_lines(text):
    assert len(body(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "x = a\ny = -b",
        "x = 1\nif a { y = 2 }",
        "x = 1 # a comment\n\n\ny = 2",
        "x = 1\r\ny = 2\r\n",
        "x = f(\n1)\n\ty = 2",
    ],
)
def test_a_newline_ends_a_statement(text):
    assert len(body(text)) == 2


def test_a_minus_at_the_start_of_a_line_does_not_go_on():
    assert mistakes("model M {\n  x = y\n  -z\n}\n") == [("E0019", 3)]


def test_a_parenthesis_at_the_start_of_a_line_does_not_go_on():
    assert mistakes("model M {\n  x = y\n  (z)\n}\n") == [("E0019", 3)]


def test_a_brace_ends_a_statement():
    (model,) = parsed("model M { x = 1 }").declarations
    assert len(model.body) == 1


@pytest.mark.parametrize("word", KEYWORDS)
@pytest.mark.parametrize(
    "text",
    [
        "{0} = 1",
        "{0}: [B] = 1",
        "{0}, y = f({0}={0})",
        "{0} += {0}",
        "{0} <- {0}",
        "x = {0} + 1",
        "x = {0} |> {0} as {0}",
        "x = {0}({0}=1, over=[{0}=width, {0}])[{0}=0].{0}",
        "x = {0} if {0} else {0}",
        "repeat {0} in {0} {{ {0} = {0} }}",
        "param {0}: [{0}={0}] = {0}",
        "require {0} < 3",
        "return {0}",
        "layer {0} = {0}",
    ],
)
def test_keywords_are_names_where_they_start_nothing(word, text):
    assert len(body(text.format(word))) == 1


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("layer x = f", tree.LayerDecl),
        ("layer = f", tree.Assign),
        ("state x: [B] = zeros", tree.StateDecl),
        ("state: [B] = zeros", tree.Assign),
        ("state <- x", tree.StateWrite),
        ("require x == 3", tree.RequireDecl),
        ("require (x) == 3", tree.RequireDecl),
        ("require not x", tree.RequireDecl),
        ("require = 3", tree.Assign),
        ("scope a { }", tree.Scope),
        ("x = scope a { }", tree.Assign),
        ("x = scope", tree.Assign),
        ("repeat h in 3 { }", tree.Repeat),
        ("scan t in T { emit x }", tree.Scan),
        ("input x: [B]", tree.InputDecl),
        ("output x = y", tree.OutputDecl),
        ("output x: [B, T] = y", tree.OutputDecl),
        ("output: [B] = y", tree.Assign),
        ("output = y", tree.Assign),
    ],
)
def test_statement_kinds(text, kind):
    (statement,) = body(text)
    assert type(statement) is kind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x[T=0]", {"axis": "T", "index": "0"}),
        ("x[b]", {"index": "b"}),
        ("x[T < n]", {"axis": "T", "below": "n"}),
        ("x[T=a:b -> U]", {"axis": "T", "start": "a", "stop": "b", "target": "U"}),
        ("x[T=:b]", {"axis": "T", "stop": "b"}),
        ("x[T=a:]", {"axis": "T", "start": "a"}),
        ("x[4 * width=T:T+M -> in=M]", {"axis": "4 * width", "start": "T", "stop": "T + M", "target": "in=M"}),
    ],
)
def test_subscripts(text, expected):
    (statement,) = body(f"y = {text}")
    (entry,) = statement.value.entries
    assert entry.is_slice == (":" in text)
    for field in ("index", "start", "stop", "below"):
        value = getattr(entry, field)
        assert (value and to_text(value)) == expected.get(field), field
    for field in ("axis", "target"):
        term = getattr(entry, field)
        written = term and (f"{term.name.text}=" if term.name else "") + to_text(term.size)
        assert written == expected.get(field), field


def test_signatures():
    one, two, typed, model, index = parsed("""
block one(eps=1e-6, x: [*, D], y: int[B] = x) { return x }
block two(a, b=2)(x: [*]) -> [*], bool { return x }
block typed(x: [*]) { return x }
model M(a=3, mask=causal & window(4)) { }
mask f(n, doc: int[B, T])(b in B, q, k) = q < k
""").declarations
    assert [p.name.text for p in one.hyperparameters] == ["eps"]
    assert [p.name.text for p in one.tensors] == ["x", "y"]
    assert [p.name.text for p in two.hyperparameters] == ["a", "b"]
    assert [r.dtype and r.dtype.text for r in two.results] == [None, "bool"]
    assert typed.hyperparameters == ()
    assert [p.default.span.text for p in model.hyperparameters] == ["3", "causal & window(4)"]
    assert [v.name.text for v in index.variables] == ["b", "q", "k"]
    assert [p.name.text for p in index.captures] == ["n", "doc"]


def test_docstrings():
    file = parsed(
        "# a comment\n///  Of the file,\n/// two lines.\n\n///Of M.\n///\n/// More.\n\n"
        + "model M {\n/// in\ninput x: [B]\n}"
    )
    (model,) = file.declarations
    assert file.doc == " Of the file,\ntwo lines."
    assert model.doc == "Of M.\n\nMore."
    assert model.body[0].doc == "in"
    assert parsed("/// Of M.\nmodel M { }").doc is None


def test_spans_underline_what_was_written():
    text = "model M(width=8) {\n  x, y = f(a, over=[M, T] -> S)(z).b as l |> (g + h)  # c\n}\n"
    (model,) = parsed(text).declarations
    (statement,) = model.body
    pipe = statement.value
    assert model.span.text == text[:-1]
    assert statement.span.text == "x, y = f(a, over=[M, T] -> S)(z).b as l |> (g + h)"
    assert pipe.value.span.text == "f(a, over=[M, T] -> S)(z).b as l"
    assert pipe.value.value.base.callee.arguments[1].value.source.span.text == "[M, T]"
    assert pipe.value.label.span.text == "l"
    assert pipe.stages[0].span.text == "g + h"
    assert model.hyperparameters[0].default.span.text == "8"
    assert [t.span.text for t in statement.targets] == ["x", "y"]


def test_a_chain_is_flat():
    _, found = parse(Source("long", "model M {\n x = a" + " + a" * 999 + "\n}\n"))
    assert not found
    (statement,) = body("x = a" + " + a" * 999)
    assert len(statement.value.operands) == 1000
