"""Which parameters keep their values: `freeze = "h.*" | "word.table"`."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence

from attndsl.diagnostics import AttnError, Span, error, nearest


def frozen(patterns: Sequence[str], addresses: Iterable[str], span: Span | None = None) -> frozenset[str]:
    """Those of the `addresses` that one of the `patterns` of `freeze` speaks of. Raises E0736 for a pattern that
    matches none of them, and where nothing is left to train."""
    known = list(addresses) if patterns else []
    found: set[str] = set()
    for pattern in patterns:
        matched = fnmatch.filter(known, pattern)
        if not matched:
            raise matches_nothing("freeze", pattern, known, span)
        found.update(matched)
    if known and len(found) == len(known):
        raise error(
            "E0736", "`freeze` leaves nothing to train: it matches every parameter", span,
            help='leave something out, such as the head: `freeze = "h.*"`',
        )  # fmt: skip
    return frozenset(found)


def matches_nothing(setting: str, pattern: str, known: list[str], span: Span | None) -> AttnError:
    """E0736: a pattern of `freeze` or `rates` that speaks of no parameter."""
    layers = {".".join(address.split(".")[:n]) for address in known for n in range(1, address.count(".") + 1)}
    near = nearest(pattern.rstrip("*").rstrip("."), {*known, *layers})
    if near is not None:
        help = f"did you mean `{near}{'' if near in known else '.*'}`?"
    else:
        first = sorted({address.partition(".")[0] for address in known})
        help = f"the parameters begin with {', '.join(first)}; `attndsl inspect` lists them"
    return error("E0736", f"`{setting}` has the pattern `{pattern}`, which no parameter matches", span, help=help)
