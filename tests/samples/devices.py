"""The devices that are here, as what tests are parametrised by."""

from __future__ import annotations

from typing import Any

import pytest

from attndsl.diagnostics import AttnError
from attndsl.running.backends import Backend

ROUNDING = {"float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
"""How far the nearest number may be, relative to what is rounded."""


def on_each_device(backend: Backend, *given: Any, id: str = "") -> list[Any]:
    """`(*given, device)` for each device of the backend that is here; on the CPU alone where it is not installed."""
    return [
        pytest.param(*given, device, id=f"{id}-{device}" if id else device, marks=_marks(backend, device))
        for device in backend.devices
        if device == "cpu" or _is_here(backend, device)
    ]


def _marks(backend: Backend, device: str) -> list[pytest.MarkDecorator]:
    missing = pytest.mark.skipif(not backend.installed, reason="it is not installed")
    return [missing] if device == "cpu" else [getattr(pytest.mark, device)]


def _is_here(backend: Backend, device: str) -> bool:
    try:
        backend.require(device=device)
    except AttnError:
        return False
    return True
