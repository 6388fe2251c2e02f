"""Groups of parameters with learning rates of their own: `rates = groups("word.*", 0.1, "head.*", 10)`."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping

from attndsl.choices import Option
from attndsl.diagnostics import Span, error
from attndsl.recipe.freezing import matches_nothing
from attndsl.recipe.reading import typed
from attndsl.recipe.written import Written

_FACTOR = Option("float", 1.0, "by which the learning rate is multiplied", 0)


def read_rates(written: Written) -> dict[str, float]:
    """Pairs of a pattern over addresses and the factor for what it matches. Raises E0721."""
    parts = written.positional
    if written.word != "groups" or written.named or len(parts) % 2 or not all(part.word for part in parts[::2]):
        raise error(
            "E0721", "groups of learning rates are pairs of a pattern and a factor", written.span,
            help='write `rates = groups("word.*", 0.1, "head.*", 10)`',
        )  # fmt: skip
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return {pattern.word: _factor(pattern.word, factor.value, factor.span) for pattern, factor in pairs}


def with_rate(rates: Mapping[str, float], pattern: str, value: object) -> dict[str, float]:
    """`rates` with another factor for a pattern. Raises E0721."""
    return {**rates, pattern: _factor(pattern, typed(value), None)}


def _factor(pattern: str, value: object, span: Span | None) -> float:
    factor = _FACTOR.read(f"rates.{pattern}", value, span)
    assert isinstance(factor, float)
    return factor


def factors(rates: Mapping[str, float], addresses: Iterable[str], span: Span | None = None) -> dict[str, float]:
    """The factor of each of the `addresses` that a pattern of `rates` speaks of; of several that do, the first counts.
    Raises E0736 for a pattern that matches none."""
    known = list(addresses)
    found: dict[str, float] = {}
    for pattern, factor in rates.items():
        matched = fnmatch.filter(known, pattern)
        if not matched:
            raise matches_nothing("rates", pattern, known, span)
        for address in matched:
            found.setdefault(address, factor)
    return found
