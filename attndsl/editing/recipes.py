"""What the words of a `train` section mean: settings, objectives, optimizers and schedules with their options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attndsl.choices import Kind
from attndsl.objectives import OBJECTIVES, Objective
from attndsl.recipe.reading import CHOICES
from attndsl.recipe.recipe import KEYS
from attndsl.recipe.settings import SETTINGS
from attndsl.values import shown_setting

SORTS: Mapping[str, Mapping[str, Any]] = {"batches": OBJECTIVES, **CHOICES}
"""The settings that choose one of several kinds, with the kinds by name."""


def kind_named(name: str) -> type[Kind] | type[Objective] | None:
    """The objective, optimizer or schedule of this name."""
    return next((kinds[name] for kinds in SORTS.values() if name in kinds), None)


def described(name: str, of: str = "") -> tuple[str, str] | None:
    """How a word is written and what it means: an option `of` a kind, a kind, or a setting; None where it is none."""
    owner = kind_named(of) if of else None
    if owner is not None:
        option = owner.options.get(name)
        return (f"{name}: {option.described()}", option.doc) if option is not None else None
    kind = kind_named(name)
    if kind is not None:
        inputs = [f"{role.name}" for role in kind.required] if issubclass(kind, Objective) else []
        options = [f"{o}={_default(it.default)}" for o, it in kind.options.items()]
        return f"{name}({', '.join([*inputs, *options])})", kind.doc
    setting = SETTINGS.get(name)
    return (f"{name}: {setting.described()}", setting.doc) if setting is not None else None


def _default(value: object) -> str:
    return "…" if value is None else shown_setting(value)


__all__ = ["KEYS", "SORTS", "described", "kind_named"]
