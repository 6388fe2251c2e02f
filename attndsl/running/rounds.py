"""How many rounds the repeats of a model go: what is run must come to an end."""

from __future__ import annotations

from attndsl.diagnostics import error
from attndsl.graph import Graph, Region
from attndsl.ops import Repeat

MOST_ROUNDS = 10**8
"""Of all repeats, those inside others counted as often as they are run; each takes some microseconds at least."""


def require_rounds(graph: Graph) -> None:
    """Raises E0813 where the repeats of a graph go more rounds than anybody can wait for. (A scan goes as many as its
    inputs are long, and these lie in memory.)"""
    most = _rounds(graph.body, graph)
    if most <= MOST_ROUNDS:
        return
    longest = max(
        (node for node in graph.body.walk() if isinstance(node.op, Repeat)),
        key=lambda node: node.op.count.value(graph.sizes) if isinstance(node.op, Repeat) else 0,
    )
    raise error(
        "E0813",
        f"`{graph.name}` has {most:,} iterations of repeats, and at most {MOST_ROUNDS:,} can be run",
        longest.at,
        "most of them here",
        help="choose a smaller variant, or make it smaller with `--set`; `attndsl inspect` counts it as it is",
    )


def _rounds(region: Region, graph: Graph) -> int:
    total = 0
    for node in region.nodes:
        match node.op:
            case Repeat() as op:
                bodies = enumerate(node.regions)
                total += sum(len(op.rounds(case, graph.sizes)) * (1 + _rounds(body, graph)) for case, body in bodies)
            case _:
                total += max((_rounds(body, graph) for body in node.regions), default=0)
    return total
