"""Printing a tree and parsing it again gives the same tree."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attndsl.diagnostics import Source, Span
from attndsl.syntax import tree
from attndsl.syntax.parser import parse_file
from attndsl.syntax.printer import to_outline, to_text
from tests.syntax.examples import EXAMPLES
from tests.syntax.notation import KEYWORDS, body, parsed, shape

AT = Span(Source("made", ""), 0, 0)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_come_back(name):
    file = parsed(EXAMPLES[name])
    text = to_text(file)
    again = parsed(text)
    assert shape(again) == shape(file)
    assert to_text(again) == text
    assert max(map(len, text.split("\n"))) < 140


SHIPPED = Path(str(resources.files("attndsl").joinpath("specs")))


@pytest.mark.parametrize("path", sorted(SHIPPED.rglob("*.attn")), ids=lambda path: path.stem)
def test_shipped_files_come_back(path):
    file = parse_file(str(path))
    assert shape(parsed(to_text(file))) == shape(file)


def test_canonical_text():
    text = """\
/// Of the file.

use std.norms: rms_norm as norm, gelu

/// Of the model.
model M(width=768, act=f(eps=1e-6)) {
  /// A doc.
  input x: int[B, in=T] optional = 0 where T <= width, x < 3
  y = (a + b) * -c ^ (d * 2) |> f(x, over=[M, T] -> S) |> h(over=K -> part=2) as g
  if width == 3 {
    y += 1
  } else if not (a and b) {
    y = 2
  } else {
    z = x[T=0, S=1:2 -> U, b]
  }
  state s: [B] = zeros
  s <- y
  output out = scope last {
    return (a if b else c) if d else e
  }
}

mask causal(q, k) = k <= q
mask near(n)(b in B, q, k) = q - k < n

variant M:6.7b { width=2, act=gelu }
"""
    assert to_text(parsed(text)) == text


def test_a_long_pipeline_is_printed_over_several_lines():
    text = "x = start |> " + " |> ".join(f"stage_{i}(width) as label_{i}" for i in range(8))
    (statement,) = body(text)
    printed = to_text(statement)
    assert printed.count("\n  |> ") == 8
    assert shape(body(printed)[0]) == shape(statement)


def test_outline():
    outline = to_outline(parsed("model M {\n  x, y = f(1, a=b)\n}\n"))
    assert (
        outline
        == """\
File @1:1
  declarations: Model name=M @1:1
    body: Assign targets=x,y @2:3
      value: Call @2:10
        callee: Name text='f' @2:10
        arguments: Argument @2:12
          value: Number value=1 @2:12
        arguments: Argument name=a @2:15
          value: Name text='b' @2:17"""
    )


def test_a_tree_as_deep_as_allowed_is_printed():
    (statement,) = body("x = " + "f(" * 190 + "1" + ")" * 190)
    assert to_text(statement).count("f(") == 190


# ---------------------------------------------------------------- any tree that the parser can build

_NAMES = (*KEYWORDS, "x", "y", "over", "T", "B", "width", "h2", "_a")


def _name(number: int) -> str:
    return _NAMES[number]


_names = st.integers(0, len(_NAMES) - 1).map(_name)  # `sampled_from` would write all of them out wherever it is printed
identifiers = _names.map(lambda name: tree.Identifier(AT, name))
leaves = st.one_of(
    _names.map(lambda name: tree.Name(AT, name)),
    st.integers(0, 10**20).map(lambda value: tree.Number(AT, value)),
    st.floats(0, 1e300, allow_nan=False).map(lambda value: tree.Number(AT, value)),
    st.booleans().map(lambda value: tree.Boolean(AT, value)),
    st.text(st.characters(codec="utf-8", exclude_characters="\0\r", exclude_categories=("Cs",)), max_size=5)
    .filter(lambda text: all(c in "\n\t" or c.isprintable() for c in text))
    .map(lambda value: tree.String(AT, value)),
)


def _chains(inside):
    def chain(operators, most):
        return st.lists(inside, min_size=2, max_size=most).flatmap(
            lambda operands: st.tuples(*[st.sampled_from(operators)] * (len(operands) - 1)).map(
                lambda signs: tree.Chain(AT, tuple(operands), tuple(tree.Identifier(AT, sign) for sign in signs))
            )
        )

    comparisons = ["==", "!=", "<", "<=", ">", ">="]
    groups = [
        (["or"], 4),
        (["and"], 4),
        (comparisons, 2),
        (["|"], 4),
        (["&"], 4),
        (["+", "-"], 4),
        (["*", "/", "//", "%"], 4),
        (["^"], 2),
    ]
    return st.one_of(*(chain(*group) for group in groups))


def _compound(inside):
    term = st.builds(tree.AxisTerm, st.just(AT), st.none() | identifiers, inside)
    axes = st.lists(term | st.just(tree.AxisTerm(AT, None, None)), max_size=3).map(
        lambda it: tree.AxisList(AT, tuple(it))
    )
    side = st.lists(term, min_size=1, max_size=3).map(lambda it: tree.AxisList(AT, tuple(it)))
    value = st.one_of(
        inside,
        axes.map(lambda it: tree.List(AT, it)),
        st.builds(tree.Arrow, st.just(AT), side, side),
    )
    argument = st.builds(tree.Argument, st.just(AT), st.none() | identifiers, value)
    bare = st.builds(tree.AxisTerm, st.just(AT), st.none(), inside)
    is_below = lambda it: isinstance(it, tree.Chain) and it.operators[0].text == "<"  # noqa: E731
    entry = st.one_of(
        inside.filter(lambda it: not is_below(it)).map(lambda it: tree.SubscriptEntry(AT, index=it)),
        st.builds(lambda a, i: tree.SubscriptEntry(AT, axis=a, index=i), bare, inside),
        st.builds(lambda a, i: tree.SubscriptEntry(AT, axis=a, below=i), bare, inside),
        st.builds(
            lambda a, i, j, t: tree.SubscriptEntry(AT, axis=a, is_slice=True, start=i, stop=j, target=t),
            bare,
            st.none() | inside,
            st.none() | inside,
            st.none() | term,
        ),
    )
    statement = st.builds(lambda n, v: tree.Assign(AT, (n,), None, None, v), identifiers, inside)
    statements = st.lists(statement, max_size=2).map(tuple)
    return st.one_of(
        _chains(inside),
        st.builds(tree.Unary, st.just(AT), st.sampled_from(["-", "not"]), inside),
        st.builds(tree.Conditional, st.just(AT), inside, inside, inside),
        st.builds(lambda f, a: tree.Call(AT, f, tuple(a)), inside, st.lists(argument, max_size=3)),
        st.builds(tree.Attribute, st.just(AT), inside, identifiers),
        st.builds(tree.Labelled, st.just(AT), inside, identifiers),
        st.builds(lambda v, s: tree.Pipe(AT, v, tuple(s)), inside, st.lists(inside, min_size=1, max_size=3)),
        st.builds(lambda b, e: tree.Subscript(AT, b, tuple(e)), inside, st.lists(entry, min_size=1, max_size=2)),
        st.builds(tree.Scope, st.just(AT), identifiers, statements),
    )


expressions = st.recursive(leaves, _compound, max_leaves=12)


@settings(max_examples=300)
@given(expressions)
def test_any_expression_comes_back(expression):
    text = to_text(expression)
    (statement,) = body(f"it = {text}")
    assert isinstance(statement, tree.Assign)
    assert shape(statement.value) == shape(expression), text
