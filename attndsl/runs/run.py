"""A trained run, read for use: the model at its settings, its weights, its tokenizer."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attndsl.data.tokenizers import Tokenizer, load_tokenizer
from attndsl.diagnostics import AttnError, error
from attndsl.elaborate import load, with_optional
from attndsl.elaborate.settings import Setting
from attndsl.graph import FLOAT32, Graph
from attndsl.recipe.recipe import Recipe
from attndsl.records import Frozen, replace
from attndsl.running import backends
from attndsl.running.parameters import check_parameters
from attndsl.running.program import Program
from attndsl.runs.checkpoint import furthest_parameters, save_tensors
from attndsl.runs.record import SPEC, WEIGHTS, open_record, write_record
from attndsl.storage.refusals import file_errors
from attndsl.weights.not_finite import told_if_not_finite

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]


class Run(Frozen):
    """`weights` by address, as they were after `step` steps, read as they are asked for. Models of pictures have no
    tokenizer. Programs keep the matrices for use (`Program.store`): as `weights_as`, or else in float32."""

    folder: Path
    graph: Graph
    weights: Mapping[str, Array]
    tokenizer: Tokenizer | None
    recipe: Recipe
    step: int
    facts: Mapping[str, Any]
    weights_as: str | None = None

    def program(self, backend: str | None = None, device: str | None = None, graph: Graph | None = None) -> Program:
        """The model with the run's weights, or another `graph` of its parameters, on the backend that it was trained
        with unless said otherwise (the default where that is not installed). Raises E0723, E0810, E0811."""
        chosen = backends.find(backend) if backend is not None else backends.usable(self.facts.get("backend"))
        kept = self.weights_as or FLOAT32
        return chosen.program(graph or self.graph, device=device, parameters=self.weights, weights_as=kept)


def load_run(folder: str | Path, settings: Mapping[str, Setting] | None = None) -> Run:
    """Read a run folder: its final weights, or those of its newest checkpoint where that is further. `settings` change
    hyperparameters that no parameter's shape depends on.

    Raises E0732 (no run, or nothing trained yet), E0733 (damaged weights), E0807 (settings that ask for other
    parameters), E0707 (the tokenizer is missing, unreadable,
    or not the one that the run was trained with), and whatever is wrong with the recorded spec. Warns of weights
    that are not finite (W0602).
    """
    record = open_record(Path(folder))
    kept = record.facts["tokenizer"]
    tokenizer = load_tokenizer(kept["kind"], record.folder) if kept.get("kind") else None
    if tokenizer is None:
        pass
    elif tokenizer.vocab != kept["vocab"] or tokenizer.fingerprint != kept.get("fingerprint", tokenizer.fingerprint):
        raise error(
            "E0707", f"the tokenizer in `{record.folder}` is not the one that the run was trained with",
            note=f"it has {tokenizer.vocab:,} tokens, but the run was trained with {kept['vocab']:,}"
            if tokenizer.vocab != kept["vocab"] else (),
            help="put the run's own tokenizer back",
        )  # fmt: skip
    graph = load(record.spec, {**record.settings, **(settings or {})})
    weights, step = furthest_parameters(record.folder)
    require_same_weights(weights, graph, settings or {})
    weights = told_if_not_finite(weights, record.folder)
    recipe = Recipe.from_json(record.facts["recipe"])
    return Run(record.folder, for_use(graph, recipe), weights, tokenizer, recipe, step, record.facts)


def keep_run(run: Run, folder: Path) -> None:
    """Copy what using a run takes into a new `folder`: its record, spec and tokenizer, and its weights as they are.
    Raises E0705."""
    with file_errors("copy a run to", folder):
        shutil.copytree(run.folder / SPEC, folder / SPEC)
    if run.tokenizer is not None:
        run.tokenizer.save(folder)
    save_tensors(folder / WEIGHTS, run.weights, format="attndsl weights", step=run.step, model=run.graph.name)
    write_record(folder, run.facts)


def require_same_weights(weights: Mapping[str, Array], graph: Graph, changed: Mapping[str, Setting]) -> None:
    """Raise E0807 where hyperparameters were changed that the trained weights depend on."""
    if not changed:
        return
    try:
        check_parameters(weights, graph)
    except AttnError as problem:
        help = "change what no parameter's shape depends on: how long a memory is, a mask, the rate of a dropout"
        raise AttnError(replace(problem.diagnostics[0], helps=(help,))) from None


def for_use(graph: Graph, recipe: Recipe) -> Graph:
    """A trained graph as it is used: without the answers that it learned from, even where its spec always asks for
    them. What is computed from these alone, such as a loss, is left out."""
    roles = recipe.objective.roles
    return with_optional(graph, {roles[role] for role in recipe.objective.about.answers if role in roles})
