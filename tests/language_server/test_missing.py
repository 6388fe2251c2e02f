"""Without pygls the server says what to install."""

from __future__ import annotations

import sys
from typing import Any

import pytest


def test_the_package_that_is_missing_is_named(attndsl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygls", None)
    done = attndsl("lsp")
    assert done.code == 1
    assert "error[E0708]: the language server needs the package `pygls`, which is not installed" in done.err
    assert "pip install 'attndsl[editor]'" in done.err
