"""What to say of an array whose shape does not fit the type of its input, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attndsl.diagnostics import Diagnostic, Label
from attndsl.graph import InputInfo
from attndsl.sizes import Size, solve


def misfit(
    info: InputInfo,
    at: int,
    length: int,
    sizes: Mapping[str, int],
    binders: Mapping[str, str],
    unknown: str | None = None,
) -> Diagnostic:
    """E0802 for axis `at` of an array, which is `length` long. `sizes` are those known by now, `binders` the inputs
    that bound some of them; `unknown` is a size that this axis was to decide, and no whole number is it."""
    size = info.value.type.axes[at].size
    known = [
        f"{name} = {sizes[name]}" + (f", from the input `{binders[name]}`" if name in binders else "")
        for name in sorted(size.symbols & sizes.keys() - {unknown})
        if binders.get(name) != info.name or str(size) == name
    ]
    reason, help = _undecided(size, length, sizes, unknown) if unknown else _other(size, length, sizes, binders, known)
    message = f"`{info.name}` is {length} long along axis {at + 1}, `{size}`{reason}"
    label = Label(info.span, "declared here") if info.span else None
    return Diagnostic("E0802", message, label, notes=(*known, f"it is `{info.value.type}`"), helps=help)


def _other(
    size: Size, length: int, sizes: Mapping[str, int], binders: Mapping[str, str], known: Sequence[str]
) -> tuple[str, tuple[str, ...]]:
    expected, name = size.known(sizes), str(size)
    wanted = f", which is {expected}" if expected is not None and known else ""
    if name in sizes and name not in binders:
        return wanted, (f"make it {expected} long there, or give the model `{name}={length}`",)
    return wanted, ()


def _undecided(size: Size, length: int, sizes: Mapping[str, int], unknown: str) -> tuple[str, tuple[str, ...]]:
    """For a length that is not a value of `factor * unknown + rest`."""
    now = size.substitute({name: Size.of(sizes[name]) for name in size.symbols & sizes.keys() - {unknown}})
    rest = now.substitute({unknown: Size.of(0)}).constant
    factor = (now - Size.of(rest)).substitute({unknown: Size.of(1)}).constant if rest is not None else None
    if rest is None or factor is None or factor.denominator != 1 or rest.denominator != 1 or factor < 1:
        return f", and no whole `{unknown}` makes it that long", ()
    step, first = factor.numerator, rest.numerator
    below = first + (length - first) // step * step
    near = [str(n) for n in (below, below + step) if n >= max(first, 1)]
    if length < first:
        return f", which is at least {first}", (f"make it {near[0] if near else first} long there or longer",)
    written = solve(size, Size.of(0), unknown)  # 0 where the size is a plain multiple of the unknown
    multiple = str(size / Size.symbol(unknown)) if written == Size.of(0) else ""
    shown = f"`{multiple}` = {step}" if multiple and multiple != str(step) else str(step)
    what = f"not a multiple of {shown}" if not first else f"not {first} more than a multiple of {step}"
    return f", which is {what}", (f"crop it, pad it or resize it: {' and '.join(near)} would fit",)


def another_order(info: InputInfo, shape: Sequence[int], sizes: Mapping[str, int]) -> tuple[int, ...] | None:
    """An order of the array's axes in which it fits, `sizes` being what does not come from this input: channels given
    last where they are first, batch and time the other way round. Only one axis is moved: with more, something or other
    fits most arrays. None where there is no such order."""
    rank = len(shape)
    for axis in reversed(range(rank)):
        others = [i for i in range(rank) if i != axis]
        for place in range(rank):
            order = (*others[:place], axis, *others[place:])
            if _fits(info, [shape[i] for i in order], sizes):
                return order
    return None


def _fits(info: InputInfo, shape: Sequence[int], sizes: Mapping[str, int]) -> bool:
    known = dict(sizes)
    for axis, length in zip(info.value.type.axes, shape, strict=True):
        unknown = sorted(axis.size.symbols - known.keys())
        if len(unknown) > 1:
            return False
        if unknown:
            values = {name: Size.of(known[name]) for name in axis.size.symbols & known.keys()}
            solution = solve(axis.size.substitute(values), Size.of(length), unknown[0])
            value = solution.constant if solution is not None else None
            if value is None or value.denominator != 1 or value < 0:
                return False
            known[unknown[0]] = value.numerator
        if axis.size.known(known) != length:
            return False
    return True


def in_order(info: InputInfo, shape: Sequence[int], order: Sequence[int]) -> Diagnostic:
    """E0802 for an array that would fit with its axes in another order."""
    message = f"`{info.name}` has its axes in another order: its shape is {list(shape)}"
    label = Label(info.span, "declared here") if info.span else None
    way = f"`array.transpose({', '.join(map(str, order))})` fits"
    return Diagnostic("E0802", message, label, notes=(f"it is `{info.value.type}`",), helps=(way,))
