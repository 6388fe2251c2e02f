"""Names with indices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attndsl.diagnostics import AttnError
from attndsl.syntax import tree
from attndsl.weights.patterns import AddressPattern, parse_address, parse_name
from tests.weights.models import codes, section_of


def line(text: str) -> tree.MapEntry:
    (entry,) = section_of(f"weights M from x {{\n  {text}\n}}\n").entries
    assert isinstance(entry, tree.MapEntry)
    return entry


def name(text: str) -> tree.String:
    return line(f'"{text}" <-> a').name


def value(text: str) -> tree.Expr:
    return line(f'"a" <-> {text}').value


@pytest.mark.parametrize(
    ("text", "values", "rendered"),
    [
        ("wte.weight", {}, "wte.weight"),
        ("h.{i}.x", {"i": 3}, "h.3.x"),
        ("h.{2*i+1}.x", {"i": 3}, "h.7.x"),
        ("h.{ 2 * (i + 1) }.x", {"i": 3}, "h.8.x"),
        ("g.{i//4}.{i%4}", {"i": 11}, "g.2.3"),
        ("g.{i}.{j}", {"i": 1, "j": 2}, "g.1.2"),
        ("{10-i-1}", {"i": 3}, "6"),
    ],
)
def test_a_name_is_rendered_and_recognised(text: str, values: dict[str, int], rendered: str) -> None:
    pattern = parse_name(name(text))
    assert pattern.variables == values.keys()
    assert pattern.render(values) == rendered
    assert pattern.expression().fullmatch(rendered)
    assert not pattern.expression().fullmatch(rendered + "x")


@pytest.mark.parametrize(
    "text",
    [
        "", "h.{i", "h.i}", "h.{}.x", "h.{i+}", "h.{*}", "h.{i j}", "h.{i/2}", "h.{i//0}", "h.{4%i}", "h.{99999999999}",
        "h.{i # }", "h.{i, j=2}", "h.{h[i]}", "h.{1.5}",
    ],
)  # fmt: skip
def test_a_malformed_name_is_refused(text: str) -> None:
    with pytest.raises(AttnError) as raised:
        parse_name(name(text))
    assert codes(raised.value) == ["E0626"]


@pytest.mark.parametrize(
    ("text", "pattern", "indices"),
    [
        ("wte.table", "wte.table", ()),
        ("h[i].ln_1.scale", "h.*.ln_1.scale", ((1, "i", 0),)),
        ("h[2*i+1].x", "h.*.x", ((2, "i", 1),)),
        ("h[1 + i * 2 - i].x", "h.*.x", ((1, "i", 1),)),
        ("h[0].x", "h.*.x", ((0, None, 0),)),
        ("h[i].e[j].x", "h.*.e.*.x", ((1, "i", 0), (1, "j", 0))),
    ],
)
def test_an_address_is_read(text: str, pattern: str, indices: object) -> None:
    address = parse_address(value(text))
    assert address is not None
    assert (address.pattern, address.indices) == (pattern, indices)


@pytest.mark.parametrize("text", ["h[i*i].x", "h[i*j].x", "h[i+j].x", "h[1.5].x"])
def test_an_index_that_cannot_be_solved_is_refused(text: str) -> None:
    with pytest.raises(AttnError) as raised:
        parse_address(value(text))
    assert codes(raised.value) == ["E0625"]


@given(a=st.integers(-3, 5), b=st.integers(-4, 6), i=st.integers(0, 50))
def test_solving_undoes_rendering(a: int, b: int, i: int) -> None:
    span = value("x").span
    address = AddressPattern("h.*.x", ((a, "i", b),), span)
    (layer,) = address.layers({"i": i})
    solved = address.solve((layer,))
    assert solved is not None
    assert address.layers({"i": solved.get("i", i)}) == (layer,)
    if a:
        assert solved == {"i": i}
