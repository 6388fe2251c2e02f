"""Weights into parameters: whole, under either kind of name, or an error for each tensor that does not fit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
from attndsl.storage.safetensors import TensorFile, write_tensors
from attndsl.weights import export_huggingface, load_weights, save_weights, settings_for
from tests.weights.models import GPT2, SMALL, arrays_for, codes, gpt2_graph, graph_of, parameter, section_of

Arrays = dict[str, np.ndarray]
SECTION = section_of(GPT2)


def same(a: Arrays, b: Arrays) -> bool:
    return list(a) == list(b) and all(np.array_equal(a[k], b[k]) for k in a)


def published(folder: Path) -> tuple[Arrays, Arrays]:
    """Parameters, and what an export of them holds."""
    graph = gpt2_graph()
    arrays = arrays_for(graph)
    export_huggingface(folder, graph, arrays, SECTION)
    return arrays, tensors_in(folder / "model.safetensors")


def tensors_in(path: Path) -> Arrays:
    with TensorFile(path) as file:
        return {name: file.read(name) for name in file.entries}


def load(path: Path, **settings: object) -> Arrays:
    return load_weights(path, gpt2_graph(**settings), [SECTION])


# ---------------------------------------------------------------- what loads


def test_our_own_files(tmp_path: Path) -> None:
    graph = gpt2_graph()
    arrays = arrays_for(graph, dtype="float64")
    save_weights(tmp_path / "w.safetensors", arrays, graph)
    assert same(load(tmp_path / "w.safetensors"), arrays)
    assert settings_for(tmp_path / "w.safetensors", [SECTION]) == SMALL
    write_tensors(tmp_path / "bare.safetensors", arrays)
    assert same(load(tmp_path / "bare.safetensors"), arrays)
    assert settings_for(tmp_path / "bare.safetensors", [SECTION], {"depth": 2}) == {"depth": 2}


def hub(tensors: Arrays) -> Arrays:
    """As the hub's own GPT-2 file has them: no prefix, and the causal mask of every layer."""
    mask = np.tril(np.ones((1, 1, 6, 6), np.float32))
    bare = {name.removeprefix("transformer."): array for name, array in tensors.items()}
    return {**bare, **{f"h.{i}.attn.bias": mask for i in range(2)}, "h.1.attn.masked_bias": np.array(-1e4, np.float32)}


LAYOUTS: dict[str, Callable[[Arrays], Arrays]] = {
    "save_pretrained": lambda t: t,
    "hub": hub,
    "a copy of the tied head": lambda t: {**t, "lm_head.weight": t["transformer.wte.weight"]},
    "hub, with a copy of the head": lambda t: {**hub(t), "lm_head.weight": t["transformer.wte.weight"]},
    "only the head has the embedding": lambda t: {
        "lm_head.weight": t["transformer.wte.weight"],
        **{n: a for n, a in t.items() if n != "transformer.wte.weight"},
    },
    "float64": lambda t: {n: a.astype("float64") for n, a in t.items()},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_published_files(tmp_path: Path, layout: str) -> None:
    arrays, tensors = published(tmp_path / "hf")
    write_tensors(tmp_path / "hf" / "model.safetensors", LAYOUTS[layout](tensors), {"format": "pt"})
    loaded = load(tmp_path / "hf")
    assert same(loaded, arrays)
    assert all(a.flags.c_contiguous and a.base is None for a in loaded.values())
    assert same(load(tmp_path / "hf" / "model.safetensors"), arrays)


def test_half_precision_comes_as_float32(tmp_path: Path) -> None:
    arrays, tensors = published(tmp_path / "hf")
    write_tensors(tmp_path / "half.safetensors", {n: a.astype("float16") for n, a in tensors.items()})
    loaded = load(tmp_path / "half.safetensors")
    assert same(loaded, {n: a.astype("float16").astype("float32") for n, a in arrays.items()})


def test_a_folder_in_several_parts(tmp_path: Path) -> None:
    arrays, tensors = published(tmp_path / "hf")
    (tmp_path / "hf" / "model.safetensors").unlink()
    names = sorted(tensors)
    table = {name: f"model-0000{i % 3 + 1}-of-00003.safetensors" for i, name in enumerate(names)}
    for part in set(table.values()):
        write_tensors(tmp_path / "hf" / part, {n: tensors[n] for n in names if table[n] == part}, {"format": "pt"})
    index = tmp_path / "hf" / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": table}))
    assert same(load(tmp_path / "hf"), arrays)
    assert same(load(index), arrays)

    moved = {**table, names[0]: table[names[1]]}
    wrong: list[tuple[object, str]] = [
        ({"weight_map": moved}, "but it is not there"),
        ({"weight_map": {**table, "more": table[names[0]]}}, "but it is not there"),
        ({"weight_map": {n: p for n, p in table.items() if n != names[0]}}, "does not list"),
        ({"weight_map": {**table, names[0]: "none.safetensors"}}, "is missing"),
        ({"weight_map": {**table, names[0]: "../x.safetensors"}}, "does not say which file"),
        ({"weight_map": {}}, "no `weight_map`"),
        ([], "a JSON object"),
    ]
    for content, says in wrong:
        index.write_text(json.dumps(content))
        with pytest.raises(AttnError, match=says) as raised:
            load(tmp_path / "hf")
        assert codes(raised.value) == ["E0611"]


# ---------------------------------------------------------------- what does not


def without(*names: str) -> Callable[[Arrays], Arrays]:
    return lambda t: {n: a for n, a in t.items() if n not in names}


C_ATTN = "transformer.h.1.attn.c_attn.weight"

MISFITS: dict[str, tuple[Callable[[Arrays], Arrays], list[str], str]] = {
    "missing": (without(C_ATTN), ["E0605"], "`transformer.h.1.attn.c_attn.weight` is missing"),
    "left over": (lambda t: {**t, "transformer.h.1.attn.rotary": t[C_ATTN]}, ["E0606"], "attn.rotary`"),
    "both": (lambda t: {**without(C_ATTN)(t), C_ATTN + "s": t[C_ATTN]}, ["E0605", "E0606"], "is missing"),
    "transposed": (lambda t: {**t, C_ATTN: t[C_ATTN].T}, ["E0607"], r"\[24, 8\] in .*, and \[8, 24\]"),
    "integers": (lambda t: {**t, C_ATTN: t[C_ATTN].astype("int32")}, ["E0608"], "dtype I32"),
    "another head": (lambda t: {**t, "lm_head.weight": t["transformer.wte.weight"] + 1}, ["E0610"], "not equal"),
    "a deeper model": (
        lambda t: {**t, **{n.replace("h.1", "h.2"): a for n, a in t.items() if "h.1" in n}},
        ["E0606"] * 5,
        "and 7 more like this",
    ),
    "two prefixes": (lambda t: {**t, "wte.weight": t["transformer.wte.weight"]}, ["E0606"], "`wte.weight`"),
    "another model": (lambda t: {f"model.{n}": a for n, a in t.items()}, ["E0609"], "nearest: `h.0"),
    "nothing": (lambda t: {}, ["E0609"], "0 names"),
}  # fmt: skip


@pytest.mark.parametrize("what", MISFITS)
def test_published_tensors_that_do_not_fit_are_named(tmp_path: Path, what: str) -> None:
    change, expected, says = MISFITS[what]
    _, tensors = published(tmp_path / "hf")
    write_tensors(tmp_path / "hf" / "model.safetensors", change(tensors))
    with pytest.raises(AttnError) as raised:
        load(tmp_path / "hf")
    assert codes(raised.value) == expected
    texts = " ".join(" ".join([d.message, *d.notes, *d.helps]) for d in raised.value.diagnostics)
    assert re.search(says, texts), texts


OWN_MISFITS: dict[str, tuple[Callable[[Arrays], Arrays], list[str]]] = {
    "missing": (without("h.0.ln_1.scale"), ["E0605"]),
    "left over": (lambda t: {**t, "h.2.ln_1.scale": t["ln_f.scale"]}, ["E0606"]),
    "renamed": (lambda t: {**without("ln_f.scale")(t), "ln_f.gain": t["ln_f.scale"]}, ["E0605", "E0606"]),
    "another shape": (lambda t: {**t, "ln_f.scale": t["ln_f.scale"][:7]}, ["E0607"]),
    "integers": (lambda t: {**t, "ln_f.scale": t["ln_f.scale"].astype("int64")}, ["E0608"]),
    "many missing": (lambda t: {n: a for n, a in t.items() if not n.endswith(".bias")}, ["E0605"] * 5),
    "a layer missing": (lambda t: {n: a for n, a in t.items() if ".attn." not in n}, ["E0605"] * 2),
    "a head missing": (lambda t: {**without("ln_f.scale")(without("ln_f.shift")(t)), "x": t["ln_f.scale"]}, ["E0605"]),
}


@pytest.mark.parametrize("what", OWN_MISFITS)
def test_tensors_of_ours_that_do_not_fit_are_named(tmp_path: Path, what: str) -> None:
    change, expected = OWN_MISFITS[what]
    write_tensors(tmp_path / "w.safetensors", change(arrays_for(gpt2_graph())))
    with pytest.raises(AttnError) as raised:
        load(tmp_path / "w.safetensors")
    assert codes(raised.value) == expected


def test_a_misfit_is_told_before_any_tensor_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, tensors = published(tmp_path / "hf")
    write_tensors(tmp_path / "hf" / "model.safetensors", without("transformer.ln_f.bias")(tensors))
    monkeypatch.setattr(TensorFile, "read", lambda *a: pytest.fail("a tensor was read"))
    with pytest.raises(AttnError):
        load(tmp_path / "hf")


def test_constants_are_checked(tmp_path: Path) -> None:
    graph = graph_of("M", {"width": 3}, parameter("scale", "width"))
    section = section_of('weights M from x {\n  "w" <-> scale\n  "zero": [width] <-> 0\n  "b.{i}.fill" <- -1e4\n}\n')
    good = {"w": np.ones(3, np.float32), "zero": np.zeros(3, np.float32), "b.7.fill": np.array(-1e4, np.float32)}
    path = tmp_path / "w.safetensors"
    write_tensors(path, good)
    assert list(load_weights(path, graph, [section])) == ["scale"]
    for change, code in (
        ({"zero": np.ones(3, np.float32)}, "E0610"),
        ({"zero": np.zeros(2, np.float32)}, "E0607"),
        ({"b.7.fill": np.zeros(2, np.float32)}, "E0610"),
        ({"b.7.fill": np.zeros(2, np.int64)}, "E0610"),
    ):
        write_tensors(path, {**good, **change})
        with pytest.raises(AttnError) as raised:
            load_weights(path, graph, [section])
        assert codes(raised.value) == [code]
    write_tensors(path, {n: a for n, a in good.items() if n != "zero"})
    with pytest.raises(AttnError) as raised:
        load_weights(path, graph, [section])
    assert codes(raised.value) == ["E0605"]


def test_either_of_two_published_names(tmp_path: Path) -> None:
    """BERT's files say `gamma` or `weight`."""
    graph = graph_of("M", {"width": 3}, parameter("scale", "width"))
    section = section_of('weights M from x {\n  "norm.weight" <-> scale\n  "norm.gamma" <- scale\n}\n')
    for name in ("norm.weight", "norm.gamma"):
        write_tensors(tmp_path / "w", {name: np.arange(3, dtype=np.float32)})
        assert load_weights(tmp_path / "w", graph, [section])["scale"].tolist() == [0, 1, 2]


# ---------------------------------------------------------------- files and configurations


def test_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"PK\x03\x04" + b"\0" * 50)
    (tmp_path / "model.pt").write_bytes(b"\x80\x02.")
    (tmp_path / "two").mkdir()
    for name in "ab":
        write_tensors(tmp_path / "two" / f"{name}.safetensors", {name: np.zeros(1)})
    for path, code, says in (
        ("none", "E0601", "no such file"),
        ("emty", "E0601", "no such file"),
        ("empty", "E0601", "no weights in it"),
        ("two", "E0601", "several"),
        ("pickled", "E0604", "is a pickle"),
        ("pickled/pytorch_model.bin", "E0604", "is a pickle"),
        ("model.pt", "E0604", "is a pickle"),
    ):
        for function in (load, lambda p: settings_for(p, [SECTION])):
            with pytest.raises(AttnError, match=says) as raised:
                function(tmp_path / path)
            assert codes(raised.value) == [code]


def test_settings_come_from_the_folder(tmp_path: Path) -> None:
    published(tmp_path / "hf")
    assert settings_for(tmp_path / "hf", [SECTION]) == SMALL
    assert settings_for(tmp_path / "hf" / "model.safetensors", [SECTION]) == SMALL
    assert settings_for(tmp_path / "hf", [SECTION], {"p": 0.0, "width": "8"}) == {**SMALL, "p": 0.0, "width": "8"}
    with pytest.raises(
        AttnError, match=r"`width` is 16, but the weights at .* are of a model with width = 8"
    ) as raised:
        settings_for(tmp_path / "hf", [SECTION], {"width": 16})
    assert codes(raised.value) == ["E0617"]
    with pytest.raises(AttnError) as raised:
        load(tmp_path / "hf", heads=4)  # every shape fits, and every number would be wrong
    assert codes(raised.value) == ["E0617"]
    for content, says in ((b"{", "is not JSON"), (b"[]", "a JSON object"), (b"\xff", "UTF-8")):
        (tmp_path / "hf" / "config.json").write_bytes(content)
        with pytest.raises(AttnError, match=says) as raised:
            settings_for(tmp_path / "hf", [SECTION])
        assert codes(raised.value) == ["E0613"]
    (tmp_path / "hf" / "config.json").unlink()
    with pytest.raises(AttnError, match=r"has no config\.json"):
        settings_for(tmp_path / "hf", [SECTION])


def test_the_section_of_the_right_model_type_is_taken(tmp_path: Path) -> None:
    published(tmp_path / "hf")
    other = section_of(GPT2.replace('model_type == "gpt2"', 'model_type == "gptj"'))
    assert settings_for(tmp_path / "hf", [other, SECTION]) == SMALL
    with pytest.raises(AttnError, match="another kind of model"):
        settings_for(tmp_path / "hf", [other])


def test_our_files_know_their_hyperparameters(tmp_path: Path) -> None:
    graph = gpt2_graph()
    save_weights(tmp_path / "w", arrays_for(graph), graph)
    with pytest.raises(AttnError) as raised:
        load(tmp_path / "w", heads=4)
    assert codes(raised.value) == ["E0617"]
    with pytest.raises(AttnError) as raised:
        settings_for(tmp_path / "w", [], {"heads": 4})
    assert codes(raised.value) == ["E0617"]
    for change in (
        {"format_version": "x"},
        {"format_version": "99"},
        {"hyperparameters": "["},
        {"hyperparameters": '{"a": {}}'},
    ):
        metadata = {"format": "attndsl", "format_version": "1", "hyperparameters": "{}", **change}
        write_tensors(tmp_path / "w", arrays_for(graph), metadata)
        with pytest.raises(AttnError) as raised:
            settings_for(tmp_path / "w", [])
        assert codes(raised.value) == ["E0602"]
