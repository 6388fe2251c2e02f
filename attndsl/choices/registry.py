"""The kinds of one sort by name."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from attndsl.choices.option import unknown
from attndsl.diagnostics import Span

T = TypeVar("T", bound=type[Any])


class Registry(Mapping[str, T]):
    """The classes of one sort (`optimizer`) by their names. `homes` says where those that come with attndsl are
    (`{"adamw": "attndsl.optimizers.adam:AdamW"}`): each is imported when it is first asked for. `register` adds one."""

    def __init__(self, what: str, homes: Mapping[str, str]) -> None:
        self.what = what
        self._homes = dict(homes)
        self._found: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        if name not in self._found:
            module, _, attribute = self._homes[name].partition(":")
            self._found[name] = getattr(importlib.import_module(module), attribute)
        return self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in self._homes or name in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._homes, *self._found)))

    def __len__(self) -> int:
        return len(self._homes.keys() | self._found.keys())

    def register(self, kind: T) -> T:
        """Add a class under its own name; made to be written above it, as a decorator. Raises `ValueError` where there
        is one of that name."""
        if not kind.name or kind.name in self:
            raise ValueError(f"there is an {self.what} `{kind.name}`" if kind.name else f"{kind} has no name")
        self._found[kind.name] = kind
        return kind

    def unregister(self, name: str) -> None:
        """Take out what `register` added."""
        if name in self._homes:
            raise ValueError(f"`{name}` comes with attndsl")
        del self._found[name]

    def require(self, name: str, span: Span | None = None) -> T:
        """The class of that name. Raises E0720 where there is none."""
        if name not in self:
            raise unknown(f"{self.what} `{name or 'that'}`", name, dict.fromkeys(self), span)
        return self[name]
