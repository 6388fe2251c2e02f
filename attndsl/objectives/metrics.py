"""Numbers that say how good a model is on held-out data, each beside what knowing next to nothing would reach."""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attndsl.lazy import np
from attndsl.records import Frozen

if TYPE_CHECKING:
    import numpy

    from attndsl.objectives.base import Known

    Array = numpy.ndarray[Any, Any]

SHARE, NATS, NUMBER, ERROR = "share", "nats", "number", "error"


class Metric(Frozen):
    """`value` is a share of 1, nats, an error, or another number, as `kind` says; `baseline` is the same for `against`,
    the trivial answer that it is held against. Without a value, `note` says why."""

    name: str
    value: float | None
    kind: str = SHARE
    baseline: float | None = None
    against: str = ""
    note: str = ""

    def shown(self, value: float | None) -> str:
        if value is None:
            return ""
        if self.kind == SHARE:
            return f"{100 * value:.1f} %"
        return f"{value:.4f}" if self.kind in (NATS, ERROR) else f"{value:,.1f}"

    def to_json(self) -> dict[str, object]:
        plain: dict[str, object] = {"name": self.name, "value": self.value, "kind": self.kind}
        if self.baseline is not None:
            plain |= {"baseline": self.baseline, "against": self.against}
        return plain | ({"note": self.note} if self.note else {})


def metrics_table(metrics: Sequence[Metric]) -> list[str]:
    """The metrics as lines of text, each with its baseline."""
    if not metrics:
        return []
    names = max(len(metric.name) for metric in metrics)
    values = max(len(metric.shown(metric.value)) for metric in metrics)
    lines = []
    for metric in metrics:
        line = f"{metric.name:<{names}}  {metric.shown(metric.value):>{values}}"
        if metric.baseline is not None:
            line += f"   {metric.against}: {metric.shown(metric.baseline)}"
        lines.append((line + (f"   {metric.note}" if metric.note else "")).rstrip())
    return lines


def perplexity(nats: float) -> float:
    """How many answers, all equally likely, would have that cross entropy."""
    return math.exp(nats) if nats < 700 else math.inf


def loss_metrics(known: Known, name: str = "loss") -> list[Metric]:
    """The cross entropy under `name`, and what was minimised, where that is not the same."""
    if known.cross_entropy is None:
        return [Metric(name, known.loss, NATS)]
    found = [Metric(name, known.cross_entropy, NATS)]
    same = math.isclose(known.loss, known.cross_entropy, rel_tol=1e-5, abs_tol=1e-7)
    return found if same else [*found, Metric("minimised loss", known.loss, NATS)]


def unlikelihood(logits: Array, answers: Array) -> float:
    """The negative log-likelihoods of the `answers`, int `[n]`, added up; `logits` is `[n, classes]`."""
    highest = logits.max(axis=1)
    right = logits[np.arange(len(logits)), answers]
    return float((highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1)) - right).sum())


def entropy(numbers: Array) -> float:
    """The entropy of how often each number occurs, in nats."""
    counts = np.bincount(numbers)
    shares = counts[counts > 0] / max(len(numbers), 1)
    return float(-(shares * np.log(shares)).sum())


def class_metrics(
    truth: Array,
    guess: Array,
    classes: int,
    what: str = "accuracy",
    macro: bool = True,
    against: str = "majority class",
) -> list[Metric]:
    """Accuracy and, with `macro`, the unweighted mean of the classes' F1, beside those of the commonest class."""
    if not len(truth):
        return []
    counts = np.bincount(truth, minlength=classes)
    common = int(counts.argmax())
    share = float(counts[common]) / len(truth)
    found = [Metric(what, float((truth == guess).mean()), SHARE, share, against)]
    if macro:
        constant = macro_f1(truth, np.full_like(truth, common), classes)
        found.append(Metric("macro F1", macro_f1(truth, guess, classes), SHARE, constant, against))
    return found


def macro_f1(truth: Array, guess: Array, classes: int) -> float:
    """The mean over the classes that occur of 2·precision·recall / (precision + recall)."""
    size = max(classes, int(truth.max(initial=0)) + 1, int(guess.max(initial=0)) + 1)
    right = np.bincount(truth[truth == guess], minlength=size)
    there, said = np.bincount(truth, minlength=size), np.bincount(guess, minlength=size)
    occurs = (there + said) > 0
    return float((2 * right[occurs] / (there + said)[occurs]).mean()) if occurs.any() else 0.0


def answer_metrics(truth: Sequence[Sequence[str]], said: Sequence[str], texts: Sequence[str]) -> list[Metric]:
    """Exact match and F1 over words of what was said with the nearest of each question's answers (Rajpurkar et al.,
    2016, section 6.1), beside those of saying the whole text."""
    if not truth:
        return []
    found = []
    for name, alike in (("exact match", _same_words), ("F1", _word_f1)):
        mine, whole = (
            float(
                np.mean([max(alike(answer, it) for answer in right) for right, it in zip(truth, spoken, strict=True)])
            )
            for spoken in (said, texts)
        )
        found.append(Metric(name, mine, SHARE, whole, "whole text"))
    return found


def answer_words(text: str) -> list[str]:
    """The words of an answer as they are compared: without case, punctuation and articles."""
    plain = "".join(character for character in text.lower() if character not in string.punctuation)
    return [word for word in plain.split() if word not in ("a", "an", "the")]


def _same_words(one: str, other: str) -> float:
    return float(answer_words(one) == answer_words(other))


def _word_f1(one: str, other: str) -> float:
    """2·precision·recall / (precision + recall) of the words; 1 where both are empty."""
    a, b = Counter(answer_words(one)), Counter(answer_words(other))
    if not a or not b:
        return float(a == b)
    return 2 * (a & b).total() / (a.total() + b.total())


def text_metrics(truth: Sequence[str], said: Sequence[str], common: str) -> list[Metric]:
    """Exact match and chrF (Popović, 2015) of what was said; `common` is the commonest answer, always given."""
    if not truth:
        return []
    exact = sum(a == b for a, b in zip(truth, said, strict=True)) / len(truth)
    trivial = sum(a == common for a in truth) / len(truth)
    found = [Metric("exact match", exact, SHARE, trivial, "commonest answer")]
    try:
        from sacrebleu import corpus_chrf
    except ImportError:
        return [*found, Metric("chrF", None, NUMBER, note="needs the package `sacrebleu`: pip install sacrebleu")]
    value = corpus_chrf(list(said), [list(truth)]).score
    trivial = corpus_chrf([common] * len(truth), [list(truth)]).score
    return [*found, Metric("chrF", float(value), NUMBER, float(trivial), "commonest answer")]
