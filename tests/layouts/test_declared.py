"""Layouts as they are written: what each line says, and what is wrong with those that say nothing."""

from __future__ import annotations

import pytest

from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_spec, open_text
from attndsl.layouts import Layout, Mesh, choose_layout, default_layout, read_layout
from attndsl.sizes import Size
from attndsl.types import Axis

MODEL = """model M(width=8, heads=2) {
  input x: [B, T, width]
  output y = x + (attention(x, heads) as attn) + (mlp(x, 4 * width) as mlp)
}
"""


def declared(lines: str, mesh: str = "data=2, model=4") -> Layout:
    spec = open_text(f"{MODEL}layout l for M over ({mesh}) {{\n{lines}\n}}\n")
    return read_layout(spec.layouts[0], elaborate(spec, {}))


def given(text: str) -> Layout:
    spec = open_text(MODEL + "layout l for M over (data=2, model=4) {\n  B on data\n  heads on model\n}\n")
    return choose_layout(text, spec, elaborate(spec, {}))


def test_a_rule_means_axes_by_name_and_by_size() -> None:
    (rule,) = declared("heads, 4 * width, T on model").rules
    heads, hidden, time = rule.axes
    assert heads.matches(Axis("attn_heads", Size.symbol("heads")))
    assert hidden.matches(Axis("up", Size.symbol("width") * 4))
    assert time.matches(Axis.of(Size.symbol("T")))
    assert time.matches(Axis("T", Size.of(3)))
    assert not heads.matches(Axis.of(Size.symbol("width")))


@pytest.mark.parametrize(
    ("lines", "over"),
    [
        ("B on data", "data"),
        ("T on model", None),
        ("B on data\n  parameters whole", None),
        ("B on data\n  parameters on model", "model"),
        ("heads on model\n  B on data", "data"),
    ],
)
def test_parameters_lie_on_the_dimension_of_the_batch_unless_the_layout_says_otherwise(
    lines: str, over: str | None
) -> None:
    assert declared(lines).parameters == over


def test_what_is_printed_says_the_same_again() -> None:
    layout = given("l")
    mesh, *rules, _ = str(layout).splitlines()
    again = given("; ".join([mesh.partition("(")[2].partition(")")[0], *rules]))
    assert (again.mesh, [str(it) for it in again.rules], again.parameters) == (
        layout.mesh,
        [str(it) for it in layout.rules],
        layout.parameters,
    )


def test_the_sizes_of_a_mesh_are_given_with_the_name() -> None:
    assert given("l").mesh == Mesh((("data", 2), ("model", 4)))
    assert given("l(data=8)").mesh == Mesh((("data", 8), ("model", 4)))
    assert given(" l ( model = 1, data=3 ) ").mesh == Mesh((("data", 3), ("model", 1)))


def test_without_a_layout_rows_and_parameters_are_divided() -> None:
    layout = default_layout(elaborate(open_spec("gpt_nano"), {}), 4)
    assert str(layout) == "layout data over (data=4) {\n  B on data\n  parameters on data\n}\n"


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("rows", "E1001", "`M` has no layout `rows`"),
        ("l(rows=2)", "E1001", "has no dimension `rows`"),
        ("l(data=0)", "E1001", "`data=0` is not a size of a mesh"),
        (f"l(data={'9' * 5000})", "E1001", "is not a size of a mesh"),
        ("l(data=2, data=4)", "E1003", "the mesh has `data` twice"),
        ("data=2; B on model", "E1001", "the mesh (data=2) has no dimension `model`"),
        ("data=2; batch on data", "E1002", "`M` has no axis `batch`"),
        ("data=2; 3 * width on data", "E1002", "`M` has no axis `3 * width`"),
        ("data=2; B, B on data", "E1003", "`B` is placed twice on `data`"),
        ("data=2; parameters whole; parameters on data", "E1003", "said twice where the parameters lie"),
        ("data=0; B on data", "E0010", "a mesh cannot have 0 devices along `data`"),
        ("data=2.5; B on data", "E0010", "a mesh cannot have 2.5 devices"),
        ("data=2, data=2; B on data", "E1003", "the mesh has `data` twice"),
        ("data; B on data", "E0010", ""),
        ("data=2; B in data", "E0010", ""),
        ("data=2; B on data } model N {", "E0010", ""),
    ],
)
def test_a_layout_that_says_nothing(text: str, code: str, said: str) -> None:
    with pytest.raises(AttnError) as raised:
        given(text)
    assert raised.value.diagnostics[0].code == code
    assert said in raised.value.diagnostics[0].message


@pytest.mark.parametrize(
    ("text", "first"),
    [("data=2; parameters whole; parameters on data", "parameters whole"), ("data=2; B, B on data", "B")],
)
def test_what_is_said_twice_is_shown_twice(text: str, first: str) -> None:
    with pytest.raises(AttnError) as raised:
        given(text)
    (problem,) = raised.value.diagnostics
    assert [label.span.text for label in problem.secondary] == [first]
    assert problem.helps[0].startswith("leave one of them out")


def test_all_that_is_wrong_with_rules_is_told() -> None:
    with pytest.raises(AttnError) as raised:
        given(
            "data=2, model=4; batch on data; B on date; wdith, hieght on model; parameters on modle; "
            "B on data; B on data; parameters whole"
        )
    assert [(d.code, d.primary.span.text) for d in raised.value.diagnostics if d.primary] == [
        ("E1002", "batch"), ("E1001", "date"), ("E1002", "wdith"), ("E1002", "hieght"), ("E1001", "modle"),
        ("E1003", "B"), ("E1003", "parameters whole"),
    ]  # fmt: skip


def test_sizes_that_axes_have_are_suggested() -> None:
    spec = open_spec("gpt2")
    with pytest.raises(AttnError, match=r"(?s)E1002.*did you mean `heads`\?"):
        choose_layout("model=2; head on model", spec, elaborate(spec, {}))


@pytest.mark.parametrize("text", ["decoder.layr", "decoder.layer.mlp"])
def test_an_address_that_is_no_repeats(text: str) -> None:
    model = (
        "model M(width=8) {\n input x: [B, width]\n scope decoder { repeat layer in 4 { x += 1 } }\n output y = x\n}"
    )
    spec = open_text(model)
    with pytest.raises(AttnError) as raised:
        choose_layout(f"stages=2; {text} on stages", spec, elaborate(spec, {}))
    (problem,) = raised.value.diagnostics
    assert (problem.code, *map(str, problem.helps)) == ("E1002", "did you mean `decoder.layer`?")


def test_ranks_count_with_the_last_dimension_fastest() -> None:
    mesh = Mesh((("data", 2), ("model", 3)))
    assert mesh.devices == 6
    assert mesh.coordinates(4) == {"data": 1, "model": 1}
    assert [tuple(mesh.coordinates(rank).values()) for rank in range(6)] == [
        (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)
    ]  # fmt: skip
