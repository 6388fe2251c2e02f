"""The states of a training, from batch to batch.

A state that all rows share is the model's, as a parameter is: every batch goes on with it. One of the rows of a batch
goes on where the next batch does, and begins anew where that is about other texts. A step may consist of several parts,
whose rows are different ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attndsl.diagnostics import error
from attndsl.graph import Graph
from attndsl.lazy import Array, np
from attndsl.running.parameters import shared_shapes
from attndsl.running.states import initial_stacks, shared_stacks, stacks_of, states_in
from attndsl.storage.deferred import stated

ROWS = "states"
"""Before the number of a part and the address, where a checkpoint keeps a state of rows."""


class CarriedStates:
    """As stacks of all layers, in whatever a backend computes with: `made` makes that of an array, `read` an array of
    it. `arrays` are the parameters, with the shared states of a model that was trained before. `first` gives the
    initial stacks for rows like those of a batch."""

    def __init__(
        self,
        graph: Graph,
        arrays: Mapping[str, Array],
        dtype: str,
        made: Callable[[Array], Any] = np.asarray,
        read: Callable[[Any], Array] = np.asarray,
        first: Callable[[Mapping[str, Array]], dict[str, Array]] | None = None,
    ) -> None:
        self.graph, self.dtype, self.made, self.read = graph, dtype, made, read
        self.first = first or (lambda batch: initial_stacks(graph, batch, "float64"))
        self.shared = {name: made(array) for name, array in shared_stacks(graph, arrays).items()}
        self.rows: dict[int, dict[str, Any]] = {}
        self._of_all = {info.name for info in graph.shared_states}
        self._initial: dict[object, dict[str, Any]] = {}

    def given(self, batch: Mapping[str, Array], part: int = 0, *, goes_on: bool = False) -> dict[str, Any]:
        """The states that a batch begins with; it goes on where the last of this part ended, or begins anew. Raises
        E0733 where there is nothing to go on with."""
        if not self.graph.states:
            return {}
        if goes_on and self.rows.get(part):
            return {**self.shared, **self.rows[part]}
        if goes_on and len(self._of_all) < len(self.graph.state_names):
            raise error(
                "E0733",
                "the checkpoint has no states, with which the text goes on",
                help="start a new run, or go on from an older checkpoint",
            )
        key = tuple((name, np.shape(array)) for name, array in batch.items())
        if key not in self._initial:
            stacks = self.first(batch)
            self._initial = {key: {name: self.made(array) for name, array in stacks.items()}}
        return {**self._initial[key], **self.shared}

    def keep(self, results: Mapping[str, Any], part: int = 0) -> None:
        """Keep what a batch made of them."""
        for name in self.graph.state_names:
            (self.shared if name in self._of_all else self.rows.setdefault(part, {}))[name] = results[name]

    def for_evaluation(self) -> CarriedStates:
        """The same shared ones and none of rows; what is kept in it is not kept here."""
        other = CarriedStates(self.graph, {}, self.dtype, self.made, self.read, self.first)
        other.shared, other._initial = dict(self.shared), self._initial
        return other

    # ------------------------------------------------------------ in files

    def shared_arrays(self) -> dict[str, Array]:
        """The shared ones by address, as they are kept beside the parameters; none before the first batch."""
        return states_in(self.graph, {name: self.read(value) for name, value in self.shared.items()})

    def row_arrays(self) -> dict[str, Array]:
        """Those of rows, by part and address."""
        return {
            f"{ROWS}/{part}/{address}": array
            for part, stacks in self.rows.items()
            for address, array in states_in(self.graph, {n: self.read(v) for n, v in stacks.items()}).items()
        }

    def check(self, state: Mapping[str, Array]) -> None:
        """Raise `KeyError` or `ValueError` for what does not fit of a checkpoint's states."""
        known = {address: info for info in self.graph.states for address in info.addresses()}
        shared = shared_shapes(self.graph)
        for address in shared if int(state["updates"]) else ():
            if f"parameters/{address}" not in state:
                raise KeyError(f"it lacks `parameters/{address}`")
        wanted = {address for address in known if address not in shared}
        parts: dict[str, set[str]] = {}
        for name in state:
            if name.startswith(f"{ROWS}/"):
                _, part, address = name.split("/", 2)
                parts.setdefault(part, set()).add(address)
                if address not in wanted or not part.isdecimal():
                    raise ValueError(f"it has `{name}`, which the run does not have")
                if (rank := stated(state)[name].ndim) != known[address].type.rank:
                    raise ValueError(f"`{name}` has {rank} axes instead of {known[address].type.rank}")
        for part, there in parts.items():
            if lacking := sorted(wanted - there):
                raise KeyError(f"it lacks `{ROWS}/{part}/{lacking[0]}`")

    def load(self, parameters: Mapping[str, Array], state: Mapping[str, Array]) -> None:
        """Go on from a checkpoint's, which fit; `parameters` has the shared ones by address."""
        self.shared = {name: self.made(array) for name, array in shared_stacks(self.graph, parameters).items()}
        infos = [info for info in self.graph.states if info.name not in self._of_all]
        parts = sorted({int(name.split("/")[1]) for name in state if name.startswith(f"{ROWS}/")})
        self.rows = {}
        for part in parts:
            prefix = f"{ROWS}/{part}/"
            own = {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}
            self.rows[part] = {n: self.made(array) for n, array in stacks_of(self.graph, own, infos).items()}
