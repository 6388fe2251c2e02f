"""What a recipe chooses by name: kinds with options (`adamw(lr=0.001)`), and the registries that know the kinds.

Given a name and values as they were written; gives an object of the class that owns the name, its options all read. An
optimizer, a schedule and an objective are each one class; nothing here knows any of them.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self, TypeVar, Union

from attndsl.diagnostics import AttnError, Span, did_you_mean, error
from attndsl.records import Frozen

Plain = Union[int, float, bool, str, tuple[float, ...], tuple[str, ...], None]
T = TypeVar("T", bound=type[Any])


class Option(Frozen):
    """One setting. `kind` is `int`, `float`, `numbers` (one or several), `bool`, `pair`, `word` or `words` (one word or
    several); numbers lie in `[least, most]`, words among `words` (any word if there are none). A default of None means
    that it must be given."""

    kind: str
    default: Plain
    doc: str
    least: float = -math.inf
    most: float = math.inf
    words: tuple[str, ...] = ()

    def read(self, name: str, value: object, span: Span | None) -> Plain:
        """`value` as this option's kind; raises E0721 with the place it was written at."""
        if self.default is not None and value == self.default and isinstance(value, str):
            return value  # what stands for a choice that something else makes
        if self.kind == "bool" and isinstance(value, bool):
            return value
        if self.kind == "word" and isinstance(value, str) and (not self.words or value in self.words):
            return value
        if self.kind == "words":
            several = (value,) if isinstance(value, str) else value
            if isinstance(several, (tuple, list)) and all(isinstance(word, str) and word for word in several):
                return tuple(several)
        if self.kind == "pair" and isinstance(value, (tuple, list)) and len(value) == 2 and all(map(self._fits, value)):
            return tuple(float(part) for part in value)
        if self.kind == "numbers" and isinstance(value, (tuple, list)) and value and all(map(self._fits, value)):
            return tuple(float(part) for part in value)
        if self.kind in ("int", "float", "numbers") and isinstance(value, (int, float)) and self._fits(value):
            return int(value) if self.kind == "int" else float(value)
        near = did_you_mean(value, self.words) if isinstance(value, str) else ()
        raise error(
            "E0721", f"`{name}` cannot be {_shown(value)}", span, help=(*near, f"`{name}` is {self.described()}")
        )

    def _fits(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return False
        return self.least <= value <= self.most and (self.kind != "int" or value == int(value))

    def described(self) -> str:
        """What it may be, in words."""
        if self.kind == "bool":
            return "true or false" if isinstance(self.default, bool) else f"true, false or {self.default}"
        if self.kind == "word":
            return f"one of {', '.join(self.words)}" if self.words else "a name"
        if self.kind == "words":
            return 'a string or several: `"a.*"`, `"a.*" | "b.*"`'
        what = {
            "int": "a whole number", "float": "a number", "numbers": "a number or several", "pair": "a pair of numbers"
        }[self.kind]  # fmt: skip
        if math.isfinite(self.least) and math.isfinite(self.most):
            return f"{what} from {_number(self.least)} to {_number(self.most)}"
        return f"{what}, at least {_number(self.least)}" if math.isfinite(self.least) else what


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, (tuple, list)):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`" if isinstance(value, (int, float, str)) else "that"


def unknown(what: str, name: str, known: Mapping[str, object], span: Span | None = None) -> AttnError:
    """E0720: there is no such thing; known ones are named."""
    return error(
        "E0720", f"there is no {what}", span, help=did_you_mean(name, known) or (f"there are: {', '.join(known)}",)
    )


class Kind:
    """One of several things of a sort. The class says what it is (`name`, `doc`, `options`), an instance is one that
    was chosen, with a value for each option. Instances do not change, and are equal where class and values are."""

    name: ClassVar[str] = ""
    doc: ClassVar[str] = ""
    options: ClassVar[Mapping[str, Option]] = {}

    def __init__(
        self,
        given: Mapping[str, object] | None = None,
        spans: Mapping[str, Span] | None = None,
        span: Span | None = None,
    ) -> None:
        """With the defaults filled in. Raises E0720 (no such option), E0721 (a value that does not fit, one that must
        be given)."""
        self.values = read_options(self.name, self.options, given or {}, spans, span)

    def __getitem__(self, option: str) -> Plain:
        return self.values[option]

    def number(self, option: str) -> float:
        """An option that is a number."""
        value = self.values[option]
        assert isinstance(value, (int, float))
        return value

    def pair(self, option: str) -> tuple[float, float]:
        """An option that is a pair of numbers."""
        value = self.values[option]
        assert isinstance(value, tuple)
        first, second = value
        return float(first), float(second)

    def replaced(self, **values: object) -> Self:
        """The same with some options changed. Raises E0720, E0721."""
        return type(self)({**self.values, **values})

    def to_json(self) -> dict[str, Any]:
        """As plain values; a registry's `from_json` reads it back."""
        return {"kind": self.name, **self.values}

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.values == other.values

    def __hash__(self) -> int:
        return hash((type(self), *self.values.items()))

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value}' for name, value in self.values.items())})"


def read_options(
    kind: str,
    options: Mapping[str, Option],
    given: Mapping[str, object],
    spans: Mapping[str, Span] | None = None,
    span: Span | None = None,
) -> dict[str, Plain]:
    """A value for each of the `options` of `kind`, in their order: what was `given`, else the default. Raises E0720 (no
    such option), E0721 (a value that does not fit, one that must be given)."""
    spans = spans or {}
    for name in given:
        if name not in options:
            raise unknown(f"option `{name}` of {kind}", name, options, spans.get(name, span))
    chosen: dict[str, Plain] = {}
    for name, option in options.items():
        if name in given:
            chosen[name] = option.read(name, given[name], spans.get(name, span))
        elif option.default is None:
            raise error("E0721", f"{kind} needs `{name}`: {option.doc}", span, help=f"write `{kind}({name}={name}, …)`")
        else:
            chosen[name] = option.default
    return chosen


class Registry(Mapping[str, T]):
    """The classes of one sort (`optimizer`) by their names. `homes` says where those that come with attndsl are
    (`{"adamw": "attndsl.optimizers.adam:AdamW"}`): each is imported when it is first asked for. Another package
    announces one by an entry point of the group `attndsl.optimizers`, and a program of yours calls `register`."""

    def __init__(self, what: str, homes: Mapping[str, str]) -> None:
        self.what = what
        self._homes = dict(homes)
        self._found: dict[str, T] = {}
        self._searched = False

    def __getitem__(self, name: str) -> T:
        if name not in self._found and name in self._homes:
            module, _, attribute = self._homes[name].partition(":")
            try:
                self._found[name] = getattr(importlib.import_module(module), attribute)
            except Exception as problem:
                if module.startswith("attndsl."):
                    raise
                reason = (str(problem).strip() or type(problem).__name__).splitlines()[0]
                message = f"the {self.what} `{name}` of the module `{module}` cannot be loaded: {reason}"
                raise error("E0720", message, help="reinstall its package, or one that is newer") from None
        if name not in self._found:
            self._search()
        return self._found[name]

    def __contains__(self, name: object) -> bool:
        if name not in self._homes and name not in self._found:
            self._search()
        return name in self._homes or name in self._found

    def __iter__(self) -> Iterator[str]:
        self._search()
        return iter(dict.fromkeys((*self._homes, *self._found)))

    def __len__(self) -> int:
        self._search()
        return len(self._homes.keys() | self._found.keys())

    def _search(self) -> None:
        """Ask other packages, once."""
        if self._searched:
            return
        self._searched = True
        from importlib.metadata import entry_points

        for entry in entry_points(group=f"attndsl.{self.what}s"):
            if entry.name not in self._homes:
                self._homes[entry.name] = entry.value

    def register(self, kind: T) -> T:
        """Add a class under its own name; made to be written above it, as a decorator. Raises `ValueError` where there
        is another of that name."""
        home = self._homes.get(kind.name)
        if not kind.name or kind.name in self._found or home not in (None, f"{kind.__module__}:{kind.__name__}"):
            raise ValueError(f"there is already an {self.what} `{kind.name}`" if kind.name else f"{kind} has no name")
        self._found[kind.name] = kind
        return kind

    def unregister(self, name: str) -> None:
        """Take out what `register` added."""
        if name in self._homes:
            raise ValueError(f"`{name}` comes with a package")
        del self._found[name]

    def require(self, name: str, span: Span | None = None) -> T:
        """The class of that name. Raises E0720 where there is none."""
        if name not in self:
            raise unknown(f"{self.what} `{name or 'that'}`", name, dict.fromkeys(self), span)
        return self[name]
