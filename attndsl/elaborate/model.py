"""A model elaborated: the whole way from a spec and settings to a checked graph."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from attndsl.diagnostics import AttnError, error
from attndsl.elaborate import bodies, calls, expressions, statements
from attndsl.elaborate.files import Spec, open_spec
from attndsl.elaborate.frames import Frame, PendingParameter, Poisoned, Run
from attndsl.elaborate.inputs import check_defaults
from attndsl.elaborate.needs import needs
from attndsl.elaborate.settings import Setting, bind_hyperparameters
from attndsl.elaborate.values import kind_of, shown
from attndsl.graph import Graph, OutputInfo, ParameterInfo, Region
from attndsl.graph.builder import Builder
from attndsl.syntax.limits import room_to_recurse
from attndsl.values import Number


def load(name: str, settings: Mapping[str, Setting] | None = None) -> Graph:
    """The checked graph of the spec called `name` (see `open_spec`) with hyperparameters set.

    Raises `AttnError` with one diagnostic for every mistake found.
    """
    return elaborate(open_spec(name), settings or {})


def elaborate(spec: Spec, settings: Mapping[str, Setting]) -> Graph:
    """The checked graph of a spec's model. Nothing is allocated: sizes stay symbols, whatever their values."""
    with room_to_recurse():
        return _elaborate(spec, settings)


def _elaborate(spec: Spec, settings: Mapping[str, Setting]) -> Graph:
    run = Run(expressions.evaluate, calls.apply, statements.execute, bodies.enter)
    builder = Builder()
    frame = Frame(run, spec.scope, builder, in_user_file=not spec.scope.is_standard)
    model = spec.model
    hyperparameters = bind_hyperparameters(spec, settings, frame)
    with suppress(Poisoned):
        statements.execute(model.body, frame)
    if not run.problems and not run.outputs:
        run.report(
            error(
                "E0114",
                f"`{model.name.text}` has no output",
                model.name.span,
                help="say what it computes: `output y = …`",
            )
        )
    if not run.problems:
        check_defaults(run)
    if run.problems:
        raise AttnError(*sorted(run.problems, key=lambda d: d.primary.span.start if d.primary else -1))
    inputs = tuple(run.inputs)
    region = Region(tuple(i.value for i in inputs), tuple(builder.nodes), tuple(o.value for o in run.outputs))
    outputs = tuple(
        OutputInfo(o.name, o.value, needed, o.doc, o.span)
        for o, needed in zip(run.outputs, needs(region, inputs, run.sizes), strict=True)
    )
    values: dict[str, object] = {}
    for name, value in hyperparameters.items():
        if isinstance(value, Number):
            values[name] = bool(value.value) if value.is_bool else value.value
        else:
            values[name] = shown(value)
    return Graph(
        model.name.text, values, dict(run.sizes), inputs, outputs, _parameters(run), tuple(run.constraints),
        dict(run.scopes), region, spec.variant.name.text if spec.variant else None,
        model.doc or spec.file.doc, model.span, spec.source.name,
        {name: kind_of(value) for name, value in hyperparameters.items()},
    )  # fmt: skip


def _parameters(run: Run) -> tuple[ParameterInfo, ...]:
    """The parameters in the order in which they were declared; cases of one repeat that agree are put together."""
    found: list[ParameterInfo] = []
    for pending in run.parameters.values():
        merged: list[ParameterInfo] = []
        for p in pending:
            info = _info(run, p)
            for i, other in enumerate(merged):
                together = _merge(other, info)
                if together is not None:
                    merged[i] = together
                    break
            else:
                merged.append(info)
        found += merged
    return tuple(found)


def _info(run: Run, p: PendingParameter) -> ParameterInfo:
    layers = tuple(run.indices[v] for v in p.layers)
    return ParameterInfo(p.address, p.type, p.initializer, layers, p.span, p.role)


def _merge(a: ParameterInfo, b: ParameterInfo) -> ParameterInfo | None:
    if a.layers == b.layers:  # a layer with a repeat in it, applied again
        if a.type != b.type:
            raise error(
                "E0206",
                f"the shared parameter `{a.address}` would be {b.type}, but it is {a.type}",
                b.span,
                help="a layer is shared between tensors of the same axes only",
            )
        return a
    if (a.type, a.initializer) != (b.type, b.initializer):
        return None
    differing = [i for i, (x, y) in enumerate(zip(a.layers, b.layers, strict=True)) if x != y]
    if len(differing) != 1:
        return None
    (at,) = differing
    indices = tuple(sorted({*a.layers[at], *b.layers[at]}))
    whole = range(len(indices))
    joined = whole if indices == tuple(whole) else indices
    return ParameterInfo(
        a.address, a.type, a.initializer, (*a.layers[:at], joined, *a.layers[at + 1 :]), a.span, a.role
    )


__all__ = ["elaborate", "load"]
