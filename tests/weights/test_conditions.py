"""`if` in a `weights` section: which lines hold for a graph, and what is said of conditions that are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
from attndsl.graph import Graph
from attndsl.weights import check_section, export_huggingface, load_weights
from attndsl.weights.mapping import WeightMap
from tests.weights.models import arrays_for, codes, graph_of, parameter, section_of

SETTINGS = {"width": 4, "depth": 2, "labels": 3, "head": "none", "tied": True, "p": 0.1, "act": "gelu", "gate": "none"}
KINDS = {**dict.fromkeys(("width", "depth", "labels", "tied", "p"), "number"), "head": "string", "act": "rotation"}


def graph(**settings: object) -> Graph:
    values = {**SETTINGS, **settings}
    found = [parameter("body.scale", "width")]
    if values["head"] == "classify":
        found += [parameter("classifier.weight", "in=width", "out=labels"), parameter("classifier.bias", "out=labels")]
    if values["head"] == "lm" and not values["tied"]:
        found.append(parameter("lm.bias", "width"))
    return replace(graph_of("M", values, *found), kinds={**KINDS, "gate": "none"})


def decided(condition: str, **settings: object) -> bool:
    text = f'weights M from x {{\n  if {condition} {{ "yes" <-> body.scale }} else {{ "no" <-> body.scale }}\n}}\n'
    (item,) = WeightMap(section_of(text), graph(**settings)).items()
    return item.name == "yes"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('head == "none"', True),
        ('head != "none"', False),
        ("head == none", False),
        ("tied", True),
        ("not tied", False),
        ("tied == false", False),
        ("depth == 2", True),
        ("depth == 2.0", True),
        ("p < 0.2", True),
        ("width >= 2 * depth + 1", False),
        ("-depth < 0 and width % depth == 0", True),
        ('depth > 5 or head == "lm" or tied', True),
        ('not (tied and labels > 2)', False),
        ('act == "gelu"', True),
        ("gate == none", True),
        ("act != none", True),
        ('kind(gate) == "none"', True),
        ('kind(act) == "rotation"', True),
        ('kind(head) == "string"', True),
        ('kind(depth) == "number"', True),
        ("true", True),
        ("depth == 2 and width == 5", False),
        ("depth > 5 or width == 5", False),
    ],
)  # fmt: skip
def test_a_condition_decides(condition: str, expected: bool) -> None:
    assert decided(condition) is expected


@pytest.mark.parametrize(
    ("condition", "code", "at", "says"),
    [
        ("hed == 2", "E0630", "hed", "did you mean `head`?"),
        ('tied or hed == "x"', "E0630", "hed", "head"),
        ("head == lm", "E0630", "lm", '`"lm"`'),
        ("kind(acts) == 2", "E0630", "acts", "did you mean `act`?"),
        ("depth", "E0404", "depth", "the number `depth = 2`"),
        ("head", "E0404", "head", 'the string "none"'),
        ("depth + 1", "E0404", "depth + 1", "the number `depth+1 = 3`"),
        ("depth == true", "E0104", "depth == true", "the number `depth = 2` with the boolean `true`"),
        ('depth == "2"', "E0104", 'depth == "2"', 'the number `depth = 2` with the string "2"'),
        ('head < "z"', "E0104", "head", "`<` takes numbers, but this is the string"),
        ("tied + 1 == 2", "E0104", "tied", "is the boolean `true`"),
        ("tied and depth", "E0104", "depth", "`and` takes booleans"),
        ("size(depth) == 2", "E0404", "size", "not a function"),
        ("kind(act, gate)", "E0104", "kind(act, gate)", "takes 1 operand"),
        ("depth ^ 2", "E0404", "depth ^ 2", "the number `depth^2 = 4`"),
        ("head[0] == 1", "E0104", "head", "only a list has elements here"),
        ("depth[T=1] == 1", "E0404", "depth[T=1]", "not known at compile time"),
        ("depth / 0 == 1", "E0405", "depth / 0", "division by zero"),
    ],
)
def test_what_is_no_condition_is_said_where_it_stands(condition: str, code: str, at: str, says: str) -> None:
    section = section_of(f'weights M from x {{\n  "a" <-> body.scale\n  if {condition} {{ ignore "b" }}\n}}\n')
    (found,) = check_section(section, graph())
    assert found.code == code
    assert found.primary is not None
    assert found.primary.span.text == at
    assert says in " ".join([found.message, *found.notes, *found.helps])


def test_conditions_of_branches_that_are_not_taken_are_checked() -> None:
    text = 'weights M from x {\n  "a" <-> body.scale\n  if tied { } else if hed == 1 { if dpeth > 1 { } }\n}\n'
    found = check_section(section_of(text), graph())
    assert [d.code for d in found] == ["E0630", "E0630"]


SECTION = """\
weights M from x {
  if head == "classify" {
    "classifier.weight": [out, in] <-> classifier.weight
    "classifier.bias" <-> classifier.bias
    ignore "old.classifier"
  } else if head == "lm" {
    if tied { "zero": [1, labels] <-> 0 } else { "lm.bias" <-> lm.bias }
  }
  if head != "none" {
    prefix "m." optional { "scale" <-> body.scale }
  } else {
    "scale" <-> body.scale
  }
}
"""


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, {"scale"}),
        ({"head": "classify"}, {"classifier.weight", "classifier.bias", "m.scale"}),
        ({"head": "lm"}, {"zero", "m.scale"}),
        ({"head": "lm", "tied": False}, {"lm.bias", "m.scale"}),
    ],
)
def test_only_the_lines_that_hold_are_written_and_read(
    tmp_path: Path, settings: dict[str, object], names: set[str]
) -> None:
    section, model = section_of(SECTION), graph(**settings)
    assert check_section(section, model) == []
    arrays = arrays_for(model)
    export_huggingface(tmp_path / "hf", model, arrays, section)
    items = {item.full_name(True): item.form.shape for item in WeightMap(section, model).items()}
    assert items.keys() == names
    assert items.get("zero", (1, 3)) == (1, 3)
    back = load_weights(tmp_path / "hf", model, [section])
    assert back.keys() == arrays.keys()
    assert all(np.array_equal(back[name], arrays[name]) for name in arrays)


def test_a_line_of_another_branch_does_not_count() -> None:
    """The classifier is mapped under an `if` that does not hold: it is lost, and nothing else is said of its lines."""
    section = section_of(SECTION.replace('head == "classify"', 'head == "lm" and not tied and depth > 9'))
    assert [d.code for d in check_section(section, graph(head="classify"))] == ["E0622", "E0622"]
    with pytest.raises(AttnError) as raised:
        WeightMap(section, graph(head="classify"))
    assert codes(raised.value) == ["E0622", "E0622"]


def test_one_parameter_may_be_mapped_in_both_branches() -> None:
    text = 'weights M from x {\n  if tied { "a" <-> body.scale } else { "b" <-> body.scale }\n}\n'
    assert check_section(section_of(text), graph()) == []
    text = 'weights M from x {\n  if tied { "a" <-> body.scale }\n  if depth == 2 { "b" <-> body.scale }\n}\n'
    assert [d.code for d in check_section(section_of(text), graph())] == ["E0621"]
