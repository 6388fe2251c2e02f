"""Layers that are shared across repeats have one set of parameters, wherever and however often they are applied."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, example, given, settings, strategies

from attndsl.backends.numpy_reference.evaluator import NumpyProgram
from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_text
from attndsl.graph import Graph
from attndsl.graph.verify import verify
from attndsl.inspection import inspect
from attndsl.passes import optimize
from tests.elaborate.shared_programs import program

INPUTS = {"x": np.linspace(-1.0, 1.0, 6).reshape(2, 3)}
COTANGENTS = {"y": np.array([[1.0, -2.0, 0.5], [0.3, 1.0, -1.0]])}


def graph_of(text: str) -> Graph:
    try:
        return elaborate(open_text(text), {})
    except AttnError as problem:
        assume(problem.diagnostics[0].code != "E0111")  # more kinds of layers than are told apart
        raise


def results(program) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    outputs, gradients, _ = program.gradients(INPUTS, COTANGENTS)
    return np.asarray(outputs["y"]), gradients


@settings(max_examples=12)
@given(strategies.integers(0, 10**6))
def test_a_program_is_what_it_is_written_out(seed: int) -> None:
    written = program(seed)
    rolled, unrolled = graph_of(written.rolled), graph_of(written.unrolled)
    addresses = [address for info in rolled.parameters for address in info.addresses()]
    assert sorted(addresses) == sorted(written.pairs)
    flat = [address for info in unrolled.parameters for address in info.addresses()]
    assert sorted(flat) == sorted(written.pairs.values())
    assert inspect(rolled).totals.parameters == inspect(unrolled).totals.parameters
    assert inspect(rolled).totals.flops == inspect(unrolled).totals.flops

    reference = NumpyProgram(rolled, dtype="float64", seed=seed)
    parameters = reference.parameters()
    other = NumpyProgram(
        unrolled, dtype="float64", parameters={flat: parameters[address] for address, flat in written.pairs.items()}
    )
    y, gradients = results(reference)
    expected, wanted = results(other)
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    for address, flat_address in written.pairs.items():
        np.testing.assert_allclose(gradients[address], wanted[flat_address], rtol=1e-9, atol=1e-12)


@pytest.mark.torch
@settings(max_examples=8)
@given(strategies.integers(0, 10**6))
@example(1706)  # a body by case and index whose list is longer than a line
@example(1406)  # a number made of an outer index, read by an inner repeat that has a class
def test_pytorch_agrees_on_it(seed: int) -> None:
    from attndsl.backends.pytorch.program import TorchProgram

    plain = graph_of(program(seed).rolled)
    reference = NumpyProgram(plain, dtype="float64", seed=seed)
    y, gradients = results(reference)
    optimized, _ = optimize(plain)
    verify(optimized)
    for graph in (plain, optimized):
        found, others = results(TorchProgram(graph, dtype="float64", parameters=reference.parameters()))
        np.testing.assert_allclose(found, y, rtol=1e-9, atol=1e-12)
        assert sorted(others) == sorted(gradients)
        for address, gradient in gradients.items():
            np.testing.assert_allclose(others[address], gradient, rtol=1e-9, atol=1e-12)


# ---------------------------------------------------------------- what differs by layer

HEAD = "model M(width=4, heads=2, depth=3) {\n  input x: [B, T, width]\n"
NESTED = """\
block stack(inner)(x: [*, D]) -> [*, D] {
  repeat i in inner { x += linear(x, D) as lin }
  return x
}
"""


def body(text: str) -> str:
    return HEAD + text + "  output y = x\n}\n"


DIFFERENT = {
    "blocks": body("  repeat h in 4 { x += x |> (mlp(8) if h % 2 == 0 else gated_mlp(8)) as ff }\n"),
    "which parameters": body("  repeat h in depth { x += linear(x, width, bias=h > 0) as l }\n"),
    "initial values": body("  repeat h in depth {\n    param g: [width] = constant(0.1 / (h + 1))\n    x *= g\n  }\n"),
    "deviations": body("  repeat h in depth { x += linear(x, width, init=normal(0.02 / (h + 1))) as lin }\n"),
    "heads": body("  repeat h in depth { x += attention(x, heads, kv_heads=1 if h == 0 else 2) as a }\n"),
    "sizes": body("  repeat h in depth { x += mlp(x, 8 if h == 0 else 16) as m }\n"),
    "a parameter and a layer": body(
        "  repeat h in 2 {\n    if h == 0 {\n      param g: [width] = ones\n      x *= g\n    } else {\n"
        "      x = linear(x, width) as g\n    }\n  }\n"
    ),
    "the first layers": body(
        "  repeat h in depth {\n    if h < 1 { x = linear(x, width) as l }\n    x = tanh(x)\n  }\n"
    ),
    "stages": body(
        "  repeat s in 2 {\n    repeat h in 2 { x += attention(x, 2, mask=local(2) if h % 2 == 0 else full) as attn }\n"
        "    if s < 1 { x = layer_norm(x) as norm }\n  }\n"
    ),
    "a diagonal": body(
        "  repeat s in 3 {\n    repeat h in 3 {\n      if s == h { x = linear(x, width) as l } else { x = sin(x) }\n"
        "    }\n  }\n"
    ),
    "how often a repeat goes round": body(
        "  repeat s in 2 {\n    if s == 0 {\n      repeat h in 1 { x = linear(x, width) as l }\n    } else {\n"
        "      repeat g in 3 { x = linear(x, width) as l }\n    }\n  }\n"
    ),
    "repeats in a shared layer": NESTED + body(
        "  layer f = stack(2)\n  repeat a in 2 { x = f(x) + linear(x, width) as own }\n"
    ),
    "a layer of the round around": body(
        "  repeat g in 2 {\n    layer f = linear(width)\n    repeat a in depth { x += f(x) }\n  }\n"
    ),
}  # fmt: skip

X = {"x": np.linspace(-1.0, 1.0, 2 * 3 * 4).reshape(2, 3, 4)}


@pytest.mark.torch
@pytest.mark.parametrize("name", DIFFERENT)
def test_layers_may_differ(name: str) -> None:
    from attndsl.backends.pytorch.program import TorchProgram

    graph = graph_of(DIFFERENT[name])
    reference = NumpyProgram(graph, dtype="float64", seed=1)
    addresses = [address for info in graph.parameters for address in info.addresses()]
    assert len(addresses) == len(set(addresses)) == sum(info.copies for info in graph.parameters)
    cotangents = {"y": np.cos(X["x"])}
    y, gradients, _ = reference.gradients(X, cotangents)
    for tried in (graph, optimize(graph)[0]):
        verify(tried)
        program = TorchProgram(tried, dtype="float64", parameters=reference.parameters())
        found, others, _ = program.gradients(X, cotangents)
        np.testing.assert_allclose(found["y"], y["y"], rtol=1e-9, atol=1e-12)
        for address in addresses:
            np.testing.assert_allclose(others[address], gradients[address], rtol=1e-9, atol=1e-12)


def test_conditions_may_use_several_indices() -> None:
    """What is decided for one round of the repeat inside is not what is decided for the others."""
    text = (
        "  repeat s in 3 {\n    repeat h in 3 {\n      if h + s > 1 { x = linear(x, width) as l } else { x = sin(x) }\n"
    )
    (info, *more) = [i for i in graph_of(body(text + "    }\n  }\n")).parameters if i.address.endswith("weight")]
    found = {address for i in (info, *more) for address in i.addresses()}
    assert found == {f"s.{s}.h.{h}.l.weight" for s in range(3) for h in range(3) if h + s > 1}


def test_initial_values_may_use_the_index() -> None:
    program = NumpyProgram(graph_of(DIFFERENT["initial values"]))
    assert [float(program.parameters()[f"h.{i}.g"][0]) for i in range(3)] == pytest.approx([0.1, 0.05, 0.1 / 3])


def test_shared_parameters_agree_or_are_refused() -> None:
    """What a shared layer declares follows from what it is given."""
    text = "block scaled(x: [*, T, D]) -> [*, T, D] {\n  param g: [D] = constant(1 / D)\n  return x * g\n}\n"
    wrong = text + HEAD + (
        "  layer f = scaled\n  repeat h in depth { x = f(x) }\n"
        "  output z = f(linear(x, 2 * width))\n  output y = x\n}\n"
    )  # fmt: skip
    with pytest.raises(AttnError, match=r"the shared parameter `f.g` would be float\[2\*width\], but it is float"):
        elaborate(open_text(wrong), {})


def test_copies_are_those_of_the_loops_in_the_address() -> None:
    report = inspect(graph_of(DIFFERENT["a layer of the round around"]))
    (g,) = [layer for layer in report.layers if layer.path == "g"]
    (f,) = [layer for layer in g.children if layer.path == "g.*.f"]
    assert (f.copies, f.parameters, f.parameters_total) == (2, 20, 40)
    (stack,) = [
        layer for layer in inspect(graph_of(DIFFERENT["repeats in a shared layer"])).layers if layer.path == "f"
    ]
    assert (stack.copies, stack.parameters_total) == (1, 40)


def test_a_member_of_a_layer_is_that_layer() -> None:
    """`f.up` is the layer that `mlp` calls so, not another `mlp`."""
    graph = graph_of(body("  layer f = mlp(8)\n  x = f(x)\n  output z = f.up(x)\n"))
    assert sorted(info.address for info in graph.parameters) == [
        "f.down.bias",
        "f.down.weight",
        "f.up.bias",
        "f.up.weight",
    ]
