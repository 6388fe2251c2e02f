"""Types of values: a dtype and an ordered list of named axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod

from attndsl.records import Frozen, replace
from attndsl.sizes import Size

FLOAT, FLOAT32, INT, BOOL = "float", "float32", "int", "bool"
FLOATS = (FLOAT, FLOAT32)  # of the precision that a model runs in; of float32, or that precision if it is finer
DTYPES = (*FLOATS, INT, BOOL)
BYTES = {FLOAT: 4, FLOAT32: 4, INT: 8, BOOL: 1}
"""Bytes of an element, where a model runs in float32."""


def widest(*dtypes: str) -> str:
    """The dtype of arithmetic on numbers of these dtypes."""
    return next((dtype for dtype in (FLOAT32, FLOAT) if dtype in dtypes), INT)


_ZERO = Size.of(0)


class Axis(Frozen, eq=False):
    """A name with a size. Unless an author gave another name (`in=width`), the name is the size as written in normal
    form. `origin` is the position of the first element: 0, except for an axis that `concat` made under a new name."""

    name: str
    size: Size
    origin: Size = _ZERO

    @staticmethod
    def of(size: Size) -> Axis:
        return Axis(str(size), size)

    def __eq__(self, other: object) -> bool:  # by hand: nothing else is compared as often
        return self is other or (
            isinstance(other, Axis)
            and self.name == other.name
            and self.size == other.size
            and self.origin == other.origin
        )

    def __hash__(self) -> int:
        return hash(self.name)

    def named(self, name: str) -> Axis:
        return replace(self, name=name)

    def __str__(self) -> str:
        return self.name if self.name == str(self.size) else f"{self.name}={self.size}"


def shape_of(axes: Iterable[Axis], sizes: Mapping[str, int]) -> tuple[int, ...]:
    """How long each axis is. `KeyError` names a size that `sizes` lacks."""
    return tuple(axis.size.value(sizes) for axis in axes)


class Type(Frozen):
    """`float[B, T, width]`; the order of axes is the layout, alignment goes by name."""

    dtype: str
    axes: tuple[Axis, ...] = ()

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.axes))}]"

    @property
    def is_float(self) -> bool:
        return self.dtype in FLOATS

    @property
    def rank(self) -> int:
        return len(self.axes)

    def index(self, axis: Axis) -> int:
        """The place of `axis`; `ValueError` where the type lacks it."""
        return self.axes.index(axis)

    def without(self, *axes: Axis) -> Type:
        return Type(self.dtype, tuple(a for a in self.axes if a not in axes))

    def with_dtype(self, dtype: str) -> Type:
        return Type(dtype, self.axes)

    def floating(self) -> Type:
        """The same as floats: a float stays as precise as it is."""
        return self if self.is_float else self.with_dtype(FLOAT)

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """How long each axis is. `KeyError` names a size that `sizes` lacks."""
        return shape_of(self.axes, sizes)

    def count(self, sizes: Mapping[str, int]) -> int:
        """How many elements there are. `KeyError` names a size that `sizes` lacks."""
        return prod(self.shape(sizes))

    @property
    def elements(self) -> Size:
        """How many elements there are, as a size."""
        total = Size.of(1)
        for axis in self.axes:
            total = total * axis.size
        return total


def align(left: tuple[Axis, ...], right: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """The axes of an elementwise result: the order of the side that has all axes, else the left side's with the
    right side's further ones behind."""
    if len(right) > len(left) and all(axis in right for axis in left):
        return right
    return left + tuple(axis for axis in right if axis not in left)
