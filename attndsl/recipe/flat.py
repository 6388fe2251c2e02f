"""A recipe as settings, each by the name that `--set` has for it: what a run's record, a table of runs and a settings
file have in common."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from attndsl.objectives.choice import OBJECTIVES, names
from attndsl.recipe.reading import CHOICES
from attndsl.recipe.recipe import option_owners


def as_settings(plain: Mapping[str, Any]) -> dict[str, object]:
    """The settings that make the recipe of which `plain` is the JSON, whatever recipe they are given to
    (`Recipe.override`): a choice stands before its options, `optimizer` before `lr`."""
    return dict(_settings(plain))


def _settings(plain: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    owners = option_owners()
    for name, value in plain.items():
        if name in CHOICES:
            options = {option: given for option, given in value.items() if option != "kind"}
            known = CHOICES[name].require(value["kind"]).options
            must = {option: given for option, given in options.items() if known[option].default is None}
            yield name, _call(value["kind"], must) if must else value["kind"]
            for option, given in options.items():
                yield (option if owners.get(option) == name else f"{name}.{option}"), given
        elif name == "batches":
            required = names(OBJECTIVES.require(value["kind"]).required)
            yield name, _call(value["kind"], value["roles"], required)
            yield from ((f"{name}.{option}", given) for option, given in value["options"].items())
        elif name in ("special", "rates"):
            yield from ((f"{name}.{each}", given) for each, given in value.items())
        elif name == "scheduled":
            for each, ramp in value.items():
                yield f"{name}.{each}", _call(ramp["kind"], {k: v for k, v in ramp.items() if k != "kind"})
        else:
            yield name, value


def _call(kind: str, arguments: Mapping[str, object], positional: Collection[str] = ()) -> str:
    written = (str(value) if name in positional else f"{name}={value}" for name, value in arguments.items())
    return f"{kind}({', '.join(written)})"
