"""Training on PyTorch: parameters in float32 (or float64), computing in a narrower type where the recipe says so."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any

import numpy as np
import torch

from attndsl.backends.pytorch.arrays import to_array, to_tensor
from attndsl.backends.pytorch.autocast import NARROW, mixed
from attndsl.backends.pytorch.divided import DividedTraining, WholeTraining
from attndsl.backends.pytorch.executing import out_of_memory
from attndsl.backends.pytorch.kernels import peak
from attndsl.backends.pytorch.live import LiveTensors
from attndsl.backends.pytorch.optimizers import fused_update
from attndsl.backends.pytorch.processes import TorchProcesses
from attndsl.backends.pytorch.program import TorchProgram
from attndsl.backends.pytorch.timed import TIMED
from attndsl.graph import Graph
from attndsl.layouts import Layout, default_layout
from attndsl.optimizers import Step
from attndsl.running.carrying import ROWS, CarriedStates
from attndsl.running.decay import decaying
from attndsl.running.initial import initial_parameters
from attndsl.running.joining import JoinedBatches
from attndsl.running.parameters import parameter_shapes, shared_shapes
from attndsl.running.state import check_state, kept_shapes, parameters_in, whole_state
from attndsl.running.trainer import StepResult, Training, parameter_infos
from attndsl.storage.deferred import Deferred, stating

Array = np.ndarray[Any, Any]

# The scale of the loss in float16 (Micikevicius et al., "Mixed precision training", 2018): doubled after so many steps
# without an overflow, halved after one.
_FIRST_SCALE, _LAST_SCALE, _GROWTH = 2.0**16, 2.0**-8, 1000


class TorchTrainer:
    """A `Trainer` (see `attndsl.running.trainer`). In bfloat16 and float16 the matrix products are computed in that
    type by autocast, norms and losses in float32, and in float16 the loss is scaled. Of several `processes` each has
    its part of the model and of every batch by the `layout` (without one, its share of rows and parameters). If it
    `watches` the next step (of several processes on CPUs the first), `fullest` has afterwards the bytes of tensors that
    were there at once, by kind. Raises E0811 where there is no such device, E1004 for an axis that cannot be divided
    as the layout says."""

    def __init__(
        self,
        graph: Graph,
        recipe: Training,
        *,
        device: str = "cpu",
        parameters: Mapping[str, Array] | None = None,
        compile: bool = False,
        processes: TorchProcesses | None = None,
        layout: Layout | None = None,
    ) -> None:
        self.recipe = recipe
        self.precision = recipe.precision
        self.threads = torch.get_num_threads()
        self.watches = processes is not None and device == "cpu" and not compile
        kept = "float64" if recipe.precision == "float64" else "float32"
        self.joined = JoinedBatches(graph)
        self.part = WholeTraining(self.joined.graph)
        if processes is not None:
            layout = layout or default_layout(graph, processes.size)
            self.part = DividedTraining.begin(self.joined.graph, layout, processes, device)
            if parameters is None:
                names = self.part.names(parameter_shapes(graph))
                drawn = initial_parameters(graph, recipe.seed, self.part.own, names)
                parameters = {names[address]: array for address, array in drawn}
            else:
                parameters = self.part.parameters(parameters.items())
        self.program = TorchProgram(
            self.part.graph,
            dtype=kept,
            device=device,
            parameters=parameters,
            seed=recipe.seed,
            compile=compile,
            recompute=recipe.recompute,
            mesh=self.part.mesh,
        )
        self._opened: TorchProgram | None = None
        self.device = str(self.program.device)
        named = dict(self.program.module.named_parameters())
        infos = parameter_infos(graph)
        self.values = {address: named[name] for address, name in self.part.names(infos).items()}
        self.frozen = recipe.frozen(infos)
        self.trained = {address: value for address, value in self.values.items() if address not in self.frozen}
        fixed = [address for address in self.values if self.frozen.issuperset(self.part.alike(address))]
        for address in fixed:  # of others, processes send one another gradients
            self.values[address].requires_grad_(False)
        decayed, factors = decaying(graph), recipe.factors(infos)
        self.groups: dict[tuple[bool, float], list[str]] = {}  # what is moved alike: whether it decays, how fast
        for address in infos:
            group = self.groups.setdefault((address in decayed, factors.get(address, 1.0)), [])
            group += [address] if address in self.trained else []
        self.shapes = parameter_shapes(graph)
        own = {address: tuple(value.shape) for address, value in self.values.items()}
        self.kept = {
            address: {name: _zeros(self.values[address], shape) for name, shape in shapes.items()}
            for address, shapes in kept_shapes(recipe.optimizer, own, fixed).items()
        }
        self.updates = 0
        self._compiles, self._has_stepped = compile, False
        self.fullest: dict[str, int] = {}
        self._live: LiveTensors | None = None
        self.scale, self.held = (_FIRST_SCALE if recipe.precision == "float16" else 1.0), 0

        first = self.part.initial_states
        self.carried = CarriedStates(self.part.graph, parameters or {}, kept, self._as_kept, to_array, first)

    def _as_kept(self, value: Any) -> Any:
        """A state as it is kept: without its gradient, floats in the type of the parameters."""
        tensor = to_tensor(value, device=self.program.device) if isinstance(value, np.ndarray) else value.detach()
        return tensor.to(self.program.torch_dtype) if tensor.is_floating_point() else tensor

    def _scalars(
        self, batch: Mapping[str, Array], names: Sequence[str], states: Mapping[str, Any], training: bool, step: int
    ) -> dict[str, Any]:
        seed = self.recipe.seed
        with mixed(self.precision, self.program.device), self._waiting(training):
            return self.program.scalars(batch, names, states=states, training=training, seed=seed, step=step)

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
        if not self.watches:
            return self._step(batches, step, goes_on, without)
        states = [each for kept in self.kept.values() for each in kept.values()]
        with LiveTensors({"weights": self.values.values(), "states": states}, "activations") as self._live:
            result = self._step(batches, step, goes_on, without)
        self.fullest, self._live, self.watches = self._live.fullest, None, False
        return result

    def _waiting(self, training: bool = True) -> AbstractContextManager[None]:
        """Within it the process may wait for others in what `TIMED` does not see: in the queue of a GPU, or in compiled
        code. While that is being compiled it does not wait, however long it takes."""
        if self._compiles:
            unseen = training and self._has_stepped
        else:
            unseen = self.program.device.type == "cuda"
        return TIMED.waiting() if unseen else nullcontext()

    @property
    def memory(self) -> int:
        if self.program.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.program.device)
        return sum(self.fullest.values())

    @cached_property
    def _peak(self) -> float:
        device = self.program.device
        try:
            found = peak(device, NARROW.get(self.precision, self.program.torch_dtype))
        except torch.OutOfMemoryError:
            found = 0.0
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)  # it is no part of `memory`
        return found

    def peak(self) -> float:
        return self._peak

    def _step(
        self, batches: Sequence[Mapping[str, Array]], step: int, goes_on: bool, without: Collection[str]
    ) -> StepResult:
        self._opened = None
        for value in self.values.values():
            value.grad = None
        parts, names = self.joined.prepared(batches, without)
        rows = []
        for number, whole in enumerate(parts):
            states = self.carried.given(whole, number, goes_on=goes_on)
            batch, draw = self.part.inputs(whole), step * len(parts) + number
            found = self._scalars(batch, tuple(names.values()), states, True, draw)
            self._keep(self.carried, found, number)
            least = found[names[self.recipe.minimize]] * self.scale
            if least.requires_grad:  # else it depends on no parameter
                with out_of_memory(self.program.graph, self.program.device), self._waiting():
                    self._backward(least)
            rows.append(torch.stack([found[output].detach().double() for output in names.values()]))
        scalars = dict(zip(names, to_array(torch.stack(rows).sum(0)).tolist(), strict=True))
        self._has_stepped = True
        loss = scalars.pop(self.recipe.minimize)
        gradients = []
        for value in self.trained.values():
            if value.grad is None:  # the loss does not depend on it; it decays all the same
                value.grad = torch.zeros_like(value)
            gradients.append(value.grad)
        if self.scale != 1.0:
            torch._foreach_mul_(gradients, 1.0 / self.scale)
        norm = self.part.norm(dict(zip(self.trained, gradients, strict=True)))
        if not math.isfinite(loss):
            return StepResult(loss, norm, scalars=scalars)
        if not math.isfinite(norm):
            return StepResult(loss, norm, self._shrink(), scalars)
        if self.recipe.clip and norm > self.recipe.clip:
            torch._foreach_mul_(gradients, self.recipe.clip / norm)
        self._move(self.recipe.rate(step))
        self._grow()
        return StepResult(loss, norm, scalars=scalars)

    def _backward(self, loss: torch.Tensor) -> None:
        if self._live is None:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            with self._live.making("working", "gradients", self.trained.values()):
                loss.backward()  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def _move(self, rate: float) -> None:
        """One update of all parameters, by PyTorch's own kernel where it has one."""
        self.updates += 1
        optimizer = self.recipe.optimizer
        fused = fused_update(optimizer)
        for (decay, factor), addresses in self.groups.items():
            if not addresses:
                continue
            step = Step(rate * factor, self.updates, decay)
            if fused is not None:
                fused(
                    [self.trained[address] for address in addresses],
                    [self.kept[address] for address in addresses],
                    step,
                )
                continue
            for address in addresses:
                value, kept = self.trained[address], self.kept[address]
                assert value.grad is not None
                if optimizer.by_element:
                    optimizer.update(torch, value, value.grad, kept, step)
                    continue
                placed = {name: self.part.placed(kept[name], address, axes) for name, axes in self._axes(address)}
                own, gradient = (self.part.placed(each.detach(), address) for each in (value, value.grad))
                with self.part.sending():
                    optimizer.update(torch, own, gradient, placed, step)

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
        parts, names = self.joined.prepared(batches)
        carried, rows = self.carried.for_evaluation(), []
        with torch.no_grad():
            for number, whole in enumerate(parts):
                if self.part.fits(whole) is not None:
                    with mixed(self.precision, self.program.device):
                        told = self.outputs(whole, tuple(names.values()))
                    losses = [float(told[output]) for output in names.values()]
                    rows.append(torch.tensor(losses, dtype=torch.float64, device=self.program.device))
                    continue
                states = carried.given(whole, goes_on=in_order and number > 0)
                found = self._scalars(self.part.inputs(whole), tuple(names.values()), states, False, 0)
                self._keep(carried, {**found, **carried.shared})
                rows.append(torch.stack([found[output].double() for output in names.values()]))
        return dict(zip(names, to_array(torch.stack(rows).sum(0)).tolist(), strict=True))

    def check(self, batch: Mapping[str, Array]) -> None:
        if problem := self.part.fits(batch):
            raise problem

    def outputs(self, batch: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        """Also of a batch that cannot be divided. All processes must ask for them."""
        if self.part.fits(batch) is None:
            part, program = self.part, self.program
            program.shared = {name: to_array(value) for name, value in self.carried.shared.items()}
        else:
            part, program = self.part.for_any_batch, self._for_any_batch()
        with self._waiting(training=False):
            found = program.run(part.inputs(batch), names)
        return part.outputs(found)

    def _for_any_batch(self) -> TorchProgram:
        """It is kept as long as the parameters are what they are, and there is no step that needs the room."""
        if self._opened is None:
            part = self.part.for_any_batch
            own = part.parameters(self.parameters().items())
            self._opened = TorchProgram(
                part.graph, dtype=self.program.dtype, device=self.device, parameters=own, mesh=part.mesh
            )
        return self._opened

    def store(self, kind: str) -> None:
        self.program.store(kind)

    def finite(self) -> bool:
        flags = [value.isfinite().all() for value in self.values.values()]
        return not self.part.any(bool(flags) and not to_array(torch.stack(flags).all()))  # one wait for the device

    def parameters(self) -> Deferred:
        def whole(address: str) -> Array:
            return self.part.whole(self.values[self.part.here(address)], address)

        shared = {address: self.part.whole(value, address) for address, value in self.carried.shared_arrays().items()}
        return Deferred.joined(Deferred.of(self.shapes, self.program.dtype, whole), shared)

    def _axes(self, address: str) -> list[tuple[str, tuple[int, ...]]]:
        """Along which axes of a parameter is what is kept beside it, by name."""
        return list(self.recipe.optimizer.keeps(tuple(range(len(self.shapes[address])))).items())

    def state(self) -> Deferred:
        def kept(address: str, name: str) -> Array:
            own = self.kept[self.part.here(address)][name]
            return self.part.whole(own, address, dict(self._axes(address))[name])

        shapes = kept_shapes(self.recipe.optimizer, self.shapes, self.frozen)
        known = {
            address: {name: stating(shape, self.program.dtype) for name, shape in some.items()}
            for address, some in shapes.items()
        }
        own = self.carried.row_arrays()
        rows = {name: self.part.whole(array, name.split("/", 2)[2]) for name, array in own.items()}
        others = {"updates": np.array(self.updates, dtype=np.int64)}
        if self.precision == "float16":
            others["scale"] = np.array([self.scale, self.held], dtype=np.float64)
        return whole_state(self.parameters(), known, kept, rows, **others)

    def load_state(self, state: Mapping[str, Array]) -> None:
        optimized = kept_shapes(self.recipe.optimizer, self.shapes, self.frozen)
        shared = shared_shapes(self.joined.graph)  # what is written is the whole of each
        check_state(state, self.shapes, optimized, shared)
        self.carried.check(state)
        rows = (name for name in state if name.startswith(f"{ROWS}/"))
        own = {name: self.part.own(state[name], name.split("/", 2)[2]) for name in rows}
        read = parameters_in(state)
        self.carried.load({a: self.part.own(read[a], a) for a in shared if a in read}, own)
        self.updates, self._opened = int(state["updates"]), None
        with torch.no_grad():
            for address, value in self.values.items():
                value.copy_(to_tensor(self.part.own(state[f"parameters/{address}"], address)))
            for address, kept in self.kept.items():
                for name, axes in self._axes(address) if address not in self.frozen else ():
                    kept[name].copy_(to_tensor(self.part.own(state[f"optimizer/{name}/{address}"], address, axes)))
        if self.precision == "float16" and "scale" in state:
            self.scale, self.held = float(state["scale"][0]), int(state["scale"][1])


def _zeros(value: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """What is kept beside a parameter, before the first update. What has its shape has its layout, too: torch's fused
    kernels go through the memory of both alike."""
    return torch.zeros_like(value) if shape == value.shape else value.new_zeros(shape)
