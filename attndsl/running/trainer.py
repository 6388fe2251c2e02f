"""What a backend gives for training.

A trainer owns a program's parameters and the optimizer's state, both as float32 (float64 when that is asked for). The
loop tells it nothing but batches and step numbers, and everything that it needs to go on after a kill is in `state()`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from attndsl.graph import Graph, ParameterInfo
from attndsl.lazy import Array
from attndsl.optimizers import Optimizer
from attndsl.records import Frozen, field
from attndsl.running.machine import processors


class StepResult(Frozen):
    """`loss` is that of all the step's batches together, `grad_norm` that of its gradients before clipping, `scalars`
    has the other scalar outputs of the model. Where loss or norm is not finite nothing was changed; `skipped` says that
    this was the loss scale's doing (float16) and is not a failure."""

    loss: float
    grad_norm: float
    skipped: bool = False
    scalars: Mapping[str, float] = field(default_factory=dict)


class Training(Protocol):
    """What a trainer is told of a training: a recipe (`attndsl.recipe.recipe.Recipe`) says it."""

    @property
    def minimize(self) -> str:
        """The output to minimise, a scalar."""
        ...

    @property
    def optimizer(self) -> Optimizer: ...

    @property
    def clip(self) -> float:
        """The largest norm of all gradients together; 0: no limit."""
        ...

    @property
    def precision(self) -> str: ...

    @property
    def recompute(self) -> bool:
        """Whether the bodies of repeats are computed again for the gradients (Chen et al., 2016): of each round stays
        in memory what it was given, and nothing that it made on the way. The numbers drawn are the same."""
        ...

    @property
    def seed(self) -> int: ...

    def rate(self, step: int) -> float:
        """The learning rate of `step` (from 0)."""
        ...

    def frozen(self, addresses: Iterable[str]) -> frozenset[str]:
        """Those of the `addresses` of parameters that keep their values."""
        ...

    def factors(self, addresses: Iterable[str]) -> Mapping[str, float]:
        """By what the rate is multiplied for some of the `addresses`; for all others by 1."""
        ...


class Trainer(Protocol):
    """One model being trained. `precision` is what is computed in, `device` where, `threads` on how many."""

    precision: str
    device: str
    threads: int

    @property
    def memory(self) -> int:
        """The most bytes of tensors that a step has had at once: parameters, gradients, the optimizer's states and
        what is computed. 0 where that is not known."""
        ...

    def peak(self) -> float:
        """FLOP/s that products of large matrices reach where it computes, as measured. 0 where that is not known."""
        ...

    def step(
        self,
        batches: Sequence[Mapping[str, Array]],
        step: int,
        *,
        goes_on: bool = False,
        without: Collection[str] = (),
    ) -> StepResult:
        """One step of the optimizer on all `batches` together, as if they were one (`attndsl.running.joining`); `step`
        counts from 0. Where the text of each `goes_on`, so do the states of its rows (`attndsl.running.carrying`), with
        no gradient into the step before: truncated backpropagation through time. The model's other scalars are computed
        as well, `without` those that nobody asks for."""
        ...

    def check(self, batch: Mapping[str, Array]) -> None:
        """Raise E1004 where a batch of these shapes cannot be divided among the processes as their layout says."""
        ...

    def evaluate(self, batches: Sequence[Mapping[str, Array]], *, in_order: bool = False) -> dict[str, float]:
        """The scalar outputs of all `batches` together, by name, with dropout off. If they are `in_order`, the states
        of the rows of each go on in the next."""
        ...

    def outputs(self, batch: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        """Outputs of the model by name, with dropout off."""
        ...

    def store(self, kind: str) -> None:
        """Keep the matrices as `kind`, as a program does (`attndsl.running.program.Program.store`): for what is
        measured from here on, since nothing can be trained so."""
        ...

    def finite(self) -> bool:
        """Whether every number in the parameters is one."""
        ...

    def parameters(self) -> Mapping[str, Array]:
        """The parameters by address, and the states that all rows share: copies, made as they are asked for, as they
        are then. Of several processes all must ask, for each in the same order."""
        ...

    def state(self) -> Mapping[str, Array]:
        """All that training goes on from, in the same way: see `attndsl.running.state`."""
        ...

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Go on from a state; `KeyError` names what it lacks, `ValueError` what does not fit, before any is set.
        All is set anew, whatever is left of another state of the same training."""
        ...


def parameter_infos(graph: Graph) -> dict[str, ParameterInfo]:
    """Every parameter by its address in files (`h.0.ln_1.scale`)."""
    return {address: info for info in graph.parameters for address in info.addresses()}


def processor_threads() -> int:
    """How many threads NumPy's matrix products use: what the environment says, else the processors this process has."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        value = os.environ.get(name, "")
        if value.isdecimal() and int(value) > 0:
            return int(value)
    return processors()
