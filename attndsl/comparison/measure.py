"""Run both sides on the same bits and measure how far apart they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING

from attndsl.comparison import tolerance
from attndsl.comparison.draws import draw, handed_in
from attndsl.comparison.report import VALUES, ComparedArray, Comparison
from attndsl.comparison.sides import (
    Sides,
    as_held,
    chosen_way,
    distance,
    greatest,
    largest,
    reference_by_name,
    rounded,
)
from attndsl.comparison.work import work_of
from attndsl.graph import BOOL, INT, Graph
from attndsl.lazy import Array, np
from attndsl.running.program import Results
from attndsl.running.states import stacks_of
from attndsl.running.ways import Way

if TYPE_CHECKING:
    from attndsl.running.backends import Backend
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
    right = reference_by_name(reference)
    trial = Trial(
        graph, right, weights=weights, inputs=inputs, gradients=gradients, dtype=dtype, seed=seed, sizes=sizes
    )
    return trial.against(chosen_way(candidate, right), device)


class Trial:
    """A model with all that it is run on, and what is right then, by the backend `right` at its finest; the arguments
    are those of `compare`. Any number of ways can be held against it."""

    def __init__(
        self,
        graph: Graph,
        right: Backend,
        *,
        weights: Mapping[str, Array] | None = None,
        inputs: Mapping[str, Array] | None = None,
        gradients: bool = False,
        dtype: str = "float32",
        seed: int = 0,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        from attndsl.running.initial import initial_parameters
        from attndsl.running.inputs import check_inputs, example_inputs

        given = dict(inputs) if inputs is not None else example_inputs(graph, sizes, seed=seed)
        self.sizes = check_inputs(graph, given)
        self.graph, draws = handed_in(graph)
        self.draws = frozenset(info.name for info in draws)  # inputs that the author does not know
        self.right, self.dtype, self.seed, self.gradients = right, dtype, seed, gradients
        given = {**given, **draw(draws, self.sizes, dtype, seed)}
        given = {name: rounded(np.asarray(array), dtype) for name, array in given.items()}
        drawn = weights if weights is not None else dict(initial_parameters(graph, seed))
        self.weights = {address: rounded(np.asarray(array), dtype) for address, array in drawn.items()}
        sides = Sides(self.graph, right, Way(right), dtype, right.default_device())
        reference = sides.reference(self.graph, self.weights)
        if graph.states:  # a call that goes on says more than one that begins
            stacks = stacks_of(graph, reference.run(given).states)
            given |= {name: rounded(array, dtype) for name, array in stacks.items()}
        self.inputs = given
        exact = self.run(reference)
        self.cost = exact if dtype == "float64" else self.run(sides.single(self.graph, self.weights))
        self.exact = {key: as_held(array, dtype) for key, array in exact.items()}
        self._found: dict[str, tuple[ComparedArray, ...]] = {}  # by the text of a graph that the reference ran

    def against(self, way: Way, device: str | None = None, *, at_once: bool = False) -> Comparison:
        """How far what `way` gives is from what is right, and the first place where it is too far. With `at_once` the
        outputs are those of the call that gives the gradients, where all have one. Raises what `Backend.require`
        raises."""
        device = way.backend.require(dtype=self.dtype, device=device)
        sides = Sides(self.graph, self.right, way, self.dtype, device)
        rows = self._held(way, sides.judged(self.graph, self.weights), at_once)
        divergence = None
        if not all(row.ok for row in rows):
            from attndsl.comparison.locate import locate

            divergence = locate(sides, self.inputs, self.weights, rows)
        right, judged = sides.names
        return Comparison(
            model=self.graph.title,
            reference=right,
            candidate=judged,
            dtype=self.dtype,
            sizes={name: self.sizes[name] for name in self.graph.free_sizes if name in self.sizes},
            rows=rows,
            divergence=divergence,
        )

    def _held(self, way: Way, judged: Program, at_once: bool) -> tuple[ComparedArray, ...]:
        """What a way gives beside what is right. What the reference gives of a graph is found out once: passes that
        find nothing in a model all leave the same one."""
        if way.rewrite is None or way.make is not None or way.backend is not self.right:
            return tuple(self._rows(self.run(judged), way.error))
        text = str(judged.graph)
        if text not in self._found:
            at_once &= self.gradients and self.cotangents(self.given_back).keys() == self.given_back.keys()
            found = self._gradients(judged, self.given_back) if at_once else self.run(judged)
            self._found[text] = tuple(self._rows(found, way.error))
        return self._found[text]

    def run(self, program: Program) -> Arrays:
        """Everything that a side gives."""
        results = program.run(self.inputs)
        found = _values(results)
        if self.gradients:
            outputs = {**results, **stacks_of(self.graph, results.states)}
            found = {**found, **self._gradients(program, outputs), **found}  # outputs as they are without gradients
        return found

    def _gradients(self, program: Program, outputs: Mapping[str, Array]) -> Arrays:
        """The gradients that a side gives where the outputs are like these, and the outputs that have one in that
        call."""
        given, parameters, floats = program.gradients(self.inputs, self.cotangents(outputs))
        found = _values(Results.of(self.graph, given))
        found |= {("gradient", name): array for name, array in parameters.items()}
        return found | {("input gradient", name): array for name, array in floats.items() if name not in self.draws}

    @cached_property
    def given_back(self) -> dict[str, Array]:
        """The outputs that are right, with states among them, all layers of each in one array."""
        values = {name: array for (kind, name), array in self.exact.items() if kind == "output"}
        states = {address: array for (kind, address), array in self.exact.items() if kind == "state"}
        return {**values, **stacks_of(self.graph, states)}

    def cotangents(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        """The gradient of the compared scalar by each float output: seeded normal numbers over their count."""
        wanted = [o.name for o in self.graph.outputs if o.name in outputs and o.value.type.is_float]
        found = {}
        for place, name in enumerate(wanted):
            shape = np.shape(outputs[name])
            drawn = np.random.Generator(np.random.Philox(key=[self.seed, place])).standard_normal(shape)
            found[name] = np.asarray(drawn) / max(np.size(drawn), 1)
        return found

    def _rows(self, found: Arrays, error: float) -> Iterator[ComparedArray]:
        """`error` is what the way that gave `found` states of itself, besides rounding."""
        exact = self.exact
        if exact.keys() != found.keys():
            names = ", ".join(sorted(name for _, name in exact.keys() ^ found.keys()))
            raise AssertionError(f"the two sides give different arrays: {names}")
        whole = {("output", info.name) for info in self.graph.outputs if info.value.type.dtype in (INT, BOOL)}
        whole |= {
            ("state", a) for info in self.graph.states if info.type.dtype in (INT, BOOL) for a in info.addresses()
        }
        upstream = greatest(self.cotangents(self.given_back).values())
        given = greatest((*self.inputs.values(), *self.weights.values()))
        overall = max((largest(array) for (kind, _), array in exact.items() if kind not in VALUES), default=0.0)
        noise = tolerance.NOISE["float64"] * tolerance.EPSILON["float64"] * overall
        around = max(given, greatest(array for (kind, _), array in exact.items() if kind in VALUES))
        work = work_of(self.graph, self.sizes)
        for (kind, name), true in exact.items():
            difference, size, own = (
                distance(true, found[kind, name]),
                largest(true),
                distance(true, self.cost[kind, name]),
            )
            if (kind, name) in whole:
                allowed = 0.0
            elif kind in VALUES:
                allowed = tolerance.for_output(self.dtype, size, own, around, work) + error * size
            else:
                allowed = tolerance.for_gradient(self.dtype, size, own, overall, upstream, work) + error * overall
            relative = None if size <= noise and kind not in VALUES else _relative(difference, size)
            yield ComparedArray(kind, name, tuple(np.shape(true)), difference, relative, allowed)


def _values(results: Results) -> Arrays:
    found = {("output", name): array for name, array in results.items()}
    return found | {("state", address): array for address, array in results.states.items()}


def _relative(difference: float, size: float) -> float:
    return difference / size if size else inf if difference else 0.0
