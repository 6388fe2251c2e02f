"""The axes and lengths of a line's value, and with them its form. No array is touched."""

from __future__ import annotations

from collections.abc import Mapping

from attndsl.diagnostics import did_you_mean, error
from attndsl.graph import Axis, Graph, ParameterInfo
from attndsl.records import replace
from attndsl.sizes import Size
from attndsl.types import shape_of
from attndsl.weights.axes import AxisTerm, place_of, shown_axes
from attndsl.weights.computing import computed
from attndsl.weights.forms import Filled, Form, Joined, Leaf, Pointwise, Rearranged, Scaled
from attndsl.weights.lines import Affine, Computed, ConcatSide, FunctionSide, Literal, MapLine, Rearrange, Side
from attndsl.weights.patterns import AddressPattern
from attndsl.weights.rearranging import rearranged
from attndsl.weights.resolving import Resolved


def form_of(resolved: Resolved, values: Mapping[str, int], graph: Graph) -> Form:
    """The form of a line for these values of its variables, in the weights of `graph`; E0624 for axes that do not fit,
    or that are not stated where they have to be."""
    line, sizes = resolved.line, graph.sizes
    if isinstance(line.value, Literal):
        axes = _own_axes(line.axes or (), sizes)
        return Filled(axes, shape_of(axes, sizes), line.value.value)
    if isinstance(line.value, Computed):
        form = computed(line.value, line.axes or (), graph)
    else:
        form = _Shaping(resolved, values, sizes).form(line.value)
    if line.axes is not None:
        return _arranged(form, line.axes, line, sizes)
    if len(form.axes) > 1:
        names = ", ".join(axis.name for axis in form.axes)
        raise error(
            "E0624",
            f"the order of the axes of `{line.name.text}` is not stated",
            line.tree.name.span,
            f"the value has the axes [{names}]",
            note="a tensor whose axes are as long as each other would load just as well the wrong way round",
            help=f"state the order of the published tensor: `{line.tree.name.span.text}: [{names}]`, or another one",
        )
    return form


class _Shaping:
    def __init__(self, resolved: Resolved, values: Mapping[str, int], sizes: Mapping[str, int]) -> None:
        self.resolved, self.values, self.sizes = resolved, values, sizes

    def form(self, side: Side) -> Form:
        match side:
            case AddressPattern():
                info = self.resolved.parameter(side, self.values)
                return _leaf(side.render(self.values), info, self.sizes)
            case ConcatSide():
                return self.concat(side)
            case Rearrange():
                return rearranged(self.form(side.inner), side, self.sizes)
            case Affine():
                inner = self.form(side.inner)
                return Scaled(inner.axes, inner.shape, inner, side.factor, side.shift)
            case FunctionSide():
                inner = self.form(side.inner)
                return Pointwise(inner.axes, inner.shape, inner, side.name)
            case Literal(value=value):
                return Filled((), (), value)
            case Computed():
                raise side.reason()

    def concat(self, side: ConcatSide) -> Form:
        parts = tuple(self.form(part) for part in side.parts)
        lacking = all(n not in [a.name for a in part.axes] for n, part in zip(side.joined, parts, strict=True))
        places = [
            -1 if lacking else place_of(part.axes, name, side.over)
            for name, part in zip(side.joined, parts, strict=True)
        ]
        place = 0 if lacking else places[0]
        rest = tuple(axis for i, axis in enumerate(parts[0].axes) if i != places[0])
        orders, lengths, total = [], [], Size.of(0)
        for part, own in zip(parts, places, strict=True):
            others = {axis: i for i, axis in enumerate(part.axes) if i != own}
            if set(others) != set(rest):
                raise error(
                    "E0624",
                    "the tensors that are joined differ in more than the joined axis",
                    side.span,
                    note=f"{shown_axes(parts[0].axes)} and {shown_axes(part.axes)}, over `{side.over.text}`",
                )
            order = [others[axis] for axis in rest]
            if not lacking:
                order.insert(place, own)
                total = total + part.axes[own].size
            orders.append(tuple(order))
            lengths.append(1 if lacking else part.shape[own])
        axis = Axis(side.name, Size.of(len(parts)) if lacking else total)
        axes = (*rest[:place], axis, *rest[place:])
        return Joined(axes, shape_of(axes, self.sizes), parts, tuple(orders), place, tuple(lengths), lacking)


def _leaf(address: str, info: ParameterInfo, sizes: Mapping[str, int]) -> Form:
    """A parameter; those of several layers as what joins them along one more axis for each choice among them."""
    axes, shape = info.type.axes, shape_of(info.type.axes, sizes)
    if not info.stacks:
        return Leaf(axes, shape, address, info)
    steps, depth = address.split("."), info.stacks[0]
    rest = tuple(at + (at >= depth) for at in info.stacks[1:])
    one = replace(info, type=info.type.without(axes[0]), stacks=rest)
    parts = tuple(
        _leaf(".".join((*steps[:depth], str(i), *steps[depth:])), one, sizes) for i in range(axes[0].size.value(sizes))
    )
    order = tuple(range(len(axes) - 1))
    return Joined(axes, shape, parts, (order,) * len(parts), 0, (1,) * len(parts), True)


def _arranged(form: Form, stated: tuple[AxisTerm, ...], line: MapLine, sizes: Mapping[str, int]) -> Form:
    """`form` with its axes in the order in which the published tensor has them; a `1` that it has not is an axis of one
    element more, as in `[1, context, width]`. An axis that is called by its length alone, another one in each stage, is
    stated by any name."""
    places: list[int] = []
    axes: list[Axis] = []
    own = {axis.name for axis in form.axes} | {str(axis.size) for axis in form.axes}
    for term in stated:
        if term.name == "1" and term.name not in own:
            axes.append(Axis(term.name, Size.of(1)))
            continue
        place = _unnamed(form.axes, term.name, stated) if term.name not in own else None
        place = place_of(form.axes, term.name, term.span) if place is None else place
        if place in places:
            raise error("E0624", f"the axis `{term.span.text}` is stated twice", term.span)
        places.append(place)
        axes.append(form.axes[place])
    left = [axis for i, axis in enumerate(form.axes) if i not in places]
    if left:
        assert line.tree.axes is not None
        raise error(
            "E0624",
            f"the axis `{left[0].name}` is not stated",
            line.tree.axes.span,
            f"the tensor has the axes {shown_axes(form.axes)}",
        )
    if tuple(axes) == form.axes:
        return form
    return Rearranged(tuple(axes), shape_of(tuple(axes), sizes), form, form.shape, tuple(places))


def _unnamed(axes: tuple[Axis, ...], name: str, stated: tuple[AxisTerm, ...]) -> int | None:
    """The place of the only axis without a name, if `name` is the only one stated that no axis has."""
    free = [i for i, axis in enumerate(axes) if axis.name.isdecimal()]
    others = [t for t in stated if t.name not in (name, "1") and all(t.name != axis.name for axis in axes)]
    return free[0] if len(free) == 1 and not others and name.isidentifier() else None


def _own_axes(stated: tuple[AxisTerm, ...], sizes: Mapping[str, int]) -> tuple[Axis, ...]:
    """Axes that stand on their own, with sizes that the model knows (those of a constant)."""
    for term in stated:
        if term.size.known(sizes) is None:
            raise error(
                "E0624",
                f"`{term.span.text}` is not a size of the model",
                term.span,
                help=did_you_mean(str(term.size), sizes),
            )
    return tuple(Axis(term.name, term.size) for term in stated)
