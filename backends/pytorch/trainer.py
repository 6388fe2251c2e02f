"""Training on PyTorch: parameters in float32 (or float64), computing in a narrower type where the recipe says so."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from attndsl.backends.pytorch.arrays import to_array, to_tensor
from attndsl.backends.pytorch.autocast import mixed
from attndsl.backends.pytorch.executing import out_of_memory
from attndsl.backends.pytorch.optimizers import fused_update
from attndsl.backends.pytorch.processes import TorchProcesses
from attndsl.backends.pytorch.program import TorchProgram
from attndsl.graph import Graph
from attndsl.optimizers import Step
from attndsl.running.carrying import ROWS, CarriedStates
from attndsl.running.decay import decaying
from attndsl.running.joining import JoinedBatches
from attndsl.running.parameters import shared_shapes
from attndsl.running.processes import part
from attndsl.running.state import check_state, kept_shapes, parameters_in
from attndsl.running.trainer import StepResult, Training, parameter_infos

Array = np.ndarray[Any, Any]

# The scale of the loss in float16 (Micikevicius et al., "Mixed precision training", 2018): doubled after so many steps
# without an overflow, halved after one.
_FIRST_SCALE, _LAST_SCALE, _GROWTH = 2.0**16, 2.0**-8, 1000


class TorchTrainer:
    """A `Trainer` (see `attndsl.running.trainer`). In bfloat16 and float16 the matrix products are computed in that
    type by autocast, norms and losses in float32, and in float16 the loss is scaled. Of several `processes` each has
    all parameters and its rows of every batch, and the gradients are added up. Raises E0811 where there is no
    such device."""

    def __init__(
        self,
        graph: Graph,
        recipe: Training,
        *,
        device: str = "cpu",
        parameters: Mapping[str, Array] | None = None,
        compile: bool = False,
        processes: TorchProcesses | None = None,
    ) -> None:
        self.processes = processes
        self.part = (processes.rank, processes.size) if processes is not None else (0, 1)
        self.recipe = recipe
        self.precision = recipe.precision
        self.threads = torch.get_num_threads()
        kept = "float64" if recipe.precision == "float64" else "float32"
        self.joined = JoinedBatches(graph)
        self.program = TorchProgram(
            self.joined.graph,
            dtype=kept,
            device=device,
            parameters=parameters,
            seed=recipe.seed,
            compile=compile,
            recompute=recipe.recompute,
        )
        self.device = str(self.program.device)
        named = dict(self.program.module.named_parameters())
        infos = parameter_infos(graph)
        self.values = {address: named[address] for address in infos}
        self.frozen = recipe.frozen(self.values)
        self.trained = {address: value for address, value in self.values.items() if address not in self.frozen}
        for address in self.frozen:
            self.values[address].requires_grad_(False)
        decayed, factors = decaying(graph), recipe.factors(self.values)
        self.groups: dict[tuple[bool, float], list[str]] = {}  # what is moved alike: whether it decays, how fast
        for address in self.trained:
            self.groups.setdefault((address in decayed, factors.get(address, 1.0)), []).append(address)
        self.shapes = {address: tuple(value.shape) for address, value in self.values.items()}
        self.kept = {
            address: {name: _zeros(self.values[address], shape) for name, shape in shapes.items()}
            for address, shapes in kept_shapes(recipe.optimizer, self.shapes, self.frozen).items()
        }
        self.updates = 0
        self.scale, self.held = (_FIRST_SCALE if recipe.precision == "float16" else 1.0), 0

        self.carried = CarriedStates(self.joined.graph, parameters or {}, kept, self._as_kept, to_array)

    def _as_kept(self, value: Any) -> Any:
        """A state as it is kept: without its gradient, floats in the type of the parameters."""
        tensor = to_tensor(value, device=self.program.device) if isinstance(value, np.ndarray) else value.detach()
        return tensor.to(self.program.torch_dtype) if tensor.is_floating_point() else tensor

    def _scalars(
        self, batch: Mapping[str, Array], names: Sequence[str], states: Mapping[str, Any], training: bool, step: int
    ) -> dict[str, Any]:
        seed = self.recipe.seed
        with mixed(self.precision, self.program.device):
            return self.program.scalars(batch, names, states=states, training=training, seed=seed, step=step)

    def _over_all(self, sums: torch.Tensor) -> list[float]:
        """The sums over all processes."""
        found: list[float] = sums.tolist()
        return found if self.processes is None else self.processes.total(found)

    def _keep(self, carried: CarriedStates, found: Mapping[str, Any], part: int = 0) -> None:
        carried.keep({name: self._as_kept(found[name]) for name in self.program.graph.state_names}, part)

    def step(
        self,
        batches: Sequence[Mapping[str, Array]],
        step: int,
        *,
        goes_on: bool = False,
        without: Collection[str] = (),
    ) -> StepResult:
        for value in self.trained.values():
            value.grad = None
        parts, names = self.joined.prepared(batches, without, *self.part)
        rank, size = self.part
        rows = []
        for number, batch in enumerate(parts):
            states = self.carried.given(batch, number, goes_on=goes_on)
            draw = (step * len(parts) + number) * size + rank
            found = self._scalars(batch, tuple(names.values()), states, True, draw)
            self._keep(self.carried, found, number)
            with out_of_memory(self.program.graph, self.program.device):
                (found[names[self.recipe.minimize]] * self.scale).backward()
            rows.append(torch.stack([found[output].detach().double() for output in names.values()]))
        scalars = dict(zip(names, self._over_all(torch.stack(rows).sum(0)), strict=True))
        loss = scalars.pop(self.recipe.minimize)
        gradients = []
        for value in self.trained.values():
            if value.grad is None:  # the loss does not depend on it; it decays all the same
                value.grad = torch.zeros_like(value)
            gradients.append(value.grad)
        if self.processes is not None:
            self.processes.add_up(gradients)
        if self.scale != 1.0:
            torch._foreach_mul_(gradients, 1.0 / self.scale)
        norm = float(torch.nn.utils.get_total_norm(gradients))
        if not math.isfinite(loss):
            return StepResult(loss, norm, scalars=scalars)
        if not math.isfinite(norm):
            return StepResult(loss, norm, self._shrink(), scalars)
        if self.recipe.clip and norm > self.recipe.clip:
            torch._foreach_mul_(gradients, self.recipe.clip / norm)
        self._move(self.recipe.rate(step))
        self._grow()
        return StepResult(loss, norm, scalars=scalars)

    @torch.no_grad()
    def _move(self, rate: float) -> None:
        """One update of all parameters, by PyTorch's own kernel where it has one."""
        self.updates += 1
        optimizer = self.recipe.optimizer
        fused = fused_update(optimizer)
        for (decay, factor), addresses in self.groups.items():
            step = Step(rate * factor, self.updates, decay)
            if fused is not None:
                fused(
                    [self.trained[address] for address in addresses],
                    [self.kept[address] for address in addresses],
                    step,
                )
                continue
            for address in addresses:
                value = self.trained[address]
                assert value.grad is not None
                optimizer.update(torch, value, value.grad, self.kept[address], step)

    def _shrink(self) -> bool:
        """After an overflow: whether a smaller scale may help."""
        if self.precision != "float16" or self.scale <= _LAST_SCALE:
            return False
        self.scale, self.held = self.scale / 2, 0
        return True

    def _grow(self) -> None:
        if self.precision == "float16":
            self.held += 1
            if self.held == _GROWTH:
                self.scale, self.held = self.scale * 2, 0

    def evaluate(self, batches: Sequence[Mapping[str, Array]], *, in_order: bool = False) -> dict[str, float]:
        parts, names = self.joined.prepared(batches, (), *self.part)
        carried, rows = self.carried.for_evaluation(), []
        with torch.no_grad():
            for number, batch in enumerate(parts):
                states = carried.given(batch, goes_on=in_order and number > 0)
                found = self._scalars(batch, tuple(names.values()), states, False, 0)
                self._keep(carried, {**found, **carried.shared})
                rows.append(torch.stack([found[output].double() for output in names.values()]))
        return dict(zip(names, self._over_all(torch.stack(rows).sum(0)), strict=True))

    def outputs(self, batch: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        self.program.shared = {name: to_array(value) for name, value in self.carried.shared.items()}
        return self.program.run(batch, names)

    def store(self, kind: str) -> None:
        self.program.store(kind)

    def finite(self) -> bool:
        flags = [value.isfinite().all() for value in self.values.values()]
        return not flags or bool(torch.stack(flags).all())  # together: one wait for the device

    def parameters(self) -> dict[str, Array]:
        return {address: to_array(value) for address, value in self.values.items()} | self.carried.shared_arrays()

    def state(self) -> dict[str, Array]:
        state = {f"parameters/{address}": array for address, array in self.parameters().items()}
        for address, kept in self.kept.items():
            state |= {f"optimizer/{name}/{address}": to_array(tensor) for name, tensor in kept.items()}
        state |= self._of_all_rows(self.carried.row_arrays())
        state["updates"] = np.array(self.updates, dtype=np.int64)
        if self.precision == "float16":
            state["scale"] = np.array([self.scale, self.held], dtype=np.float64)
        return state

    def _row_axes(self) -> dict[str, int]:
        """By address where the rows stand in the states that are of rows."""
        graph = self.program.graph
        axes = {address: self.joined.row_axis(info.type) for info in graph.states for address in info.addresses()}
        return {address: axis for address, axis in axes.items() if axis is not None}

    def _of_all_rows(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """States of rows, as one process would have them."""
        if self.processes is None or not arrays:
            return arrays
        told, axes = self.processes.gather(arrays), self._row_axes()
        return {
            name: np.concatenate([each[name] for each in told], axes[address]) if address in axes else array
            for name, array in arrays.items()
            for address in [name.split("/", 2)[2]]
        }

    def _own_rows(self, state: Mapping[str, Array]) -> dict[str, Array]:
        """A checkpoint with those rows alone that this process works on."""
        axes = self._row_axes()
        return {
            name: part(array, axes[address], *self.part)
            if name.startswith(f"{ROWS}/") and (address := name.split("/", 2)[2]) in axes
            else array
            for name, array in state.items()
        }

    def load_state(self, state: Mapping[str, Array]) -> None:
        optimized = kept_shapes(self.recipe.optimizer, self.shapes, self.frozen)
        check_state(state, self.shapes, optimized, shared_shapes(self.program.graph))
        self.carried.check(state)
        self.carried.load(parameters_in(state), self._own_rows(state))
        self.updates = int(state["updates"])
        with torch.no_grad():
            for address, value in self.values.items():
                value.copy_(to_tensor(state[f"parameters/{address}"]))
            for address, kept in self.kept.items():
                for name, tensor in kept.items():
                    tensor.copy_(to_tensor(state[f"optimizer/{name}/{address}"]))
        if self.precision == "float16" and "scale" in state:
            self.scale, self.held = float(state["scale"][0]), int(state["scale"][1])


def _zeros(value: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """What is kept beside a parameter, before the first update. What has its shape has its layout, too: torch's fused
    kernels go through the memory of both alike."""
    return torch.zeros_like(value) if shape == value.shape else value.new_zeros(shape)
