"""How the matrices of a program that reads texts on lie in memory: what nobody sees but the kernels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from attndsl.backends.pytorch.layouts import BY_INPUT, BY_OUTPUT, FEW_ROWS, OTHERS, POWERS, kind_of, lying
from attndsl.backends.pytorch.program import TorchProgram
from attndsl.passes.incremental import incremental
from attndsl.running.machine import PIN
from attndsl.running.reader import Reader
from tests.passes.test_incremental import shipped

pytestmark = pytest.mark.torch


def reading(rows: int) -> tuple[TorchProgram, Reader]:
    """A small GPT-2 whose layers have 8 and 32 outputs, and whose table has 11 words."""
    program = TorchProgram(incremental(shipped("gpt2")), seed=3)
    return program, Reader(program, "tokens", "logits", 8, rows=rows)


@pytest.mark.parametrize(("rows", "table"), [(1, (1, 11)), (FEW_ROWS, (1, 11)), (FEW_ROWS + 1, (8, 1))])
def test_matrices_lie_as_they_are_read_the_fastest(rows: int, table: tuple[int, int]) -> None:
    program, _ = reading(rows)
    named = dict(program.module.named_parameters())
    assert named["wte.table"].stride() == table
    assert named["wpe.table"].stride() == (8, 1), "no product reads it"
    assert named["h.1.mlp.up.weight"].stride() == (1, 8)
    assert named["h.1.mlp.down.weight"].stride() == (1, 32)


def test_what_lies_otherwise_says_the_same() -> None:
    program, reader = reading(1)
    before = TorchProgram(program.graph, seed=3)
    for address, array in before.parameters().items():
        np.testing.assert_array_equal(program.parameters()[address], array, address)
    before.held.lay = lambda rows: None  # type: ignore[method-assign]
    other = Reader(before, "tokens", "logits", 8)
    for piece in ([1, 2, 3], [4], [5]):
        np.testing.assert_allclose(reader.read([piece]), other.read([piece]), rtol=1e-5, atol=1e-6)
    program.load(before.parameters())
    np.testing.assert_allclose(reader.read([[6]]), other.read([[6]]), rtol=1e-5, atol=1e-6)


def test_other_kernels_read_matrices_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PIN, "plain")
    program, _ = reading(1)
    for address, value in program.module.named_parameters():
        assert (value if ".table" in address or value.dim() == 1 else value.t()).is_contiguous(), address


def test_what_is_timed_is_the_same_matrix_in_both_orders() -> None:
    assert [kind_of(outputs) for outputs in (1, 768, 1024, 50257)] == [POWERS, OTHERS, POWERS, OTHERS]
    matrix = torch.arange(6.0).view(2, 3)
    for inner, stride in ((0, (1, 2)), (1, (3, 1))):
        assert torch.equal(lying(matrix, inner), matrix)
        assert lying(matrix, inner).stride() == stride
    for kind in (POWERS, OTHERS):
        samples = kind.samples()
        assert samples.keys() == {BY_INPUT, BY_OUTPUT}
        for run in samples.values():
            run()
