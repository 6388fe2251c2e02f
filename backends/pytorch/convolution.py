"""Convolutions as torch has them: batch, channels, and one axis to three that windows slide along, in this order.

The arrays need not lie so: torch reads them through their strides, and an image whose channels are its last axis
(`torch.channels_last`) is what its kernels are quickest with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attndsl.backends.pytorch.expressions import Expr, function, index, permuted
from attndsl.backends.pytorch.site import Site
from attndsl.graph import Axis, Type
from attndsl.masks.reading import known
from attndsl.ops import TransposedConvolution, Windows
from attndsl.ops.base import Op
from attndsl.ops.convolution import Sliding
from attndsl.ops.rules import product
from attndsl.sizes import ONE, ZERO, Size

MOST = 3  # axes that torch's convolutions slide along


class Conv(Op):
    """A `Convolution` or `TransposedConvolution` in one call, plus a bias if there is one. No window reaches the last
    `beyond` elements of a transposed one's result, before it is cut. `split` is an axis of x that holds groups and
    channels, and `joined` one of the result that holds groups and what the kernel brings; where they
    are None, these are axes of their own."""

    name = "torch.convolution"
    operands = ("x", "kernel", "bias?")
    windows: tuple[Windows, ...]
    channels: tuple[Axis, ...]
    groups: tuple[Axis, ...]
    brought: tuple[Axis, ...]
    transposed: bool
    beyond: tuple[Size, ...]
    split: Axis | None = None
    joined: Axis | None = None

    @property
    def offsets(self) -> tuple[Axis, ...]:
        return tuple(window.offsets for window in self.windows)

    @property
    def slid(self) -> tuple[Axis, ...]:
        """The axes of x that windows slide along, or that each give one."""
        return tuple(window.positions if self.transposed else window.axis for window in self.windows)

    @property
    def made(self) -> tuple[Axis, ...]:
        """The axes of the result that these become."""
        return tuple(window.axis if self.transposed else window.positions for window in self.windows)

    @property
    def given(self) -> tuple[Axis, ...]:
        """The axes of x that are channels to torch."""
        return (*self.groups, *self.channels) if self.split is None else (self.split,)

    @property
    def taken(self) -> tuple[Axis, ...]:
        """The axes of the result that are channels to torch."""
        return (*self.groups, *self.brought) if self.joined is None else (self.joined,)


def plan(op: Sliding, x: Type, kernel: Type, sizes: Mapping[str, int]) -> Conv | str:
    """The call of torch's that says what a convolution says, or why there is none."""
    if len(op.windows) > MOST:
        return f"torch has no convolution along {len(op.windows)} axes"
    transposed = isinstance(op, TransposedConvolution)
    if any(window.positions in kernel.axes for window in op.windows):
        return "torch has one kernel for all windows"
    inside = (*op.offsets, *op.channels)
    rest = [axis for axis in kernel.axes if axis not in inside]
    channels = [axis for axis in x.axes if transposed or axis not in op.goes_over]
    groups = tuple(axis for axis in rest if axis in channels)
    brought = tuple(axis for axis in rest if axis not in channels)
    beyond = tuple(known(_beyond(window), sizes) if transposed else ZERO for window in op.windows)
    return Conv(op.windows, op.channels, groups, brought, transposed, beyond)


def _beyond(window: Windows) -> Size:
    reached = (window.positions.size - 1) * window.stride + (window.offsets.size - 1) * window.dilation + 1
    return window.axis.size + window.before + window.after - reached


def lower_convolution(site: Site) -> Expr:
    op, (x, kernel, *_) = site.op, site.types
    batch = tuple(axis for axis in x.axes if axis not in (*op.given, *op.slid))
    image = _merged(_padded(site), x.axes, (*([batch] if batch else []), op.given, *_alone(op.slid)))
    options = _transposed_options(site) if op.transposed else _options(site)
    sides = (*op.groups, *op.channels), op.brought
    if not op.transposed:
        sides = (*op.groups, *op.brought), op.channels
    weight = _merged(site.floating(1), kernel.axes, (*sides, *_alone(op.offsets)))
    operands = [image.text, weight.text, *_bias(site), *options]
    name = f"conv{'_transpose' if op.transposed else ''}{len(op.windows)}d"
    name = site.function.helper(name) if len(op.windows) == 1 else f"F.{name}"
    if site.node.output in site.function.wide:
        y = function(site.function.helper("wide_call"), name, *operands)
    else:
        y = function(name, *operands)
    if op.transposed:
        y = _cut(site, y, bool(batch))
    y = _parted(site, y, (*([batch] if batch else []), op.taken, *_alone(op.made)))
    return permuted(y, (*batch, *op.taken, *op.made), site.output.axes)


def _bias(site: Site) -> list[str]:
    """The bias along what torch takes as channels. Where it was added before these were joined or renamed, its axes
    go by what they were called then; a vector needs no name."""
    op = site.op
    return [
        _merged(site.arguments[2], type.axes, [type.axes if type.rank == 1 else (*op.groups, *op.brought)]).text
        for type in site.types[2:]
    ]


def _alone(axes: Sequence[Axis]) -> list[tuple[Axis, ...]]:
    return [(axis,) for axis in axes]


def _merged(x: Expr, axes: Sequence[Axis], parts: Sequence[tuple[Axis, ...]]) -> Expr:
    """x with one axis for each of `parts`, of length 1 for one that is empty."""
    x = permuted(x, axes, [axis for part in parts for axis in part])
    for at, part in enumerate(parts):
        if len(part) > 1:
            x = x.call("flatten", str(at), str(at + len(part) - 1))
        elif not part:
            x = x.call("unsqueeze", str(at))
    return x


def _parted(site: Site, y: Expr, parts: Sequence[tuple[Axis, ...]]) -> Expr:
    """The inverse of `_merged`."""
    for at, part in reversed(list(enumerate(parts))):
        if len(part) > 1:
            y = y.call("unflatten", str(at), site.shape(part))
        elif not part:
            y = y.call("squeeze", str(at))
    return y


def _padded(site: Site) -> Expr:
    """x, padded where the two sides are padded differently, which torch does not do. Padded as it lies: of fewer than
    four axes `F.pad` keeps no other order."""
    x, windows = site.floating(0), {window.axis: window for window in site.op.windows}
    if site.op.transposed or not _lopsided(site):
        return x
    size, sides = site.function.size, []
    for axis in reversed(site.types[0].axes):
        window = windows.pop(axis, None)
        sides += [size(window.before).text, size(window.after).text] if window else ["0", "0"]
        if not windows:
            break
    return function("F.pad", x.text, f"({', '.join(sides)})")


def _options(site: Site) -> list[str]:
    windows: tuple[Windows, ...] = site.op.windows
    return _given(
        site,
        stride=([window.stride for window in windows], ONE),
        padding=([ZERO if _lopsided(site) else window.before for window in windows], ZERO),
        dilation=([window.dilation for window in windows], ONE),
        groups=([product(site.op.groups)], ONE),
    )


def _transposed_options(site: Site) -> list[str]:
    windows: tuple[Windows, ...] = site.op.windows
    return _given(
        site,
        stride=([window.stride for window in windows], ONE),
        padding=([ZERO if _lopsided(site) else window.before for window in windows], ZERO),
        output_padding=(site.op.beyond, ZERO),
        groups=([product(site.op.groups)], ONE),
        dilation=([window.dilation for window in windows], ONE),
    )


def _lopsided(site: Site) -> bool:
    """Whether more is padded, or cut off, at one end than at the other, which torch does not do."""
    return any(window.before != window.after for window in site.op.windows)


def _cut(site: Site, y: Expr, batch: bool) -> Expr:
    if not _lopsided(site):
        return y
    size, windows = site.function.size, site.op.windows
    ends = [(size(w.before).text, size(w.before + w.axis.size).text) for w in windows]
    return index(y, [*[":"] * (1 + batch), *(f"{start}:{end}" for start, end in ends)])


def _given(site: Site, **options: tuple[Sequence[Size], Size]) -> list[str]:
    """Keywords for the options that are not as they are by default; one number where it is the same for all axes."""
    found = []
    for name, (sizes, default) in options.items():
        if any(size != default for size in sizes):
            texts = [site.function.size(size).text for size in sizes]
            value = texts[0] if len(set(texts)) == 1 else f"({', '.join(texts)})"
            found.append(f"{name}={value}")
    return found
