"""The two sides of a comparison, and how far apart two arrays are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from attndsl.comparison.tolerance import EPSILON
from attndsl.graph import Graph
from attndsl.lazy import Array, np
from attndsl.records import dataclass
from attndsl.running import backends
from attndsl.running.backends import Backend

if TYPE_CHECKING:
    from attndsl.running.program import Program

PASSES = "passes"
"""The candidate that is no other backend: the reference itself, on the graph after the optimizer's passes."""


def candidates() -> tuple[str, ...]:
    """What can be held against the reference."""
    return (*backends.backends(), PASSES)


@dataclass(frozen=True, slots=True)
class Sides:
    """How to make the programs that are held against each other, of `graph` or of a part of it."""

    graph: Graph
    right: Backend
    candidate: Backend
    after_passes: bool  # whether the candidate is given the graph after the passes
    dtype: str
    device: str

    @staticmethod
    def of(graph: Graph, candidate: str | None, reference: str | None, dtype: str, device: str | None) -> Sides:
        """The sides by their names; by default what is right, and the best of the others. Raises E0723 where there is
        no such backend, and what `Backend.require` raises where it cannot do what is asked."""
        right = backends.find(reference) if reference is not None else backends.reference()
        right.require(dtype=_finest(right))
        after_passes = candidate == PASSES
        if after_passes:
            judged = right
        elif candidate is not None:
            judged = backends.find(candidate, also=(PASSES,))
        else:
            judged = backends.preferred(lambda each: each is not right)
        return Sides(graph, right, judged, after_passes, dtype, judged.require(dtype=dtype, device=device))

    def reference(self, graph: Graph, weights: Mapping[str, Array]) -> Program:
        """What is right: the reference at its finest."""
        return self.right.program(graph, dtype=_finest(self.right), parameters=weights)

    def single(self, graph: Graph, weights: Mapping[str, Array]) -> Program:
        """What float32 costs: the reference in float32."""
        return self.right.program(graph, dtype="float32", parameters=weights)

    def judged(self, graph: Graph, weights: Mapping[str, Array]) -> Program:
        """The candidate."""
        if self.after_passes:
            from attndsl.passes import optimize

            graph = optimize(graph)[0]
        return self.candidate.program(graph, dtype=self.dtype, device=self.device, parameters=weights)

    @property
    def names(self) -> tuple[str, str]:
        """What the reference and the candidate are called."""
        right = self.right.described(_finest(self.right), self.right.default_device())
        judged = self.candidate.described(self.dtype, self.device)
        return right, f"{judged} after the passes" if self.after_passes else judged


def _finest(backend: Backend) -> str:
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
