"""Published configurations and hyperparameters, each from the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attndsl.diagnostics import AttnError, collected
from attndsl.elaborate import elaborate, open_text
from attndsl.storage.safetensors import write_tensors
from attndsl.values import from_python, to_python
from attndsl.weights import check_section, config_settings, save_weights, settings_for
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
        ({"n_embd": {"a": 8}}, "E0616", "n_embd` is {'a': 8}"),
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
    config = {**PUBLISHED, "attention_sinks": 4, "_name_or_path": "x", "summary_type": "first", "unused": None}
    with collected() as heard:
        config_settings(section_of(GPT2), config)
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
        ("a = x ^ 1", {"a": 3}, {"x": 3}),
        ("a = x ^ 3", {"a": 27}, {"x": 3}),
        ("a = 2 * sqrt(x) + 1", {"a": 7.0}, {"x": 9.0}),
        ("a = 24 / x / 2 - 1", {"a": 3}, {"x": 3}),
        ("a = 20 - 4 - x", {"a": 13}, {"x": 3}),
        ("a = 2 - (x or 3)", {"a": -5}, {"x": 7}),
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


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("a = rope.theta, b = plain", ["rope.kind = 'yarn'", "rope.limits = {'low': 1, 'high': 4}"]),
        ("a = rope.theta, b = plain, require rope.limits.low == 1", ["rope.kind = 'yarn'", "rope.limits.high = 4"]),
        ("a = rope.theta, b = plain, ignore rope", []),
        ("a = rope.theta, b = plain, ignore rope.kind, ignore rope.limits", []),
        ("a = plain", ["rope = {"]),
    ],
)
def test_each_key_is_spoken_for_at_every_depth(body: str, told: list[str]) -> None:
    rope = {"theta": 1e4, "kind": "yarn", "limits": {"low": 1, "high": 4}, "unused": None}
    section = section_of(f"weights M from x {{\n  config {{ {body} }}\n}}\n")
    with collected() as heard:
        config_settings(section, {"plain": 1, "rope": rope})
    assert len(heard) == len(told)
    assert all(text in d.message for d, text in zip(heard, told, strict=True))


MODEL = """\
block act_by(n)(x: [*]) -> [*] { return n * x }
model M(width=4, cap=none, act=relu, mode="sum", size=2) {
  input x: [B, width]
  output y = layer_norm(x) as norm
}
weights M from huggingface {
  config { width = hidden_size, %s }
  "norm.weight" <-> norm.scale
  "norm.bias" <-> norm.shift
}
"""
PLAIN = {
    "cap": "softcap or none",
    "act": 'choose(hidden_act, absent -> relu, "gelu" -> gelu)',
    "mode": '"sum"',
    "size": "size_ or 2",
}


def checked(**entries: str) -> list[tuple[str, str]]:
    """The codes and places of what is wrong with these entries of `config`."""
    spec = open_text(MODEL % ", ".join(f"{name} = {value}" for name, value in {**PLAIN, **entries}.items()))
    found = check_section(spec.weights[0], elaborate(spec, {}), spec)
    return [(d.code, d.primary.span.text if d.primary else "") for d in found]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ({}, []),
        ({"act": 'choose(hidden_act, "a" -> gelu, "b" -> act_by(2))'}, [("E0632", "act_by(2)")]),
        ({"act": 'choose(hidden_act, "a" -> gelu, "b" -> act_by)'}, []),
        ({"act": 'choose(hidden_act, "a" -> gelu, "b" -> no_such_thing)'}, [("E0101", "no_such_thing")]),
        ({"size": 'choose(key, "a" -> 1, "b" -> gelu)'}, [("E0401", "gelu")]),
        ({"size": 'choose(key, "a" -> 1, "b" -> 2.5)'}, [("E0401", "2.5")]),
        ({"size": 'size_ or "two"'}, [("E0401", '"two"')]),
        ({"mode": 'kind_ or "mean"'}, []),
        ({"cap": "softcap or 3"}, []),
    ],
)
def test_what_a_configuration_may_give_is_checked(entries: dict[str, str], expected: list[tuple[str, str]]) -> None:
    assert checked(**entries) == expected


def test_none_is_a_default_both_ways() -> None:
    body = "cap = softcap or none, width = hidden_size"
    for settings, config in (
        ({"cap": None, "width": 4}, {"hidden_size": 4}),
        ({"cap": 3.0, "width": 4}, {"hidden_size": 4, "softcap": 3.0}),
    ):
        assert write(settings, body) == config
        assert read(config, body) == settings


def test_a_published_text_is_a_text_and_no_expression(tmp_path: Path) -> None:
    spec = open_text(MODEL % ", ".join(f"{name} = {value}" for name, value in PLAIN.items()))
    (tmp_path / "config.json").write_text('{"hidden_size": "4+4"}')
    write_tensors(tmp_path / "model.safetensors", {"norm.weight": np.ones(8), "norm.bias": np.ones(8)})
    with pytest.raises(AttnError, match="`width` is a whole number") as raised:
        settings_for(tmp_path, spec.weights, spec=spec)
    (found,) = raised.value.diagnostics
    assert found.code == "E0616"
    assert str(tmp_path) in found.notes[0]
    settings = settings_for(tmp_path, spec.weights)
    assert settings["width"] == '"4+4"'
    with pytest.raises(AttnError, match="`width` is a whole number"):
        elaborate(spec, settings)


def test_a_setting_agrees_with_weights_by_what_it_means(tmp_path: Path) -> None:
    spec = open_text(MODEL % ", ".join(f"{name} = {value}" for name, value in PLAIN.items()))
    graph = elaborate(spec, {"act": "act_by(3)"})
    save_weights(tmp_path / "w", {"norm.scale": np.ones(4), "norm.shift": np.ones(4)}, graph)
    assert settings_for(tmp_path / "w", spec.weights, {"act": "act_by(n=1 + 2)"}, spec=spec)["act"] == "act_by(n=1 + 2)"
    with pytest.raises(AttnError) as raised:
        settings_for(tmp_path / "w", spec.weights, {"act": "act_by(4)"}, spec=spec)
    assert codes(raised.value) == ["E0617"]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("a = x * y", "several keys that are not known: `x`, `y`"),
        ("a = x % 2", "`%` cannot be inverted: different numbers have the same result"),
        ("a = 2 ^ x", "`^` cannot be inverted: an exponent has no inverse here"),
        ("a = x * x", "`x` occurs in it more than once"),
        ("a = 1 if x > 2 else 0", "`1 if x > 2 else 0` only tells on which side of a condition it is"),
        ("a = floor(x)", "`floor` cannot be inverted"),
        ("a = x > 3", "`>` cannot be inverted"),
        ("a = count(names)", "only the labels, `count(id2label)`, can be written"),
    ],
)
def test_what_cannot_be_undone_says_why(body: str, why: str) -> None:
    with pytest.raises(AttnError) as raised:
        write({"a": 1}, body)
    (found,) = raised.value.diagnostics
    assert found.code == "E0628"
    assert why in " ".join(found.notes)


def test_a_list_of_a_configuration_is_a_list() -> None:
    body = """
    depths = depths
    kinds = layer_types or ["full"]
    first = depths[0] * 2
    several = len(depths)
    """
    found = read({"depths": [2, 2, 6]}, body)
    assert found == {"depths": [2, 2, 6], "kinds": ["full"], "first": 4, "several": 3}
    assert read({"depths": [1], "layer_types": ["band"]}, body)["kinds"] == ["band"]


def test_a_list_goes_back_into_a_configuration() -> None:
    body = 'depths = depths, kinds = layer_types, require "p2c" in types, require "c2p" in types, size = sum(depths)'
    settings = {"depths": [2, 2], "kinds": ["full", "band"], "size": 4}
    written = write(settings, body)
    assert written == {"depths": [2, 2], "layer_types": ["full", "band"], "types": ["p2c", "c2p"]}
    assert read(written, body) == settings
    with pytest.raises(AttnError) as raised:
        write({**settings, "size": 5}, body)
    assert codes(raised.value) == ["E0614"]


def test_an_element_alone_does_not_give_a_list() -> None:
    with pytest.raises(AttnError) as raised:
        write({"first": 2}, "first = depths[0]")
    assert codes(raised.value) == ["E0628"]
    with pytest.raises(AttnError) as raised:
        read({"types": ["c2p"]}, 'require "p2c" in types')
    assert codes(raised.value) == ["E0614"]


# ---------------------------------------------------------------- several keys, one way, lists


def test_keys_that_must_agree_are_read_and_written() -> None:
    body = "heads = n_head = n_key_head = (n_value_head or 4)"
    assert read({"n_head": 4, "n_key_head": 4}, body) == {"heads": 4}
    assert write({"heads": 3}, body) == {"n_head": 3, "n_key_head": 3, "n_value_head": 3}
    with pytest.raises(AttnError) as raised:
        read({"n_head": 4, "n_key_head": 2}, body)
    (found,) = raised.value.diagnostics
    assert (found.code, found.primary and found.primary.span.text) == ("E0614", "n_key_head")
    assert "`heads` would be 4 and 2" in found.message
    with pytest.raises(AttnError) as raised:
        read({"n_head": 4}, body)
    assert codes(raised.value) == ["E0615"]


@pytest.mark.parametrize(
    ("body", "config", "settings"),
    [
        ("hidden = n_inner or 4 * n_embd, width = n_embd", {"n_embd": 2}, {"hidden": 8, "width": 2}),
        ("head = head_dim or n_embd / n_head, width = n_embd, heads = n_head", {"n_embd": 6, "n_head": 2},
         {"head": 3, "width": 6, "heads": 2}),
    ],
)  # fmt: skip
def test_a_default_may_be_made_of_other_keys(body: str, config: dict[str, Any], settings: dict[str, Any]) -> None:
    assert read(config, body) == settings
    assert read(write(settings, body), body) == settings


def test_what_is_only_read_is_not_written() -> None:
    body = "width = n_embd, heads = n_head, head <- n_embd // n_head, experts <- n_routed + n_shared"
    assert read({"n_embd": 9, "n_head": 2, "n_routed": 3, "n_shared": 2}, body)["experts"] == 5
    assert read({"n_embd": 9, "n_head": 2, "n_routed": 3, "n_shared": 2}, body)["head"] == 4
    body = "width = n_embd, heads = n_head, head <- n_embd // n_head"
    assert write({"width": 9, "heads": 2, "head": 4}, body) == {"n_embd": 9, "n_head": 2}
    with pytest.raises(AttnError) as raised:
        write({"width": 9, "heads": 2, "head": 3}, body)
    (found,) = raised.value.diagnostics
    assert (found.code, found.primary and found.primary.span.text) == ("E0614", "head <- n_embd // n_head")
    assert "cannot say `head = 3`: it would be read as 4" in found.message
    with pytest.raises(AttnError) as raised:
        write({"experts": 5}, "experts <- n_routed + n_shared")
    assert "it has no `n_routed`" in raised.value.diagnostics[0].message


def test_lists_of_requirements_and_of_keys_to_ignore() -> None:
    body = "require a == 1 or absent, b == 2 or absent, width = n, ignore c, d.e,\n f\n require g == 3 or absent"
    with collected() as warnings:
        assert read({"n": 3, "c": 1, "d": {"e": 2}, "f": 3}, body) == {"width": 3}
    assert warnings == []
    for wrong in ({"a": 2}, {"b": 1}, {"g": 1}):
        with pytest.raises(AttnError):
            read({"n": 3, **wrong}, body)


@pytest.mark.parametrize(
    ("entries", "at", "says"),
    [
        ("width = n, c", "c", "not an entry of a `config`"),
        ("c", "c", "not an entry of a `config`"),
        ("ignore c, width = n, d", "d", "`NAME = d`"),
        ("ignore c\n d", "d", "not an entry of a `config`"),
    ],
)
def test_a_key_alone_goes_behind_ignore(entries: str, at: str, says: str) -> None:
    with pytest.raises(AttnError) as raised:
        read({}, entries)
    (found,) = raised.value.diagnostics
    assert (found.code, found.primary and found.primary.span.text) == ("E0010", at)
    assert says in " ".join([found.message, *found.helps])


def test_the_tensors_say_what_the_configuration_does_not() -> None:
    """Tied or not, a configuration may be the same; read with the names of the tensors, and checked on export."""
    section = section_of('weights M from x {\n  config { a = x, tied <- a_key == 1 or not has("head.weight") }\n}\n')
    config = {"x": 3, "a_key": 2}
    for tensors, tied in ((["wte.weight"], True), (["wte.weight", "head.weight"], False)):
        found = config_settings(section, config, tensors=tensors)
        assert to_python(found["tied"]) is tied
    assert "tied" not in config_settings(section, config)
    settings = {"a": from_python(3), "tied": from_python(False)}
    plain = section_of('weights M from x {\n  config { a = x, tied <- not has("head.weight") }\n}\n')
    assert published_config(plain, settings, tensors=["head.weight"]) == {"x": 3}
    with pytest.raises(AttnError, match="it would be read as true"):
        published_config(plain, settings, tensors=["wte.weight"])


def test_asking_for_tensors_otherwise() -> None:
    with pytest.raises(AttnError, match="E0628"):
        write({"a": 1, "tied": True}, 'a = x, tied = not has("head.weight")')
    for asked in ("has(head)", 'has("head", "wte")'):
        section = section_of(f"weights M from x {{\n  config {{ a = x, tied <- {asked} }}\n}}\n")
        with pytest.raises(AttnError, match="E0632"):
            config_settings(section, {"x": 1}, tensors=["head"])
