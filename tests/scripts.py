"""The scripts of the project as modules."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).resolve().parents[1] / "scripts"


def script(name: str) -> ModuleType:
    """`scripts/NAME.py`, as if it were imported."""
    spec = importlib.util.spec_from_file_location(f"scripts.{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a dataclass looks up where it was made
    spec.loader.exec_module(module)
    return module
