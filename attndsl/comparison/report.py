"""What a comparison found: a row for each output and gradient, and where it went wrong, as text and as JSON."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from attndsl.records import Frozen, dataclass, replace

if TYPE_CHECKING:
    from attndsl.diagnostics import Span

SCHEMA = "attndsl.compare/1"


VALUES = ("output", "state")
"""The kinds of what a model computes, gradients apart."""


class ComparedArray(Frozen):
    """One array. `absolute` is the greatest difference between two elements, `relative` that divided by the greatest
    magnitude in the reference (None where the reference is nothing but rounding noise), `tolerance` what `absolute` may
    be. Where one side has a NaN or an infinity and the other has not, both are infinite."""

    kind: str  # one of `VALUES`, "gradient" (by a parameter) or "input gradient"
    name: str
    shape: tuple[int, ...]
    absolute: float
    relative: float | None
    tolerance: float

    @property
    def ok(self) -> bool:
        return self.absolute <= self.tolerance


class Divergence(Frozen):
    """The first place where the two sides part. `address` is the value's, `operation` what computes it, `in_gradient`
    whether its value still agrees and its gradient does not; `spans` the places in the specs, the user's own first."""

    address: str
    operation: str
    absolute: float
    tolerance: float
    in_gradient: bool
    spans: tuple[Span, ...]
    differs_by_itself: bool  # whether the operation differs on the same operands, by itself


class Shown:
    """What was found, which prints as a table."""

    __slots__ = ()

    @property
    def ok(self) -> bool:
        """Whether all is as it should be."""
        raise NotImplementedError(type(self).__name__)

    def to_json(self) -> dict[str, object]:
        """Plain data, with a versioned schema; differences that are infinite, or relative to noise, are null."""
        raise NotImplementedError(type(self).__name__)

    def _repr_html_(self) -> str:
        """For notebooks: the table as it is, since its columns are aligned."""
        return f"<pre>{escape(str(self))}</pre>"


@dataclass(frozen=True, slots=True)
class Comparison(Shown):
    model: str
    reference: str
    candidate: str
    dtype: str
    sizes: dict[str, int]
    rows: tuple[ComparedArray, ...]
    divergence: Divergence | None = None

    @property
    def ok(self) -> bool:
        return all(row.ok for row in self.rows)

    def __str__(self) -> str:
        return table(self)

    def to_json(self) -> dict[str, object]:
        return {
            "schema": SCHEMA,
            "model": self.model,
            "ok": self.ok,
            "reference": self.reference,
            "candidate": self.candidate,
            "dtype": self.dtype,
            "sizes": self.sizes,
            "rows": [
                {
                    "kind": row.kind,
                    "name": row.name,
                    "shape": list(row.shape),
                    "max_absolute": finite(row.absolute),
                    "max_relative": finite(row.relative),
                    "tolerance": row.tolerance,
                    "ok": row.ok,
                }
                for row in self.rows
            ],
            "divergence": divergence_json(self.divergence),
        }


def divergence_json(found: Divergence | None) -> dict[str, object] | None:
    """The first place that differs, as plain data."""
    if found is None:
        return None
    return {
        "address": found.address,
        "operation": found.operation,
        "max_absolute": finite(found.absolute),
        "tolerance": found.tolerance,
        "in_gradient": found.in_gradient,
        "operation_differs_alone": found.differs_by_itself,
        "places": [str(span) for span in found.spans],
    }


def finite(value: float | None) -> float | None:
    """What JSON can say."""
    return value if value is not None and math.isfinite(value) else None


def table(comparison: Comparison) -> str:
    """The comparison as text: a row each, those of a repeat's layers in one where all of them agree."""
    c = comparison
    sizes = ", ".join(f"{name}={value}" for name, value in c.sizes.items())
    lines = [f"{c.model}: {c.candidate} against {c.reference}, {c.dtype}" + (f" · {sizes}" if sizes else ""), ""]
    shown = [("", "", "max abs", "max rel", "tolerance", "")]
    for row, count in _gathered(c.rows):
        shape = "×".join(map(str, row.shape)) or "scalar"
        many = f" ({count} layers)" if count > 1 else ""
        shown.append(
            (
                f"{row.kind} {row.name}{many}",
                shape,
                number(row.absolute),
                number(row.relative),
                number(row.tolerance),
                "ok" if row.ok else "DIFFERS",
            )
        )
    widths = [max(len(line[i]) for line in shown) for i in range(6)]
    for line in shown:
        left = f"  {line[0]:<{widths[0]}}  {line[1]:>{widths[1]}}"
        lines.append(
            f"{left}  {line[2]:>{widths[2]}}  {line[3]:>{widths[3]}}  {line[4]:>{widths[4]}}  {line[5]}".rstrip()
        )
    differing = sum(not row.ok for row in c.rows)
    lines += ["", f"{len(c.rows)} arrays agree" if c.ok else f"{differing} of {len(c.rows)} arrays differ"]
    if c.divergence is not None:
        lines += said(c.divergence)
    return "\n".join(lines)


def said(found: Divergence) -> list[str]:
    """The first place that differs, in words."""
    what = "gradient" if found.in_gradient else "value"
    lines = [
        f"the first {what} that differs: {found.address} ({found.operation}), "
        f"by {number(found.absolute)} where {number(found.tolerance)} is allowed"
    ]
    for i, span in enumerate(found.spans):
        lines.append(f"  {'at' if i == 0 else 'in'} {span}: {span.source.line(span.line).strip()}")
    if found.differs_by_itself:
        lines.append("  this operation differs by itself, given the same operands")
    return lines


def number(value: float | None) -> str:
    """A difference, with two digits."""
    if value is None:
        return "noise"
    return f"{value:.1e}" if value else "0"


def _gathered(rows: tuple[ComparedArray, ...]) -> list[tuple[ComparedArray, int]]:
    """Rows with those that differ in their layer's number alone, and agree, put together as the worst of them."""
    groups: dict[object, list[ComparedArray]] = {}
    for i, row in enumerate(rows):
        groups.setdefault((row.kind, _pattern(row.name), row.shape) if row.ok else i, []).append(row)
    found = []
    for members in groups.values():
        largest = max(members, key=lambda row: row.absolute / row.tolerance if row.tolerance else row.absolute)
        if len(members) > 1:
            largest = replace(largest, name=_pattern(largest.name))
        found.append((largest, len(members)))
    return found


def _pattern(name: str) -> str:
    """`h.*.ln_1.scale` for `h.3.ln_1.scale`."""
    return ".".join("*" if part.isdecimal() else part for part in name.split("."))
