"""Run both sides on the same bits and measure how far apart they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attndsl.comparison import tolerance
from attndsl.comparison.report import Comparison, Row
from attndsl.graph import BOOL, FLOAT, INT, Graph
from attndsl.lazy import np

if TYPE_CHECKING:
    from attndsl.program import Array, Program

CANDIDATES = ("torch", "passes")


def compare(
    graph: Graph,
    *,
    candidate: str = "torch",
    weights: Mapping[str, Array] | None = None,
    inputs: Mapping[str, Array] | None = None,
    gradients: bool = False,
    dtype: str = "float32",
    device: str = "cpu",
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
) -> Comparison:
    """Hold `candidate` against NumPy's float64 run of `graph`, in evaluation mode.

    `candidate` is `torch` (the generated module, at `dtype` on `device`) or `passes` (NumPy again, on the graph after
    the optimizer's passes). Weights default to initial values drawn from `seed`, inputs to examples at `sizes`. Both
    sides get the same bits: whatever `dtype` cannot hold is rounded before either sees it. With `gradients`, those of
    the sum over outputs of mean(output * cotangent), with seeded normal cotangents, are compared too, by parameter and
    by float input. `attndsl.comparison.tolerance` says what may differ. Where something does, the result names the
    first place. Raises AttnError for what a user got wrong: sizes, weights, a backend that is not installed.
    """
    from attndsl.backends.numpy_reference import NumpyProgram
    from attndsl.inputs import check_inputs, example_inputs

    given = dict(inputs) if inputs is not None else example_inputs(graph, sizes, seed=seed)
    bound = check_inputs(graph, given)
    side = make_candidate(candidate, graph, dtype, device, seed)
    if weights is not None:
        side.load(weights)
    shared = side.parameters()  # as `dtype` holds them
    given = {name: _rounded(array, dtype) for name, array in given.items()}

    reference = NumpyProgram(graph, dtype="float64")
    reference.load(shared)
    single = None
    if dtype != "float64":
        single = NumpyProgram(graph, dtype="float32")
        single.load(shared)

    trial = Trial(graph, given, seed, gradients)
    exact, found = trial.run(reference), trial.run(side)
    cost = trial.run(single) if single is not None else exact
    rows = tuple(_rows(graph, dtype, exact, found, cost))
    divergence = None
    if not all(row.ok for row in rows):
        from attndsl.comparison.locate import locate

        divergence = locate(graph, candidate, dtype, device, shared, given, rows, reference, side, single)
    return Comparison(
        model=graph.name + (f":{graph.variant}" if graph.variant else ""),
        reference="NumPy float64",
        candidate=f"PyTorch {dtype} on {device}" if candidate == "torch" else f"NumPy {dtype} after the passes",
        dtype=dtype,
        sizes={name: value for name, value in bound.items() if name in graph.free_sizes},
        rows=rows,
        divergence=divergence,
    )


def make_candidate(candidate: str, graph: Graph, dtype: str, device: str, seed: int) -> Program:
    """The side that is held against the reference."""
    if candidate == "torch":
        from attndsl.backends.pytorch import TorchProgram

        return TorchProgram(graph, dtype=dtype, device=device, seed=seed)
    from attndsl.backends.numpy_reference import NumpyProgram
    from attndsl.passes import optimize

    return NumpyProgram(optimize(graph), dtype=dtype, seed=seed)


@dataclass(frozen=True, slots=True)
class Trial:
    """What every side is asked for."""

    graph: Graph
    inputs: dict[str, Array]
    seed: int
    gradients: bool

    def run(self, program: Program) -> dict[tuple[str, str], Array]:
        """Arrays by kind and name."""
        outputs = program.run(self.inputs)
        found = {("output", name): array for name, array in outputs.items()}
        if self.gradients:
            _, parameters, floats = program.gradients(self.inputs, self.cotangents(outputs))
            found |= {("gradient", name): array for name, array in parameters.items()}
            found |= {("input gradient", name): array for name, array in floats.items()}
        return found

    def cotangents(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        """The gradient of the compared scalar by each float output: seeded normal numbers over the number of elements."""
        wanted = [o.name for o in self.graph.outputs if o.name in outputs and o.value.type.dtype == FLOAT]
        found = {}
        for place, name in enumerate(wanted):
            shape = np.shape(outputs[name])
            drawn = np.random.Generator(np.random.Philox(key=[self.seed, place])).standard_normal(shape)
            found[name] = drawn / max(drawn.size, 1)
        return found


def _rows(
    graph: Graph,
    dtype: str,
    exact: Mapping[tuple[str, str], Array],
    found: Mapping[tuple[str, str], Array],
    cost: Mapping[tuple[str, str], Array],
) -> list[Row]:
    if exact.keys() != found.keys():
        names = ", ".join(sorted(name for _, name in exact.keys() ^ found.keys()))
        raise RuntimeError(f"the two sides give different arrays: {names}")
    dtypes = {("output", info.name): info.value.type.dtype for info in graph.outputs}
    overall = max((largest(array) for (kind, _), array in exact.items() if kind != "output"), default=0.0)
    rows = []
    for (kind, name), reference in exact.items():
        difference = distance(reference, found[kind, name])
        size = largest(reference)
        own = distance(reference, cost[kind, name])
        if dtypes.get((kind, name)) in (INT, BOOL):
            allowed = 0.0
        elif kind == "output":
            allowed = tolerance.for_output(dtype, size, own)
        else:
            allowed = tolerance.for_gradient(dtype, size, own, overall)
        relative = difference / size if size else (0.0 if difference == 0 else float("inf"))
        rows.append(Row(kind, name, tuple(reference.shape), difference, relative, allowed))
    return rows


def largest(array: Array) -> float:
    """The greatest finite magnitude; 0 where there is none."""
    magnitudes = np.abs(np.asarray(array, dtype="float64"))
    return float(np.max(magnitudes, where=np.isfinite(magnitudes), initial=0.0))


def distance(left: Array, right: Array) -> float:
    """The greatest difference between two elements. Equal infinities, and NaN against NaN, are no difference; any other
    pair with a value that is not finite is an infinite one, and so is another shape."""
    if left.shape != right.shape:
        return float("inf")
    a, b = np.asarray(left, dtype="float64"), np.asarray(right, dtype="float64")
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", over="ignore"):
        differences = np.where(same, 0.0, np.abs(a - b))
    return float("inf") if np.isnan(differences).any() else float(np.max(differences, initial=0.0))


def _rounded(array: Array, dtype: str) -> Array:
    if array.dtype.kind != "f" or dtype == "float64":
        return array
    return array.astype("float16" if dtype == "float16" else "float32").astype("float32")
