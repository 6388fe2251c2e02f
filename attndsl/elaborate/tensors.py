"""Making nodes: numbers lifted to tensors, arithmetic that aligns by name, axes found by name."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from attndsl import ops
from attndsl.diagnostics import AttnError, Diagnostic, Label, Span, did_you_mean, error
from attndsl.elaborate.cases import note_use
from attndsl.elaborate.frames import Frame, Poison, Poisoned
from attndsl.elaborate.values import Axes, CompileTimeValue, Evaluated, describe
from attndsl.graph import Axis, Type, Value
from attndsl.ops import Mismatch, Op, written
from attndsl.sizes import Constraint, Size
from attndsl.syntax import tree
from attndsl.values import Formula, Number

_VERBS = {"+": "is added to", "-": "is subtracted from", "*": "is multiplied with", "/": "divides"}


def emit(frame: Frame, op: Op, span: Span, *operands: Evaluated) -> Value:
    """Append `op` applied to tensors; what does not fit is said at the operands' places."""
    values = tuple(_tensor(o) for o in operands)
    stamp(frame, span)
    frame.spend(1, span)
    try:
        return frame.builder.emit(op, *values)
    except Mismatch as problem:
        raise mismatch(problem, span, operands, frame) from None


def stamp(frame: Frame, span: Span) -> None:
    builder = frame.builder
    builder.scope, builder.span, builder.site = (
        frame.place.path,
        span,
        frame.site or (span if frame.viewpoint.in_user_file else None),
    )


def mismatch(problem: Mismatch, span: Span, operands: Sequence[Evaluated], frame: Frame | None = None) -> AttnError:
    notes: tuple[str, ...] = (problem.note,) if problem.note else ()
    helps: tuple[str, ...] = (problem.help,) if problem.help else ()
    if frame is not None and problem.lacking is not None and (short := frame.short_of(problem.lacking)):
        # The caller never wrote these axes down: what counts is which argument does not have them.
        name, type = short
        rest = axes_text(frame.enclosing.rest or ())
        notes += (f"`*` is {rest} in this call, and `{name}` is {type}",)
        helps += (f"give `{name}` all of {rest}",)
    places = [operands[i] for i in problem.operands if i < len(operands)]
    primary = Label(places[0].span, type_text(places[0])) if places else Label(span)
    return AttnError(
        Diagnostic(
            problem.code,
            problem.message,
            primary,
            tuple(Label(p.span, type_text(p)) for p in places[1:]),
            notes,
            helps,
        )
    )


def type_text(argument: Evaluated) -> str:
    return str(argument.value.type) if isinstance(argument.value, Value) else describe(argument.value)


def _tensor(argument: Evaluated) -> Value:
    if not isinstance(argument.value, Value):
        raise error("E0104", f"a tensor is needed here, but this is {describe(argument.value)}", argument.span)
    return argument.value


def lift(argument: Evaluated, frame: Frame) -> Evaluated:
    """The argument as a tensor: a number becomes a constant, an input's size its value, a repeat index its scalar."""
    value = argument.value
    if isinstance(value, Value):
        return argument
    if isinstance(value, Number):
        return Evaluated(_lift(value, frame, argument.span), argument.span, argument.expression)
    raise error(
        "E0104",
        f"a tensor is needed here, but this is {describe(value)}",
        argument.span,
        help="apply it to its tensors first" if not isinstance(value, Axes) else (),
    )


def _lift(number: Number, frame: Frame, span: Span) -> Value:
    if number.formula is not None:
        note_use(number.formula, span)
        return _emit_formula(number.formula, frame, span)
    stamp(frame, span)
    if number.value is None:
        assert number.size is not None
        return frame.builder.emit(ops.SizeOf(number.size))
    try:
        value = float(number.value) if isinstance(number.value, Fraction) else number.value
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            value = float(value)
    except OverflowError:
        raise error("E0405", "this number is too large to compute with", span) from None
    return frame.builder.emit(ops.Constant(bool(value) if number.is_bool else value))


def _emit_formula(formula: Formula, frame: Frame, span: Span) -> Value:
    if formula.variable is not None:
        return formula.variable.value
    if formula.operator == "constant":
        return _lift(Number(formula.constant), frame, span)
    operands = [Evaluated(_emit_formula(o, frame, span), span) for o in formula.operands]
    if formula.operator in ("float", "int"):
        return emit(frame, ops.Cast(formula.operator), span, *operands)
    if formula.operator == "^" and formula.operands[1].operator != "constant":
        operands[0] = Evaluated(emit(frame, ops.Cast("float"), span, operands[0]), span)  # the exponent may be negative
    return emit(frame, written(formula.operator)(), span, *operands)


# ---------------------------------------------------------------- arithmetic


def arithmetic(frame: Frame, operator: str, left: Evaluated, right: Evaluated, span: Span) -> Value:
    """`left operator right` on tensors. One side's axes must be among the other's, unless outer combination is
    licensed here (a written type, an index function)."""
    left, right = lift(left, frame), lift(right, frame)
    a, b = _tensor(left).type, _tensor(right).type
    if not frame.licensed:
        only_left = [x for x in a.axes if x not in b.axes]
        only_right = [x for x in b.axes if x not in a.axes]
        if only_left and only_right:
            raise _misaligned(frame, operator, left, right, only_left, only_right)
    return emit(frame, written(operator)(), span, left, right)


def aligned(frame: Frame, name: str, operands: Sequence[Evaluated]) -> None:
    """Raises E0203 unless one operand has all axes of the others, or outer combination is licensed here."""
    types = [_tensor(operand).type for operand in operands]
    widest = max(types, key=lambda t: t.rank)
    for operand, type_ in zip(operands, types, strict=True):
        lacking = [a for a in type_.axes if a not in widest.axes]
        if lacking and not frame.licensed:
            raise error(
                "E0203",
                f"the axes of `{name}` do not align: {axes_text(lacking)} is not in {axes_text(widest.axes)}",
                operand.span,
                str(type_),
                help="write the result's type to combine every pair",
            )


def _misaligned(
    frame: Frame, operator: str, left: Evaluated, right: Evaluated, only_left: list[Axis], only_right: list[Axis]
) -> AttnError:
    a, b = _names(only_left), _names(only_right)
    if operator in _VERBS:
        message = f"{b} {_VERBS[operator]} {a}"
    else:
        message = f"the axes of `{operator}` do not align: {a} against {b}"
    pairs = [(x, y) for x in only_left for y in only_right]
    notes = []
    for x, y in pairs[:1]:
        values = [
            f"{s} = {frame.elaborator.sizes[s]}"
            for s in sorted(x.size.symbols | y.size.symbols)
            if s in frame.elaborator.sizes
        ]
        if x.size == y.size:
            notes.append(f"`{x.name}` and `{y.name}` are two axes of the same size")
        elif values:
            notes.append(f"{' and '.join(values)} now, but the axes differ whatever their values")
    if len(only_left) == len(only_right) == 1 and left.type.axes[-1:] == tuple(only_left):
        help = f"project back with `linear(…, {only_left[0].name})`"
    else:
        help = "sum over the axis, or write the result's type (`y: [A, B] = …`) to combine every pair"
    return error(
        "E0203",
        message,
        right.span,
        _shape(right),
        other=_origin(frame, left),
        note=notes,
        help=help,
    )


def _origin(frame: Frame, argument: Evaluated) -> Label:
    """Where an operand comes from: the statement that made it, if it is a plain name."""
    if isinstance(argument.expression, tree.Name):
        binding = frame.lookup(argument.expression.text)
        if binding is not None and binding.span.source is argument.span.source:
            return Label(binding.span, f"`{argument.expression.text}` is {_shape(argument)} since here")
    return Label(argument.span, _shape(argument))


def _shape(argument: Evaluated) -> str:
    return axes_text(argument.value.type.axes) if isinstance(argument.value, Value) else describe(argument.value)


def axes_text(axes: Sequence[Axis]) -> str:
    return f"[{', '.join(a.name for a in axes)}]"


def _names(axes: Sequence[Axis]) -> str:
    return " and ".join(f"`{a.name}`" for a in axes)


# ---------------------------------------------------------------- sizes and axes


def number(value: CompileTimeValue, span: Span, what: str = "this") -> Number:
    if isinstance(value, Number):
        return value
    raise error("E0404", f"{what} must be known at compile time, but it is {describe(value)}", span)


def size_of(value: CompileTimeValue, span: Span, frame: Frame, *, smallest: int | None = None) -> Size:
    """A compile-time number as a size. It must be a whole number of at least `smallest`: checked now if it is known,
    at the call if not. Without `smallest` it is a length: at least 1 where it stands there as such or is one
    hyperparameter, at least 0 where it is calculated (what is left of `K` behind the first place)."""
    n = number(value, span, "a size")
    if n.formula is not None:
        names = ", ".join(sorted(v.name for v in n.formula.variables))
        raise error(
            "E0209",
            f"a size cannot depend on the repeat index `{names}`",
            span,
            help="layers of one `repeat` have the same shapes; write two repeats",
        )
    if n.size is None or n.is_bool:
        raise error(
            "E0209", f"`{n}` is not a size", span, help="sizes are whole numbers made of hyperparameters and sizes"
        )
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
            text = str(n.size) if n.size.symbols else ""
            what = f"`{text}` is {n.value}" if text else f"{n.value}"
            raise error("E0209", f"{what}, which is no size", span, f"a whole number of at least {smallest} is needed")
    elif not _positive(n.size):
        frame.elaborator.require(Constraint(">=", n.size, Size.of(smallest), span, "E0209"))
    return n.size


def _positive(size: Size) -> bool:
    """Whether no term is subtracted: then it is at least 0 because every size is."""
    return bool(size.terms) and all(c > 0 for c in size.terms.values())


def denominator(size: Size) -> Size:
    """What `size` must be multiplied by to have no fractions: `heads` for `width/heads`."""
    if all(c.denominator == 1 and all(e > 0 for _, e in monomial) for monomial, c in size.terms.items()):
        return ONE
    below: dict[object, int] = {}
    factor = 1
    for monomial, coefficient in size.terms.items():
        factor = factor * coefficient.denominator // _gcd(factor, coefficient.denominator)
        for atom, exponent in monomial:
            if exponent < 0:
                below[atom] = max(below.get(atom, 0), -exponent)
    return Size({tuple(sorted(below.items(), key=lambda item: str(item[0]))): Fraction(factor)})  # type: ignore[arg-type]


ONE = Size.of(1)


def _gcd(a: int, b: int) -> int:
    return a if b == 0 else _gcd(b, a % b)


def axis_of(term: tree.AxisTerm, frame: Frame, types: Sequence[Type] = (), *, known: bool = False) -> Axis:
    """The axis that a term names: the one that the expression's size makes, if an operand has it; else an operand's
    axis of that very name. With `known` it must be an operand's."""
    if term.size is None:
        raise error("E0203", "`*` stands for no single axis", term.span)
    axes = [a for t in types for a in t.axes]
    if types and isinstance(term.size, (tree.String, tree.Unary)):
        example = axes[-1].name if axes else "T"
        raise error(
            "E0203", "axes go by their names here", term.span, _has(types), help=f"name the axis: `over={example}`"
        )
    if term.name is not None:
        made = Axis(term.name.text, size_of(frame.evaluate(term.size), term.size.span, frame))
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
        if binding is not None and isinstance(binding.value, Number):
            size = size_of(binding.value, term.span, frame)
            candidate = binding.value.axis or Axis.of(size)
        if candidate is not None and candidate in axes:
            return candidate
        found = [a for a in dict.fromkeys(axes) if a.name == name]
        if found:
            return found[0]
        if candidate is None:
            names = [a.name for a in axes] + list(frame.visible())
            raise error(
                "E0203" if axes else "E0101",
                f"there is no axis `{name}` here",
                term.span,
                _has(types),
                help=did_you_mean(name, names),
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
            help=did_you_mean(candidate.name, [a.name for a in axes]),
        )
    return candidate


def _has(types: Sequence[Type]) -> str:
    return "the axes are " + " and ".join(axes_text(t.axes) for t in types) if types else ""


def axes_of(value: Evaluated, frame: Frame, types: Sequence[Type] = (), *, known: bool = False) -> tuple[Axis, ...]:
    """The axes of an argument such as `over=S` or `over=[M, T]`."""
    if isinstance(value.value, Axes):
        found: list[Axis] = []
        for term in value.value.terms:
            if term.is_rest and value.value.frame.enclosing.rest is not None:
                found += value.value.frame.enclosing.rest
            elif term.is_rest and types:
                found += [a for a in types[0].axes if a not in found]
            else:
                found.append(axis_of(term, value.value.frame, types, known=known))
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
                raise error("E0203", "`*` stands for nothing here", term.span, help="name every axis")
            axes += frame.enclosing.rest
        else:
            axes.append(axis_of(term, frame, types))
    distinct(axes, written.axes)
    return Type(dtype, tuple(axes))


def distinct(axes: Sequence[Axis], written: tree.Tree) -> None:
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
    if written.dtype.text not in ("float", "int", "bool"):
        raise error(
            "E0204",
            f"there is no dtype `{written.dtype.text}`",
            written.dtype.span,
            help=did_you_mean(written.dtype.text, ("float", "int", "bool")) or ("use float, int or bool",),
        )
    return written.dtype.text


def arrange(value: Value, axes: tuple[Axis, ...], frame: Frame, span: Span) -> Value:
    """The value laid out in this order of the same axes."""
    if value.type.axes == axes:
        return value
    return emit(frame, ops.Transpose(axes), span, Evaluated(value, span))
