"""Every shipped model, small, laid out in the usual ways on up to sixteen simulated devices: the same outputs and
gradients as on one. `ATTNDSL_LAYOUTS=all` tries all layouts on each; else each has the one that divides the most, that
of experts, and one other."""

from __future__ import annotations

import os
from functools import cache

import pytest

from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_spec, shipped
from attndsl.elaborate.spec import Spec
from attndsl.graph import Graph
from attndsl.layouts import choose_layout
from attndsl.layouts.laid_out import lay_out
from attndsl.passes import optimize
from attndsl.running.inputs import example_inputs
from attndsl.verification.reducing import few_places, reduced
from tests.running.test_simulating import held, parameters_of

SMALL = {
    "vocab": 16, "source_vocab": 16, "codes": 16, "width": 16, "hidden": 16, "heads": 4, "kv_heads": 2, "labels": 4,
    "text_width": 16, "text_heads": 4, "text_hidden": 16, "n": 4, "top": 2, "groups": 2, "top_groups": 1, "depth": 2,
    "decoder_depth": 2, "text_depth": 2, "dense": 1, "head": 4, "expert_hidden": 8, "char_width": 4, "pattern": 2,
}  # fmt: skip
"""What is small, and can be divided; the rest is as small as it can be."""
OTHERWISE = {
    "gpt_neox": {"width": 32},
    "phi3": {"width": 64},
    "elmo": {"width": 8, "labels": 0, "highways": 1},
    "dvae": {"stages": 2},
}
DIVIDED = ("heads", "text_heads", "hidden", "text_hidden", "4*width", "expert_hidden", "vocab", "labels", "codes")
EXPERTS = {"mixtral": "expert", "deepseek_v3": "expert"}
LAYOUTS = {
    "data": "data=4; B on data; parameters whole",
    "parameters": "data=4; B on data",
    "model": "model=2; MODEL",
    "both": "data=2, model=2; B on data; MODEL",
    "sequence": "data=4, model=2; B on data; MODEL; T on model",
    "context": "data=2, context=2; B on data; T on context",
    "three": "data=4, context=2, model=2; B on data; T on context; MODEL",
    "experts": "data=2, experts=2; B on data; EXPERTS on experts",
}


@cache
def small(name: str) -> tuple[Spec, Graph]:
    spec = open_spec(name)
    known = elaborate(spec, {}).sizes
    wanted = {key: value for key, value in {**SMALL, **OTHERWISE.get(name, {})}.items() if key in known}
    return spec, reduced(spec, wanted, 4000)[0]


def written(text: str, name: str) -> str | None:
    """The layout for a model that has some of the axes; None where it has none."""
    spec, graph = small(name)

    def fits(text: str) -> bool:
        try:
            lay_out(graph, choose_layout(text, spec, graph))
        except AttnError as problem:
            return problem.diagnostics[0].code not in ("E1002", "E1004")
        return True

    axes = [axis for axis in DIVIDED if fits(f"model=2; {axis} on model")]
    text = text.replace("MODEL", f"{', '.join(axes)} on model").replace("EXPERTS", EXPERTS.get(name, "none"))
    return text if fits(text) else None


MOST = ("three", "experts")
REST = [layout for layout in LAYOUTS if layout not in MOST]
TRIED = [
    (name, layout)
    for number, name in enumerate(shipped())
    for layout in LAYOUTS
    if layout in MOST or layout == REST[number % len(REST)] or os.environ.get("ATTNDSL_LAYOUTS") == "all"
    if layout != "experts" or name in EXPERTS
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "layout"), TRIED)
def test_a_shipped_model_is_the_same_on_many_devices(name: str, layout: str) -> None:
    text = written(LAYOUTS[layout], name)
    if text is None:
        pytest.skip(f"{name} has no such axes")
    spec, graph = small(name)
    laid_out = lay_out(graph, choose_layout(text, spec, graph))
    rows = {size: 4 for size in ("B", "N", "T", "S") if size in graph.free_sizes}
    if name == "vit":
        rows |= {"Y": 1, "X": 3}  # with the token of the class they are four
    inputs = example_inputs(graph, few_places(graph, rows), seed=2)
    local = optimize(laid_out.graph)[0] if layout in ("data", "both") else None
    held(laid_out, inputs, parameters_of(graph), graph=local)


def test_those_that_could_be_divided_are() -> None:
    """Fast: nothing is run."""
    for name, axes in {"gpt2": "heads, 4*width, vocab", "llama": "heads, hidden, vocab"}.items():
        assert written("model=2; MODEL", name) == f"model=2; {axes} on model"
