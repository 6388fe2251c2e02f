"""A model elaborated: the whole way from a spec and settings to a checked graph. An expression without inputs and
parameters, such as a mask or a table of positions, goes it too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attndsl.diagnostics import AttnError, Diagnostic, error, few_suggestions
from attndsl.elaborate import index_functions
from attndsl.elaborate.elaborator import Elaborator
from attndsl.elaborate.settings import Setting, bind_hyperparameters, misfits
from attndsl.elaborate.spec import Spec, open_spec, open_text
from attndsl.elaborate.tensors import lift
from attndsl.elaborate.values import Evaluated, IndexFunctionValue, as_plain
from attndsl.graph import Axis, Graph, OutputInfo, Region
from attndsl.records import replace
from attndsl.syntax import tree
from attndsl.syntax.limits import room_to_recurse
from attndsl.values import Plain


def load(name: str, settings: Mapping[str, Setting] | None = None) -> Graph:
    """The checked graph of the spec called `name` (see `open_spec`) with hyperparameters set.

    Raises `AttnError` with one diagnostic for every mistake found.
    """
    return elaborate(open_spec(name), settings or {})


def elaborate(spec: Spec, settings: Mapping[str, Setting]) -> Graph:
    """The checked graph of a spec's model. Nothing is allocated: sizes stay symbols, whatever their values."""
    with room_to_recurse(), few_suggestions():
        return Elaborator(spec).graph(settings)


def meanings(spec: Spec, settings: Mapping[str, Setting]) -> dict[str, Plain]:
    """What settings of a spec's hyperparameters come to, so that `f(3)` and `f(n=3)` are one."""
    with room_to_recurse():
        values = bind_hyperparameters(spec, settings, Elaborator(spec).top)
        return {name: as_plain(values[name]) for name in settings}


def unfit_values(spec: Spec, values: Iterable[tuple[str, tree.Expr]]) -> list[Diagnostic]:
    """What is wrong with values that hyperparameters of a spec may get, each with the name of its hyperparameter."""
    frame = Elaborator(spec).top
    parameters = {parameter.name.text: parameter for parameter in spec.model.hyperparameters}
    with room_to_recurse():
        bind_hyperparameters(spec, {}, frame)
        return [problem for name, written in values for problem in misfits(parameters[name], written, frame)]


# ---------------------------------------------------------------- an expression without inputs and parameters

VALUE = "value"
"""The one output of such a graph."""


def constant_graph(expression: tree.Expr, settings: Mapping[str, Setting], axes: Sequence[Axis]) -> Graph:
    """The graph whose output `value` is what the expression comes to. Its names are the hyperparameters in `settings`,
    these `axes`, and the standard library; a mask or a bias runs over the axes that are called as its variables are.

    Raises `AttnError` for what is wrong with it, E0625 where it makes parameters.
    """
    with room_to_recurse():
        return _constant_graph(expression, settings, axes)


def _constant_graph(expression: tree.Expr, settings: Mapping[str, Setting], axes: Sequence[Axis]) -> Graph:
    span = expression.span
    spec = open_text("model Constant() { output value = 0.0 }")
    none = tree.Name(span, "none")  # of which every value may take the place
    names = [tree.Parameter(span, tree.Identifier(span, name), None, none) for name in settings]
    spec = replace(spec, model=replace(spec.model, hyperparameters=tuple(names)))
    elaborator = Elaborator(spec)
    frame = elaborator.top.licensing()  # every pair of positions is meant
    bind_hyperparameters(spec, settings, frame)
    for axis in axes:
        frame.bind_axis(axis.name, axis, span)
    evaluated = frame.evaluated(expression)
    if isinstance(evaluated.value, IndexFunctionValue):
        over = {axis.name: (axis, span) for axis in axes}
        evaluated = Evaluated(index_functions.instantiate(evaluated.value, over, frame, span), span)
    value = lift(evaluated, frame).tensor
    if elaborator.problems:
        raise AttnError(*elaborator.problems)
    if elaborator.parameters:
        raise error(
            "E0625", f"`{span.text}` has parameters of its own", span, help="map the model's, by their addresses"
        )
    region = Region((), tuple(elaborator.builder.nodes), (value,))
    output = OutputInfo(VALUE, value, frozenset(), None, span)
    return Graph(
        "Constant",
        {},
        dict(elaborator.sizes),
        (),
        (output,),
        (),
        tuple(elaborator.constraints.values()),
        dict(elaborator.scopes),
        region,
    )
