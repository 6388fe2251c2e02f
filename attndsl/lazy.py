"""What is costly to load and what checking does without, imported at the first use of a name in it."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

_IMPORT = re.compile(r"^    from (\S+) import (\([^)]*\)|.*)$", re.MULTILINE)  # inside of a block


class _Lazy:
    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(importlib.import_module(self._module), name)
        setattr(self, name, value)
        return value


def lazily(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package whose names are imported at their first use, each from the module that
    the package has it from `if TYPE_CHECKING`."""

    @cache
    def places() -> dict[str, str]:
        loader: Any = sys.modules[package].__loader__
        imports = _IMPORT.findall(loader.get_source(package))
        return {name: module for module, names in imports for name in re.findall(r"\w+", names)}

    def get(name: str) -> Any:
        if name not in places():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(places()[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *places()})

    return get, names


if TYPE_CHECKING:
    import numpy as np
    from lsprotocol import types as lsp

    Array = np.ndarray[Any, Any]
else:
    np, Array = _Lazy("numpy"), Any
    lsp = _Lazy("lsprotocol.types")

__all__ = ["Array", "lazily", "lsp", "np"]
