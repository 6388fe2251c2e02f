"""An oracle for every shipped spec and variant: those that a family says, and where none does, one that is made from
the variant's own hyperparameters, by reading the spec's `weights` section backwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_spec, shipped
from attndsl.graph import Graph
from attndsl.values import from_python, hyperparameters_of, storable
from attndsl.weights.solving import published_config
from tests.parity.harness import (
    Config,
    Family,
    Inputs,
    Published,
    empty_oracle,
    families,
    published_settings,
    section_of,
    sections_of,
)
from tests.parity.rows import Row, measure_published

Comparison = tuple[Family, Published]


def names() -> Iterator[str]:
    """Every shipped spec and variant: `gpt2`, `gpt2:small`, …"""
    for name in shipped():
        yield from variants_of(name)


def variants_of(spec: str) -> Iterator[str]:
    yield spec
    yield from (f"{spec}:{variant.name.text}" for variant in open_spec(spec).variants)


def graph_of(name: str, settings: Mapping[str, Any] | None = None) -> Graph:
    return elaborate(open_spec(name), dict(settings or {}))


def hyperparameters(graph: Graph) -> dict[str, Any]:
    return {name: storable(value) for name, value in graph.hyperparameters.items()}


@cache
def _values(name: str) -> dict[str, Any]:
    return hyperparameters(graph_of(name))


def families_of(spec: str) -> list[Family]:
    return [family for family in families() if family.spec == spec]


# ---------------------------------------------------------------- which oracle


def comparisons(name: str) -> Iterator[Comparison]:
    """What a variant is compared with: each family with the oracle's configuration of that size. A spec by itself is
    also compared with the heads that none of its variants has."""
    yield from _own(name)
    if ":" not in name:
        covered = {family.name for other in variants_of(name) for family, _ in _own(other)}
        yield from (_of_the_head(family) for family in families_of(name) if family.name not in covered)


def _own(name: str) -> list[Comparison]:
    """What the families say of this variant, or of one with the same hyperparameters; else, those whose configuration
    can say what the hyperparameters are."""
    spec, _, variant = name.partition(":")
    values = _values(name)
    same = [other for other in variants_of(spec) if _values(other) == values]
    for other in (name, *same):
        sized = other.partition(":")[2] or None
        if found := [(f, size) for f in families_of(spec) for size in f.published if size.variant == sized]:
            return found
    found = []
    for family in families_of(spec):
        config = configured(family, graph_of(name))
        if config is not None and _right_head(family, config):
            found.append((family, Published(variant or None, config, graph_of(name).parameter_count)))
    return found


def _of_the_head(family: Family) -> Comparison:
    """The head of a family on the model as the spec has it by default."""
    values = _values(family.spec)
    read = published_settings(family, empty_oracle(family, {}))
    settings = {name: value for name, value in read.items() if values[name] != value}
    return family, Published(None, {}, graph_of(family.spec, settings).parameter_count, settings)


def configured(family: Family, graph: Graph, **changed: int) -> Config | None:
    """What the oracle is made with for a graph's hyperparameters, some of them `changed`; None where no configuration
    means them."""
    section = section_of(family, sections_of(family, open_spec(family.spec)))
    if not section.config:
        return hyperparameters(graph) | changed
    try:
        more = {name: from_python(value) for name, value in changed.items()}
        config = published_config(section, hyperparameters_of(graph) | more)
    except AttnError:
        return None
    return config | ({"num_labels": len(config["id2label"])} if "id2label" in config else {})


def _right_head(family: Family, config: Config) -> bool:
    """Whether the family's oracle is the class that a configuration asks for."""
    wanted = config.get("architectures")
    return not wanted or type(empty_oracle(family, config)).__name__ in wanted


def oracle_name(family: Family, config: Config) -> str:
    """The class of `transformers` that it is, or that it is made from; else what the family is called after."""
    kinds = type(empty_oracle(family, config)).mro()
    kind = next((kind for kind in kinds if kind.__module__.startswith("transformers.models.")), None)
    if kind is None:
        return family.name
    return kind.__name__ if kind is kinds[0] else f"{kind.__name__}, changed"


# ---------------------------------------------------------------- how far from it


def measure_comparison(family: Family, size: Published, folder: Path, *, largest: int) -> Row:
    """At its own size up to `largest` parameters, narrower beyond that. A family that says neither what a short batch
    is nor how it gets narrow gives its smallest one, and gets narrow as `narrowed` says."""
    short, reduced = family.short, family.reduced
    graph = graph_of(family.spec + (f":{size.variant}" if size.variant else ""), size.settings)
    whole = replace(
        family,
        short=short or (lambda config, rng: _smallest(family.inputs(config, rng))),
        reduced=reduced or (lambda config: narrowed(family, graph)),
    )
    return measure_published(whole, size, folder, largest=largest)


def narrowed(family: Family, graph: Graph) -> Config:
    """The configuration of a variant that is as deep and has as many heads, but few words and narrow layers."""
    values = hyperparameters(graph)
    own_head = isinstance(values.get("head"), int)
    changed = {"vocab": 64, "width": 24 if own_head else 2 * values["heads"], "head": 2, "hidden": 40}
    config = configured(family, graph, **{n: v for n, v in changed.items() if isinstance(values.get(n), int)})
    assert config is not None
    return config


def _smallest(batches: Mapping[str, Inputs]) -> Inputs:
    longer = [batch for name, batch in batches.items() if name != "one token"]
    return min(longer, key=lambda batch: sum(array.size for array in batch.values()))
