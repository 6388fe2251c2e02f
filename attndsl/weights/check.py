"""What `attndsl check` says of a `weights` section."""

from __future__ import annotations

from attndsl.diagnostics import AttnError, Diagnostic
from attndsl.graph import Graph
from attndsl.syntax import tree
from attndsl.weights.config import check_config
from attndsl.weights.mapping import WeightMap


def check_section(section: tree.Weights, graph: Graph) -> list[Diagnostic]:
    """Every mistake in a section, given the graph of its model: E0620 to E0629 (see `attndsl.weights.mapping` and
    `attndsl.weights.config`). Costs the same whatever the model's depth, and touches no array."""
    found = check_config(section, graph)
    try:
        WeightMap(section, graph)
    except AttnError as raised:
        found += raised.diagnostics
    return found
