"""Where the rules of a layout want each value to lie, and whether their sizes allow it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import lcm

from attndsl.diagnostics import AttnError, Diagnostic, Label
from attndsl.graph import ParameterInfo, Value
from attndsl.layouts.classes import AxisClasses, Place
from attndsl.layouts.core import NOT_DIVISIBLE, Layout, PlacementRule
from attndsl.layouts.placements import VARYING, WHOLE, Placement, State
from attndsl.layouts.stages import Staged
from attndsl.sizes import Constraint, Size
from attndsl.types import Axis, Type

ALIGNED = 128
"""Large sizes, such as vocabularies, are padded to multiples of this (Shoeybi et al., 2019)."""


class WantedPlacements:
    """What each value's placement is by the rules: of its axes, the first rule that has one places it on the rule's
    dimension, and a later rule for the same dimension applies where that is still free. A rule has an axis that is the
    same dimension of the data as one that it names (`AxisClasses`). Along the dimension on which they are in stages,
    nothing divides the values of a repeat.

    Raises E1004 where a rule divides an axis into more parts than it can be divided into."""

    def __init__(self, staged: Staged, layout: Layout, classes: AxisClasses | None = None) -> None:
        self.graph, self.layout, self.mesh, self.staged = staged.graph, layout, layout.mesh, staged
        self.classes = AxisClasses(staged.graph) if classes is None else classes
        self.marks: dict[Place, list[int]] = {}  # the rules that have the axes of a class
        self.constraints: list[Constraint] = []
        mistakes: list[Diagnostic] = []
        for root, places in self.classes.members().items():
            found = [i for i, rule in enumerate(layout.rules) if any(_has(rule, axis) for _, axis in places)]
            if found:
                self.marks[root] = found
                mistakes += self._fits([layout.rules[number] for number in found], places)
        if mistakes:
            raise AttnError(*dict.fromkeys(mistakes))

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
        return Placement(self.mesh, tuple(states))

    def _fits(self, rules: list[PlacementRule], places: list[Place]) -> Iterator[Diagnostic]:
        """What of a class cannot be divided as the rules for it say, by all of them together; that the rest can be is a
        constraint of the graph."""
        divided: dict[Size, dict[str, PlacementRule]] = {}
        for rule in rules:
            if self.mesh.size(rule.dimension) > 1:
                for size in {axis.size: None for key, axis in places if not self.is_apart(key, rule.dimension)}:
                    divided.setdefault(size, {}).setdefault(rule.dimension, rule)
        for size, on in divided.items():
            count, value = self.mesh.count(on), size.known(self.graph.sizes)
            if value is None:
                self._require(size, count, list(on.values()))
            elif value % count:
                yield self._indivisible(on, size, value, count)

    def _require(self, size: Size, count: int, rules: Sequence[PlacementRule]) -> None:
        span = rules[0].span or self.graph.span
        if span is not None and size.symbols - self.graph.sizes.keys():
            notes = tuple(f"the layout says `{rule}`" for rule in rules)
            found = Constraint("divides", size, Size.of(count), span, NOT_DIVISIBLE, notes=notes)
            if found not in self.constraints:
                self.constraints.append(found)

    def _indivisible(self, on: Mapping[str, PlacementRule], size: Size, value: int, count: int) -> Diagnostic:
        shown, rule = str(value) if str(size) == str(value) else f"`{size}` ({value})", next(iter(on.values()))
        message = f"{shown} cannot be divided over the {count} devices along {' and '.join(f'`{it}`' for it in on)}"
        fitting = [n for n in range(2, min(value, 64) + 1) if value % n == 0]
        ways = [f"{', '.join(map(str, fitting[:8]))} devices would divide it"] if fitting else []
        symbols = sorted(size.symbols)
        if symbols:
            fits = value + -value % lcm(count, ALIGNED if value > ALIGNED**2 else 1)
            more = fits if str(size) == symbols[0] else "…"
            ways.append(f"or make it a multiple of {count}: `--set {symbols[0]}={more}`")
        ways.append(f"or leave it whole along `{rule.dimension}`")
        label = Label(rule.span, f"`{rule}`") if rule.span else None
        return Diagnostic(NOT_DIVISIBLE, message, label, helps=tuple(ways))


def _has(rule: PlacementRule, axis: Axis) -> bool:
    return any(pattern.matches(axis) for pattern in rule.axes)
