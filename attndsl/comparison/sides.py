"""The two sides of a comparison, and how far apart two arrays are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attndsl.graph import Graph
from attndsl.lazy import np

if TYPE_CHECKING:
    from attndsl.running.program import Array, Program

CANDIDATES = ("torch", "passes")


@dataclass(frozen=True, slots=True)
class Sides:
    """How to make the programs that are held against each other, of `graph` or of a part of it."""

    graph: Graph
    candidate: str
    dtype: str
    device: str

    def reference(self, graph: Graph, weights: Mapping[str, Array]) -> Program:
        """What is right: NumPy in float64."""
        from attndsl.backends.numpy_reference import NumpyProgram

        return NumpyProgram(graph, dtype="float64", parameters=weights)

    def single(self, graph: Graph, weights: Mapping[str, Array]) -> Program:
        """What float32 costs: NumPy in float32."""
        from attndsl.backends.numpy_reference import NumpyProgram

        return NumpyProgram(graph, dtype="float32", parameters=weights)

    def judged(self, graph: Graph, weights: Mapping[str, Array]) -> Program:
        """The candidate."""
        if self.candidate == "torch":
            from attndsl.backends.pytorch import TorchProgram

            return TorchProgram(graph, dtype=self.dtype, device=self.device, parameters=weights)
        from attndsl.backends.numpy_reference import NumpyProgram
        from attndsl.passes import optimize

        return NumpyProgram(optimize(graph)[0], dtype=self.dtype, parameters=weights)

    @property
    def names(self) -> tuple[str, str]:
        """What the reference and the candidate are called."""
        if self.candidate == "torch":
            return "NumPy float64", f"PyTorch {self.dtype} on {self.device}"
        return "NumPy float64", f"NumPy {self.dtype} after the passes"


def largest(array: Array) -> float:
    """The greatest finite magnitude; 0 where there is none."""
    magnitudes = np.abs(np.asarray(array, dtype="float64"))
    return float(np.max(magnitudes, where=np.isfinite(magnitudes), initial=0.0))


def distance(left: Array, right: Array) -> float:
    """The greatest difference between two elements. Equal infinities, and NaN against NaN, are no difference; any other
    pair with a value that is not finite is an infinite one, and so is another shape."""
    if np.shape(left) != np.shape(right):
        return float("inf")
    a, b = np.asarray(left, dtype="float64"), np.asarray(right, dtype="float64")
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", over="ignore"):
        differences = np.where(same, 0.0, np.abs(a - b))
    return float("inf") if np.isnan(differences).any() else float(np.max(differences, initial=0.0))


def rounded(array: Array, dtype: str) -> Array:
    """Floats as `dtype` holds them, in a dtype that NumPy has; anything else as it is."""
    if array.dtype.kind != "f" or dtype == "float64":
        return array
    if dtype == "float16":
        return array.astype("float16").astype("float32")
    single = array.astype("float32")
    if dtype == "bfloat16":
        # The upper half of a float32, rounded to nearest with ties to even; what is not finite stays as it is.
        bits = single.view("uint32")
        upper = (bits + (0x7FFF + ((bits >> 16) & 1))) & 0xFFFF0000
        single = np.where(np.isfinite(single), upper.astype("uint32").view("float32"), single)
    return single
