"""What becomes of warnings on the command line: printed as errors are, errors with --strict, nothing with --allow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attndsl.diagnostics import AttnError, Diagnostic
from attndsl.records import replace


class Warnings:
    """Listens to what a verb is warned of; `args` are its words, which may say `strict` and which codes to `allow`."""

    def __init__(self, args: Any) -> None:
        self.strict: bool = getattr(args, "strict", False)
        self.allowed: frozenset[str] = frozenset(getattr(args, "allow", ()))
        self.told: set[Diagnostic] = set()

    def judged(self, found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
        """Those that are not allowed; where it is strict, as errors."""
        kept = tuple(it for it in found if it.code not in self.allowed)
        return tuple(replace(it, severity="error") for it in kept) if self.strict else kept

    def __call__(self, found: tuple[Diagnostic, ...]) -> None:
        from attndsl.cli.failures import report

        judged = tuple(it for it in self.judged(found) if it not in self.told)
        self.told.update(judged)
        if judged and self.strict:
            raise AttnError(*judged)
        if judged:
            report(judged)
