"""What a rule is: an element of a node's result as a formula of elements of its operands.

A rule is given the node and the index along each axis of the result, and asks for the operands' elements at the indices
that follow. So an axis that is renamed, moved or taken apart is no more than another index, as in a formula on paper.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from attndsl.graph import Node, Value
from attndsl.types import Axis, Type
from attndsl.typesetting.notation import MathText

Places = Mapping[Axis, MathText]


class Elements(Protocol):
    """What a rule asks of the formula that it is a part of."""

    def element(self, value: Value, places: Places) -> MathText:
        """The element of `value` at these indices (there may be more of them than its axes)."""

    def bound(self, axes: tuple[Axis, ...], places: Places) -> dict[Axis, MathText]:
        """New indices, which run along `axes` within a sum."""

    def index(self, formula: MathText) -> MathText:
        """The same as a number or a place: an index that stands in it is not one that is merely carried along."""

    def subscripts(self, type: Type, places: Places) -> list[str]:
        """The indices of a tensor of this type."""

    def parameter(self, address: str) -> str:
        """What a parameter is called here."""


Rule = Callable[[Elements, Node, Places], MathText]


def first(of: Elements, node: Node, places: Places) -> MathText:
    """The element of the first operand at the same place."""
    return of.element(node.inputs[0], places)


def running(indices: Mapping[Axis, MathText]) -> str:
    """What stands below an operator: the indices that run."""
    return ",".join(index.text for index in indices.values())
