"""Modules on the meta device: there whatever their size, and filled part by part."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import attndsl
from attndsl.diagnostics import AttnError
from tests.training.crew import Crew, on_mesh

pytestmark = pytest.mark.torch

SETTINGS = {"depth": 1, "width": 16, "heads": 2, "vocab": 32, "context": 8}
ONE = np.ones(1, np.float32)


@pytest.mark.parametrize("spec", ["gpt3:175b", "llama:3.1-70b", "mixtral"])
def test_a_module_of_any_size(spec: str) -> None:
    model = attndsl.load(spec)
    module = model.torch(device="meta")
    parameters = list(module.parameters())
    assert {parameter.device.type for parameter in parameters} == {"meta"}
    assert sum(parameter.numel() for parameter in parameters) == model.parameters


def test_filled_it_is_the_module_that_is_made_at_once() -> None:
    model = attndsl.load("gpt2", SETTINGS)
    weights = {a: array + 1 for a, array in model.numpy().parameters().items()}
    for given in (None, weights):
        module = model.torch(device="meta").to_empty(device="cpu")
        model.fill(module, given, seed=3)
        whole = model.torch(given, plain=True, seed=3).state_dict()
        assert module.state_dict().keys() == whole.keys()
        assert all((tensor == whole[name]).all() for name, tensor in module.state_dict().items())


BAD: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], str]] = {
    "an address that the model lacks": (lambda module: module, lambda given: given | {"no.such": ONE}, "no.such"),
    "an address that is missing": (lambda module: module, lambda given: dict(list(given.items())[1:]), "is missing"),
    "an array that would be repeated": (lambda module: module, lambda given: given | {"ln_f.shift": ONE}, "is [1]"),
    "no memory": (lambda module: module.to("meta"), lambda given: given, "meta device"),
    "a deeper model": (lambda module: made(depth=2), lambda given: given, "`h.1."),
    "a wider model": (lambda module: made(width=32), lambda given: given, "[32, 32]"),
    "a module around it": (lambda module: torch.nn.ModuleList([module]), lambda given: given, "the module has no"),
}


def made(**settings: int) -> Any:
    module = attndsl.load("gpt2", {**SETTINGS, **settings}).torch(device="meta").to_empty(device="cpu")
    for parameter in module.parameters():
        torch.nn.init.constant_(parameter, 7)
    return module


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused_before_any_is_set(case: str) -> None:
    other, changed, says = BAD[case]
    model = attndsl.load("gpt2", SETTINGS)
    module = other(made())
    with pytest.raises(AttnError, match=re.escape(says)) as raised:
        model.fill(module, changed(dict(model.numpy().parameters())))
    assert {each.code for each in raised.value.diagnostics} == {"E0807"}
    assert all((parameter == 7).all() for parameter in module.parameters() if not parameter.is_meta)


def test_a_compiled_module_is_filled() -> None:
    model, module = attndsl.load("gpt2", SETTINGS), made()
    module.h[0] = torch.compile(module.h[0])
    model.fill(torch.compile(module), seed=3)
    whole = model.torch(plain=True, seed=3).state_dict()
    filled = {name.replace("_orig_mod.", ""): tensor for name, tensor in module.state_dict().items()}
    assert filled.keys() == whole.keys()
    assert all((tensor == whole[name]).all() for name, tensor in filled.items())


def test_weights_are_for_when_there_is_room() -> None:
    with pytest.raises(AttnError, match="`fill`"):
        attndsl.load("gpt2", SETTINGS).torch({}, device="meta")


def divided(rank: int, mesh: Any) -> dict[str, Any]:
    """The parts that this process has, and where they begin."""
    from torch.distributed.fsdp import fully_shard

    model = attndsl.load("gpt2", SETTINGS)
    module = fully_shard(model.torch(device="meta"), mesh=mesh)
    module.to_empty(device="cpu")
    model.fill(module, seed=3)
    return {name: parameter.to_local().detach().numpy() for name, parameter in module.named_parameters()}


@pytest.mark.skipif(os.name != "posix", reason="needs fork")
def test_each_process_fills_its_part() -> None:
    with Crew(2) as crew:
        parts = crew.run(on_mesh, (("data", 2),), divided)
    whole = attndsl.load("gpt2", SETTINGS).torch(plain=True, seed=3).state_dict()
    assert parts[0].keys() == whole.keys()
    for name, tensor in whole.items():
        assert parts[0][name].size < tensor.numel()
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), tensor.numpy(), name)
