"""Shipped models by layouts, on processes that meet over gloo: losses and all gradients are those of one process."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.several import run_on_mesh

pytestmark = [pytest.mark.torch, pytest.mark.skipif(os.name != "posix", reason="needs fork")]

RULES = {"data": "B on data", "model": "heads, vocab, n on model"}
SPECS = ("gpt_nano", "mixtral:nano", "t5:nano", "clip:nano", "rnn_lm:nano", "vit:nano")


def layout_of(name: str, graph: Any, spec: Any, count: int) -> Any:
    """The rules of that name as far as the model has such axes; None where it has none, or they do not divide."""
    from attndsl.diagnostics import AttnError
    from attndsl.layouts import choose_layout

    axes, _, on = RULES[name].partition(" on ")
    rules = []
    for axis in axes.split(", "):
        try:
            choose_layout(f"{on}={count}; {axis} on {on}", spec, graph)
        except AttnError:
            continue
        rules.append(axis)
    return choose_layout(f"{on}={count}; {', '.join(rules)} on {on}", spec, graph) if rules else None


def differences(specs: tuple[str, ...], rank: int, mesh: Any) -> dict[str, float | str]:
    """By how much losses and gradients differ, at most, for each spec and layout; or why it is refused."""
    from torch.distributed.device_mesh import init_device_mesh

    from attndsl.backends.pytorch import TorchProgram
    from attndsl.diagnostics import AttnError
    from attndsl.elaborate import elaborate, open_spec
    from attndsl.layouts.laid_out import lay_out
    from attndsl.running.initial import initial_parameters
    from attndsl.running.inputs import example_inputs

    found: dict[str, float | str] = {}
    for name in specs:
        spec = open_spec(name)
        graph = elaborate(spec, {})
        inputs = example_inputs(graph, dict.fromkeys(graph.free_sizes, 4), seed=1)
        parameters = {address: array.astype(np.float64) for address, array in initial_parameters(graph)}
        scalars = [i.name for i in graph.own_outputs if i.value.type.is_float and not i.value.type.axes]
        ups = {output: np.ones(()) for output in scalars}
        told: dict[str, Any] = {"training": True, "seed": 1, "step": 2}
        right, slopes, _ = TorchProgram(graph, dtype="float64", parameters=parameters).gradients(inputs, ups, **told)
        for kind in RULES:
            layout = layout_of(kind, graph, spec, mesh.size())
            if layout is None:
                continue
            try:
                laid_out = lay_out(graph, layout)
                given = laid_out.local_inputs(inputs, rank)
            except AttnError as refused:
                found[f"{name} by {kind}"] = refused.diagnostics[0].code
                continue
            devices = init_device_mesh("cpu", (mesh.size(),), mesh_dim_names=layout.mesh.names)
            own = {a: array.copy() for a, array in laid_out.local_parameters(parameters, rank).items()}
            program = TorchProgram(laid_out.graph, dtype="float64", parameters=own, mesh=devices)
            losses, gradients, _ = program.gradients(given, ups, **told)
            wanted = laid_out.local_parameters(slopes, rank)
            apart = [float(np.abs(losses[output] - right[output])) for output in scalars]
            apart += [float(np.abs(gradients[a] - array).max(initial=0.0)) for a, array in wanted.items()]
            found[f"{name} by {kind}"] = max(apart)
    return found


@pytest.mark.slow
def test_as_one_process(tmp_path: Path) -> None:
    told = run_on_mesh((("all", 2),), tmp_path, partial(differences, SPECS), longest=240)
    for each in told:
        assert len(each) >= len(SPECS) + 3
        assert not {name: apart for name, apart in each.items() if isinstance(apart, str) or not apart < 1e-10}
