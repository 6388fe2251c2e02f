"""`rearrange(x, [Y*P, X*Q, C] -> [Y*X, P*Q*C])`: splitting, merging, permuting and renaming axes by name."""

from __future__ import annotations

from attndsl import ops
from attndsl.diagnostics import Span, error
from attndsl.elaborate.frames import Frame
from attndsl.elaborate.tensors import arrange, axes_text, axis_of, emit
from attndsl.elaborate.values import Argument, ArrowValue, Axes
from attndsl.graph import Axis, Type, Value
from attndsl.sizes import Constraint, Size
from attndsl.syntax import tree


def rearrange(given: Argument, arrow: ArrowValue, frame: Frame, span: Span) -> Value:
    """The tensor with the axes on the left made into those on the right, which stand where the first of them stood.

    Each side is read as groups of factors (`Y*P` is two). Factors on both sides move as they are; what is left on one
    side is made of what is left on the other: one axis split into several, several merged into one, or renamed.
    """
    value = given.value
    assert isinstance(value, Value)
    for side in (arrow.source, arrow.target):
        if not side.terms:
            raise error("E0206", "nothing is rearranged", arrow.span, help="name the axes: `[D] -> [heads, head]`")
    before = _groups(arrow.source, frame, value.type)
    after = _groups(arrow.target, frame)
    touched = [axis for axis, _ in before]
    if len(set(touched)) < len(touched):
        raise error("E0205", f"{axes_text(touched)} names an axis twice", arrow.source.terms[0].span)
    untouched = [a for a in value.type.axes if a not in touched]
    place = min(value.type.index(a) for a in touched)
    order = list(value.type.axes[:place])

    atoms_before = [f for _, factors in before for f in factors]
    atoms_after = [f for _, factors in after for f in factors]
    gone = [a for a in atoms_before if a not in atoms_after]
    new = [a for a in atoms_after if a not in atoms_before]
    for axis, factors in before:
        if len(factors) > 1 and (axis in gone or not any(f in gone for f in factors) or len(gone) > 1):
            value = emit(frame, ops.Unflatten(axis, factors), span, Argument(value, given.span))
        elif len(factors) > 1:
            gone = [axis if f in factors else f for f in gone]
    value = _exchange(value, gone, new, given, arrow, frame, span)
    for axis, factors in after:
        if len(factors) > 1:
            value = emit(frame, ops.Flatten(factors, axis), span, Argument(value, given.span))
    clash = [axis for axis, _ in after if axis in untouched]
    if clash or len({a.name for a, _ in after}) < len(after):
        raise error(
            "E0205",
            f"the result would have the axis {axes_text(clash or [after[0][0]])} twice",
            arrow.target.terms[0].span,
            other=(),
            help="give the new axis a name of its own: `[other=…]`",
        )
    order += [axis for axis, _ in after]
    order += [a for a in value.type.axes if a not in order]
    return arrange(value, tuple(order), frame, span)


def _exchange(
    value: Value, gone: list[Axis], new: list[Axis], given: Argument, arrow: ArrowValue, frame: Frame, span: Span
) -> Value:
    """Turn the axes `gone` into `new`."""
    if not gone and not new:
        return value
    product = [Size.of(1), Size.of(1)]
    for side, axes in enumerate((gone, new)):
        for axis in axes:
            product[side] = product[side] * axis.size
    if product[0] != product[1]:
        frame.run.require(
            Constraint(
                "==",
                product[0],
                product[1],
                frame.site or arrow.span,
                "E0206",
                helps=("both sides of `->` must have the same number of elements",),
            )
        )
        raise error(
            "E0206",
            f"{axes_text(gone)} and {axes_text(new)} differ in size: `{product[0]}` against `{product[1]}`",
            arrow.span,
            str(given.type),
            help="both sides of `->` must multiply to the same size",
        )
    gone, new = list(gone), list(new)
    if len(gone) > 1 and len(new) > 1:
        for old in list(gone):  # what keeps its size is renamed, in order
            same = next((axis for axis in new if axis.size == old.size), None)
            if same is not None and len(gone) > 1:
                value = emit(frame, ops.Rename(old, same), span, Argument(value, given.span))
                gone.remove(old)
                new.remove(same)
    operand = Argument(value, given.span)
    if len(gone) == len(new) == 1:
        return emit(frame, ops.Rename(gone[0], new[0]), span, operand)
    if len(gone) == 1 and new:
        return emit(frame, ops.Unflatten(gone[0], tuple(new)), span, operand)
    if len(new) == 1 and gone:
        return emit(frame, ops.Flatten(tuple(gone), new[0]), span, operand)
    raise error(
        "E0206",
        f"it is not clear how {axes_text(gone)} becomes {axes_text(new)}",
        arrow.span,
        help="split and merge in two steps, or write products that share names: `[Y*P] -> [Y, P]`",
    )


def _groups(side: Axes, frame: Frame, *types: Type) -> list[tuple[Axis, tuple[Axis, ...]]]:
    """Each term's axis with the factors it is a product of (itself, where it is a plain name)."""
    groups: list[tuple[Axis, tuple[Axis, ...]]] = []
    for term in side.terms:
        if term.size is None:
            raise error("E0203", "`*` has no place here", term.span, help="mention only the axes that change")
        axis = axis_of(term, side.frame, types, known=bool(types))
        factors: tuple[Axis, ...] = (axis,)
        if term.name is None and isinstance(term.size, tree.Chain) and all(o.text == "*" for o in term.size.operators):
            factors = tuple(axis_of(tree.AxisTerm(o.span, None, o), side.frame) for o in term.size.operands)
        groups.append((axis, factors))
    return groups
