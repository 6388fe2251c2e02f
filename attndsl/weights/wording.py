"""How what is wrong with weights is told."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from attndsl.diagnostics import AttnError, Diagnostic, error, first_of, is_heard, warn, warning
from attndsl.lazy import Array, np
from attndsl.records import replace
from attndsl.storage.deferred import Deferred, stated

MOST_SHOWN = 5
"""How many tensors of one kind of mistake get a message each."""


def unwritable(path: str | os.PathLike[str], problem: OSError) -> AttnError:
    return error(
        "E0612",
        f"{path} cannot be written: {problem.strerror or problem}",
        help="write somewhere else, or check how much space there is and who may write there",
    )


def told_if_not_finite(arrays: Mapping[str, Array], origin: str | os.PathLike[str]) -> Deferred:
    """The same parameters, by address; when each of them has been read it warns (W0602) of those that hold NaN or
    infinities. `origin` is where they are read."""
    known, found = stated(arrays), dict[str, int]()
    left = set(known)

    def looked_at(address: str, array: Array) -> Array:
        if address in left and is_heard():
            left.remove(address)
            if bad := array.size - int(np.isfinite(array).sum()):
                found[address] = bad
            if found and not left:
                _warn_not_finite(found, known, origin)
        return array

    return Deferred(
        known,
        lambda address: looked_at(address, arrays[address]),
        lambda: ((address, looked_at(address, array)) for address, array in arrays.items()),
    )


def _warn_not_finite(found: Mapping[str, int], arrays: Mapping[str, Array], origin: str | os.PathLike[str]) -> None:
    address, bad = next(iter(found.items()))
    others = [f"`{other}`" for other in list(found)[1 : MOST_SHOWN + 1]]
    more = f" and {len(found) - 1 - len(others)} more" if len(found) - 1 > len(others) else ""
    warn(
        warning(
            "W0602",
            f"`{address}` in {origin} has {bad:,} of {arrays[address].size:,} values that are NaN or infinite",
            note=f"so have {', '.join(others)}{more}" if others else (),
            help="what is computed from it will be NaN: look for where the weights come from, such as a training that "
            "diverged, or a float16 that overflowed",
        )
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
