"""Train a program that is laid out at random in several processes, and say where they come to something else than one
does."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

import attndsl
from attndsl.diagnostics import AttnError
from attndsl.graph import FLOAT, Graph, OutputInfo, Region, Value
from attndsl.graph.builder import Builder
from attndsl.layouts import Mesh
from attndsl.ops import Add, Mean, Mul
from attndsl.records import replace
from attndsl.running.initial import initial_parameters
from attndsl.running.simulating import local_cotangents, put_together
from attndsl.running.states import stacks_of
from tests.programs.holding import apart
from tests.programs.laid_out import Dimensions, divided_inputs, random_layout, shares
from tests.programs.reading import REFUSED
from tests.programs.writer import Program
from tests.training.crew import Crew, Failed

Arrays = dict[str, np.ndarray[Any, Any]]
MESHES: tuple[Dimensions, ...] = ((("data", 2),), (("model", 2),), (("data", 3),), (("data", 2), ("model", 2)))
STEPS = 3


def together_differences(program: Program, crew: Crew) -> list[str]:
    """What is wrong with a program in as many processes as its layout is for: outputs, gradients, or losses and weights
    after some steps that differ from those of one, processes that do not meet. `[REFUSED]` where the layout does not
    fit, with a reason."""
    size = Mesh(_draw(program).choice(MESHES)).devices
    try:
        first, *others = crew.run(_differences, program.seed, size=size)
    except Failed as problem:
        return [str(problem)]
    reasons = {str(each) for each in (first, *others) if each is not None and each and each[0].startswith(REFUSED)}
    if reasons and (len(reasons) > 1 or any(each != first for each in others)):
        return [f"some refuse it: {[first, *others]}"]
    found: list[str] = first
    return found


def _draw(program: Program) -> random.Random:
    return random.Random(f"layout {program.seed}")


def _differences(processes: Any, seed: int) -> list[str] | None:
    """In each process; the first says what is wrong."""
    program = Program.random(seed)
    try:
        graph = with_loss(attndsl.parse(program.text).graph)
    except AttnError as problem:
        return [f"refused: {problem}"]
    draw = _draw(program)
    layout = random_layout(graph, draw, MESHES)
    inputs = divided_inputs(program, graph, shares(layout), draw)
    if inputs is None:
        return []
    told: dict[str, Any] = {"training": seed % 3 == 0, "seed": seed, "step": 1}
    few = divided_inputs(program, graph, 1, draw)
    alone = _trainer(graph, seed)
    try:
        right = _outputs(alone.program, inputs, told)
        batches = [_without_states(graph, each) for each in (inputs, few) if each is not None]
        for batch in batches:
            alone.outputs(batch, _names(graph, batch))
    except AttnError:
        return []
    noise = np.random.default_rng(seed)
    ups = {name: noise.standard_normal(array.shape) for name, array in right.items() if array.dtype.kind == "f"}
    try:
        trainer = _trainer(graph, seed, processes, layout)
        laid_out = trainer.part.laid_out
        given = trainer.part.inputs(inputs)
        outputs = _outputs(trainer.program, given, told)
    except AttnError as problem:
        code = problem.diagnostics[0].code
        return [f"{REFUSED}: {code}"] if code.startswith("E10") else [f"{layout}: {problem}"]
    own = local_cotangents(laid_out, ups, processes.rank)
    _, by_parameter, by_input = trainer.program.gradients(given, own, **told)
    found = processes.gather((outputs, by_parameter, by_input))
    after = _trained(trainer, graph, batches)
    if processes.rank:
        return None
    whole, (_, *slopes) = put_together(laid_out, found), alone.program.gradients(inputs, ups, **told)
    gradients, others = slopes[0] | slopes[1], whole.gradients | whole.by_input
    scale = max((float(np.abs(a[np.isfinite(a)]).max(initial=0.0)) for a in gradients.values()), default=1.0)
    wrong = [apart(name, array, whole.outputs[name]) for name, array in right.items()]
    wrong += [apart(f"gradient of {name}", array, others[name], scale) for name, array in gradients.items()]
    wrong += [apart(name, array, after[name]) for name, array in _trained(alone, graph, batches).items()]
    return [f"{layout}: {what}" for what in wrong if what]


def _outputs(program: Any, inputs: Arrays, told: dict[str, Any]) -> Arrays:
    """Outputs and states by name."""
    results = program.run(inputs, **told)
    return dict(results) | stacks_of(program.graph, results.states)


def with_loss(graph: Graph) -> Graph:
    """The graph with an output to minimise: the mean squares of its outputs, added up."""
    builder = Builder()
    total: Value | None = None
    needs: frozenset[str] = frozenset()
    for info in graph.own_outputs:
        type = info.value.type
        if type.dtype == FLOAT:
            square = builder.emit(Mul(), info.value, info.value)
            mean = builder.emit(Mean(type.axes), square) if type.axes else square
            total = mean if total is None else builder.emit(Add(), total, mean)
            needs |= info.needs
    assert total is not None
    body = graph.body
    return replace(
        graph,
        outputs=(*graph.outputs, OutputInfo("loss", total, needs)),
        body=Region(body.parameters, (*body.nodes, *builder.nodes), (*body.results, total)),
    )


def _parameters(graph: Graph, seed: int) -> Arrays:
    return {address: array.astype("float64") for address, array in initial_parameters(graph, seed)}


def _trainer(graph: Graph, seed: int, processes: Any = None, layout: Any = None) -> Any:
    from attndsl.recipe.recipe import Recipe
    from attndsl.running import backends
    from attndsl.running.processes import ALONE

    recipe = Recipe().override(
        {"precision": "float64", "optimizer": "sgd(lr=1e-2)", "schedule": "constant()", "seed": seed}
    )
    return backends.find("torch").trainer(
        graph, recipe, device="cpu", parameters=_parameters(graph, seed), processes=processes or ALONE, layout=layout
    )


def _without_states(graph: Graph, inputs: Arrays) -> Arrays:
    return {name: array for name, array in inputs.items() if name not in graph.state_names}


def _names(graph: Graph, batch: Arrays) -> list[str]:
    """The outputs that it allows."""
    return [info.name for info in graph.own_outputs if info.needs <= batch.keys()]


def _trained(trainer: Any, graph: Graph, batches: list[Arrays]) -> Arrays:
    """Losses and norms of gradients step by step on the first batch, and the weights after these; and what the outputs
    are then for each, which may be one that cannot be divided. Nothing where there are no weights."""
    if not graph.parameters:
        return {}
    for batch in reversed(batches):  # what is kept of these weights is not to be used for the next
        trainer.outputs(batch, _names(graph, batch))
    results = [trainer.step(batches[:1], step, goes_on=step > 0) for step in range(STEPS)]
    found = {"loss": np.array([it.loss for it in results]), "norm": np.array([it.grad_norm for it in results])}
    found |= {f"{name} after {STEPS} steps": array for name, array in trainer.parameters().items()}
    for number, batch in enumerate(batches):
        outputs = trainer.outputs(batch, _names(graph, batch)).items()
        found |= {f"{name} of batch {number} after {STEPS} steps": array for name, array in outputs}
    return found
