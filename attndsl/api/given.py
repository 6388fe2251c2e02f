"""Hyperparameters as Python gives them, and the checker's messages about them in Python's terms."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attndsl.diagnostics import AttnError, Diagnostic, Label, Source, listening
from attndsl.records import replace

if TYPE_CHECKING:
    from attndsl.elaborate.settings import Setting


def merged(settings: Mapping[str, Setting] | None, named: Mapping[str, Setting]) -> dict[str, Setting]:
    """Settings given as a mapping and by name, as the checker takes them. Raises E0795 for one that is given twice,
    E0796 for a value that the language does not have."""
    found: dict[str, Setting] = {}
    problems: list[Diagnostic] = []
    for name, value in [*(settings or {}).items(), *named.items()]:
        plain = _plain(value)
        if name in found and found[name] != plain:
            said = f"`{name}` is given twice: {found[name]} in the mapping and {plain} by name"
            problems.append(Diagnostic("E0795", said, helps=("leave one of them out",)))
        elif plain is None:
            said = f"`{name}` cannot be a Python {type(value).__name__}: {_short(value)}"
            problems.append(Diagnostic("E0796", said, helps=(_WAYS,)))
        else:
            found[name] = plain
    if problems:
        raise AttnError(*problems)
    return found


_WAYS = 'give a number, True, False, None, a list, or text of the language, such as `act="silu"` or `seen="window(4)"`'


def _plain(value: object) -> Setting | None:
    """A value as a setting; None where it is not one. Python's None is the language's `none`, and NumPy's and PyTorch's
    scalars are numbers."""
    if value is None:
        return "none"
    if isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        parts = [_plain(each) for each in value]
        return None if any(part is None for part in parts) else parts
    if callable(getattr(value, "tolist", None)) and getattr(value, "ndim", 0) == 1:
        return _plain(value.tolist())  # type: ignore[attr-defined]
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", None) == 0:
        return _plain(item())
    return None


@contextmanager
def python_warnings() -> Iterator[None]:
    """Within it, warnings are issued as Python's own are, at the line of the caller."""

    def tell(found: tuple[Diagnostic, ...]) -> None:
        frame, depth = sys._getframe(), 1
        while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in _INSIDE:
            frame, depth = frame.f_back, depth + 1
        for it in found:
            warnings.warn(f"[{it.code}] {it.message}", stacklevel=depth)

    with listening(tell):
        yield


_INSIDE = ("attndsl", "contextlib")


def for_python(diagnostic: Diagnostic) -> Diagnostic:
    """A diagnostic about a `--set`, reworded for a keyword argument."""

    def text(said: str) -> str:
        return re.sub(r"`--set (\w+=[^`]*)`", r"`\1`", said)

    def label(it: Label) -> Label:
        if it.span.source.name != "--set":
            return it
        return replace(it, span=replace(it.span, source=Source("<settings>", it.span.source.text)))

    return replace(
        diagnostic,
        message=text(diagnostic.message),
        primary=label(diagnostic.primary) if diagnostic.primary else None,
        secondary=tuple(map(label, diagnostic.secondary)),
        notes=tuple(map(text, diagnostic.notes)),
        helps=tuple(map(text, diagnostic.helps)),
    )


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:59] + "…"


def dtype_name(dtype: object) -> str:
    """The name of a precision: of `"float32"`, `numpy.float32`, `numpy.dtype("float32")`, `torch.float32`."""
    return getattr(dtype, "__name__", None) or str(dtype).removeprefix("torch.")
