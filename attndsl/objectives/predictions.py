"""Which of a model's outputs says what an objective asks for, what it says, and with which probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from attndsl.decoding.sampling import log_probabilities
from attndsl.diagnostics import error
from attndsl.graph import Graph, OutputInfo
from attndsl.lazy import Array, np
from attndsl.records import Frozen

if TYPE_CHECKING:
    from attndsl.objectives.base import Objective, Predict


class Likely(Frozen):
    """A class, a tag or a token with its probability."""

    name: str
    probability: float


class Prediction(Frozen):
    """What is said at one place, the likeliest first. `place` is the word that is tagged, the number of the mask (from
    1), or empty for the whole example."""

    place: str
    choices: tuple[Likely, ...]


def prediction_output(graph: Graph, role: str, classes: int, given: Iterable[str]) -> OutputInfo | None:
    """The output with a number for each class; the one called `logits` where there are several, or else the first."""
    found = prediction_outputs(graph, role, classes, given)
    return next((info for info in found if info.name == "logits"), found[0] if found else None)


def prediction_outputs(graph: Graph, role: str, classes: int, given: Iterable[str]) -> list[OutputInfo]:
    """The outputs with a number for each class: float, with the axes of the input `role` and one more that is at least
    `classes` long. They need no input but those `given`."""
    axes = next(info.value.type.axes for info in graph.inputs if info.name == role)
    known, found = set(given), []
    for info in graph.own_outputs:
        type = info.value.type
        further = [axis for axis in type.axes if axis not in axes]
        if not type.is_float or type.rank != len(axes) + 1 or len(further) != 1 or not info.needs <= known:
            continue
        size = further[0].size
        if size.symbols <= graph.sizes.keys() and size.value(graph.sizes) >= classes:
            found.append(info)
    return found


def require_output(graph: Graph, role: str, classes: int, given: Iterable[str]) -> OutputInfo:
    """The same; raises E0753 where there is none."""
    found = prediction_output(graph, role, classes, given)
    if found is None:
        raise error(
            "E0753",
            f"{graph.name} has no output with a number for each of the {classes:,} classes of `{role}`",
            note=f"one needs the axes of `{role}` and one of the classes, and inputs that are known",
            help="`output logits = …`, or a variant with the head that was trained",
        )
    return found


def guesses(logits: Array, graph: Graph, output: OutputInfo, role: str, classes: int) -> Array:
    """The likeliest class at each place, with the axes of the input `role`, in its order."""
    found: Array = by_place(logits, graph, output, role)[..., :classes].argmax(axis=-1)
    return found


def by_place(logits: Array, graph: Graph, output: OutputInfo, role: str) -> Array:
    """What an output says, with the axes of the input `role` in its order and one of classes behind them."""
    axes = next(info.value.type.axes for info in graph.inputs if info.name == role)
    places = [output.value.type.index(axis) for axis in axes]
    return np.moveaxis(logits, places, range(len(axes)))


def answers(
    predict: Predict,
    graph: Graph,
    role: str,
    classes: int,
    batches: Iterable[Mapping[str, Array]],
    hidden: Sequence[str],
) -> tuple[Array, Array] | None:
    """What should be said at each place that counts (0 or more) and what the model says, over all batches, flat; None
    where no output says it. The inputs `hidden` are the answers, which the model is not given."""
    truth, guess = [], []
    output: OutputInfo | None = None
    for batch in batches:
        given = {name: array for name, array in batch.items() if name not in hidden}
        output = output or prediction_output(graph, role, classes, given)
        if output is None:
            return None
        said = guesses(np.asarray(predict(given, [output.name])[output.name]), graph, output, role, classes)
        counts = batch[role] >= 0
        truth.append(batch[role][counts])
        guess.append(said[counts])
    if not truth:
        return None
    return np.concatenate(truth), np.concatenate(guess)


def said(objective: Objective, predict: Predict, given: Mapping[str, Array], role: str, classes: int) -> Array:
    """The logits, with the axes of the input `role` and one of classes behind them. Raises E0753."""
    name = objective.input(role)
    output = require_output(objective.graph, name, classes, given)
    return by_place(np.asarray(predict(given, [output.name])[output.name]), objective.graph, output, name)


def likeliest(place: str, logits: Array, named: Callable[[int], str], top: int) -> Prediction:
    """The `top` likeliest of the classes that have the logits `[classes]`; `named` says what a class is called."""
    shares = np.exp(log_probabilities(logits))
    order = np.argsort(-shares, kind="stable")[: max(top, 1)].tolist()
    return Prediction(place, tuple(Likely(named(number), float(shares[number])) for number in order))


def whole_predictions(
    objective: Objective, predict: Predict, given: Mapping[str, Array], top: int
) -> list[list[Prediction]]:
    """For each example its class, one prediction."""
    logits = said(objective, predict, given, "label", len(objective.labels or ()) or 1)
    names = objective.labels or tuple(map(str, range(logits.shape[1])))
    return [[likeliest("", row[: len(names)], names.__getitem__, top)] for row in logits]
