"""The sizes that are arguments of a written model: those on which nothing else of its text hangs."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

from attndsl.backends.pytorch.expressions import (
    POWER,
    PRODUCT,
    SUM,
    UNARY,
    Expr,
    binary,
    function,
    number,
    size_expression,
)
from attndsl.backends.pytorch.helpers import DEFINED
from attndsl.backends.pytorch.names import IMPORTED, Names, identifier, plain
from attndsl.backends.pytorch.starts import index_name
from attndsl.diagnostics import AttnError
from attndsl.graph import Graph
from attndsl.records import Frozen
from attndsl.running.backends import Again
from attndsl.values import Formula

LOOPS = 4  # loops around a layer, at most, whose indices a constructor has names for beside its arguments


class OpenSize(Frozen):
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
    names, before = tuple(graph.sizes), None
    while names != before:  # a number is written by the sizes that it was computed from where all of these are open
        names, before = _independent(graph, again, text, names), names
    return names


def _independent(
    graph: Graph, again: Again, text: Callable[[Graph, Collection[str]], str], names: tuple[str, ...]
) -> tuple[str, ...]:
    """Those of `names` by which the text does not change where all of these are open."""
    own = _without_values(text(graph, names))

    def same(other: Graph) -> bool:
        try:
            return _without_values(text(other, names)) == own
        except AttnError:
            return False  # it is a model that cannot be written

    found = []
    for name in names:
        changed = (_changed(graph, again, {name: value}) for value in _others(graph.sizes[name]))
        others = [made for made in changed if made is not None]
        if others and all(map(same, others)):
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


# ---------------------------------------------------------------- numbers that were computed from sizes

INFIX = {"+": SUM, "-": SUM, "*": PRODUCT, "/": PRODUCT, "^": POWER}
CALLED = {"sqrt": "math.sqrt", "exp": "math.exp", "log": "math.log", "minimum": "min", "maximum": "max"}


def formula_expression(formula: Formula, open: Collection[str], name: Callable[[str], str]) -> Expr | None:
    """Python's expression for a number; None where a size in it is not open, or something has no expression."""
    if formula.operator == "constant":
        known = formula.constant
        return None if known is None else number(known if isinstance(known, int) else float(known))
    if formula.operator == "size":
        assert formula.size is not None
        whole = formula.size.is_whole and formula.size.symbols <= {*open}
        return size_expression(formula.size, name) if whole else None
    parts = [formula_expression(operand, open, name) for operand in formula.operands]
    given = [part for part in parts if part is not None]
    if len(given) < len(parts):
        return None
    if formula.operator in INFIX:
        symbol = "**" if formula.operator == "^" else formula.operator
        return binary(given[0], symbol, given[1], INFIX[formula.operator])
    if formula.operator == "neg":
        return Expr(f"-{given[0].at(UNARY)}", UNARY, True)
    called = CALLED.get(formula.operator)
    return None if called is None else function(called, *(part.text for part in given), host=True)
