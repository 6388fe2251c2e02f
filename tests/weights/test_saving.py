"""Exports: what they overwrite, and what they refuse."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import attndsl
from attndsl.diagnostics import AttnError
from attndsl.storage.safetensors import TensorFile, write_tensors
from attndsl.storage.shards import INDEX, MOVING
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


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from tests.weights.test_saving import export_of

place, first, second = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
export_of(place / "earlier", 0, first)
steps = 0
while True:
    steps += 1
    folder = place / f"{steps:03}"
    shutil.copytree(place / "earlier", folder)
    child = os.fork()
    if not child:
        def counted(change):
            def change_or_die(path, *rest, **named):
                global steps
                if Path(rest[0] if rest else path).parent == folder:
                    steps -= 1
                    if not steps:
                        os.kill(os.getpid(), signal.SIGKILL)
                return change(path, *rest, **named)
            return change_or_die
        os.replace, os.unlink = counted(os.replace), counted(os.unlink)
        export_of(folder, 1, second)
        os._exit(0)
    if not os.waitpid(child, 0)[1]:
        break
"""


def export_of(folder: Path, seed: int, largest: int, *, force: bool = False) -> None:
    """One whose weights, configuration and tokenizer are told apart from those of another seed."""
    beside = {"tokenizer.json": str(seed), f"of_{seed}.json": ""}
    given = arrays_for(GRAPH, seed=seed)
    export_huggingface(
        folder, GRAPH, given, SECTION, ids={"pad_token_id": seed}, beside=beside, largest=largest, force=force
    )


@pytest.mark.skipif(os.name != "posix", reason="needs fork")
@pytest.mark.parametrize(
    ("first", "second"), [(10**9, 10**9), (10**9, 4000), (4000, 10**9), (4000, 4000), (2000, 4000)]
)
def test_a_kill_at_any_step_leaves_no_mixture(tmp_path: Path, first: int, second: int) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(first), str(second)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2], timeout=100)
    export_of(tmp_path / "alone", 1, second)
    folders, whole = sorted(tmp_path.glob("0*")), []
    for folder in folders:
        with contextlib.suppress(AttnError):
            found = read(folder)
            (seed,) = (seed for seed in (0, 1) if same(found, arrays_for(GRAPH, seed=seed)))
            assert json.loads((folder / "config.json").read_text())["pad_token_id"] == seed
            assert (folder / "tokenizer.json").read_text() == str(seed)
            whole.append(seed)
        export_of(folder, 1, second)  # its own, interrupted, is taken for what it is
        assert contents(folder) == contents(tmp_path / "alone")
    assert len(folders) > 4
    assert {0, 1} <= set(whole)
    assert len(whole) < len(folders)


def test_what_was_forced_and_interrupted_needs_no_force_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until something else comes into the folder; what was beside the export stays."""
    for name in ("notes", "config.json"):
        (tmp_path / name).write_text("mine")
    move = os.replace

    def failing(path: Path, to: Path) -> None:
        if Path(to) == tmp_path / "model.safetensors":
            raise OSError("the disk is gone")
        move(path, to)

    monkeypatch.setattr(os, "replace", failing)
    for force in (True, False):
        with pytest.raises(AttnError, match="the disk is gone"):
            export_of(tmp_path, 0, 10**9, force=force)
        assert (tmp_path / MOVING).exists()
    monkeypatch.undo()
    (tmp_path / "new").write_text("mine")
    with pytest.raises(AttnError, match="not an earlier export"):
        export_of(tmp_path, 1, 10**9)
    (tmp_path / "new").unlink()
    export_of(tmp_path, 1, 10**9)
    assert same(read(tmp_path), arrays_for(GRAPH, seed=1))
    left = {"config.json", "model.safetensors", "notes", "of_1.json", "tokenizer.json"}
    assert {path.name for path in tmp_path.iterdir()} == left


def test_what_is_beside_an_interrupted_export_is_not_read_as_its_weights(tmp_path: Path) -> None:
    for name, text in ((MOVING, "config.json"), ("config.json", "{}")):
        (tmp_path / name).write_text(text)
    save_weights(tmp_path / "weights.safetensors", arrays_for(GRAPH), GRAPH)
    with pytest.raises(AttnError, match="was interrupted"):
        read(tmp_path)


def test_what_the_files_cannot_replace_is_found_before_any_is_moved(tmp_path: Path) -> None:
    export_of(tmp_path, 0, 4000)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer.json").mkdir()
    (tmp_path / "mine.txt").write_text("mine")
    before = read(tmp_path)
    with pytest.raises(AttnError, match=r"`tokenizer\.json` in it is not a file") as raised:
        export_of(tmp_path, 1, 10**9, force=True)
    assert codes(raised.value) == ["E0612"]
    assert same(read(tmp_path), before)


@pytest.mark.skipif(os.name != "posix", reason="needs links and modes")
def test_a_file_that_is_replaced_keeps_its_mode_and_its_link(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    export_of(folder, 0, 10**9)
    (folder / "model.safetensors").rename(tmp_path / "elsewhere")
    (folder / "model.safetensors").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").chmod(0o600)
    export_of(folder, 1, 10**9)
    assert (folder / "model.safetensors").is_symlink()
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o600
    assert same(read(folder), arrays_for(GRAPH, seed=1))


@pytest.mark.parametrize("name", ["weights.safetensors", "model.safetensors", "model-00001-of-00001.safetensors"])
def test_weights_that_somebody_saved_are_no_earlier_export(tmp_path: Path, name: str) -> None:
    save_weights(tmp_path / name, arrays_for(GRAPH), GRAPH)
    before = contents(tmp_path)
    for largest in (2000, 10**9):
        with pytest.raises(AttnError, match="not an earlier export"):
            export_of(tmp_path, 1, largest)
        with pytest.raises(AttnError, match="not an earlier export"):
            save_shards(tmp_path, arrays_for(GRAPH), GRAPH, largest=largest)
    assert contents(tmp_path) == before


def test_shards_are_found_beside_weights_of_others(tmp_path: Path) -> None:
    save_weights(tmp_path / "weights.safetensors", arrays_for(GRAPH), GRAPH)
    export_of(tmp_path, 1, 2000, force=True)
    assert (tmp_path / "weights.safetensors").exists()
    assert same(read(tmp_path), arrays_for(GRAPH, seed=1))


@pytest.mark.parametrize("largest", [2000, 10**9])
def test_by_force_the_model_of_others_goes_and_the_rest_stays(tmp_path: Path, largest: int) -> None:
    """What finds its tensors goes, and no more, but for what has the name of a new file."""
    theirs = ("config.json", "model.safetensors", INDEX, "model-00001-of-00009.safetensors", "notes")
    (tmp_path / "theirs").mkdir()
    for name in theirs:
        (tmp_path / "theirs" / name).write_bytes(b"{}")
    export_of(tmp_path / "alone", 1, largest)
    export_of(tmp_path / "theirs", 1, largest, force=True)
    found, ours = contents(tmp_path / "theirs"), contents(tmp_path / "alone")
    assert {name for name in theirs if found.get(name) == b"{}"} == {"model-00001-of-00009.safetensors", "notes"}
    assert {name: found[name] for name in ours} == ours
    assert same(read(tmp_path / "theirs"), arrays_for(GRAPH, seed=1))


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
