"""`rearrange(w, [in] -> [C=channels, P=patch, Q=patch])` in a mapping: axes split, merged and renamed by name.

Inside a pattern factors are told apart by the names that they are written with, not by their sizes.
"""

from __future__ import annotations

from collections.abc import Mapping

from attndsl.diagnostics import Span, did_you_mean, error
from attndsl.graph import Axis
from attndsl.records import dataclass
from attndsl.sizes import Size
from attndsl.syntax import tree
from attndsl.weights.axes import axis_name, name_of, place_of, shown_axes, size_of
from attndsl.weights.forms import Form, Rearranged


def rearranged(inner: Form, arrow: tree.Arrow, sizes: Mapping[str, int]) -> Form:
    """`[Y*P, C] -> [Y, C*P]`: axes are split into factors, factors merged into axes. What is not mentioned stays. What
    stands on one side only is made of what stands on the other only: `[in] -> [C=channels, P=patch, Q=patch]` splits,
    `[heads, head] -> [D]` merges, `[T] -> [U]` renames."""
    pieces: dict[int, list[Axis]] = {}  # for each axis that is mentioned, by place, what it is split into
    for term in arrow.source.terms:
        place = place_of(inner.axes, axis_name(term, sizes), term.span)
        if place in pieces:
            raise error("E0624", f"`{inner.axes[place].name}` is mentioned twice", term.span)
        pieces[place] = _split(term, inner.axes[place], sizes)
    targets = [_factors(term, sizes) for term in arrow.target.terms]
    old = [piece.name for group in pieces.values() for piece in group]
    new = [factor for group in targets for factor in group if factor.name not in old]
    gone = [name for name in old if name not in [factor.name for group in targets for factor in group]]
    made: dict[str, list[str]] = {}  # of which pieces a factor consists that is on the right only
    if len(gone) == 1 and len(new) > 1:
        place = next(p for p, group in pieces.items() if gone[0] in [piece.name for piece in group])
        at = next(i for i, piece in enumerate(pieces[place]) if piece.name == gone[0])
        pieces[place][at : at + 1] = _apart(new, pieces[place][at], sizes, arrow.target.span)
    elif len(new) == 1 and gone:
        made[new[0].name] = gone
    split = [piece for place, axis in enumerate(inner.axes) for piece in pieces.get(place, [axis])]
    places = {piece.name: i for i, piece in enumerate(split)}
    if len(places) < len(split):
        raise error(
            "E0624", "two axes would have one name", arrow.source.span, f"they would be {shown_axes(tuple(split))}"
        )
    order: list[int] = []
    axes: list[Axis] = []
    for term, factors in zip(arrow.target.terms, targets, strict=True):
        size = Size.of(1)
        for factor in factors:
            parts = made.get(factor.name, [factor.name])
            if any(part not in places or places[part] in order for part in parts):
                where = "mentioned twice" if parts[0] in places else "not on the left of the arrow"
                raise error("E0624", f"`{factor.name}` is {where}", term.span, help=did_you_mean(factor.name, places))
            order += [places[part] for part in parts]
            whole = Size.of(1)
            for part in parts:
                whole = whole * split[places[part]].size
            if factor.name in made and factor.size is not None and factor.size != whole:
                raise error("E0624", f"`{factor.name}` has the size `{factor.size}`, not `{whole}`", term.span)
            size = size * whole
        axes.append(Axis(axis_name(term, sizes), size))
    for place, axis in enumerate(inner.axes):
        if place not in pieces:
            order.append(places[axis.name])
            axes.append(axis)
    lost = [piece.name for i, piece in enumerate(split) if i not in order]
    if lost:
        raise error("E0624", f"`{lost[0]}` is not on the right of the arrow", arrow.span)
    if len({axis.name for axis in axes}) < len(axes):
        raise error(
            "E0624", "the result has two axes of one name", arrow.span, f"the axes would be {shown_axes(tuple(axes))}"
        )
    lengths = tuple(axis.size.value(sizes) for axis in split)
    return Rearranged(tuple(axes), tuple(axis.size.value(sizes) for axis in axes), inner, lengths, tuple(order))


@dataclass(frozen=True, slots=True)
class _Factor:
    """One factor of a term: its name, and its size where the model knows it."""

    name: str
    size: Size | None


def _factors(term: tree.AxisTerm, sizes: Mapping[str, int]) -> list[_Factor]:
    """The factors of a term, outermost first: `heads`, `head` for `heads * head` and `out=heads * head`; `C` of the
    size `channels` for `C=channels`."""
    size = term.size
    if isinstance(size, tree.Chain) and all(o.text == "*" for o in size.operators):
        return [_Factor(name_of(operand, sizes), _known(operand, sizes)) for operand in size.operands]
    return [_Factor(axis_name(term, sizes), _known(size, sizes) if size is not None else None)]


def _known(expression: tree.Expr, sizes: Mapping[str, int]) -> Size | None:
    size = size_of(expression, sizes)
    return size if size.known(sizes) is not None else None


def _split(term: tree.AxisTerm, axis: Axis, sizes: Mapping[str, int]) -> list[Axis]:
    """The factors of `axis` that a term on the left of an arrow names; the one whose size is unknown is solved for."""
    factors = _factors(term, sizes)
    if len(factors) == 1:
        return [Axis(factors[0].name, axis.size)]
    return _apart(factors, axis, sizes, term.span)


def _apart(factors: list[_Factor], axis: Axis, sizes: Mapping[str, int], span: Span) -> list[Axis]:
    """`axis` as a product of factors; the one whose size is unknown is solved for."""
    unknown = [factor for factor in factors if factor.size is None]
    if len(unknown) > 1:
        raise error("E0624", f"neither `{unknown[0].name}` nor `{unknown[1].name}` is a size of the model", span)
    rest = axis.size
    for factor in factors:
        if factor.size is not None and factor.size.terms:
            rest = rest / factor.size
    if unknown and not rest.known(sizes):
        raise error("E0624", f"`{unknown[0].name}` would be `{rest}`, which is no whole number here", span)
    if not unknown and rest != Size.of(1):
        raise error("E0624", f"`{span.text}` is not the size of `{axis}`", span)
    return [Axis(factor.name, rest if factor.size is None else factor.size) for factor in factors]
