"""Where a value lies on a mesh, and the part of it that one device has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from types import EllipsisType

from attndsl.graph import Value
from attndsl.layouts.core import Mesh
from attndsl.records import Frozen
from attndsl.types import Axis, Type


class Undivided(Enum):
    """How a value lies along a dimension of the mesh where it is not divided along an axis."""

    WHOLE = "whole"  # the same on all devices
    PARTIAL = "partial"  # the sum of what the devices have
    VARYING = "varying"  # what computations need that differ between devices: the same on all, with a gradient that is
    # a sum; or, in stages, each device's own


WHOLE, PARTIAL, VARYING = Undivided.WHOLE, Undivided.PARTIAL, Undivided.VARYING


class Owned(Frozen):
    """What depends on weights that are divided along `over`, which `index` picks from, over the dimensions `on`: at
    each place along `axes` (the index's, perhaps called otherwise) it is right on the device that has what is picked
    there, and means nothing on the others. With zeros there it is `PARTIAL`. It lies so along all of `on`, or none."""

    index: Value
    over: Axis
    axes: tuple[Axis, ...]
    on: tuple[str, ...]

    def called(self, names: Mapping[Axis, Axis]) -> Owned:
        """The same, of a value whose axes are called otherwise."""
        return Owned(self.index, self.over, tuple([names.get(axis, axis) for axis in self.axes]), self.on)


class Rounds(Frozen):
    """What is declared in the repeat `loop`, of which each device has `count` rounds in stages: those parameters."""

    loop: str
    count: int


State = Undivided | Axis | Owned | Rounds
"""How a value lies along one dimension: divided along an axis, `Owned`, or one of `Undivided`; a parameter by `Rounds`,
too."""


class Placement(Frozen):
    """How a value lies along each dimension of `mesh`, in its order. An axis that lies on several is cut along the
    first of them, and each part along the next."""

    mesh: Mesh
    states: tuple[State, ...]

    @classmethod
    def whole(cls, mesh: Mesh) -> Placement:
        return cls(mesh, (WHOLE,) * len(mesh.dimensions))

    def on(self, dimension: str) -> State:
        return self.states[self.mesh.names.index(dimension)]

    def at(self, number: int, state: State) -> Placement:
        """The same, but for one dimension."""
        return Placement(self.mesh, (*self.states[:number], state, *self.states[number + 1 :]))

    @property
    def divided(self) -> dict[Axis, tuple[str, ...]]:
        """The axes along which it is divided, with the dimensions on which each lies."""
        found: dict[Axis, tuple[str, ...]] = {}
        for name, state in zip(self.mesh.names, self.states, strict=True):
            if isinstance(state, Axis):
                found[state] = (*found.get(state, ()), name)
        return found

    @property
    def parts(self) -> dict[Axis, Axis]:
        """The axes along which it is divided, with the part of each that a device has."""
        return {axis: part_of(axis, self.mesh.count(names)) for axis, names in self.divided.items()}

    @property
    def rounds(self) -> Iterator[tuple[str, Rounds]]:
        """The dimensions along which devices have it in some rounds of a loop."""
        pairs = zip(self.mesh.names, self.states, strict=True)
        return ((name, state) for name, state in pairs if isinstance(state, Rounds))

    @property
    def partial(self) -> tuple[str, ...]:
        """The dimensions over which it is still to be added up."""
        return tuple(name for name, state in zip(self.mesh.names, self.states, strict=True) if state is PARTIAL)

    def local(self, type: Type) -> Type:
        """What one device has of a value of this type."""
        parts = self.parts
        return Type(type.dtype, tuple([parts.get(axis, axis) for axis in type.axes]))

    def shown(self, type: Type) -> str:
        """`[B/data, T, width]`, `[B, T, width] +model` for a sum, `h/stages [width]` for a parameter of layers."""
        divided = self.divided
        axes = ["/".join((str(axis), *divided.get(axis, ()))) for axis in type.axes]
        pairs = zip(self.mesh.names, self.states, strict=True)
        owned = [f"by {state.over.name}/{name}" for name, state in pairs if isinstance(state, Owned)]
        stages = [f"{state.loop}/{name}" for name, state in self.rounds]
        return " ".join([*stages, f"[{', '.join(axes)}]", *(f"+{name}" for name in self.partial), *owned])


def part_of(axis: Axis, count: int) -> Axis:
    """One of so many equal parts of an axis. It keeps the name."""
    return Axis(axis.name, axis.size / count, axis.origin)


def indices(
    placement: Placement, type: Type, coordinates: dict[str, int], shape: tuple[int, ...]
) -> tuple[slice | EllipsisType, ...]:
    """What a whole array of this shape is indexed with for the part of the device at these coordinates, which is an
    array where there are no axes, too."""
    divided, found = placement.divided, list[slice]()
    for axis, length in zip(type.axes, shape, strict=True):
        at, count = 0, 1
        for name in divided.get(axis, ()):
            size = placement.mesh.size(name)
            at, count = at * size + coordinates[name], count * size
        part = length // count
        found.append(slice(at * part, (at + 1) * part) if count > 1 else slice(None))
    return (*found, ...)
