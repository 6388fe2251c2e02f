"""Run both sides on the same bits and measure how far apart they are."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING

from attndsl.comparison import tolerance
from attndsl.comparison.draws import draw, handed_in
from attndsl.comparison.report import VALUES, ComparedArray, Comparison
from attndsl.comparison.sides import Sides, as_held, distance, greatest, largest, rounded
from attndsl.graph import BOOL, INT, Graph
from attndsl.lazy import Array, np
from attndsl.records import dataclass
from attndsl.running.states import stacks_of

if TYPE_CHECKING:
    from attndsl.running.program import Program

Arrays = dict[tuple[str, str], "Array"]  # by kind and name


def compare(
    graph: Graph,
    *,
    candidate: str | None = None,
    reference: str | None = None,
    weights: Mapping[str, Array] | None = None,
    inputs: Mapping[str, Array] | None = None,
    gradients: bool = False,
    dtype: str = "float32",
    device: str | None = None,
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
) -> Comparison:
    """Hold `candidate` against a run of `graph` on `reference` (by default NumPy, in float64), in evaluation mode.

    `candidate` is the name of a backend (by default PyTorch), which computes at `dtype` on `device`, or `passes`: the
    reference again, on the graph after the optimizer's passes. Weights default to initial values drawn from `seed`,
    inputs to examples at `sizes`. Both sides get the same bits: whatever `dtype` cannot hold is rounded before either
    sees it. With `gradients`, those of the sum over outputs of mean(output * cotangent), with seeded normal cotangents,
    are compared too, by parameter and by float input. `attndsl.comparison.tolerance` says what may differ. Where
    something does, the result names the first place. Raises AttnError for what a user got wrong: sizes, weights, a
    backend that is not there (E0723) or not installed (E0810).
    """
    from attndsl.running.initial import initial_parameters
    from attndsl.running.inputs import check_inputs, example_inputs

    given = dict(inputs) if inputs is not None else example_inputs(graph, sizes, seed=seed)
    bound = check_inputs(graph, given)
    graph, draws = handed_in(graph)
    sides = Sides.of(graph, candidate, reference, dtype, device)
    given = {**given, **draw(draws, bound, dtype, seed)}
    given = {name: rounded(np.asarray(array), dtype) for name, array in given.items()}
    drawn = weights if weights is not None else dict(initial_parameters(graph, seed))
    shared = {address: rounded(np.asarray(array), dtype) for address, array in drawn.items()}

    right_side = sides.reference(graph, shared)
    if graph.states:  # a call that goes on says more than one that begins
        stacks = stacks_of(graph, right_side.run(given).states)
        given |= {name: rounded(array, dtype) for name, array in stacks.items()}
    trial = _Trial(graph, given, seed, gradients, frozenset(info.name for info in draws))
    exact, found = trial.run(right_side), trial.run(sides.judged(graph, shared))
    cost = exact if dtype == "float64" else trial.run(sides.single(graph, shared))
    exact = {key: as_held(array, dtype) for key, array in exact.items()}
    values = {name: array for (kind, name), array in exact.items() if kind == "output"}
    states = {address: array for (kind, address), array in exact.items() if kind == "state"}
    upstream = trial.cotangents({**values, **stacks_of(graph, states)})
    scales = greatest((*given.values(), *shared.values())), greatest(upstream.values())
    rows = tuple(_rows(graph, dtype, exact, found, cost, *scales))
    divergence = None
    if not all(row.ok for row in rows):
        from attndsl.comparison.locate import locate

        divergence = locate(sides, given, shared, rows)
    right, judged = sides.names
    return Comparison(
        model=graph.name + (f":{graph.variant}" if graph.variant else ""),
        reference=right,
        candidate=judged,
        dtype=dtype,
        sizes={name: bound[name] for name in graph.free_sizes if name in bound},
        rows=rows,
        divergence=divergence,
    )


@dataclass(frozen=True, slots=True)
class _Trial:
    """What every side is asked for."""

    graph: Graph
    inputs: dict[str, Array]
    seed: int
    gradients: bool
    draws: frozenset[str]  # inputs that the author does not know

    def run(self, program: Program) -> Arrays:
        results = program.run(self.inputs)
        found = {("output", name): array for name, array in results.items()}
        found |= {("state", address): array for address, array in results.states.items()}
        if self.gradients:
            outputs = {**results, **stacks_of(self.graph, results.states)}
            _, parameters, floats = program.gradients(self.inputs, self.cotangents(outputs))
            found |= {("gradient", name): array for name, array in parameters.items()}
            found |= {("input gradient", name): array for name, array in floats.items() if name not in self.draws}
        return found

    def cotangents(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        """The gradient of the compared scalar by each float output: seeded normal numbers over their count."""
        wanted = [o.name for o in self.graph.outputs if o.name in outputs and o.value.type.is_float]
        found = {}
        for place, name in enumerate(wanted):
            shape = np.shape(outputs[name])
            drawn = np.random.Generator(np.random.Philox(key=[self.seed, place])).standard_normal(shape)
            found[name] = np.asarray(drawn) / max(np.size(drawn), 1)
        return found


def _rows(
    graph: Graph, dtype: str, exact: Arrays, found: Arrays, cost: Arrays, given: float, upstream: float
) -> list[ComparedArray]:
    """`given` is the greatest magnitude among inputs and parameters, `upstream` among the gradients by the outputs."""
    if exact.keys() != found.keys():
        names = ", ".join(sorted(name for _, name in exact.keys() ^ found.keys()))
        raise AssertionError(f"the two sides give different arrays: {names}")
    whole = {("output", info.name) for info in graph.outputs if info.value.type.dtype in (INT, BOOL)}
    whole |= {("state", a) for info in graph.states if info.type.dtype in (INT, BOOL) for a in info.addresses()}
    overall = max((largest(array) for (kind, _), array in exact.items() if kind not in VALUES), default=0.0)
    noise = tolerance.NOISE["float64"] * tolerance.EPSILON["float64"] * overall
    around = max(given, greatest(array for (kind, _), array in exact.items() if kind in VALUES))
    rows = []
    for (kind, name), true in exact.items():
        difference, size, own = distance(true, found[kind, name]), largest(true), distance(true, cost[kind, name])
        if (kind, name) in whole:
            allowed = 0.0
        elif kind in VALUES:
            allowed = tolerance.for_output(dtype, size, own, around)
        else:
            allowed = tolerance.for_gradient(dtype, size, own, overall, upstream)
        relative = (
            None
            if size <= noise and kind not in VALUES
            else difference / size
            if size
            else 0.0
            if not difference
            else inf
        )
        rows.append(ComparedArray(kind, name, tuple(np.shape(true)), difference, relative, allowed))
    return rows
