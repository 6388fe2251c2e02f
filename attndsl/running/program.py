"""What a backend gives: a graph that runs. Tools (run, compare, train, generate) know backends only through this."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from attndsl.graph import Graph
from attndsl.running.states import states_in

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]


class Results(dict[str, "Array"]):
    """What a run gives: arrays by the names of outputs and the addresses of what was dumped. `states` are those for the
    next call, by address (`h.0.memory`)."""

    states: dict[str, Array]

    @classmethod
    def of(cls, graph: Graph, arrays: Mapping[str, Array]) -> Results:
        """The results of a run of a graph, among whose outputs its states are."""
        kept = graph.state_names
        results = cls({name: array for name, array in arrays.items() if name not in kept})
        results.states = states_in(graph, arrays) if kept else {}
        return results


class Program(Protocol):
    """A graph with parameters, ready to run. Arrays go in and out as NumPy, whatever the backend computes with."""

    graph: Graph

    def parameters(self) -> dict[str, Array]:
        """Copies of the parameters by concrete address (`h.0.ln_1.scale`)."""
        ...

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Replace all parameters; the addresses and shapes must be exactly the graph's (checked before any is set)."""
        ...

    def store(self, kind: str) -> None:
        """Keep the matrices for use alone as `kind`, one of `attndsl.running.weights_as.WEIGHTS_AS`, and compute with
        them as they are rounded then, from here on; those in float32 as the backend reads them the fastest."""
        ...

    def run(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None = None,
        *,
        states: Mapping[str, Array] | None = None,
        training: bool = False,
        seed: int = 0,
        step: int = 0,
        dump: Sequence[str] = (),
    ) -> Results:
        """The outputs by name (all that the given inputs allow, if `outputs` is None), and the values at the addresses
        in `dump` (`h.3.attn`), by address. Inputs are checked first (`attndsl.running.inputs.check_inputs`). `states`
        are those that another call gave (`Results.states`); without them, the model begins with its initial ones."""
        ...

    def begin(
        self,
        inputs: Mapping[str, Array],
        slots: Mapping[str, int] | None = None,
        sources: Mapping[str, Array] | None = None,
    ) -> dict[str, Any]:
        """The states of a graph that reads texts on, for texts of which nothing has been read, in rows like those of
        `inputs`: as the backend keeps them, by name, all layers of one together. Memories have as many slots as `slots`
        says by the names of their sizes, or as a call of these inputs needs. `sources` are those that stay as they are,
        which another graph has made (`attndsl.passes.incremental.Derived`)."""
        ...

    def advance(
        self,
        inputs: Mapping[str, Array],
        stacks: Mapping[str, Any],
        outputs: Sequence[str],
        slots: Mapping[str, int] | None = None,
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """What `run` gives, and the states for the next call. Those that it is given are used up: a backend may write
        over them. Of memories no more than the first `slots` slots are read and written, by the names of their sizes:
        the others are known to hold nothing yet."""
        ...

    def native(self, array: Array) -> Any:
        """A state of ints as the backend keeps it."""
        ...

    def chosen_rows(
        self,
        stacks: Mapping[str, Any],
        rows: Sequence[int],
        slots: Mapping[str, int] | None = None,
        stay: Collection[str] = (),
    ) -> dict[str, Any]:
        """The states of these rows, in this order; a row may be there several times (the beams of a search). Those that
        it is given are used up. `slots` is as for `advance`; of the states in `stay` each row is known to be as the one
        that it follows."""
        ...

    def gradients(
        self,
        inputs: Mapping[str, Array],
        cotangents: Mapping[str, Array],
        *,
        training: bool = False,
        seed: int = 0,
        step: int = 0,
    ) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array]]:
        """Outputs named in `cotangents`; gradients of `sum(output * cotangent)` over them by parameter address; and the
        same by float input."""
        ...
