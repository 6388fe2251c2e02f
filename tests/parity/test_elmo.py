"""What a task learns of ELMo: the weights of its layers, which no loss of a language model depends on; and what the
published number of parameters counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attndsl.elaborate import load
from tests.parity.harness import ALLOWED, BACKENDS, Trial, families, tensors_of

FAMILY = next(family for family in families() if family.name == "elmo")


@pytest.mark.torch
@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_of_the_mix_agree(backend: str, tmp_path: Path) -> None:
    import torch

    trial = Trial(FAMILY, FAMILY.configs["not clipped"], tmp_path)
    program, oracle = trial.program(backend, "float64"), trial.oracle.double()
    for patch in FAMILY.patches:
        patch.mend(oracle)
    batch = {name: trial.batches["long words"][name] for name in ("characters", "valid")}
    found = FAMILY.ask(oracle, tensors_of(batch, "float64"))["mix"]
    seed = np.random.default_rng(0).standard_normal(found.shape)
    oracle.zero_grad()
    found.backward(torch.from_numpy(seed))
    _, gradients, _ = program.gradients(batch, {"mix": seed})
    assert np.ptp(gradients["scalar_mix.weight"]) > 1e-3
    for name in ("weight", "gamma"):
        theirs = oracle.mix.get_parameter(name).grad.numpy()
        np.testing.assert_allclose(gradients[f"scalar_mix.{name}"], theirs, rtol=0, atol=ALLOWED["float64"])
    theirs = oracle.embedding.weight.grad.numpy()
    np.testing.assert_allclose(gradients["character.table"], theirs, rtol=0, atol=ALLOWED["float64"])


def test_what_the_published_number_counts() -> None:
    """Everything up to the last layer, in both directions; neither a task's weights nor the softmax over words."""
    published = load("elmo").parameter_count
    assert published == 93_600_864
    assert load("elmo", {"mixed": True}).parameter_count == published + 3 + 1
    assert load("elmo", {"vocab": 1000}).parameter_count == published + 512 * 1000 + 1000


def test_words_are_at_least_as_long_as_the_widest_filter() -> None:
    from attndsl.backends.numpy_reference import NumpyProgram
    from attndsl.diagnostics import AttnError

    graph = load("elmo:nano", {"hidden": 4, "width": 2, "vocab": 3})
    program = NumpyProgram(graph)
    assert program.run({"characters": np.zeros((1, 2, 4), np.int64)})["mix"].shape == (1, 2, 4)
    with pytest.raises(AttnError, match="the widest filter"):
        program.run({"characters": np.zeros((1, 2, 3), np.int64)})
