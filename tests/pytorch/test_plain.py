"""The file that people read: the same numbers as everywhere, and layers that other libraries know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.backends.pytorch.arrays import to_array, to_tensor
from attndsl.backends.pytorch.plain import plain_module
from attndsl.graph import Graph
from attndsl.passes import optimize
from attndsl.running.states import initial_stacks
from tests.acceptance.test_shipped_specs import NAMES, SIZES, inputs_of, reduced, weights_of

pytestmark = pytest.mark.torch


def said(graph: Graph, *, traced: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """The outputs of the plain module, and NumPy's, in float64."""
    weights, given = weights_of(graph), inputs_of(graph, SIZES["usual"])
    own = {name: array for name, array in given.items() if name not in graph.state_names}
    expected = NumpyProgram(graph, dtype="float64", parameters=weights).run(own)
    module, written = plain_module(optimize(graph)[0], weights, dtype="float64", traced=traced)
    tensors = {written.arguments[name]: tensor(array) for name, array in own.items()}
    if graph.states:
        tensors["states"] = {name: tensor(array) for name, array in initial_stacks(graph, given, "float64").items()}
    with torch.no_grad():
        found = module(**tensors)
    outputs = found[0] if graph.states else found
    return {name: to_array(value) for name, value in outputs.items()}, dict(expected)


def tensor(array: Any) -> Any:
    return to_tensor(np.asarray(array, "float64") if np.asarray(array).dtype.kind == "f" else np.asarray(array))


@pytest.mark.parametrize("name", NAMES)
def test_every_spec_says_what_numpy_says(name: str) -> None:
    found, expected = said(reduced(name, 1))
    for output, array in found.items():
        np.testing.assert_allclose(array, expected[output], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["elmo", "mixtral"])  # a layer called `forward`, products by group
def test_the_form_that_is_traced_says_the_same(name: str) -> None:
    found, expected = said(reduced(name, 1), traced=True)
    for output, array in found.items():
        np.testing.assert_allclose(array, expected[output], rtol=1e-10, atol=1e-10)


def test_linear_layers_are_torchs_own() -> None:
    graph = reduced("gpt2", 2)
    weights = weights_of(graph)
    module, _ = plain_module(optimize(graph)[0], weights)
    linear = {name for name, layer in module.named_modules() if type(layer) is nn.Linear}
    assert linear == {f"h.{i}.{name}" for i in (0, 1) for name in LINEAR}
    up = module.get_submodule("h.1.mlp.up")
    assert (up.in_features, up.out_features) == (12, 48)
    np.testing.assert_array_equal(to_array(up.weight), weights["h.1.mlp.up.weight"].T)


LINEAR = ("attn.q", "attn.k", "attn.v", "attn.out", "mlp.up", "mlp.down")


def test_a_layer_that_is_wrapped_does_what_its_wrapper_says() -> None:
    """As adapters do: nothing computes with a weight of it, or its activation, behind its back."""

    class Doubled(nn.Module):
        def __init__(self, base: nn.Linear) -> None:
            super().__init__()
            self.base = base

        def forward(self, x: Any) -> Any:
            return 2 * self.base(x)

    graph = reduced("gpt2", 1)
    weights = weights_of(graph)
    module, _ = plain_module(optimize(graph)[0], weights)
    doubled = {a: 2 * w if a.rpartition(".")[0].partition("h.0.")[2] in LINEAR else w for a, w in weights.items()}
    expected, _ = plain_module(optimize(graph)[0], doubled)
    block = module.h[0]
    for path in LINEAR:
        holder = block.get_submodule(path.rpartition(".")[0])
        setattr(holder, path.rpartition(".")[2], Doubled(block.get_submodule(path)))
    tokens = torch.arange(6)[None]
    with torch.no_grad():
        torch.testing.assert_close(module(tokens)["logits"], expected(tokens)["logits"])


def test_its_tensors_are_those_of_files_by_one_function() -> None:
    from attndsl.backends.pytorch import generate_source

    graph = reduced("gpt2", 1)
    namespace: dict[str, Any] = {"__name__": "gpt2"}
    exec(generate_source(optimize(graph)[0]), namespace)
    module, files = namespace["GPT2"](), {a: torch.from_numpy(w) for a, w in weights_of(graph).items()}
    module.load_state_dict(namespace["in_files"](module, files))
    again = namespace["in_files"](module, module.state_dict())
    assert again.keys() == files.keys()
    assert all(torch.equal(again[address], files[address]) for address in files)
    assert "KERNELS" not in namespace


def test_a_model_in_python_gives_it() -> None:
    import attndsl

    model = attndsl.load("gpt2", depth=1, width=12, heads=3, vocab=32, context=8)
    tokens = torch.arange(6)[None]
    plain = model.torch(plain=True)
    assert type(plain.h[0].attn.q) is nn.Linear
    with torch.no_grad():
        torch.testing.assert_close(plain(tokens)["logits"], model.torch()(tokens)["logits"])
    with pytest.raises(attndsl.AttnError, match="E0807"):
        model.torch({"x": np.ones(3)}, plain=True)
