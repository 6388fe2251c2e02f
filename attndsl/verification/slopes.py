"""The claim about gradients: along any direction they are what finite differences are, in float64."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from math import inf

from attndsl.comparison import tolerance
from attndsl.comparison.draws import handed_in
from attndsl.comparison.expose import exposed, places
from attndsl.comparison.report import Divergence
from attndsl.graph import Graph, ParameterInfo
from attndsl.lazy import Array, np
from attndsl.ops import Scan, StopGradient
from attndsl.running.states import stacks_of
from attndsl.verification.case import Case
from attndsl.verification.findings import Finding, claimed

CLAIM = "gradients = finite differences"
DIRECTIONS = 3
STEPS = (1e-5, 1e-6, 1e-7)
"""How far apart the points are, relative to the values: where one step crosses a kink (of `relu`, of a maximum), a
smaller one need not, and a larger one suffers less from rounding."""

Point = dict[str, Array]


class Slope:
    """The scalar whose gradient `compare` takes, along directions through all parameters and float inputs."""

    def __init__(self, case: Case) -> None:
        trial = case.double
        self.case, self.trial = case, trial
        self.graph, held = stopped(case)
        self.inputs = {**trial.inputs, **held}
        self.program = case.program(self.graph)
        results = self.program.run(self.inputs)
        self.cotangents = trial.cotangents({**results, **stacks_of(self.graph, results.states)})
        exact = trial.exact
        bound = {info.name for info in self.graph.inputs if info.bounds}  # these may not be moved
        self.gradients = {
            name: array for (kind, name), array in exact.items() if kind.endswith("gradient") and name not in bound
        }
        floats = {name for kind, name in exact if kind == "input gradient" and name not in bound}
        self.values: Point = {
            name: np.asarray(self.inputs[name] if name in floats else case.weights[name], np.float64)
            for name in self.gradients
        }
        self.floats = floats

    def at(self, direction: Mapping[str, Array], step: float) -> float:
        """The scalar, so far from where the model stands."""
        point = {
            name: value + step * direction[name] if name in direction else value for name, value in self.values.items()
        }
        self.program.load(
            {**self.case.weights, **{name: array for name, array in point.items() if name not in self.floats}}
        )
        given = {**self.inputs, **{name: point[name] for name in self.floats}}
        found = self.program.run(given)
        found_all = {**found, **stacks_of(self.graph, found.states)}
        return sum(float(np.vdot(cotangent, found_all[name])) for name, cotangent in self.cotangents.items())

    def direction(self, names: Sequence[str], seed: int) -> Point:
        """Normal numbers, in proportion to what is moved."""
        draw = np.random.default_rng((self.case.seed, seed))
        found: Point = {}
        for name in names:
            value = self.values[name]
            found[name] = np.asarray(
                draw.standard_normal(value.shape) * np.sqrt(np.mean(value**2)) if value.size else value
            )
        return found

    def difference(self, direction: Mapping[str, Array]) -> tuple[float, float]:
        """How far the gradient along a direction is from the finite difference, by the first step with which it is near
        enough, else by the one that suits best; and what it may be."""
        parts = [direction[name] * self.gradients[name] for name in direction]
        slope = sum(float(part.sum()) for part in parts)
        scale = float(np.sqrt(sum(float((part**2).sum()) for part in parts)))
        allowed, off = tolerance.for_slope(scale, self.here), inf
        for step in STEPS:
            off = min(off, abs((self.at(direction, step) - self.at(direction, -step)) / (2 * step) - slope))
            if off <= allowed:
                break
        return off, allowed

    @cached_property
    def here(self) -> float:
        """The scalar where the model stands."""
        return self.at({}, 0.0)


def stopped(case: Case) -> tuple[Graph, dict[str, Array]]:
    """The graph of a case, given what it is that gradients are stopped at, as it is where the model stands: that does
    not move, as the gradient says."""
    trial = case.double
    given, infos = handed_in(trial.graph, StopGradient)
    if not infos:
        return given, {}
    shown = exposed(trial.graph)
    nodes = [node for node in shown.body.walk() if isinstance(node.op, StopGradient)]
    names = dict(zip(nodes, infos, strict=True))
    arrays = {info.name: np.zeros(info.value.type.shape(trial.sizes)) for info in infos}
    found = [place for place in places(shown, trial.inputs, trial.sizes) if place.node in names]
    dumped = case.program(shown).run(trial.inputs, (), dump=[place.address for place in found])
    for place in found:
        arrays[names[place.node].name][tuple(place.loops.values())] = dumped[place.address]
    return given, arrays


def stops_in_a_scan(graph: Graph) -> bool:
    """Whether a gradient is stopped at each step of a scan, of which only the last value can be looked at."""
    scans = [inner for node in graph.body.walk() if isinstance(node.op, Scan) for inner in node.regions]
    return any(isinstance(node.op, StopGradient) for inner in scans for node in inner.walk())


@claimed(CLAIM)
def finite_differences(case: Case) -> Iterator[Finding]:
    """Directions at random, through everything at once; where one is wrong, each parameter by itself."""
    if stops_in_a_scan(case.graph):
        yield Finding(CLAIM, "", reason="gradients are stopped inside a scan")
        return
    slope = Slope(case)
    names = list(slope.gradients)
    if not names or not slope.cotangents:
        yield Finding(
            CLAIM, "", reason="it has neither parameters nor inputs of floats" if not names else "no output is a float"
        )
        return
    found = [slope.difference(slope.direction(names, at)) for at in range(DIRECTIONS)]
    off, allowed = max(found, key=lambda each: each[0] / each[1])
    how = f"{case.right.title} float64: {DIRECTIONS} directions through {len(names)} arrays"
    finding = Finding(CLAIM, how, off, allowed)
    if finding.status == "FAIL":
        finding = Finding(CLAIM, how, off, allowed, "", *_culprit(slope, names))
    yield finding


def _culprit(slope: Slope, names: list[str]) -> tuple[str, Divergence | None]:
    """The array along which the gradient is furthest from what it should be."""
    found = {name: slope.difference(slope.direction([name], 0)) for name in names}
    worst = max(found, key=lambda name: found[name][0] / found[name][1])
    infos: dict[str, ParameterInfo] = {address: info for info in slope.graph.parameters for address in info.addresses()}
    spans = (infos[worst].span,) if worst in infos else ()
    where = tuple(span for span in spans if span is not None)
    return worst, Divergence(worst, "gradient", *found[worst], True, where, False)
