"""What a run can be asked for: which verbs fit the objective that it was trained by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attndsl.decoding.sequences import chunks
from attndsl.diagnostics import error
from attndsl.objectives.base import Use
from attndsl.records import replace

if TYPE_CHECKING:
    from attndsl.objectives.base import Objective
    from attndsl.runs.run import Run


def require_fit(run: Run, verb: str, use: Use) -> None:
    """That `verb` is for runs of this one's objective, whose models are used for `use`. Raises E0744, naming the verb
    that fits."""
    objective = run.recipe.objective
    if objective.about.use != use:
        named = run.facts.get("command", run.folder)
        command = objective.about.command.format(run=named, mask=run.recipe.special.mask or "")
        raise error(
            "E0744",
            f"`{verb}` does not fit a model that was trained with `{objective.kind}`: it {objective.about.does}",
            help=f"`attndsl {command}`",
        )


def answers(run: Run) -> bool:
    """Whether the run's model turns one text into another."""
    return run.recipe.objective.about.use == Use.ANSWER


def draws(run: Run) -> bool:
    """Whether the run's model makes pictures."""
    return run.recipe.objective.about.use == Use.DRAW


def objective_of(
    run: Run,
    labels: Sequence[str] | None = None,
    template: str | None = None,
    *,
    backend: str | None = None,
    device: str | None = None,
) -> Objective:
    """The run's objective, which makes a model's inputs of examples as it did in training; for other `labels`, or named
    by another `template`, where it takes them (E0759 where not). What it needs of another run is computed on
    `backend`."""
    from attndsl.objectives import make_objective
    from attndsl.runs.codebook import accompany

    recipe, choice = run.recipe, run.recipe.objective
    if (labels is not None or template is not None) and not choice.about.open_labels:
        raise error(
            "E0759",
            f"a model that was trained with `{choice.kind}` has the classes that it was trained on",
            help="leave out `--labels` and `--template`",
        )
    if template is not None:
        recipe = replace(recipe, objective=choice.with_option("template", template))
    names = run.facts.get("labels") if labels is None else labels
    return accompany(make_objective(recipe, run.graph, run.tokenizer, names), run.folder, backend, device)


def batches(objective: Objective, count: int, size: int) -> Iterator[range]:
    """`range(count)` in pieces of at most `size` examples. Without an input that says what is padding, each example is
    one of its own, so that none is padded and what is said of it does not depend on the others."""
    one_by_one = not objective.sees() and "valid" not in objective.choice.roles
    yield from chunks(count, 1 if one_by_one else size)


def require_examples(objective: Objective, examples: Sequence[Any]) -> None:
    """That examples are what the objective takes: texts, pairs of texts, lists of words, pictures, or rows with columns
    for them. Raises E0749 where one is something else, E0741 for a text that is not valid Unicode."""
    for number, example in enumerate(examples):
        if isinstance(example, Mapping):
            _require_columns(objective, example, number)
        elif not objective.accepts(example):
            text = str(example)
            shown = f"an array of the shape {list(example.shape)}" if hasattr(example, "shape") else f"`{text[:60]}`"
            raise error(
                "E0749",
                f"{shown} is not something that a model trained with `{objective.choice.kind}` takes",
                help=f"give {objective.takes}",
            )
        require_unicode(example)
    pairs = sum(not isinstance(example, (str, Mapping)) for example in examples)
    if objective.takes_pairs and 0 < pairs < len(examples):
        raise error(
            "E0749", "some of the examples are pairs of texts, and some are not", help="ask for them separately"
        )


def _require_columns(objective: Objective, row: Mapping[str, Any], number: int) -> None:
    names = objective.columns(objective.choice, objective.shows)
    missing = [name for name in names or ("text",) if name not in row]
    if missing or not names:
        what = f"row {number} has no column `{missing[0]}`" if names else f"`{objective.choice.kind}` takes no rows"
        known = ", ".join(f"`{name}`" for name in row)
        raise error("E0749", what, note=f"it has {known}", help="give it one, or a text alone")


def require_unicode(example: Any) -> None:
    """That the texts in an example can be encoded (E0741)."""
    texts = example.values() if isinstance(example, Mapping) else [example] if isinstance(example, str) else example
    try:
        for text in texts if not hasattr(texts, "dtype") else ():
            if isinstance(text, str):
                text.encode("utf-8")
    except UnicodeEncodeError:
        raise error("E0741", "that is not valid text", help="give it as UTF-8") from None
