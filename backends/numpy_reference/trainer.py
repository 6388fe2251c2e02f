"""Training on NumPy: the reference program's gradients. The optimizer moves the parameters in place, one by one, in the
order of the graph."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from attndsl.backends.numpy_reference.backend import BACKEND
from attndsl.backends.numpy_reference.evaluator import NumpyProgram
from attndsl.graph import Graph
from attndsl.optimizers import Step
from attndsl.running.carrying import CarriedStates
from attndsl.running.decay import decaying
from attndsl.running.joining import JoinedBatches
from attndsl.running.parameters import shared_shapes
from attndsl.running.state import check_state, kept_shapes, parameters_in, whole_state
from attndsl.running.trainer import StepResult, Training, processor_threads
from attndsl.storage.deferred import Deferred

Array = np.ndarray[Any, Any]


class NumpyTrainer:
    """A `Trainer` (see `attndsl.running.trainer`). Computes in float64 where the recipe says so, else in float32."""

    device = "cpu"
    memory = 0
    program_type: type[NumpyProgram] = NumpyProgram
    """What it computes with."""

    def __init__(self, graph: Graph, recipe: Training, *, parameters: Mapping[str, Array] | None = None) -> None:
        self.recipe = recipe
        self.precision = BACKEND.precision(recipe.precision)
        self.threads = processor_threads()
        self.joined = JoinedBatches(graph)
        joined, dtype = self.joined.graph, self.precision
        self.program = self.program_type(joined, dtype=dtype, parameters=parameters, seed=recipe.seed)
        self.program.recompute = recipe.recompute
        self.values = self.program.arrays  # its very arrays: what is written into them is what it computes with
        self.decayed = decaying(graph)
        self.frozen = recipe.frozen(self.values)
        self.factors = recipe.factors(self.values)
        self.shapes = {address: value.shape for address, value in self.values.items()}
        self.kept = {
            address: {name: np.zeros(shape, self.precision) for name, shape in shapes.items()}
            for address, shapes in kept_shapes(recipe.optimizer, self.shapes, self.frozen).items()
        }
        self.updates = 0
        self.carried = CarriedStates(self.joined.graph, parameters or {}, dtype, self._as_kept)

    def _as_kept(self, array: Array) -> Array:
        return array.astype(self.precision) if array.dtype.kind == "f" else array

    def peak(self) -> float:
        return 0.0

    def step(
        self,
        batches: Sequence[Mapping[str, Array]],
        step: int,
        *,
        goes_on: bool = False,
        without: Collection[str] = (),
    ) -> StepResult:
        scalars, sums = dict[str, float](), dict[str, Array]()
        parts, names = self.joined.prepared(batches, without)
        loss, seed = names[self.recipe.minimize], self.recipe.seed
        program = self.program.giving(tuple(names.values()))
        for part, batch in enumerate(parts):
            found, gradients, _ = program.gradients(
                {**batch, **self.carried.given(batch, part, goes_on=goes_on)},
                {loss: np.ones(())},
                tuple(names.values()),
                training=True,
                seed=seed,
                step=step * len(parts) + part,
            )
            self.carried.keep(found, part)
            for name, output in names.items():
                scalars[name] = scalars.get(name, 0.0) + float(found[output])
            for address in self.frozen:
                del gradients[address]
            for address, gradient in gradients.items() if sums else ():
                sums[address] += gradient
            sums = sums or gradients
        total, share = scalars.pop(self.recipe.minimize), 1.0
        norm = math.sqrt(math.fsum(float(np.dot(g.reshape(-1), g.reshape(-1))) for g in sums.values()))
        if not math.isfinite(total) or not math.isfinite(norm):
            return StepResult(total, norm, scalars=scalars)
        clip = self.recipe.clip
        if clip and norm > clip:
            share = clip / norm
        rate = self.recipe.rate(step)
        with np.errstate(all="ignore"):  # what overflows here is found by `finite`, or in the next loss
            self.updates += 1
            for address, gradient in sums.items():
                value = self.values[address]
                if share != 1.0:
                    gradient = gradient * value.dtype.type(share)
                one = Step(rate * self.factors.get(address, 1.0), self.updates, address in self.decayed)
                self.recipe.optimizer.update(np, value, gradient, self.kept[address], one)
        return StepResult(total, norm, scalars=scalars)

    def check(self, batch: Mapping[str, Array]) -> None:
        """It has all of every batch."""

    def evaluate(self, batches: Sequence[Mapping[str, Array]], *, in_order: bool = False) -> dict[str, float]:
        parts, names = self.joined.prepared(batches)
        carried, found = self.carried.for_evaluation(), []
        program = self.program.giving(tuple(names.values()))
        for number, batch in enumerate(parts):
            given = {**batch, **carried.given(batch, goes_on=in_order and number > 0)}
            found.append(program.outputs(given, tuple(names.values())))
            carried.keep({**found[-1], **carried.shared})
        return {name: math.fsum(float(each[output]) for each in found) for name, output in names.items()}

    def outputs(self, batch: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        self.program.shared = dict(self.carried.shared)
        return self.program.run(batch, names)

    def store(self, kind: str) -> None:
        self.program.store(kind)

    def finite(self) -> bool:
        return all(bool(np.isfinite(value).all()) for value in self.values.values())

    def parameters(self) -> Deferred:
        values = Deferred(self.values, lambda address: self.values[address].copy())
        return Deferred.joined(values, self.carried.shared_arrays())

    def state(self) -> Deferred:
        def kept(address: str, name: str) -> Array:
            return self.kept[address][name].copy()

        return whole_state(
            self.parameters(), self.kept, kept, self.carried.row_arrays(), updates=np.array(self.updates, np.int64)
        )

    def load_state(self, state: Mapping[str, Array]) -> None:
        optimized = kept_shapes(self.recipe.optimizer, self.shapes, self.frozen)
        check_state(state, self.shapes, optimized, shared_shapes(self.program.graph))
        self.carried.check(state)
        self.carried.load(parameters_in(state), state)
        for address, value in self.values.items():
            np.copyto(value, state[f"parameters/{address}"])
        for address, kept in self.kept.items():
            for name, array in kept.items():
                np.copyto(array, state[f"optimizer/{name}/{address}"])
        self.updates = int(state["updates"])
