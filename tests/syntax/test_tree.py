"""Walks over a tree reach every node once, whatever kind it is and however many there are."""

from __future__ import annotations

import pytest

from attndsl.syntax import tree
from attndsl.syntax.printer import to_outline
from tests.syntax.examples import EXAMPLES
from tests.syntax.notation import parsed


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_walk_reaches_every_node_once(name: str) -> None:
    found = list(tree.walk(parsed(EXAMPLES[name])))
    assert len(set(found)) == len(found)
    lines = [line.split() for line in to_outline(parsed(EXAMPLES[name])).splitlines()]
    outline = [line[0] if line[0][0].isupper() else line[1] for line in lines]
    shown = [type(node).__name__ for node in found if not isinstance(node, tree.Identifier)]
    assert sorted(shown) == sorted(kind for kind in outline if hasattr(tree, kind))


def expression(text: str) -> tree.Expr:
    (section,) = parsed(f"train M {{ a = {text} }}\n").declarations
    assert isinstance(section, tree.Train)
    return section.settings[0].value


def test_names_are_those_of_values() -> None:
    node = expression("a + f(b, c=d) * (e if not g else -h) |> k(m[i])")
    assert [name.text for name in tree.names(node)] == ["a", "b", "d", "e", "g", "h", "m", "i"]


def test_a_walk_stops_where_it_is_told() -> None:
    node = expression("a + f(b) * c")
    inside = tree.walk(node, into=lambda at: not isinstance(at, tree.Call))
    assert [at.text for at in inside if isinstance(at, tree.Name)] == ["a", "c"]


def test_a_chain_of_a_thousand_is_walked() -> None:
    assert sum(isinstance(at, tree.Number) for at in tree.walk(expression(" + ".join(["1"] * 1000)))) == 1000
