"""A copied spec whose model was edited: `check` warns of what its `weights` section no longer fits, and where weights
are asked for that is the error."""

from __future__ import annotations

from pathlib import Path

import pytest

from attndsl.api.checking import check
from attndsl.diagnostics import AttnError, Diagnostic, collected
from attndsl.elaborate import elaborate, open_spec, shipped
from attndsl.weights import export_huggingface, load_weights
from tests.conftest import Finished
from tests.weights.models import arrays_for

GPT2 = shipped()["gpt2"].read_text(encoding="utf-8")
SMALL = ("depth=12, width=768, heads=12", "depth=2, width=12, heads=3")

# what was edited, the code, what is underlined in the section, in the model, a part of the message
EDITED = {
    "another norm": (
        {"layer_norm(eps) as": "rms_norm(eps) as"},
        "E0620", "layer_norm(h[i][norm])", "rms_norm(eps)", "no parameter `h[i].ln_1.shift`",
    ),
    "a gate": (
        {"|> mlp(4 * width, act=gelu_tanh,": "|> gated_mlp(8 * width // 3, act=silu,"},
        "E0620", "at.bias", "gated_mlp(8 * width // 3, act=silu, init=start, out_init=residual)", "`h[i].mlp.up.bias`",
    ),
    "no positions": (
        {" + embedding(range(T), context, width, start) as wpe": ""}, "E0620", "wpe", None, "`h`, `ln_f`, `wte`",
    ),
    "fewer keys": (
        {"p=0.1, eps": "p=0.1, kv=1, eps", "attention(heads,": "attention(heads, kv_heads=kv,"},
        "E0627", 'require model_type == "gpt2"', "kv", "where `kv` comes from",
    ),
    "another norm in front": (
        {"  x = dropout(x, p)\n": "  x = layer_norm(x) as ln_0 |> dropout(p)\n"},
        "E0622", "GPT2", "layer_norm(x)", "`ln_0.scale` is not filled",
    ),
    "wider positions": (
        {"range(T), context,": "range(T), 2 * context,"},
        "E0624", "context", "embedding(range(T), 2 * context, width, start)", "no axis `context`",
    ),
}  # fmt: skip


def edited(folder: Path, name: str) -> Path:
    text = GPT2.replace(*SMALL)
    for old, new in EDITED[name][0].items():
        assert old in text
        text = text.replace(old, new)
    path = folder / "my.attn"
    path.write_text(text, encoding="utf-8")
    return path


def warned(path: Path) -> list[Diagnostic]:
    with collected() as found:
        check(str(path))
    return found


@pytest.mark.parametrize("name", EDITED)
def test_check_warns_with_both_places(name: str, tmp_path: Path) -> None:
    _, code, at, model, says = EDITED[name]
    found = warned(edited(tmp_path, name))
    first = found[0]
    assert (first.code, first.severity) == (code, "warning")
    assert first.primary is not None
    assert first.primary.span.text == at
    assert first.primary.span.source.name.endswith("my.attn")
    assert model is None or model in [label.span.text for label in first.secondary]
    assert says in " ".join([first.message, *first.notes, *first.helps])
    assert sum("until it fits" in note for it in found for note in it.notes) == 1


@pytest.mark.parametrize("name", EDITED)
def test_it_is_the_error_where_weights_are_asked_for(name: str, tmp_path: Path) -> None:
    gpt2 = open_spec("gpt2")
    small = elaborate(gpt2, {"depth": 2, "width": 12, "heads": 3})
    export_huggingface(tmp_path / "theirs", small, arrays_for(small), gpt2.weights[0])
    spec = open_spec(str(edited(tmp_path, name)))
    graph = elaborate(spec, {})
    with pytest.raises(AttnError) as raised:
        load_weights(tmp_path / "theirs", graph, spec.weights)
    assert raised.value.diagnostics[0].code == EDITED[name][1]
    with pytest.raises(AttnError) as raised:
        export_huggingface(tmp_path / "ours", graph, arrays_for(graph), spec.weights[0])
    assert raised.value.diagnostics[0].code == EDITED[name][1]
    assert not (tmp_path / "ours").exists()


def test_the_command_line_says_so(tmp_path: Path, attndsl) -> None:  # type: ignore[no-untyped-def]
    path = str(edited(tmp_path, "another norm"))
    done: Finished = attndsl("check", path)
    assert done.code == 0
    assert "warning[E0620]" in done.err
    done = attndsl("check", path, "--strict")
    assert done.code == 1
    assert "error[E0620]" in done.err


def test_another_section_that_fits_is_read(tmp_path: Path) -> None:
    text = "model M(width=4) {\n  input x: [B, width]\n  output y = layer_norm(x) as norm\n}\n"
    text += 'weights M from old { "n." <-> layer_norm(nrom) }\nweights M from new { "norm." <-> layer_norm(norm) }\n'
    (tmp_path / "m.attn").write_text(text)
    spec = open_spec(str(tmp_path / "m.attn"))
    graph = elaborate(spec, {})
    arrays = arrays_for(graph)
    export_huggingface(tmp_path / "hf", graph, arrays, spec.weights[1])
    assert load_weights(tmp_path / "hf", graph, spec.weights).keys() == arrays.keys()


def test_what_is_wrong_by_itself_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "my.attn"
    path.write_text(GPT2.replace('"ln_f."', '"ln_f.{"'), encoding="utf-8")
    with pytest.raises(AttnError) as raised:
        check(str(path))
    assert [it.code for it in raised.value.diagnostics] == ["E0626"]
