"""Layouts: which axes of a model lie on which dimension of a mesh of devices.

"Layouts do not affect results, only performance" (Shazeer et al., 2018, Mesh-TensorFlow, arXiv 1811.02084, section 3).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from attndsl.diagnostics import Span
from attndsl.graph import Graph, Value
from attndsl.records import Frozen, replace
from attndsl.sizes import Size
from attndsl.types import Axis

NOT_DIVISIBLE = "E1004"
NO_STAGES = "E1005"


class Mesh(Frozen):
    """Devices in a grid whose dimensions have names, with how many there are along each. Ranks count them with the last
    dimension fastest, so that its neighbours are on one machine."""

    dimensions: tuple[tuple[str, int], ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.dimensions)

    @property
    def devices(self) -> int:
        """How many there are in all."""
        return prod(size for _, size in self.dimensions)

    def size(self, name: str) -> int:
        """How many devices there are along a dimension; `KeyError` where there is none of this name."""
        return dict(self.dimensions)[name]

    def count(self, names: Iterable[str]) -> int:
        """How many devices there are along these dimensions together."""
        return prod(map(self.size, names))

    def coordinates(self, rank: int) -> dict[str, int]:
        """Where a device stands along each dimension."""
        found: dict[str, int] = {}
        for name, size in reversed(self.dimensions):
            rank, found[name] = divmod(rank, size)
        return {name: found[name] for name in self.names}

    def __str__(self) -> str:
        return f"({', '.join(f'{name}={size}' for name, size in self.dimensions)})"


class AxisPattern(Frozen):
    """Which axes a rule means: those of this name, and those of this size (None: what is written is no size)."""

    text: str
    size: Size | None = None
    span: Span | None = None

    def matches(self, axis: Axis) -> bool:
        return axis.name == self.text or (self.size is not None and axis.size == self.size)


class PlacementRule(Frozen):
    """`heads, 4*width on model`. Of what it names, `loops` are the addresses of repeats, whose rounds the devices along
    the dimension have in stages: `h on stages in 8 microbatches`, which are the parts of a batch that they work on at
    once (None: as many as there are stages)."""

    axes: tuple[AxisPattern, ...]
    dimension: str
    span: Span | None = None
    loops: tuple[str, ...] = ()
    microbatches: int | None = None

    def __str__(self) -> str:
        parts = "" if self.microbatches is None else f" in {self.microbatches} microbatches"
        return f"{', '.join(axis.text for axis in self.axes)} on {self.dimension}{parts}"


class Layout(Frozen):
    """Rules over a mesh. They are read in order: of a value's axes, the first rule that has one places it on that mesh
    dimension, and a later rule for the same one applies where it is still free. `parameters` is the dimension over
    which parameters are divided as well, with their gradients and the optimizer's states (None: they are whole). `open`
    to batches of any size, it leaves axes whole that are as long as a batch says."""

    name: str
    mesh: Mesh
    rules: tuple[PlacementRule, ...]
    parameters: str | None = None
    span: Span | None = None
    open: bool = False

    def opened(self) -> Layout:
        """The same, open to batches of any size: stages take the rows of one all at once."""
        rules = tuple(replace(rule, microbatches=1) if rule.loops else rule for rule in self.rules)
        return replace(self, rules=rules, open=True)

    def __str__(self) -> str:
        lines = [*map(str, self.rules), f"parameters on {self.parameters}" if self.parameters else "parameters whole"]
        return "".join([f"layout {self.name} over {self.mesh} {{\n", *(f"  {line}\n" for line in lines), "}\n"])


def batch_axes(graph: Graph) -> list[tuple[Value, Axis]]:
    """The axes of inputs that count the rows of a batch: their first ones, ahead that with which most begin. None of
    them comes later in another input, as `T` of `int[T]` does beside `float[B, T, width]`, if that leaves any."""
    inputs = [info.value for info in graph.own_inputs if info.value.type.axes]
    later = {axis for value in inputs for axis in value.type.axes[1:]}
    firsts = [value.type.axes[0] for value in inputs]
    found = [value for value in inputs if value.type.axes[0] not in later] or inputs
    return [(v, v.type.axes[0]) for v in sorted(found, key=lambda v: -firsts.count(v.type.axes[0]))]
