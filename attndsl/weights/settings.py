"""Hyperparameters that come with weights: from a published `config.json`, or from what `save_weights` wrote down."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attndsl.diagnostics import AttnError, error
from attndsl.elaborate import meanings
from attndsl.graph import Graph
from attndsl.records import replace
from attndsl.storage.safetensors import parse_json
from attndsl.syntax import tree
from attndsl.values import (
    List,
    Nothing,
    Number,
    Plain,
    Reference,
    equal,
    from_python,
    hyperparameters_of,
    to_setting,
    written,
)
from attndsl.weights.config import config_settings
from attndsl.weights.keys import ARCHITECTURES, keys_in
from attndsl.weights.sources import WeightsSource, read_json

if TYPE_CHECKING:
    from attndsl.elaborate.settings import Setting
    from attndsl.elaborate.spec import Spec

FORMAT = "attndsl"
FORMAT_VERSION = 1
PLAIN = (bool, int, float, str)


def settings_for(
    path: str | os.PathLike[str],
    sections: Sequence[tree.Weights],
    explicit: Mapping[str, Setting] | None = None,
    *,
    spec: Spec | None = None,
    adapt: bool = False,
    kept: Mapping[str, Any] | None = None,
) -> dict[str, Setting]:
    """The hyperparameters of the weights at `path`, overlaid with the `explicit` ones.

    They come from the `config.json` beside the weights, read as one of the `sections` says, or from a file that
    `save_weights` wrote; a bare file of tensors gives none. An explicit whole number, text or boolean must agree
    (E0617): it decides what the weights mean. An explicit real number, such as a dropout rate, wins, and so does a
    choice of the head (see `heads`). What the variant that `spec` was asked for says of heads, and in texts, counts.

    To `adapt` weights to another model (a new head, other labels), whatever is explicit or said by the variant wins,
    and hyperparameters that `spec` does not have are left out. What is `kept` of them elsewhere (in the record of a
    training run) is taken instead of what the weights say.

    Warns of each published key that the section does not mention (W0601). Other errors are those of the
    files (E0601 to E0604, E0611) and of the configuration (E0613 to E0616).
    """
    explicit = explicit or {}
    free = heads(sections)
    decided = set(explicit) if adapt else free & explicit.keys()
    if spec is not None:
        decided |= _said_by(spec.variant, free, everything=adapt) - (set() if adapt else explicit.keys())
    found = _found_settings(path, sections, decided, kept)
    for name, value in meant(spec, explicit).items():
        if name in found and not agrees(found[name], value):
            raise disagreement(name, found[name], value, str(path))
    if spec is not None and not adapt:
        _check_variant(spec, found, explicit, str(path))
    if spec is not None:
        _check_kinds(spec, found, str(path))
    if spec is not None and adapt:
        own = {parameter.name.text for parameter in spec.model.hyperparameters}
        found = {name: value for name, value in found.items() if name in own}
    return {**{name: to_setting(value) for name, value in found.items()}, **explicit}


def meant(spec: Spec | None, settings: Mapping[str, Setting]) -> dict[str, Plain]:
    """What settings come to. Without a `spec` a text is left out: only a spec says what it means."""
    if spec is None:
        return {name: from_python(value) for name, value in settings.items() if not isinstance(value, str)}
    own = {parameter.name.text for parameter in spec.model.hyperparameters}
    return meanings(spec, {name: value for name, value in settings.items() if name in own})


def _check_kinds(spec: Spec, found: Mapping[str, Plain], path: str) -> None:
    """That the hyperparameters may have the values that come with weights; E0616 where one is of another kind."""
    try:
        meant(spec, {name: to_setting(value) for name, value in found.items()})
    except AttnError as raised:
        said = f"the weights at {path} say so"
        reworded = (replace(d, code="E0616", notes=(*d.notes, said), helps=()) for d in raised.diagnostics)
        raise AttnError(*reworded) from None


def _check_variant(spec: Spec, found: Mapping[str, Plain], explicit: Collection[str], path: str) -> None:
    """That the whole numbers which the variant itself says are those of the weights (E0617): `gpt2:medium` is not a
    name for the small one. What data decide is free: the size of a vocabulary, the number of classes."""
    bounds = _bounding(spec.model)
    for setting in spec.variant.settings if spec.variant is not None else ():
        name = setting.name.text if setting.name is not None else ""
        said = setting.value.value if isinstance(setting.value, tree.Number) else None
        if not isinstance(said, int) or name not in found or name in explicit or name in bounds:
            continue
        if not agrees(found[name], Number.of(said)):
            had = f"but the weights at {path} are of a model with {name} = {written(found[name])}"
            base = spec.name.rpartition(":")[0] or spec.name
            raise error(
                "E0617", f"`{spec.name}` has {name} = {said}, {had}", setting.value.span,
                help=f"name the variant that the weights are of, or none: `{base}` takes its sizes from them",
            )  # fmt: skip


def _bounding(model: tree.Model) -> set[str]:
    """The hyperparameters that bound what an input holds (`tokens < vocab`, `label < labels`)."""
    found: set[str] = set()
    inputs = (n for statement in model.body for n in tree.walk(statement) if isinstance(n, tree.InputDecl))
    for declared in inputs:
        for bound in declared.where:
            if isinstance(bound, tree.Chain) and [operator.text for operator in bound.operators] == ["<"]:
                value, limit = (operand.text if isinstance(operand, tree.Name) else "" for operand in bound.operands)
                found |= {limit} if value == declared.name.text else set()
    return found


def _said_by(variant: tree.Variant | None, heads: set[str], *, everything: bool) -> set[str]:
    """The hyperparameters for which a variant's own word counts: heads and other texts, or whatever it says."""
    settings = variant.settings if variant is not None else ()
    return {
        setting.name.text
        for setting in settings
        if setting.name is not None
        and (everything or setting.name.text in heads or isinstance(setting.value, tree.String))
    }


def _found_settings(
    path: str | os.PathLike[str],
    sections: Sequence[tree.Weights],
    decided: Collection[str],
    kept: Mapping[str, Any] | None,
) -> dict[str, Plain]:
    """What comes with the weights of the hyperparameters that are not `decided` already."""
    found = kept_values(kept) if kept is not None else None
    if found is None:
        with WeightsSource(path) as source:
            found = own_settings(source)
            if found is None:
                found = published_settings(source, sections, decided)
    return {name: value for name, value in (found or {}).items() if name not in decided}


def kept_values(kept: Mapping[str, object]) -> dict[str, Plain]:
    """Hyperparameters that were written down as JSON; a text there is what the language says of the value."""
    return {name: _kept(value) for name, value in kept.items() if _is_plain(value)}


def _kept(value: object) -> Plain:
    if isinstance(value, list):
        return List.of(tuple(map(_kept, value)))
    return Reference(value, "string") if isinstance(value, str) else from_python(value)


def _is_plain(value: object) -> bool:
    return all(map(_is_plain, value)) if isinstance(value, list) else isinstance(value, PLAIN)


def heads(sections: Sequence[tree.Weights]) -> set[str]:
    """The hyperparameters that say which head a model has: those that a section takes from `architectures`. The same
    body goes with any of them."""
    return {
        entry.name.text
        for section in sections
        for entry in section.config
        if entry.name is not None and ARCHITECTURES in keys_in(entry.value)
    }


def own_settings(source: WeightsSource) -> dict[str, Plain] | None:
    """The hyperparameters in the metadata of a file of ours; None where the file is not ours."""
    metadata = source.metadata
    if metadata.get("format") != FORMAT:
        return None
    try:
        version = int(metadata.get("format_version", ""))
        settings = parse_json(metadata.get("hyperparameters", "").encode("utf-8", "replace"))
    except ValueError:
        raise _damaged(source) from None
    if version > FORMAT_VERSION:
        raise error(
            "E0602",
            f"{source.path} is of version {version} of the format, but this attndsl reads only up to {FORMAT_VERSION}",
            help="update attndsl",
        )
    if not isinstance(settings, dict) or not all(map(_is_plain, settings.values())):
        raise _damaged(source)
    return kept_values(settings)


def _damaged(source: WeightsSource) -> AttnError:
    message = f"{source.path} is damaged: its metadata cannot be read"
    return error("E0602", message, help="download or copy it again")


def published_settings(
    source: WeightsSource,
    sections: Sequence[tree.Weights],
    without: Collection[str] = (),
) -> dict[str, Plain] | None:
    """The hyperparameters in the `config.json` beside the weights, `without` some; None for a bare file without one."""
    if source.config is None:
        if source.path.is_dir():
            raise error("E0613", f"{source.path} has no config.json", help="the sizes of the model are read from it")
        return None
    config = read_json(source.config, "E0613")
    configured = [section for section in sections if section.config]
    if not configured:
        return None
    failures: list[AttnError] = []
    for section in configured:
        try:
            return config_settings(section, config, source=str(source.config), without=without, tensors=source.names)
        except AttnError as raised:
            failures.append(raised)
    raise next((f for f in failures if f.diagnostics[0].code != "E0614"), failures[0])


def check_settings(
    source: WeightsSource, graph: Graph, sections: Sequence[tree.Weights], section: tree.Weights | None = None
) -> None:
    """That what comes with the weights (by the names of `section`, or of ours) agrees with the graph, as far as it
    decides what they mean; E0617 if not. Which head there is, is told by the tensors."""
    found: Mapping[str, Plain] = {}
    free = heads(sections)
    if section is None:
        found = own_settings(source) or {}
    elif source.config is not None and section.config:
        config = read_json(source.config, "E0613")
        found = config_settings(section, config, source=str(source.config), without=free, tensors=source.names)
    have = hyperparameters_of(graph)
    for name, value in found.items():
        if name in have and name not in free and not agrees(value, have[name]):
            raise disagreement(name, value, have[name], str(source.path))


def agrees(found: Plain, value: Plain) -> bool:
    """Whether two values of a hyperparameter mean the same weights; real numbers are free."""
    if isinstance(value, Nothing) and isinstance(found, Reference):
        return found.text == written(value)
    if isinstance(found, List) and isinstance(value, List) and len(found.values) == len(value.values):
        return all(map(agrees, found.values, value.values))
    numbers = [n for n in (found, value) if isinstance(n, Number) and not n.is_bool]
    if len(numbers) == 2 and any(isinstance(number.value, float) for number in numbers):
        return True
    return equal(found, value)


def disagreement(name: str, found: Plain, value: Plain, path: str) -> AttnError:
    return error(
        "E0617",
        f"`{name}` is {written(value)}, but the weights at {path} are of a model with {name} = {written(found)}",
        help=f"leave `{name}` out: it is taken from the weights",
    )


def write_json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8")
