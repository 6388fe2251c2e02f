"""The parts of shape rules: each gives what was asked for or raises `Mismatch` in the author's names."""

from __future__ import annotations

from collections.abc import Iterable

from attndsl.ops.base import Mismatch
from attndsl.sizes import Size
from attndsl.types import BOOL, INT, Axis, Type, align, widest


def number(type: Type, operand: int, op: str) -> str:
    """The dtype of an operand that must be a number."""
    if type.dtype == BOOL:
        message = f"`{op}` takes numbers, but this is `{type}`"
        raise Mismatch("E0204", message, (operand,), help="convert it with `float(…)` or `int(…)`, or use `where(…)`")
    return type.dtype


def boolean(type: Type, operand: int, op: str) -> None:
    if type.dtype != BOOL:
        message = f"`{op}` takes a bool, but this is `{type}`"
        raise Mismatch("E0204", message, (operand,), help="compare it with something")


def integer(type: Type, operand: int, op: str) -> None:
    if type.dtype != INT:
        raise Mismatch("E0204", f"`{op}` takes an int here, but this is `{type}`", (operand,))


def promoted(left: Type, right: Type, op: str) -> str:
    """The dtype of arithmetic on two numbers: int only where both are, float32 where one is."""
    return widest(number(left, 0, op), number(right, 1, op))


def combined(left: Type, right: Type, op: str, operands: tuple[int, int] = (0, 1)) -> tuple[Axis, ...]:
    """The aligned axes of two operands. An axis name that stands for different axes on the two sides is a mistake."""
    if left.axes == right.axes:
        return left.axes
    named = {axis.name: axis for axis in left.axes}
    for axis in right.axes:
        other = named.get(axis.name)
        if other is not None and other != axis:
            raise Mismatch("E0203", f"`{op}` of `{left}` and `{right}`: {_difference(other, axis)}", operands)
    return align(left.axes, right.axes)


def _difference(left: Axis, right: Axis) -> str:
    if left.size != right.size:
        return f"axis `{left.name}` has size `{left.size}` in one and `{right.size}` in the other"
    return f"axis `{left.name}` starts at position {left.origin} in one and at {right.origin} in the other"


def has(type: Type, axes: Iterable[Axis], operand: int, op: str) -> None:
    """The operand must have all of `axes`."""
    for axis in axes:
        if axis in type.axes:
            continue
        same = next((a for a in type.axes if a.name == axis.name), None)
        reason = f": {_difference(axis, same)}" if same else ""
        message = f"`{op}` is over `{axis.name}`, which `{type}` does not have{reason}"
        raise Mismatch("E0203", message, (operand,), lacking=axis)


def within(inner: Type, outer: Type, operand: int, op: str, what: str) -> None:
    """All axes of operand `inner` must be axes of `outer`."""
    for axis in inner.axes:
        if axis not in outer.axes:
            same = next((a for a in outer.axes if a.name == axis.name), None)
            reason = f": {_difference(axis, same)}" if same else f", and `{outer}` has no `{axis.name}`"
            raise Mismatch("E0203", f"the {what} of `{op}` is `{inner}`{reason}", (operand, 0))


def unique(dtype: str, axes: tuple[Axis, ...], op: str, operands: tuple[int, ...] = (0,)) -> Type:
    """The result type, unless an axis name would stand in it twice."""
    seen: set[str] = set()
    for axis in axes:
        if axis.name in seen:
            raise Mismatch(
                "E0205",
                f"the result of `{op}` would have the axis `{axis.name}` twice",
                operands,
                help="rename one of them, as in `rearrange(x, [T] -> [S])`",
            )
        seen.add(axis.name)
    return Type(dtype, axes)


def fits(left: Size, right: Size, message: str) -> None:
    """Two sizes must be equal as formulas."""
    if left != right:
        raise Mismatch("E0206", f"{message}: `{left}` is not `{right}`", (0,))


def product(axes: Iterable[Axis]) -> Size:
    total = Size.of(1)
    for axis in axes:
        total = total * axis.size
    return total


def replaced(axes: tuple[Axis, ...], old: Axis, new: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """`axes` with `new` standing in the place of `old`."""
    at = axes.index(old)
    return axes[:at] + new + axes[at + 1 :]


def names(axes: Iterable[Axis]) -> str:
    return "[" + ", ".join(axis.name for axis in axes) + "]"
