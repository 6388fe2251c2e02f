"""What a writer of random programs has in sight, and the lines that it has written; every construct is built on it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

FREE = ("B", "T", "S")
FIXED = ("width", "hidden", "heads", "head", "depth", "vocab")
MOST_AXES = 4

Construct = Callable[[Any], bool]
AnyConstruct = TypeVar("AnyConstruct", bound=Construct)
CONSTRUCTS: list[tuple[int, int, Construct]] = []
"""All that can be a statement: how often, in how many bodies at most, and what writes it (False: nothing fits here)."""


def construct(weight: int, deepest: int = 9) -> Callable[[AnyConstruct], AnyConstruct]:
    """Make a method one of `CONSTRUCTS`."""

    def register(method: AnyConstruct) -> AnyConstruct:
        CONSTRUCTS.append((weight, deepest, method))
        return method

    return register


@dataclass(frozen=True, slots=True)
class Tensor:
    """A name in sight. `axes` are written as their sizes; `other=T` is T under another name."""

    name: str
    dtype: str
    axes: tuple[str, ...]

    @property
    def type(self) -> str:
        return f"{self.dtype}[{', '.join(self.axes)}]"


@dataclass
class Sight:
    """The tensors that can be read here, with their axes in order, and what else there is a name for."""

    choice: random.Random
    lines: list[str] = field(default_factory=list)
    declarations: list[str] = field(default_factory=list)
    seen: list[Tensor] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)
    biases: list[str] = field(default_factory=list)
    layers: list[tuple[str, str]] = field(default_factory=list)  # shared layers, each with the last axis that it takes
    kept: list[str] = field(default_factory=list)  # block values that have been given a tensor
    indent: int = 1
    made: int = 0
    depth: int = 1
    steps: int = 1  # how many there are in the list of that name
    loops: tuple[str, ...] = ()  # indices of the repeats around
    apart: frozenset[str] = frozenset()  # axes whose elements are not taken together

    @property
    def is_text(self) -> bool:
        """Whether the rows of a batch are texts by themselves, which are to be read on."""
        return "B" in self.apart

    @property
    def is_causal(self) -> bool:
        """Whether each position along `T` is to depend on itself and those before it alone."""
        return "T" in self.apart

    @property
    def counted(self) -> tuple[str, ...]:
        """The axes along which it may matter where an element stands: not which row a text is in."""
        return tuple(axis for axis in FREE if not (self.is_text and axis == "B"))

    def together(self, axes: tuple[str, ...]) -> tuple[str, ...]:
        """Those axes along which elements may be taken together."""
        return tuple(axis for axis in axes if self.apart.isdisjoint(re.findall(r"\w+", axis)))

    def put(self, line: str) -> None:
        self.lines.append("  " * self.indent + line)

    def declare(self, text: str) -> None:
        """Declare something in the file, once."""
        if text not in self.declarations:
            self.declarations.append(text)

    def filled(self, text: str) -> str:
        return text.replace("{n}", str(self.choice.choice((1, 2, 3))))

    def bind(self, axes: tuple[str, ...], value: str, dtype: str = "float") -> bool:
        """Assign `value` to a new name. Its type is written, which puts the axes in order."""
        if len(axes) > MOST_AXES:
            return False
        tensor = Tensor(f"v{self.made}", dtype, axes)
        self.made += 1
        self.put(f"{tensor.name}: {tensor.type} = {value}")
        self.seen.append(tensor)
        return True

    def some(self, dtype: str = "float", fits: Callable[[Tensor], bool] = lambda _: True) -> Tensor | None:
        """A tensor in sight, the newest ones more often."""
        found = [tensor for tensor in self.seen if tensor.dtype == dtype and fits(tensor)]
        return self.choice.choices(found, range(1, len(found) + 1))[0] if found else None

    def statement(self) -> None:
        """One statement that fits what is in sight."""
        kinds = [(weight, method) for weight, deepest, method in CONSTRUCTS if self.indent <= deepest]
        for _ in range(30):
            if self.choice.choices([run for _, run in kinds], [weight for weight, _ in kinds])[0](self):
                return


def plain(axis: str) -> bool:
    """Whether the axis is one size by itself, so that it can be written on either side of a `=`."""
    return axis.isidentifier()


def union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return (*first, *(axis for axis in second if axis not in first))


def replaced(axes: tuple[str, ...], old: str, new: tuple[str, ...]) -> tuple[str, ...]:
    at = axes.index(old)
    return (*axes[:at], *new, *axes[at + 1 :])
