"""Whether two nodes would be written the same: their lowerings, with a number in the place of each operand."""

from __future__ import annotations

from collections.abc import Callable, Collection

from attndsl.backends.pytorch.expressions import Expr, size_expression
from attndsl.backends.pytorch.lowerings import LOWERINGS
from attndsl.backends.pytorch.site import Site
from attndsl.graph import Node, Value
from attndsl.sizes import Size
from attndsl.values import NumberOfSizes


class _Anywhere:
    """A function in which every name is as good as another."""

    def size(self, size: Size) -> Expr:
        return size_expression(size, str)

    @property
    def wide(self) -> Collection[Value]:
        return ()

    def dtype(self, *, wide: bool = False) -> str:
        return "dtype"

    plain = False

    def computed(self, number: NumberOfSizes) -> Expr | None:
        return None

    def device(self) -> str:
        return "device"

    def parameter(self, address: str) -> str:
        return address

    def layer(self, path: str) -> str:
        return path

    def counts(self, value: Value) -> bool:
        return False

    def parts(self, table: Value, place: int) -> str | None:
        return None

    def helper(self, name: str) -> str:
        return name

    def define(self, name: str, arguments: str, doc: str, body: str) -> str:
        return f"{name}{arguments} {body}"

    def math(self) -> str:
        return "math"


def spelled(node: Node, root: Callable[[Value], Value]) -> str:
    """Equal for two nodes of a body exactly if they are written the same and read the same values."""
    operands = tuple(Expr(f"v{id(root(value))}") for value in node.inputs)
    return f"{LOWERINGS[type(node.op)](Site(node, operands, _Anywhere())).text} # {node.output.type.dtype}"
