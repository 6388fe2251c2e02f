"""The plan that a layout means: which of a model's dimensions lie on which dimension of its mesh."""

from __future__ import annotations

from typing import Any

from attndsl.diagnostics import error
from attndsl.graph import Value
from attndsl.layouts import Layout
from attndsl.layouts.classes import Place
from attndsl.ops import Repeat
from attndsl.planning.axes import Dimensions
from attndsl.planning.plan import MeshPart, ParallelPlan
from attndsl.planning.work import EXPERTS, INNER, TOKENS, Workload, batch_axis, token_axis
from attndsl.records import replace

BATCH, STREAM, TEXTS = "batch", "stream", "texts"


def plan_of(layout: Layout, work: Workload, plan: ParallelPlan) -> ParallelPlan:
    """`plan` with the degrees of a layout: rows of a batch on a dimension of the mesh are data parallelism, axes inside
    of layers tensor parallelism, tokens beside these sequence parallelism and alone context parallelism; experts lie
    where rows or tokens lie, and layers in stages on the first dimension.

    Raises E0953 for a layout that no plan describes.
    """
    dimensions = work.axes
    degrees: dict[str, Any] = {"data": 1, "tensor": 1, "context": 1, "experts": 1}
    sequence, parts = False, dict[str, MeshPart]()
    for number, (name, size) in enumerate(layout.mesh.dimensions):
        if any(rule.loops for rule in layout.rules if rule.dimension == name):
            degrees["stages"] = _stages(layout, number, work)
            continue
        marked = {_kind(dimensions, place): axis for place, axis in dimensions.marked(layout, name)}
        kinds = marked.keys()
        for kind, why, help in (
            (TEXTS, "plans divide the tokens of one text only", f"lay the batch there: `{batch_axis(work)} on {name}`"),
            (STREAM, "plans leave whole what stands between layers",
             "lay the axes inside of layers there: heads, hidden units, words"),
        ):  # fmt: skip
            if kind in kinds:
                raise error("E0953", f"`{marked[kind]}` on `{name}`: {why}", layout.span, help=help)
        if not kinds & {BATCH, TOKENS, INNER}:
            raise error(
                "E0953", f"nothing that a plan can divide lies on `{name}`", layout.span,
                help=f"lay the batch there: `{batch_axis(work)} on {name}`, or leave out `{name}`",
            )  # fmt: skip
        degree = "data" if BATCH in kinds else "tensor" if INNER in kinds else "context"
        if degree == "tensor" and EXPERTS in kinds:
            raise error(
                "E0953", f"`{marked[EXPERTS]}` on `{name}`: plans have experts on devices that have other rows or "
                "tokens", layout.span,
                help=f"lay them where rows lie: `{marked[EXPERTS]}` on the dimension of `{batch_axis(work)}`",
            )  # fmt: skip
        degrees[degree] *= size
        parts[name] = MeshPart(degree, size, experts=EXPERTS in kinds)
        sequence = sequence or kinds >= {INNER, TOKENS}
        if EXPERTS in kinds:
            degrees["experts"] *= size
    shared = [name for name, part in parts.items() if part.degree != "tensor"]  # that have other rows or tokens
    over = layout.parameters
    if over is None:
        degrees["parameters"], over = "whole", next(iter(shared), "")
    elif over not in shared and plan.parameters != "whole":
        raise error(
            "E0953", f"`parameters on {over}`: plans divide parameters where rows or tokens lie", layout.span,
            help=f"divide them over one of these: {', '.join(shared)}" if shared else "say `parameters whole`",
        )  # fmt: skip
    if over in parts:
        parts[over] = replace(parts[over], parameters=True)
    mesh = tuple(part for part in parts.values() if part.size > 1)
    plan = replace(plan, sequence=sequence, mesh=(), **degrees)
    return plan if mesh == plan.parts else replace(plan, mesh=mesh)


def _stages(layout: Layout, number: int, work: Workload) -> int:
    """How many devices are along a dimension on which layers stand in stages."""
    name, size = layout.mesh.dimensions[number]
    if number:
        raise error(
            "E0953", f"plans have the stages of `{name}` the furthest apart, and here others are further", layout.span,
            help=f"let `{name}={size}` be the first dimension of the mesh",
        )  # fmt: skip
    other = next((rule for rule in layout.rules if rule.dimension == name and not rule.loops), None)
    if other is not None:
        raise error(
            "E0953", f"`{other}`: plans have nothing but layers on `{name}`", other.span or layout.span,
            help="leave it out; what stands outside of the layers is planned as work of all stages",
        )  # fmt: skip
    loops = {path for rule in layout.rules for path in rule.loops}
    whole = next((op for op in _repeats(work) if op.path not in loops), None)
    if whole is not None:
        raise error(
            "E0953", f"plans have all layers in stages, and those of `repeat {whole.label}` are whole", layout.span,
            help=f"name it, too: `{whole.path} on {name}`",
        )  # fmt: skip
    return size


def _repeats(work: Workload) -> list[Repeat]:
    return [node.op for node in work.graph.body.nodes if isinstance(node.op, Repeat)]


def microbatches(layout: Layout) -> int | None:
    """In how many parts layers in stages take a batch; None without stages."""
    rule = next((rule for rule in layout.rules if rule.loops), None)
    return None if rule is None else rule.microbatches or layout.mesh.size(rule.dimension)


def _kind(dimensions: Dimensions, place: Place) -> str:
    if place == dimensions.batch:
        return BATCH
    if place == dimensions.tokens:
        return TOKENS
    sets = (
        (TEXTS, dimensions.texts),
        (INNER, dimensions.inner),
        (EXPERTS, dimensions.experts),
        (STREAM, dimensions.stream),
    )
    return next((kind for kind, found in sets if place in found), "other")


def layout_text(plan: ParallelPlan, work: Workload) -> str:
    """The layout of a plan, as `--layout` reads it: a mesh, and rules. Words and hidden units that the degree does not
    divide are left out."""
    mesh, rules = [], []
    batch, tokens = batch_axis(work), token_axis(work)
    if plan.stages > 1:
        loops = dict.fromkeys(op.path for op in _repeats(work))
        mesh.append(f"stages={plan.stages}")
        rules.append(f"{', '.join(loops)} on stages in {plan.micro_batches} microbatches")
    parts = plan.parts or ((MeshPart("data", 1, parameters=True),) if plan.stages == 1 else ())
    called = {"data": "data", "context": "context", "tensor": "model"}
    axes = {"data": batch, "context": tokens, "tensor": ", ".join(names(work, INNER, plan.tensor))}
    homes, over, seen = [], "", list[str]()
    for part in parts:
        name = called[part.degree]
        while name in seen:
            name = "experts" if part.experts and "experts" not in seen else f"{name}_"
        seen.append(name)
        mesh.append(f"{name}={part.size}")
        rules.append(f"{axes[part.degree]} on {name}")
        if part.degree == "tensor" and plan.sequence:
            rules.append(f"{tokens} on {name}")
        homes += [name] if part.experts else []
        over = name if part.parameters else over
    rules += [f"{', '.join(names(work, EXPERTS, plan.experts))} on {home}" for home in homes]
    if plan.parameters == "whole":
        rules.append("parameters whole")
    elif over not in ("", "data"):
        rules.append(f"parameters on {over}")
    return "; ".join([", ".join(mesh), *rules])


def names(work: Workload, kind: str, degree: int) -> list[str]:
    """How rules call the dimensions inside of layers, or those of experts, that a degree divides: by the shortest words
    that mean no others. It has to divide whatever such a word means, but where rows of a batch are divided first, as
    they are on the devices of experts."""
    dimensions = work.axes
    chosen = dimensions.inner if kind == INNER else dimensions.experts
    apart = chosen | (dimensions.worked_along - dimensions.stream)
    called: dict[Place, set[str]] = {}
    meanings: dict[str, set[Place]] = {}
    whole: set[Place] = set()
    for root, places in dimensions.classes.members().items():
        called[root] = {text for _, axis in places for text in (axis.name, str(axis.size))}
        for text in called[root]:
            meanings.setdefault(text, set()).add(root)
        asked = [axis for key, axis in places if kind == INNER or not _has_rows(dimensions, key)]
        if any((axis.size.known(work.graph.sizes) or 0) % degree for axis in asked):
            whole.add(root)
    found = (
        {text for text in texts if "=" not in text and meanings[text] <= apart - whole}
        for root, texts in called.items()
        if root in chosen
    )
    return list(dict.fromkeys(min(texts, key=lambda text: (len(text), text)) for texts in found if texts))


def _has_rows(dimensions: Dimensions, key: Value | str) -> bool:
    """Whether something counts the rows of a batch; a parameter, which an address names, does not."""
    if isinstance(key, str):
        return False
    return any(dimensions.find(key, axis) == dimensions.batch for axis in key.type.axes)
