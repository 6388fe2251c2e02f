"""Published configurations and hyperparameters, each from the other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attndsl.diagnostics import AttnError, Diagnostic
from attndsl.values import from_python, to_python
from attndsl.weights import config_settings
from attndsl.weights.solving import published_config
from tests.weights.models import GPT2, SMALL, codes, section_of

PUBLISHED: dict[str, Any] = {
    "model_type": "gpt2", "vocab_size": 11, "n_positions": 6, "n_layer": 2, "n_embd": 8, "n_head": 2,
    "resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1, "layer_norm_epsilon": 1e-5,
    "activation_function": "gelu_new", "n_inner": None, "scale_attn_by_inverse_layer_idx": False,
    "summary_type": "cls_index", "use_cache": True,
}  # fmt: skip


def read(config: dict[str, Any], body: str | None = None) -> dict[str, Any]:
    text = GPT2 if body is None else f"weights M from x {{\n  config {{ {body} }}\n}}\n"
    return {name: to_python(value) for name, value in config_settings(section_of(text), config).items()}


def write(settings: dict[str, Any], body: str) -> dict[str, Any]:
    values = {name: from_python(value) for name, value in settings.items()}
    return published_config(section_of(f"weights M from x {{\n  config {{ {body} }}\n}}\n"), values)


def test_gpt2() -> None:
    assert read(PUBLISHED) == SMALL


def test_older_files_lack_keys_that_then_have_their_published_defaults() -> None:
    old = {k: PUBLISHED[k] for k in ("model_type", "vocab_size", "n_positions", "n_layer", "n_embd", "n_head")}
    assert read(old) == SMALL


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"model_type": "gptj"}, "E0614", "another kind of model: model_type is 'gptj'"),
        ({"activation_function": "relu"}, "E0614", "activation_function = 'relu'"),
        ({"scale_attn_by_inverse_layer_idx": True}, "E0614", "scale_attn_by_inverse_layer_idx = true"),
        ({"scale_attn_by_inverse_layer_idx": 0}, "E0614", "scale_attn_by_inverse_layer_idx = 0"),
        ({"n_inner": 31}, "E0614", "n_inner = 31, n_embd = 8"),
        ({"n_inner": 32}, None, ""),
        ({"n_ctx": 7}, "E0614", "n_ctx = 7, n_positions = 6"),
        ({"attn_pdrop": 0.0}, "E0614", "attn_pdrop = 0.0"),
        ({"n_embd": None}, "E0615", "has no value for `n_embd`: it is null"),
        ({"n_embd": [8]}, "E0616", "n_embd` is [8]"),
        ({"n_embd": "eight", "n_inner": 32}, "E0104", "config.json says n_inner = 32, n_embd = 'eight'"),
        ({"architectures": ["Anything"]}, None, ""),
    ],
)
def test_requirements(change: dict[str, Any], code: str | None, says: str) -> None:
    config = {**PUBLISHED, **change}
    if code is None:
        assert read(config) == SMALL
        return
    with pytest.raises(AttnError) as raised:
        read(config)
    assert code in codes(raised.value)
    assert says in str(raised.value)


def test_keys_of_which_the_spec_does_not_speak_are_named() -> None:
    heard: list[Diagnostic] = []
    config = {**PUBLISHED, "attention_sinks": 4, "_name_or_path": "x", "summary_type": "first", "unused": None}
    config_settings(section_of(GPT2), config, warn=heard.append)
    assert [d.code for d in heard] == ["W0601"]
    assert "attention_sinks = 4" in heard[0].message


@pytest.mark.parametrize(
    ("body", "settings", "config"),
    [
        ("a = x", {"a": 3}, {"x": 3}),
        ('a = x, require kind == "k"', {"a": "text"}, {"x": "text", "kind": "k"}),
        ("a = x or 7", {"a": 3}, {"x": 3}),
        ("a = x * 2 + 1", {"a": 7}, {"x": 3}),
        ("a = 10 - x", {"a": 7}, {"x": 3}),
        ("a = 12 / x", {"a": 4}, {"x": 3}),
        ("a = -x", {"a": -3}, {"x": 3}),
        ("width = heads * head, n = heads", {"width": 12, "n": 3}, {"heads": 3, "head": 4}),
        ("a = rope.theta, b = rope.kind", {"a": 1e4, "b": "yarn"}, {"rope": {"theta": 1e4, "kind": "yarn"}}),
        ("a = x, require y == 4 * x", {"a": 2}, {"x": 2, "y": 8}),
        ("a = x, require absent or y == 4 * x", {"a": 2}, {"x": 2}),
        ("a = x, require y == 1 or y == 2 or absent", {"a": 2}, {"x": 2, "y": 1}),
        ("a = x, require x > 1 and x % 2 == 0", {"a": 2}, {"x": 2}),
        ("a = x, require not (x == 3)", {"a": 2}, {"x": 2}),
        ('a = x, require architectures == "M" or true', {"a": 2}, {"x": 2, "architectures": ["M"]}),
        ('a = "layer_norm", b = x', {"a": "layer_norm", "b": 1}, {"x": 1}),
    ],
)
def test_both_ways(body: str, settings: dict[str, Any], config: dict[str, Any]) -> None:
    assert write(settings, body) == config
    assert read(config, body) == settings


@pytest.mark.parametrize(
    ("body", "settings", "code"),
    [
        ("width = heads * head, n = heads", {"width": 13, "n": 3}, "E0616"),
        ("a = x, b = x", {"a": 1, "b": 2}, "E0614"),
        ('a = "layer_norm", b = x', {"a": "rms_norm", "b": 1}, "E0614"),
        ("a = x, require x > 1", {"a": 1}, "E0614"),
        ("a = x * y", {"a": 1}, "E0628"),
        ("a = x, require y > 1", {"a": 1}, "E0628"),
        ("a = 1 if x > 2 else 0", {"a": 1}, "E0628"),
        ("a = absent", {"a": 1}, "E0628"),
        ("a = x or absent", {"a": 1}, "E0628"),
    ],
)
def test_what_cannot_be_exported_is_said(body: str, settings: dict[str, Any], code: str) -> None:
    with pytest.raises(AttnError) as raised:
        write(settings, body)
    assert codes(raised.value) == [code]


def test_a_choice_is_read() -> None:
    body = 'act = "gelu" if activation == "gelu_new" else "relu"'
    assert read({"activation": "gelu_new"}, body) == {"act": "gelu"}
    assert read({"activation": "x"}, body) == {"act": "relu"}


JSON = st.sampled_from(
    [None, True, False, 0, 1, -1, 10**30, 0.0, 1.5, float("nan"), float("inf"), "", "gpt2", [], [1], {}, {"a": [1]}]
)


@given(st.dictionaries(st.sampled_from(sorted(PUBLISHED)), JSON, max_size=4))
def test_no_configuration_gives_a_traceback(change: dict[str, Any]) -> None:
    raised: AttnError | None = None
    settings = dict(SMALL)
    try:
        settings = read({**PUBLISHED, **change})
    except AttnError as problem:
        raised = problem
    assert settings.keys() == SMALL.keys()
    assert raised is None or set(codes(raised)) <= {"E0104", "E0405", "E0614", "E0615", "E0616"}
