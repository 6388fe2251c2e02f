"""A model elaborated: the whole way from a spec and settings to a checked graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attndsl.diagnostics import Diagnostic, few_suggestions
from attndsl.elaborate.elaborator import Elaborator
from attndsl.elaborate.settings import Setting, bind_hyperparameters, misfits
from attndsl.elaborate.spec import Spec, open_spec
from attndsl.elaborate.values import as_plain
from attndsl.graph import Graph
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


__all__ = ["elaborate", "load", "meanings", "unfit_values"]
