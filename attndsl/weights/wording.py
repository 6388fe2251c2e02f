"""How what is wrong with weights is told."""

from __future__ import annotations

import os
from collections.abc import Iterable

from attndsl.diagnostics import AttnError, Diagnostic, error, first_of
from attndsl.records import replace

MOST_SHOWN = 5
"""How many tensors of one kind of mistake get a message each."""


def unwritable(path: str | os.PathLike[str], problem: OSError) -> AttnError:
    return error(
        "E0612",
        f"{path} cannot be written: {problem.strerror or problem}",
        help="write somewhere else, or check how much space there is and who may write there",
    )


def merged(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The diagnostics, those of one kind at one place (a line that means several) as one: the first, with the messages
    of the others."""
    found: dict[object, list[Diagnostic]] = {}
    for number, each in enumerate(diagnostics):
        at = each.primary.span.in_file if each.primary else None
        where = number if at is None else (at.source.name, at.start, at.end)
        found.setdefault((each.code, where), []).append(each)
    combined = []
    for first, *others in found.values():
        messages = list(dict.fromkeys(other.message for other in others if other.message != first.message))
        rest = (f"and {len(messages) - 2} more like this",) if len(messages) > 3 else ()
        shown = messages[:2] if rest else messages
        combined.append(replace(first, notes=(*first.notes, *(f"also: {message}" for message in shown), *rest)))
    return combined


def several(found: list[tuple[str, AttnError]]) -> list[Diagnostic]:
    """The diagnostics of many mistakes of a kind, each with its tensor's name: the first few as they are, the last of
    them with the names of the rest."""
    diagnostics = [d for _, each in found[:MOST_SHOWN] for d in each.diagnostics]
    rest = [name for name, _ in found[MOST_SHOWN:]]
    if rest:
        more = f"and {len(rest)} more like this: {first_of(rest, 3)}"
        diagnostics[-1] = replace(diagnostics[-1], notes=(*diagnostics[-1].notes, more))
    return diagnostics
