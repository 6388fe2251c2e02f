"""Tables (`choose`) and counts of labels in a `config`: both ways, and what is said where they do not fit."""

from __future__ import annotations

from typing import Any

import pytest

from attndsl.diagnostics import AttnError, collected
from attndsl.values import Number, from_python, to_python
from attndsl.weights import config_settings
from attndsl.weights.check import check_config
from attndsl.weights.solving import published_config
from tests.weights.models import graph_of, section_of


def text_of(body: str) -> str:
    return f"weights M from x {{\n  config {{ {body} }}\n}}\n"


def read(config: dict[str, Any], body: str) -> dict[str, Any]:
    return {name: to_python(value) for name, value in config_settings(section_of(text_of(body)), config).items()}


def write(settings: dict[str, Any], body: str) -> dict[str, Any]:
    values = {name: from_python(value) for name, value in settings.items()}
    return published_config(section_of(text_of(body)), values)


ACT = 'act = choose(hidden_act, "gelu" -> gelu, "gelu_new" -> gelu_tanh, "gelu_pytorch_tanh" -> gelu_tanh)'
HEAD = 'head = choose(architectures, "BertModel" -> "none", "BertForPreTraining" -> "pretraining", absent -> "none")'
GATED = (
    'act = choose(ff, "relu" -> relu, "gated-gelu" -> gelu_tanh, "gated-relu" -> relu), '
    'gated = choose(ff, "relu" -> false, "gated-gelu" -> true, "gated-relu" -> true)'
)
LABELS = {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "label2id": {"LABEL_0": 0, "LABEL_1": 1}}


@pytest.mark.parametrize(
    ("body", "settings", "config"),
    [
        (ACT, {"act": "gelu"}, {"hidden_act": "gelu"}),
        (ACT, {"act": "gelu_tanh"}, {"hidden_act": "gelu_new"}),
        (HEAD, {"head": "pretraining"}, {"architectures": ["BertForPreTraining"]}),
        (HEAD, {"head": "none"}, {"architectures": ["BertModel"]}),
        ("tied = choose(tie, true -> true, false -> false)", {"tied": False}, {"tie": False}),
        ("n = choose(size, -1 -> 0, 2.5 -> 1)", {"n": 1}, {"size": 2.5}),
        ("n = choose(size, -1 -> 0, 2.5 -> 1)", {"n": 0}, {"size": -1}),
        ('a = choose(kind or "x", "x" -> 1, "y" -> 2)', {"a": 1}, {"kind": "x"}),
        ('a = choose(kind, "x" -> 1, "y" -> 2) or 3', {"a": 2}, {"kind": "y"}),
        ('a = choose(rope.type, "default" -> rotary, "none" -> none)', {"a": None}, {"rope": {"type": "none"}}),
        ('a = choose(kind, absent -> 1, "y" -> 2), b = x', {"a": 1, "b": 1}, {"x": 1}),
        ('width = 2 * choose(size, "small" -> 4, "large" -> 8)', {"width": 16}, {"size": "large"}),
        (GATED, {"act": "relu", "gated": False}, {"ff": "relu"}),
        (GATED, {"act": "relu", "gated": True}, {"ff": "gated-relu"}),
        (GATED, {"act": "gelu_tanh", "gated": True}, {"ff": "gated-gelu"}),
        ("labels = count(id2label) or 2", {"labels": 2}, LABELS),
        ("labels = count(id2label)", {"labels": 0}, {"id2label": {}, "label2id": {}}),
    ],
)
def test_both_ways(body: str, settings: dict[str, Any], config: dict[str, Any]) -> None:
    assert write(settings, body) == config
    assert read(config, body) == settings


@pytest.mark.parametrize(
    ("body", "config", "settings"),
    [
        (ACT, {"hidden_act": "gelu_pytorch_tanh"}, {"act": "gelu_tanh"}),
        (HEAD, {}, {"head": "none"}),
        (HEAD, {"architectures": None}, {"head": "none"}),
        (HEAD, {"architectures": "BertModel"}, {"head": "none"}),
        ('a = choose(kind or "x", "x" -> 1, "y" -> 2)', {}, {"a": 1}),
        ('a = choose(kind, "x" -> 1, "y" -> 2) or 3', {}, {"a": 3}),
        ("labels = count(id2label) or 2", {}, {"labels": 2}),
        ("labels = count(id2label) or 2", {"id2label": {"0": "a", "1": "b", "2": "c"}}, {"labels": 3}),
        ("labels = count(names) + 1", {"names": ["a", "b"]}, {"labels": 3}),
    ],
)
def test_what_is_read_only(body: str, config: dict[str, Any], settings: dict[str, Any]) -> None:
    assert read(config, body) == settings


@pytest.mark.parametrize(
    ("body", "config", "code", "says"),
    [
        (ACT, {"hidden_act": "swish"}, "E0614", '"gelu", "gelu_new", "gelu_pytorch_tanh"'),
        (ACT, {"hidden_act": ["gelu", "relu"]}, "E0614", "['gelu', 'relu']"),
        (ACT, {"hidden_act": 1}, "E0614", "is 1"),
        (ACT, {}, "E0615", "has no `hidden_act`"),
        (HEAD, {"architectures": ["BertForMaskedLM"]}, "E0614", "architectures is 'BertForMaskedLM'"),
        ("tied = choose(tie, true -> 1, false -> 0)", {"tie": 1}, "E0614", "tie is 1"),
        ("labels = count(id2label)", {}, "E0615", "`id2label`"),
        ("labels = count(id2label)", {"id2label": 3}, "E0616", "no entries to count"),
    ],
)
def test_a_value_that_the_table_does_not_have(body: str, config: dict[str, Any], code: str, says: str) -> None:
    with pytest.raises(AttnError) as raised:
        read(config, body)
    (found,) = raised.value.diagnostics
    assert found.code == code
    assert says in " ".join([found.message, *found.notes])


@pytest.mark.parametrize(
    ("body", "settings", "code", "says"),
    [
        (ACT, {"act": "silu"}, "E0614", '`act` is "silu"'),
        (GATED, {"act": "gelu_tanh", "gated": False}, "E0614", 'act = "gelu_tanh", gated = false'),
        ("n = choose(size, 1 -> 1)", {"n": True}, "E0614", "`n` is true"),
        ("labels = count(id2label)", {"labels": -1}, "E0616", "-1"),
        ("labels = count(id2label)", {"labels": 2.5}, "E0616", "2.5"),
        ("labels = count(id2label)", {"labels": "x"}, "E0616", "not a number"),
        ("labels = count(names)", {"labels": 2}, "E0628", "cannot be solved"),
        (
            'a = choose(kind, "x" -> 1), b = choose(kind, "x" -> 1)',
            {"a": 1, "b": 2},
            "E0614",
            "value of `kind` means a = 1, b = 2",
        ),
    ],
)
def test_a_hyperparameter_that_cannot_be_published(body: str, settings: dict[str, Any], code: str, says: str) -> None:
    with pytest.raises(AttnError) as raised:
        write(settings, body)
    (found,) = raised.value.diagnostics
    assert found.code == code
    assert says in " ".join([found.message, *found.notes])


@pytest.mark.parametrize(
    ("line", "code", "at"),
    [
        ("a = choose(kind)", "E0632", "choose(kind)"),
        ("a = choose()", "E0632", "choose()"),
        ('a = choose("x" -> 1, "y" -> 2)', "E0632", 'choose("x" -> 1, "y" -> 2)'),
        ('a = choose(kind, "x")', "E0632", '"x"'),
        ('a = choose(kind, other="x" -> 1)', "E0632", 'other="x" -> 1'),
        ('a = choose(kind, "x" -> [T])', "E0632", "[T]"),
        ('a = choose(kind, "x" -> 1 + 1)', "E0632", "1 + 1"),
        ("a = choose(kind, x -> 1)", "E0632", "x"),
        ('a = choose(kind, "x" -> 1, "x" -> 2)', "E0632", '"x" -> 2'),
        ('a = choose(2 * kind, "x" -> 1)', "E0632", "2 * kind"),
        ('a = choose(kind or other, "x" -> 1)', "E0632", "kind or other"),
        ("a = count(2)", "E0632", "2"),
        ("a = count(x, y)", "E0632", "count(x, y)"),
        ("a = count(names)", "E0628", "count(names)"),
        (
            'a = choose(kind, "x" -> 1, "y" -> 2), b = choose(kind, "x" -> 1)',
            "E0632",
            'choose(kind, "x" -> 1)',
        ),
    ],
)
def test_a_table_that_is_none_is_said_in_checking(line: str, code: str, at: str) -> None:
    graph = graph_of("M", {"a": 1, "b": 1})
    body = line if "b =" in line else f"{line}, b = plain"
    (found,) = check_config(section_of(text_of(body)), graph)
    assert found.code == code
    assert found.primary is not None
    assert found.primary.span.text == at


def test_names_of_classes_go_along_where_they_are_known() -> None:
    section = section_of(text_of("labels = count(id2label) or 2"))
    found = published_config(section, {"labels": Number.of(2)}, ["cat", "dog"])
    assert found == {"id2label": {"0": "cat", "1": "dog"}, "label2id": {"cat": 0, "dog": 1}}
    assert published_config(section, {"labels": Number.of(2)}, ["cat", "dog", "eel"]) == LABELS


def test_tables_of_labels_are_no_news() -> None:
    section = section_of(text_of("labels = count(id2label) or 2, a = x"))
    with collected() as heard:
        config_settings(section, {**LABELS, "x": 1, "hidden_act": "gelu"})
    assert ["hidden_act" in d.message for d in heard] == [True]
