"""The values that a sweep tries: how they are typed, and the combinations of them."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from attndsl.diagnostics import did_you_mean, error

MOST = 10_000
"""Runs of a sweep: more is a mistake."""
RANGES = ("log", "uniform")
_RANGE = re.compile(rf"({'|'.join(RANGES)})\(\s*([^\s,]+)\s*,\s*([^\s,]+)\s*\)")
_CALL = re.compile(r"([A-Za-z_]\w*)\(\s*[-+.\de]+\s*,\s*[-+.\de]+\s*\)")


def split_values(text: str) -> list[str]:
    """The values in `1e-3, 3e-4`; commas in brackets and quotes belong to a value (`[0.9, 0.95]`, `sgd(lr=1)`)."""
    values, depth, quote, begun = [], 0, "", 0
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and depth == 0:
            values.append(text[begun:place].strip())
            begun = place + 1
    return [value for value in (*values, text[begun:].strip()) if value]


def as_values(value: Any) -> list[str]:
    """The values of a setting as they are typed, of what a file or Python has: the elements of a list, else the one."""

    def text(each: Any) -> str:
        if isinstance(each, (list, tuple)):
            return f"[{', '.join(map(text, each))}]"
        return "none" if each is None else ("true" if each else "false") if isinstance(each, bool) else str(each)

    value = value.tolist() if hasattr(value, "tolist") else value
    return [text(each) for each in value] if isinstance(value, (list, tuple, range)) else [text(value)]


def require_apart(values: Mapping[str, Sequence[str]]) -> None:
    """That no value stands twice, and none is nearly a range (E0726)."""
    for name, its in values.items():
        twice = next((value for place, value in enumerate(its) if value in its[:place]), None)
        if twice is not None:
            raise error(
                "E0726", f"`{name}` has the value `{twice}` twice",
                help="leave one of them out; `--seeds 3` trains each combination with several seeds",
            )  # fmt: skip
        for value in its:
            call = _CALL.fullmatch(value)
            meant = did_you_mean(call.group(1), RANGES) if call is not None and call.group(1) not in RANGES else ()
            if meant:
                raise error("E0726", f"`{value}`, a value of `{name}`, is no range", help=meant)


def combinations(values: Mapping[str, Sequence[str]], tries: int | None, seed: int = 0) -> list[dict[str, str]]:
    """Every combination of the values; or so many `tries`, drawn from them without repeating one. A value may be a
    range to draw from, `log(1e-4, 1e-2)` or `uniform(0, 0.5)`. Raises E0726 where nothing is to be drawn from a range,
    and for more than `MOST`."""
    ranged = [name for name, its in values.items() if any(map(_RANGE.fullmatch, its))]
    if tries is None:
        if ranged:
            raise error(
                "E0726", f"`{ranged[0]}` is a range, and a grid has no end of its values",
                help="say how many to draw: `--random 20`, or name the values",
            )  # fmt: skip
        count = math.prod(len(its) for its in values.values())
        if count > MOST:
            raise error("E0726", f"the grid has {count:,} combinations", help="draw some of them: `--random 20`")
        return [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]
    draw, found = random.Random(seed), dict[tuple[str, ...], None]()
    for _ in range(20 * tries):  # a small grid may have no more than were drawn already
        if len(found) < tries:
            found.setdefault(tuple(_drawn(draw.choice(its), draw) for its in values.values()))
    return [dict(zip(values, each, strict=True)) for each in found]


def _drawn(value: str, draw: random.Random) -> str:
    match = _RANGE.fullmatch(value)
    if match is None:
        return value
    try:
        low, high = float(match[2]), float(match[3])
        logarithmic = match[1] == "log"
        if not low < high or (logarithmic and low <= 0):
            raise ValueError
    except ValueError:
        raise error(
            "E0726", f"`{value}` is not a range", help="write `log(1e-4, 1e-2)` (above zero) or `uniform(0, 0.5)`"
        ) from None
    drawn = math.exp(draw.uniform(math.log(low), math.log(high))) if logarithmic else draw.uniform(low, high)
    return f"{drawn:.3g}"


def is_range(value: str) -> bool:
    return _RANGE.fullmatch(value) is not None
