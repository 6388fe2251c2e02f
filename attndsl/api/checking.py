"""All that can be said about a spec before a tensor exists: its model, its weights section, its recipe, its layouts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os.path import isdir
from pathlib import Path
from typing import TYPE_CHECKING

from attndsl.diagnostics import AttnError, Diagnostic, collected, few_suggestions, warn
from attndsl.elaborate import elaborate, open_spec
from attndsl.lints import lint
from attndsl.values import hyperparameters_of

if TYPE_CHECKING:
    from attndsl.elaborate import Spec
    from attndsl.elaborate.settings import Setting
    from attndsl.graph import Graph

    Elaborated = Callable[[Spec, Mapping[str, Setting]], Graph]


def examine(
    opened: Callable[[], Spec], settings: Mapping[str, Setting], elaborated: Elaborated = elaborate
) -> tuple[Graph | None, tuple[Diagnostic, ...]]:
    """What `check_spec` says of the spec that `opened` gives, as data: the graph where nothing is wrong, and every
    mistake and warning. The command line and the language server tell this and nothing else."""
    try:
        with collected() as found:
            graph = check_spec(opened(), settings, elaborated)
    except AttnError as problem:
        return None, problem.diagnostics
    return graph, tuple(found)


def check(name: str, settings: Mapping[str, Setting] | None = None) -> Graph:
    """The graph of the spec called `name`, of which every section has been checked (see `check_spec`); `name` may
    be the folder of a run (`of_run`)."""
    name, settings = of_run(name, settings)
    return check_spec(open_spec(name), settings)


def of_run(name: str, settings: Mapping[str, Setting] | None = None) -> tuple[str, Mapping[str, Setting]]:
    """The spec and the settings of the run in the folder `name`, `settings` among them; both as they are where there is
    no run. Raises E0732 where its record is damaged."""
    if isdir(name):
        from attndsl.runs.record import is_run, open_record

        if is_run(name):
            record = open_record(Path(name))
            return record.spec, {**record.settings, **(settings or {})}
    return name, settings or {}


@few_suggestions()
def check_spec(spec: Spec, settings: Mapping[str, Setting] | None = None, elaborated: Elaborated = elaborate) -> Graph:
    """The graph of `spec`, of which every section has been checked; `elaborated` makes it.

    Raises `AttnError` with a diagnostic for every mistake found. The weights section and the recipe are checked only
    if the model has no mistakes, and warnings (`attndsl.diagnostics.warn`) are given only if the whole spec has none.
    That a `weights` section does not fit the model is a warning.
    """
    graph = elaborated(spec, settings or {})
    found: list[Diagnostic] = []
    misfits: list[Diagnostic] = []
    if spec.weights:
        from attndsl.weights.check import check_section, misfits_apart

        for section in spec.weights:
            wrong, unfit = misfits_apart(section, check_section(section, graph, spec))
            found += wrong
            misfits += unfit
    if spec.train is not None:
        from attndsl.recipe.fitting import check_recipe
        from attndsl.recipe.recipe import read_recipe

        try:
            check_recipe(read_recipe(spec.train, hyperparameters_of(graph)), graph)
        except AttnError as problem:
            # With another head, say, the spec is as right as before; `train` says that it needs another recipe.
            found += [wrong for wrong in problem.diagnostics if not settings or wrong.code != "E0722"]
    if spec.layouts:
        from attndsl.layouts import read_layout
        from attndsl.layouts.core import NOT_DIVISIBLE
        from attndsl.layouts.laid_out import lay_out

        for layout in spec.layouts:
            try:
                misfits += lay_out(graph, read_layout(layout, graph)).warnings
            except AttnError as problem:
                # A layout serves the variants whose sizes it divides, and its mesh can be given other sizes.
                other = settings or spec.variant is not None
                found += [wrong for wrong in problem.diagnostics if not other or wrong.code != NOT_DIVISIBLE]
    if found:
        raise AttnError(*found)
    warn(*misfits)
    lint(spec, graph, settings or {})
    return graph
