"""The ways in which a graph can be run, all of which must give the same but for rounding: what `compare` and `verify`
hold against the reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from attndsl.graph import Graph
from attndsl.lazy import Array
from attndsl.records import Frozen

if TYPE_CHECKING:
    from attndsl.running.backends import Backend
    from attndsl.running.program import Program

BACKENDS, ATTENTION, LOSS, WEIGHTS = "backends", "attention", "loss", "weights"
"""The claims of `attndsl verify` that ways belong to: the same on every backend, by every kernel for attention, by
every form of the loss head, and within what is stated of weights in fewer bits."""

QUERY_BLOCKS = {"in blocks of one query": 1, "in blocks of three queries": 3}
"""So few queries for attention at a time that short texts too have blocks that are left out. With one, each key that is
left out wrongly is missed; with three, blocks are put together and the last one is smaller."""

Rewrite = Callable[[Graph], Graph]
Unfit = Callable[[Graph], str | None]


def fits(graph: Graph) -> str | None:
    """Of a way that any graph can be run in."""
    return None


class Way(Frozen):
    """How `backend` runs a graph. A backend lists those that it has besides its usual one (`Backend.ways`), and so
    whoever adds a kernel, or a way of keeping weights, adds it there, and it is verified.

    `besides` says what is different about it: `without passes`. `make` makes such a program, None as the
    backend does without being asked; `rewrite` makes the graph that is run of the one that is asked about, and the way
    `optimizes` where values are computed as the passes say. `claim` is
    the claim that it belongs to. `unfit` is the reason why it is no other way for a graph, None
    where it is one. `error` is by how much its results may differ beyond rounding, relative to the largest value in
    each: what it states of itself, 0 for all but ways of keeping weights in fewer bits. `is_slow` where it takes more
    than a few seconds.
    """

    backend: Backend
    besides: str = ""
    claim: str = BACKENDS
    make: Callable[..., Program] | None = None
    rewrite: Rewrite | None = None
    unfit: Unfit = fits
    error: float = 0.0
    dtypes: tuple[str, ...] = ()  # the precisions that it is for; empty: all of the backend
    has_gradients: bool = True
    is_slow: bool = False
    optimizes: bool = True

    def program(
        self, graph: Graph, *, dtype: str, device: str | None = None, parameters: Mapping[str, Array] | None = None
    ) -> Program:
        """A program of `graph` that runs so."""
        if self.rewrite is not None:
            graph = self.rewrite(graph)
        place = self.backend.require(dtype=dtype, device=device)
        return (self.make or self.backend.program)(graph, dtype=dtype, device=place, parameters=parameters)

    def described(self, dtype: str, device: str) -> str:
        """`PyTorch float32 on cuda, without passes`, in words."""
        said = self.backend.described(dtype, device)
        return f"{said} {self.besides}" if self.besides else said


__all__ = ["ATTENTION", "BACKENDS", "LOSS", "QUERY_BLOCKS", "WEIGHTS", "Rewrite", "Way", "fits"]
