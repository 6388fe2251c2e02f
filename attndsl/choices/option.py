"""One setting that is a plain value: what kind it is, what it may be, and what it is when not said."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Union

from attndsl.diagnostics import AttnError, Span, did_you_mean, error
from attndsl.records import dataclass

Plain = Union[int, float, bool, str, tuple[float, ...], tuple[str, ...], None]


@dataclass(frozen=True, slots=True)
class Option:
    """One setting. `kind` is `int`, `float`, `bool`, `pair`, `word` or `words` (one word or several); numbers lie in
    `[least, most]`, words among `words` (any word if there are none). A default of None means that it must be given."""

    kind: str
    default: Plain
    doc: str
    least: float = -math.inf
    most: float = math.inf
    words: tuple[str, ...] = ()

    def read(self, name: str, value: object, span: Span | None) -> Plain:
        """`value` as this option's kind; raises E0721 with the place it was written at."""
        if self.kind == "bool" and isinstance(value, bool):
            return value
        if self.kind == "word" and isinstance(value, str) and (not self.words or value in self.words):
            return value
        if self.kind == "words":
            several = (value,) if isinstance(value, str) else value
            if isinstance(several, (tuple, list)) and all(isinstance(word, str) and word for word in several):
                return tuple(several)
        if self.kind == "pair" and isinstance(value, (tuple, list)) and len(value) == 2 and all(map(self._fits, value)):
            return tuple(float(part) for part in value)
        if self.kind in ("int", "float") and isinstance(value, (int, float)) and self._fits(value):
            return int(value) if self.kind == "int" else float(value)
        near = did_you_mean(value, self.words) if isinstance(value, str) else ()
        raise error(
            "E0721", f"`{name}` cannot be {_shown(value)}", span, help=(*near, f"`{name}` is {self.described()}")
        )

    def _fits(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return False
        return self.least <= value <= self.most and (self.kind != "int" or value == int(value))

    def described(self) -> str:
        """What it may be, in words."""
        if self.kind == "bool":
            return "true or false"
        if self.kind == "word":
            return f"one of {', '.join(self.words)}" if self.words else "a name"
        if self.kind == "words":
            return 'a text or several: `"a.*"`, `"a.*" | "b.*"`'
        what = {"int": "a whole number", "float": "a number", "pair": "a pair of numbers"}[self.kind]
        if math.isfinite(self.least) and math.isfinite(self.most):
            return f"{what} from {_number(self.least)} to {_number(self.most)}"
        return f"{what}, at least {_number(self.least)}" if math.isfinite(self.least) else what


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, (tuple, list)):
        return f"`({', '.join(map(str, value))})`"
    return f"`{value}`" if isinstance(value, (int, float, str)) else "that"


def unknown(what: str, name: str, known: Mapping[str, object], span: Span | None = None) -> AttnError:
    """E0720: there is no such thing; known ones are named."""
    return error(
        "E0720", f"there is no {what}", span, help=did_you_mean(name, known) or (f"there are: {', '.join(known)}",)
    )
