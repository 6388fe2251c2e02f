"""Every optimizer against an implementation of its own written here, and on the two backends against each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest

import attndsl
from attndsl.choices import Option
from attndsl.data.batches import NextToken
from attndsl.elaborate import load
from attndsl.optimizers import OPTIMIZERS, Optimizer, Step
from attndsl.recipe.recipe import read_recipe
from attndsl.running import backends
from attndsl.values import hyperparameters_of

pytestmark = pytest.mark.torch

Array = np.ndarray[Any, Any]

CHOICES: list[tuple[str, dict[str, Any]]] = [
    ("adamw", {"lr": 0.01}),
    ("adamw", {"lr": 0.01, "decay": 0.0, "betas": (0.5, 0.999), "eps": 1e-3}),
    ("adam", {"lr": 0.01}),
    ("sgd", {"lr": 0.1, "decay": 0.01}),
    ("sgd", {"lr": 0.1, "momentum": 0.0}),
    ("sgd", {"lr": 0.1, "nesterov": True}),
    ("adafactor", {}),
    ("adafactor", {"lr": 0.01, "relative": False, "decay": 0.1, "momentum": 0.9, "threshold": 0.5}),
    ("lion", {"lr": 0.003}),
    ("lion", {"lr": 0.003, "betas": (0.8, 0.95), "decay": 0.0}),
]


def test_every_optimizer_is_tried() -> None:
    assert {kind for kind, _ in CHOICES} == set(OPTIMIZERS)


# ---------------------------------------------------------------------------------------------- what they are


class Trained:
    """Parameters that an optimizer moves, with gradients that a seed decides."""

    shapes: ClassVar = {"w": (5, 3), "t": (2, 4, 3), "b": (3,), "s": ()}

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.draw = np.random.default_rng(0)
        self.values = {name: np.array(self.draw.standard_normal(shape)) for name, shape in self.shapes.items()}
        self.kept = {
            name: {key: np.zeros(kept) for key, kept in optimizer.keeps(shape).items()}
            for name, shape in self.shapes.items()
        }

    def steps(self, count: int) -> Iterator[tuple[int, float, dict[str, Array]]]:
        """The number of the update, the rate and the gradients; each is taken after it was given."""
        for number in range(1, count + 1):
            rate = self.optimizer.number("lr") * (1 + number) / count
            gradients = {name: np.array(self.draw.standard_normal(shape)) for name, shape in self.shapes.items()}
            yield number, rate, {name: gradient.copy() for name, gradient in gradients.items()}
            for name, value in self.values.items():
                step = Step(rate, number, name in ("w", "t"))
                self.optimizer.update(np, value, gradients[name], self.kept[name], step)


@pytest.mark.parametrize(("kind", "options"), [choice for choice in CHOICES if choice[0] in ("adam", "adamw", "sgd")])
def test_updates_are_those_of_torch(kind: str, options: dict[str, Any]) -> None:
    import torch

    optimizer = OPTIMIZERS[kind](options)
    ours = Trained(optimizer)
    theirs = {name: torch.nn.Parameter(torch.from_numpy(value.copy())) for name, value in ours.values.items()}
    decay = optimizer.number("decay") if "decay" in optimizer.options else 0.0
    groups = [
        {"params": [theirs["w"], theirs["t"]], "weight_decay": decay},
        {"params": [theirs["b"], theirs["s"]], "weight_decay": 0.0},
    ]
    reference: torch.optim.Optimizer
    if kind == "sgd":
        momentum = optimizer.number("momentum")
        reference = torch.optim.SGD(groups, lr=1.0, momentum=momentum, nesterov=bool(optimizer["nesterov"]))
    else:
        made = torch.optim.AdamW if kind == "adamw" else torch.optim.Adam
        reference = made(groups, lr=1.0, betas=optimizer.pair("betas"), eps=optimizer.number("eps"))
    for _, rate, gradients in ours.steps(20):
        for name, gradient in gradients.items():
            theirs[name].grad = torch.from_numpy(gradient)
        for group in reference.param_groups:
            group["lr"] = rate
        reference.step()
    for name, value in ours.values.items():
        np.testing.assert_allclose(value, theirs[name].detach().numpy(), rtol=1e-12, atol=1e-14)


def lion(options: Mapping[str, Any]) -> Callable[..., Array]:
    """Chen et al., 2023, algorithm 2, line by line."""
    (beta_1, beta_2), moments = options["betas"], dict[str, Array]()

    def step(name: str, theta: Array, g: Array, number: int, rate: float) -> Array:
        m = moments.get(name, np.zeros_like(theta))
        c = beta_1 * m + (1 - beta_1) * g
        moments[name] = beta_2 * m + (1 - beta_2) * g
        decay = options["decay"] if name in ("w", "t") else 0.0
        return np.asarray(theta - rate * (np.sign(c) + decay * theta))

    return step


def adafactor(options: Mapping[str, Any]) -> Callable[..., Array]:
    """Shazeer and Stern, 2018, algorithms 4 and 5, with the sums and the outer product that are written there."""
    rows, columns, squares, last = ({} for _ in range(4))  # type: ignore[var-annotated]
    eps_1, eps_2 = options["eps"]

    def rms(x: Array) -> float:
        return math.sqrt(float((x**2).sum()) / x.size)

    def step(name: str, x: Array, g: Array, number: int, rate: float) -> Array:
        alpha = max(eps_2, rms(x)) * rate if options["relative"] else rate
        beta = 1 - number ** -options["forget"]
        if x.ndim >= 2:
            old_r, old_c = rows.get(name, 0.0), columns.get(name, 0.0)
            rows[name] = r = beta * old_r + (1 - beta) * (g**2 + eps_1).sum(axis=-1)
            columns[name] = c = beta * old_c + (1 - beta) * (g**2 + eps_1).sum(axis=-2)
            v = r[..., :, None] * c[..., None, :] / r.sum(axis=-1)[..., None, None]
        else:
            squares[name] = v = beta * squares.get(name, 0.0) + (1 - beta) * (g**2 + eps_1)
        u = g / np.sqrt(v)
        u = alpha * u / max(1.0, rms(u) / options["threshold"])
        if options["momentum"]:
            last[name] = u = options["momentum"] * last.get(name, 0.0) + (1 - options["momentum"]) * u
        decay = options["decay"] if name in ("w", "t") else 0.0
        return np.asarray(x * (1 - rate * decay) - u)

    return step


@pytest.mark.parametrize(("kind", "options"), [choice for choice in CHOICES if choice[0] in ("adafactor", "lion")])
def test_updates_are_as_published(kind: str, options: dict[str, Any]) -> None:
    optimizer = OPTIMIZERS[kind](options)
    ours = Trained(optimizer)
    reference = {"lion": lion, "adafactor": adafactor}[kind](optimizer.values)
    expected = {name: value.copy() for name, value in ours.values.items()}
    for number, rate, gradients in ours.steps(20):
        for name, gradient in gradients.items():
            expected[name] = reference(name, expected[name], gradient, number, rate)
    for name, value in ours.values.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-10, atol=1e-13, err_msg=name)


def test_adafactor_is_that_of_transformers() -> None:
    """With its own schedule of relative steps, which is `inverse_root(hold=10000)` here."""
    import torch

    found = pytest.importorskip("transformers.optimization")
    ours = Trained(OPTIMIZERS["adafactor"]())
    theirs = {name: torch.nn.Parameter(torch.from_numpy(value.copy())) for name, value in ours.values.items()}
    reference = found.Adafactor(
        [*theirs.values()], lr=0.0, relative_step=False, scale_parameter=True, warmup_init=False
    )
    for _, rate, gradients in ours.steps(20):
        for name, gradient in gradients.items():
            theirs[name].grad = torch.from_numpy(gradient)
        for group in reference.param_groups:
            group["lr"] = rate
        reference.step()
    for name, value in ours.values.items():
        np.testing.assert_allclose(value, theirs[name].detach().numpy(), rtol=2e-6, atol=1e-9, err_msg=name)
    recipe = read_recipe(None, {}).override({"optimizer": "adafactor", "schedule": "inverse_root(hold=10000)"})
    for step in (0, 99, 9_999, 40_000, 999_999):
        assert recipe.rate(step) == pytest.approx(min(1e-2, (step + 1) ** -0.5))


def test_what_is_kept_is_counted() -> None:
    """A matrix costs Adam two of its kind, Lion one, Adafactor a row and a column."""
    numbers = {kind: OPTIMIZERS[kind]().kept_numbers((300, 200)) for kind in OPTIMIZERS}
    assert numbers == {"adamw": 120_000, "adam": 120_000, "sgd": 60_000, "lion": 60_000, "adafactor": 500}
    assert OPTIMIZERS["sgd"]({"momentum": 0.0}).kept_numbers((300, 200)) == 0
    assert OPTIMIZERS["adafactor"]({"momentum": 0.9}).kept_numbers((300,)) == 600


# ---------------------------------------------------------------------------------------------- in training


def trainers(spec: str, settings: dict[str, object]) -> tuple[dict[str, Any], Callable[[Any, int, int], list[float]]]:
    """A trainer on each backend, in float64, and what takes steps with one. The biases of keys are frozen: softmax does
    not see them, so their gradients are rounding, and what goes by a gradient's sign goes by rounding there."""
    graph = load(spec, {"p": 0.0, "vocab": 64})
    recipe = read_recipe(None, hyperparameters_of(graph)).override(
        {"precision": "float64", "steps": 20, "freeze": "h.*.attn.k.bias", **settings}
    )
    tokens = (np.arange(400) ** 2 % 61).astype(np.uint8)
    batches = NextToken(("tokens", "targets"), 2, recipe.length, recipe.seed)

    def steps(trainer: Any, first: int, last: int) -> list[float]:
        parts = range(recipe.accumulate)
        found: list[float] = []
        for step in range(first, last):
            result = trainer.step([batches.training(tokens, step, part) for part in parts], step)
            found += [result.loss, result.grad_norm]
        return found

    return {name: backends.find(name).trainer(graph, recipe) for name in ("numpy", "torch")}, steps


@pytest.mark.parametrize(("kind", "options"), CHOICES)
def test_both_backends_train_alike(spec: str, kind: str, options: dict[str, Any]) -> None:
    """Twenty steps in float64, with accumulation and clipping, give the same losses, gradient norms and states."""
    settings = {f"optimizer.{name}": value for name, value in options.items()}
    made, steps = trainers(spec, {"accumulate": 2, "clip": 0.5, "optimizer": kind, **settings})
    found = {backend: steps(trainer, 0, 20) for backend, trainer in made.items()}
    np.testing.assert_allclose(found["numpy"], found["torch"], rtol=1e-9)
    assert found["numpy"][-2] < found["numpy"][0]
    states = {backend: trainer.state() for backend, trainer in made.items()}
    assert states["numpy"].keys() == states["torch"].keys()
    for name, array in states["numpy"].items():
        np.testing.assert_allclose(array, states["torch"][name], rtol=1e-6, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_state_goes_from_one_backend_to_the_other(spec: str, kind: str) -> None:
    """And on the same one training goes on to the bit."""
    whole: dict[str, list[float]] = {}
    for first in ("numpy", "torch"):
        made, steps = trainers(spec, {"optimizer": kind})
        whole[first] = steps(made[first], 0, 8)
        for second in ("numpy", "torch"):
            begun = trainers(spec, {"optimizer": kind})[0][first]
            losses = steps(begun, 0, 4)
            ended = trainers(spec, {"optimizer": kind})[0][second]
            ended.load_state(begun.state())
            losses += steps(ended, 4, 8)
            if first == second:
                assert losses == whole[first]
            np.testing.assert_allclose(losses, whole[first], rtol=1e-9)


class Adagrad(Optimizer):
    """Duchi et al., "Adaptive subgradient methods for online learning and stochastic optimization", 2011."""

    name = "adagrad"
    doc = "the gradient by the root of the sum of its squares"
    options: ClassVar = {
        "lr": Option("float", 0.05, "highest learning rate", 0),
        "start": Option("float", 1e-3, "what the sums begin with", 1e-12),
    }

    def keeps(self, shape: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]:
        return {"sum": shape}

    def update(self, xp: Any, value: Any, gradient: Any, kept: Mapping[str, Any], step: Step) -> None:
        kept["sum"][...] += gradient * gradient
        value -= step.rate * gradient / xp.sqrt(kept["sum"] + self.number("start"))


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_loss_to_which_no_parameter_leads(backend: str) -> None:
    """Its gradient is 0."""
    graph = attndsl.parse(
        """model M {
  input x: [B]
  param p: [] = ones
  output y = x * p
  output loss = mean(x, over=B)
}"""
    ).graph
    recipe = read_recipe(None, {}).override({"optimizer": "sgd(lr=1)"})
    trainer = backends.find(backend).trainer(graph, recipe)
    result = trainer.step([{"x": np.array([1.0, 2.0], np.float32)}], 0)
    assert (result.loss, result.grad_norm) == (1.5, 0.0)
    assert trainer.parameters() == {"p": 1.0}


def test_an_optimizer_is_added_in_one_place(spec: str) -> None:
    """It can be named, has its options, is counted, trains on both backends alike and goes on from its state."""
    OPTIMIZERS.register(Adagrad)
    try:
        test_both_backends_train_alike(spec, "adagrad", {"start": 1e-2})
        test_a_state_goes_from_one_backend_to_the_other(spec, "adagrad")
        recipe = read_recipe(None, {}).override({"optimizer": "adagrad", "start": "1e-4"})
        assert recipe.optimizer["start"] == 1e-4
        assert type(recipe).from_json(recipe.to_json()) == recipe
        with pytest.raises(ValueError, match="adagrad"):
            OPTIMIZERS.register(Adagrad)
    finally:
        OPTIMIZERS.unregister("adagrad")
    assert "adagrad" not in OPTIMIZERS


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_state_that_does_not_fit_is_refused_whole(spec: str, backend: str) -> None:
    graph = load(spec)
    trainer = backends.find(backend).trainer(graph, read_recipe(None, hyperparameters_of(graph)))
    before = dict(trainer.state())
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
    recipe = read_recipe(None, hyperparameters_of(graph)).override(settings)
    trainer = backends.find("torch").trainer(graph, recipe, compile=compile)
    tokens = (np.arange(400) % 61).astype(np.uint8)
    batches = NextToken(("tokens", "targets"), 4, recipe.length, recipe.seed)
    losses = [trainer.step([batches.training(tokens, step)], step).loss for step in range(30)]
    return [*losses, trainer.evaluate([batches.training(tokens, 99)])["loss"]], trainer.state()


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_narrow_types_learn_alike(spec: str, precision: str) -> None:
    losses, state = narrow_steps(spec, precision)
    assert losses[-1] < losses[0] - 1
    np.testing.assert_allclose(losses, narrow_steps(spec, "float32")[0], rtol=0.02)
    # The loss itself is not a narrow number: neither what is summed up nor the sum.
    assert any(loss != float(np.float16(loss)) for loss in losses)
    assert all(array.dtype == np.float32 for name, array in state.items() if name.startswith("parameters/"))
    assert ("scale" in state) == (precision == "float16")


@pytest.mark.slow
def test_compiled_models_learn_alike(spec: str) -> None:
    compiled, plain = (narrow_steps(spec, "bfloat16", compile)[0] for compile in (True, False))
    np.testing.assert_allclose(compiled, plain, rtol=0.02)


def test_the_loss_scale_shrinks_until_nothing_overflows(spec: str) -> None:
    graph = load(spec, {"p": 0.0, "vocab": 64})
    recipe = read_recipe(None, hyperparameters_of(graph)).override({"precision": "float16"})
    trainer: Any = backends.find("torch").trainer(graph, recipe)
    trainer.scale = 2.0**40
    tokens = (np.arange(400) % 61).astype(np.uint8)
    batch = NextToken(("tokens", "targets"), 4, recipe.length, recipe.seed).training(tokens, 0)
    before = dict(trainer.parameters())
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
