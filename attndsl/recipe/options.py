"""The settings of a recipe that are plain values: what kind each is, what it may be, and what it is when not said."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Union

from attndsl.diagnostics import AttnError, Span, did_you_mean, error
from attndsl.records import dataclass

Plain = Union[int, float, bool, str, tuple[float, ...], tuple[str, ...], None]


@dataclass(frozen=True, slots=True)
class Option:
    """One setting. `kind` is `int`, `float`, `bool`, `pair`, `word` or `words` (one word or several); numbers lie in
    `[least, most]`, words among `words` (any word if there are none). A default of None means that it must be given."""

    kind: str
    default: Plain
    doc: str
    least: float = -math.inf
    most: float = math.inf
    words: tuple[str, ...] = ()

    def read(self, name: str, value: object, span: Span | None) -> Plain:
        """`value` as this option's kind; raises E0721 with the place it was written at."""
        if self.kind == "bool" and isinstance(value, bool):
            return value
        if self.kind == "word" and isinstance(value, str) and (not self.words or value in self.words):
            return value
        if self.kind == "words":
            several = (value,) if isinstance(value, str) else value
            if isinstance(several, (tuple, list)) and all(isinstance(word, str) and word for word in several):
                return tuple(several)
        if self.kind == "pair" and isinstance(value, (tuple, list)) and len(value) == 2 and all(map(self._fits, value)):
            return tuple(float(part) for part in value)
        if self.kind in ("int", "float") and isinstance(value, (int, float)) and self._fits(value):
            return int(value) if self.kind == "int" else float(value)
        near = did_you_mean(value, self.words) if isinstance(value, str) else ()
        raise error(
            "E0721", f"`{name}` cannot be {_shown(value)}", span, help=(*near, f"`{name}` is {self.described()}")
        )

    def _fits(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return False
        return self.least <= value <= self.most and (self.kind != "int" or value == int(value))

    def described(self) -> str:
        """What it may be, in words."""
        if self.kind == "bool":
            return "true or false"
        if self.kind == "word":
            return f"one of {', '.join(self.words)}" if self.words else "a name"
        if self.kind == "words":
            return 'a text or several: `"a.*"`, `"a.*" | "b.*"`'
        what = {"int": "a whole number", "float": "a number", "pair": "a pair of numbers"}[self.kind]
        if math.isfinite(self.least) and math.isfinite(self.most):
            return f"{what} from {_number(self.least)} to {_number(self.most)}"
        return f"{what}, at least {_number(self.least)}" if math.isfinite(self.least) else what


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, (tuple, list)):
        return f"`({', '.join(map(str, value))})`"
    return f"`{value}`" if isinstance(value, (int, float, str)) else "that"


OPTIMIZERS: Mapping[str, Mapping[str, Option]] = {
    # Loshchilov and Hutter, "Decoupled weight decay regularization", 2019
    "adamw": {
        "lr": Option("float", 6e-4, "learning rate at its highest", 0),
        "betas": Option("pair", (0.9, 0.95), "how fast the two averages forget", 0, 1 - 1e-12),
        "eps": Option("float", 1e-8, "added to the root of the second average", 0),
        "decay": Option("float", 0.1, "weight decay of matrices and tables (norms and biases have none)", 0),
    },
    # Kingma and Ba, "Adam: a method for stochastic optimization", 2015
    "adam": {
        "lr": Option("float", 1e-3, "learning rate at its highest", 0),
        "betas": Option("pair", (0.9, 0.999), "how fast the two averages forget", 0, 1 - 1e-12),
        "eps": Option("float", 1e-8, "added to the root of the second average", 0),
    },
    # Stochastic gradient descent, with the momentum of Sutskever et al., 2013, as torch.optim.SGD writes it
    "sgd": {
        "lr": Option("float", 0.1, "learning rate at its highest", 0),
        "momentum": Option("float", 0.9, "how much of the last direction is kept", 0, 1),
        "nesterov": Option("bool", False, "look ahead along the momentum"),
        "decay": Option("float", 0.0, "weight decay of matrices and tables (norms and biases have none)", 0),
    },
}

SCHEDULES: Mapping[str, Mapping[str, Option]] = {
    "constant": {"warmup": Option("int", 0, "steps of rising from nothing", 0)},
    "warmup_cosine": {
        "warmup": Option("int", 100, "steps of rising from nothing", 0),
        "steps": Option("int", 0, "where the fall ends (0: with the training)", 0),
        "floor": Option("float", 0.1, "what is left at the end, as a share of the highest", 0, 1),
    },
    "warmup_linear": {
        "warmup": Option("int", 100, "steps of rising from nothing", 0),
        "steps": Option("int", 0, "where the fall ends (0: with the training)", 0),
        "floor": Option("float", 0.0, "what is left at the end, as a share of the highest", 0, 1),
    },
    # Vaswani et al., "Attention is all you need", 2017, equation 3
    "noam": {
        "width": Option("int", None, "the model's width", 1),
        "warmup": Option("int", 4000, "steps of rising from nothing", 1),
    },
}

PRECISIONS = ("float32", "float64", "bfloat16", "float16")

SETTINGS: Mapping[str, Option] = {
    "minimize": Option("word", "loss", "the output to minimise, a scalar"),
    "clip": Option("float", 1.0, "the largest norm of all gradients together (0: no limit)", 0),
    "batch": Option("int", 8, "windows, rows or images in a batch", 1, 1_000_000),
    "accumulate": Option("int", 1, "batches whose gradients are averaged for one step", 1, 1_000_000),
    "length": Option("int", 0, "the most tokens of a window or row (unless given, the model's `context`)", 1, 10**9),
    "precision": Option("word", "float32", "what is computed in; parameters are kept in float32", words=PRECISIONS),
    "steps": Option("int", 1000, "steps of training", 1, 10**12),
    "evaluate": Option("int", 100, "steps from one evaluation on held-out data to the next (0: at the end only)", 0),
    "evaluate_batches": Option("int", 16, "batches in an evaluation", 1),
    "checkpoint": Option("int", 100, "steps from one checkpoint to the next (0: at the end only)", 0),
    "tokenizer": Option(
        "word",
        "bytes",
        "`bytes`, `chars`, `bpe(1024)`, `wordpiece(2000)`, `unigram(2000)`, or a path of a tokenizer.json",
    ),
    "held_out": Option("float", 0.05, "share of the data that is kept for evaluation", 0, 0.5),
    "freeze": Option("words", (), "addresses of parameters that keep their values, as patterns: `word.*`"),
    "seed": Option("int", 0, "of initial values, batches and dropout", 0, (1 << 63) - 1),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """An optimizer or a schedule: its name and all its options, `adamw(lr=0.001, …)`."""

    kind: str
    options: tuple[tuple[str, Plain], ...]

    def __getitem__(self, name: str) -> Plain:
        return dict(self.options)[name]

    def number(self, name: str) -> float:
        """An option that is a number."""
        value = self[name]
        assert isinstance(value, (int, float))
        return value

    def get(self, name: str, default: float) -> float:
        """An option that is a number and that not every kind has."""
        return self.number(name) if any(key == name for key, _ in self.options) else default

    def pair(self, name: str) -> tuple[float, float]:
        """An option that is a pair of numbers."""
        value = self[name]
        assert isinstance(value, tuple)
        first, second = value
        return float(first), float(second)

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(f'{name}={value}' for name, value in self.options)})"


def choose(
    what: str,
    table: Mapping[str, Mapping[str, Option]],
    kind: str,
    given: Mapping[str, object],
    spans: Mapping[str, Span] | None = None,
    span: Span | None = None,
) -> Choice:
    """The choice `kind(given…)` with its defaults filled in; `what` is `optimizer` or `schedule`. Raises E0720 (no such
    kind or option), E0721 (a value that does not fit)."""
    spans = spans or {}
    if kind not in table:
        raise unknown(f"{what} `{kind}`", kind, table, span)
    options = table[kind]
    for name in given:
        if name not in options:
            raise unknown(f"option `{name}` of {kind}", name, options, spans.get(name, span))
    chosen: list[tuple[str, Plain]] = []
    for name, option in options.items():
        if name in given:
            chosen.append((name, option.read(name, given[name], spans.get(name, span))))
        elif option.default is None:
            raise error("E0721", f"{kind} needs `{name}`: {option.doc}", span, help=f"write `{kind}({name}={name}, …)`")
        else:
            chosen.append((name, option.default))
    return Choice(kind, tuple(chosen))


def unknown(what: str, name: str, known: Mapping[str, object], span: Span | None = None) -> AttnError:
    """E0720: there is no such thing; known ones are named."""
    return error(
        "E0720", f"there is no {what}", span, help=did_you_mean(name, known) or (f"there are: {', '.join(known)}",)
    )
