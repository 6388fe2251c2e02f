"""Lines of a written file, and those that a function starts with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from attndsl.backends.pytorch.expressions import CHOICE, Expr, size_expression
from attndsl.graph import Node, Type
from attndsl.records import Frozen, dataclass
from attndsl.sizes import Size, solve

if TYPE_CHECKING:
    from attndsl.backends.pytorch.functions import Writer


class Line(Frozen):
    """A line of the file, and the node that it is there for."""

    text: str
    node: Node | None = None

    @property
    def says_something(self) -> bool:
        return not self.text.lstrip().startswith("#") and bool(self.text.strip())


def parted(header: list[Line], body: list[Line]) -> list[Line]:
    """Both, with an empty line between them where the body starts with a comment."""
    between = [Line("")] if header and body and body[0].text.lstrip().startswith("#") else []
    return [*header, *between, *body]


@dataclass(eq=False)
class WrittenArgument:
    """An argument of the function: its name and what it stands for."""

    name: str
    type: Type
    optional: bool = False
    host: bool = False  # a Python number
    wide: bool = False  # a tensor in float32 at least
    blocks: str = ""  # of a mask by blocks of queries, which is no tensor: its class

    @property
    def kind(self) -> str:
        return "int" if self.host else self.blocks or "Tensor"


def header(writer: Writer) -> tuple[list[Line], list[str]]:
    """Lines that read the free sizes off the arguments' shapes, and the sizes that no argument shows (to be handed
    over as numbers)."""
    while True:
        before = len(writer.sizes)
        lines, missing = _header(writer)
        if len(writer.sizes) == before:  # else one was solved for with the help of another, which has to be read too
            return lines, missing


def _header(writer: Writer) -> tuple[list[Line], list[str]]:
    lines: list[Line] = []
    wanted = dict(writer.sizes)
    for argument in (v for v in writer.arguments if not v.optional):
        axes = argument.type.axes
        shown = {axis.size: i for i, axis in reversed(list(enumerate(axes)))}
        here = {s: shown[Size.symbol(s)] for s in wanted if Size.symbol(s) in shown}
        if not here:
            continue
        here = dict(sorted(here.items(), key=lambda item: item[1]))
        names = ", ".join(wanted.pop(s) for s in here)
        places = list(here.values())
        if len(places) == 1:
            text = f"{argument.name}.shape[{places[0]}]"
            if len(axes) == 1:
                names, text = f"({names},)", f"{argument.name}.shape"
        elif places == list(range(len(places))):
            text = f"{argument.name}.shape" + ("" if len(places) == len(axes) else f"[:{len(places)}]")
        else:
            text = ", ".join(f"{argument.name}.shape[{i}]" for i in places)
        lines.append(Line(f"{'    ' * 2}{names} = {text}"))
    for symbol in list(wanted):
        found = _solved(writer, symbol, wanted)
        if found is not None:
            lines.append(Line(f"{'    ' * 2}{wanted.pop(symbol)} = {found.text}"))
    for symbol in list(wanted):
        found = _from_optional(writer, symbol, wanted)
        if found is not None:
            lines.append(Line(f"{'    ' * 2}{wanted.pop(symbol)} = {found.text}"))
    lines += [Line(f"{'    ' * 2}{text}") for text in writer.definitions]
    if writer.uses_wide:
        lines.append(Line(f"        wide = torch.promote_types({writer.dtype()}, torch.float32)"))
    return lines, list(wanted)


def _solved(writer: Writer, symbol: str, unknown: Mapping[str, str]) -> Expr | None:
    """A free size from an axis of an argument whose length is a formula in it."""
    found = (_length(writer, v, symbol, unknown) for v in writer.arguments if not v.optional)
    return next((length for length in found if length is not None), None)


def _from_optional(writer: Writer, symbol: str, unknown: Mapping[str, str]) -> Expr | None:
    """A free size from the first of the optional arguments that shows it and is there; 0 where none is, as nothing is
    computed of that size then."""
    chain: Expr | None = None
    for argument in reversed([v for v in writer.arguments if v.optional]):
        length = _length(writer, argument, symbol, unknown)
        if length is not None:
            other = "0" if chain is None else chain.text
            chain = Expr(f"{length.text} if {argument.name} is not None else {other}", CHOICE, True)
    return chain


def _length(writer: Writer, argument: WrittenArgument, symbol: str, unknown: Mapping[str, str]) -> Expr | None:
    """A free size from an axis of `argument`: as it is, or solved for."""
    shown = {axis.size for v in writer.arguments if not v.optional for axis in v.type.axes}
    known = {*writer.file.graph.sizes, *(writer.sizes.keys() - unknown.keys())}
    for i, axis in enumerate(argument.type.axes):
        others = axis.size.symbols - {symbol} - known
        if symbol in axis.size.symbols and all(s not in unknown and Size.symbol(s) in shown for s in others):
            solution = solve(axis.size, Size.symbol("?"), symbol)
            if solution is not None:
                return size_expression(solution, partial(_named, writer, f"{argument.name}.shape[{i}]"))
    return None


def _named(writer: Writer, length: str, symbol: str) -> str:
    return length if symbol == "?" else writer.symbol(symbol)
