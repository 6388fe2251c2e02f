"""What a verification found, as a table and as JSON."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from attndsl.comparison.report import Divergence, Shown, divergence_json, finite, number, said
from attndsl.records import Frozen, dataclass
from attndsl.verification.reducing import Changes

if TYPE_CHECKING:
    from attndsl.verification.case import Case

SCHEMA = "attndsl.verify/1"

OK, FAILED, NOT_APPLICABLE = "OK", "FAIL", "not applicable"


class Finding(Frozen):
    """One line of the table. `claim` is what should hold, `how` says what was run to see whether it does, `difference`
    is the largest between two numbers that should be equal and `tolerance` what it may be. Where the claim says nothing
    of a model there is a `reason` instead. `divergence` is the first value that differs, `name` the array in which the
    difference is. What could not be run has an `error`, and does not hold."""

    claim: str
    how: str
    difference: float = 0.0
    tolerance: float = 0.0
    reason: str = ""
    name: str = ""
    divergence: Divergence | None = None
    error: str = ""

    @property
    def status(self) -> str:
        if self.reason:
            return NOT_APPLICABLE
        if self.error:
            return FAILED
        return OK if self.difference <= self.tolerance else FAILED

    @property
    def share(self) -> float:
        """How much of what is allowed the difference is."""
        if self.error:
            return inf
        return self.difference / self.tolerance if self.tolerance else self.difference

    def to_json(self) -> dict[str, object]:
        shown = not (self.reason or self.error)
        return {
            "claim": self.claim,
            "how": self.how,
            "status": self.status,
            "max_absolute": finite(self.difference) if shown else None,
            "tolerance": self.tolerance if shown else None,
            "reason": self.reason or None,
            "error": self.error or None,
            "array": self.name or None,
            "divergence": divergence_json(self.divergence),
        }


Claim = Callable[["Case"], Iterator[Finding]]


def claimed(name: str) -> Callable[[Claim], Claim]:
    """Makes a claim of what tries it: where that raises an error, the claim does not hold of this model."""

    def named(tried: Claim) -> Claim:
        @wraps(tried)
        def guarded(case: Case) -> Iterator[Finding]:
            try:
                yield from tried(case)
            except Exception as problem:
                yield crashed(name, "", problem)

        return guarded

    return named


def crashed(claim: str, how: str, problem: Exception) -> Finding:
    """What to say of a claim that could not be tried since an error was raised: the error, and where it comes from."""
    kind, message = type(problem).__name__, " ".join(str(problem).split())
    place = traceback.extract_tb(problem.__traceback__)[-1:]
    where = "".join(f" ({Path(frame.filename).name}:{frame.lineno})" for frame in place)
    return Finding(claim, how, error=f"{kind}: {message}{where}" if message else f"{kind}{where}")


def worst(findings: Iterable[Finding]) -> Finding:
    """The one that is nearest to what is allowed, or furthest beyond it."""
    return max(findings, key=lambda finding: finding.share)


@dataclass(frozen=True, slots=True)
class Verification(Shown):
    """`sizes` are the hyperparameters and lengths at which a model was verified; `reduced` those of them that are
    smaller than the model's own, with these."""

    model: str
    sizes: dict[str, int]
    reduced: Changes
    parameters: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return all(finding.status != FAILED for finding in self.findings)

    def __str__(self) -> str:
        return table(self)

    def to_json(self) -> dict[str, object]:
        return {
            "schema": SCHEMA,
            "model": self.model,
            "ok": self.ok,
            "sizes": self.sizes,
            "reduced": {name: {"from": before, "to": now} for name, (before, now) in self.reduced.items()},
            "parameters": self.parameters,
            "findings": [finding.to_json() for finding in self.findings],
        }


def head(v: Verification) -> str:
    """What was verified, at which sizes."""
    sizes = ", ".join(f"{name}={value}" for name, value in v.sizes.items())
    lines = [f"{v.model}: {v.parameters:,} parameters" + (f" · {sizes}" if sizes else "")]
    if v.reduced:
        changes = ", ".join(f"{name}={_shown(now)} (of {_shown(before)})" for name, (before, now) in v.reduced.items())
        lines.append(f"the same operations at smaller sizes: {changes}")
    return "\n".join(lines)


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value).replace("(", "[").replace(")", "]")


def table(v: Verification) -> str:
    """The verification as text."""
    failed = sum(finding.status == FAILED for finding in v.findings)
    done = sum(finding.status == OK for finding in v.findings)
    last = f"{failed} of {done + failed} claims do not hold" if failed else f"{done} claims hold"
    return "\n".join([head(v), "", *rows(v.findings), "", last])


def rows(findings: tuple[Finding, ...]) -> list[str]:
    """A line for each finding, and below those that fail where the first value differs."""
    claims = max((len(each.claim) for each in findings), default=0)
    hows = max((len(each.how) for each in findings if not each.reason), default=0)
    lines = [f"{'':{claims}}  {'':{hows}}  {'differs by':>10}  {'allowed':>8}"]
    before = ""
    for each in findings:
        claim = each.claim if each.claim != before else ""
        before = each.claim
        if each.reason:
            what = f"{each.how}: {each.reason}" if each.how else each.reason
            lines.append(f"{claim:{claims}}  not applicable: {what}")
            continue
        shown = f"{'':>10}  {'':>8}" if each.error else f"{number(each.difference):>10}  {number(each.tolerance):>8}"
        lines.append(f"{claim:{claims}}  {each.how:{hows}}  {shown}  {each.status}")
        if each.status == FAILED:
            lines += [f"  {line}" for line in _where(each)]
    return [line.rstrip() for line in lines]


def _where(finding: Finding) -> list[str]:
    if finding.error:
        return [finding.error]
    if finding.divergence is not None:
        return said(finding.divergence)
    return [f"in {finding.name}"] if finding.name else []
