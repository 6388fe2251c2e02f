"""Whole graphs on the reference backend: values, gradients, what is selected, what is looked at inside."""

from __future__ import annotations

import weakref
from typing import Any, ClassVar

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.backends.numpy_reference.plan import plan
from attndsl.diagnostics import AttnError
from attndsl.graph import Graph, Type, Value
from attndsl.ops import Add, Mul, Neg, Op, Sum
from attndsl.running.inputs import example_inputs
from tests.samples.graphs import GRAPHS, GraphBuilder, decoder, repeat, scan
from tests.samples.ops import axes
from tests.std.meaning import written

STEP = 1e-5


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("sizes", [{}, {"B": 1, "T": 1}], ids=["small", "ones"])
def test_gradients_agree_with_differences(name: str, sizes: dict[str, int]) -> None:
    graph = GRAPHS[name]()
    program = NumpyProgram(graph, dtype="float64", seed=1)
    inputs = example_inputs(graph, {k: v for k, v in sizes.items() if k in graph.free_sizes}, seed=2)
    inputs = {name: array.astype("float64") if array.dtype == "float32" else array for name, array in inputs.items()}
    draw = np.random.default_rng(3)
    outputs = program.run(inputs)
    cotangents = {name: draw.standard_normal(array.shape) for name, array in outputs.items()}
    again, by_parameter, by_input = program.gradients(inputs, cotangents)
    for name_, array in outputs.items():
        np.testing.assert_array_equal(array, again[name_])
    assert by_parameter.keys() == program.arrays.keys()
    assert by_input.keys() == {i.name for i in graph.inputs if i.value.type.dtype == "float"}

    def total() -> float:
        found = program.run(inputs, tuple(cotangents))
        return sum(float((found[name] * cotangent).sum()) for name, cotangent in cotangents.items())

    leaves = [(program.arrays[a], g) for a, g in by_parameter.items()] + [(inputs[n], g) for n, g in by_input.items()]
    for array, gradient in leaves:
        assert gradient.shape == array.shape
        assert gradient.dtype == np.float64
        places = list(np.ndindex(array.shape))
        for place in [places[i] for i in draw.permutation(len(places))[:4]]:
            kept, expected = array[place], 0.0
            for sign in (1, -1):
                array[place] = kept + sign * STEP
                expected += sign * total() / (2 * STEP)
            array[place] = kept
            np.testing.assert_allclose(gradient[place], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", GRAPHS)
def test_single_precision_is_close_to_double(name: str) -> None:
    graph = GRAPHS[name]()
    inputs = example_inputs(graph)
    single, double = (NumpyProgram(graph, dtype=dtype, seed=5) for dtype in ("float32", "float64"))
    for address, array in single.arrays.items():
        np.testing.assert_array_equal(array, double.arrays[address])  # the same bits to start from
    precise = double.run(inputs)
    for output, array in single.run(inputs).items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, precise[output], rtol=2e-4, atol=2e-5)


def test_repeat_does_what_it_says() -> None:
    program = NumpyProgram(repeat(3), dtype="float64")
    x = np.random.default_rng(0).standard_normal((2, 3))
    found = program.run({"x": x})
    states = []
    for i in range(3):
        x = x + np.tanh(x @ program.arrays[f"h.{i}.w"]) * (1 + 0.1 * i) * program.arrays["shared"]
        states.append(x)
    np.testing.assert_allclose(found["final"], x)
    np.testing.assert_allclose(found["states"], np.stack(states, 1))  # float[B, depth, D]
    np.testing.assert_allclose(found["sums"], [state.sum() for state in states])


def test_a_stack_that_nothing_reads_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    program = NumpyProgram(repeat(3), dtype="float64")
    inputs = {"x": np.ones((2, 3))}
    every, of_all = program.run(inputs), program.gradients(inputs, {"final": np.ones((2, 3))})

    def refused(*arrays: object) -> None:
        raise AssertionError("a stack was made")

    monkeypatch.setattr(np, "stack", refused)
    np.testing.assert_array_equal(program.run(inputs, ["final"])["final"], every["final"])
    for found, right in zip(program.gradients(inputs, {"final": np.ones((2, 3))}), of_all, strict=True):
        assert found.keys() == right.keys()
        for name, array in right.items():
            np.testing.assert_array_equal(found[name], array, name)


def test_depth_zero_gives_back_what_was_carried() -> None:
    program = NumpyProgram(repeat(0), dtype="float64")
    x = np.ones((2, 3))
    found = program.run({"x": x})
    np.testing.assert_array_equal(found["final"], x)
    assert found["states"].shape == (2, 0, 3)
    _, parameters, inputs = program.gradients({"x": x}, {"final": x, "states": np.zeros((2, 0, 3))})
    assert parameters.keys() == {"shared"}
    assert not parameters["shared"].any()
    np.testing.assert_array_equal(inputs["x"], x)


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_does_what_it_says(reverse: bool) -> None:
    program = NumpyProgram(scan(reverse), dtype="float64")
    x = np.random.default_rng(0).standard_normal((2, 5, 3))
    expected = x
    for layer in range(2):
        recurrent, given = (program.arrays[f"h.{layer}.{name}"] for name in ("recurrent", "given"))
        state, states = np.zeros((2, 3)), np.empty_like(x)
        for t in reversed(range(5)) if reverse else range(5):
            state = np.tanh(np.tanh(state @ recurrent) + np.tanh(expected[:, t] @ given))
            states[:, t] = state
        expected = states
    np.testing.assert_allclose(program.run({"x": x})["y"], expected)


def test_what_an_output_does_not_need_is_not_run() -> None:
    graph = decoder()
    program = NumpyProgram(graph)
    inputs = example_inputs(graph)
    tokens = {"tokens": inputs["tokens"]}
    assert program.run(tokens).keys() == {"logits"}
    assert program.run(inputs).keys() == {"logits", "loss"}
    assert program.run(inputs, ["loss"]).keys() == {"loss"}
    with pytest.raises(AttnError, match=r"E0803.*the output `loss` needs the input `targets`"):
        program.run(tokens, ["loss"])
    with pytest.raises(AttnError, match=r"E0803.*there is no output `los`"):
        program.run(tokens, ["los"])


def test_parameters_without_influence_have_zero_gradients() -> None:
    program = NumpyProgram(GRAPHS["parameter_only"](), dtype="float64")
    x = np.ones((2, 3))
    _, parameters, inputs = program.gradients({"x": x}, {"w": np.full(3, 2.0)})
    np.testing.assert_array_equal(parameters["w"], [2, 2, 2])
    np.testing.assert_array_equal(parameters["unused"], [0, 0, 0])
    np.testing.assert_array_equal(inputs["x"], np.zeros((2, 3)))


def test_what_is_read_twice_gets_its_own_gradient() -> None:
    """The sum hands one array to both of its operands; a later share of the one is none of the other's."""
    b = GraphBuilder("shared")
    x, y = b.input("x", "float D"), b.input("y", "float D")
    twice = b.emit(Add(), x, x)
    total = b.emit(Mul(), b.emit(Add(), x, y), b.constant(3.0))
    b.output("z", b.emit(Add(), total, twice))
    ones = np.ones(2)
    _, _, found = NumpyProgram(b.graph(), dtype="float64").gradients({"x": ones, "y": ones}, {"z": ones})
    np.testing.assert_array_equal(found["x"], [5, 5])
    np.testing.assert_array_equal(found["y"], [3, 3])


def test_results_are_the_callers_own() -> None:
    program = NumpyProgram(GRAPHS["parameter_only"](), dtype="float64")
    kept = program.parameters()
    _, parameters, inputs = program.gradients({"x": np.ones((2, 3))}, {"w": np.ones(3), "y": np.ones((2, 3))})
    for array in (*program.run({"x": np.ones((2, 3))}).values(), *parameters.values(), *inputs.values()):
        array += 1
    for address, array in program.arrays.items():
        np.testing.assert_array_equal(array, kept[address])


def test_loss_and_gradients() -> None:
    graph = decoder()
    program = NumpyProgram(graph)
    inputs = example_inputs(graph)
    loss, gradients = program.loss_and_gradients(inputs, "loss", training=False)
    assert loss == pytest.approx(float(program.run(inputs)["loss"]))
    assert gradients.keys() == program.arrays.keys()
    for address, gradient in gradients.items():
        program.arrays[address] -= 0.1 * gradient
    assert program.run(inputs)["loss"] < loss
    with pytest.raises(AttnError, match="only a scalar can be minimised"):
        program.loss_and_gradients(inputs, "logits")


def test_dropout_follows_seed_and_step() -> None:
    graph = decoder(dropout=0.5)
    program = NumpyProgram(graph)
    inputs = example_inputs(graph)

    def loss(**options: object) -> float:
        return float(program.run(inputs, ["loss"], **options)["loss"])  # type: ignore[arg-type]

    trained = loss(training=True, seed=1, step=2)
    assert trained == loss(training=True, seed=1, step=2)
    assert len({trained, loss(training=True, seed=2, step=2), loss(training=True, seed=1, step=3), loss()}) == 4
    assert loss(seed=1) == loss(seed=2)
    assert program.loss_and_gradients(inputs, "loss", seed=1, step=2)[0] == trained


# ---------------------------------------------------------------- looking inside


def test_dump() -> None:
    program = NumpyProgram(repeat(3), dtype="float64")
    x = np.ones((2, 3))
    found = program.run({"x": x}, ["final"], dump=["h.1.sum", "h.2.sum"])
    assert found.keys() == {"final", "h.1.sum", "h.2.sum"}
    np.testing.assert_array_equal(found["h.2.sum"], found["final"])
    np.testing.assert_array_equal(found["h.1.sum"], program.run({"x": x})["states"][:, 1])
    only = program.run({"x": x}, [], dump=["h.1.sum"])
    np.testing.assert_array_equal(only["h.1.sum"], found["h.1.sum"])


def test_dump_in_nested_loops() -> None:
    program = NumpyProgram(GRAPHS["repeat_nested"](), dtype="float64")
    found = program.run({"x": np.ones((2, 3))}, dump=["h.1.g.2.sum", "h.0.g.0.sum", "h.0.g.0.w", "x"])
    np.testing.assert_array_equal(found["h.1.g.2.sum"], found["y"])
    np.testing.assert_array_equal(found["h.0.g.0.w"], program.arrays["h.0.g.0.w"])
    np.testing.assert_array_equal(found["x"], np.ones((2, 3)))
    program = NumpyProgram(scan(), dtype="float64")
    found = program.run({"x": np.ones((2, 4, 3))}, dump=["h.1.state"])
    np.testing.assert_array_equal(found["h.1.state"], found["y"][:, -1])  # the last step's


def test_dump_of_an_unknown_address() -> None:
    program = NumpyProgram(repeat(3))
    for address in ("h.3.sum", "h.1.sun"):
        with pytest.raises(AttnError, match=f"E0808.*no value has the address `{address}`") as problem:
            program.run({"x": np.ones((2, 3))}, dump=[address])
        assert "`h.0.sum`" in problem.value.diagnostics[0].helps[0]


def test_dump_names_the_input_that_it_lacks() -> None:
    b = GraphBuilder("Optional", D=3)
    x, z = b.input("x", "float D"), b.input("z", "float D", optional=True)
    b.emit(Mul(), x, z, names=("product",))
    b.output("y", b.emit(Neg(), x))
    program = NumpyProgram(b.graph())
    with pytest.raises(AttnError, match="the input `z` is needed for this, and is not given"):
        program.run({"x": np.ones(3, np.float32)}, dump=["product"])


# ---------------------------------------------------------------- parameters


def test_load_and_parameters() -> None:
    program, other = (NumpyProgram(decoder(), seed=seed) for seed in (1, 2))
    inputs = example_inputs(program.graph)
    assert not np.array_equal(program.run(inputs)["logits"], other.run(inputs)["logits"])
    given = program.parameters()
    other.load(given)
    np.testing.assert_array_equal(program.run(inputs)["logits"], other.run(inputs)["logits"])
    given["wte.table"] += 1
    np.testing.assert_array_equal(program.run(inputs)["logits"], other.run(inputs)["logits"])


def test_load_refuses_all_or_nothing() -> None:
    program = NumpyProgram(repeat(2))
    before = program.parameters()
    given = program.parameters()
    given["shared"] = np.zeros(4)
    given["h.1.v"] = given.pop("h.1.w")
    with pytest.raises(AttnError) as problem:
        program.load(given)
    assert [d.message for d in problem.value.diagnostics] == [
        "the parameter `h.1.w` is missing",
        "the parameter `shared` is [4], and must be [3]",
        "there is no parameter `h.1.v`",
    ]
    assert {d.code for d in problem.value.diagnostics} == {"E0807"}
    for address, array in program.arrays.items():
        np.testing.assert_array_equal(array, before[address])


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(AttnError, match="no precision `bfloat16`: it computes in float32 and float64"):
        NumpyProgram(repeat(1), dtype="bfloat16")


# ---------------------------------------------------------------- the plan


def test_plan_runs_what_is_needed_and_forgets_what_is_dead() -> None:
    graph = decoder()
    logits = graph.outputs[0].value
    whole, part = (plan(graph.body, [o.value for o in graph.outputs]), plan(graph.body, [logits]))
    assert len(list(part.nodes)) < len(list(whole.nodes)) == len(graph.body.nodes)
    tokens, targets = (info.value for info in graph.inputs)
    assert tokens in part.reads
    assert targets not in part.reads
    assert targets in whole.reads
    made, dead = set(whole.reads), set()
    for step in whole.nodes:
        assert made.issuperset(step.node.inputs)
        made.update(step.node.outputs)
        assert not dead.intersection(step.node.inputs)
        dead.update(step.dead)
    assert dead == made - {o.value for o in graph.outputs}


def test_what_a_body_makes_for_nobody_is_not_computed() -> None:
    """An int to a negative power is an error where it is computed, which nothing here asks for."""
    text = """
model M(depth=2) {
  input x: [B]
  input n: int[B]
  bad = float(n ^ (-n))
  read, unread = repeat i in depth {
    unread = bad + 1
    x += 1
    emit x, x * bad
  }
  output fine = sum(read, over=depth)
}
"""
    program = NumpyProgram(written(text))
    found = program.run({"x": np.ones(2), "n": np.array([2, 3])})
    np.testing.assert_array_equal(found["fine"], [5, 5])


def test_the_gradient_of_a_scan_takes_time_in_proportion_to_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that its operators hand back and the tape adds up, in bytes."""
    text = """
model M {
  input x: [B, T, D]
  input w: [T, D]
  states = scan t in T with s: [B, D] = 0.0 {
    s = tanh(s + x[T=t] * w[T=t])
    emit s
  }
  output y = states
}
"""
    program, handled = NumpyProgram(written(text)), [0]

    def counting(function: Any) -> Any:
        def count(*arguments: Any, **options: Any) -> Any:
            found = function(*arguments, **options)
            handled[0] += getattr(found, "nbytes", 0)
            return found

        return count

    monkeypatch.setattr(np, "zeros", counting(np.zeros))
    monkeypatch.setattr(np, "array", counting(np.array))
    monkeypatch.setattr(np, "asarray", counting(np.asarray))
    counts = []
    for length in (50, 200):
        inputs = example_inputs(program.graph, {"B": 2, "T": length, "D": 3})
        handled[0] = 0
        program.gradients(inputs, {"y": np.ones((2, length, 3))})
        counts.append(handled[0])
    assert counts[1] < 5 * counts[0]


class _Spy(Op):
    """Passes its operand on and counts how many of its results are still held."""

    name = "spy"
    operands = ("x",)
    alive: ClassVar[list[weakref.ref[np.ndarray]]] = []
    most: ClassVar[int] = 0

    def infer(self, x: Type) -> Type:  # type: ignore[override]
        return x

    def evaluate(self, call: object, *arrays: np.ndarray) -> np.ndarray:
        result = arrays[0] + 1
        self.alive.append(weakref.ref(result))
        type(self).most = max(self.most, sum(ref() is not None for ref in self.alive))
        return result


def test_dead_arrays_are_freed() -> None:
    b = GraphBuilder("Chain", D=3, depth=20)
    x: Value = b.input("x", "float D")
    for _ in range(20):
        x = b.emit(_Spy(), x)
    b.output("y", b.emit(Sum(axes("D")), x))
    NumpyProgram(b.graph()).run({"x": np.ones(3, np.float32)})
    assert len(_Spy.alive) == 20
    assert _Spy.most == 2


def test_a_result_of_another_type_is_a_fault_of_ours() -> None:
    class Wrong(_Spy):
        def evaluate(self, call: object, *arrays: np.ndarray) -> np.ndarray:
            return arrays[0].astype(np.float64)

    b = GraphBuilder("Wrong", D=3)
    b.output("y", b.emit(Wrong(), b.input("x", "float D")))
    graph: Graph = b.graph()
    with pytest.raises(AssertionError, match=r"float64\[3\] where float32\[3\]"):
        NumpyProgram(graph).run({"x": np.ones(3, np.float32)})
