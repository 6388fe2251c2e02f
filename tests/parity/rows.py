"""What was found about a family, as rows of a table: counts, differences, cost, and how long the spec is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from attndsl.elaborate import Spec, elaborate, open_spec
from attndsl.inspection import inspect
from tests.parity.harness import ALLOWED, NOISE_OF_PUBLISHED, Family, Published, Trial, empty_oracle


@dataclass(frozen=True)
class Row:
    """One line of a table. Differences are the largest, by "numpy float32", …; the loss is not among `outputs`. They
    were measured at the very size that `parameters` and `flops` (of a forward pass, at the sizes that `inspect`
    chooses) are of if `whole`, and at a narrower one if not."""

    family: str
    spec: str
    name: str
    parameters: int
    oracle_parameters: int
    flops: int
    spec_lines: int
    outputs: Mapping[str, float]
    losses: Mapping[str, float]
    gradients: Mapping[str, float]
    whole: bool = True


def spec_lines(spec: Spec) -> int:
    """The lines of the model itself: with its comments, without empty lines, without weights, variants and training."""
    whole = spec.model.span.text.splitlines()
    return sum(bool(line.strip()) for line in whole)


def measure(trial: Trial, name: str, backends: tuple[str, ...] = ("numpy", "torch")) -> Row:
    """A trial as a row of a table."""
    outputs: dict[str, float] = {}
    losses: dict[str, float] = {}
    gradients: dict[str, float] = {}
    for backend in backends:
        for dtype in ALLOWED:
            found, key = trial.differences(backend, dtype), f"{backend} {dtype}"
            outputs[key] = _greatest([d for (_, output), d in found.outputs.items() if output != "loss"])
            losses[key] = _greatest([d for (_, output), d in found.outputs.items() if output == "loss"])
            gradients[key] = _greatest(list(found.gradients.values()))
    return Row(
        trial.family.name, trial.family.spec, name, trial.graph.parameter_count, trial.family.count(trial.oracle),
        inspect(trial.graph).totals.flops, spec_lines(trial.spec), outputs, losses, gradients,
    )  # fmt: skip


def measure_published(family: Family, published: Published, folder: Path, *, largest: int = 200_000_000) -> Row:
    """A published size as a row of a table. One of more than `largest` parameters is counted as it is, and compared at
    the family's reduced width, at its own depth."""
    spec = open_spec(family.spec + (f":{published.variant}" if published.variant else ""))
    graph = elaborate(spec, dict(published.settings))
    whole = published.count <= largest
    assert whole or family.reduced is not None, f"{family.name} does not say how to reduce {published.variant}"
    config = published.config if whole or family.reduced is None else family.reduced(published.config)
    trial = Trial(family, config, folder, short=True, noise=NOISE_OF_PUBLISHED if whole else 0.1)
    return replace(
        measure(trial, published.variant or ""),
        parameters=graph.parameter_count,
        oracle_parameters=family.count(empty_oracle(family, published.config)),
        flops=inspect(graph).totals.flops,
        whole=whole,
    )


def _greatest(differences: list[float]) -> float:
    """Not a number, where one of them is not."""
    return float(np.max(differences, initial=0.0))
