"""How what is wrong with weights is told."""

from __future__ import annotations

import os

from attndsl.diagnostics import AttnError, Diagnostic, error
from attndsl.records import replace
from attndsl.storage.safetensors import quoted

MOST_SHOWN = 5
"""How many tensors of one kind of mistake get a message each."""


def unwritable(path: str | os.PathLike[str], problem: OSError) -> AttnError:
    return error(
        "E0612",
        f"{path} cannot be written: {problem.strerror or problem}",
        help="write somewhere else, or check how much space there is and who may write there",
    )


def several(found: list[tuple[str, AttnError]]) -> list[Diagnostic]:
    """The diagnostics of many mistakes of a kind, each with its tensor's name: the first few as they are, the last of
    them with the names of the rest."""
    diagnostics = [d for _, each in found[:MOST_SHOWN] for d in each.diagnostics]
    rest = [name for name, _ in found[MOST_SHOWN:]]
    if rest:
        names = ", ".join(quoted(name) for name in rest[:3]) + (", …" if len(rest) > 3 else "")
        more = f"and {len(rest)} more like this: {names}"
        diagnostics[-1] = replace(diagnostics[-1], notes=(*diagnostics[-1].notes, more))
    return diagnostics
