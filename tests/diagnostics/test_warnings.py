"""Warnings among errors, and their way to whoever listens."""

from __future__ import annotations

import pytest

from attndsl.diagnostics import (
    AttnError,
    Diagnostic,
    Source,
    Span,
    collected,
    error,
    is_heard,
    listening,
    warn,
    warning,
)
from attndsl.diagnostics.report import counted, render, to_json

SOURCE = Source("my.attn", "a = 1\n")
FIRST = warning("W0101", "first", Span(SOURCE, 0, 1), "here", help="mend it")
SECOND = warning("W0102", "second")
(WRONG,) = error("E0101", "wrong").diagnostics


def test_errors_come_before_warnings() -> None:
    assert render([FIRST, WRONG, SECOND], color=False).split("\n\n") == [
        "error[E0101]: wrong",
        "warning[W0101]: first\n  --> my.attn:1:1\n   |\n 1 | a = 1\n   | ^ here\n   |\n   = help: mend it",
        "warning[W0102]: second",
    ]
    assert [it["severity"] for it in to_json([FIRST, WRONG])["diagnostics"]] == ["error", "warning"]
    many = render([FIRST] * 25 + [WRONG], color=False)
    assert many.startswith("error[E0101]")
    assert many.endswith("… and 6 more")


def test_they_are_counted() -> None:
    assert counted([WRONG]) == ""
    assert counted([WRONG, FIRST]) == "1 warning"
    assert counted([FIRST] * 1200) == "1,200 warnings"


def test_a_warning_has_a_colour_of_its_own() -> None:
    shown = render([FIRST], color=True)
    assert "\x1b[1;33mwarning[W0101]\x1b[0m" in shown
    assert "\x1b[1;33m^\x1b[0m" in shown
    assert "\x1b[1;31m" not in shown
    assert "\x1b[1;31merror[E0101]\x1b[0m" in render([WRONG], color=True)


def test_as_text_it_is_what_is_printed() -> None:
    assert str(FIRST) == render([FIRST], color=False)


def test_the_innermost_listener_hears() -> None:
    warn(FIRST)  # nobody does
    assert not is_heard()
    outside: list[tuple[Diagnostic, ...]] = []
    with listening(outside.append):
        assert is_heard()
        warn(FIRST, SECOND)
        with collected() as inside:
            warn(SECOND, SECOND)
            warn(SECOND)
        warn()
    assert outside == [(FIRST, SECOND)]
    assert inside == [SECOND]


def test_a_listener_may_raise() -> None:
    def refuse(found: tuple[Diagnostic, ...]) -> None:
        raise AttnError(*found)

    with pytest.raises(AttnError, match="W0101"), listening(refuse):
        warn(FIRST)
    assert not is_heard()
