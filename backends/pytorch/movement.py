"""Lowerings of the operators that compute no element, only its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attndsl.backends.pytorch.expressions import Expr, dim, function, index, permuted
from attndsl.backends.pytorch.site import Site
from attndsl.graph import BOOL, INT, Axis


def lower_unflatten(site: Site) -> Expr:
    op = site.op
    if len(op.parts) == 1:
        return site.arguments[0]
    return site.arguments[0].call("unflatten", dim(site.types[0].axes, op.axis), site.shape(op.parts))


def lower_flatten(site: Site) -> Expr:
    """The axes are moved to where the merged one stands in the output, wherever that is (`rules._reordered`)."""
    op, axes = site.op, list(site.types[0].axes)
    at = site.output.axes.index(op.axis)
    ordered = [*site.output.axes[:at], *op.parts, *site.output.axes[at + 1 :]]
    x = permuted(site.arguments[0], axes, ordered)
    if len(op.parts) == 1:
        return x
    end = at + len(op.parts) - 1
    if end == len(ordered) - 1:
        return x.call("flatten", str(at)) if at else x.call("flatten")
    return x.call("flatten", str(at), str(end))


def lower_broadcast(site: Site) -> Expr:
    op, x = site.op, site.arguments[0]
    if x.host:
        return site.filled(site.shape(op.axes), x, site.output.dtype) if op.axes else x
    if set(op.axes) == set(site.types[0].axes):
        return permuted(x, site.types[0].axes, op.axes)
    return site.align(0, op.axes).call("expand", *site.sizes(op.axes))


def lower_concat(site: Site) -> Expr:
    op = site.op
    first = site.types[0].axes
    parts = []
    for x, type, axis in zip(site.arguments, site.types, op.axes, strict=True):
        layout = [axis if other == op.axes[0] else other for other in first]
        parts.append(permuted(x, type.axes, layout).text)
    at = dim(site.output.axes, op.target)
    return function("torch.cat", f"[{', '.join(parts)}]", *([f"dim={at}"] if at != "0" else []))


def lower_slice(site: Site) -> Expr:
    op, axes = site.op, site.types[0].axes
    start, stop = site.function.size(op.start).text, site.function.size(op.start + op.target.size).text
    if op.start + op.target.size == op.axis.size:
        stop = ""
    if start == "0":
        start = ""
    return index(site.arguments[0], [f"{start}:{stop}" if axis == op.axis else ":" for axis in axes])


def lower_select(site: Site) -> Expr:
    op, axes = site.op, site.types[0].axes
    at = site.function.size(op.at).text
    return index(site.arguments[0], [at if axis == op.axis else ":" for axis in axes])


def lower_take(site: Site) -> Expr:
    """A gather: unlike indexing with a tensor, it refuses negative indices."""
    table, at = site.types[0].axes, site.types[1].axes
    over, place = site.op.over, dim(table, site.op.over)
    x, i = site.arguments
    if i.host:
        return _element(site)
    new = [axis for axis in at if axis == over or axis not in table]
    if len(new) == len(at):  # the same indices everywhere: pick whole slices
        flat = i if len(at) == 1 else i.call("flatten") if at else i.call("reshape", "1")
        picked = x.call("index_select", place, flat.text)
        if len(at) == 1:
            return picked
        return picked.call("unflatten", place, site.shape(at)) if at else picked.call("squeeze", place)
    shared = [axis for axis in table if axis in at and axis != over]
    source = [over if axis in new else axis for axis in at]
    if len(new) > 1:
        i = permuted(i, at, [*shared, *new]).call("flatten", str(len(shared)))
        source = [*shared, over]
    marks, lengths = [], []
    for axis in table:
        inside = axis in shared or (axis == over and new)
        marks.append(":" if inside else "None")
        lengths.append("-1" if inside or axis == over else site.function.size(axis.size).text)
    order = [axis for axis in table if axis in shared or (axis == over and new)]
    i = index(permuted(i, source, order), marks)
    if any(length != "-1" for length in lengths):
        i = i.call("expand", *lengths)
    picked = x.call("gather", place, i.text)
    if not new:
        return picked.call("squeeze", place)
    return picked if len(new) == 1 else picked.call("unflatten", place, site.shape(new))


def _element(site: Site) -> Expr:
    """A take at one place, which Python knows. It would count from the end what is negative."""
    table, over = site.types[0].axes, site.op.over
    x, at = site.arguments
    known = at.text.isdigit() or site.function.counts(site.node.inputs[1])
    place = at.text if known else function(site.function.helper("inside"), at.text).text
    parts = site.function.parts(site.node.inputs[0], table.index(over)) if site.types[0].is_float else None
    if parts is not None:
        return Expr(f"{parts}[{place}]")
    return index(x, [place if axis == over else ":" for axis in table])


def _along(site: Site, i: int, layout: Sequence[Axis]) -> Expr:
    """The index that is operand i, along these axes."""
    at = site.types[i].axes
    found = permuted(site.tensor(site.arguments[i], INT), at, [axis for axis in layout if axis in at])
    found = index(found, [":" if axis in at else "None" for axis in layout])
    if len(at) == len(layout):
        return found
    return found.call("expand", *("-1" if axis in at else site.function.size(axis.size).text for axis in layout))


def lower_slot_index(site: Site) -> Expr:
    return _along(site, 0, site.output.axes)


def writing(method: str) -> Callable[[Site], Expr]:
    """A scatter, which refuses indices that are out of range, along the axis that is written."""

    def lower(site: Site) -> Expr:
        memory, values, at = (type.axes for type in site.types)
        place = memory.index(site.op.over)
        shared = [axis for axis in at if axis in memory and axis != site.op.over]
        new = [axis for axis in at if axis not in shared]
        layout = [*memory[:place], *new, *memory[place + 1 :]]
        x = permuted(site.tensor(site.arguments[1], site.types[1].dtype), values, layout)
        i = _along(site, 2, layout)
        if len(new) != 1:
            where = (str(place), str(place + len(new) - 1)) if new else (str(place),)
            x, i = (each.call("flatten" if new else "unsqueeze", *where) for each in (x, i))
        return site.tensor(site.arguments[0], site.output.dtype).call(method, str(place), i.text, x.text)

    return lower


def lower_scatter_add(site: Site) -> Expr:
    """Rows of [aligned axes, target, others] to which those of [aligned axes, what goes, others] are added."""
    op, (values, at) = site.op, (type.axes for type in site.types)
    shared = [axis for axis in values if axis in at and axis not in op.over]
    others = [axis for axis in values if axis not in at]
    place, last = len(shared), len(shared) + len(op.over) - 1
    x = permuted(site.tensor(site.arguments[0], site.output.dtype), values, [*shared, *op.over, *others])
    i = permuted(site.tensor(site.arguments[1], INT), at, [*shared, *op.over])
    if len(op.over) > 1:
        x, i = x.call("flatten", str(place), str(last)), i.call("flatten", str(place), str(last))
    if others:
        i = index(i, [":"] * (place + 1) + ["None"] * len(others)).call(
            "expand", *["-1"] * (place + 1), *site.sizes(others)
        )
    laid_out = (*shared, op.target, *others)
    total = x.call("new_zeros", site.shape(laid_out)).call("scatter_add", str(place), i.text, x.text)
    return permuted(total, laid_out, site.output.axes)


def lower_windows(site: Site) -> Expr:
    op, axes = site.op, site.types[0].axes
    x, at = site.arguments[0], axes.index(op.axis)
    size = site.function.size
    if op.before.terms or op.after.terms:
        pads = ["0", "0"] * (len(axes) - 1 - at) + [size(op.before).text, size(op.after).text]
        if site.types[0].dtype == BOOL:
            x = function("F.pad", x.text, f"({', '.join(pads)})", "value=False")
        else:
            x = function("F.pad", x.text, f"({', '.join(pads)})")
    x = x.call("unfold", str(at), size((op.offsets.size - 1) * op.dilation + 1).text, size(op.stride).text)
    if op.dilation.constant != 1:
        x = index(x, [":"] * len(axes) + [f"::{size(op.dilation).text}"])
    rest = axes[at + 1 :]
    laid_out = (*axes[:at], op.positions, *rest, op.offsets)
    return permuted(x, laid_out, site.output.axes)


def lower_flip(site: Site) -> Expr:
    return site.arguments[0].call("flip", dim(site.types[0].axes, site.op.over))
