"""An expression without inputs and parameters: a mask, a table of positions, as a graph that computes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attndsl.diagnostics import AttnError, error
from attndsl.elaborate import expressions, index_functions
from attndsl.elaborate.files import open_text
from attndsl.elaborate.model import frame_for
from attndsl.elaborate.settings import Setting, bind_hyperparameters
from attndsl.elaborate.tensors import lift
from attndsl.elaborate.values import Argument, IndexFunctionValue
from attndsl.graph import Axis, Graph, OutputInfo, Region
from attndsl.records import replace
from attndsl.syntax import tree
from attndsl.syntax.limits import room_to_recurse
from attndsl.values import Number

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
    frame = frame_for(spec)
    frame.outer = True  # every pair of positions is meant
    run, builder = frame.run, frame.builder
    bind_hyperparameters(spec, settings, frame)
    for axis in axes:
        frame.bind(axis.name, Number(axis.size.known(run.sizes), axis.size, axis), span)
    argument = expressions.argument(expression, frame)
    if isinstance(argument.value, IndexFunctionValue):
        over = {axis.name: (axis, span) for axis in axes}
        argument = Argument(index_functions.instantiate(argument.value, over, frame, span), span)
    value = lift(argument, frame).tensor
    if run.problems:
        raise AttnError(*run.problems)
    if run.parameters:
        raise error(
            "E0625", f"`{span.text}` has parameters of its own", span, help="map the model's, by their addresses"
        )
    region = Region((), tuple(builder.nodes), (value,))
    output = OutputInfo(VALUE, value, frozenset(), None, span)
    return Graph(
        "Constant", {}, dict(run.sizes), (), (output,), (), tuple(run.constraints.values()), dict(run.scopes), region
    )
