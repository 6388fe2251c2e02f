"""`rearrange(x, [Y*P, X*Q, C] -> [Y*X, P*Q*C])`: splitting, merging, permuting and renaming axes by name.

Each side of a pattern is read as groups of factors (`Y*P` is two). A factor that stands on both sides moves as it is;
what is left on one side is made of what is left on the other: one axis split into several, several merged into one, or
renamed. Factors are told apart by the names that they are written with, not by their sizes: with `P = patch` and
`Q = patch`, `[Y*P, X*Q] -> [Y*X, P*Q]` says which is which.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from itertools import chain

from attndsl import ops
from attndsl.diagnostics import AttnError, Label, Span, error
from attndsl.elaborate.frames import Frame
from attndsl.elaborate.sizes_and_axes import axes_text, axis_in_body, axis_of, denominator
from attndsl.elaborate.tensors import arrange, emit
from attndsl.elaborate.values import ArrowValue, Evaluated
from attndsl.graph import Axis, Type, Value
from attndsl.records import dataclass
from attndsl.sizes import Size
from attndsl.syntax import tree


@dataclass(slots=True, eq=False)
class AxisFactor:
    """One factor of a pattern. `text` is its size as written, `label` the name that it is given (`in` of `in=width`,
    else the text), `axis` what it is by itself; `partner` is the same factor on the other side."""

    label: str
    text: str
    axis: Axis
    span: Span
    partner: AxisFactor | None = None


@dataclass(slots=True, eq=False)
class Group:
    """One term of a pattern: its axis, its size as written, and the factors of it (one, unless it is a product)."""

    axis: Axis
    text: str
    factors: list[AxisFactor]
    span: Span

    def whole(self) -> AxisFactor:
        """Make one factor of it."""
        self.factors = [AxisFactor(self.axis.name, self.text, self.axis, self.span)]
        return self.factors[0]


def rearrange(given: Evaluated, arrow: ArrowValue, frame: Frame, span: Span) -> Value:
    """The tensor with the axes on the left made into those on the right, which stand where the first of them stood.

    Raises E0203 for an axis that the tensor lacks, E0205 where the result would have an axis twice, E0206 where the
    sizes do not multiply to the same or it is not clear what becomes of what, E0214 where factors cannot be told apart.
    """
    for side in (arrow.source, arrow.target):
        if not side.terms:
            raise error("E0206", "nothing is rearranged", arrow.span, help="name the axes: `[D] -> [heads, head]`")
    named = _named(arrow, [axis.name for axis in given.type.axes])
    before = _groups(arrow.source.terms, arrow.source.frame, (given.type,), named)
    labels = {f.label: f.axis for g in before for f in g.factors}
    after = _groups(arrow.target.terms, arrow.target.frame, (), labels, _product([g.axis for g in before]))
    touched, made = [g.axis for g in before], [g.axis for g in after]
    if len(set(touched)) < len(touched):
        raise error("E0205", f"{axes_text(touched)} names an axis twice", arrow.source.terms[0].span)
    place = min((given.type.index(a) for a in touched), default=0)
    untouched = [a for a in given.type.axes if a not in touched]
    order = [*(a for a in given.type.axes[:place]), *made]

    _match(before, after)
    moving = _Moving(given, frame, span)
    whole = {g.factors[0]: g.axis for g in after if len(g.factors) == 1}
    for group in before:
        moving.split(group, whole)
    _exchange(moving, before, after, given, arrow)
    taken = {a.name for a in untouched}
    for group in after:
        name, text = group.axis.name, group.text
        if name in taken:
            own = text if text.isidentifier() and text != name else "other"
            raise error(
                "E0205",
                f"the result would have the axis {axes_text([group.axis])} twice",
                group.span,
                other=(),
                help=f"give this one a name of its own, `{own}={text}`, or rename the other before",
            )
        taken.add(name)
    for group in after:
        moving.join(group)
    order += [a for a in moving.argument.type.axes if a not in order]
    return arrange(moving.argument.tensor, tuple(order), frame, span)


# ---------------------------------------------------------------- reading


def _named(arrow: ArrowValue, taken: Collection[str]) -> dict[str, Axis]:
    """The axes on the right that get a name there, `[Y, P=patch]`, by which a factor on the left goes, `[Y * P]`."""
    frame, found = arrow.target.frame, dict[str, Axis]()
    used = {name.text for term in arrow.source.terms for name in tree.names(term)}
    for term in arrow.target.terms:
        name = term.name.text if term.name else ""
        known = all(frame.lookup(part.text) is not None for part in tree.names(term))
        if name in used and name not in taken and known and frame.lookup(name) is None:
            found[name] = axis_of(term, frame)
    return found


def _groups(
    terms: Sequence[tree.AxisTerm], frame: Frame, types: Sequence[Type], labels: Mapping[str, Axis],
    whole: Size | None = None,
) -> list[Group]:  # fmt: skip
    """The terms of one side, `*` standing for each of the axes that it is in this block. Of the names on the right, one
    may be new: its size is what the others leave of the `whole`."""
    found: list[Group] = []
    new: tuple[int, tree.AxisTerm] | None = None
    for term in terms:
        if term.is_rest and frame.enclosing.rest is not None:
            found += [_alone(axis, term.span) for axis in frame.enclosing.rest]
        elif whole is not None and new is None and _is_new(term, frame, labels):
            new = (len(found), term)
        else:
            found.append(_group(term, frame, types, labels))
    if new is not None and whole is not None:
        at, term = new
        left = whole / _product([g.axis for g in found])
        if denominator(left) == Size.of(1):
            made = frame.bind_axis(term.span.text, Axis(term.span.text, left), term.span)
            found.insert(at, _alone(made, term.span))
        else:
            found.insert(at, _group(term, frame, types, labels))
    return found


def _alone(axis: Axis, span: Span) -> Group:
    """An axis that is one factor."""
    return Group(axis, axis.name, [AxisFactor(axis.name, axis.name, axis, span)], span)


def _is_new(term: tree.AxisTerm, frame: Frame, labels: Mapping[str, Axis]) -> bool:
    """Whether a term is a name that nothing has here."""
    if term.name is not None or not isinstance(term.size, tree.Name):
        return False
    name = term.size.text
    return name not in labels and frame.lookup(name) is None and axis_in_body(name, term.span, frame) is None


def _group(term: tree.AxisTerm, frame: Frame, types: Sequence[Type], labels: Mapping[str, Axis]) -> Group:
    """A term with its factors. `types` are those that its axis must be of (on the left); a name that nothing else
    explains is the axis of that name on the other side (`labels`)."""
    if term.size is None:
        raise error("E0203", "`*` has no meaning here", term.span, help="mention only the axes that change")

    def axis_by(size: tree.Expr, name: tree.Identifier | None = None, types: Sequence[Type] = ()) -> Axis:
        if isinstance(size, tree.Name) and size.text in labels and frame.lookup(size.text) is None:
            return labels[size.text] if name is None else Axis(name.text, labels[size.text].size)
        return axis_of(tree.AxisTerm(size.span, name, size), frame, types, known=bool(types))

    text, name = _written(term.size), term.name
    if not isinstance(term.size, tree.Chain) or any(o.text != "*" for o in term.size.operators):
        as_size = tree.AxisTerm(term.size.span, name, term.size)
        axis = axis_of(as_size, frame, types, known=True) if types else axis_by(term.size, name)
        return Group(axis, text, [AxisFactor(name.text if name else text, text, axis, term.span)], term.span)
    factors = [AxisFactor(_written(o), _written(o), axis_by(o), o.span) for o in term.size.operands]
    size = _product([f.axis for f in factors])
    if types:
        found = next((a for t in types for a in t.axes if name is None and a.size == size), None)
        return Group(found or axis_by(term.size, name, types), text, factors, term.span)
    return Group(Axis(name.text, size) if name else Axis.of(size), text, factors, term.span)


def _written(node: tree.Expr) -> str:
    return "".join(node.span.text.split())


# ---------------------------------------------------------------- which is which


def _match(before: Sequence[Group], after: Sequence[Group]) -> None:
    """Make partners of the factors that stand on both sides: first of products written alike, then by the names that
    they go by, by what is written, by the axis that it means, and where several are left on both sides, by size."""
    for group in before:
        same = next((g for g in after if len(g.factors) > 1 and g.text == group.text), None)
        if same is not None and len(group.factors) > 1:
            left, right = group.whole(), same.whole()
            left.partner, right.partner = right, left
    rules: tuple[Callable[[AxisFactor], Hashable], ...] = (
        lambda f: (f.label, f.axis.size),
        lambda f: (f.text, f.axis.size),
        lambda f: f.axis,
        lambda f: f.axis.size,
    )
    for rule in rules:
        gone, new = _left(before), _left(after)
        if rule is rules[-1] and (len(gone) < 2 or len(new) < 2):
            break
        for key in dict.fromkeys(rule(f) for f in gone):
            ours, theirs = [f for f in gone if rule(f) == key], [f for f in new if rule(f) == key]
            if len(ours) == len(theirs) == 1 or _in_order(ours, before, theirs, after):
                for left, right in zip(ours, theirs, strict=True):
                    left.partner, right.partner = right, left
            elif ours and theirs:
                raise _ambiguous(ours, theirs)
    for group in chain(before, after):
        if len(group.factors) > 1 and not any(f.partner for f in group.factors):
            group.whole()


def _in_order(
    ours: Sequence[AxisFactor], before: Sequence[Group], theirs: Sequence[AxisFactor], after: Sequence[Group]
) -> bool:
    """Whether factors that look alike are a whole product on one side and terms of their own on the other: `[n*n]`
    comes apart into `[row=n, column=n]`, the first factor first, and is made of them so."""

    def product(factors: Sequence[AxisFactor], groups: Sequence[Group]) -> bool:
        return any(g.factors == list(factors) for g in groups)

    def terms(factors: Sequence[AxisFactor], groups: Sequence[Group]) -> bool:
        return all(any(g.factors == [f] for g in groups) for f in factors)

    if len(ours) != len(theirs):
        return False
    return (product(ours, before) and terms(theirs, after)) or (terms(ours, before) and product(theirs, after))


def _left(groups: Sequence[Group]) -> list[AxisFactor]:
    return [f for g in groups for f in g.factors if f.partner is None]


def _ambiguous(ours: Sequence[AxisFactor], theirs: Sequence[AxisFactor]) -> AttnError:
    alike, others, side, other = ours, theirs, "left", "right"
    if len({f.label for f in ours}) == len(ours) and len(theirs) > 1:
        alike, others, side, other = theirs, ours, "right", "left"
    names = list(dict.fromkeys(f.label for f in alike))
    if len(names) < len(alike):
        message = f"`{names[0]}` occurs {len(alike)} times on the {side}"
    else:
        message = f"{' and '.join(f'`{n}`' for n in names)} on the {side} have one size"
    theirs_names = [f.label for f in others]
    if len(set(theirs_names)) == len(alike):
        help = f"write them on the {side} as on the {other}: {' and '.join(f'`{n}`' for n in theirs_names)}"
    else:
        text = others[0].text
        help = f"give each a name, and write that on both sides: `P = {text}` and `Q = {text}`, then `[Y*P, X*Q] -> …`"
    return error(
        "E0214",
        f"{message}: it is not clear which is `{others[0].label}` on the {other}",
        others[0].span,
        other=tuple(Label(f.span, "this one?" if i == 0 else "or this one?") for i, f in enumerate(alike)),
        help=help,
    )


# ---------------------------------------------------------------- making the nodes


class _Moving:
    """The tensor under way. `now` says which of its axes each factor is at present."""

    def __init__(self, given: Evaluated, frame: Frame, span: Span) -> None:
        self.argument, self.frame, self.span = given, frame, span
        self.now: dict[AxisFactor, Axis] = {}

    def split(self, group: Group, whole: Mapping[AxisFactor, Axis]) -> None:
        """Take a product on the left apart. A factor that will be a whole axis becomes it at once."""
        axes: list[Axis] = [group.axis]
        if len(group.factors) > 1:
            wanted = [whole.get(f.partner, f.axis) if f.partner else f.axis for f in group.factors]
            taken = {a.name for a in self.argument.type.axes if a != group.axis}
            axes = [_free(axis, f.label, taken) for f, axis in zip(group.factors, wanted, strict=True)]
            self.emit(ops.Unflatten(group.axis, tuple(axes)))
        for factor, axis in zip(group.factors, axes, strict=True):
            self.now[factor] = axis
            if factor.partner is not None:
                self.now[factor.partner] = axis

    def join(self, group: Group) -> None:
        """Make a term on the right of its factors."""
        parts = tuple(self.now[f] for f in group.factors)
        if parts == (group.axis,):
            return
        for (
            axis
        ) in self.argument.type.axes:  # one that goes by the new name, and is renamed or joined later, steps aside
            if axis.name == group.axis.name and axis not in parts:
                aside = _free(axis, f"{axis.name}'", {a.name for a in self.argument.type.axes})
                self.emit(ops.Rename(axis, aside))
                self.now = {f: aside if a == axis else a for f, a in self.now.items()}
        self.emit(ops.Flatten(parts, group.axis) if len(parts) > 1 else ops.Rename(parts[0], group.axis))
        self.now[group.factors[0]] = group.axis

    def emit(self, op: ops.Op) -> None:
        self.argument = Evaluated(emit(self.frame, op, self.span, self.argument), self.argument.span)


def _free(axis: Axis, label: str, taken: set[str]) -> Axis:
    """The axis under a name that is not taken: its own, else the label; the name is taken from then on."""
    name = axis.name if axis.name not in taken else label
    while name in taken:
        name += "'"
    taken.add(name)
    return axis if name == axis.name else Axis(name, axis.size)


def _exchange(
    moving: _Moving, before: Sequence[Group], after: Sequence[Group], given: Evaluated, arrow: ArrowValue
) -> None:
    """Turn the factors that stand on the left only into those that stand on the right only."""
    gone, new = _left(before), _left(after)
    old_axes, new_axes = [f.axis for f in gone], [f.axis for f in new]
    old, made = _product(old_axes), _product(new_axes)
    if old != made:
        frame = moving.frame
        helps = ("both sides of `->` must have the same number of elements",)
        frame.require("==", old, made, arrow.span, "E0206", helps)
        raise error(
            "E0206",
            f"{axes_text(old_axes)} and {axes_text(new_axes)} differ in size: `{old}` against `{made}`",
            arrow.span,
            str(given.type),
            help="both sides of `->` must multiply to the same size",
        )
    if len(gone) > 1 and len(new) > 1:
        raise error(
            "E0206",
            f"it is not clear how {axes_text(old_axes)} becomes {axes_text(new_axes)}",
            arrow.span,
            help="split and merge in two steps, or write products that share names: `[Y*P] -> [Y, P]`",
        )
    parts = [moving.now[f] for f in gone]
    taken = {a.name for a in moving.argument.type.axes if a not in parts}
    axes = parts if len(parts) == len(new) == 1 else [_free(f.axis, f.label, taken) for f in new]
    if not new:
        for axis in parts:  # each is of size 1
            moving.emit(ops.Select(axis, Size.of(0)))
    elif not gone:
        moving.emit(ops.Broadcast((*moving.argument.type.axes, *axes)))
    elif len(new) > 1:
        moving.emit(ops.Unflatten(parts[0], tuple(axes)))
    elif len(gone) > 1:
        moving.emit(ops.Flatten(tuple(parts), axes[0]))
    moving.now.update(zip(new, axes, strict=True))


def _product(axes: Sequence[Axis]) -> Size:
    total = Size.of(1)
    for axis in axes:
        total = total * axis.size
    return total
