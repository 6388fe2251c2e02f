"""A module is made for its parameters' shapes, and trained, without what torch loads slowly."""

from __future__ import annotations

import subprocess
import sys

import attndsl
from attndsl.backends.pytorch import TorchProgram

HEAVY = ("torch._dynamo", "torch._inductor", "sympy")
SPECS = ("gpt_nano", "bert:nano", "rnn_lm:nano", "deepseek_v3:nano", "vit:nano", "clip:nano", "transformer_xl:nano")

SCRIPT = f"""
import sys
import attndsl
from attndsl.backends.pytorch import TorchProgram
from attndsl.backends.pytorch.trainer import TorchTrainer
from attndsl.recipe.recipe import Recipe
from attndsl.running.inputs import example_inputs
import numpy as np
for name in {SPECS}:
    TorchProgram(attndsl.load(name).graph)
graph = attndsl.load("gpt_nano").graph
TorchProgram(graph).run({{"tokens": np.zeros((1, 4), int)}}, ["logits"])
trainer = TorchTrainer(graph, Recipe(seed=1))
trainer.step([example_inputs(graph, {{"B": 1, "T": 4}}, seed=1)], 0)
print([name for name in {HEAVY} if name in sys.modules])
"""


def test_neither_torchs_compiler_nor_its_algebra_is_loaded() -> None:
    """They take longer to load than a small model takes to be read, compiled, run, and trained for a step."""
    found = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert found.stdout.split("\n")[0] == "[]"


def test_parameters_have_their_shapes() -> None:
    for name in SPECS[:3]:
        program = TorchProgram(attndsl.load(name).graph)
        shapes = {address: tuple(value.shape) for address, value in program.module.named_parameters()}
        assert shapes == {address: array.shape for address, array in program.parameters().items()}
        assert not any(value.is_meta for value in program.module.parameters())
