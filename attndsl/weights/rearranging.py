"""`rearrange(w, [in] -> [C=channels, P=patch, Q=patch])` in a mapping: axes split, merged and renamed by name.

Inside a pattern factors are told apart by the names that they are written with, not by their sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attndsl.diagnostics import Span, did_you_mean, error
from attndsl.graph import Axis
from attndsl.sizes import Size
from attndsl.types import shape_of
from attndsl.weights.axes import AxisTerm, TermFactor, place_of, shown_axes
from attndsl.weights.forms import Form, Rearranged
from attndsl.weights.lines import Rearrange


def rearranged(inner: Form, arrow: Rearrange, sizes: Mapping[str, int]) -> Form:
    """`[Y*P, C] -> [Y, C*P]`: axes are split into factors, factors merged into axes. What is not mentioned stays. What
    stands on one side only is made of what stands on the other only: `[in] -> [C=channels, P=patch, Q=patch]` splits,
    `[heads, head] -> [D]` merges, `[T] -> [U]` renames."""
    pieces: dict[int, list[Axis]] = {}  # for each axis that is mentioned, by place, what it is split into
    for term in arrow.source:
        place = place_of(inner.axes, term.name, term.span)
        if place in pieces:
            raise error("E0624", f"`{inner.axes[place].name}` is mentioned twice", term.span)
        pieces[place] = _split(term, inner.axes[place], sizes)
    targets = [term.factors for term in arrow.target]
    old = [piece.name for group in pieces.values() for piece in group]
    new = [factor for group in targets for factor in group if factor.name not in old]
    gone = [name for name in old if name not in [factor.name for group in targets for factor in group]]
    made: dict[str, list[str]] = {}  # of which pieces a factor consists that is on the right only
    if len(gone) == 1 and len(new) > 1:
        place = next(p for p, group in pieces.items() if gone[0] in [piece.name for piece in group])
        at = next(i for i, piece in enumerate(pieces[place]) if piece.name == gone[0])
        pieces[place][at : at + 1] = _apart(new, pieces[place][at], sizes, arrow.sides[1])
    elif len(new) == 1 and gone:
        made[new[0].name] = gone
    split = [piece for place, axis in enumerate(inner.axes) for piece in pieces.get(place, [axis])]
    places = {piece.name: i for i, piece in enumerate(split)}
    if len(places) < len(split):
        raise error(
            "E0624", "two axes would have one name", arrow.sides[0], f"they would be {shown_axes(tuple(split))}"
        )
    order: list[int] = []
    axes: list[Axis] = []
    for term, factors in zip(arrow.target, targets, strict=True):
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
            if factor.name in made and factor.size.known(sizes) is not None and factor.size != whole:
                raise error("E0624", f"`{factor.name}` has the size `{factor.size}`, not `{whole}`", term.span)
            size = size * whole
        axes.append(Axis(term.name, size))
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
    return Rearranged(tuple(axes), shape_of(axes, sizes), inner, shape_of(split, sizes), tuple(order))


def _split(term: AxisTerm, axis: Axis, sizes: Mapping[str, int]) -> list[Axis]:
    """The factors of `axis` that a term on the left of an arrow names; the one whose size is unknown is solved for."""
    if len(term.factors) == 1:
        return [Axis(term.factors[0].name, axis.size)]
    return _apart(term.factors, axis, sizes, term.span)


def _apart(factors: Sequence[TermFactor], axis: Axis, sizes: Mapping[str, int], span: Span) -> list[Axis]:
    """`axis` as a product of factors; the one whose size is unknown is solved for."""
    unknown = [factor for factor in factors if factor.size.known(sizes) is None]
    if len(unknown) > 1:
        raise error("E0624", f"neither `{unknown[0].name}` nor `{unknown[1].name}` is a size of the model", span)
    rest = axis.size
    for factor in factors:
        if factor not in unknown and factor.size.terms:
            rest = rest / factor.size
    if unknown and not rest.known(sizes):
        raise error("E0624", f"`{unknown[0].name}` would be `{rest}`, which is not a whole number here", span)
    if not unknown and rest != Size.of(1):
        raise error("E0624", f"`{span.text}` is not the size of `{axis}`", span)
    return [Axis(factor.name, rest if factor in unknown else factor.size) for factor in factors]
