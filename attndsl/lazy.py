"""What is costly to load and what checking does without, imported at the first use of a name in it."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

_IMPORT = re.compile(r"^    from (\S+) import (\([^)]*\)|.*)$", re.MULTILINE)  # inside of a block
_NAME = re.compile(r"(\w+)(?:\s+as\s+(\w+))?")
_COMMENT = re.compile("#.*")


class _Lazy:
    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(importlib.import_module(self._module), name)
        setattr(self, name, value)
        return value


def lazily(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package whose names are imported at their first use, each from the module that
    the package has it from `if TYPE_CHECKING`. Raises ImportError where its source text is not there."""

    @cache
    def places() -> dict[str, tuple[str, str]]:
        """By name the module that has it, and its name there."""
        spec: Any = sys.modules[package].__spec__
        if not spec.origin.endswith(".py"):
            raise ImportError(f"the source text of {package} is not there, which says where its names are")
        text = spec.loader.get_data(spec.origin).decode("utf-8")  # `get_source` would import `tokenize`
        imports = _IMPORT.findall(_COMMENT.sub("", text.partition("if TYPE_CHECKING:")[2]))
        return {new or name: (module, name) for module, names in imports for name, new in _NAME.findall(names)}

    def get(name: str) -> Any:
        if name not in places():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, there = places()[name]
        value = getattr(importlib.import_module(module), there)
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
