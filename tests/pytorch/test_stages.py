"""Layers in stages in torch, on processes that meet over gloo: what the reference gives of all, and its gradients."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from attndsl.elaborate import elaborate, open_text
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
