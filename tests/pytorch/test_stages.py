"""Layers in stages in torch, on processes that meet over gloo: what the reference gives of all, and its gradients."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from attndsl.backends.pytorch.collective_helpers import COLLECTIVE_FUNCTIONS
from attndsl.elaborate import elaborate, open_text
from attndsl.graph import Graph
from attndsl.layouts import choose_layout
from attndsl.layouts.laid_out import LaidOut, lay_out
from attndsl.running import backends
from attndsl.running.initial import initial_parameters
from attndsl.running.inputs import example_inputs
from attndsl.running.simulating import local_cotangents, put_together
from tests.samples.staged import IN_STAGES, STAGED
from tests.training.crew import Crew, on_mesh

pytestmark = [pytest.mark.torch, pytest.mark.skipif(os.name != "posix", reason="needs fork")]

LAYOUT = IN_STAGES[-1]
NARROW = {"left by what is emitted alone": ("y", "z"), "one name throughout": ()}
"""Samples that are computed under autocast, with those of their outputs that layers emit."""


def laid(name: str) -> LaidOut:
    spec = open_text(STAGED[name])
    graph = elaborate(spec, {})
    return lay_out(graph, choose_layout(LAYOUT, spec, graph))


def given(laid_out: LaidOut) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Inputs, parameters, and a cotangent for each output."""
    graph, draw = laid_out.whole, np.random.default_rng(3)
    inputs = example_inputs(graph, {"B": 8}, seed=2)
    parameters = {name: array.astype("float64") for name, array in initial_parameters(graph, 1)}
    outputs = backends.reference().program(graph, dtype="float64", parameters=parameters).run(inputs)
    return inputs, parameters, {name: draw.standard_normal(array.shape) for name, array in outputs.items()}


def on_torch(rank: int, mesh: Any) -> dict[tuple[str, bool], Any]:
    from attndsl.backends.pytorch import TorchProgram

    found = {}
    for name in STAGED:
        laid_out = laid(name)
        inputs, parameters, ups = given(laid_out)
        own = laid_out.local_parameters(parameters, rank)
        for recompute in (False, True):
            program = TorchProgram(laid_out.graph, dtype="float64", parameters=own, mesh=mesh, recompute=recompute)
            found[name, recompute] = program.gradients(
                laid_out.local_inputs(inputs, rank), local_cotangents(laid_out, ups, rank)
            )
    return found


def in_bfloat16(graph: Graph, inputs: dict[str, Any], parameters: dict[str, Any], mesh: Any = None) -> dict[str, Any]:
    """What is computed under autocast; its gradients go back."""
    import torch

    from attndsl.backends.pytorch import TorchProgram
    from attndsl.backends.pytorch.autocast import mixed

    program = TorchProgram(graph, dtype="float32", parameters=parameters, mesh=mesh)
    with mixed("bfloat16", torch.device("cpu")):
        made: dict[str, Any] = program.module(**program.tensors(inputs))
    sum(tensor.float().sum() for tensor in made.values()).backward()
    assert all(each.grad is not None for each in program.module.parameters())
    return {name: tensor.detach() for name, tensor in made.items()}


def on_torch_in_bfloat16(rank: int, mesh: Any) -> dict[str, tuple[dict[str, str], dict[str, Any]]]:
    found = {}
    for name in NARROW:
        laid_out = laid(name)
        inputs, parameters, _ = given(laid_out)
        own = laid_out.local_parameters(parameters, rank)
        made = in_bfloat16(laid_out.graph, laid_out.local_inputs(inputs, rank), own, mesh)
        dtypes = {key: str(tensor.dtype) for key, tensor in made.items()}
        found[name] = dtypes, {key: tensor.float().numpy() for key, tensor in made.items()}
    return found


def test_a_stage_has_the_same_dtypes_whether_it_has_a_microbatch_or_not() -> None:
    """Devices send one another what they expect, and what layers emit under autocast is as wide as without stages."""
    with Crew(4) as crew:
        told = crew.run(on_mesh, laid(next(iter(NARROW))).layout.mesh.dimensions, on_torch_in_bfloat16)
    for name, emitted in NARROW.items():
        laid_out = laid(name)
        right = in_bfloat16(laid_out.whole, *given(laid_out)[:2])
        found = put_together(laid_out, [(each[name][1], {}, {}) for each in told]).outputs
        for key, tensor in right.items():
            np.testing.assert_allclose(
                found[key], tensor.float().numpy(), rtol=0.03, atol=0.03, err_msg=f"{name}: {key}"
            )
        assert all(each[name][0][key] == str(right[key].dtype) for each in told for key in emitted)


def test_what_repeats_give_that_may_be_inactive_is_compiled_whole() -> None:
    """With a gradient in any case, whatever else there is: all devices are to go back by the same way."""
    import torch

    written: dict[str, Any] = {"torch": torch, "Tensor": torch.Tensor}
    for name in ("joined", "narrowest"):
        exec(COLLECTIVE_FUNCTIONS[name], written)

    def step(x: Any, active: bool) -> list[Any]:
        given, zeros = x, torch.zeros(2, dtype=written["narrowest"](x.dtype, x.device))
        x = torch.tanh(x @ x) if active else x
        return [written["joined"](x.to(given.dtype), given, given), written["joined"](zeros)]

    compiled = torch.compile(step, fullgraph=True, backend="eager")
    for trained, active in ((False, False), (True, True), (True, False)):
        x = torch.eye(2, requires_grad=trained)
        with torch.autocast("cpu", torch.bfloat16):
            found = compiled(x, active)
        assert [tensor.dtype for tensor in found] == [torch.float32, torch.bfloat16]
        assert all(tensor.requires_grad for tensor in found)
        sum(tensor.float().sum() for tensor in found).backward()
        assert (x.grad is not None) == trained


def test_what_devices_do_together_is_compiled_whole() -> None:
    import torch

    written: dict[str, Any] = {"torch": torch, "Tensor": torch.Tensor}
    exec(COLLECTIVE_FUNCTIONS["together"], written)

    def step(x: Any, by: int) -> Any:
        return written["together"](torch.tanh(x), lambda x: x * by, lambda upstream: upstream * (by + 1)).sum()

    for backend in ("eager", "aot_eager"):
        x = torch.zeros(2, requires_grad=True)
        torch.compile(step, fullgraph=True, backend=backend)(x, 2).backward()
        assert x.grad is not None
        assert x.grad.tolist() == [3.0, 3.0]


def test_as_the_reference() -> None:
    with Crew(4) as crew:
        told = crew.run(on_mesh, laid(next(iter(STAGED))).layout.mesh.dimensions, on_torch)
    for name, recompute in told[0]:
        laid_out = laid(name)
        inputs, parameters, ups = given(laid_out)
        whole: Any = backends.reference().program(laid_out.whole, dtype="float64", parameters=parameters)
        found = put_together(laid_out, [each[name, recompute] for each in told])
        for here, right in zip(
            (found.outputs, found.gradients, found.by_input), whole.gradients(inputs, ups), strict=True
        ):
            for key, array in right.items():
                np.testing.assert_allclose(here[key], array, rtol=1e-10, atol=1e-12, err_msg=f"{name}: {key}")
