"""A module is made for its parameters' shapes without what torch loads slowly."""

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
import numpy as np
for name in {SPECS}:
    TorchProgram(attndsl.load(name).graph)
TorchProgram(attndsl.load("gpt_nano").graph).run({{"tokens": np.zeros((1, 4), int)}}, ["logits"])
print([name for name in {HEAVY} if name in sys.modules])
"""


def test_neither_torchs_compiler_nor_its_algebra_is_loaded() -> None:
    """They take longer to load than a small model takes to be read, compiled and run."""
    found = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert found.stdout.split("\n")[0] == "[]"


def test_parameters_have_their_shapes() -> None:
    for name in SPECS[:3]:
        program = TorchProgram(attndsl.load(name).graph)
        shapes = {address: tuple(value.shape) for address, value in program.module.named_parameters()}
        assert shapes == {address: array.shape for address, array in program.parameters().items()}
        assert not any(value.is_meta for value in program.module.parameters())
