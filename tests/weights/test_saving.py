"""Exports: what they overwrite, and what they refuse."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import attndsl
from attndsl.diagnostics import AttnError
from attndsl.storage.safetensors import TensorFile, write_tensors
from attndsl.storage.shards import INDEX
from attndsl.weights import export_huggingface, load_weights, save_shards, save_weights, settings_for
from tests.weights.models import GPT2, arrays_for, codes, gpt2_graph, section_of

SECTION = section_of(GPT2)
GRAPH = gpt2_graph()


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_an_export_replaces_an_earlier_one_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a" / "hf"
    export_huggingface(target, GRAPH, arrays_for(GRAPH), SECTION)
    first = contents(target)
    assert sorted(first) == ["config.json", "model.safetensors"]
    export_huggingface(target, GRAPH, arrays_for(GRAPH, seed=1), SECTION)
    assert contents(target)["model.safetensors"] != first["model.safetensors"]
    export_huggingface(target, GRAPH, arrays_for(GRAPH), SECTION)
    assert contents(target) == first
    (target / "tokenizer.json").write_text("{}")
    with pytest.raises(AttnError, match="not empty") as raised:
        export_huggingface(target, GRAPH, arrays_for(GRAPH, seed=1), SECTION)
    assert codes(raised.value) == ["E0612"]
    assert contents(target) == {**first, "tokenizer.json": b"{}"}
    export_huggingface(target, GRAPH, arrays_for(GRAPH, seed=1), SECTION, force=True)
    assert sorted(contents(target)) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert os.listdir(tmp_path / "a") == ["hf"]


def test_somebody_elses_model_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"theirs")
    with pytest.raises(AttnError) as raised:
        export_huggingface(tmp_path, GRAPH, arrays_for(GRAPH), SECTION)
    assert codes(raised.value) == ["E0612"]
    assert (tmp_path / "model.safetensors").read_bytes() == b"theirs"
    (tmp_path / "file").write_text("")
    with pytest.raises(AttnError, match="is a file"):
        export_huggingface(tmp_path / "file", GRAPH, arrays_for(GRAPH), SECTION)


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "hf").mkdir()
    export_huggingface(tmp_path / "hf", GRAPH, arrays_for(GRAPH), SECTION)
    assert sorted(contents(tmp_path / "hf")) == ["config.json", "model.safetensors"]
    assert os.listdir(tmp_path) == ["hf"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_configuration_says_the_dtype(tmp_path: Path, dtype: str) -> None:
    export_huggingface(tmp_path / "hf", GRAPH, arrays_for(GRAPH, dtype=dtype), SECTION)
    assert json.loads((tmp_path / "hf" / "config.json").read_text())["torch_dtype"] == dtype


def test_only_the_models_own_parameters_are_saved(tmp_path: Path) -> None:
    arrays = arrays_for(GRAPH)
    del arrays["ln_f.shift"]
    arrays["ln_f.more"] = arrays["ln_f.scale"]
    arrays["wte.table"] = arrays["wte.table"].T
    arrays["wpe.table"] = arrays["wpe.table"].astype(np.int64)
    for write in (
        lambda: save_weights(tmp_path / "w", arrays, GRAPH),
        lambda: export_huggingface(tmp_path / "hf", GRAPH, arrays, SECTION),
    ):
        with pytest.raises(AttnError) as raised:
            write()
        assert sorted(codes(raised.value)) == ["E0605", "E0606", "E0607", "E0608"]
        assert not os.listdir(tmp_path)


STATES = """
model M(width=3) {
  input x: [B, width]
  state centre: [width] = zeros
  state spread: [width] = ones
  centre <- mean(x, over=B) if training else centre
  spread <- max(x, over=B) if training else spread
  output y = layer_norm((x - centre) / spread) as norm
}

weights M from huggingface { "norm." <-> layer_norm(norm), "centre" <-> centre }
"""


def test_states_without_a_published_name_are_said_to_be_left_out(tmp_path: Path) -> None:
    section, graph = section_of(STATES), attndsl.parse(STATES).graph
    arrays = arrays_for(graph)
    assert export_huggingface(tmp_path, graph, arrays, section) == (), "no training has made any"
    trained = arrays | {"centre": np.ones(3, np.float32), "spread": np.ones(3, np.float32)}
    assert export_huggingface(tmp_path, graph, trained, section) == ("spread",)


def read(folder: Path) -> dict[str, np.ndarray]:
    return load_weights(folder, GRAPH, [SECTION])


def same(found: dict[str, np.ndarray], given: dict[str, np.ndarray]) -> bool:
    return found.keys() == given.keys() and all(np.array_equal(array, given[name]) for name, array in found.items())


def test_shards_have_an_index_and_at_most_so_many_bytes(tmp_path: Path) -> None:
    given = arrays_for(GRAPH)
    export_huggingface(tmp_path, GRAPH, given, SECTION, largest=2000)
    index = json.loads((tmp_path / INDEX).read_text())
    shards = sorted(set(index["weight_map"].values()))
    count = len(shards)
    assert count > 2
    assert shards == [f"model-{at:05}-of-{count:05}.safetensors" for at in range(1, count + 1)]
    assert sorted(contents(tmp_path)) == ["config.json", *shards, INDEX]
    total = 0
    for shard in shards:
        with TensorFile(tmp_path / shard) as file:
            sizes = [entry.stop - entry.start for entry in file.entries.values()]
            assert sum(sizes) <= 2000 or len(sizes) == 1
            assert [index["weight_map"][name] for name in file.entries] == [shard] * len(sizes)
        total += sum(sizes)
    assert index["metadata"]["total_size"] == total
    assert same(read(tmp_path), given)


@pytest.mark.parametrize(("first", "second"), [(2000, 3000), (2000, 10**9), (10**9, 2000), (2000, 2000)])
def test_shards_replace_an_earlier_export_whole(tmp_path: Path, first: int, second: int) -> None:
    earlier, later = arrays_for(GRAPH), arrays_for(GRAPH, seed=1)
    export_huggingface(tmp_path / "out", GRAPH, earlier, SECTION, largest=first, beside={"tokenizer.json": "{}"})
    export_huggingface(tmp_path / "out", GRAPH, later, SECTION, largest=second)
    export_huggingface(tmp_path / "alone", GRAPH, later, SECTION, largest=second)
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")
    assert same(read(tmp_path / "out"), later)


@pytest.mark.parametrize("later", [2000, 10**9])
def test_nothing_changes_before_all_is_written(tmp_path: Path, later: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full when some of the files are written."""
    export_huggingface(tmp_path, GRAPH, arrays_for(GRAPH), SECTION, largest=2000)
    before, written = contents(tmp_path), []

    def full(path: Path, *rest: object) -> None:
        written.append(path)
        if later > 2000 or len(written) == 3:
            raise OSError(28, "No space left on device")
        write_tensors(path, *rest)

    monkeypatch.setattr("attndsl.storage.shards.write_tensors", full)
    with pytest.raises(AttnError, match="No space left") as raised:
        export_huggingface(tmp_path, GRAPH, arrays_for(GRAPH, seed=1), SECTION, largest=later)
    assert codes(raised.value) == ["E0612"]
    assert contents(tmp_path) == before


@pytest.mark.parametrize("stopped", range(1, 9))
def test_a_kill_between_the_moves_leaves_no_mixture(
    tmp_path: Path, stopped: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {seed: arrays_for(GRAPH, seed=seed) for seed in (0, 1)}
    export_huggingface(tmp_path, GRAPH, given[0], SECTION, largest=4000)
    moved = []

    def move(source: Path, target: Path) -> None:
        if Path(target).parent == tmp_path:
            moved.append(target)
            if len(moved) == stopped:
                raise KeyboardInterrupt
        real(source, target)

    real = os.replace
    monkeypatch.setattr("attndsl.storage.shards.os.replace", move)
    try:
        export_huggingface(tmp_path, GRAPH, given[1], SECTION, largest=4000)
    except KeyboardInterrupt:
        with pytest.raises(AttnError) as raised:
            read(tmp_path)
        assert codes(raised.value) == ["E0601"]
        export_huggingface(tmp_path, GRAPH, given[1], SECTION, largest=4000, force=True)
    assert same(read(tmp_path), given[1])


def test_files_in_our_names_in_shards(tmp_path: Path) -> None:
    given = arrays_for(GRAPH)
    save_shards(tmp_path / "own", given, GRAPH, largest=2000)
    assert INDEX in contents(tmp_path / "own")
    assert "config.json" not in contents(tmp_path / "own")
    assert same(load_weights(tmp_path / "own", GRAPH), given)
    assert settings_for(tmp_path / "own", ())["depth"] == GRAPH.sizes["depth"]
    save_shards(tmp_path / "own", given, GRAPH)
    assert sorted(contents(tmp_path / "own")) == ["model.safetensors"]
    (tmp_path / "own" / "notes").write_text("mine")
    with pytest.raises(AttnError, match="not an earlier export"):
        save_shards(tmp_path / "own", given, GRAPH)
