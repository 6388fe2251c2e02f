"""The optimizers written in NumPy against those of PyTorch, and the two trainers against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from attndsl.data.batches import NextToken
from attndsl.elaborate import load
from attndsl.recipe.options import OPTIMIZERS, choose
from attndsl.recipe.recipe import read_recipe
from attndsl.running import backends
from attndsl.running.trainer import decays, parameter_infos

pytestmark = pytest.mark.torch

CHOICES = [
    ("adamw", {"lr": 0.01}),
    ("adamw", {"lr": 0.01, "decay": 0.0, "betas": (0.5, 0.999), "eps": 1e-3}),
    ("adam", {"lr": 0.01}),
    ("sgd", {"lr": 0.1, "decay": 0.01}),
    ("sgd", {"lr": 0.1, "momentum": 0.0}),
    ("sgd", {"lr": 0.1, "nesterov": True}),
]


@pytest.mark.parametrize(("kind", "options"), CHOICES)
def test_updates_are_those_of_torch(kind: str, options: dict[str, Any]) -> None:
    import torch

    from attndsl.backends.numpy_reference import trainer

    choice = choose("optimizer", OPTIMIZERS, kind, options)
    generator = np.random.default_rng(0)
    ours = {"w": generator.standard_normal((5, 3)), "b": generator.standard_normal(3)}
    theirs = {name: torch.nn.Parameter(torch.from_numpy(value.copy())) for name, value in ours.items()}
    optimizer = trainer._OPTIMIZERS[kind](choice, ours)
    groups = [
        {"params": [theirs["w"]], "weight_decay": choice.get("decay", 0.0)},
        {"params": [theirs["b"]], "weight_decay": 0.0},
    ]
    reference: torch.optim.Optimizer
    if kind == "sgd":
        reference = torch.optim.SGD(
            groups, lr=1.0, momentum=choice.number("momentum"), nesterov=bool(choice["nesterov"])
        )
    else:
        made = torch.optim.AdamW if kind == "adamw" else torch.optim.Adam
        reference = made(groups, lr=1.0, betas=choice.pair("betas"), eps=choice.number("eps"))
    for step in range(20):
        rate = choice.number("lr") * (1 + step) / 20
        optimizer.updates += 1
        for name, value in ours.items():
            gradient = generator.standard_normal(value.shape)
            theirs[name].grad = torch.from_numpy(gradient.copy())
            optimizer.update(name, value, gradient, rate, name == "w")
        for group in reference.param_groups:
            group["lr"] = rate
        reference.step()
    for name, value in ours.items():
        np.testing.assert_allclose(value, theirs[name].detach().numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("kind", "options"), CHOICES)
def test_both_backends_train_alike(spec: str, kind: str, options: dict[str, Any]) -> None:
    """Twenty steps in float64, with accumulation and clipping, give the same losses and gradient norms."""
    graph = load(spec, {"p": 0.0, "vocab": 64})
    settings: dict[str, object] = {"precision": "float64", "accumulate": 2, "clip": 0.5, "optimizer": kind, "steps": 20}
    settings |= {f"optimizer.{name}": value for name, value in options.items()}
    recipe = read_recipe(None, graph.hyperparameters).override(settings)
    tokens = (np.arange(400) ** 2 % 61).astype(np.uint8)
    batches = NextToken(("tokens", "targets"), 2, recipe.length, recipe.seed)
    found = {}
    states = {}
    for backend in ("numpy", "torch"):
        trainer = backends.find(backend).trainer(graph, recipe)
        results = [trainer.step([batches.training(tokens, step, part) for part in (0, 1)], step) for step in range(20)]
        found[backend] = [(result.loss, result.grad_norm) for result in results]
        found[backend].append((trainer.evaluate(batches.training(tokens, 99)), 0.0))
        states[backend] = trainer.state()
    np.testing.assert_allclose(found["numpy"], found["torch"], rtol=1e-9)
    assert states["numpy"].keys() == states["torch"].keys()
    for name, array in states["numpy"].items():
        np.testing.assert_allclose(array, states["torch"][name], rtol=1e-6, atol=1e-9, err_msg=name)


def test_a_state_goes_from_one_backend_to_the_other(spec: str) -> None:
    graph = load(spec, {"p": 0.0})
    recipe = read_recipe(None, graph.hyperparameters).override({"precision": "float64"})
    tokens = (np.arange(400) % 61).astype(np.uint8)
    batches = NextToken(("tokens", "targets"), 2, recipe.length, recipe.seed)

    def steps(trainer: Any, first: int, last: int) -> list[float]:
        return [trainer.step([batches.training(tokens, step)], step).loss for step in range(first, last)]

    whole = steps(backends.find("numpy").trainer(graph, recipe), 0, 8)
    for first, second in (("numpy", "torch"), ("torch", "numpy")):
        begun = backends.find(first).trainer(graph, recipe)
        losses = steps(begun, 0, 4)
        ended = backends.find(second).trainer(graph, recipe)
        ended.load_state(begun.state())
        np.testing.assert_allclose([*losses, *steps(ended, 4, 8)], whole, rtol=1e-9)


def test_norms_and_biases_do_not_decay(spec: str) -> None:
    infos = parameter_infos(load(spec))
    decayed = {address.rpartition(".")[2] for address, info in infos.items() if decays(info)}
    assert decayed == {"table", "weight"}


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_state_that_does_not_fit_is_refused_whole(spec: str, backend: str) -> None:
    graph = load(spec)
    trainer = backends.find(backend).trainer(graph, read_recipe(None, graph.hyperparameters))
    before = trainer.state()
    wrong = {name: array + 1 for name, array in before.items()}
    for change, expected in (
        (lambda state: state.pop("parameters/wte.table"), KeyError),
        (lambda state: state.pop("optimizer/first/wte.table"), KeyError),
        (lambda state: state.update({"parameters/ln_f.scale": np.ones(3)}), ValueError),
        (lambda state: state.update({"parameters/ln_g.scale": np.ones(3)}), ValueError),
    ):
        state = dict(wrong)
        change(state)
        with pytest.raises(expected):
            trainer.load_state(state)
    assert all((array == before[name]).all() for name, array in trainer.state().items())


def narrow_steps(spec: str, precision: str, compile: bool = False) -> tuple[list[float], dict[str, Any]]:
    graph = load(spec, {"p": 0.0, "vocab": 64})
    settings = {"precision": precision, "steps": 30, "lr": 1e-2}
    recipe = read_recipe(None, graph.hyperparameters).override(settings)
    trainer = backends.find("torch").trainer(graph, recipe, compile=compile)
    tokens = (np.arange(400) % 61).astype(np.uint8)
    batches = NextToken(("tokens", "targets"), 4, recipe.length, recipe.seed)
    losses = [trainer.step([batches.training(tokens, step)], step).loss for step in range(30)]
    return [*losses, trainer.evaluate(batches.training(tokens, 99))], trainer.state()


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_narrow_types_learn_alike(spec: str, precision: str) -> None:
    losses, state = narrow_steps(spec, precision)
    assert losses[-1] < losses[0] - 1
    np.testing.assert_allclose(losses, narrow_steps(spec, "float32")[0], rtol=0.02)
    # The loss itself is no narrow number: neither what is summed up nor the sum.
    assert any(loss != float(np.float16(loss)) for loss in losses)
    assert all(array.dtype == np.float32 for name, array in state.items() if name.startswith("parameters/"))
    assert ("scale" in state) == (precision == "float16")


@pytest.mark.slow
def test_compiled_models_learn_alike(spec: str) -> None:
    compiled, plain = (narrow_steps(spec, "bfloat16", compile)[0] for compile in (True, False))
    np.testing.assert_allclose(compiled, plain, rtol=0.02)


def test_the_loss_scale_shrinks_until_nothing_overflows(spec: str) -> None:
    graph = load(spec, {"p": 0.0, "vocab": 64})
    recipe = read_recipe(None, graph.hyperparameters).override({"precision": "float16"})
    trainer: Any = backends.find("torch").trainer(graph, recipe)
    trainer.scale = 2.0**40
    tokens = (np.arange(400) % 61).astype(np.uint8)
    batch = NextToken(("tokens", "targets"), 4, recipe.length, recipe.seed).training(tokens, 0)
    before = trainer.parameters()
    result = trainer.step([batch], 0)
    assert result.skipped
    assert trainer.scale == 2.0**39
    assert all((array == before[name]).all() for name, array in trainer.parameters().items())
    while result.skipped:
        result = trainer.step([batch], 0)
    assert trainer.updates == 1
    again: Any = backends.find("torch").trainer(graph, recipe)
    again.load_state(trainer.state())
    assert (again.scale, again.held) == (trainer.scale, trainer.held)
