"""The two sides of a comparison, and how far apart two arrays are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from attndsl.comparison.tolerance import EPSILON
from attndsl.graph import Graph
from attndsl.lazy import Array, np
from attndsl.records import Frozen
from attndsl.running import backends
from attndsl.running.backends import Backend
from attndsl.running.ways import Way

if TYPE_CHECKING:
    from attndsl.running.program import Program

PASSES = "passes"
"""The candidate that is no other backend: the reference itself, on the graph after the optimizer's passes."""


def candidates() -> tuple[str, ...]:
    """What can be held against the reference."""
    return (*backends.backends(), PASSES)


def after_passes(right: Backend, besides: str = "after the passes", **options: Any) -> Way:
    """The way to run a graph as `attndsl.passes.optimize` makes it, with its `options`."""

    def rewrite(graph: Graph) -> Graph:
        from attndsl.passes import optimize

        return optimize(graph, **options)[0]

    return Way(right, besides, rewrite=rewrite)


class Sides(Frozen):
    """How to make the programs that are held against each other, of `graph` or of a part of it: the reference, and a
    way of running it that is judged."""

    graph: Graph
    right: Backend
    way: Way
    dtype: str
    device: str

    @property
    def rewrites(self) -> bool:
        """Whether the candidate is given another graph, so that it has values and operators of its own."""
        return self.way.rewrite is not None

    def reference(self, graph: Graph, weights: Mapping[str, Array]) -> Program:
        """What is right: the reference at its finest."""
        return self.right.program(graph, dtype=finest(self.right), parameters=weights)

    def single(self, graph: Graph, weights: Mapping[str, Array]) -> Program:
        """What float32 costs: the reference in float32."""
        return self.right.program(graph, dtype="float32", parameters=weights)

    def judged(self, graph: Graph, weights: Mapping[str, Array]) -> Program:
        """The candidate."""
        return self.way.program(graph, dtype=self.dtype, device=self.device, parameters=weights)

    @property
    def names(self) -> tuple[str, str]:
        """What the reference and the candidate are called."""
        right = self.right.described(finest(self.right), self.right.default_device())
        return right, self.way.described(self.dtype, self.device)


def chosen_way(candidate: str | None, right: Backend) -> Way:
    """What is judged, by its name; by default the best backend that is not `right`. Raises E0723 where there is no such
    backend."""
    if candidate == PASSES:
        return after_passes(right)
    if candidate is not None:
        return Way(backends.find(candidate, also=(PASSES,)))
    return Way(backends.preferred(lambda each: each is not right))


def reference_by_name(name: str | None) -> Backend:
    """The backend called `name`, by default what is right, at its finest. Raises what `Backend.require` raises."""
    right = backends.find(name) if name is not None else backends.reference()
    right.require(dtype=finest(right))
    return right


def finest(backend: Backend) -> str:
    return min(backend.dtypes, key=EPSILON.__getitem__)


def largest(array: Array) -> float:
    """The greatest finite magnitude; 0 where there is none."""
    magnitudes = np.abs(np.asarray(array, dtype="float64"))
    return float(np.max(magnitudes, where=np.isfinite(magnitudes), initial=0.0))


def greatest(arrays: Iterable[Array]) -> float:
    """The greatest finite magnitude of a float in any of the arrays; 0 where there is none."""
    return max((largest(array) for array in arrays if np.asarray(array).dtype.kind == "f"), default=0.0)


def distance(left: Array, right: Array) -> float:
    """The greatest difference between two elements. Equal infinities, and NaN against NaN, are not a difference; any
    other pair with a value that is not finite is an infinite one, and so is another shape."""
    if np.shape(left) != np.shape(right):
        return float("inf")
    a, b = np.asarray(left, dtype="float64"), np.asarray(right, dtype="float64")
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", over="ignore"):
        differences = np.where(same, 0.0, np.abs(a - b))
    return float("inf") if np.isnan(differences).any() else float(np.max(differences, initial=0.0))


def as_held(array: Array, dtype: str) -> Array:
    """The array, with infinities for what is too large for `dtype`."""
    if array.dtype.kind != "f":
        return array
    return np.where(np.isinf(rounded(array, dtype)), np.copysign(np.inf, array), array)


def rounded(array: Array, dtype: str) -> Array:
    """Floats as `dtype` holds them, in a dtype that NumPy has; anything else as it is."""
    if array.dtype.kind != "f" or dtype == "float64":
        return array
    with np.errstate(over="ignore"):
        if dtype == "float16":
            return array.astype("float16").astype("float32")
        single = array.astype("float32")
    if dtype == "bfloat16":
        # The upper half of a float32, rounded to nearest with ties to even; what is not finite stays as it is.
        bits = single.view("uint32")
        upper = (bits + (0x7FFF + ((bits >> 16) & 1))) & 0xFFFF0000
        single = np.where(np.isfinite(single), upper.astype("uint32").view("float32"), single)
    return single
