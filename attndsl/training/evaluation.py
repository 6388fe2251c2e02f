"""A trained run on its held-out data again, with other settings than it was trained with where its weights allow it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attndsl.elaborate import load
from attndsl.elaborate.settings import Setting
from attndsl.objectives.likelihood import with_cross_entropy
from attndsl.recipe.fitting import check_recipe, split_settings
from attndsl.recipe.recipe import Recipe
from attndsl.records import replace
from attndsl.running import backends
from attndsl.runs.checkpoint import furthest_parameters
from attndsl.runs.record import open_record
from attndsl.runs.run import require_same_weights
from attndsl.training.console import Console, Silent
from attndsl.training.measuring import evaluate, measure
from attndsl.training.place import trainer_at
from attndsl.training.session import Session, prepared, recorded_data, require_same

if TYPE_CHECKING:
    from attndsl.objectives.metrics import Metric


def evaluate_run(
    run: str | Path,
    *,
    settings: Mapping[str, Setting] | None = None,
    data: Any = None,
    backend: str | None = None,
    device: str | None = None,
    console: Console | None = None,
    weights_as: str | None = None,
) -> tuple[Metric, ...]:
    """The metrics of the run's weights on the data that it held out; empty where these are too few. `settings` change
    hyperparameters that no parameter's shape depends on (how long a memory is) and keys of the recipe that say how it
    is measured (`length`, `batch`, `evaluate_batches`). `data` are the run's, where they came from Python.
    With `weights_as` the matrices are kept in fewer bits (`attndsl.running.weights_as`), and each metric has beside it
    what it is with those of float32.

    Raises E0732 and E0733 (no run, damaged), E0734 (other data, another tokenizer), E0807 (other parameters), and what
    checking the spec raises. Nothing is written.
    """
    folder, console = Path(run), console or Silent()
    record = open_record(folder)
    before = Recipe.from_json(record.facts["recipe"])
    model, training = split_settings(settings or {}, load(record.spec, record.settings).hyperparameters)
    recipe = before.override(training)
    require_same(before, recipe, [], "an evaluation")
    graph = load(record.spec, {**record.settings, **model})
    weights, step = furthest_parameters(folder)
    require_same_weights(weights, graph, model)
    check_recipe(recipe, graph)
    found = recorded_data(folder, record.facts, recipe, data, console)
    objective, train, held_out = prepared(recipe, graph, found, console, folder)
    scored = with_cross_entropy(objective)
    chosen = backends.find(backend) if backend is not None else backends.usable(record.facts.get("backend"))
    place = chosen.require(device=device)
    trainer = trainer_at(scored.graph, recipe, chosen, place, False, console, weights)
    session = Session(folder, graph, recipe, objective, found, train, held_out, trainer, scored, step)
    metrics = measure(session, evaluate(session))
    if weights_as is None:
        return metrics
    trainer.store(weights_as)
    fewer = measure(session, evaluate(session))
    against = "with float32 weights"
    return tuple(replace(now, baseline=then.value, against=against) for now, then in zip(fewer, metrics, strict=True))
