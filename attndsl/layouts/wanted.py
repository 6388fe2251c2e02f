"""Where the rules of a layout want each value to lie."""

from __future__ import annotations

from attndsl.graph import ParameterInfo, Value
from attndsl.layouts.classes import AxisClasses, Place
from attndsl.layouts.core import Layout, PlacementRule
from attndsl.layouts.placements import VARYING, WHOLE, Placement, State
from attndsl.layouts.stages import Staged
from attndsl.types import Axis, Type


class WantedPlacements:
    """What each value's placement is by the rules: of its axes, the first rule that has one places it on the rule's
    dimension, and a later rule for the same dimension applies where that is still free. A rule has an axis that is the
    same dimension of the data as one that it names (`AxisClasses`). Along the dimension on which they are in stages,
    nothing divides the values of a repeat. Where an axis stays whole that has a place by the rules (`Layout.open`),
    nothing else takes it."""

    def __init__(self, staged: Staged, layout: Layout) -> None:
        self.graph, self.layout, self.mesh, self.staged = staged.graph, layout, layout.mesh, staged
        self.classes = AxisClasses(staged.graph)
        self.marks: dict[Place, list[int]] = {}  # the rules that have the axes of a class
        for root, places in self.classes.members().items():
            found = [i for i, rule in enumerate(layout.rules) if any(_has(rule, axis) for _, axis in places)]
            if found:
                self.marks[root] = found

    def of(self, value: Value) -> Placement:
        """Where a value is to lie."""
        return self._placed(value, value.type)

    def of_parameter(self, info: ParameterInfo) -> Placement:
        """Where a parameter lies while something is computed with it."""
        return self._placed(info.address, info.type)

    def is_apart(self, key: Value | str, dimension: str) -> bool:
        """Whether each device along a dimension has its own of a value, or of a parameter, of layers in stages."""
        if isinstance(key, str):
            return any(name == dimension for name, _ in self.staged.of(key))
        return key in self.staged.apart.get(dimension, ())

    def rule(self, value: Value | str, axis: Axis, dimension: str) -> PlacementRule | None:
        """The rule that puts this axis on a dimension."""
        numbers = self.marks.get(self.classes.find((value, axis)), ())
        return next((r for r in map(self.layout.rules.__getitem__, numbers) if r.dimension == dimension), None)

    def _placed(self, key: Value | str, type: Type) -> Placement:
        states: list[State] = [VARYING if self.is_apart(key, name) else WHOLE for name in self.mesh.names]
        marks = {axis: self.marks.get(self.classes.find((key, axis)), ()) for axis in type.axes}
        for number, rule in enumerate(self.layout.rules):
            at = self.mesh.names.index(rule.dimension)
            if states[at] is WHOLE and self.mesh.dimensions[at][1] > 1:
                found = (axis for axis in type.axes if number in marks[axis])
                states[at] = min(found, key=states.__contains__, default=WHOLE)
        if self.layout.open:
            states = [WHOLE if isinstance(state, Axis) and self._is_free(state) else state for state in states]
        return Placement(self.mesh, tuple(states))

    def _is_free(self, axis: Axis) -> bool:
        return axis.size.known(self.graph.sizes) is None


def _has(rule: PlacementRule, axis: Axis) -> bool:
    return any(pattern.matches(axis) for pattern in rule.axes)
