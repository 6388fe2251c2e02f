"""Sizes, axes and types as they are written: numbers that are sizes, axes found by name, types of known names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from math import lcm

from attndsl.diagnostics import Label, Span, did_you_mean, error
from attndsl.elaborate.bounds import few_axes
from attndsl.elaborate.cases import decided
from attndsl.elaborate.frames import Frame, Poison, Poisoned
from attndsl.elaborate.values import CompileTimeValue, Evaluated, as_axes, describe
from attndsl.graph import Axis, Type
from attndsl.sizes import ONE, Constraint, Opaque, Size, at_least_zero
from attndsl.syntax import tree
from attndsl.types import DTYPES
from attndsl.values import Number


def number(value: CompileTimeValue, span: Span, what: str = "this") -> Number:
    if isinstance(value, Number):
        return value
    raise error("E0404", f"{what} must be known at compile time, but it is {describe(value)}", span)


def size_of(
    value: CompileTimeValue, span: Span, frame: Frame, *, smallest: int | None = None, by_round: bool = False
) -> Size:
    """A compile-time number as a size. It must be a whole number of at least `smallest`: checked now if it is known,
    at the call if not. Without `smallest` it is a length: at least 1 where it stands there as such or is one
    hyperparameter, at least 0 where it is calculated (what is left of `K` behind the first place). With `by_round` it
    may depend on the index of a repeat: there will be one body for each value."""
    n = number(value, span, "a size")
    if by_round and n.formula is not None and n.value is not None:
        n = Number.of(decided(n).value)  # type: ignore[arg-type]
    if n.formula is not None:
        names = ", ".join(sorted(v.name for v in n.formula.variables))
        raise error(
            "E0209",
            f"a size cannot depend on the repeat index `{names}`",
            span,
            help=f"layers of one `repeat` have the same shapes; where each has its own: `unrolled repeat {names} in …`",
        )
    if n.size is None or n.is_bool:
        help = ["sizes are whole numbers made of hyperparameters and sizes"]
        if n.value is not None and not n.is_bool and n.value == n.value // 1:
            given = frame.lookup(span.text)  # a hyperparameter of a block is written where the block is called
            written = span if given is None else given.span
            if frame.viewpoint.site is not None and not frame.viewpoint.site.beside(written):
                help.append("write `int(…)` around what is given as a size")
            else:
                help.append(f"write `{int(n.value)}`" if written.text == str(n) else f"write `int({written.text})`")
        raise error("E0209", f"`{n}` is not a size", span, help=help)
    if smallest is None:
        calculated = bool(n.size.symbols) and n.size not in map(Size.symbol, n.size.symbols)
        smallest = 0 if calculated else 1
    below = denominator(n.size)
    if below is not ONE:
        frame.elaborator.require(
            Constraint(
                "divides",
                n.size * below,
                below,
                span,
                "E0212",
                helps=("choose sizes that divide, or use `//` where a remainder may be dropped",),
            )
        )
    if n.value is not None:
        if n.value != int(n.value) or n.value < smallest:
            text = str(n.size) if n.size.symbols else " ".join(span.text.split())
            what = f"`{text}` is {n.value}, which" if text != str(n.value) else text
            raise error("E0209", f"{what} is not a size", span, f"a whole number of at least {smallest} is needed")
    elif not at_least_zero(n.size):
        frame.elaborator.require(Constraint(">=", n.size, Size.of(smallest), span, "E0209"))
    return n.size


def denominator(size: Size) -> Size:
    """What `size` must be multiplied by to have no fractions: `heads` for `width/heads`."""
    if all(c.denominator == 1 and all(e > 0 for _, e in monomial) for monomial, c in size.terms.items()):
        return ONE
    below: dict[object, int] = {}
    factor = 1
    for monomial, coefficient in size.terms.items():
        factor = lcm(factor, coefficient.denominator)
        for atom, exponent in monomial:
            if exponent < 0:
                below[atom] = max(below.get(atom, 0), -exponent)
    return Size({tuple(sorted(below.items(), key=lambda item: str(item[0]))): Fraction(factor)})  # type: ignore[arg-type]


def axis_of(term: tree.AxisTerm, frame: Frame, types: Sequence[Type] = (), *, known: bool = False) -> Axis:
    """The axis that a term names: the one that the expression's size makes, if an operand has it; else an operand's
    axis of that very name. With `known` it must be an operand's."""
    if term.size is None:
        raise error("E0203", "`*` is not a single axis", term.span)
    axes = [a for t in types for a in t.axes]
    if types and isinstance(term.size, (tree.String, tree.Unary)):
        example = axes[-1].name if axes else "T"
        raise error(
            "E0203",
            "axes are given by name here",
            term.span,
            _has(types),
            help=f"name the axis: `over={_numbered(term.size, axes) or example}`",
        )
    if term.name is not None:
        made = Axis(term.name.text, size_of(frame.evaluate(term.size), term.size.span, frame, by_round=True))
        same = next((a for a in axes if (a.name, a.size) == (made.name, made.size)), None)
        if known and same is None:
            raise error("E0203", f"there is no axis `{made}` here", term.span, _has(types))
        return same or made
    candidate: Axis | None = None
    if isinstance(term.size, tree.Name):
        name = term.size.text
        if name in frame.enclosing.positions:
            return frame.enclosing.positions[name]
        binding = frame.lookup(name)
        if binding is not None and isinstance(binding.value, Poison):
            raise Poisoned
        given = None if binding is None or isinstance(binding.value, Poison) else as_axes(binding.value)
        if given is not None and len(given.terms) == 1:  # an axis that a block was given by its name
            return axis_of(given.terms[0], given.frame, types, known=known)
        by_round = binding is not None and isinstance(binding.value, Number) and binding.value.formula is not None
        if by_round and name in (a.name for a in axes):
            binding = None
        if binding is not None and isinstance(binding.value, Number) and binding.value.axis in axes:
            return binding.value.axis  # as long as it is there, 0 or not
        if binding is not None and isinstance(binding.value, Number):
            size = size_of(binding.value, term.span, frame)
            candidate = binding.value.axis or Axis.of(size)
            if candidate not in axes and frame.equal:  # it is one size with another
                candidate = frame.equal.axis(candidate)
        if candidate is not None and candidate in axes:
            return candidate
        found = [a for a in dict.fromkeys(axes) if a.name == name]
        if found:
            return found[0]
        if candidate is None:
            candidate = axis_in_body(name, term.span, frame)
        if candidate is None:
            if not axes and frame.has_poison:
                raise Poisoned  # the axis may be that of a tensor whose definition failed
            names = [a.name for a in axes] or [n for n in frame.visible() if _is_size(frame, n)]
            new = _instead(name, axes) if axes else (f"an axis of a new name is given its size: `{name}=…`",)
            raise error(
                "E0203" if axes else "E0101",
                f"there is no axis `{name}` here",
                term.span,
                _has(types),
                help=did_you_mean(name, names) or new if axes else (*did_you_mean(name, names), *new),
            )
    else:
        candidate = Axis.of(size_of(frame.evaluate(term.size), term.span, frame))
        found = [a for a in dict.fromkeys(axes) if a.name == candidate.name]
        if found:
            return found[0]
    if known and candidate not in axes:
        raise error(
            "E0203",
            f"there is no axis `{candidate.name}` here",
            term.span,
            _has(types),
            help=did_you_mean(candidate.name, [a.name for a in axes]) or _instead(candidate.name, axes),
        )
    return candidate


def made_axis(term: tree.AxisTerm, frame: Frame, length: Size, origin: Size | None = None) -> Axis:
    """The axis that an operation makes, as a term names it. A new name is bound to the `length`, unless its size is
    written (`K=S + T`), and its positions count from `origin` (0); any other term names an axis that there is. The
    caller compares the sizes."""
    if term.name is None and isinstance(term.size, tree.Name) and frame.lookup(term.size.text) is None:
        return frame.bind_axis(term.size.text, Axis(term.size.text, length, origin or Size.of(0)), term.span)
    made = axis_of(term, frame)
    if term.name is None or origin is None or axis_in_body(made.name, term.span, frame) is not None:
        return made
    return Axis(made.name, made.size, origin)


def _numbered(node: tree.Expr, axes: Sequence[Axis]) -> str | None:
    """The axis that a number counts, as other libraries have it."""
    text = node.span.text
    place = int(text) if re.fullmatch(r"-?\d+", text) else len(axes)
    return axes[place].name if -len(axes) <= place < len(axes) else None


def _is_size(frame: Frame, name: str) -> bool:
    binding = frame.lookup(name)
    return binding is not None and isinstance(binding.value, Number) and binding.value.size is not None


def _instead(name: str, axes: Sequence[Axis]) -> tuple[str, ...]:
    """What to write where a tensor lacks an axis: one that it has, or that name for one of them."""
    if not axes:
        return ()
    has = ", ".join(f"`{axis.name}`" for axis in dict.fromkeys(axes))
    last = axes[-1].name
    rename = f"rearrange(…, [{last}] -> [{name}={last}])"
    return (
        (f"name one of its axes ({has}), or give one the name `{name}` first: `{rename}`",)
        if name.isidentifier()
        else ()
    )


def axis_in_body(name: str, span: Span, frame: Frame) -> Axis | None:
    """The axis called `name` that a tensor has that goes by a name here, in the nearest body that has one. Raises E0215
    where two tensors of that body have different ones."""
    at: Frame | None = frame
    while at is not None:
        found = at.axes.get(name, {})
        if len(found) > 1:
            firsts = [(axis, next(name for name, tensor in at.tensors() if axis in tensor.type.axes)) for axis in found]
            labels = [Label(at.names[tensor].span, f"of `{tensor}` it is `{axis}`") for axis, tensor in firsts]
            way = "give one of them another name where it is made, such as `rearrange(x, [T] -> [U=T])`"
            raise error("E0215", f"`{name}` is the name of {len(found)} axes here", span, other=labels, help=way)
        if found:
            return next(iter(found))
        at = at.parent
    return None


def equal_if(left: Size, right: Size, frame: Frame) -> tuple[str, ...]:
    """What to require so that two sizes are equal that differ by what is rounded only, and are equal now."""
    difference = left - right
    if difference.known(frame.elaborator.sizes) != 0:
        return ()
    for atom in (atom for monomial in difference.terms for atom, _ in monomial):
        if isinstance(atom, Opaque) and atom.function == "floor":
            dividend, divisor = atom.arguments
            now = (dividend % divisor).known(frame.elaborator.sizes)
            way = f"`require {dividend.bracketed()} % {divisor.bracketed()} == {now}`"
            return (f"they are equal where this holds: {way}",)
    return ()


def _has(types: Sequence[Type]) -> str:
    return "the axes are " + " and ".join(axes_text(t.axes) for t in types) if types else ""


def axes_of(value: Evaluated, frame: Frame, types: Sequence[Type] = (), *, known: bool = False) -> tuple[Axis, ...]:
    """The axes of an argument such as `over=S` or `over=[M, T]`."""
    written = as_axes(value.value)
    if written is not None:
        found: list[Axis] = []
        for term in written.terms:
            if term.is_rest and written.frame.enclosing.rest is not None:
                found += written.frame.enclosing.rest
            elif term.is_rest and types:
                found += [a for a in types[0].axes if a not in found]
            else:
                found.append(axis_of(term, written.frame, types, known=known))
        if len(set(found)) < len(found):
            raise error("E0205", f"{axes_text(found)} names an axis twice", value.span, help="write each axis once")
        return tuple(found)
    if value.expression is not None:
        return (axis_of(tree.AxisTerm(value.span, None, value.expression), frame, types, known=known),)
    raise error("E0104", f"an axis is needed here, but this is {describe(value.value)}", value.span)


def type_of(written: tree.TypeTree, frame: Frame, types: Sequence[Type] = ()) -> Type:
    """A written type whose names are all known."""
    dtype = dtype_of(written)
    axes: list[Axis] = []
    for term in written.axes.terms:
        if term.is_rest:
            if frame.enclosing.rest is None:
                raise error("E0203", "`*` has no meaning here", term.span, help="name every axis")
            axes += frame.enclosing.rest
        else:
            axes.append(axis_of(term, frame, types))
    distinct(axes, written.axes)
    return Type(dtype, tuple(axes))


def distinct(axes: Sequence[Axis], written: tree.Tree) -> None:
    few_axes(len(axes), written.span)
    seen: set[str] = set()
    for axis in axes:
        if axis.name in seen:
            raise error(
                "E0205",
                f"a tensor cannot have the axis `{axis.name}` twice",
                written.span,
                help=f"give one of them a name of its own: `other={axis.name}`",
            )
        seen.add(axis.name)


def dtype_of(written: tree.TypeTree) -> str:
    if written.dtype is None:
        return "float"
    if written.dtype.text not in DTYPES:
        raise error(
            "E0204",
            f"there is no dtype `{written.dtype.text}`",
            written.dtype.span,
            help=_dtype_advice(written.dtype.text, written.span.text),
        )
    return written.dtype.text


def _dtype_advice(dtype: str, written: str) -> str | tuple[str, ...]:
    from attndsl import habits

    if dtype in habits.DTYPES:
        return f"write `{habits.DTYPES[dtype]}{written.removeprefix(dtype) or '[…]'}`"
    near = did_you_mean(dtype, DTYPES)
    return near or (
        f"axes are written in brackets: `[{dtype}]`" if written == dtype else "use float, float32, int or bool"
    )


def axes_text(axes: Sequence[Axis]) -> str:
    return f"[{', '.join(a.name for a in axes)}]"
