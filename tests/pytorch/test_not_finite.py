"""Infinities and NaN mean the same on every path: fused or not, compiled or not, in the module by itself, and in
gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.graph import Graph
from attndsl.passes import optimize
from attndsl.running.inputs import example_inputs
from tests.std.meaning import written

pytestmark = pytest.mark.torch

Array = np.ndarray[Any, Any]

ADDED = """
model M {
  input q: [B, H, T, D]
  input k: [B, H, S, D]
  input mask: [B, S]
  weight = softmax(dot(q, k, over=D) / sqrt(D) + mask, over=S)
  output z = dot(weight, k, over=S)
}
"""
SHOWN = ADDED.replace("  weight =", "  output weight =")
MASKED = """
mask seen(valid: bool[B, S])(b in B, q, k) = valid[b, k] and k <= q
model M {
  input q: [B, H, T, D]
  input k: [B, H, S, D]
  input valid: bool[B, S]
  input mask: [B, S]
  weight = softmax(dot(q, k, over=D) / sqrt(D) + mask, over=S, where=seen(valid)[b=B, q=T, k=S])
  output z = dot(weight, k, over=S)
}
"""
FAMILY = """
model M {
  input x: [A, C]
  input seen: bool[A, C]
  output soft = softmax(x, over=C)
  output masked = softmax(x, over=C, where=seen)
  output logs = log_softmax(x, over=C)
  output sums = logsumexp(x, over=C)
}
"""
EXTREMES = """
model M {
  input x: [A, C]
  input y: [A, C]
  output most = max(x, over=C)
  output least = min(x, over=C)
  output larger = maximum(x, y)
  output smaller = minimum(x, y)
  output chosen = where(x <= 0, 0, x)
  output positive = relu(x)
}
"""
ALONE = """
model M {
  input x: [A, C]
  output sums = logsumexp(x, over=C)
}
"""
LIKELIHOOD = """
model M {
  input x: [A, C]
  input target: int[A] where target < C
  output loss = cross_entropy(x, target, over=C)
  output each = logsumexp(x, over=C) - take(x, target, over=C)
}
"""
WRITTEN_OUT = """
model M {
  input x: [A, C]
  output quotient = exp(x) / sum(exp(x), over=C)
  output back = exp(log_softmax(x, over=C))
  output forth = log(softmax(x, over=C))
  output apart = x - logsumexp(x, over=C)
}
"""
LOW = """
mask past(q, k) = k <= q
model M {
  input q: [B, T, D]
  input k: [B, S, D]
  input v: [B, S, D]
  output chosen = dot(softmax(where(past[q=T, k=S], dot(q, k, over=D), -1e9), over=S), v, over=S)
  output added = dot(softmax(dot(-q, k, over=D) + where(past[q=T, k=S], 0, -1e9), over=S), v, over=S)
}
"""
NORMS = """
model M(C=4) {
  input x: [A, C]
  output layer = layer_norm(x)
  output rms = rms_norm(x)
  output bent = gelu(x) + silu(x)
}
"""
POWERS = """
model M {
  input x: [A, C]
  output roots = x ^ 0.5
  output inverse = x ^ -0.5
  output squares = x ^ 2
}
"""
TWICE = """
model M {
  input x: [A, C]
  input y: [A, C]
  output one = x * y
  output other = x * y
}
"""
TEXTS = {
    "added": ADDED,
    "shown": SHOWN,
    "masked": MASKED,
    "softmax family": FAMILY,
    "extremes": EXTREMES,
    "alone": ALONE,
    "likelihood": LIKELIHOOD,
    "norms": NORMS,
    "powers": POWERS,
    "written out": WRITTEN_OUT,
    "a low constant": LOW,
    "twice": TWICE,
}
INEXACT = (
    "written out",
    "a low constant",
    "twice",
)  # the passes make of these what differs where something is not finite


def strewn(graph: Graph, values: tuple[float, ...], seed: int = 0) -> dict[str, Array]:
    """Examples with these values strewn over the floats, the first row of each a row of nothing but -inf."""
    arrays, draw = example_inputs(graph, dict.fromkeys(graph.free_sizes, 4)), np.random.default_rng(seed)
    for name, array in arrays.items():
        if array.dtype.kind == "f":
            arrays[name] = np.where(draw.random(array.shape) < 0.15, draw.choice(values, array.shape), array)
            if name in ("mask", "x"):
                arrays[name][0] = -np.inf
    return arrays


def assert_same(found: dict[str, Array], meant: dict[str, Array]) -> None:
    for name, array in meant.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-9, atol=1e-11, err_msg=name)


def outcomes(program: Any, inputs: dict[str, Array]) -> dict[str, Array]:
    outputs = program.run(inputs)
    cotangents = {name: np.linspace(-1, 2, array.size).reshape(array.shape) for name, array in outputs.items()}
    _, _, gradients = program.gradients(inputs, cotangents)
    return outputs | {f"gradient by {name}": array for name, array in gradients.items()}


@pytest.mark.parametrize("values", [(-np.inf,), (np.inf, -np.inf), (np.nan,)], ids=["-inf", "inf", "nan"])
@pytest.mark.parametrize("name", TEXTS)
def test_every_way_gives_the_same(name: str, values: tuple[float, ...]) -> None:
    from attndsl.backends.pytorch import TorchProgram

    graph = written(TEXTS[name])
    for seed in range(3):
        inputs = strewn(graph, values, seed)
        meant = outcomes(NumpyProgram(graph, dtype="float64"), inputs)
        assert_same(outcomes(NumpyProgram(optimize(graph, exact=True)[0], dtype="float64"), inputs), meant)
        for passes in (False, True):
            assert_same(outcomes(TorchProgram(graph, dtype="float64", passes=passes), inputs), meant)
        if name not in INEXACT:
            assert_same(outcomes(NumpyProgram(optimize(graph)[0], dtype="float64"), inputs), meant)
            assert_same(outcomes(TorchProgram(optimize(graph)[0], dtype="float64"), inputs), meant)


EMPTY = """
model M {
  input x: [A, C]
  input seen: bool[A, C]
  shown = where(seen, x, -1e39)
  output quotient = exp(shown) / sum(exp(shown), over=C)
  output back = exp(log_softmax(shown, over=C))
  output forth = log(softmax(shown, over=C))
}
"""


def test_a_row_that_a_constant_empties_stays_what_was_written() -> None:
    from attndsl.backends.pytorch import TorchProgram

    graph = written(EMPTY)
    inputs = example_inputs(graph, {"A": 3, "C": 4})
    inputs["seen"][0] = False
    meant = NumpyProgram(graph, dtype="float32").run(inputs)
    assert np.isnan(meant["quotient"][0]).all()
    assert np.isneginf(meant["forth"][0]).all()
    for program in (NumpyProgram(optimize(graph)[0], dtype="float32"), TorchProgram(graph, dtype="float32")):
        found = program.run(inputs)
        for name, array in meant.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", ["added", "masked", "softmax family"])
def test_compiled(name: str) -> None:
    from attndsl.backends.pytorch import TorchProgram

    graph = written(TEXTS[name])
    inputs = strewn(graph, (-np.inf, np.inf, np.nan))
    meant = NumpyProgram(graph, dtype="float64").run(inputs)
    assert_same(TorchProgram(graph, dtype="float64", compile=True).run(inputs), meant)


@pytest.mark.parametrize("name", ["added", "masked"])
def test_the_module_by_itself_knows_rows_with_nothing_to_attend_to(name: str) -> None:
    """A float mask of 0 and -inf, as others make it, with a row of nothing but -inf: zeros, and no gradient."""
    import torch

    from attndsl.backends.pytorch import TorchProgram
    from attndsl.backends.pytorch.arrays import to_tensor

    graph = written(TEXTS[name])
    program = TorchProgram(graph, dtype="float64")
    assert "scaled_dot_product_attention(" in program.source
    inputs = strewn(graph, (0.0,))
    assert np.isinf(inputs["mask"]).any()
    given = {key: to_tensor(array) for key, array in inputs.items()}
    floats = {key: tensor.double().requires_grad_() for key, tensor in given.items() if tensor.is_floating_point()}
    z = program.module(**{**given, **floats})["z"]
    assert not z[0].any()
    gradients = torch.autograd.grad(
        (z * torch.linspace(-1, 2, z.numel()).view_as(z).double()).sum(), [*floats.values()]
    )
    meant = outcomes(NumpyProgram(graph, dtype="float64"), inputs)
    found = {f"gradient by {key}": grad.numpy() for key, grad in zip(floats, gradients, strict=True)}
    for key, array in (found | {"z": z.detach().numpy()}).items():
        np.testing.assert_allclose(array, meant[key], rtol=1e-6, atol=1e-7, err_msg=key)


def test_what_the_parameters_hold_counts_too() -> None:
    """A NaN in the values' weights reaches every query, a causal kernel that skips the future or not."""
    from attndsl.backends.pytorch import TorchProgram

    graph = written("model M(width=4) {\n input x: [B, T, width]\n output y = attention(x, 2, mask=causal)\n}")
    parameters = NumpyProgram(graph, dtype="float64").parameters()
    parameters["attention.k.bias"][1] = -np.inf
    parameters["attention.v.weight"][0, 0] = np.inf
    inputs = example_inputs(graph, {"B": 1, "T": 3})
    meant = NumpyProgram(graph, dtype="float64", parameters=parameters).run(inputs)
    program = TorchProgram(graph, dtype="float64", parameters=parameters)
    assert_same(program.run(inputs), meant)
    program.load(NumpyProgram(graph, dtype="float64").parameters())
    assert np.isfinite(program.run(inputs)["y"]).all()


WHOLE_POWERS = "model M {\n input a: int[N]\n input b: int[N]\n output p = a ^ b\n output q = a // b\n}"


@pytest.mark.parametrize("b", [[1, 2, -2], [1, 0, 2]])
def test_what_whole_numbers_cannot_say_is_said_in_the_same_words(b: list[int]) -> None:
    from attndsl.backends.pytorch import TorchProgram
    from attndsl.diagnostics import AttnError

    graph = written(WHOLE_POWERS)
    inputs = {"a": np.array([1, 2, 3]), "b": np.array(b)}
    name = "p" if min(b) < 0 else "q"
    said = []
    for program in (NumpyProgram(graph), TorchProgram(graph), TorchProgram(graph, compile=True)):
        with pytest.raises(AttnError, match="E0805") as caught:
            program.run(inputs, [name])
        said.append(caught.value.diagnostics[0].message)
    assert said[0] == said[1]
