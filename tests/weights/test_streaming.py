"""Weights go into their places one after the other: beside a model there is a tensor in memory, and no second model."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from attndsl.backends.pytorch.backend import BACKEND as TORCH
from attndsl.elaborate import Spec, elaborate, open_spec
from attndsl.graph import Graph
from attndsl.recipe.recipe import read_recipe
from attndsl.running import backends
from attndsl.running.initial import initial_parameters
from attndsl.runs.checkpoint import checkpoint_path, open_tensors, read_tensors, save_checkpoint
from attndsl.storage.safetensors import write_tensors
from attndsl.values import hyperparameters_of
from attndsl.weights import export_huggingface, load_weights, open_weights, save_shards, save_weights

SETTINGS = {"depth": 8, "width": 128, "heads": 4, "vocab": 512, "context": 64}
LARGEST = 4 * 128 * 4 * 128  # bytes of a tensor, in float32
ROOM = 3 * LARGEST + 2_000_000
"""For a tensor as it is read, as it is converted, and as it is written, and for what is not a tensor."""


@pytest.fixture(scope="module")
def spec() -> Spec:
    return open_spec("gpt2")


@pytest.fixture(scope="module")
def graph(spec: Spec) -> Graph:
    return elaborate(spec, SETTINGS)


@pytest.fixture(scope="module")
def arrays(graph: Graph) -> dict[str, Any]:
    return dict(initial_parameters(graph, 0))


@pytest.fixture(scope="module")
def published(spec: Spec, graph: Graph, arrays: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three shards with an index, as others publish one."""
    folder = tmp_path_factory.mktemp("published")
    export_huggingface(folder / "one", graph, arrays, spec.weights[0])
    tensors, _ = read_tensors(folder / "one" / "model.safetensors", "the weights")
    place = {name: f"model-0000{at % 3 + 1}-of-00003.safetensors" for at, name in enumerate(tensors)}
    for part in set(place.values()):
        write_tensors(folder / part, {name: tensors[name] for name in tensors if place[name] == part})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": place}))
    (folder / "config.json").write_text((folder / "one" / "config.json").read_text())
    return folder


@pytest.fixture
def own(graph: Graph, arrays: dict[str, Any], tmp_path: Path) -> Path:
    save_weights(tmp_path / "own.safetensors", arrays, graph)
    return tmp_path / "own.safetensors"


Most = Callable[[Callable[[], Any]], int]


@pytest.fixture(scope="module")
def most(spec: Spec) -> Most:
    """The most bytes of NumPy's arrays that there are at once, beside those of before. What is imported at a first use
    does not count."""
    small = elaborate(spec, {**SETTINGS, "depth": 1, "width": 8, "vocab": 8})
    for work in (_torch, _plain, _numpy):
        work(small, dict(initial_parameters(small, 0)))
    _trainer(small)

    def measured(work: Callable[[], Any]) -> int:
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            kept = work()
            found = tracemalloc.get_traced_memory()[1] - before
            del kept
            return found
        finally:
            tracemalloc.stop()

    return measured


def _torch(graph: Graph, arrays: Mapping[str, Any], weights_as: str | None = None) -> Any:
    return backends.find("torch").program(graph, parameters=arrays, weights_as=weights_as)


def _plain(graph: Graph, arrays: Mapping[str, Any]) -> Any:
    return TORCH.plain(graph, arrays, dtype="float32", device="cpu", seed=0, compile=False)


def _numpy(graph: Graph, arrays: Mapping[str, Any]) -> Any:
    return backends.find("numpy").program(graph, parameters=arrays)


def _trainer(graph: Graph) -> Any:
    return backends.find("torch").trainer(graph, read_recipe(None, hyperparameters_of(graph)))


def size(graph: Graph) -> int:
    return 4 * graph.parameter_count


def test_the_measure_sees_a_whole_copy(spec: Spec, graph: Graph, published: Path, most: Most) -> None:
    assert size(graph) > 2 * ROOM
    assert most(lambda: _torch(graph, load_weights(published, graph, spec.weights))) > size(graph)


@pytest.mark.parametrize("kind", [None, "int8"])
def test_into_torch(spec: Spec, graph: Graph, published: Path, kind: str | None, most: Most) -> None:
    assert most(lambda: _torch(graph, open_weights(published, graph, spec.weights), kind)) < ROOM


def test_into_a_module_as_it_is_printed(spec: Spec, graph: Graph, published: Path, most: Most) -> None:
    assert most(lambda: _plain(graph, open_weights(published, graph, spec.weights))) < ROOM


def test_into_numpy(spec: Spec, graph: Graph, published: Path, most: Most) -> None:
    assert most(lambda: _numpy(graph, open_weights(published, graph, spec.weights))) < size(graph) + ROOM


def test_from_a_file_of_ours(graph: Graph, own: Path, most: Most) -> None:
    assert most(lambda: _torch(graph, open_weights(own, graph))) < ROOM


def test_what_a_training_goes_on_from(graph: Graph, tmp_path: Path, most: Most) -> None:
    trainer = _trainer(graph)
    assert most(lambda: save_checkpoint(tmp_path, 1, trainer.state())) < ROOM

    def taken_up() -> None:
        trainer.load_state(open_tensors(checkpoint_path(tmp_path, 1), "the checkpoint")[0])

    assert most(taken_up) < ROOM


@pytest.mark.parametrize("shard", [LARGEST, 10**9])
def test_what_is_exported(spec: Spec, graph: Graph, own: Path, shard: int, tmp_path: Path, most: Most) -> None:
    given = open_weights(own, graph)
    assert most(lambda: save_shards(tmp_path / "own", given, graph, largest=shard)) < ROOM
    assert most(lambda: export_huggingface(tmp_path / "hf", graph, given, spec.weights[0], largest=shard)) < ROOM
