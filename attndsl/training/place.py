"""Where a run computes, and what its last bits depend on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attndsl.graph import Graph
from attndsl.layouts import Layout
from attndsl.lazy import Array
from attndsl.recipe.recipe import Recipe
from attndsl.running.backends import Backend
from attndsl.running.initial import require_memory
from attndsl.running.processes import ALONE, Processes
from attndsl.running.rounds import require_rounds
from attndsl.running.trainer import Trainer
from attndsl.runs.record import versions
from attndsl.training.console import Console


def require_room(graph: Graph, recipe: Recipe, device: str, processes: Processes = ALONE) -> None:
    """That parameters, gradients and what the optimizer keeps beside them fit (E0806), and that a step comes to an end
    (E0813), before the data are read. Of several processes each has a part, which may be no more than its share, and
    those of one machine share its memory."""
    kept = sum(info.copies * recipe.optimizer.kept_numbers(info.type.shape(graph.sizes)) for info in graph.parameters)
    share = processes.local_size / processes.size
    copies = 2 + kept / max(graph.parameter_count, 1) if device == "cpu" else 1
    require_memory(graph, "float64" if recipe.precision == "float64" else "float32", copies * share)
    require_rounds(graph)


def trainer_at(
    graph: Graph,
    recipe: Recipe,
    backend: Backend,
    device: str,
    compile: bool,
    console: Console,
    parameters: Mapping[str, Array] | None = None,
    processes: Processes = ALONE,
    layout: Layout | None = None,
) -> Trainer:
    """A trainer there, one of those of `processes` by the `layout`; says so where it does not compute in the precision
    that was asked for."""
    trainer = backend.trainer(
        graph, recipe, device=device, compile=compile, parameters=parameters, processes=processes,
        layout=layout,
    )  # fmt: skip
    if trainer.precision != recipe.precision:
        said = f"the {backend.title} backend does not train in {recipe.precision}"
        console.warn(f"{said}: it computes in {trainer.precision}")
    return trainer


def machine_facts(backend: Backend, trainer: Trainer, compile: bool, processes: Processes) -> dict[str, Any]:
    """What the last bits of a run depend on, for its record."""
    return {
        "backend": backend.name,
        "processes": processes.size,
        "device": trainer.device,
        "precision": trainer.precision,
        "threads": trainer.threads,
        "compile": compile,
        "versions": versions(backend),
    }


def machine_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In what the machine of a run that goes on is another one, in words."""
    found = [
        f"{name} was {before.get(name)} and is {now[name]}"
        for name in ("backend", "processes", "device", "precision", "threads", "compile")
        if before.get(name) != now[name]
    ]
    for name, version in now["versions"].items():
        was = before.get("versions", {}).get(name)
        if was != version and was is not None:
            found.append(f"{name} was {was} and is {version}")
    return found
