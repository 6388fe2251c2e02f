"""Training on NumPy: the reference program's gradients, and the optimizers written out.

Parameters and the optimizer's averages are updated in place, parameter by parameter, in the order of the graph; every
formula is that of `torch.optim`, so the two backends agree to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attndsl.backends.numpy_reference.backend import BACKEND
from attndsl.backends.numpy_reference.evaluator import NumpyProgram
from attndsl.graph import Graph
from attndsl.recipe.fitting import frozen
from attndsl.recipe.options import Choice
from attndsl.recipe.recipe import Recipe
from attndsl.running.state import check_state
from attndsl.running.trainer import StepResult, decays, parameter_infos, processor_threads

Array = np.ndarray[Any, Any]


class NumpyTrainer:
    """A `Trainer` (see `attndsl.running.trainer`). Computes in float64 where the recipe says so, else in float32."""

    device = "cpu"
    program_type: type[NumpyProgram] = NumpyProgram
    """What it computes with."""

    def __init__(self, graph: Graph, recipe: Recipe, *, parameters: Mapping[str, Array] | None = None) -> None:
        self.recipe = recipe
        self.precision = BACKEND.precision(recipe.precision)
        self.threads = processor_threads()
        self.program = self.program_type(graph, dtype=self.precision, parameters=parameters, seed=recipe.seed)
        self.values = self.program.arrays  # its very arrays: what is written into them is what it computes with
        self.decayed = {address for address, info in parameter_infos(graph).items() if decays(info)}
        self.frozen = frozen(recipe, self.values)
        self.optimizer = _OPTIMIZERS[recipe.optimizer.kind](
            recipe.optimizer, {address: value for address, value in self.values.items() if address not in self.frozen}
        )

    def step(self, batches: Sequence[Mapping[str, Array]], step: int) -> StepResult:
        total, sums = 0.0, dict[str, Array]()
        for part, batch in enumerate(batches):
            loss, gradients = self.program.loss_and_gradients(
                batch, self.recipe.minimize, training=True, seed=self.recipe.seed, step=step * len(batches) + part
            )
            total += float(loss)
            for address in self.frozen:
                del gradients[address]
            if not sums:
                sums = gradients
            else:
                for address, gradient in gradients.items():
                    sums[address] = sums[address] + gradient
        share = 1.0 / len(batches)
        norm = math.sqrt(math.fsum(float(np.dot(g.reshape(-1), g.reshape(-1))) for g in sums.values())) * share
        if not math.isfinite(total) or not math.isfinite(norm):
            return StepResult(total * share, norm)
        clip = self.recipe.clip
        if clip and norm > clip:
            share *= clip / norm
        rate = self.recipe.rate(step)
        with np.errstate(all="ignore"):  # what overflows here is found by `finite`, or in the next loss
            self.optimizer.updates += 1
            for address, gradient in sums.items():
                value = self.values[address]
                if share != 1.0:
                    gradient = gradient * value.dtype.type(share)
                self.optimizer.update(address, value, gradient, rate, address in self.decayed)
        return StepResult(total / len(batches), norm)

    def evaluate(self, batch: Mapping[str, Array]) -> float:
        name = self.recipe.minimize
        return float(self.program.run(batch, [name])[name])

    def outputs(self, batch: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        return self.program.run(batch, names)

    def finite(self) -> bool:
        return all(bool(np.isfinite(value).all()) for value in self.values.values())

    def parameters(self) -> dict[str, Array]:
        return {address: value.copy() for address, value in self.values.items()}

    def state(self) -> dict[str, Array]:
        state = {f"parameters/{address}": value.copy() for address, value in self.values.items()}
        for name, arrays in self.optimizer.averages.items():
            state |= {f"optimizer/{name}/{address}": array.copy() for address, array in arrays.items()}
        return state | {"updates": np.array(self.optimizer.updates, dtype=np.int64)}

    def load_state(self, state: Mapping[str, Array]) -> None:
        shapes = {address: value.shape for address, value in self.values.items()}
        check_state(state, shapes, tuple(self.optimizer.averages), self.frozen)
        for address, value in self.values.items():
            np.copyto(value, state[f"parameters/{address}"])
        for name, arrays in self.optimizer.averages.items():
            for address, array in arrays.items():
                np.copyto(array, state[f"optimizer/{name}/{address}"])
        self.optimizer.updates = int(state["updates"])


class _Optimizer:
    """`averages` has the arrays that are kept for each parameter, by name and address; `updates` counts the steps."""

    names: tuple[str, ...] = ()

    def __init__(self, choice: Choice, values: Mapping[str, Array]) -> None:
        self.choice = choice
        self.averages = {n: {address: np.zeros_like(value) for address, value in values.items()} for n in self.names}
        self.updates = 0

    def update(self, address: str, value: Array, gradient: Array, rate: float, decayed: bool) -> None:
        raise NotImplementedError


class _Adam(_Optimizer):
    """Adam, and with decoupled weight decay AdamW: Loshchilov and Hutter (2019), algorithm 2."""

    names = ("first", "second")

    def update(self, address: str, value: Array, gradient: Array, rate: float, decayed: bool) -> None:
        choice, real = self.choice, value.dtype.type
        beta_1, beta_2 = choice.pair("betas")
        first, second = self.averages["first"][address], self.averages["second"][address]
        if decayed and choice.get("decay", 0.0):
            value *= real(1.0 - rate * choice.number("decay"))
        first += real(1.0 - beta_1) * (gradient - first)
        second *= real(beta_2)
        second += real(1.0 - beta_2) * (gradient * gradient)
        root = np.sqrt(second)
        root *= real(1.0 / math.sqrt(1.0 - beta_2**self.updates))
        root += real(choice.number("eps"))
        value -= real(rate / (1.0 - beta_1**self.updates)) * first / root


class _Descent(_Optimizer):
    """Gradient descent with momentum; the decay is added to the gradient, as in `torch.optim.SGD`."""

    names = ("momentum",)

    def update(self, address: str, value: Array, gradient: Array, rate: float, decayed: bool) -> None:
        choice, real = self.choice, value.dtype.type
        if decayed and choice.number("decay"):
            gradient = gradient + real(choice.number("decay")) * value
        momentum = choice.number("momentum")
        if momentum:
            kept = self.averages["momentum"][address]
            kept *= real(momentum)
            kept += gradient
            gradient = gradient + real(momentum) * kept if choice["nesterov"] else kept
        value -= real(rate) * gradient


_OPTIMIZERS: dict[str, type[_Optimizer]] = {"adamw": _Adam, "adam": _Adam, "sgd": _Descent}
