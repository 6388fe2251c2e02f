"""Codes."""

from __future__ import annotations

from attndsl.codes.entry import Code

ENTRIES: tuple[Code, ...] = ()
