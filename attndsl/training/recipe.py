"""How a model is trained: the spec's `train NAME { … }` section, read into one frozen value.

    train GPT2 {
      batches   = next_token(tokens, targets)
      minimize  = loss
      optimizer = adamw(lr=6e-4, betas=(0.9, 0.95), decay=0.1)
      schedule  = warmup_cosine(warmup=2000, steps=600000, floor=0.1)
      clip      = 1.0
    }

What is not written has the default of `attndsl.training.options`. Values are numbers, words, arithmetic on numbers, and
the model's hyperparameters by name (`length = context`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from attndsl.diagnostics import AttnError, Span, did_you_mean, error, nearest
from attndsl.elaborate.settings import Setting
from attndsl.graph import INT, Graph
from attndsl.syntax import tree
from attndsl.training.options import OPTIMIZERS, SCHEDULES, SETTINGS, Choice, choose, unknown
from attndsl.training.written import Written, evaluate

_BATCHES = ("next_token",)
_CHOICES = {"optimizer": (OPTIMIZERS, "adamw"), "schedule": (SCHEDULES, "warmup_cosine")}
KEYS = ("batches", "optimizer", "schedule", *SETTINGS)
# Options that may be named alone: `--set lr=1e-3`.
_ALONE = {
    "lr": "optimizer",
    "decay": "optimizer",
    "momentum": "optimizer",
    "betas": "optimizer",
    "warmup": "schedule",
    "floor": "schedule",
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides a training run beside the model and the data. `inputs` are the two that `next_token` fills."""

    inputs: tuple[str, str] = ("tokens", "targets")
    minimize: str = "loss"
    optimizer: Choice = field(default_factory=lambda: choose("optimizer", OPTIMIZERS, "adamw", {}))
    schedule: Choice = field(default_factory=lambda: choose("schedule", SCHEDULES, "warmup_cosine", {}))
    clip: float = 1.0
    batch: int = 8
    accumulate: int = 1
    length: int = 0
    precision: str = "float32"
    steps: int = 1000
    evaluate: int = 100
    evaluate_batches: int = 16
    checkpoint: int = 100
    tokenizer: str = "bytes"
    held_out: float = 0.05
    seed: int = 0
    # Where each setting was written, "" for the section; None for one that was replaced from outside the spec.
    spans: Mapping[str, Span | None] = field(default_factory=dict, compare=False, repr=False)

    @property
    def tokens_per_step(self) -> int:
        return self.batch * self.accumulate * self.length

    def rate(self, step: int) -> float:
        """The learning rate of `step` (from 0)."""
        return self.optimizer.number("lr") * share(self.schedule, step, self.steps)

    def override(self, settings: Mapping[str, object]) -> Recipe:
        """The recipe with some settings replaced: `{"batch": "4", "lr": "1e-3", "optimizer": "sgd", "floor": 0}`.

        Values are texts as typed in a terminal, or Python's. A new number of `steps` takes the schedule along: its fall
        ends there too, and a warm-up of more than a tenth of it becomes a tenth. Raises E0720, E0721.
        """
        recipe = self
        settings = {name.removeprefix("train."): value for name, value in settings.items()}
        for name, value in settings.items():
            recipe = recipe._set(name, value)
        if "steps" in settings and "steps" in dict(recipe.schedule.options) and "schedule.steps" not in settings:
            recipe = recipe._with("schedule", "steps", 0)
            warmup = int(recipe.schedule.number("warmup"))
            if not {"warmup", "schedule.warmup"} & settings.keys() and warmup > recipe.steps // 10:
                recipe = recipe._with("schedule", "warmup", recipe.steps // 10)
        return recipe

    def _set(self, name: str, value: object) -> Recipe:
        owner, dot, option = name.partition(".")
        if not dot and name in _ALONE:
            owner, dot, option = _ALONE[name], ".", name
        if dot and owner in _CHOICES:
            return self._with(owner, option, _typed(value))
        if name in _CHOICES:
            return _replaced(self, **{name: _read_choice(name, _written(name, value))})
        if name == "batches":
            return _replaced(self, inputs=_read_batches(_written(name, value)), spans={**self.spans, name: None})
        if name == "tokenizer":
            return _replaced(self, tokenizer=_read_tokenizer(_written(name, value, word=True)))
        if name not in SETTINGS:
            raise unknown(f"training setting `{name}`", name, dict.fromkeys((*KEYS, *_ALONE)))
        typed = str(value) if SETTINGS[name].kind == "word" else _typed(value)
        return _replaced(self, **{name: SETTINGS[name].read(name, typed, None)}, spans={**self.spans, name: None})

    def _with(self, owner: str, option: str, value: object) -> Recipe:
        chosen: Choice = getattr(self, owner)
        table = _CHOICES[owner][0]
        given = {**dict(chosen.options), option: value}
        return _replaced(self, **{owner: choose(owner, table, chosen.kind, given)})

    def to_json(self) -> dict[str, Any]:
        """As plain values; `from_json` reads it back."""
        plain: dict[str, Any] = {"batches": ["next_token", *self.inputs]}
        for name in ("optimizer", "schedule"):
            chosen: Choice = getattr(self, name)
            plain[name] = {"kind": chosen.kind, **dict(chosen.options)}
        return plain | {name: getattr(self, name) for name in SETTINGS}

    @staticmethod
    def from_json(plain: Mapping[str, Any]) -> Recipe:
        """The recipe that `to_json` wrote. Raises E0720, E0721 where a file was edited into something else."""
        settings: dict[str, Any] = {
            name: SETTINGS[name].read(name, plain[name], None) for name in SETTINGS if name in plain
        }
        for name, (table, _) in _CHOICES.items():
            options = dict(plain.get(name, {}))
            if options:
                settings[name] = choose(name, table, str(options.pop("kind", "")), options)
        if "batches" in plain:
            settings["inputs"] = (str(plain["batches"][1]), str(plain["batches"][2]))
        return Recipe(**settings)


def read_recipe(section: tree.Train | None, hyperparameters: Mapping[str, object]) -> Recipe:
    """The recipe of a `train` section (None: the spec has none), for a model with these hyperparameters.

    Every mistake in the section is reported: E0720 (unknown key, optimizer, schedule or option, with the nearest known
    name), E0721 (a value that does not fit), E0107 (a key written twice).
    """
    if section is None:
        return _fill_length(Recipe(), hyperparameters)
    found: dict[str, Any] = {}
    spans: dict[str, Span | None] = {"": section.model.span}
    problems: list[AttnError] = []
    for argument in section.settings:
        assert argument.name is not None
        name, span = argument.name.text, argument.name.span
        try:
            if name in spans:
                raise error("E0107", f"`{name}` is set twice", span, "again here")
            if name not in KEYS:
                raise unknown(f"training setting `{name}`", name, dict.fromkeys(KEYS), span)
            spans[name] = argument.value.span
            written = evaluate(argument.value, hyperparameters)
            if name == "batches":
                found["inputs"] = _read_batches(written)
            elif name == "tokenizer":
                found["tokenizer"] = _read_tokenizer(written)
            elif name in _CHOICES:
                found[name] = _read_choice(name, written)
            else:
                found[name] = SETTINGS[name].read(
                    name, written.word if SETTINGS[name].kind == "word" else written.value, written.span
                )
        except AttnError as problem:
            problems.append(problem)
    if problems:
        raise AttnError(*(diagnostic for problem in problems for diagnostic in problem.diagnostics))
    if "schedule" in found and "steps" not in found:
        # The length of a schedule is the length of the training, unless that is given too.
        found["steps"] = int(found["schedule"].get("steps", 0)) or SETTINGS["steps"].default
    return _fill_length(Recipe(**found, spans=spans), hyperparameters)


def _replaced(recipe: Recipe, **settings: Any) -> Recipe:
    return dataclasses.replace(recipe, **settings)


def _fill_length(recipe: Recipe, hyperparameters: Mapping[str, object]) -> Recipe:
    context = hyperparameters.get("context")
    if recipe.length:
        return recipe
    return _replaced(recipe, length=context if isinstance(context, int) and context > 0 else 128)


def _read_choice(what: str, written: Written) -> Choice:
    table, _ = _CHOICES[what]
    if not written.word:
        raise error(
            "E0721",
            f"`{what}` is not a value but a kind",
            written.span,
            help=f"write `{what} = {next(iter(table))}(…)`; there are {', '.join(table)}",
        )
    if written.positional:
        raise error(
            "E0721", f"the options of {written.word} are given by name", written.positional[0].span,
            help=f"its options: {', '.join(table[written.word])}" if written.word in table else (),
        )  # fmt: skip
    given = {name: value.value for name, value in written.named.items()}
    return choose(
        what,
        table,
        written.word,
        given,
        {name: value.span for name, value in written.named.items() if value.span},
        written.span,
    )


def _read_batches(written: Written) -> tuple[str, str]:
    if written.word not in _BATCHES:
        raise unknown(
            f"way to make batches `{written.word or 'that'}`", written.word, dict.fromkeys(_BATCHES), written.span
        )
    names = tuple(value.word for value in written.positional)
    if len(names) != 2 or written.named or not all(names):
        raise error(
            "E0721",
            "`next_token` takes the names of two inputs",
            written.span,
            help="write `batches = next_token(tokens, targets)`: what is shown, and what is to be said",
        )
    return names[0], names[1]


def _read_tokenizer(written: Written) -> str:
    sizes = [value.value for value in written.positional]
    if written.word == "bpe" and len(sizes) == 1 and isinstance(sizes[0], int) and not written.named:
        return f"bpe:{sizes[0]}"
    if written.word and not sizes and not written.named:
        return written.word
    raise error(
        "E0721",
        "that is no tokenizer",
        written.span,
        help='write `bytes`, `chars`, `bpe(1024)` or `"path/to/tokenizer.json"`',
    )


def _written(name: str, value: object, word: bool = False) -> Written:
    """An override as if it stood in a `train` section; calls (`adamw(lr=1e-3)`) go through the language's parser."""
    text = str(value).strip()
    if "(" not in text or (word and not text.startswith("bpe(")):
        return Written(text, text)
    from attndsl.diagnostics import Source
    from attndsl.syntax.parser import parse

    file, problems = parse(Source(f"--set {name}", f"train _ {{ {name} = {text} }}\n"))
    if problems:
        raise AttnError(*problems)
    section = next(d for d in file.declarations if isinstance(d, tree.Train))
    return evaluate(section.settings[0].value, {})


def _typed(value: object) -> object:
    """A number, boolean or pair as typed in a terminal; what is none of them stays a text."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text in ("true", "false"):
        return text == "true"
    parts = text.strip("()").split(",")
    if len(parts) == 2:
        return tuple(_typed(part) for part in parts)
    for kind in (int, float):
        try:
            return kind(text.replace("_", ""))
        except ValueError:
            continue
    return value


# ---------------------------------------------------------------------------------------------- schedules


def share(schedule: Choice, step: int, steps: int) -> float:
    """The learning rate of `step` (from 0) as a share of the highest; `steps` is the length of the training.

    The first step already moves: a warm-up of `n` steps rises from `1/n` to 1. For `noam` it is the factor of
    Vaswani et al. (2017), `width^-0.5 * min(step^-0.5, step * warmup^-1.5)`, counted from step 1.
    """
    warmup = schedule.number("warmup")
    if schedule.kind == "noam":
        number = step + 1
        return schedule.number("width") ** -0.5 * min(number**-0.5, number * warmup**-1.5)
    if step < warmup:
        return (step + 1) / warmup
    if schedule.kind == "constant":
        return 1.0
    end = schedule.number("steps") or steps
    gone = min(1.0, (step - warmup) / max(1.0, end - warmup))
    left = 1.0 - gone if schedule.kind == "warmup_linear" else 0.5 * (1.0 + math.cos(math.pi * gone))
    floor = schedule.number("floor")
    return floor + (1.0 - floor) * left


# ---------------------------------------------------------------------------------------------- fitting the model


def check_recipe(recipe: Recipe, graph: Graph) -> None:
    """That the graph has what the recipe speaks of: the two inputs (`int[B, T]`), the scalar to minimise, no further
    input that must be given, and room for the windows. Raises E0722, or what the model's own constraint says."""
    inputs = {info.name: info for info in graph.inputs}
    outputs = {info.name: info for info in graph.outputs}
    at = recipe.spans
    for name in recipe.inputs:
        if name not in inputs:
            raise error(
                "E0722", f"{graph.name} has no input `{name}` to fill with text", at.get("batches", at.get("")),
                help=did_you_mean(name, inputs)
                or f"its inputs: {', '.join(inputs)}; say which: `batches = next_token(…, …)`",
            )  # fmt: skip
        type = inputs[name].value.type
        if type.dtype != INT or type.rank != 2:
            raise error(
                "E0722", f"the input `{name}` is {type}: text fills `int[B, T]` only", at.get("batches"),
                help="give the input two axes, batch and position",
            )  # fmt: skip
    if recipe.minimize not in outputs:
        raise error(
            "E0722", f"{graph.name} has no output `{recipe.minimize}` to minimise", at.get("minimize", at.get("")),
            help=did_you_mean(recipe.minimize, outputs)
            or "give the model one: `output loss = cross_entropy(logits, targets, over=vocab)`",
        )  # fmt: skip
    type = outputs[recipe.minimize].value.type
    if type.rank or type.dtype != "float":
        raise error(
            "E0722", f"`{recipe.minimize}` is {type}: only a single number can be minimised", at.get("minimize"),
            help="take its mean over all axes",
        )  # fmt: skip
    missing = [info.name for info in graph.inputs if not info.optional and info.name not in recipe.inputs]
    if missing:
        raise error(
            "E0722", f"`{missing[0]}` must be given, and `next_token` does not fill it", at.get("batches"),
            help=f"declare it `optional` or with a default: `input {missing[0]}: … = …`",
        )  # fmt: skip
    values = dict(graph.sizes)
    for axis, size in zip(inputs[recipe.inputs[0]].value.type.axes, (recipe.batch, recipe.length), strict=True):
        values.setdefault(axis.name, size)
    failed = [c.failure(values) for c in graph.constraints if c.holds(values) is False]
    if failed:
        raise AttnError(*failed)


def split_settings(
    settings: Mapping[str, Setting], hyperparameters: Mapping[str, object]
) -> tuple[dict[str, Setting], dict[str, Setting]]:
    """Settings of the model and of its training apart: a hyperparameter's name is the model's, `train.batch` and every
    other key of a recipe the training's. What neither knows goes to the one with the nearest name, to be refused."""
    keys = {*KEYS, *_ALONE}
    model: dict[str, Setting] = {}
    training: dict[str, Setting] = {}
    for name, value in settings.items():
        known = name in hyperparameters or name.partition(".")[0] in keys
        likely = name if known else nearest(name, [*hyperparameters, *keys]) or name
        own = name.startswith("train.") or likely.partition(".")[0] in keys
        (training if own and likely not in hyperparameters else model)[name] = value
    return model, training


__all__ = ["KEYS", "Recipe", "check_recipe", "read_recipe", "share", "split_settings"]
