"""Making nodes: numbers lifted to tensors, arithmetic that aligns by name, values brought to a written type."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from attndsl import ops
from attndsl.diagnostics import AttnError, Diagnostic, Label, Span, error
from attndsl.elaborate.bounds import few_axes
from attndsl.elaborate.cases import is_within, note_use
from attndsl.elaborate.frames import Frame
from attndsl.elaborate.sizes_and_axes import axes_text, denominator, equal_if, type_of
from attndsl.elaborate.values import Evaluated, describe, how_to_apply
from attndsl.graph import Axis, Type, Value
from attndsl.ops import Mismatch, Op, written
from attndsl.sizes import Size
from attndsl.syntax import tree
from attndsl.types import DTYPES, FLOAT, FLOAT32
from attndsl.values import Formula, Number

_VERBS = {
    "+": ("is added to", "are added to"),
    "-": ("is subtracted from", "are subtracted from"),
    "*": ("is multiplied by", "are multiplied by"),
    "/": ("divides", "divide"),
}
"""What an operator does, for one axis and for several."""


def emit(frame: Frame, op: Op, span: Span, *operands: Evaluated) -> Value:
    """Append `op` applied to tensors; what does not fit is said at the operands' places."""
    values = tuple(_tensor(o) for o in operands)
    stamp(frame, span)
    frame.spend(1, span)
    try:
        made = frame.builder.emit(op, *values)
        few_axes(made.type.rank, span)
        return made
    except Mismatch as problem:
        raise mismatch(problem, span, operands, frame) from None


def require_within(frame: Frame, index: Evaluated, axis: Axis) -> None:
    """Raises E0211 where a number that is known now is not a place along `axis`, in whichever round of a repeat."""
    n, length = index.value, axis.size.known(frame.elaborator.sizes)
    if not isinstance(n, Number) or n.value is None or length is None or is_within(n, length):
        return
    variables = sorted(n.formula.variables if n.formula else (), key=lambda v: v.name)
    where = " and ".join(f"`{v.name}` is {v.representative}" for v in variables)
    raise error(
        "E0211",
        f"the index is {n.value}" + (f" where {where}" if where else ""),
        index.span,
        note=f"`{axis.name}` has the elements 0 to {length - 1}",
    )


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
        raise no_tensor(argument)
    return argument.value


def no_tensor(argument: Evaluated) -> AttnError:
    what = f"a tensor is needed here, but this is {describe(argument.value)}"
    return error("E0104", what, argument.span, help=how_to_apply(argument.value))


def lift(argument: Evaluated, frame: Frame) -> Evaluated:
    """The argument as a tensor: a number becomes a constant, an input's size its value, a repeat index its scalar."""
    value = argument.value
    if isinstance(value, Value):
        return argument
    if isinstance(value, Number):
        return Evaluated(_lift(value, frame, argument.span), argument.span, argument.expression)
    raise no_tensor(argument)


def _lift(number: Number, frame: Frame, span: Span) -> Value:
    if number.formula is not None:
        note_use(number.formula, span)
        return _emit_formula(number.formula, frame, span)
    stamp(frame, span)
    if number.value is None:
        assert number.size is not None
        return _size(number.size, frame, span)
    try:
        value = float(number.value) if isinstance(number.value, Fraction) else number.value
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            value = float(value)
    except OverflowError:
        raise error("E0405", "this number is too large to compute with", span) from None
    return frame.builder.emit(ops.Constant(bool(value) if number.is_bool else value))


def _size(size: Size, frame: Frame, span: Span) -> Value:
    """The value of a size; as a number it may have a fraction, `T / 2`, and is a float then."""
    below = denominator(size)
    if not all(part.has_whole_atoms for part in (size, below)):
        raise error(
            "E0404",
            f"`{size}` may have a fraction inside, and cannot be a number in a tensor yet",
            span,
            help="make a tensor first: `float(T + 1) / (B + 1)`",
        )
    if below == Size.of(1):
        return frame.builder.emit(ops.SizeOf(size))
    parts = (Evaluated(_size(part, frame, span), span) for part in (size * below, below))
    return emit(frame, written("//" if _is_whole(size, below, frame) else "/")(), span, *parts)


def _is_whole(size: Size, below: Size, frame: Frame) -> bool:
    """Whether it has been required that `below` divides `size * below`."""
    if ((size * below) % below).substitute(frame.equal.sizes) == Size.of(0):
        return True
    required = (c for c in frame.elaborator.constraints.values() if c.relation == "divides")
    return any(denominator(size - c.left / c.right) == Size.of(1) for c in required)


def _emit_formula(formula: Formula, frame: Frame, span: Span) -> Value:
    if formula.variable is not None:
        return formula.variable.value
    if formula.operator == "constant":
        return _lift(Number(formula.constant), frame, span)
    operands = [Evaluated(_emit_formula(o, frame, span), span) for o in formula.operands]
    if formula.operator == "^" and formula.operands[1].operator != "constant":
        operands[0] = Evaluated(emit(frame, ops.Cast("float"), span, operands[0]), span)  # the exponent may be negative
    return emit(frame, operator_of(formula), span, *operands)


def operator_of(formula: Formula) -> ops.Op:
    """The op that an operator on what repeat indices decide is."""
    if formula.operator == "element":
        exact = all(isinstance(value, int) for value in formula.table)
        values = formula.table if exact else map(float, formula.table)
        return ops.Element(tuple(values))  # type: ignore[arg-type]
    if formula.operator in DTYPES:
        return ops.Cast(formula.operator)
    return written(formula.operator)()


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
        message = f"{b} {_VERBS[operator][len(only_right) > 1]} {a}"
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
    if require := equal_if(pairs[0][0].size, pairs[0][1].size, frame):
        (help,) = require
    elif len(only_left) == len(only_right) == 1 and left.type.axes[-1:] == tuple(only_left):
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
        if binding is not None and binding.span.beside(argument.span):
            return Label(binding.span, f"`{argument.expression.text}` is {_shape(argument)} since here")
    return Label(argument.span, _shape(argument))


def _shape(argument: Evaluated) -> str:
    return axes_text(argument.value.type.axes) if isinstance(argument.value, Value) else describe(argument.value)


def _names(axes: Sequence[Axis]) -> str:
    return " and ".join(f"`{a.name}`" for a in axes)


def arrange(value: Value, axes: tuple[Axis, ...], frame: Frame, span: Span) -> Value:
    """The value laid out in this order of the same axes."""
    if value.type.axes == axes:
        return value
    return emit(frame, ops.Transpose(axes), span, Evaluated(value, span))


def typed(given: Evaluated, written: tree.TypeTree, frame: Frame, span: Span) -> Value:
    """What the statement at `span` gives a written type, as a tensor of that type (see `as_written`)."""
    argument = lift(given, frame)
    return as_written(argument, type_of(written, frame, (argument.type,)), written.span, frame, span)


def as_precise(given: Evaluated, wanted: Type, frame: Frame, span: Span) -> Evaluated:
    """The tensor `given`, as a float32 where it is a float and `wanted` is float32: nothing is lost by it."""
    if wanted.dtype != FLOAT32 or given.type.dtype != FLOAT:
        return given
    return Evaluated(emit(frame, ops.Cast(FLOAT32), span, given), given.span, given.expression)


def as_written(argument: Evaluated, wanted: Type, written: Span, frame: Frame, span: Span) -> Value:
    """The tensor `argument` as `wanted`, which stands at `written`: checked, its axes in that order, repeated along
    those that it lacks. Raises E0204 for another dtype, E0208 for an axis that the written type lacks."""
    argument = as_precise(argument, wanted, frame, span)
    value, have = argument.tensor, argument.type
    if have.dtype != wanted.dtype:
        raise error(
            "E0204",
            f"this is {have.dtype}, but {wanted.dtype} is written",
            argument.span,
            str(have),
            other=Label(written, "written here"),
            help=f"convert it with `{wanted.dtype}(…)`, or write `{have.dtype}` in the type",
        )
    foreign = [a for a in have.axes if a not in wanted.axes]
    if foreign:
        raise error(
            "E0208",
            f"this has {axes_text(foreign)}, which the written type lacks",
            argument.span,
            str(have),
            other=Label(written, "written here"),
            help="reduce it over the extra axes, or add them to the type",
        )
    if len(have.axes) < len(wanted.axes):
        return emit(frame, ops.Broadcast(wanted.axes), span, argument)
    return arrange(value, wanted.axes, frame, span)
