"""Something that is chosen by name and has options: `adamw(lr=0.001, betas=(0.9, 0.95))`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from attndsl.choices.option import Option, Plain, unknown
from attndsl.diagnostics import Span, error


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
        return type(self) is type(other) and self.values == other.values  # type: ignore[attr-defined]

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
