"""Lay a program out at random, and say where the devices come to something else than one does."""

from __future__ import annotations

import math
import random
import traceback
from collections.abc import Sequence
from typing import Any

import numpy as np

import attndsl
from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.diagnostics import AttnError
from attndsl.graph import Graph
from attndsl.graph.reader import parse_text
from attndsl.graph.text import to_text
from attndsl.graph.verify import verify
from attndsl.layouts import AxisPattern, Layout, Mesh, PlacementRule
from attndsl.layouts.laid_out import LaidOut, lay_out
from attndsl.ops import Repeat
from attndsl.passes import optimize
from attndsl.running.initial import initial_parameters
from attndsl.running.inputs import example_inputs
from attndsl.running.simulating import simulate
from tests.programs.holding import apart
from tests.programs.reading import REFUSED
from tests.programs.sight import FREE
from tests.programs.writer import Program

Dimensions = tuple[tuple[str, int], ...]
Array = np.ndarray[Any, Any]
MESHES: tuple[Dimensions, ...] = (
    (("data", 2),), (("data", 3),), (("data", 2), ("model", 2)), (("data", 4), ("model", 2)), (("model", 3),),
    (("data", 2), ("stages", 2)),
)  # fmt: skip
TIMEOUT = 60.0
REASONS = {"E1004", "E1005", "E1006"}
"""What does not divide, no stages, rows that are not apart: what else is wrong with a layout is a mistake of ours."""


def layout_differences(program: Program) -> list[str]:
    """What is wrong with a program that is laid out at random: outputs or gradients that differ, devices that do not
    meet, a crash, a graph that is not valid. `[REFUSED]` where the layout does not fit, with a reason."""
    try:
        graph = attndsl.parse(program.text).graph
    except AttnError as problem:
        return [f"refused: {problem}"]
    draw = random.Random(f"layout {program.seed}")
    layout = random_layout(graph, draw)
    try:
        laid_out = lay_out(graph, layout)
        verify(laid_out.graph)
        text = to_text(laid_out.graph)
        if to_text(parse_text(text)) != text:
            return [f"{layout}: its text reads back as another graph"]
    except AttnError as problem:
        return [REFUSED] if {found.code for found in problem.diagnostics} <= REASONS else [f"{layout}: {problem}"]
    except Exception:
        return [f"{layout}: crash: {traceback.format_exc()}"]
    found = _differences(program, laid_out, draw)
    return found if found == [REFUSED] else [f"{layout}: {what}" for what in found]


def random_layout(graph: Graph, draw: random.Random, meshes: Sequence[Dimensions] = MESHES) -> Layout:
    """One of the meshes, one to three rules over axes of the model, and perhaps one for the layers of a repeat."""
    mesh = Mesh(draw.choice(meshes))
    types = [info.value.type for info in graph.inputs] + [info.type for info in graph.parameters]
    types += [value.type for node in graph.body.walk() for value in node.outputs]
    named = sorted({axis.name for type in types for axis in type.axes})
    often = [name for name in named if name in FREE]
    rules, seen = [], set[tuple[str, str]]()
    for _ in range(draw.choice((1, 2, 2, 3))):
        axis, dimension = draw.choice(often if often and draw.random() < 0.6 else named), draw.choice(mesh.names)
        if (axis, dimension) not in seen:
            rules.append(PlacementRule((AxisPattern(axis),), dimension))
            seen.add((axis, dimension))
    parameters = draw.choice((None, *mesh.names))
    rules = [*in_stages(graph, mesh, draw), *rules]
    return Layout("random", mesh, tuple(rules), parameters)


def in_stages(graph: Graph, mesh: Mesh, draw: random.Random) -> list[PlacementRule]:
    """A rule for the layers of a repeat, where one has as many as a dimension of the mesh divides."""
    ops = [node.op for node in graph.body.nodes if isinstance(node.op, Repeat)]
    pairs = [
        (op, name) for op in ops for name, size in mesh.dimensions if (op.count.known(graph.sizes) or 1) % size == 0
    ]
    if not pairs or draw.random() < 0.5:
        return []
    op, name = draw.choice(pairs)
    return [PlacementRule((AxisPattern(op.label),), name, loops=(op.path,), microbatches=draw.choice((None, 1, 2, 4)))]


def shares(layout: Layout) -> int:
    """Into how many parts a layout divides axes, at most."""
    parts = (rule.microbatches or layout.mesh.size(rule.dimension) for rule in layout.rules if rule.loops)
    return layout.mesh.devices * math.prod(parts)


def divided_inputs(program: Program, graph: Graph, count: int, draw: random.Random) -> dict[str, Array] | None:
    """Inputs that can be divided into so many parts, or sometimes of no length at all; None where the model takes no
    such."""
    sizes = {name: size * count if draw.random() < 0.8 else 0 for name, size in program.sizes.items()}
    try:
        inputs = example_inputs(graph, sizes, seed=program.seed)
    except AttnError:  # the lengths do not fit: a slice of what is too short, or too long a text
        try:
            inputs = example_inputs(graph, dict.fromkeys(program.sizes, count), seed=program.seed)
        except AttnError:
            return None
    if program.seed % 2:
        inputs.pop("o", None)
    return inputs


def _differences(program: Program, laid_out: LaidOut, draw: random.Random) -> list[str]:
    graph = laid_out.whole
    inputs = divided_inputs(program, graph, shares(laid_out.layout), draw)
    if inputs is None:
        return []
    parameters = {address: array.astype("float64") for address, array in initial_parameters(graph, program.seed)}
    told: dict[str, Any] = {"training": program.seed % 3 == 0, "seed": program.seed, "step": 1}
    with np.errstate(all="ignore"):
        try:
            whole = NumpyProgram(graph, dtype="float64", parameters=parameters)
            right = whole.outputs(inputs, None, told["training"], told["seed"], told["step"])
            noise = np.random.default_rng(program.seed)
            ups = {name: noise.standard_normal(a.shape) for name, a in right.items() if a.dtype.kind == "f"}
            _, by_parameter, by_input = whole.gradients(inputs, ups, **told)
        except AttnError:
            return []
        try:
            local = optimize(laid_out.graph)[0] if program.seed % 4 == 0 else laid_out.graph
            found = simulate(laid_out, inputs, parameters, ups, tuple(right), graph=local, timeout=TIMEOUT, **told)
        except AttnError as problem:
            return [REFUSED if problem.diagnostics[0].code.startswith("E10") else str(problem)]
        except Exception:
            return [traceback.format_exc()]
    gradients = by_parameter | by_input
    slopes = found.gradients | found.by_input
    scale = max((float(np.abs(a[np.isfinite(a)]).max(initial=0.0)) for a in gradients.values()), default=1.0)
    wrong = [apart(name, right[name], found.outputs[name]) for name in right]
    wrong += [apart(f"gradient of {n}", array, slopes[n], scale) for n, array in gradients.items()]
    return [what for what in wrong if what]
