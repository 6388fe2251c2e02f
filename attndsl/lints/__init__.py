"""What is right by the rules of the language, and hardly what was meant: the warnings that a spec gives.

Given a spec and the graph that it became; tells whoever listens (`attndsl.diagnostics.warn`). Nothing is looked for
where nobody does. A lint is a function that gives diagnostics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attndsl.diagnostics import Diagnostic, is_heard, warn
from attndsl.lints import file
from attndsl.lints.flow import Flow, without_gradient
from attndsl.lints.operations import diagonal_attention, unfit_operations

if TYPE_CHECKING:
    from attndsl.elaborate import Spec
    from attndsl.elaborate.settings import Setting
    from attndsl.graph import Graph


def lint(spec: Spec, graph: Graph, settings: Mapping[str, Setting]) -> None:
    """Warn of what is found in the text of `spec` and in its `graph` at these settings, in the order of the text."""
    if not is_heard():
        return
    flow = Flow(graph)
    found = [*file.names(spec, settings), *diagonal_attention(spec, flow), *without_gradient(spec, flow)]
    found += unfit_operations(flow)
    warn(*sorted(found, key=_place))


def _place(found: Diagnostic) -> tuple[str, int]:
    at = found.primary.span.in_file if found.primary else None
    return (at.source.name, at.start) if at else ("", 0)


__all__ = ["lint"]
