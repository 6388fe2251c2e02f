"""What a trained model says of examples: classes with their probabilities, tags of words, tokens behind masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attndsl.diagnostics import error
from attndsl.generation.fits import PREDICTING, batches, objective_of, require_examples, require_fit
from attndsl.generation.sequences import log_probabilities
from attndsl.lazy import np
from attndsl.records import dataclass

if TYPE_CHECKING:
    import numpy

    from attndsl.objectives.base import Objective
    from attndsl.running.program import Program
    from attndsl.runs.run import Run

    Array = numpy.ndarray[Any, Any]

AT_ONCE = 32  # examples


@dataclass(frozen=True, slots=True)
class Likely:
    """A class, a tag or a token with its probability."""

    name: str
    probability: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is said at one place, the likeliest first. `place` is the word that is tagged, the number of the mask (from
    1), or empty for the whole example."""

    place: str
    choices: tuple[Likely, ...]


def predict(
    run: Run, examples: Sequence[Any], top: int = 5, *, backend: str | None = None, device: str | None = None
) -> list[list[Prediction]]:
    """For each example the `top` likeliest answers: one prediction for its class (`classify`, `classify_images`), one
    for each word (`tag`) or for each mask token (`masked_tokens`).

    Examples are texts, pairs of texts, lists of words, pictures, or rows with columns for these. Raises E0744 where the
    run predicts nothing of the kind, E0749 (no example, a text without a mask), E0741, E0752 (too long), E0753 (no such
    output), E0756 (a picture of another size).
    """
    require_fit(run, "predict", PREDICTING)
    objective = objective_of(run)
    require_examples(objective, examples)
    _require_head(run, objective)
    program = run.program(backend, device)
    answer = {"tag": _tags, "masked_tokens": _masks}.get(objective.choice.kind, _classes)
    found: list[list[Prediction]] = []
    for piece in batches(objective, len(examples), AT_ONCE):
        found += answer(objective, program, [examples[place] for place in piece], top)
    return found


def _require_head(run: Run, objective: Objective) -> None:
    """That the model has an input for the answers (E0744): published weights may be of a body alone."""
    role = "label" if "label" in objective.choice.about.required else "targets"
    if objective.name(role) not in {info.name for info in run.graph.inputs}:
        raise error(
            "E0744", f"these weights are of {run.graph.name} without a head: it predicts nothing",
            help=("`attndsl embed` gives its vectors", "or name the variant with the weights' head: `bert:tagger`"),
        )  # fmt: skip


def _classes(objective: Objective, program: Program, examples: Sequence[Any], top: int) -> list[list[Prediction]]:
    given = _without(objective, objective.inputs(examples), "targets")
    said = _said(objective, program, given, "label", len(objective.labels or ()) or 1)
    names = objective.labels or tuple(map(str, range(said.shape[1])))
    return [[_likely("", row[: len(names)], names, top)] for row in said]


def _tags(objective: Objective, program: Program, examples: Sequence[Any], top: int) -> list[list[Prediction]]:
    from attndsl.objectives.tag import Tag

    assert isinstance(objective, Tag)
    said = _said(objective, program, objective.inputs(examples), "targets", len(objective.labels or ()) or 1)
    names = objective.labels or tuple(map(str, range(said.shape[2])))
    found = []
    for row, example, starts in zip(said, examples, objective.starts(examples), strict=True):
        given = example[str(objective.choice.options["text"])] if isinstance(example, Mapping) else example
        words = given.split() if isinstance(given, str) else map(str, given)
        tagged = zip(words, starts.tolist(), strict=True)
        found.append([_likely(word, row[at, : len(names)], names, top) for word, at in tagged])
    return found


def _masks(objective: Objective, program: Program, examples: Sequence[Any], top: int) -> list[list[Prediction]]:
    given = objective.inputs(examples)
    tokens, mask = given[objective.name("tokens")], objective.token("mask")
    written = objective.tokenizer.decode([mask]).strip()
    for row, example in zip(tokens, examples, strict=True):
        if not (row == mask).any():
            text = example if isinstance(example, str) else " ".join(map(str, example))
            shown = text if len(text) <= 60 else text[:59] + "…"
            raise error(
                "E0749", f"there is no {written} in “{shown}”: nothing is to be found",
                help=f"write {written} in the place of a word: `The {written} of the list`",
            )  # fmt: skip
    vocab = objective.tokenizer.vocab
    said = _said(objective, program, given, "targets", vocab)
    found = []
    for row, logits in zip(tokens, said, strict=True):
        places = np.flatnonzero(row == mask).tolist()
        found.append([_likely(str(n), logits[at, :vocab], objective.tokenizer, top) for n, at in enumerate(places, 1)])
    return found


def _said(objective: Objective, program: Program, given: dict[str, Array], role: str, classes: int) -> Array:
    """The logits, with the axes of the input `role` and one of classes behind them."""
    from attndsl.objectives.predictions import require_output

    name = objective.name(role)
    output = require_output(objective.graph, name, classes, given)
    axes = next(info.value.type.axes for info in objective.graph.inputs if info.name == name)
    places = [output.value.type.index(axis) for axis in axes]
    found: Array = np.moveaxis(program.run(given, [output.name])[output.name], places, range(len(axes)))
    return found


def _likely(place: str, logits: Array, names: Any, top: int) -> Prediction:
    shares = np.exp(log_probabilities(logits))
    order = np.argsort(-shares, kind="stable")[: max(top, 1)].tolist()
    decode = getattr(names, "decode", None)
    return Prediction(place, tuple(Likely(decode([n]) if decode else names[n], float(shares[n])) for n in order))


def _without(objective: Objective, given: dict[str, Array], role: str) -> dict[str, Array]:
    """The inputs but one, which is an answer."""
    return {name: array for name, array in given.items() if name != objective.choice.roles.get(role)}
