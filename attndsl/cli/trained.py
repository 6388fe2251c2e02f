"""A run's weights for a spec that is named beside them, which must be the model that was trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attndsl.diagnostics import AttnError, error

if TYPE_CHECKING:
    from attndsl.generation.run import Run
    from attndsl.graph import Graph
    from attndsl.program import Array


def load_trained(spec: str, settings: Mapping[str, str], folder: str) -> tuple[Graph, dict[str, Array]]:
    """`spec` at the hyperparameters of the run in `folder`, and the run's parameters.

    Raises E0617 where `settings`, or the variant that was asked for, contradict the run, E0609 where the spec has other
    parameters, and what `load_run` raises.
    """
    from attndsl.elaborate import load, open_spec
    from attndsl.generation import load_run
    from attndsl.training.record import open_record
    from attndsl.weights.settings import agrees, disagreement, plain

    trained = load_run(folder)
    had = {name: plain(value) for name, value in trained.graph.hyperparameters.items()}
    for name, value in settings.items():
        if name in had and not agrees(had[name], value):
            raise disagreement(name, had[name], value, folder)
    record = open_record(trained.folder)
    names = {parameter.name.text for parameter in open_spec(spec).model.hyperparameters}
    lacking = sorted(record.settings.keys() - names)
    if lacking:
        raise _another(spec, trained, "it has no hyperparameter " + ", ".join(f"`{name}`" for name in lacking[:4]))
    graph = load(spec, {**record.settings, **settings})
    have = {name: plain(value) for name, value in graph.hyperparameters.items()}
    differing = [name for name in had if name in have and not agrees(had[name], have[name])]
    if differing:
        raise _other_settings(spec, trained, differing, had, have)
    if difference := _first_difference(graph, trained):
        raise _another(spec, trained, difference)
    return graph, dict(trained.weights)


def _first_difference(graph: Graph, trained: Run) -> str | None:
    """In which parameters the spec and the run differ, in words; None where they are the same."""
    if sum(info.copies for info in graph.parameters) > 2 * len(trained.weights) + 1000:
        return f"it has {graph.parameter_count:,} parameters, and the run has {trained.graph.parameter_count:,}"
    shapes = {
        address: [axis.size.value(graph.sizes) for axis in info.type.axes]
        for info in graph.parameters
        for address in info.addresses()
    }
    only = [f"`{name}`" for name in shapes if name not in trained.weights]
    if only:
        return f"it has {_several(only)}, which the run has not"
    only = [f"`{name}`" for name in trained.weights if name not in shapes]
    if only:
        return f"the run has {_several(only)}, which it has not"
    for name, array in trained.weights.items():
        if list(array.shape) != shapes[name]:
            return f"`{name}` is {shapes[name]} in it, and {list(array.shape)} in the run"
    return None


def _several(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _another(spec: str, trained: Run, difference: str) -> AttnError:
    return error(
        "E0609",
        f"the run {trained.folder} is of another model than `{spec}`: of `{trained.graph.name}`",
        note=f"`{spec}`: {difference}",
        help=_way(trained),
    )


def _other_settings(
    spec: str, trained: Run, names: list[str], had: Mapping[str, object], have: Mapping[str, object]
) -> AttnError:
    from attndsl.weights.keys import shown

    then, now = (", ".join(f"{name} = {shown(values[name])}" for name in names[:6]) for values in (had, have))
    return error(
        "E0617", f"`{spec}` has {now}, but the run {trained.folder} is of a model with {then}", help=_way(trained)
    )


def _way(trained: Run) -> str:
    """The spec to name for these weights."""
    kept = trained.facts["spec"]
    copy = trained.folder / "spec" / kept["file"]
    return f"name the spec that was trained: `{kept['name']}`, of which the run has a copy, `{copy}`"
