"""What a training of a shipped model comes to in several processes, held against what it comes to in one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import numpy as np

from attndsl.diagnostics import AttnError
from tests.samples.shipped import rows, small
from tests.training.crew import Crew

Arrays = dict[str, np.ndarray[Any, Any]]
STEPS = 10
NEAR = {"float64": 1e-10, "float32": 2e-4}
"""How far losses, gradients and weights may be from those of one process, by the largest number among them or 1: sums
are added up in another order, and Adam's first steps divide a gradient by its own size."""

UNSEEN = {"*.k.bias": ("*.k.bias",), "ends.bias": ("ends.bias", "layer.1.norm_2.shift")}
"""What moves all scores of a query together, or of all places at which an answer may end, which softmax does not see:
these gradients consist of rounding, of which Adam makes steps. They are frozen, where there is the first."""

FOUR = {
    "data": "data=4; B on data; parameters whole",
    "parameters": "data=4; B on data",
    "model": "model=4; MODEL",
    "both": "data=2, model=2; B on data; MODEL",
    "sequence": "data=2, model=2; B on data; MODEL; T on model",
    "context": "data=2, context=2; B on data; T on context",
    "replicas": "replica=2, data=2; B on replica; B on data; parameters on data",
    "experts": "data=2, experts=2; B on data; EXPERTS on experts",
    "rows by experts": "data=2, experts=2; B on data; B on experts; EXPERTS on experts",
    "stages": "stages=4; LAYERS on stages; B on stages",
    "data in stages": "data=2, stages=2; LAYERS on stages; B on data",
    "experts in stages": "stages=2, experts=2; LAYERS on stages; B on experts; EXPERTS on experts",
    "model in stages": "stages=2, model=2; LAYERS on stages in 4 microbatches; MODEL",
}
TWO = {
    "parameters of two": "data=2; B on data",
    "model of two": "model=2; MODEL",
    "sequence of two": "model=2; MODEL; T on model",
    "experts of two": "experts=2; EXPERTS on experts",
    "stages of two": "stages=2; LAYERS on stages",
}
LAYOUTS = FOUR | TWO


@dataclass(frozen=True)
class Trained:
    """Losses and norms of the gradients step by step, the gradients of the first step, the final weights, and what the
    model then gives for a batch that no two devices can divide, whole."""

    losses: np.ndarray[Any, Any]
    norms: np.ndarray[Any, Any]
    gradients: Arrays
    weights: Arrays
    outputs: Arrays


def trained(processes: Any, name: str, layout: str | None, precision: str) -> Trained | str:
    """A small shipped model after ten steps by its own recipe, without a warm-up. What the
    layout is refused with is told as a text."""
    from attndsl.layouts import choose_layout
    from attndsl.recipe.recipe import read_recipe
    from attndsl.running import backends
    from attndsl.running.inputs import example_inputs
    from attndsl.training.console import Silent
    from attndsl.training.place import trainer_at
    from attndsl.values import hyperparameters_of

    spec, graph = small(name)
    written = read_recipe(spec.train, hyperparameters_of(graph))
    addresses = [address for info in graph.parameters for address in info.addresses()]
    there = (frozen for first, frozen in UNSEEN.items() if any(fnmatch(address, first) for address in addresses))
    unseen = (pattern for patterns in there for pattern in patterns)
    recipe = written.override(
        {"precision": precision, "steps": STEPS, "schedule": "constant()", "freeze": (*written.freeze, *unseen)}
    )
    try:
        chosen = choose_layout(layout, spec, graph) if layout is not None else None
        trainer: Any = trainer_at(
            graph, recipe, backends.find("torch"), "cpu", False, Silent(), None, processes, chosen
        )
        losses, norms, gradients = [], [], {}
        for step in range(STEPS):
            given = {name: np.asarray(value) for name, value in recipe.quantities(step).items()}
            batch = example_inputs(graph, rows(name), seed=step) | given
            batch = {name: array for name, array in batch.items() if name not in graph.state_names}
            if not step:
                trainer.check(batch)
            result = trainer.step([batch], step, goes_on=step > 0)
            losses.append(result.loss)
            norms.append(result.grad_norm)
            if not step:
                values, part = trainer.values, trainer.part
                addresses = (address for address in trainer.shapes if address not in trainer.frozen)
                gradients = {address: part.whole(values[part.here(address)].grad, address) for address in addresses}
        few = {name: a for name, a in example_inputs(graph, rows(name, 3), seed=STEPS).items() if name in batch}
        outputs = trainer.outputs(few, [info.name for info in graph.outputs if info.name not in graph.state_names])
        outputs |= trainer.evaluate([batch, few])
    except AttnError as problem:
        return f"{problem.diagnostics[0].code}: {problem.diagnostics[0].message}"
    return Trained(np.array(losses), np.array(norms), gradients, dict(trainer.parameters()), outputs)


def size_of(layout: str) -> int:
    """How many devices a layout is for."""
    mesh = layout.partition(";")[0]
    return int(np.prod([int(part.partition("=")[2]) for part in mesh.split(",")]))


def apart(found: Mapping[str, Any], right: Mapping[str, Any]) -> float:
    """The furthest that arrays are apart, by the largest number in each or 1."""
    assert found.keys() == right.keys()
    return max((_apart(np.asarray(found[name]), np.asarray(array)) for name, array in right.items()), default=0.0)


def _apart(found: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> float:
    assert found.shape == right.shape
    furthest = float(np.abs(found - right).max(initial=0.0) / max(1.0, np.abs(right).max(initial=0.0)))
    return furthest if np.isfinite(furthest) else np.inf


class AsOne:
    """Holds trainings in the processes of a crew against those in one, each of which is done once."""

    def __init__(self, crew: Crew) -> None:
        self.crew = crew
        self.alone: dict[tuple[str, str], Trained] = {}

    def furthest(self, name: str, layout: str | None, precision: str = "float64") -> float | str:
        """How far losses, norms, gradients or weights of any process are from those of one; or why it is refused.
        Raises `tests.training.crew.Failed`."""
        size = size_of(layout) if layout is not None else None
        told = self.crew.run(trained, name, layout, precision, size=size)
        if any(isinstance(each, str) for each in told):
            assert all(each == told[0] for each in told), told
            return str(told[0])
        if (name, precision) not in self.alone:
            (self.alone[name, precision],) = self.crew.run(trained, name, None, precision, size=1)
        right = self.alone[name, precision]
        assert right.losses[0] != right.losses[2]
        return max(
            max(
                apart({"loss": it.losses, "norm": it.norms}, {"loss": right.losses, "norm": right.norms}),
                apart(it.gradients, right.gradients),
                apart(it.weights, right.weights),
                apart(it.outputs, right.outputs),
            )
            for it in told
        )
