"""Group, instance and batch normalisation against `torch.nn`, values, gradients and running averages."""

from __future__ import annotations

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.diagnostics import AttnError
from tests.std.meaning import Array, drawn, written

SPEC = "model M(width=6) {{\n input x: [B, {places}width]\n output y = {call} as n\n}}\n"

pytestmark = pytest.mark.torch


def first(x: Array) -> Array:
    """Channels first, as torch has them."""
    return np.ascontiguousarray(np.moveaxis(x, -1, 1))


def theirs(module, x: Array, cotangent: Array):  # type: ignore[no-untyped-def]
    """The result of a module of torch's, and the gradient for x, channels last."""
    import torch

    given = torch.tensor(first(x), requires_grad=True)
    y = module(given)
    (y * torch.tensor(first(cotangent))).sum().backward()
    return tuple(np.moveaxis(each.detach().numpy(), 1, -1) for each in (y, given.grad))


CASES = ["group_norm(x, 1)", "group_norm(x, 3)", "group_norm(x, 6, affine=false)", "instance_norm(x)",
         "instance_norm(x, eps=0.1, affine=true)"]  # fmt: skip


@pytest.mark.parametrize("places", [(5,), (4, 3)], ids=["sequence", "image"])
@pytest.mark.parametrize("call", CASES)
def test_norms_within_a_row(call: str, places: tuple[int, ...]) -> None:
    import torch
    from torch import nn

    from attndsl.comparison import compare

    groups = int(call[14]) if "group" in call else 6
    affine = ("affine=true" in call) or ("group" in call and "affine=false" not in call)
    module = nn.GroupNorm(groups, 6, eps=0.1 if "0.1" in call else 1e-5, affine=affine).double()
    weights = {"n.scale": drawn(6, seed=1), "n.shift": drawn(6, seed=2)} if affine else {}
    if affine:
        module.load_state_dict({"weight": torch.tensor(weights["n.scale"]), "bias": torch.tensor(weights["n.shift"])})
    graph = written(SPEC.format(places="T, " if len(places) == 1 else "Y, X, ", call=call))
    x = drawn(2, *places, 6) + 3
    cotangent = drawn(2, *places, 6, seed=9)
    expected, gradient = theirs(module, x, cotangent)
    program = NumpyProgram(graph, dtype="float64", parameters=weights)
    outputs, by_parameter, by_input = program.gradients({"x": x}, {"y": cotangent})
    np.testing.assert_allclose(outputs["y"], expected, atol=1e-12)
    np.testing.assert_allclose(by_input["x"], gradient, atol=1e-11)
    if affine:
        np.testing.assert_allclose(by_parameter["n.scale"], module.weight.grad.numpy(), atol=1e-11)
        np.testing.assert_allclose(by_parameter["n.shift"], module.bias.grad.numpy(), atol=1e-11)
    assert compare(graph, inputs={"x": x}, weights=weights, gradients=True, dtype="float64").ok


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("places", [(), (5,), (4, 3)], ids=["vectors", "sequence", "image"])
def test_batch_norm(places: tuple[int, ...], backend: str) -> None:
    """Two batches in training, whose averages are then used in evaluation."""
    import torch
    from torch import nn

    from attndsl.running import backends

    module = {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d}[len(places)](6, eps=1e-3, momentum=0.3).double()
    weights = {"n.scale": drawn(6, seed=1), "n.shift": drawn(6, seed=2)}
    with torch.no_grad():
        module.weight.copy_(torch.tensor(weights["n.scale"]))
        module.bias.copy_(torch.tensor(weights["n.shift"]))
    text = SPEC.format(places=("", "T, ", "Y, X, ")[len(places)], call="batch_norm(x, eps=1e-3, momentum=0.3)")
    program = backends.find(backend).program(written(text), parameters=weights, dtype="float64")
    states = None
    for seed in range(2):
        x, cotangent = drawn(4, *places, 6, seed=seed) + 2, drawn(4, *places, 6, seed=9)
        expected, gradient = theirs(module, x, cotangent)
        found = program.run({"x": x}, states=states, training=True)
        states = found.states
        np.testing.assert_allclose(found["y"], expected, atol=1e-12)
        for name in ("running_mean", "running_var"):
            np.testing.assert_allclose(states[f"n.{name}"], getattr(module, name).numpy(), atol=1e-12)
        by_input = program.gradients({"x": x}, {"y": cotangent}, training=True)[2]
        np.testing.assert_allclose(by_input["x"], gradient, atol=1e-11)
    module.eval()
    expected, _ = theirs(module, x, cotangent)
    found = program.run({"x": x}, states=states)
    np.testing.assert_allclose(found["y"], expected, atol=1e-12)
    assert {k: v.tolist() for k, v in found.states.items()} == {k: v.tolist() for k, v in states.items()}


def test_a_single_row_leaves_finite_averages() -> None:
    program = NumpyProgram(written(SPEC.format(places="", call="batch_norm(x)")))
    found = program.run({"x": drawn(1, 6).astype("float32")}, training=True)
    assert np.isfinite(found.states["n.running_var"]).all()


@pytest.mark.parametrize(
    ("call", "code"),
    [("group_norm(x, 4)", "E0212"), ("group_norm(x, width, 2)", "E0210"), ("batch_norm(x, momentum=0)", "E0210")],
)
def test_what_does_not_fit(call: str, code: str) -> None:
    with pytest.raises(AttnError) as caught:
        written(SPEC.format(places="T, ", call=call))
    assert [d.code for d in caught.value.diagnostics] == [code]
