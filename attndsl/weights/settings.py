"""Hyperparameters that come with weights: from a published `config.json`, or from what `save_weights` wrote down."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attndsl.diagnostics import AttnError, Diagnostic, error
from attndsl.graph import Graph
from attndsl.syntax import tree
from attndsl.weights.config import Value, config_settings
from attndsl.weights.files import parse_json
from attndsl.weights.keys import equal, shown
from attndsl.weights.sources import WeightsSource, read_json

FORMAT = "attndsl"
FORMAT_VERSION = 1

Warn = Callable[[Diagnostic], None]


def settings_for(
    path: str | os.PathLike[str],
    sections: Sequence[tree.Weights],
    explicit: Mapping[str, object] | None = None,
    *,
    warn: Warn | None = None,
) -> dict[str, Any]:
    """The hyperparameters of the weights at `path`, overlaid with the `explicit` ones.

    They come from the `config.json` beside the weights, read as one of the `sections` says, or from a file that
    `save_weights` wrote; a bare file of tensors gives none. An explicit whole number, text or truth value must agree
    (E0617): it decides what the weights mean. An explicit real number, such as a dropout rate, wins. `warn` gets a
    diagnostic for each published key that the section does not speak of. Other errors are those of the files (E0601 to
    E0604, E0611) and of the configuration (E0613 to E0616).
    """
    with WeightsSource(path) as source:
        found = own_settings(source)
        if found is None:
            found = published_settings(source, sections, warn)
    if found is None:
        found = {}
    explicit = explicit or {}
    for name, value in explicit.items():
        if name in found and not agrees(found[name], value):
            raise disagreement(name, found[name], value, str(path))
    return {**found, **explicit}


def own_settings(source: WeightsSource) -> dict[str, Value] | None:
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
            f"{source.path} is of version {version} of the format, this attndsl reads up to {FORMAT_VERSION}",
            help="update attndsl",
        )
    if not isinstance(settings, dict) or not all(isinstance(v, (bool, int, float, str)) for v in settings.values()):
        raise _damaged(source)
    return settings


def _damaged(source: WeightsSource) -> AttnError:
    message = f"{source.path} is damaged: its metadata cannot be read"
    return error("E0602", message, help="download or copy it again")


def published_settings(
    source: WeightsSource, sections: Sequence[tree.Weights], warn: Warn | None = None
) -> dict[str, Value] | None:
    """The hyperparameters in the `config.json` beside the weights; None for a bare file without one."""
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
            return config_settings(section, config, source=str(source.config), warn=warn)
        except AttnError as raised:
            failures.append(raised)
    raise next((f for f in failures if f.diagnostics[0].code != "E0614"), failures[0])


def check_settings(source: WeightsSource, graph: Graph, section: tree.Weights | None) -> None:
    """That what comes with the weights agrees with the graph, as far as it decides what they mean; E0617 if not."""
    found: Mapping[str, Value] = {}
    if section is None:
        found = own_settings(source) or {}
    elif source.config is not None and section.config:
        found = config_settings(section, read_json(source.config, "E0613"), source=str(source.config))
    for name, value in found.items():
        if name in graph.hyperparameters and not agrees(value, graph.hyperparameters[name]):
            raise disagreement(name, value, graph.hyperparameters[name], str(source.path))


def agrees(found: object, value: object) -> bool:
    """Whether two values of a hyperparameter mean the same weights. A text that came from a command line counts as what
    it says; real numbers are free."""
    if isinstance(value, str) and not isinstance(found, str):
        try:
            value = json.loads(value)
        except ValueError:  # an expression of the language: what it comes to is compared when the weights are loaded
            return True
    if isinstance(found, float) or (isinstance(value, float) and not isinstance(found, (bool, str))):
        return isinstance(value, (int, float))
    return equal(found, value)


def disagreement(name: str, found: object, value: object, path: str) -> AttnError:
    given = value if isinstance(value, str) and not isinstance(found, str) else shown(value)
    return error(
        "E0617",
        f"`{name}` is {given}, but the weights at {path} are of a model with {name} = {shown(found)}",
        help=f"leave `{name}` out: it is taken from the weights",
    )


def write_json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8")


def plain(value: object) -> Value:
    """A hyperparameter as JSON can hold it."""
    if isinstance(value, (bool, int, float, str)):
        return value
    numerator, denominator = getattr(value, "numerator", None), getattr(value, "denominator", None)
    if isinstance(numerator, int) and isinstance(denominator, int):
        return numerator if denominator == 1 else numerator / denominator
    return str(value)
