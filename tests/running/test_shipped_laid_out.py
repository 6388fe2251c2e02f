"""Every shipped model, small, laid out in the usual ways on up to sixteen simulated devices: the same outputs and
gradients as on one. `ATTNDSL_LAYOUTS=all` tries all layouts on each; else each has the one that divides the most, that
of experts, and one other."""

from __future__ import annotations

import os

import pytest

from attndsl.elaborate import shipped
from attndsl.layouts import choose_layout
from attndsl.layouts.laid_out import lay_out
from attndsl.passes import optimize
from attndsl.running.inputs import example_inputs
from tests.running.test_simulating import held, parameters_of
from tests.samples.shipped import EXPERTS, rows, small, written

LAYOUTS = {
    "data": "data=4; B on data; parameters whole",
    "parameters": "data=4; B on data",
    "model": "model=2; MODEL",
    "both": "data=2, model=2; B on data; MODEL",
    "sequence": "data=4, model=2; B on data; MODEL; T on model",
    "context": "data=2, context=2; B on data; T on context",
    "three": "data=4, context=2, model=2; B on data; T on context; MODEL",
    "experts": "data=2, experts=2; B on data; EXPERTS on experts",
    "rows by experts": "data=2, experts=2; B on data; B on experts; EXPERTS on experts",
    "experts on both": "data=2, context=2; B on data; T on context; EXPERTS on data; EXPERTS on context",
    "experts in stages": "stages=2, experts=2; LAYERS on stages; B on experts; EXPERTS on experts",
    "stages": "stages=2; LAYERS on stages in 4 microbatches",
    "stages of all": "data=2, stages=2, model=2; LAYERS on stages; B on data; MODEL",
}


OF_EXPERTS = ("experts", "rows by experts", "experts on both", "experts in stages")
MOST = ("three", *OF_EXPERTS, "stages")
REST = [layout for layout in LAYOUTS if layout not in MOST]
TRIED = [
    (name, layout)
    for number, name in enumerate(shipped())
    for layout in LAYOUTS
    if layout in MOST or layout == REST[number % len(REST)] or os.environ.get("ATTNDSL_LAYOUTS") == "all"
    if layout not in OF_EXPERTS or name in EXPERTS
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "layout"), TRIED)
def test_a_shipped_model_is_the_same_on_many_devices(name: str, layout: str) -> None:
    text = written(LAYOUTS[layout], name)
    if text is None:
        pytest.skip(f"{name} has no such axes")
    spec, graph = small(name)
    laid_out = lay_out(graph, choose_layout(text, spec, graph))
    inputs = example_inputs(graph, rows(name), seed=2)
    local = optimize(laid_out.graph)[0] if layout in ("data", "both") else None
    held(laid_out, inputs, parameters_of(graph), graph=local)


def test_those_that_could_be_divided_are() -> None:
    """Fast: nothing is run."""
    for name, axes in {"gpt2": "heads, 4*width, vocab", "llama": "heads, hidden, vocab"}.items():
        assert written("model=2; MODEL", name) == f"model=2; {axes} on model"
