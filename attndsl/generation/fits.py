"""What a run can be asked for: which verbs fit the objective that it was trained by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attndsl.diagnostics import error
from attndsl.generation.sequences import chunks

if TYPE_CHECKING:
    from attndsl.objectives.base import Objective
    from attndsl.runs.run import Run

ANSWERING = ("sequence_to_sequence", "denoise", "span_corruption")  # encoder-decoders: a text from a text
PREDICTING = ("classify", "tag", "classify_images", "masked_tokens")

_WRITES = ("writes text", 'generate {run} --prompt "…"')
_SAYS: dict[str, tuple[str, str]] = {
    "next_token": _WRITES,
    "sequence_to_sequence": ("says one text for another", 'generate {run} --prompt "…"'),
    "denoise": ("says a text without its noise", 'generate {run} --prompt "…"'),
    "span_corruption": ("fills in spans of a text", 'generate {run} --prompt "…"'),
    "masked_tokens": ("finds hidden tokens", 'predict {run} --text "…"'),
    "classify": ("says the class of a text", 'predict {run} --text "…"'),
    "tag": ("says the tags of words", 'predict {run} --text "…"'),
    "classify_images": ("says the class of a picture", "predict {run} --image FILE"),
}


def require_fit(run: Run, verb: str, kinds: tuple[str, ...]) -> None:
    """That `verb` is for runs of this one's objective, which are `kinds`. Raises E0744, naming the verb that fits."""
    kind = run.recipe.objective.kind
    if kind not in kinds:
        what, command = _SAYS[kind]
        raise error(
            "E0744", f"`{verb}` does not fit a model that was trained by `{kind}`: it {what}",
            help=f"`attndsl {command.format(run=run.facts.get('command', run.folder))}`",
        )  # fmt: skip


def objective_of(run: Run) -> Objective:
    """The run's objective, which makes a model's inputs of examples as it did in training."""
    from attndsl.objectives import make_objective

    return make_objective(run.recipe, run.graph, run.tokenizer, run.facts.get("labels"))


def batches(objective: Objective, count: int, size: int) -> Iterator[range]:
    """`range(count)` in pieces of at most `size` examples. Without an input that says what is padding, each example is
    one of its own, so that none is padded and what is said of it does not depend on the others."""
    alone = objective.unit == "tokens" and "valid" not in objective.choice.roles
    yield from chunks(count, 1 if alone else size)


_PAIRED = ("classify", "masked_tokens")
_TAKES = {
    "tag": "a text, or a list of words",
    "classify_images": "a picture: an array [height, width], or with channels",
}


def require_examples(objective: Objective, examples: Sequence[Any]) -> None:
    """That examples are what the objective takes: texts, pairs of texts, lists of words, pictures, or rows with columns
    for them. Raises E0749 where one is something else, E0741 for a text that is not valid Unicode."""
    kind = objective.choice.kind
    for number, example in enumerate(examples):
        if isinstance(example, Mapping):
            _require_columns(objective, example, number)
        elif not _is_example(kind, example):
            text = str(example)
            shown = f"an array of the shape {list(example.shape)}" if hasattr(example, "shape") else f"`{text[:60]}`"
            raise error(
                "E0749", f"{shown} is nothing that a model trained by `{kind}` takes",
                help="give " + _TAKES.get(kind, "a text, or a pair of them" if kind in _PAIRED else "a text"),
            )  # fmt: skip
        require_unicode(example)
    pairs = sum(not isinstance(example, (str, Mapping)) for example in examples)
    if kind in _PAIRED and 0 < pairs < len(examples):
        raise error(
            "E0749", "some of the examples are pairs of texts, and some are not", help="ask for them separately"
        )


def _is_example(kind: str, example: Any) -> bool:
    if kind == "classify_images":
        return getattr(example, "ndim", 0) in (2, 3)
    if isinstance(example, str):
        return True
    several = isinstance(example, (tuple, list)) and all(isinstance(part, str) for part in example)
    return several and (kind == "tag" or (kind in _PAIRED and len(example) == 2))


def _require_columns(objective: Objective, row: Mapping[str, Any], number: int) -> None:
    options = objective.choice.options
    names = [str(options[name]) for name in ("text", "from", "image", "pair") if options.get(name, "none") != "none"]
    missing = [name for name in names or ["text"] if name not in row]
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
