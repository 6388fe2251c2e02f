"""Weights that are missing, left over, of another shape, damaged or dangerous: each is named, nothing half loaded."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.acceptance.conftest import RUN
from tests.costs import less_than

Refused = Callable[..., str]
LOAD = (*RUN, "--size", "B=1,T=4", "-o", "out.npz", "--weights")


def _tensors(change: Callable[[dict[str, np.ndarray]], object]) -> Callable[[], None]:
    def write() -> None:
        tensors = load_file("good.safetensors")
        change(tensors)
        save_file(tensors, "bad.safetensors")

    return write


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[], None]:
    def write() -> None:
        Path("bad.safetensors").write_bytes(change(Path("good.safetensors").read_bytes()))

    return write


def _header(change: Callable[[dict], object]) -> Callable[[], None]:
    def edit(data: bytes) -> bytes:
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        change(header)
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + data[8 + length :]

    return _bytes(edit)


NORM = "h.1.ln_1.scale"
WEIGHTS: dict[str, tuple[Callable[[], None], str, str]] = {
    "a pickle": (_bytes(lambda b: pickle.dumps({"a": 1})), "E0604", "could run any code"),
    "left over": (_tensors(lambda t: t.update({"h.0.atn.q.bias": t["ln_f.scale"]})), "E0606", "`h.0.atn.q.bias`"),
    "missing": (_tensors(lambda t: t.pop(NORM)), "E0605", f"`{NORM}` is missing"),
    "another shape": (_tensors(lambda t: t.update({NORM: np.ones(17, "f4")})), "E0607", "[17]"),
    "transposed": (
        _tensors(lambda t: t.update({"wte.table": np.ascontiguousarray(t["wte.table"].T)})), "E0607", "[16, 256]",
    ),
    "integers": (_tensors(lambda t: t.update({NORM: np.ones(16, "i8")})), "E0608", "I64"),
    "truncated": (_bytes(lambda b: b[:-100]), "E0603", "is truncated"),
    "truncated in its header": (_bytes(lambda b: b[:50]), "E0603", "is truncated"),
    "empty": (_bytes(lambda b: b""), "E0603", "is truncated"),
    "with a tail": (_bytes(lambda b: b + b"abc"), "E0602", "3 bytes at its end"),
    "with an endless header": (_bytes(lambda b: struct.pack("<Q", 2**60) + b[8:]), "E0602", "is not an intact"),
    "with a broken header": (_bytes(lambda b: b[:8] + b"x" + b[9:]), "E0602", "is not JSON"),
    "with a header nested without end": (
        _bytes(lambda b: struct.pack("<Q", 200_000) + b"[" * 100_000 + b"]" * 100_000), "E0602", "nested too deeply",
    ),
    "overlapping": (
        _header(lambda h: h[NORM].update(data_offsets=h["h.0.ln_1.scale"]["data_offsets"])), "E0602", "not an intact",
    ),
    "of negative length": (_header(lambda h: h[NORM].update(shape=[-16])), "E0602", f"`{NORM}`"),
    "of an unknown type": (_header(lambda h: h[NORM].update(dtype="F7")), "E0602", "unknown dtype"),
}  # fmt: skip


@pytest.mark.parametrize("name", WEIGHTS)
def test_spoilt_weights(attndsl: Callable, refused: Refused, place: Path, name: str) -> None:
    assert attndsl(*LOAD, "good.safetensors").code == 0
    write, code, said = WEIGHTS[name]
    write()
    Path("out.npz").unlink()
    refused((*LOAD, "bad.safetensors"), code, said, "bad.safetensors")


def test_weights_that_are_not_there(refused: Refused, place: Path) -> None:
    refused((*LOAD, "nowhere"), "E0601", "nowhere", "a run's folder")
    (place / "empty").mkdir()
    refused((*LOAD, "empty"), "E0601", "model.safetensors")
    refused((*LOAD, "song.txt"), "E0602", "song.txt")


@pytest.mark.parametrize("folder", [False, True])
def test_pickles_are_never_read(refused: Refused, place: Path, folder: bool) -> None:
    class Bomb:
        def __reduce__(self) -> tuple:
            return Path("bang").touch, ()

    where = place / "published" if folder else place
    where.mkdir(exist_ok=True)
    (where / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    (where / "config.json").write_text('{"model_type": "gpt2"}')
    shown = "published" if folder else "pytorch_model.bin"
    refused((*LOAD, shown), "E0604", "could run any code", "weights_only=True")
    assert not (place / "bang").exists()


def spoil(place: Path, **changes: object) -> None:
    path = place / "hf" / "config.json"
    config = json.loads(path.read_text())
    config.update(changes)
    path.write_text(json.dumps({name: value for name, value in config.items() if value != "absent"}))


def test_a_published_configuration_that_asks_for_a_billion_layers_is_refused_at_once(
    refused: Refused, place: Path
) -> None:
    spoil(place, n_layer=10**9)
    with less_than(5):
        refused(("run", "gpt2", "--weights", "hf", "--backend", "numpy"), "E0806", " GiB, and this machine has ")


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"n_embd": 32}, "E0607", "[256, 16]"),
        ({"n_layer": 3}, "E0605", "has no `h.2`: none of the 16 parameters"),
        ({"n_layer": 1}, "E0606", "`transformer.h.1."),
        ({"n_layer": "absent"}, "E0615", "has no `n_layer`"),
        ({"n_layer": None}, "E0615", "has no value for `n_layer`: it is null"),
        ({"n_layer": 2.5}, "E0616", "`depth` is a whole number"),
        ({"n_layer": -1}, "E0209", "`depth` is -1"),
        ({"n_head": 3}, "E0212", "not divisible by `heads` (3)"),
        ({"n_inner": 20}, "E0614", "n_inner = 20"),
        ({"activation_function": "relu"}, "E0614", "activation_function = 'relu'"),
        ({"scale_attn_by_inverse_layer_idx": True}, "E0614", "scale_attn_by_inverse_layer_idx"),
        ({"tie_word_embeddings": False}, "E0614", "tie_word_embeddings"),
        ({"model_type": "bert"}, "E0614", "another kind of model"),
    ],
)
def test_a_published_configuration_of_another_model(
    refused: Refused, place: Path, change: dict[str, object], code: str, said: str
) -> None:
    spoil(place, **change)
    refused(("run", "gpt2", "--weights", "hf", "--backend", "numpy", "-o", "out.npz"), code, said)


def test_a_key_of_which_the_spec_does_not_speak_is_remarked_on(attndsl: Callable, place: Path) -> None:
    spoil(place, frobnicate=3)
    done = attndsl("run", "gpt2", "--weights", "hf", "--backend", "numpy")
    assert done.code == 0
    assert "frobnicate = 3, which the spec does not mention" in done.err


@pytest.mark.parametrize(
    ("file", "text", "code"),
    [
        ("config.json", "{", "E0613"),
        ("config.json", None, "E0613"),
        ("model.safetensors", None, "E0601"),
        ("model.safetensors.index.json", '{"weight_map": {"wte.weight": "../../../etc/passwd"}}', "E0611"),
        ("model.safetensors.index.json", '{"weight_map": {"wte.weight": "part.safetensors"}}', "E0611"),
        ("model.safetensors.index.json", "[]", "E0611"),
    ],
)
def test_a_published_folder_that_is_damaged(
    refused: Refused, place: Path, file: str, text: str | None, code: str
) -> None:
    if file.endswith("index.json"):
        (place / "hf" / "model.safetensors").unlink()
    if text is None:
        (place / "hf" / file).unlink()
    else:
        (place / "hf" / file).write_text(text)
    refused(("run", "gpt2", "--weights", "hf", "--backend", "numpy", "-o", "out.npz"), code)


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("gpt2", "--set", "depth=3"), "E0617", ("`depth` is 3", "depth = 2", "leave `depth` out")),
        (("gpt2", "--set", "depth=1000000000"), "E0617", ("`depth` is 1000000000", "depth = 2")),
        (("gpt3",), "E0609", ("of `GPT2`, another model than `gpt3`", "`gpt2`, of which the run has a copy")),
        (("tiny.attn",), "E0609", ("it has no hyperparameter `context`",)),
    ],
)
def test_a_run_of_another_model(refused: Refused, argv: tuple[str, ...], code: str, said: tuple[str, ...]) -> None:
    err = refused(("run", *argv, "--weights", "run", "--backend", "numpy", "-o", "out.npz"), code, *said)
    assert err.count("error[") == 1


def test_a_run_of_another_variant(refused: Refused, place: Path) -> None:
    """What the variant says counts, too, where the run was not given it by `--set`."""
    record = place / "run" / "run.json"
    facts = json.loads(record.read_text())
    spec = place / "run" / "spec" / facts["spec"]["file"]
    spec.write_text(spec.read_text().replace("context=1024", "context=16"))
    del facts["settings"]["context"]
    record.write_text(json.dumps(facts))
    refused(
        ("run", "gpt2", "--weights", "run", "--backend", "numpy"), "E0617", "`gpt2` has context = 1024", "context = 16"
    )


EXPORT = ("export", "run", "--to", "safetensors")


def test_an_export_replaces_nothing_but_exports(attndsl: Callable, refused: Refused, place: Path) -> None:
    refused((*EXPORT, "song.txt"), "E0612", "song.txt already exists", "name another file, or `--force`")
    published = place / "hf" / "model.safetensors"
    refused((*EXPORT, published), "E0612", "is not an earlier export")
    (place / "new.safetensors").symlink_to("song.txt")
    refused((*EXPORT, "new.safetensors"), "E0612", "already exists")
    before = (place / "good.safetensors").read_bytes()
    assert attndsl(*EXPORT, "good.safetensors").code == 0
    assert (place / "good.safetensors").read_bytes() == before
    assert attndsl(*EXPORT, "song.txt", "--force").code == 0
    assert (place / "song.txt").read_bytes() == before
    assert attndsl(*EXPORT, "/dev/null").code == 0
    refused(("export", "run", "--to", "huggingface", "ok.npz"), "E0612", "`--to safetensors ok.npz`")
