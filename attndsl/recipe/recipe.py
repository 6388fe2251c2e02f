"""How a model is trained: the spec's `train NAME { … }` section, read into one frozen value.

    train BERT {
      batches   = masked_tokens(tokens, targets, valid=valid, share=0.15)
      tokenizer = wordpiece(2000)
      special   = tokens(pad="[PAD]", unknown="[UNK]", begin="[CLS]", end="[SEP]", mask="[MASK]")
      minimize  = loss
      optimizer = adamw(lr=6e-4, betas=[0.9, 0.95], decay=0.1)
      schedule  = warmup_cosine(warmup=2000, steps=600000, floor=0.1)
      clip      = 1.0
    }

What is not written has the default of `attndsl.recipe.settings`, or of the kind that is chosen. Values are numbers,
words, arithmetic on numbers, and the model's hyperparameters by name (`length = context`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from attndsl.choices import Kind, unknown
from attndsl.data.special import SpecialTokens
from attndsl.diagnostics import AttnError, Span, error
from attndsl.objectives.choice import OBJECTIVES, ObjectiveChoice, default_objective, read_objective_json
from attndsl.optimizers import OPTIMIZERS, Optimizer
from attndsl.recipe.reading import (
    CHOICES,
    TRAINED,
    kind_from_json,
    make_special,
    patterns,
    read_batches,
    read_choice,
    read_special,
    read_tokenizer,
    typed,
    with_special,
    written_alone,
)
from attndsl.recipe.schedules import SCHEDULES, Schedule
from attndsl.recipe.settings import SETTINGS
from attndsl.recipe.written import Written, evaluate
from attndsl.records import Frozen, field, replace
from attndsl.syntax import tree
from attndsl.values import Plain, to_python

if TYPE_CHECKING:
    from attndsl.recipe.ramps import Ramp

KEYS = ("batches", "special", "scheduled", "optimizer", "schedule", "rates", *SETTINGS)

LENGTH_FROM = "context"
"""The hyperparameter that a window is as long as, unless `length` is given."""


def _no_setting(name: str, span: Span | None = None) -> AttnError:
    """E0720 for a name in a `train` section that is not a setting, but may be an option of one."""
    from attndsl.habits import RECIPE, called_here  # only a mistake pays for it

    here = RECIPE.get(name, name)
    owner = option_owners().get(here)
    if span is None or (owner is None and here in KEYS):
        known = dict.fromkeys((*KEYS, *option_owners()))
        help = called_here(name, RECIPE, known)
        if help:
            return error("E0720", f"there is no training setting `{name}`", span, help=help)
        return unknown(f"training setting `{name}`", name, known, span)
    if owner is None:
        return unknown(f"training setting `{name}`", name, dict.fromkeys((*KEYS, *option_owners())), span)
    kind = next(kind for kind, options in CHOICES[owner].items() if here in options.options)
    way = f"it is an option of the {owner}: `{owner} = {kind}({here}=…)`"
    return error("E0720", f"there is no training setting `{name}`", span, help=way)


def option_owners() -> dict[str, str]:
    """The options that may be named alone, `--set lr=1e-3`, and what they are of."""
    return {
        option: owner
        for owner, registry in CHOICES.items()
        for kind in registry.values()
        for option in kind.options
        if option not in KEYS
    }


class Recipe(Frozen):
    """All that decides a training run beside the model and the data. `freeze` has patterns over the addresses of
    parameters that keep their values."""

    objective: ObjectiveChoice = field(default_factory=default_objective)
    special: SpecialTokens = field(default_factory=SpecialTokens)
    minimize: str = "loss"
    optimizer: Optimizer = field(default_factory=lambda: OPTIMIZERS["adamw"]())
    schedule: Schedule = field(default_factory=lambda: SCHEDULES["warmup_cosine"]())
    clip: float = 1.0
    batch: int = 8
    accumulate: int = 1
    length: int = 0
    precision: str = "float32"
    recompute: bool = False
    steps: int = 1000
    evaluate: int = 100
    evaluate_batches: int = 16
    checkpoint: int = 100
    tokenizer: str = "bytes"
    held_out: float = 0.05
    freeze: tuple[str, ...] = ()
    seed: int = 0
    rates: Mapping[str, float] = field(default_factory=dict)  # factors of the learning rate, by patterns over addresses
    scheduled: Mapping[str, Ramp] = field(default_factory=dict)  # how inputs follow the training, by their names
    # Where each setting was written, "" for the section; None for one that was replaced from outside the spec.
    spans: Mapping[str, Span | None] = field(default_factory=dict, compare=False, repr=False)

    def rate(self, step: int) -> float:
        """The learning rate of `step` (from 0)."""
        return self.optimizer.number("lr") * self.schedule.share(step, self.steps)

    def quantities(self, step: int) -> dict[str, float]:
        """The scheduled inputs in `step` (from 0)."""
        return {name: ramp.value(step, self.steps) for name, ramp in self.scheduled.items()}

    def frozen(self, addresses: Iterable[str]) -> frozenset[str]:
        """Those of the `addresses` of parameters that keep their values. Raises E0736 where a pattern matches none, and
        where nothing is left to train."""
        if not self.freeze:
            return frozenset()
        from attndsl.recipe.freezing import frozen

        return frozen(self.freeze, addresses, self.spans.get("freeze"))

    def factors(self, addresses: Iterable[str]) -> dict[str, float]:
        """By what the learning rate is multiplied for those of the `addresses` of parameters that `rates` speaks of.
        Raises E0736 where a pattern matches none."""
        if not self.rates:
            return {}
        from attndsl.recipe.rates import factors

        return factors(self.rates, addresses, self.spans.get("rates"))

    def override(self, settings: Mapping[str, object]) -> Recipe:
        """The recipe with some settings replaced: `{"batch": "4", "lr": "1e-3", "optimizer": "sgd", "floor": 0,
        "batches.share": 0.2, "special.mask": "<mask>"}`.

        Values are texts as typed in a terminal, or Python's. A new number of `steps` takes the schedule along: its fall
        ends there too, and a warm-up of more than a tenth of it becomes a tenth. Raises E0720, E0721.
        """
        recipe = self
        settings = {name.removeprefix("train."): value for name, value in settings.items()}
        for name, value in settings.items():
            recipe = recipe._set(name, value)
        if "steps" in settings and "schedule.steps" not in settings:
            given = bool({"warmup", "schedule.warmup"} & settings.keys())
            fitted = recipe.schedule.fitted(recipe.steps, warmup_given=given)
            if fitted != recipe.schedule:
                recipe = recipe._replace("schedule", schedule=fitted)
        return recipe

    def _set(self, name: str, value: object) -> Recipe:
        owner, dot, option = name.partition(".")
        if not dot and name not in KEYS and name in option_owners():
            owner, dot, option = option_owners()[name], ".", name
        if dot and owner in CHOICES:
            return self._with(owner, option, typed(value))
        if name == "scheduled" or (dot and owner == "scheduled"):
            from attndsl.recipe.ramps import read_scheduled, with_ramp  # most recipes have none

            scheduled = with_ramp(self.scheduled, option, value) if dot else read_scheduled(written_alone(name, value))
            return self._replace(owner, scheduled=scheduled)
        if name == "rates" or (dot and owner == "rates"):
            from attndsl.recipe.rates import read_rates, with_rate  # most recipes have none

            rates = with_rate(self.rates, option, value) if dot else read_rates(written_alone(name, value))
            return self._replace(owner, rates=rates)
        if dot and owner in ("batches", "special"):
            return self._replace(owner, **self._with_part(owner, option, value))
        if name in CHOICES:
            return self._replace(name, **{name: read_choice(name, written_alone(name, value))})
        if name == "batches":
            return self._replace(name, objective=read_batches(written_alone(name, value)))
        if name == "special":
            return self._replace(name, special=read_special(written_alone(name, value)))
        if name == "tokenizer":
            return self._replace(name, tokenizer=read_tokenizer(written_alone(name, value, TRAINED)))
        if name not in SETTINGS:
            raise _no_setting(name)
        kind = SETTINGS[name].kind
        given = str(value) if kind == "word" else patterns(value) if kind == "words" else typed(value)
        return self._replace(name, **{name: SETTINGS[name].read(name, given, None)})

    def _replace(self, name: str, **settings: Any) -> Recipe:
        return replace(self, **settings, spans={**self.spans, name: None})

    def _with(self, owner: str, option: str, value: object) -> Recipe:
        chosen: Kind = getattr(self, owner)
        return self._replace(owner, **{owner: chosen.replaced(**{option: value})})

    def _with_part(self, owner: str, option: str, value: object) -> dict[str, Any]:
        if owner == "special":
            return {"special": with_special(self.special, option, typed(value) if option == "sentinels" else value)}
        known = OBJECTIVES[self.objective.kind].options.get(option)
        return {
            "objective": self.objective.with_option(option, value if known and known.kind == "word" else typed(value))
        }

    def to_json(self) -> dict[str, Any]:
        """As plain values; `from_json` reads it back."""
        plain: dict[str, Any] = {"batches": self.objective.to_json(), "special": self.special.to_json()}
        plain |= {name: getattr(self, name).to_json() for name in CHOICES}
        plain |= {"rates": dict(self.rates)} if self.rates else {}
        plain |= {"scheduled": {name: ramp.to_json() for name, ramp in self.scheduled.items()}}
        return plain | {name: getattr(self, name) for name in SETTINGS}

    @staticmethod
    def from_json(plain: Mapping[str, Any]) -> Recipe:
        """The recipe that `to_json` wrote. Raises E0720, E0721 where a file was edited into something else."""
        settings: dict[str, Any] = {
            name: SETTINGS[name].read(name, plain[name], None) for name in SETTINGS if name in plain
        }
        settings |= {name: kind_from_json(CHOICES[name], plain[name]) for name in CHOICES if name in plain}
        if "batches" in plain:
            settings["objective"] = read_objective_json(plain["batches"])
        if "special" in plain:
            settings["special"] = make_special(plain["special"])
        if plain.get("rates"):
            settings["rates"] = dict(plain["rates"])
        if plain.get("scheduled"):
            from attndsl.recipe.ramps import ramps_from_json

            settings["scheduled"] = ramps_from_json(plain["scheduled"])
        return Recipe(**settings)


def read_recipe(section: tree.Train | None, hyperparameters: Mapping[str, Plain]) -> Recipe:
    """The recipe of a `train` section (None: the spec has none), for a model with these hyperparameters.

    Every mistake in the section is reported: E0720 (unknown key, objective, optimizer, schedule or option, with the
    nearest known name), E0721 (a value that does not fit), E0107 (a key written twice).
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
                raise _no_setting(name, span)
            spans[name] = argument.value.span
            found |= _read(name, evaluate(argument.value, hyperparameters))
        except AttnError as problem:
            problems.append(problem)
    if problems:
        raise AttnError(*(diagnostic for problem in problems for diagnostic in problem.diagnostics))
    if "schedule" in found and "steps" not in found:
        # The length of a schedule is the length of the training, unless that is given too.
        found["steps"] = found["schedule"].length or SETTINGS["steps"].default
    return _fill_length(Recipe(**found, spans=spans), hyperparameters)


def _read(name: str, written: Written) -> dict[str, Any]:
    """The field that a setting gives, with its value."""
    if name == "batches":
        return {"objective": read_batches(written)}
    if name == "special":
        return {"special": read_special(written)}
    if name == "scheduled":
        from attndsl.recipe.ramps import read_scheduled  # most recipes have none

        return {"scheduled": read_scheduled(written)}
    if name == "rates":
        from attndsl.recipe.rates import read_rates  # most recipes have none

        return {"rates": read_rates(written)}
    if name == "tokenizer":
        return {"tokenizer": read_tokenizer(written)}
    if name in CHOICES:
        return {name: read_choice(name, written)}
    value = written.word if SETTINGS[name].kind == "word" else written.value
    return {name: SETTINGS[name].read(name, value, written.span)}


def _fill_length(recipe: Recipe, hyperparameters: Mapping[str, Plain]) -> Recipe:
    context = to_python(hyperparameters[LENGTH_FROM]) if LENGTH_FROM in hyperparameters else None
    if recipe.length:
        return recipe
    return replace(recipe, length=context if isinstance(context, int) and context > 0 else 128)
