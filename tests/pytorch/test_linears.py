"""The product of float32 matrices that a file writes: what `F.linear` says, by whichever kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

pytestmark = pytest.mark.torch
SHAPES = [(4,), (1, 4), (7, 4), (2, 3, 4), (40, 4), (0, 4), (2, 0, 4), (5, 0)]
CALLER = """
def caller(*operands):
    return linear(*operands).tanh()
"""


@pytest.fixture(params=["plain", "onednn"])
def linear(request: pytest.FixtureRequest) -> Callable[..., Any]:
    import torch
    import torch.nn.functional as F

    from attndsl.backends.pytorch.helpers import FUNCTIONS

    written: dict[str, Any] = {"torch": torch, "F": F, "Tensor": torch.Tensor, "__name__": "written"}
    exec("from __future__ import annotations\n" + FUNCTIONS["torch_operator"] + FUNCTIONS["linear"] + CALLER, written)
    written["KERNELS"].update(dict.fromkeys(written["KERNELS"], request.param))
    found: Callable[..., Any] = written["linear"]
    return found


def _operands(shape: tuple[int, ...], out: int = 3, *, out_first: bool = False, dtype: Any = None) -> list[Any]:
    import torch

    random = torch.Generator().manual_seed(1)
    kind = dtype or torch.float32
    x, bias = torch.randn(shape, generator=random, dtype=kind), torch.randn(out, generator=random, dtype=kind)
    weight = torch.randn(shape[-1], out, generator=random, dtype=kind)
    return [x, weight.t().contiguous() if out_first else weight.t(), bias]


@pytest.mark.parametrize("out_first", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients(linear: Callable[..., Any], shape: tuple[int, ...], out_first: bool) -> None:
    import torch
    import torch.nn.functional as F

    operands = [value.requires_grad_() for value in _operands(shape, out_first=out_first)]
    found, right = linear(*operands), F.linear(*operands)
    torch.testing.assert_close(found, right)
    upstream = torch.randn(right.shape, generator=torch.Generator().manual_seed(2))
    for mine, other in zip(
        torch.autograd.grad(found, operands, upstream), torch.autograd.grad(right, operands, upstream), strict=True
    ):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)], ids=str)
def test_gradients_of_what_is_asked_for_alone(linear: Callable[..., Any], wanted: tuple[int, ...]) -> None:
    import torch
    import torch.nn.functional as F

    operands = _operands((20, 4))
    for at in wanted:
        operands[at].requires_grad_()
    asked = [operands[at] for at in wanted]
    for mine, other in zip(
        torch.autograd.grad(linear(*operands).square().sum(), asked),
        torch.autograd.grad(F.linear(*operands).square().sum(), asked),
        strict=True,
    ):
        torch.testing.assert_close(mine, other)


def test_gradient_of_a_gradient(linear: Callable[..., Any]) -> None:
    import torch
    import torch.nn.functional as F

    narrow = [(value / 4).requires_grad_() for value in _operands((20, 4))]
    wide = [value.detach().double().requires_grad_() for value in narrow]

    def second(product: Callable[..., Any], operands: list[Any]) -> Any:
        first = torch.autograd.grad(product(*operands).tanh().sum(), operands, create_graph=True)
        return torch.autograd.grad(sum(value.square().sum() for value in first), operands)

    for mine, right in zip(second(linear, narrow), second(F.linear, wide), strict=True):
        torch.testing.assert_close(mine.double(), right, rtol=1e-5, atol=1e-5)


def test_whatever_lies_otherwise_in_memory(linear: Callable[..., Any]) -> None:
    import torch
    import torch.nn.functional as F

    x, weight, bias = _operands((6, 5, 4))
    for other in (x.transpose(0, 1), x[:, ::2], x[1:, 3], x[:, :1].expand(6, 5, 4), x.flip(0), x.mT.contiguous().mT):
        torch.testing.assert_close(linear(other, weight), F.linear(other, weight))
        torch.testing.assert_close(linear(other, weight, bias), F.linear(other, weight, bias))
    for matrix in (torch.ones(6, 4)[::2], torch.ones(3, 8)[:, ::2], torch.ones(1, 4).expand(3, 4)):
        torch.testing.assert_close(linear(x, matrix, bias), F.linear(x, matrix, bias))


def test_onednn_is_given_whole_matrices(linear: Callable[..., Any]) -> None:
    """Parts of larger ones as a weight take it a thousand times as long."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Watch(TorchDispatchMode):
        weights: ClassVar[list[Any]] = []

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if ".product" in str(function):
                self.weights.append(args[1])
            return function(*args, **(kwargs or {}))

    x = torch.ones(8, 3, 4, requires_grad=True)
    whole, part = torch.ones(4, 3, requires_grad=True), torch.ones(4, 6, requires_grad=True)
    with Watch():
        Watch.weights.clear()
        (linear(x[:, 1], part[:, :3].t()) + linear(x[:, 2], whole.t())).sum().backward()
    assert bool(Watch.weights) == (linear.__globals__["KERNELS"]["one row"] == "onednn")  # type: ignore[attr-defined]
    assert all(weight.is_contiguous() or weight.t().is_contiguous() for weight in Watch.weights)
    assert torch.equal(whole.grad, part.grad[:, :3])


def test_other_precisions_are_left_to_torch(linear: Callable[..., Any]) -> None:
    import torch

    for dtype in (torch.float64, torch.bfloat16):
        assert linear(*_operands((20, 4), dtype=dtype)).dtype == dtype
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert linear(*_operands((20, 4))).dtype == torch.bfloat16
    assert linear(*(value.to("meta") for value in _operands((20, 4)))).shape == (20, 3)
    assert linear(*_operands((20, 4))).dtype == torch.float32


def test_compiled(linear: Callable[..., Any]) -> None:
    import torch

    operands = [value.requires_grad_() for value in _operands((20, 4))]
    caller = linear.__globals__["caller"]  # type: ignore[attr-defined]
    compiled = torch.compile(caller, fullgraph=True, backend="aot_eager")
    found, right = compiled(*operands), linear(*operands).tanh()
    torch.testing.assert_close(found, right)
    for mine, other in zip(
        torch.autograd.grad(found.sum(), operands), torch.autograd.grad(right.sum(), operands), strict=True
    ):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("gradient", [False, True])
def test_activations(linear: Callable[..., Any], gradient: bool) -> None:
    import torch

    operands = _operands((20, 4))
    activations = linear.__globals__["ACTIVATIONS"]  # type: ignore[attr-defined]
    for act, (_, _, afterwards) in activations.items():
        with torch.set_grad_enabled(gradient):
            torch.testing.assert_close(linear(*operands, act=act), afterwards(linear(*operands)))


SPELLINGS = {"gelu": "gelu", "gelu_tanh": "gelu_tanh", "silu": "silu", "relu": "relu"}


@pytest.mark.parametrize("act", SPELLINGS)
def test_an_activation_becomes_a_part_of_the_layer_before_it(act: str) -> None:
    import numpy as np

    from attndsl.backends.numpy_reference import NumpyProgram
    from attndsl.backends.pytorch import TorchProgram
    from attndsl.elaborate import elaborate, open_text

    text = f"model M(width=8) {{ input x: [T, width]\n output y = x |> mlp(3 * width, act={act}) as mlp }}"
    graph = elaborate(open_text(text), {})
    program = TorchProgram(graph, seed=1)
    assert f'self.mlp.up(x, act="{SPELLINGS[act]}")' in program.source
    x = {"x": np.random.default_rng(1).standard_normal((5, 8), np.float32)}
    expected = NumpyProgram(graph, seed=1).run(x)["y"]
    np.testing.assert_allclose(program.run(x)["y"], expected, rtol=1e-5, atol=1e-6)


def test_what_is_read_elsewhere_too_stays_a_value_of_its_own() -> None:
    from attndsl.backends.pytorch import generate_source
    from attndsl.elaborate import elaborate, open_text

    text = "model M(width=8) { input x: [T, width]\n y = linear(x, width) as up\n output z = relu(y) + y }"
    assert "act=" not in generate_source(elaborate(open_text(text), {})).rpartition("class M(")[2]
