"""A spec with published weights, used as if it were a run: its tokenizer and the names of classes come with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attndsl.data.tokenizers.beside import tokenizer_beside
from attndsl.diagnostics import AttnError, error
from attndsl.elaborate import Spec, elaborate, open_spec
from attndsl.graph.limits import bounding
from attndsl.objectives.roles import TARGETS, TOKENS
from attndsl.recipe.recipe import read_recipe
from attndsl.records import replace
from attndsl.runs.given_weights import read_weights, settings_with
from attndsl.runs.record import is_run
from attndsl.runs.run import Run, for_use
from attndsl.storage.refusals import file_errors
from attndsl.syntax import tree
from attndsl.values import hyperparameters_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from attndsl.data.tokenizers import Tokenizer
    from attndsl.elaborate.settings import Setting
    from attndsl.graph import Graph
    from attndsl.objectives.choice import ObjectiveChoice
    from attndsl.recipe.recipe import Recipe

_CONFIG = "config.json"


def open_published(spec: str, weights: str, settings: Mapping[str, Setting] | None = None) -> Run:
    """The model of `spec` with the weights in the folder `weights`, for the objective of the spec's `train` section.
    `settings` change hyperparameters. Raises E0745 where the folder has no tokenizer, and what reading the spec, the
    weights and the tokenizer raises."""
    if is_run(weights):
        raise error("E0745", f"`{weights}` is a training run", help=f"give it instead of `{spec}`: it knows its spec")
    opened = open_spec(spec)
    graph = elaborate(opened, settings_with(weights, opened, settings or {}))
    recipe = _recipe(opened, graph)
    folder = Path(weights)
    facts: dict[str, Any] = {"labels": _labels(folder / _CONFIG, recipe)}
    facts["command"] = f"{spec} --weights {weights}"  # how it is named on the command line
    tokenizer = _tokenizer(folder, recipe)
    arrays = read_weights(weights, opened, graph)
    return Run(folder, for_use(graph, recipe), arrays, tokenizer, recipe, 0, facts)


def _recipe(opened: Spec, graph: Graph) -> Recipe:
    """The recipe that fits the graph best: the variant's own; else, of all those of the model, the first whose answers
    the graph has an input for; else the first that says how examples become its inputs."""
    if opened.train is not None:
        return read_recipe(opened.train, hyperparameters_of(graph))
    name, inputs = opened.model.name.text, {info.name for info in graph.inputs}
    sections = [d for d in opened.file.declarations if isinstance(d, tree.Train) and d.model.text == name]
    recipes = [read_recipe(section, hyperparameters_of(graph)) for section in sections]
    shown = [recipe for recipe in recipes if recipe.objective.roles[recipe.objective.about.required[0].name] in inputs]
    whole = [recipe for recipe in shown if _answers(recipe.objective, graph, inputs)]
    return _within(next(iter((*whole, *shown)), read_recipe(None, hyperparameters_of(graph))), inputs)


def _answers(objective: ObjectiveChoice, graph: Graph, inputs: set[str]) -> bool:
    """Whether the graph has the inputs that the objective needs, and its targets are tokens (or classes, where the
    objective fills them with classes)."""
    about, roles = objective.about, objective.roles
    if not {roles[role.name] for role in about.required} <= inputs:
        return False
    if not {TOKENS, TARGETS} <= set(about.required):
        return True
    return (bounding(graph, roles["tokens"]) == bounding(graph, roles["targets"])) == (about.classes != "targets")


def _within(recipe: Recipe, inputs: set[str]) -> Recipe:
    """The recipe without optional roles that the graph has no input for."""
    objective = recipe.objective
    required = {role.name for role in objective.about.required}
    roles = {role: name for role, name in objective.roles.items() if role in required or name in inputs}
    return replace(recipe, objective=replace(objective, roles=roles))


def _tokenizer(folder: Path, recipe: Recipe) -> Tokenizer | None:
    if not recipe.objective.about.reads_texts():
        return None
    try:
        return tokenizer_beside(folder, recipe.special)
    except AttnError as problem:
        if any(d.code != "E0717" for d in problem.diagnostics):
            raise
        first, help = problem.diagnostics[0], "name in a spec of your own what it has: `attndsl show SPEC > my.attn`"
        ways = tuple(way for way in first.helps if "--set" not in way)  # which nothing but training takes
        raise AttnError(replace(first, helps=(*ways, f"{help}, `special = tokens(…)`"))) from None


def _labels(path: Path, recipe: Recipe) -> list[str] | None:
    """The names of the classes, where the published configuration has them (`id2label`)."""
    if recipe.objective.about.classes is None or not path.is_file():
        return None
    with file_errors("read", path):
        try:
            names = json.loads(path.read_text(encoding="utf-8"))["id2label"]
            return [str(names[number]) for number in sorted(names, key=int)]
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
