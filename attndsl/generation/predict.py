"""What a trained model says of examples: classes with their probabilities, tags of words, tokens behind masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attndsl.diagnostics import error
from attndsl.generation.fits import batches, objective_of, require_examples, require_fit
from attndsl.objectives.base import Use
from attndsl.records import replace
from attndsl.running.holding import Holding
from attndsl.running.parameters import parameter_shapes
from attndsl.storage.deferred import Deferred, stated

if TYPE_CHECKING:
    from attndsl.graph import Graph
    from attndsl.objectives.base import Objective, Predict
    from attndsl.objectives.predictions import Prediction
    from attndsl.running.program import Program
    from attndsl.runs.run import Run

AT_ONCE = 32  # examples


def predict(
    run: Run,
    examples: Sequence[Any],
    top: int = 5,
    *,
    labels: Sequence[str] | None = None,
    template: str | None = None,
    backend: str | None = None,
    device: str | None = None,
) -> list[list[Prediction]]:
    """For each example the `top` likeliest answers: one prediction for its class (`classify`, `classify_images`), one
    for each word (`tag`) or for each mask token (`masked_tokens`). With `contrast`, `labels` are the classes to choose
    from, and `template` the text that names one (`a picture of a {}`).

    Examples are texts, pairs of texts, lists of words, pictures, or rows with columns for these. Raises E0744 where the
    run predicts nothing of the kind, E0749 (no example, a text without a mask), E0741, E0752 (too long), E0753 (no such
    output), E0756 (a picture of another size), E0759 (labels that do not fit).
    """
    require_fit(run, "predict", Use.PREDICT)
    objective = objective_of(run, labels, template)
    require_examples(objective, examples)
    _require_head(run, objective)
    ask = asked(run, objective, backend, device)
    found: list[list[Prediction]] = []
    for piece in batches(objective, len(examples), AT_ONCE):
        found += objective.predictions(ask, [examples[place] for place in piece], top)
    return found


def asked(run: Run, objective: Objective, backend: str | None, device: str | None) -> Predict:
    """The run's model, as `predictions` asks it."""
    roles = objective.choice.roles
    held = [roles[role] for role in objective.held if role in roles]
    if not held or run.graph.states:
        return run.program(backend, device).run

    def made(graph: Graph) -> Program:
        known = stated(run.weights)
        weights = Deferred({address: known[address] for address in parameter_shapes(graph)}, run.weights.__getitem__)
        return replace(run, graph=graph, weights=weights).program(backend, device)

    return Holding(run.graph, held, made).run


def _require_head(run: Run, objective: Objective) -> None:
    """That the model has an input for the answers (E0744): published weights may be of a body alone."""
    if objective.scored is None:
        return
    if objective.input(objective.scored) not in {info.name for info in run.graph.inputs}:
        raise error(
            "E0744", f"these weights are for {run.graph.name} without a head: it predicts nothing",
            help=("`attndsl embed` gives its vectors", "or name the variant with the weights' head: `bert:tagger`"),
        )  # fmt: skip
