"""The plan that a layout means: which of a model's dimensions lie on which dimension of its mesh."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attndsl.diagnostics import error
from attndsl.layouts import Layout
from attndsl.planning.axes import Dimensions, Place
from attndsl.planning.plan import ParallelPlan
from attndsl.planning.work import Workload
from attndsl.records import replace

BATCH, TOKENS, INNER, EXPERTS, STREAM = "batch", "tokens", "inner", "experts", "stream"


def plan_of(layout: Layout, work: Workload, plan: ParallelPlan) -> ParallelPlan:
    """`plan` with the degrees of a layout: rows of a batch on a dimension of the mesh are data parallelism, axes inside
    of layers tensor parallelism, tokens beside these sequence parallelism and alone context parallelism; experts lie
    where rows or tokens lie.

    Raises E0953 for a layout that no plan describes.
    """
    dimensions = work.axes
    degrees: dict[str, Any] = {"data": 1, "tensor": 1, "context": 1, "experts": 1}
    sequence = False
    for name, size in layout.mesh.dimensions:
        kinds = {kind for kind, _ in _lying_on(layout, name, dimensions)}
        if STREAM in kinds:
            axis = next(axis for kind, axis in _lying_on(layout, name, dimensions) if kind == STREAM)
            raise error(
                "E0953", f"`{axis}` on `{name}`: plans leave whole what stands between layers", layout.span,
                help="lay the axes inside of layers there: heads, hidden units, words",
            )  # fmt: skip
        if not kinds & {BATCH, TOKENS, INNER}:
            raise error(
                "E0953", f"nothing that a plan can divide lies on `{name}`", layout.span,
                help=f"lay the batch there, too: `B on {name}`" if kinds else f"leave out `{name}`",
            )  # fmt: skip
        degrees["data" if BATCH in kinds else "tensor" if INNER in kinds else "context"] *= size
        sequence = sequence or kinds >= {INNER, TOKENS}
        if EXPERTS in kinds:
            degrees["experts"] *= size
    parameters = "whole" if layout.parameters is None else plan.parameters
    return replace(plan, sequence=sequence, parameters=parameters, **degrees)


def _lying_on(layout: Layout, name: str, dimensions: Dimensions) -> Iterator[tuple[str, str]]:
    """What kinds of dimensions the rules lay on a dimension of the mesh, and how they are written."""
    for rule in layout.rules:
        for pattern in rule.axes if rule.dimension == name else ():
            for place in dimensions.places():
                if pattern.matches(place[1]):
                    yield _kind(dimensions, place), pattern.text


def _kind(dimensions: Dimensions, place: Place) -> str:
    at = dimensions.find(*place)
    if at == dimensions.batch:
        return BATCH
    if at == dimensions.tokens:
        return TOKENS
    sets = ((INNER, dimensions.inner), (EXPERTS, dimensions.experts), (STREAM, dimensions.stream))
    return next((kind for kind, found in sets if at in found), "other")
