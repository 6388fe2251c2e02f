"""BERT's body and its heads: what of a published file goes under which of them, what is refused, what costs nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.diagnostics import AttnError, collected
from attndsl.elaborate import elaborate, load, open_spec
from attndsl.graph import Graph
from attndsl.running.inputs import example_inputs
from attndsl.values import to_python
from attndsl.weights import config_settings, load_weights, settings_for
from attndsl.weights.adapting import Adapted, adapt_weights
from tests.parity.families.bert import CONFIGS, FAMILIES
from tests.parity.harness import Trial

pytestmark = [pytest.mark.torch, pytest.mark.oracle]

BY_NAME = {family.name: family for family in FAMILIES}
SMALL: dict[str, Any] = {"vocab": 31, "context": 9, "width": 12, "heads": 3, "depth": 2}
CONFIG = {
    "architectures": ["BertModel"], "hidden_size": 8, "intermediate_size": 9, "max_position_embeddings": 4,
    "num_attention_heads": 2, "num_hidden_layers": 1, "type_vocab_size": 2, "vocab_size": 6,
}  # fmt: skip


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    return Trial(BY_NAME["bert for pretraining"], CONFIGS["three heads"], tmp_path_factory.mktemp("pretrained"))


def adapted(folder: Path, spec: str, **settings: Any) -> tuple[Graph, Adapted]:
    opened = open_spec(spec)
    graph = elaborate(opened, settings_for(folder, opened.weights, settings, spec=opened, adapt=True))
    return graph, adapt_weights(folder, graph, opened.weights, {"labels"})


@pytest.mark.parametrize(("spec", "lacking"), [("bert:classifier", "classifier"), ("bert:tagger", "classifier")])
def test_a_body_goes_under_a_new_head(pretrained: Trial, spec: str, lacking: str) -> None:
    graph, found = adapted(pretrained.saved, spec, labels=7)
    assert graph.hyperparameters["width"] == 12
    assert found.missing == (f"{lacking}.weight", f"{lacking}.bias")
    assert found.unused == ()
    for address, array in found.arrays.items():
        np.testing.assert_array_equal(array, pretrained.arrays[address], address)
    assert found.arrays.keys() | set(found.missing) == {a for info in graph.parameters for a in info.addresses()}


def test_a_head_for_other_labels_is_new(tmp_path: Path) -> None:
    family = BY_NAME["bert for sequences"]
    trial = Trial(family, family.configs["three heads"], tmp_path)
    assert adapted(trial.saved, "bert:classifier", labels=5)[1].missing == ()
    assert adapted(trial.saved, "bert:classifier", labels=3)[1].missing == ("classifier.weight", "classifier.bias")


@pytest.mark.parametrize("head", ["none", "masked", "next"])
def test_a_file_of_pretraining_has_every_part_of_it(pretrained: Trial, head: str) -> None:
    opened = open_spec("bert")
    graph = elaborate(opened, settings_for(pretrained.saved, opened.weights, {"head": head}))
    for address, array in load_weights(pretrained.saved, graph, opened.weights).items():
        np.testing.assert_array_equal(array, pretrained.arrays[address], address)


def test_a_head_that_a_file_lacks_is_named(pretrained: Trial) -> None:
    opened = open_spec("bert")
    graph = elaborate(opened, settings_for(pretrained.saved, opened.weights, {"head": "answer"}))
    with pytest.raises(AttnError, match=r"E0605.*no `ends`"):
        load_weights(pretrained.saved, graph, opened.weights)


def test_a_head_that_does_not_exist_is_refused_beside_those_that_do() -> None:
    with pytest.raises(AttnError) as caught:
        load("bert", {"head": '"sentence"'})
    (problem,) = caught.value.diagnostics
    assert problem.code == "E0210"
    assert '"sequence"' in problem.message
    assert problem.notes == ('head = "sentence"',)


@pytest.mark.parametrize(
    "wrong",
    [
        {"is_decoder": True},
        {"add_cross_attention": True},
        {"position_embedding_type": "relative_key"},
        {"classifier_dropout": 0.3},
        {"hidden_act": "mish"},
        {"tie_word_embeddings": False},
        {"architectures": ["BertForMultipleChoice"]},
        {"model_type": "roberta"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_the_spec_does_not_describe_is_refused(wrong: dict[str, Any]) -> None:
    (section,) = open_spec("bert").weights
    assert to_python(config_settings(section, CONFIG)["head"]) == "none"
    with pytest.raises(AttnError, match="E0614"):
        config_settings(section, {**CONFIG, **wrong})


def test_a_published_configuration_leaves_nothing_unsaid(pretrained: Trial) -> None:
    (section,) = open_spec("bert").weights
    with collected() as warnings:
        config_settings(section, json.loads((pretrained.saved / "config.json").read_text()))
    assert warnings == []


def test_training_makes_no_features(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from attndsl.backends.pytorch import TorchProgram

    graph = load("bert:pretraining", SMALL)
    program, inputs = TorchProgram(graph), example_inputs(graph)
    loss = program.run(inputs, ["loss"])["loss"]
    made: list[int] = []
    stack = torch.stack
    monkeypatch.setattr(torch, "stack", lambda parts, dim=0: made.append(len(parts)) or stack(parts, dim=dim))
    program.loss(inputs, "loss").backward()
    assert program.run(inputs, ["loss"])["loss"] == loss
    assert made == []
    assert program.run(inputs, ["summed"])["summed"].shape[-1] == SMALL["width"]
    assert made == [2]


def test_without_layers_there_are_no_features() -> None:
    names = {info.name for info in load("bert", {**SMALL, "depth": 0}).outputs}
    assert names == {"hidden", "pooled"}
