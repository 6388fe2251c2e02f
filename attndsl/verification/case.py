"""What claims are tried on: a model, its weights, what it is run on, and what runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from attndsl.comparison.measure import Trial
from attndsl.comparison.sides import finest
from attndsl.comparison.work import work_of
from attndsl.graph import Graph
from attndsl.lazy import Array, np
from attndsl.ops.arrays import generator
from attndsl.running import backends
from attndsl.running.initial import initial_parameters
from attndsl.running.inputs import check_inputs, example_inputs
from attndsl.verification.reducing import few_places

if TYPE_CHECKING:
    from attndsl.comparison.tolerance import Work
    from attndsl.running.backends import Backend
    from attndsl.running.program import Program


class Case:
    """`graph` at `sizes`, with `weights` by address; without them, initial values that have been moved away from round
    numbers. `padding` are the inputs that say where something other than padding stands. What is slow is run too if
    `compiled`."""

    def __init__(
        self,
        graph: Graph,
        *,
        weights: Mapping[str, Array] | None = None,
        sizes: Mapping[str, int] | None = None,
        seed: int = 0,
        compiled: bool = False,
        padding: Sequence[str] = (),
    ) -> None:
        self.graph, self.seed, self.compiled, self.padding = graph, seed, compiled, tuple(padding)
        self.asked = few_places(graph, sizes or {})
        self.right = backends.reference()
        self.others = [each for each in backends.backends().values() if each is not self.right]
        given = weights if weights is not None else moved(graph, seed)
        self.weights = {address: np.asarray(array, np.float64) for address, array in given.items()}

    @cached_property
    def double(self) -> Trial:
        """The model in float64, with gradients."""
        return self._trial("float64")

    @cached_property
    def single(self) -> Trial:
        """The model in float32, with gradients."""
        return self._trial("float32")

    def _trial(self, dtype: str) -> Trial:
        return Trial(
            self.graph, self.right, weights=self.weights, gradients=True, dtype=dtype, seed=self.seed, sizes=self.asked
        )

    def program(self, graph: Graph, backend: Backend | None = None) -> Program:
        """A program of `graph` with the case's weights, in float64."""
        return (backend or self.right).program(graph, dtype=finest(self.right), parameters=self.weights)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Those that claims are tried at. Raises AttnError where what was asked for breaks a constraint."""
        return check_inputs(self.graph, example_inputs(self.graph, self.asked, seed=self.seed))

    def work(self, sizes: Mapping[str, int]) -> Work:
        return work_of(self.graph, sizes)

    @property
    def readers(self) -> list[Backend]:
        """What runs graphs here: the reference and every other backend that is installed."""
        return [self.right, *(each for each in self.others if each.installed)]


def moved(graph: Graph, seed: int) -> dict[str, Array]:
    """Initial parameters, of which none is a round number or like another: a bias of zeros and a scale of ones would
    hide what is done with them. What all rows share (running averages) is as training could have left it."""
    arrays = {}
    for address, array in initial_parameters(graph, seed):
        draw = generator("verify", seed, address)
        spread = 0.5 * float(np.std(array)) or 0.1
        arrays[address] = array + spread * draw.standard_normal(array.shape)
    for info in graph.shared_states:
        for address in info.addresses():
            arrays[address] = generator("verify", seed, address).uniform(0.5, 2.0, info.type.shape(graph.sizes))
    return arrays
