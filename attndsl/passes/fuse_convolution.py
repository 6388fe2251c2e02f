"""Convolutions and their transposes, however they are spelled.

    convolution     the product of windows of x with a kernel, summed over what is in a window
    transposed      the product of x with a kernel, scattered to t * stride + r * dilation and added up there, then cut

Windows may lie along several axes. Between them and the product, axes may be renamed, split, merged and moved: channels
into groups, all that is in a window into one axis, as in `rearrange(seen, [R, S, D] -> [R * S * D]) |> linear(out)`.
Axes that x and the kernel share and that are not summed over are groups.
"""

from __future__ import annotations

from collections.abc import Iterator

from attndsl.graph import FLOAT, Axis, Node, Value
from attndsl.graph.builder import Builder
from attndsl.masks import index_formula
from attndsl.ops import (
    Convolution,
    Dot,
    Flatten,
    Mismatch,
    Op,
    Parameter,
    Rename,
    ScatterAdd,
    Slice,
    Sum,
    Transpose,
    TransposedConvolution,
    Unflatten,
    Windows,
)
from attndsl.passes.algebra import Algebra
from attndsl.passes.base import Refusal
from attndsl.passes.matching import axis_names
from attndsl.passes.rules import Match, Rule, RulePass
from attndsl.records import Frozen, dataclass, field, replace
from attndsl.sizes import ZERO

MOVES = (Rename, Transpose, Unflatten, Flatten)


# ---------------------------------------------------------------- windows, then a product


class _Product(Frozen):
    """A sum of products, perhaps in two steps, one factor of which is made of windows of `x` by `steps`, the first
    first."""

    dot: Node
    over: tuple[Axis, ...]
    kernel: Value
    x: Value
    steps: tuple[Node, ...]


def _products(algebra: Algebra, node: Node) -> Iterator[_Product]:
    dot, over = node, node.op.goes_over
    if isinstance(node.op, Sum):
        value = node.inputs[0]
        moved = algebra.made_by(value, Transpose)
        inner = algebra.made_by(value if moved is None else moved.inputs[0], Dot)
        if inner is None or not algebra.rewriter.used_once(value) or not algebra.rewriter.used_once(inner.output):
            return
        dot, over = inner, (*inner.op.goes_over, *over)
    if node.output.type.dtype != FLOAT:
        return
    for seen, kernel in (dot.inputs, dot.inputs[::-1]):
        steps = _steps(algebra, seen)
        if steps and set(over) <= set(seen.type.axes) & set(kernel.type.axes):
            yield _Product(dot, over, kernel, steps[0].inputs[0], steps)


def _steps(algebra: Algebra, value: Value) -> tuple[Node, ...]:
    """The nodes from the first windows to `value`: moves, and what is computed of each element by itself."""
    found: list[Node] = []
    while (node := algebra.producers.get(value)) is not None:
        operands = [each for each in node.inputs if each.type.axes]
        if not isinstance(node.op, (*MOVES, Windows)) and not (node.op.pointwise and len(operands) == 1):
            break
        found.append(node)
        value = operands[0]
    while found and not isinstance(found[-1].op, Windows):
        found.pop()
    return tuple(reversed(found))


@dataclass(eq=False, slots=True)
class _Pushed:
    """Windows pushed behind the moves that follow them: `before` are those of x, `after` those of the result, and
    `merged` the axes that a window's elements were made part of, with these parts."""

    windows: list[Windows] = field(default_factory=list)
    before: list[Op] = field(default_factory=list)
    after: list[Op] = field(default_factory=list)
    merged: dict[Axis, tuple[Axis, ...]] = field(default_factory=dict)
    places: set[Axis] = field(default_factory=set)  # axes of the result that come of windows
    inside: set[Axis] = field(default_factory=set)  # axes of the elements of windows

    def add(self, node: Node) -> None:
        """One more step. Raises `Refusal` where the windows cannot be pushed behind it."""
        match node.op:
            case Windows(axis, positions, offsets) as window:
                if axis in self.places or axis in self.inside:
                    raise Refusal(
                        f"`{axis.name}` comes of windows itself, and windows of windows are no convolution", node, 1
                    )
                self.windows.append(window)
                self.places.add(positions)
                self.inside.add(offsets)
            case Rename(old, new):
                self._rename(node.op, old, new)
            case Unflatten(axis, parts) if axis in self.places:
                self.after.append(node.op)
                self.places.update(parts)
            case Unflatten(axis) if axis in self.inside:
                raise Refusal(f"the elements of a window, `{axis.name}`, are taken apart", node, 1)
            case Flatten(parts, axis) if self.inside & set(parts):
                if self.places & set(parts):
                    raise Refusal(f"`{axis.name}` holds both windows and what is in them", node, 1)
                self.merged[axis] = tuple(each for part in parts for each in self.merged.pop(part, (part,)))
                self.inside.add(axis)
            case Flatten(parts, axis) if self.places & set(parts):
                self.after.append(node.op)
                self.places.add(axis)
            case Unflatten() | Flatten():
                self.before.append(node.op)

    def _rename(self, op: Op, old: Axis, new: Axis) -> None:
        for i, window in enumerate(self.windows):
            if window.offsets == old:
                self.windows[i] = replace(window, offsets=new)
                self.inside.add(new)
                return
            if window.positions == old and not self.after:
                self.windows[i] = replace(window, positions=new)
                self.places.add(new)
                return
        if old in self.merged:
            self.merged[new] = self.merged.pop(old)
            self.inside.add(new)
        elif old in self.places:
            self.after.append(op)
            self.places.add(new)
        else:
            self.before.append(op)


def _convolution(algebra: Algebra, node: Node, found: _Product) -> Match | None:
    kernel, trained = found.kernel, _trained(algebra, found.kernel)
    pushed = _Pushed()
    try:
        for step in found.steps:
            pushed.add(step)
    except Refusal:
        if trained:
            raise
        return None
    summed = tuple(part for axis in found.over for part in pushed.merged.get(axis, (axis,)))
    reason = _not_summed(pushed, kernel, summed)
    if reason is not None:
        if trained and pushed.inside & set(kernel.type.axes):
            raise Refusal(reason, found.dot, 2)
        return None
    between = next((step for step in found.steps if step.op.pointwise), None)
    if between is not None:
        if trained:
            raise Refusal(f"`{between.op.name}` is applied to the windows: apply it before them", between, 3)
        return None
    offsets = [window.offsets for window in pushed.windows]
    op = Convolution(tuple(pushed.windows), tuple(axis for axis in summed if axis not in offsets))

    def rewrite(out: Builder) -> Value:
        x, filled = found.x, kernel
        for move in pushed.before:
            x = out.emit(move, x)
        for axis in found.over:
            if axis in pushed.merged:
                filled = out.emit(Unflatten(axis, pushed.merged[axis]), filled)
        y = out.emit(op, x, filled)
        for move in pushed.after:
            y = out.emit(move, y)
        return y

    try:
        rewrite(Builder())
    except Mismatch:  # axes that were never in one tensor came into one
        return None

    return Match(f"`convolution` over {axis_names(op.goes_over)}", rewrite, (node, found.dot))


def _not_summed(pushed: _Pushed, kernel: Value, summed: tuple[Axis, ...]) -> str | None:
    """Why a sum of products with windows is no convolution."""
    for window in pushed.windows:
        if window.offsets not in summed:
            return f"the products are not summed over `{window.offsets.name}`, the elements of a window"
    for axis in kernel.type.axes:
        if axis in pushed.places:
            return f"the kernel has `{axis.name}`, so it differs from window to window"
    return None


def _trained(algebra: Algebra, value: Value) -> bool:
    """Whether a value is a parameter, perhaps moved."""
    while (node := algebra.made_by(value, *MOVES)) is not None:
        value = node.inputs[0]
    return algebra.made_by(value, Parameter) is not None


# ---------------------------------------------------------------- a product, then overlaps added


class _Overlapping(Frozen):
    """A product and the `steps` from it to the node: scatters, cuts and moves, the first first."""

    dot: Node
    steps: tuple[Node, ...]


def _overlapping(algebra: Algebra, node: Node) -> Iterator[_Overlapping]:
    steps = [node]
    while (maker := algebra.producers.get(steps[-1].inputs[0])) is not None:
        if not algebra.rewriter.used_once(steps[-1].inputs[0]):
            return
        if isinstance(maker.op, Dot):
            if maker.output.type.dtype == FLOAT and any(isinstance(step.op, ScatterAdd) for step in steps):
                yield _Overlapping(maker, tuple(reversed(steps)))
            return
        if not isinstance(maker.op, (ScatterAdd, Slice, Rename, Transpose)):
            return
        steps.append(maker)


def _transposed(algebra: Algebra, node: Node, found: _Overlapping) -> Match | None:
    for x, kernel in (found.dot.inputs, found.dot.inputs[::-1]):
        windows = _scattered(algebra, x, kernel, found.steps)
        if windows:
            break
    else:
        return None
    op = TransposedConvolution(windows, found.dot.op.goes_over)
    try:
        if set(op.infer(x.type, kernel.type).axes) != set(node.output.type.axes):
            return None
    except Mismatch as mismatch:
        if mismatch.code == "E0206" and _trained(algebra, kernel):
            raise Refusal("the result is longer by a stride than what is added up in it", node) from None
        return None
    detail = f"`transposed_convolution` over {axis_names(op.goes_over)}"
    return Match(detail, lambda out: out.emit(op, x, kernel), (node, found.dot, *found.steps))


def _scattered(algebra: Algebra, x: Value, kernel: Value, steps: tuple[Node, ...]) -> tuple[Windows, ...] | None:
    """The windows of the result to which elements of x give; None where something else is done."""
    windows: list[Windows] = []
    for node in steps:
        match node.op:
            case ScatterAdd(over, target):
                window = _window(algebra, node.inputs[1], over, target, x, kernel)
                if window is None:
                    return None
                windows.append(window)
            case Slice(axis, start, target):
                cut = [i for i, window in enumerate(windows) if window.axis == axis]
                if not cut:
                    return None
                old, end = windows[cut[0]], axis.size - start - target.size
                windows[cut[0]] = replace(old, axis=target, before=old.before + start, after=old.after + end)
            case Rename(old_axis, new):
                named = [i for i, window in enumerate(windows) if window.axis == old_axis]
                if not named:
                    return None
                windows[named[0]] = replace(windows[named[0]], axis=new)
    return tuple(windows)


def _window(
    algebra: Algebra, index: Value, over: tuple[Axis, ...], target: Axis, x: Value, kernel: Value
) -> Windows | None:
    """What is scattered to t * stride + r * dilation, t along x and r along the kernel, as windows of the target."""
    positions = [axis for axis in over if axis in x.type.axes and axis not in kernel.type.axes]
    offsets = [axis for axis in over if axis in kernel.type.axes and axis not in x.type.axes]
    if len(over) != 2 or len(positions) != 1 or len(offsets) != 1:
        return None
    place = index_formula(index, algebra.producers)
    steps = {str(atom): coefficient for atom, coefficient in place.terms}
    stride, dilation = steps.pop(positions[0].name, ZERO), steps.pop(offsets[0].name, ZERO)
    if steps or place.constant != ZERO or ZERO in (stride, dilation):
        return None
    return Windows(target, positions[0], offsets[0], stride, dilation)


class FuseConvolution(RulePass):
    """Products with windows become one `convolution`, products that overlap and are added one
    `transposed_convolution`."""

    name = "fuse-convolution"
    after = ("constant-folding", "common-subexpressions", "canonicalise")
    rules = (
        Rule("convolution", (Dot, Sum), _products, _convolution, core=lambda found: found.dot),
        Rule("convolution", (Slice, ScatterAdd), _overlapping, _transposed),
    )
    backward = True
