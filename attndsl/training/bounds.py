"""The hyperparameters that the data decide: the size of the vocabulary, the number of classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attndsl.data.tokenizers import Bytes
from attndsl.diagnostics import error
from attndsl.elaborate import Spec, elaborate
from attndsl.elaborate.settings import Setting
from attndsl.graph import Graph
from attndsl.graph.limits import bounding, vocabulary
from attndsl.objectives.roles import TARGETS, TOKENS
from attndsl.recipe.fitting import split_settings
from attndsl.recipe.recipe import Recipe, read_recipe
from attndsl.records import Frozen, replace
from attndsl.training.data import TrainingData
from attndsl.values import hyperparameters_of


class Configured(Frozen):
    """A model at its settings: those of the model (`settings`), and the recipe for it, which was `written` before
    settings changed it."""

    graph: Graph
    recipe: Recipe
    settings: Mapping[str, Setting]
    written: Recipe


def configure(
    spec: Spec,
    settings: Mapping[str, Setting],
    given: Mapping[str, Setting] | None = None,
    elaborated: Callable[[Spec, Mapping[str, Setting]], Graph] = elaborate,
) -> Configured:
    """The model and the recipe; `settings` are a user's, for either, and `given` the model's alone, which give way to
    them; `elaborated` makes graphs. Raises what checking the spec raises, E0720, E0721."""
    # Which settings are the model's is known only once the model is: at its defaults first.
    plain = elaborated(spec, given or {})
    model, training = split_settings(settings, plain.hyperparameters)
    model = {**(given or {}), **model}
    graph = elaborated(spec, model) if model else plain
    written = read_recipe(spec.train, hyperparameters_of(graph))
    return Configured(graph, written.override(training), model, written)


def fitted(
    spec: Spec, settings: Mapping[str, Setting], made: Configured, data: TrainingData, given: Mapping[str, Setting]
) -> Configured:
    """The model at the tokenizer's vocabulary and at the number of classes. What was set must be large enough (E0709,
    E0757); `given` are settings of the model that were not the user's, and give way."""
    chosen, _ = split_settings(settings, made.graph.hyperparameters)
    decided: dict[str, int] = {}
    for role, name in made.recipe.objective.roles.items():
        count, what = _count(role, made.recipe, data)
        if count is None:
            continue
        bound, limit = vocabulary(made.graph, name) if role == TOKENS.name else bounding(made.graph, name)
        fixed = bound is None or bound in chosen or (what == "tokens" and bound in given)
        if not fixed:
            assert bound is not None
            decided[bound] = max(count, decided.get(bound, 0))
        elif limit is not None and limit < count:
            _refuse(what, name, bound, limit, count, of_body=bound in given and bound not in chosen)
    changed = {name: value for name, value in decided.items() if made.graph.hyperparameters.get(name) != value}
    if not changed:
        return replace(made, settings={**made.settings, **decided})
    return configure(spec, settings, {**given, **decided})


def _count(role: str, recipe: Recipe, data: TrainingData) -> tuple[int | None, str]:
    """How many values the input of a role may have, and of what."""
    about = recipe.objective.about
    if role == about.classes:
        return (len(data.labels) if data.labels is not None else None), "classes"
    filled = about.role(role)
    if filled is not None and (filled.is_sequence or filled == TARGETS):
        return (data.tokenizer.vocab if data.tokenizer is not None else None), "tokens"
    return None, ""


def new_sizes(made: Configured, data: TrainingData) -> frozenset[str]:
    """The hyperparameters that the data's classes set: what a body has for other classes does not fit them."""
    roles = made.recipe.objective.roles
    found = {
        bounding(made.graph, name)[0] for role, name in roles.items() if _count(role, made.recipe, data)[1] == "classes"
    }
    return frozenset(name for name in found if name is not None)


def _refuse(what: str, name: str, bound: str | None, limit: int, count: int, *, of_body: bool) -> None:
    said = f"`{bound}` is {limit:,}" if bound else f"`{name}` must be below {limit:,}"
    way = f"leave `--set {bound}=…` out: the data set it" if bound else "make it a hyperparameter"
    if of_body:
        said += " in the weights"
        way = "use the tokenizer that belongs to the weights: leave `--set tokenizer=…` out"
    if what == "classes":
        raise error("E0757", f"the data have {count:,} classes, and {said}", help=way)
    smaller = ("or use a smaller tokenizer, such as `--set tokenizer=bytes`",) if limit >= Bytes.vocab else ()
    raise error("E0709", f"the tokenizer has {count:,} tokens, and {said}", help=(way, *smaller))
