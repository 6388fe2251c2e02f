"""Memories that a written module writes where they are."""

from __future__ import annotations

import numpy as np
import pytest

from attndsl.backends.pytorch.program import TorchProgram
from attndsl.backends.pytorch.source import generate_source
from attndsl.passes.incremental import incremental
from tests.passes.test_incremental import BODIES, model, shipped

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("name", ["gpt2", "gemma3"])
def test_memories_are_allocated_once(name: str) -> None:
    program = TorchProgram(incremental(shipped(name)), dtype="float64")
    tokens = np.array([[1, 2, 3, 4]])
    before = program.begin({"tokens": tokens}, {"C": 12, "W": 12})
    at = {key: stack.data_ptr() for key, stack in before.items() if key != "past"}
    _, stacks = program.advance({"tokens": tokens}, before, ["logits"])
    _, stacks = program.advance({"tokens": tokens[:, :1]}, stacks, ["logits"])
    assert {key: stack.data_ptr() for key, stack in stacks.items() if key != "past"} == at
    assert all(abs(stacks[key]).sum() > 0 for key in at)
    layers = stacks["h.*.attn.values" if name == "gpt2" else "layer.*.attn.values"].movedim(3, 0)
    assert layers[0].transpose(1, 2).is_contiguous()  # each layer's lies together, and in it each head's


def test_a_call_with_states_does_not_change_them() -> None:
    program = TorchProgram(incremental(shipped("gpt2")), dtype="float64")
    tokens = np.array([[1, 2, 3, 4]])
    stacks = {**program.run({"tokens": tokens}).states, "past": np.array([2])}
    before = {name: array.copy() for name, array in stacks.items()}
    program.run({"tokens": tokens[:, :1]}, states=stacks)
    assert all((stacks[name] == before[name]).all() for name in before)


def test_each_layer_is_given_its_part_as_a_view() -> None:
    source = generate_source(incremental(shipped("gpt2")))
    assert "for block, keys, values in zip(self.h, h_attn_keys.unbind(3), h_attn_values.unbind(3)):" in source
    assert source.count(".expand(") == 1, "all layers write at the same places"
    assert "keys = keys.scatter_(1, " in source
    assert "torch.stack" not in source


@pytest.mark.parametrize("what", ["repeats in repeats", "unrolled"])
def test_what_is_no_single_repeat_is_right_as_well(what: str) -> None:
    program = TorchProgram(incremental(model(BODIES[what])), dtype="float64")
    tokens = np.array([[1, 2, 3, 4]])
    whole = program.run({"tokens": tokens})["logits"]
    stacks = program.begin({"tokens": tokens})
    parts = []
    for start in (0, 2):
        found, stacks = program.advance({"tokens": tokens[:, start : start + 2]}, stacks, ["logits"])
        parts.append(found["logits"])
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, atol=1e-12)


def test_not_finite_parameters_are_read_on_too() -> None:
    """By the module without fused operators, which stacks its memories."""
    graph = incremental(shipped("gpt2"))
    program = TorchProgram(graph, dtype="float64")
    parameters = program.parameters()
    parameters["ln_f.shift"][0] = np.inf
    program.load(parameters)
    tokens = np.array([[1, 2, 3, 4]])
    whole = program.run({"tokens": tokens})["logits"]
    found, _ = program.advance({"tokens": tokens}, program.begin({"tokens": tokens}), ["logits"])
    np.testing.assert_array_equal(np.isfinite(found["logits"]), np.isfinite(whole))
