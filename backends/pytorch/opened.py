"""The sizes that are arguments of a written model: those on which nothing else of its text hangs."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

from attndsl.backends.pytorch.helpers import DEFINED
from attndsl.backends.pytorch.names import IMPORTED, Names, identifier, plain
from attndsl.backends.pytorch.starts import index_name
from attndsl.diagnostics import AttnError
from attndsl.graph import Graph
from attndsl.records import dataclass
from attndsl.running.backends import Again

LOOPS = 4  # loops around a layer, at most, whose indices a constructor has names for beside its arguments


@dataclass(frozen=True, slots=True)
class OpenSize:
    """An argument of constructors, and the attribute in which they keep it for `forward`."""

    argument: str
    attribute: str

    def said(self, constructs: bool) -> str:
        """How a constructor, or `forward`, reads it."""
        return self.argument if constructs else f"self.{self.attribute}"

    def is_kept(self, run: str) -> bool:
        """Whether the text of a `forward` reads it."""
        return re.search(rf"\bself\.{self.attribute}\b", run) is not None


def is_read(argument: str, constructor: str) -> bool:
    """Whether the text of a constructor reads an argument: as a value, not as the name of a part or of a keyword."""
    return re.search(rf"(?<![.\w]){argument}\b(?!\s*=[^=])", constructor) is not None


def open_sizes(graph: Graph, names: Collection[str]) -> dict[str, OpenSize]:
    """Those of these sizes by name. An attribute is called as its size is, unless a layer or a parameter is."""
    steps = {step for info in graph.parameters for step in info.address.split(".")}
    taken = Names(IMPORTED | DEFINED | {"case", *map(index_name, range(LOOPS))})
    found = {}
    for name in graph.sizes:
        if name in names:
            argument = taken.free(identifier(name))
            own = argument if argument not in steps and plain(argument) else f"{argument}_size"
            found[name] = OpenSize(argument, own)
    return found


def independent(graph: Graph, again: Again, text: Callable[[Graph, Collection[str]], str]) -> tuple[str, ...]:
    """The sizes that can be arguments: `text` is the same, but for their values, where another one is given. Numbers
    that were computed from a size, masks, or layers that differ by its value are in the text, and make another one."""
    candidates = tuple(graph.sizes)
    own = _without_values(text(graph, candidates))
    found = []
    for name, size in graph.sizes.items():
        others = [made for value in _others(size) if (made := _changed(graph, again, {name: value})) is not None]
        if others and all(_without_values(text(other, candidates)) == own for other in others):
            found.append(name)
    return tuple(found)


def _others(size: int) -> list[int]:
    """Values to try."""
    return [value for value in (size * 2, size * 3, size + 1, size // 2) if value > 0 and value != size]


def _changed(graph: Graph, again: Again, changes: Mapping[str, int]) -> Graph | None:
    """The model with these sizes and all others as they are; None where there is none."""
    try:
        made = again({**graph.sizes, **changes})
    except AttnError:
        return None
    return made if made.sizes == {**graph.sizes, **changes} else None


def _without_values(text: str) -> str:
    return re.sub(r"(\w+: int) = \d+", r"\1", text)
