"""Initialisers: arithmetic on them, and what a parameter starts from.

`normal(0.02)` is an initialiser, and so is what pointwise operators, `where` and `concat` make of one: it draws when it
is known which parameter it fills. Numbers and tensors that are made of numbers and ranges alone join in. Indices of
repeats stay indices, so that one body serves all rounds.
"""

from __future__ import annotations

from collections.abc import Iterator

from attndsl.diagnostics import AttnError, Label, Span, error
from attndsl.elaborate.cases import note_outcome, note_use
from attndsl.elaborate.frames import Frame
from attndsl.elaborate.tensors import lift, mismatch, operator_of
from attndsl.elaborate.values import CompileTimeValue, Evaluated, Place, describe
from attndsl.graph import FLOAT, Initializer, Type, Value
from attndsl.graph.builder import Builder
from attndsl.graph.initial import CONSTANT_VALUES, INDEX, written_out
from attndsl.ops import Cast, Constant, Mismatch, Op, SizeOf
from attndsl.records import replace
from attndsl.syntax import tree
from attndsl.values import Formula, IndexVariable, Number, NumberOfSizes

MAX_LENGTH = 200
"""How many draws and operators an initial value may be made of."""

DEFAULT = Initializer("normal", (0.02,))


def combined(op: Op, frame: Frame, span: Span, *operands: Evaluated) -> Initializer:
    """`op` over initialisers, and what joins in. Raises E0104 for what cannot, E0111 where it gets too long."""
    return _short(Initializer.applied(op, *(part_of(operand, frame) for operand in operands)), span)


def drawing(kind: str, frame: Frame, *arguments: Evaluated) -> Initializer:
    """`normal(0.02)`: a draw whose arguments are numbers."""
    return Initializer(kind, tuple(part_of(argument, frame) for argument in arguments))


def _short(made: Initializer, span: Span) -> Initializer:
    if made.length > MAX_LENGTH:
        raise error(
            "E0111",
            f"this initial value is made of more than {MAX_LENGTH} draws and operators",
            span,
            help="a table of numbers is shorter as a formula of `range`",
        )
    return made


def part_of(given: Evaluated, frame: Frame) -> Initializer | float:
    """A value as a part of an initialiser."""
    value = given.value
    if isinstance(value, Initializer):
        return value
    if isinstance(value, Number) and value.formula is not None:
        note_use(value.formula, given.span)
        return _of_formula(value.formula)
    if isinstance(value, Number) and value.value is not None:
        known = value.value
        if value.origin is not None:
            return NumberOfSizes(float(known), value.origin)
        return bool(known) if value.is_bool else known if isinstance(known, int) else float(known)
    if isinstance(value, Number):
        value = lift(given, frame).tensor
    if isinstance(value, Value):
        return _made_again(value, given.span, frame)
    raise error("E0104", f"a parameter starts from numbers and draws, but this is {describe(value)}", given.span)


def _of_formula(formula: Formula) -> Initializer | float:
    if formula.variable is not None:
        return Initializer(INDEX, (formula.variable,))
    if formula.operator == "constant":
        assert formula.constant is not None
        return formula.constant if isinstance(formula.constant, int) else float(formula.constant)
    operands = [_of_formula(o) for o in formula.operands]
    if formula.operator == "^" and formula.operands[1].operator != "constant":
        operands[0] = Initializer.applied(Cast(FLOAT), operands[0])  # the exponent may be negative
    return Initializer.applied(operator_of(formula), *operands)


def _made_again(value: Value, span: Span, frame: Frame) -> Initializer | float:
    """The nodes that a tensor is made by, where these need nothing but numbers and indices of repeats."""
    for variable in frame.place.loops:
        if variable.value is value:
            return Initializer(INDEX, (variable,))
    at: Builder | None = frame.builder
    while at is not None and value not in at.makers:
        at = at.outer
    node = at.makers[value] if at is not None else None
    if node is None or node.op.draws or node.op.bodies or node.op.reads_parameters:
        what = "a tensor that the inputs decide" if node is None else f"what `{node.op.name}` gives"
        raise error(
            "E0104",
            f"an initial value is made of numbers and ranges, and not of {what}",
            span,
            str(value.type),
            help="`uniform([B, T])` is drawn in each step; a parameter's initial value is drawn by `uniform(low, high)`"
            if node is not None and node.op.draws
            else "compute it from hyperparameters, sizes and ranges",
        )
    if isinstance(node.op, Constant):
        return node.op.value
    made = Initializer.applied(node.op, *(_made_again(operand, span, frame) for operand in node.inputs))
    return _short(made, span)


# ---------------------------------------------------------------- what a parameter starts from


def initializer_of(node: tree.ParamDecl, type: Type, frame: Frame) -> Initializer:
    """What the parameter that `node` declares starts from, with the indices of its repeats by their order."""
    if node.init is None:
        return DEFAULT
    inner = replace(frame.child(frame.kind, builder=Builder(outer=frame.builder)), licensed=True)
    value: CompileTimeValue = inner.evaluate(node.init)
    if not isinstance(value, (Number, Value, Initializer)):
        raise error(
            "E0104",
            f"a parameter starts from an initialiser, but this is {describe(value)}",
            node.init.span,
            help="use normal(std), truncated(std), uniform(a, b), xavier, kaiming, zeros, ones, constant(c), or a "
            "formula of these, numbers and ranges",
        )
    part = part_of(Evaluated(value, node.init.span, node.init), inner)
    made = part if isinstance(part, Initializer) else Initializer("constant", (float(part),))
    _check(made, type, node)
    located = _located(made, frame.place)
    assert isinstance(located, Initializer)
    try:
        region = written_out(located, type)
    except Mismatch as problem:
        raise _misfit(problem, node, type) from None
    sizes = [axis.size for made in region.nodes for axis in made.output.type.axes]
    sizes += [made.op.size for made in region.nodes if isinstance(made.op, SizeOf)]
    free = sorted({symbol for size in sizes for symbol in size.symbols} - frame.elaborator.sizes.keys())
    if free:
        raise error("E0209", f"an initial value cannot depend on the size of an input: `{free[0]}`", node.init.span)
    return located


def state_value(node: tree.StateDecl, type: Type, frame: Frame, first: Evaluated | None = None) -> Initializer:
    """What the state that `node` declares begins with: a formula of numbers, ranges and sizes, with the indices of its
    repeats by their order (`first`, where that is known already). It may be drawn no more than computed from tensors:
    every call without states begins so."""
    inner = replace(frame.child(frame.kind, builder=Builder(outer=frame.builder)), licensed=True)
    value: CompileTimeValue = first.value if first is not None else inner.evaluate(node.init)
    if not isinstance(value, (Number, Value, Initializer)):
        raise error(
            "E0104",
            f"a state begins with numbers, but this is {describe(value)}",
            node.init.span,
            help="use zeros, ones, a number, or a formula of numbers, ranges and sizes",
        )
    part = part_of(Evaluated(value, node.init.span, node.init), inner)
    made = part if isinstance(part, Initializer) else Initializer("constant", (part,))
    drawn = next((kind for kind in _draws(made) if kind not in CONSTANT_VALUES), None)
    if drawn is not None:
        raise error(
            "E0104",
            f"a state begins with the same numbers in every call, and `{drawn}` fills a parameter",
            node.init.span,
            help="use zeros, ones or a number; what is learned is a `param`",
        )
    whole = made.kind in ("zeros", "ones") or (made.kind == "constant" and not isinstance(made.arguments[0], float))
    have = value.type.dtype if isinstance(value, Value) else FLOAT
    if not type.is_float and have != type.dtype and not whole:
        raise error(
            "E0204",
            f"this is {have}, and the state is {type.dtype}",
            node.init.span,
            other=Label((node.type or node.init).span, "written here"),
            help=f"convert it: `{type.dtype}({node.init.span.text})`",
        )
    located = _located(made, frame.place)
    assert isinstance(located, Initializer)
    return located


def _draws(part: object) -> Iterator[str]:
    if isinstance(part, Initializer):
        if part.op is None and part.kind != INDEX:
            yield part.kind
        for argument in part.arguments:
            yield from _draws(argument)


def _misfit(problem: Mismatch, node: tree.ParamDecl, type: Type) -> AttnError:
    assert node.init is not None
    described = mismatch(problem, node.init.span, ())
    (diagnostic,) = described.diagnostics
    return AttnError(replace(diagnostic, notes=(*diagnostic.notes, f"the parameter is {type}")))


def _check(made: object, type: Type, node: tree.ParamDecl) -> None:
    """Raises E0104 where a draw is for other axes than the parameter has."""
    if not isinstance(made, Initializer):
        return
    least = 2 if made.kind in ("xavier", "kaiming", "identity") else 0
    if type.rank < least or (made.kind == "identity" and type.rank > 2):
        raise error(
            "E0104",
            f"`{made.kind}` is for a parameter with two axes, and this has {type.rank}",
            node.span,
            help="use zeros, ones, normal(std) or uniform(a, b)",
        )
    for argument in made.arguments:
        _check(argument, type, node)


def _located(part: object, place: Place) -> object:
    """Indices of repeats by their places among those around the parameter. One that is not there decides the body."""
    if not isinstance(part, Initializer):
        return part
    if part.kind != INDEX:
        return replace(part, arguments=tuple(_located(argument, place) for argument in part.arguments))
    (variable,) = part.arguments
    assert isinstance(variable, IndexVariable)
    if variable in place.loops:
        return Initializer(INDEX, (place.loops.index(variable),))
    note_outcome(Formula("index", variable=variable), variable.representative)
    return variable.representative
