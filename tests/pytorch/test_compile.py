"""`torch.compile(fullgraph=True)`: no graph breaks, nothing that is compiled anew for each layer, the same loss."""

from __future__ import annotations

import numpy as np
import pytest

from attndsl.elaborate import load
from attndsl.running.inputs import example_inputs
from tests.samples.graphs import GRAPHS

pytestmark = pytest.mark.torch


def _small(depth: int) -> dict[str, str]:
    return {"depth": str(depth), "width": "16", "heads": "2", "vocab": "30", "context": "8", "p": "0.0"}


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("depth", "backend"),
    [(2, "eager"), *(pytest.param(d, b, marks=SLOW) for d, b in ((24, "eager"), (2, "inductor")))],
)
def test_gpt2(depth: int, backend: str) -> None:
    import torch
    from torch._dynamo.testing import CompileCounter

    from attndsl.backends.pytorch import TorchProgram

    graph = load("gpt2", _small(depth))
    program, inputs = TorchProgram(graph), example_inputs(graph)
    program.module.train()
    given = program.tensors(inputs)
    torch._dynamo.reset()
    counter = CompileCounter()
    compiled = torch.compile(program.module, fullgraph=True, backend=counter if backend == "eager" else backend)
    for _ in range(2):
        program.module.zero_grad()
        loss = compiled(**given)["loss"]
        loss.backward()
    gradients = {name: p.grad.clone() for name, p in program.module.named_parameters()}
    program.module.zero_grad()
    eager = program.module(**given)["loss"]
    eager.backward()
    assert loss.item() == pytest.approx(eager.item(), rel=1e-5)
    for name, p in program.module.named_parameters():
        torch.testing.assert_close(gradients[name], p.grad, rtol=1e-4, atol=1e-6)
    if backend == "eager":
        assert counter.frame_count == 1


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("spec", ["gpt2", "t5:small"])
def test_layers_are_compiled_once_for_all(spec: str, training: bool) -> None:
    """However many there are: each class of layers is one graph, the first of which all others run."""
    import torch
    from torch._dynamo.testing import CompileCounter

    import attndsl
    from attndsl.backends.pytorch.compiling import compiled

    sizes = {"gpt2": _small(6), "t5:small": {"width": "16", "heads": "2", "head": "8", "hidden": "24", "vocab": "30"}}
    model = attndsl.load(spec, **sizes[spec])
    module = model.torch().train(training)
    given = model.program("torch").tensors(example_inputs(model.graph))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        eager = module(**given)
    torch._dynamo.reset()
    counter = CompileCounter()
    compiled(module, backend=counter)
    for _ in range(2):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            found = module(**given)
    assert counter.frame_count == {"gpt2": 1, "t5:small": 2}[spec]
    for output, value in eager.items():
        torch.testing.assert_close(found[output], value)


@pytest.mark.parametrize("name", ["repeat", "repeat_cases", "repeat_nested", "scan", "scan_reverse", "fused_layer"])
def test_loops_are_one_graph(name: str) -> None:
    import torch
    from torch._dynamo.testing import CompileCounter

    from attndsl.backends.pytorch import TorchProgram

    graph = GRAPHS[name]()
    program = TorchProgram(graph)
    given = program.tensors(example_inputs(graph))
    torch._dynamo.reset()
    counter = CompileCounter()
    found = torch.compile(program.module, fullgraph=True, backend=counter)(**given)
    assert counter.frame_count == 1
    for output, value in program.module(**given).items():
        torch.testing.assert_close(found[output], value)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(dtype: str) -> None:
    from attndsl.backends.pytorch import TorchProgram

    graph = load("gpt2", _small(2))
    inputs = example_inputs(graph)
    compiled, eager = TorchProgram(graph, dtype=dtype, compile=True), TorchProgram(graph, dtype=dtype)
    loss = compiled.loss(inputs, "loss")
    loss.backward()
    assert all(bool(p.grad.isfinite().all()) for p in compiled.module.parameters())
    assert loss.item() == pytest.approx(float(eager.run(inputs, ["loss"])["loss"]), rel=1e-2)


@pytest.mark.slow
def test_program_runs_compiled() -> None:
    from attndsl.backends.pytorch import TorchProgram

    graph = load("gpt2", _small(2))
    inputs = example_inputs(graph)
    compiled, eager = TorchProgram(graph, compile=True), TorchProgram(graph)
    for name, array in eager.run(inputs).items():
        np.testing.assert_allclose(compiled.run(inputs)[name], array, rtol=1e-4, atol=1e-5)


def test_an_element_of_a_list_for_each_layer_is_traced() -> None:
    """`table[i]` would ask for the value of `i`."""
    import torch

    import attndsl

    text = "model M(width=2, rates=[0.5, 2.0]) {\n  input x: [B, width]\n"
    text += "  repeat h in 2 { x = linear(x, width) * rates[h] }\n  output y = x\n}\n"
    module = attndsl.parse(text).torch()
    given = torch.ones(3, 2)
    torch._dynamo.reset()
    found = torch.compile(module, fullgraph=True, backend="aot_eager")(given)["y"]
    torch.testing.assert_close(found, module(given)["y"])
