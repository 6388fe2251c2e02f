"""Weights that come with a spec, wherever they lie: a training run's folder, a published folder, a file in our names.

They say what the hyperparameters are before the graph is made (`settings_with`), must be of that very model
(`check_run`), and are read when a program needs them (`read_weights`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from attndsl.diagnostics import AttnError, error
from attndsl.lazy import Array
from attndsl.running.parameters import parameter_shapes, shared_shapes
from attndsl.runs.record import is_run, open_record
from attndsl.storage.deferred import stated

if TYPE_CHECKING:
    from attndsl.elaborate import Spec
    from attndsl.elaborate.settings import Setting
    from attndsl.graph import Graph
    from attndsl.runs.record import Record
    from attndsl.runs.run import Run
    from attndsl.values import Plain

Where = str | os.PathLike[str]


def settings_with(weights: Where, spec: Spec, settings: Mapping[str, Setting]) -> dict[str, Setting]:
    """`settings`, and what the weights at `weights` say of the other hyperparameters: a run's record, a published
    configuration (with a warning for each of its keys that the spec does not mention), the header of a file of ours.

    Raises E0617 where a setting contradicts the weights, E0609 where a run is of a model with hyperparameters that
    `spec` has not, and what reading them raises (E0601 to E0616, E0732).
    """
    if not is_run(weights):
        from attndsl.weights import settings_for

        return settings_for(weights, spec.weights, settings, spec=spec)
    from attndsl.elaborate import load
    from attndsl.values import hyperparameters_of
    from attndsl.weights.settings import agrees, disagreement, meant

    record = open_record(Path(weights))
    trained = load(record.spec, record.settings)
    had = hyperparameters_of(trained)
    for name, value in meant(spec, settings).items():
        if name in had and not agrees(had[name], value):
            raise disagreement(name, had[name], value, str(weights))
    names = {parameter.name.text for parameter in spec.model.hyperparameters}
    lacking = sorted(record.settings.keys() - names)
    if lacking:
        what = "it has no hyperparameter " + ", ".join(f"`{name}`" for name in lacking[:4])
        raise _another(spec.name, record, trained, what)
    return {**record.settings, **settings}


def check_run(weights: Where, spec: Spec, graph: Graph) -> None:
    """That a run was trained at the hyperparameters of `graph` (E0617 if not); other weights are checked as they are
    read."""
    if not is_run(weights):
        return
    from attndsl.elaborate import load
    from attndsl.values import hyperparameters_of
    from attndsl.weights.settings import agrees

    record = open_record(Path(weights))
    had, have = hyperparameters_of(load(record.spec, record.settings)), hyperparameters_of(graph)
    differing = [name for name in had if name in have and not agrees(had[name], have[name])]
    if differing:
        raise _other_settings(spec.name, record, differing, had, have)


def read_weights(weights: Where, spec: Spec, graph: Graph) -> Mapping[str, Array]:
    """The parameters of `graph` by address, read as they are asked for. Raises E0609 where a run has others, and what
    `open_weights` and `load_run` raise."""
    if not is_run(weights):
        from attndsl.weights import open_weights

        return open_weights(weights, graph, spec.weights)
    from attndsl.runs.run import load_run

    trained = load_run(Path(weights))
    if difference := _first_difference(graph, trained):
        raise _another(spec.name, open_record(Path(weights)), trained.graph, difference)
    return trained.weights


def _first_difference(graph: Graph, trained: Run) -> str | None:
    """In which parameters the spec and the run differ, in words; None where they are the same."""
    if sum(info.copies for info in graph.parameters) > 2 * len(trained.weights) + 1000:
        return f"it has {graph.parameter_count:,} parameters, but the run has {trained.graph.parameter_count:,}"
    shapes = parameter_shapes(graph) | shared_shapes(graph)
    only = [f"`{name}`" for name in shapes if name not in trained.weights]
    if only:
        return f"it has {_several(only)}, which the run does not have"
    only = [f"`{name}`" for name in trained.weights if name not in shapes]
    if only:
        return f"the run has {_several(only)}, which it does not have"
    for name, array in stated(trained.weights).items():
        if tuple(array.shape) != shapes[name]:
            return f"`{name}` is {list(shapes[name])} in it, and {list(array.shape)} in the run"
    return None


def _several(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _another(spec: str, record: Record, trained: Graph, difference: str) -> AttnError:
    return error(
        "E0609",
        f"the run {record.folder} is of `{trained.name}`, another model than `{spec}`",
        note=f"`{spec}`: {difference}",
        help=_way(record),
    )


def _other_settings(
    spec: str, record: Record, names: list[str], had: Mapping[str, Plain], have: Mapping[str, Plain]
) -> AttnError:
    from attndsl.values import written

    then, now = (", ".join(f"{name} = {written(values[name])}" for name in names[:6]) for values in (had, have))
    return error(
        "E0617",
        f"`{spec}` has {now}, but the run {record.folder} is of a model with {then}",
        help=(_way(record), f"for another head on top of it: `attndsl train {spec} --weights {record.folder} …`"),
    )


def _way(record: Record) -> str:
    """The spec to name for these weights."""
    kept = record.facts["spec"]
    copy = record.folder / "spec" / kept["file"]
    return f"name the spec that was trained: `{kept['name']}`, of which the run has a copy, `{copy}`"
