"""An expression in the notation of another library, read from the text as far as its arguments: no parser takes it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attndsl.records import Frozen, field

LONGEST = 2_000
"""Characters of an expression that are read."""

_PATH = re.compile(r"[A-Za-z_]\w*(?:[ \t]*\.[ \t]*[A-Za-z_]\w*)*")
_STRING = re.compile(r"""[fr]?("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')""")
_OPTION = re.compile(r"([A-Za-z_]\w*)\s*=(?!=)\s*(.*)", re.DOTALL)
_CLOSING = {"(": ")", "[": "]", "{": "}"}


class ForeignText(Frozen):
    """`F.softmax(x, dim=-1)`: the names of the path, the arguments of the first call, and those of a second one
    (`nn.Linear(8, 16)(x)`), as text. `index` is what stands in brackets behind the path (`x.shape[0]`)."""

    path: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    operands: tuple[str, ...] = ()
    index: str = ""
    is_called: bool = False

    @property
    def name(self) -> str:
        return self.path[-1]


def read(text: str, start: int) -> ForeignText | None:
    """The expression at `start`; None where no name stands there."""
    text = text[start : start + LONGEST]
    found = _PATH.match(text)
    if found is None:
        return None
    path = tuple(part.strip() for part in found.group().split("."))
    first, at = _bracketed(text, found.end())
    if first is None:
        return ForeignText(path)
    if text[found.end()] == "[":
        return ForeignText(path, index=first.strip())
    arguments, options = split_arguments(first)
    second, _ = _bracketed(text, at)
    operands = split_arguments(second)[0] if second is not None and text[at] == "(" else ()
    return ForeignText(path, arguments, options, operands, is_called=True)


def bracketed(text: str, at: int) -> str | None:
    """What stands in the bracket that opens at `at`; None where it is not closed within what is read."""
    return _bracketed(text[at : at + LONGEST], 0)[0]


def operand_before(text: str, at: int) -> str:
    """The name that ends before `at`, with the members that it is reached through."""
    found = re.search(r"[A-Za-z_]\w*(?:\.\w+)*[ \t]*$", text[max(0, at - LONGEST) : at])
    return found.group().strip() if found else ""


def _bracketed(text: str, at: int) -> tuple[str | None, int]:
    """What stands between the bracket at `at` and the one that closes it, and where that ends."""
    if text[at : at + 1] not in ("(", "["):
        return None, at
    end = _closing(text, at)
    return (text[at + 1 : end], end + 1) if end is not None else (None, at)


def _closing(text: str, at: int) -> int | None:
    opened: list[str] = []
    while at < len(text):
        string = _STRING.match(text, at)
        if string is not None:
            at = string.end()
            continue
        if text[at] in _CLOSING:
            opened.append(_CLOSING[text[at]])
        elif text[at] in ")]}":
            if not opened or opened.pop() != text[at]:
                return None
            if not opened:
                return at
        at += 1
    return None


def split_arguments(text: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """The positional arguments and those that are given by name."""
    positional: list[str] = []
    options: dict[str, str] = {}
    for part in split(text):
        option = _OPTION.fullmatch(part)
        if option is not None:
            options[option[1]] = option[2]
        else:
            positional.append(part)
    return tuple(positional), options


def split(text: str) -> list[str]:
    """The parts between the commas of `text`, outside of brackets and strings."""
    parts, start, at = [], 0, 0
    while at < len(text):
        string = _STRING.match(text, at)
        if string is not None:
            at = string.end()
        elif text[at] in _CLOSING:
            at = (_closing(text, at) or len(text) - 1) + 1
        else:
            if text[at] == ",":
                parts.append(text[start:at])
                start = at + 1
            at += 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def items(text: str) -> list[str]:
    """The items of a list or tuple that is written out, `[a, b]`; none where it is not."""
    text = text.strip()
    inside = len(text) > 1 and text[0] in "([" and _closing(text, 0) == len(text) - 1
    return split(text[1:-1]) if inside else []


def quoted(text: str) -> str | None:
    """The contents of a string literal; None for all else."""
    found = _STRING.fullmatch(text.strip())
    return found[1][1:-1] if found else None
