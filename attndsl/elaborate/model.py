"""A model elaborated: the whole way from a spec and settings to a checked graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from attndsl.diagnostics import AttnError, Diagnostic, error, few_suggestions
from attndsl.elaborate import bodies, calls, expressions, statements
from attndsl.elaborate.files import Spec, open_spec
from attndsl.elaborate.frames import MAX_STEPS, STEPS_FOR_A_CHARACTER, Frame, Poisoned, Run
from attndsl.elaborate.inputs import check_defaults
from attndsl.elaborate.needs import needs
from attndsl.elaborate.parameters import declared_parameters
from attndsl.elaborate.settings import Setting, bind_hyperparameters, misfits
from attndsl.elaborate.values import as_plain, kind_of, shown
from attndsl.graph import Graph, OutputInfo, Region
from attndsl.graph.builder import Builder
from attndsl.graph.verify import verify
from attndsl.syntax import tree
from attndsl.syntax.limits import room_to_recurse
from attndsl.values import Number, Plain


def load(name: str, settings: Mapping[str, Setting] | None = None) -> Graph:
    """The checked graph of the spec called `name` (see `open_spec`) with hyperparameters set.

    Raises `AttnError` with one diagnostic for every mistake found.
    """
    return elaborate(open_spec(name), settings or {})


def elaborate(spec: Spec, settings: Mapping[str, Setting]) -> Graph:
    """The checked graph of a spec's model. Nothing is allocated: sizes stay symbols, whatever their values."""
    with room_to_recurse(), few_suggestions():
        return _elaborate(spec, settings)


def meanings(spec: Spec, settings: Mapping[str, Setting]) -> dict[str, Plain]:
    """What settings of a spec's hyperparameters come to, so that `f(3)` and `f(n=3)` are one."""
    with room_to_recurse():
        values = bind_hyperparameters(spec, settings, frame_for(spec))
        return {name: as_plain(values[name]) for name in settings}


def unfit_values(spec: Spec, values: Iterable[tuple[str, tree.Expr]]) -> list[Diagnostic]:
    """What is wrong with values that hyperparameters of a spec may get, each with the name of its hyperparameter."""
    frame = frame_for(spec)
    parameters = {parameter.name.text: parameter for parameter in spec.model.hyperparameters}
    with room_to_recurse():
        bind_hyperparameters(spec, {}, frame)
        return [problem for name, written in values for problem in misfits(parameters[name], written, frame)]


def frame_for(spec: Spec) -> Frame:
    """The frame in which a model of the spec is elaborated."""
    run = Run(expressions.evaluate, calls.apply, statements.execute, bodies.enter)
    run.limit = MAX_STEPS + STEPS_FOR_A_CHARACTER * spec.scope.library.length
    return Frame(run, spec.scope, Builder(), in_user_file=not spec.scope.is_standard)


def _elaborate(spec: Spec, settings: Mapping[str, Setting]) -> Graph:
    frame = frame_for(spec)
    run, builder = frame.run, frame.builder
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
    inputs, outputs = tuple(run.inputs.values()), tuple(run.outputs.values())
    region = Region(tuple(i.value for i in inputs), tuple(builder.nodes), tuple(o.value for o in outputs))
    outputs = tuple(
        OutputInfo(o.name, o.value, needed, o.doc, o.span)
        for o, needed in zip(outputs, needs(region, inputs, run.sizes), strict=True)
    )
    values: dict[str, object] = {}
    for name, value in hyperparameters.items():
        if isinstance(value, Number):
            values[name] = bool(value.value) if value.is_bool else value.value
        else:
            values[name] = shown(value)
    graph = Graph(
        model.name.text, values, dict(run.sizes), inputs, outputs,
        tuple(declared_parameters(run.parameters.values())), tuple(run.constraints.values()), dict(run.scopes), region,
        spec.variant.name.text if spec.variant else None, model.doc or spec.file.doc, model.span, spec.source.name,
        {name: kind_of(value) for name, value in hyperparameters.items()},
    )  # fmt: skip
    verify(graph)
    return graph


__all__ = ["elaborate", "load", "meanings", "unfit_values"]
