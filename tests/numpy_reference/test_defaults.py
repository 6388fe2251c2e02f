"""Inputs that are left out: the default stands for them, in values and in gradients."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.backends.numpy_reference.plan import plan
from attndsl.diagnostics import AttnError
from attndsl.ops import Exp, Given
from attndsl.running.inputs import example_inputs
from tests.elaborate.test_defaults import TAGGED
from tests.samples.graphs import GRAPHS
from tests.std.meaning import written

Array = np.ndarray[Any, Any]


def program(text: str) -> NumpyProgram:
    return NumpyProgram(written(text), dtype="float64", seed=3)


def test_leaving_out_is_giving_the_default() -> None:
    model = program(TAGGED)
    tokens = example_inputs(model.graph, {"B": 2, "T": 5})["tokens"]
    defaults = {
        "valid": np.ones((2, 5), bool),
        "place": np.broadcast_to(np.arange(5), (2, 5)),
        "segment": np.zeros((2, 5), int),
    }
    cotangents = {"y": np.random.default_rng(0).standard_normal((2, 5, 8))}
    values, gradients, _ = model.gradients({"tokens": tokens}, cotangents)
    for count in (1, 2, 3):
        for names in combinations(defaults, count):
            given = {"tokens": tokens, **{name: defaults[name] for name in names}}
            np.testing.assert_array_equal(model.run(given)["y"], values["y"])
            _, found, _ = model.gradients(given, cotangents)
            for address, gradient in gradients.items():
                np.testing.assert_array_equal(found[address], gradient)


def test_what_is_given_counts() -> None:
    """Against a model in which the input must be given."""
    model, strict = program(TAGGED), program(TAGGED.replace("optional = true", ""))
    inputs = example_inputs(model.graph, {"B": 2, "T": 6})
    inputs["valid"][1] = False  # a row with nothing to attend to
    np.testing.assert_array_equal(model.run(inputs)["y"], strict.run(inputs)["y"])
    ones = {**inputs, "valid": np.ones_like(inputs["valid"])}
    assert not np.array_equal(model.run(inputs)["y"], model.run(ones)["y"])
    del inputs["valid"]
    np.testing.assert_array_equal(model.run(inputs)["y"], strict.run(ones)["y"])


START = """
model M(width=3) {
  input x: [B, width]
  param start: [width] = normal(1.0)
  input state: [B, width] optional = exp(start)
  output y = x * state
}
"""


def test_the_gradient_flows_to_what_was_taken() -> None:
    model = program(START)
    x, state = np.arange(6.0).reshape(2, 3), np.full((2, 3), 2.0)
    upstream = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    _, by_parameter, by_input = model.gradients({"x": x, "state": state}, {"y": upstream})
    np.testing.assert_array_equal(by_parameter["start"], np.zeros(3))
    np.testing.assert_array_equal(by_input["state"], upstream * x)
    _, by_parameter, by_input = model.gradients({"x": x}, {"y": upstream})
    assert by_input.keys() == {"x"}
    np.testing.assert_allclose(by_parameter["start"], (upstream * x).sum(0) * np.exp(model.arrays["start"]))
    np.testing.assert_allclose(by_input["x"], upstream * np.exp(model.arrays["start"]))


def test_only_what_is_taken_is_computed() -> None:
    graph = written(START)
    state = next(info.value for info in graph.inputs if info.name == "state")
    for missing, expected in (((), False), ((state,), True)):
        found = plan(graph.body, graph.body.results, missing=missing)
        assert any(isinstance(step.node.op, Exp) for step in found.nodes) is expected
        assert any(isinstance(step.node.op, Given) for step in found.nodes)
        assert (state in found.reads) is not expected


def test_results_are_the_callers_own() -> None:
    model = program("model M { input x: [B]\n input w: [B] optional = x\n output y = w }")
    given = {"x": np.ones(3), "w": np.full(3, 2.0)}
    for inputs in (given, {"x": given["x"]}):
        model.run(inputs)["y"][:] = 7.0
    assert given["x"].tolist() == [1, 1, 1]
    assert given["w"].tolist() == [2, 2, 2]


def test_dump_by_the_inputs_name() -> None:
    model = program(TAGGED)
    inputs = example_inputs(model.graph, {"B": 1, "T": 3})
    for name in ("valid", "place", "segment"):
        np.testing.assert_array_equal(model.run(inputs, (), dump=[name])[name], inputs[name])
    tokens = {"tokens": inputs["tokens"]}
    assert model.run(tokens, (), dump=["valid"])["valid"].tolist() == [[True, True, True]]
    assert model.run(tokens, (), dump=["place"])["place"].tolist() == [[0, 1, 2]]


def test_bounds_are_checked_on_what_is_given() -> None:
    model = program(TAGGED)
    inputs = {"tokens": np.zeros((1, 3), int)}
    model.run(inputs)
    with pytest.raises(AttnError, match="E0801"):
        model.run({**inputs, "segment": np.full((1, 3), 2)})
    with pytest.raises(AttnError, match="E0802"):
        model.run({**inputs, "valid": np.ones((1, 4), bool)})
    with pytest.raises(AttnError, match="E0803"):
        model.run({"valid": np.ones((1, 3), bool)})


def test_a_default_from_an_optional_input() -> None:
    model = program(
        "model M { input x: [B]\n input a: [B] optional\n input b: [B] optional = a * 2\n output y = x + b }"
    )
    x, a, b = np.ones(2), np.full(2, 3.0), np.full(2, 5.0)
    assert model.run({"x": x, "a": a})["y"].tolist() == [7, 7]
    assert model.run({"x": x, "a": a, "b": b})["y"].tolist() == [6, 6]
    assert model.run({"x": x}) == {}
    with pytest.raises(AttnError, match="needs the input `a`"):
        model.run({"x": x}, ["y"])


def test_every_subset_of_the_sample_graph() -> None:
    """Leaving out one input is giving what `dump` shows for it."""
    graph = GRAPHS["defaults"]()
    model = NumpyProgram(graph, dtype="float64", seed=2)
    inputs = {k: v.astype("float64") if v.dtype == "float32" else v for k, v in example_inputs(graph).items()}
    optional = [info.name for info in graph.inputs if info.optional]
    for count in range(len(optional) + 1):
        for names in combinations(optional, count):
            left = {name: array for name, array in inputs.items() if name not in names}
            found = model.run(left, dump=names)
            explicit = {name: found[name] for name in names}
            np.testing.assert_array_equal(model.run({**left, **explicit})["y"], found["y"])


def test_a_size_that_only_an_optional_input_says() -> None:
    model = program("model M { input x: [B]\n input a: [N] optional\n output y = x\n output n = float(range(N)) }")
    assert model.run({"x": np.ones(2)}).keys() == {"y"}
    assert model.run({"x": np.ones(2), "a": np.ones(3)})["n"].tolist() == [0, 1, 2]
