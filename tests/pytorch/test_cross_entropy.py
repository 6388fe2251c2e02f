"""The chunked cross entropy of written modules: chunks, precisions, compiling, and what is asked of its gradients."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import count
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from attndsl.backends.pytorch.helpers import FUNCTIONS

NUMBERS = count(1)
ROWS, WIDTH, CLASSES = 7, 5, 11


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The helper, with chunks of two rows, whose products are added to two rows of the table's gradient at a time."""
    module = ModuleType(f"helper_{next(NUMBERS)}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    module.__dict__.update(torch=torch, F=F, Tensor=torch.Tensor)
    text = "\n".join(FUNCTIONS[name] for name in ("torch_operator", "linear", "linear_cross_entropy"))
    assert "2**24" in text
    assert "2**22" in text
    exec(text.replace("2**24", str(2 * CLASSES)).replace("2**22", str(2 * WIDTH)), module.__dict__)
    found: Callable[..., Any] = module.__dict__["linear_cross_entropy"]
    return found


def operands(dtype: torch.dtype = torch.float64, *, table: bool = True) -> dict[str, Any]:
    torch.manual_seed(3)
    matrix = torch.randn(CLASSES, WIDTH, dtype=dtype) if table else torch.randn(WIDTH, CLASSES, dtype=dtype).t()
    leaves = {"x": torch.randn(ROWS, WIDTH, dtype=dtype), "matrix": matrix, "bias": torch.randn(CLASSES, dtype=dtype)}
    leaves["share"] = torch.rand(ROWS, dtype=dtype) + 0.5
    counted = torch.tensor([True, False, True, True, False, True, True])
    return {name: value.requires_grad_() for name, value in leaves.items()} | {
        "target": torch.randint(CLASSES, (ROWS,)),
        "counted": counted,
    }


def given(of: dict[str, Any]) -> dict[str, Any]:
    return {**of, "matrix": of["matrix"].t()}


def plain(of: dict[str, Any], smoothing: float = 0.0, cap: float = 0.0) -> Any:
    logits = of["x"] @ of["matrix"].t() + of["bias"]
    logits = cap * torch.tanh(logits / cap) if cap else logits
    each = F.cross_entropy(logits, of["target"], reduction="none", label_smoothing=smoothing) * of["share"]
    return each.masked_fill(~of["counted"], 0).sum()


def gradients(loss: Any, of: dict[str, Any]) -> list[Any]:
    return list(torch.autograd.grad(loss, [of[name] for name in ("x", "matrix", "bias", "share")]))


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("options", [{}, {"smoothing": 0.2}, {"cap": 1.5}, {"smoothing": 0.1, "cap": 2.0}])
def test_chunks_of_rows_give_what_all_rows_give(lost, options, table):
    of = operands(table=table)
    found, meant = lost(**given(of), **options), plain(of, **options)
    torch.testing.assert_close(found, meant)
    for each, right in zip(gradients(3 * found, of), gradients(3 * meant, of), strict=True):
        torch.testing.assert_close(each, right)
        assert each.stride() == right.stride()


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("kernel", ["plain", "onednn"])
def test_every_kernel_gives_the_same(lost, kernel, table):
    of = operands(torch.float32, table=table)
    lost.__globals__["KERNELS"].update({"many rows": kernel})
    for mine, right in zip(gradients(lost(**given(of)), of), gradients(plain(of), of), strict=True):
        torch.testing.assert_close(mine, right)


def test_backward_again_gives_the_same(lost):
    of = operands()
    loss = lost(**given(of))
    first = torch.autograd.grad(2 * loss, [of["x"], of["matrix"]], retain_graph=True)
    kept = [each.clone() for each in first]
    with torch.no_grad():
        for each in first:
            each.zero_()  # they belong to who asked
    second = torch.autograd.grad(2 * loss, [of["x"], of["matrix"]])
    for each, right in zip(second, kept, strict=True):
        torch.testing.assert_close(each, right)


def test_what_needs_no_gradient_gets_none(lost):
    of = operands()
    of["matrix"] = of["matrix"].detach()
    assert torch.autograd.grad(lost(**given(of)), of["x"])[0].shape == (ROWS, WIDTH)
    with torch.no_grad():
        torch.testing.assert_close(lost(**given(of)), plain(of))


@pytest.mark.parametrize("counted", [torch.zeros(ROWS, dtype=torch.bool), None])
def test_no_rows(lost, counted):
    of = operands() | {"counted": counted}
    if counted is None:
        of |= {"x": of["x"][:0], "target": of["target"][:0], "share": None}
    loss = lost(**given(of))
    assert loss.item() == 0
    assert not torch.autograd.grad(loss, of["matrix"])[0].any()


@pytest.mark.parametrize("target", [-1, CLASSES])
def test_a_target_out_of_range_is_refused_counted_or_not(lost, target):
    of = operands()
    of["target"][1] = target
    with pytest.raises(IndexError, match="a target is out of range: there are 11 classes"):
        lost(**given(of))


def test_autocast_multiplies_in_bfloat16_and_adds_up_in_float32(lost):
    of = operands(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = lost(**given(of))
        logits = F.linear(of["x"], of["matrix"], of["bias"])
        each = F.cross_entropy(logits.float(), of["target"], reduction="none") * of["share"]
    meant = each.masked_fill(~of["counted"], 0).sum()
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, meant)
    for each, right in zip(gradients(found, of), gradients(meant, of), strict=True):
        assert each.dtype == torch.float32
        torch.testing.assert_close(each, right, atol=0.02, rtol=0.02)


def test_a_narrow_module_gets_gradients_in_its_dtype(lost):
    of = operands(torch.bfloat16)
    found = lost(**given(of))
    assert found.dtype == torch.bfloat16
    assert [each.dtype for each in gradients(found, of)] == [torch.bfloat16] * 4


def test_it_compiles_whole(lost):
    of = operands(torch.float32)
    torch._dynamo.reset()
    found = torch.compile(lambda: lost(**given(of)), fullgraph=True, backend="aot_eager")()
    meant = plain(of)
    torch.testing.assert_close(found, meant)
    for each, right in zip(gradients(found, of), gradients(meant, of), strict=True):
        torch.testing.assert_close(each, right)
