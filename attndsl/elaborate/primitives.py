"""The primitives by the name that a spec calls them: what each takes, and the nodes it makes.

Most are ops that are called by their name, and their classes say how (`attndsl.elaborate.called`). `FORMS` are those
that are written in a way of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attndsl import ops, values
from attndsl.diagnostics import Label, Span, did_you_mean, error
from attndsl.elaborate import index_functions, initial, joining
from attndsl.elaborate.called import CallRule, PrimitiveCall, of_list, rule_for
from attndsl.elaborate.cases import decided, is_negative
from attndsl.elaborate.elsewhere import advice, option_advice
from attndsl.elaborate.frames import Frame
from attndsl.elaborate.rearrange import rearrange
from attndsl.elaborate.signatures import defaults
from attndsl.elaborate.sizes_and_axes import axes_of, axes_text, axis_of, number
from attndsl.elaborate.tensors import aligned, emit, lift, require_within
from attndsl.elaborate.values import (
    PLAIN,
    ArrowValue,
    Axes,
    BlockValue,
    CompileTimeValue,
    Evaluated,
    IndexFunctionValue,
    LayerValue,
    Primitive,
    TrainingCondition,
    as_list,
    describe,
    kind_of,
    parts_of,
)
from attndsl.graph import Axis, Initializer, ScopeInfo, Value
from attndsl.syntax import tree
from attndsl.types import FLOAT, FLOATS
from attndsl.values import List, Nothing, Number, Text, operate, rounds


def apply(
    primitive: Primitive, positional: Sequence[Evaluated], keywords: dict[str, Evaluated], frame: Frame, span: Span,
    label: tree.Identifier | None = None,
) -> CompileTimeValue:  # fmt: skip
    """The primitive applied; `label` names the tensor that it gives."""
    if primitive.name == "take" and any(isinstance(given.value, (BlockValue, LayerValue)) for given in positional):
        from attndsl.elaborate.choosing import take_block  # most models have none

        return take_block(PrimitiveCall(primitive.name, tuple(positional), keywords, frame, span), label)
    value = _applied(primitive, positional, keywords, frame, span)
    if label is not None and isinstance(value, Value):
        frame.name(value, frame.label(label.text, label.span).path)
    return value


def _applied(
    primitive: Primitive, positional: Sequence[Evaluated], keywords: dict[str, Evaluated], frame: Frame, span: Span
) -> CompileTimeValue:
    """The primitive applied, or itself with more arguments where operands are still lacking."""
    rule = rule_of(primitive.name)
    assert rule is not None
    if rule.names_axis and not positional and len(keywords) == 1:
        ((key, size),) = keywords.items()
        assert size.expression is not None
        term = tree.AxisTerm(size.span, tree.Identifier(size.span, key), size.expression)
        positional, keywords = [Evaluated(Axes((term,), frame), size.span)], {}
    for key, value in keywords.items():
        if key not in rule.keywords:
            texts = [a for a in positional if isinstance(a.value, Text)]
            raise error(
                "E0102",
                f"`{primitive.name}` has no argument `{key}`",
                value.span,
                help=(advice(span, frame) if texts else option_advice(span, key, frame))
                or did_you_mean(key, rule.keywords)
                or (
                    f"it takes {', '.join(f'{k}=' for k in rule.keywords)}"
                    if rule.keywords
                    else "it takes operands only",
                ),
            )
    first = [a for a in positional if isinstance(a.value, Value)]
    later = [a for a in positional if not isinstance(a.value, Value)]
    if primitive.positional or primitive.keywords:
        positional = [*first, *primitive.positional, *later]
        keywords = {**primitive.keywords, **keywords}
    low, high = rule.operands
    listed = _of_a_list(primitive.name, rule, positional)
    positional = positional if listed is None else listed
    if len(positional) > high:
        raise error(
            "E0104",
            f"`{primitive.name}` takes {high} operand{'s' if high != 1 else ''}",
            positional[high].span,
            "one too many",
            help=_surplus(primitive.name, positional, keywords, high)
            or (option_advice(span, "dim", frame) if "over" in rule.keywords and "over" not in keywords else ()),
        )
    if len(positional) < low and listed is None:
        if not positional and not keywords and low:
            raise error("E0103", f"`{primitive.name}` needs {low} operand{'s' if low != 1 else ''}", span)
        parts = parts_of((a.value for a in (*positional, *keywords.values())), span)
        return Primitive(primitive.name, tuple(positional), keywords, parts)
    return rule.build(PrimitiveCall(primitive.name, tuple(positional), dict(keywords), frame, span))


def _of_a_list(name: str, rule: CallRule, positional: Sequence[Evaluated]) -> Sequence[Evaluated] | None:
    """The elements of a list, be it only one, where it is all that is given to what takes any number of operands."""
    listed = as_list(positional[0].value) if rule.operands[1] > 3 and len(positional) == 1 else None
    if listed is None:
        return None
    given = positional[0].span
    if not listed.values:
        raise error("E0104", f"`{name}` takes 1 or more, and this is {describe(listed)}", given)
    return [Evaluated(value, given) for value in listed.values]


def _surplus(
    name: str, positional: Sequence[Evaluated], keywords: Mapping[str, Evaluated], high: int
) -> str | tuple[()]:
    """What was meant with one operand more than a primitive takes."""
    texts = [argument.span.text for argument in positional]
    two = {"max": "maximum", "min": "minimum"}.get(name)
    if two is not None and len(texts) == 2:
        return f"of two values it is `{two}({', '.join(texts)})`"
    if "over" in keywords and isinstance(positional[high].value, Number):
        return f"several axes are written in brackets: `over=[{keywords['over'].span.text}, {texts[high]}]`"
    return ()


# ---------------------------------------------------------------- elementwise


def _cast(g: PrimitiveCall) -> CompileTimeValue:
    value = g.positional[0].value
    unknown = isinstance(value, Number) and value.value is None and not rounds(g.name, value)
    if isinstance(value, PLAIN) and not unknown:
        return operate(g.name, g.span, g.positional[0])
    if isinstance(value, Initializer):
        dtype = FLOAT if g.name in FLOATS else g.name  # of parameters, which have the model's precision
        return initial.combined(ops.Cast(dtype), g.frame, g.span, g.positional[0])
    tensor = g.tensor(0)
    same = g.type(0).dtype == g.name and g.name != FLOAT  # what is float may be computed more precisely than it says
    return tensor.value if same else g.emit(ops.Cast(g.name), tensor)


def _where(g: PrimitiveCall) -> CompileTimeValue:
    choice = g.positional[0].value
    if isinstance(choice, Number) and choice.value is not None and choice.formula is None:
        return g.positional[1 if choice.value else 2].value
    if any(isinstance(operand.value, Initializer) for operand in g.positional):
        return initial.combined(ops.Where(), g.frame, g.span, *g.positional)
    parts = [g.tensor(i) for i in range(3)]
    aligned(g.frame, g.name, parts)
    return g.emit(ops.Where(), *parts)


# ---------------------------------------------------------------- reductions and contraction


def _softmax(g: PrimitiveCall) -> CompileTimeValue:
    tensor, over = g.tensor(0), g.axes("over", g.type(0))
    mask, sink = _softmax_mask(g, over), g.keywords.get("sink")
    if sink is not None and isinstance(sink.value, Nothing):
        sink = None
    rest = [mask] if mask is not None else []
    rest += [lift(sink, g.frame)] if sink is not None else []
    return g.emit(ops.Softmax(over, sink is not None), tensor, *rest)


def _softmax_mask(g: PrimitiveCall, over: tuple[Axis, ...]) -> Evaluated | None:
    """The mask of a softmax as a tensor, None where there is none. Raises E0302 for one without axes, E0301 for one
    over axes that the scores do not have."""
    if "where" not in g.keywords:
        return None
    mask, tensor = g.keywords["where"], g.tensor(0)
    if isinstance(mask.value, IndexFunctionValue):
        raise error(
            "E0302",
            "a mask must be given its axes here",
            mask.span,
            "a function of positions",
            help=f"write `where={mask.span.text}[q=T, k={over[0].name}]`",
        )
    if isinstance(mask.value, Nothing) or (isinstance(mask.value, Number) and mask.value.is_bool and mask.value.value):
        return None
    lifted = lift(mask, g.frame)
    assert isinstance(lifted.value, Value)
    foreign = [a for a in lifted.value.type.axes if a not in g.type(0).axes]
    if foreign:
        raise error(
            "E0301",
            f"the mask runs over {axes_text(foreign)}, which the scores do not have",
            mask.span,
            str(lifted.value.type),
            other=_label(tensor, g),
            help=f"the scores have {axes_text(g.type(0).axes)}",
        )
    return lifted


def _label(argument: Evaluated, g: PrimitiveCall) -> tuple[Label, ...]:
    return (Label(argument.span, str(g.type(0))),) if argument.span.beside(g.span) else ()


def _dot(g: PrimitiveCall) -> CompileTimeValue:
    a, b = g.tensor(0), g.tensor(1)
    over = axes_of(g.keyword("over"), g.frame, (g.type(0), g.type(1)), known=True)
    return g.emit(ops.Dot(over), a, b)


def _take(g: PrimitiveCall) -> CompileTimeValue:
    over, table, index = g.axis("over", g.type(0)), g.tensor(0), g.tensor(1)
    assert isinstance(index.value, Value)
    maker = g.frame.builder.makers.get(index.value)
    if maker is not None and isinstance(maker.op, ops.Range):
        bounded = f"bound the input with `where {maker.op.axis.name} <= {over.name}`"
        way = f"a position beyond the table of {over.name} has no entry: {bounded}"
        g.frame.require("<=", maker.op.axis.size, over.size, g.span, "E0211", (way,))
    require_within(g.frame, g.positional[1], over)
    return g.emit(ops.Take(over), table, index)


def _scatter_add(g: PrimitiveCall) -> CompileTimeValue:
    example = "`over=E -> N`: values along E are added up at the indices along N"
    arrow = g.arrow("the axes that go and the one that it makes", example, target=1)
    values, index = g.tensor(0), g.tensor(1)
    gone = axes_of(Evaluated(arrow.source, arrow.span), g.frame, (g.type(0),), known=True)
    made = axis_of(arrow.target.terms[0], g.frame)
    require_within(g.frame, g.positional[1], made)
    return g.emit(ops.ScatterAdd(gone, made), values, index)


def _one_axis(g: PrimitiveCall, position: int) -> Axis:
    """The axis that an argument says; raises E0104 where it says several."""
    given = g.positional[position]
    axes = axes_of(given, g.frame)
    if len(axes) != 1:
        raise error("E0104", f"`{g.name}` takes one axis", given.span)
    return axes[0]


def _one_hot(g: PrimitiveCall) -> CompileTimeValue:
    axis = _one_axis(g, 1)
    require_within(g.frame, g.positional[0], axis)
    return g.emit(ops.OneHot(axis), g.tensor(0))


# ---------------------------------------------------------------- shape


def _range(g: PrimitiveCall) -> CompileTimeValue:
    axis = _one_axis(g, 0)
    return index_functions.positions(axis, g.frame, g.span) if g.name == "positions" else g.emit(ops.Range(axis))


def _rearrange(g: PrimitiveCall) -> CompileTimeValue:
    arrow = g.positional[1].value
    if not isinstance(arrow, ArrowValue):
        raise error(
            "E0104",
            f"`rearrange` takes a pattern, but this is {describe(arrow)}",
            g.positional[1].span,
            help=advice(g.span, g.frame) or "write `rearrange(x, [D] -> [heads, head])`",
        )
    return rearrange(g.tensor(0), arrow, g.frame, g.span)


# ---------------------------------------------------------------- the rest


def _dropout(g: PrimitiveCall) -> CompileTimeValue:
    rate = g.positional[1] if len(g.positional) > 1 else g.keyword("p")
    if isinstance(rate.value, Value):
        first = g.positional[0]
        if rate.value.type.axes:
            raise error(
                "E0204", "a dropout rate is one number", rate.span, describe(rate.value),
                help=f"the tensor comes first: `dropout({rate.span.text}, {first.span.text})`",
            )  # fmt: skip
        return _dropped(g, None, rate)
    p = decided(number(rate.value, rate.span, "a dropout rate")).value
    if p is None:
        what = f"a dropout rate must be known at compile time, but `{rate.span.text}` depends on the size of an input"
        raise error("E0404", what, rate.span, help="make the size a hyperparameter")
    if not 0 <= p < 1:
        raise error(
            "E0403", f"a dropout rate must be at least 0 and less than 1, but this is {p}", rate.span,
            help="it is a share: 0.1 drops one element in ten",
        )  # fmt: skip
    return g.tensor(0).value if p == 0 else _dropped(g, float(p))


def _dropped(g: PrimitiveCall, p: float | None, *rate: Evaluated) -> Value:
    shared = g.axes("shared", g.type(0)) if "shared" in g.keywords else ()
    place = g.frame.number("dropout")
    g.frame.elaborator.scopes[place.path] = ScopeInfo(place.path, "dropout", g.span)
    inner = g.frame.child("block", place)
    return emit(inner, ops.Dropout(p, place.path, shared), g.span, g.tensor(0), *rate)


def _uniform(g: PrimitiveCall) -> CompileTimeValue:
    if len(g.positional) == 2:
        return _initializer(g)
    site = g.frame.number("uniform")
    return g.emit(ops.Uniform(axes_of(g.positional[0], g.frame), site.path))


def _initializer(g: PrimitiveCall) -> CompileTimeValue:
    for given in g.positional:
        n = number(given.value, given.span, "an initialiser's argument")
        if n.value is None:
            raise error("E0404", "an initialiser's argument must be known at compile time", given.span)
        if g.name in ("normal", "truncated") and is_negative(n):
            raise error("E0403", f"a standard deviation is at least 0, but this is {n}", given.span)
    return initial.drawing(g.name, g.frame, *g.positional)


def _kind(g: PrimitiveCall) -> CompileTimeValue:
    return Text(kind_of(g.positional[0].value))


def _defaults(g: PrimitiveCall) -> CompileTimeValue:
    of = g.positional[0]
    callee = of.value.callee if isinstance(of.value, LayerValue) else of.value
    if not isinstance(callee, BlockValue):
        raise error("E0104", f"`defaults` takes a block that has a body, but this is {describe(of.value)}", of.span)
    return List.of(defaults(callee, axes_of(g.positional[1], g.frame), g.frame, g.span))


def _has(g: PrimitiveCall) -> CompileTimeValue:
    asked, of = g.positional[1], g.positional[0].value
    if as_list(of) is not None:
        way = f"write `{asked.span.text} in {g.positional[0].span.text}`"
        raise error("E0104", f"`has` asks for an axis, but this is {describe(of)}", g.positional[0].span, help=way)
    axes = axes_of(asked, g.frame)
    if isinstance(of, IndexFunctionValue):
        return Number.of(all(index_functions.runs_over(of, axis, g.frame) for axis in axes))
    return Number.of(all(a in g.type(0).axes for a in axes))


_OVER = ("over",)

FORMS: dict[str, CallRule] = {
    "float": CallRule(_cast, doc="as a float in the model's precision"),
    "float32": CallRule(_cast, doc="as a float32, or in the model's precision if that is finer"),
    "int": CallRule(_cast, doc="as an integer, towards zero"),
    "bool": CallRule(_cast, doc="whether it is not zero"),
    "where": CallRule(_where, (3, 3), doc="`where(c, a, b)`: a where c is true, else b"),
    "softmax": CallRule(_softmax, keywords=("over", "where", "sink"),
                    doc="exp(x) / sum(exp(x)) over axes, zero where the mask is false; `sink` is one more in the sum"),
    "dot": CallRule(_dot, (2, 2), _OVER, "the sum of products over axes; shared axes stay, the others pair up"),
    "scatter_add": CallRule(_scatter_add, (2, 2), _OVER,
                    "`scatter_add(values, index, over=E -> N)`: values with the same index are added up"),
    "take": CallRule(_take, (2, 2), _OVER,
                    "`take(table, index, over=V)`: lookup and gather; of a block, one of several for each element"),
    "range": CallRule(_range, doc="`range(T)`: 0, 1, …, T-1 along T", names_axis=True),
    "positions": CallRule(_range, doc="`positions(T)`: the indices along T, counted from its origin", names_axis=True),
    "rearrange": CallRule(_rearrange, (2, 2),
                      doc="`rearrange(x, [D] -> [heads, head])`: split, merge, permute and rename axes"),
    "concat": CallRule(joining.concat, (2, 64), _OVER, "`concat(a, b, over=[M, T] -> S)`: one after the other"),
    "stack": CallRule(joining.stack, (1, 64), _OVER, "`stack(a, b, over=part)`: along a new axis, the last one"),
    "split": CallRule(joining.split, (1, 1), _OVER, "`split(x, over=S -> [M, T])`: the parts, in order"),
    "broadcast": CallRule(joining.broadcast, (2, 2), doc="`broadcast(x, [B, T])`: repeated along axes it lacks"),
    "windows": CallRule(joining.windows, (1, 1), ("over", "size", "stride", "dilation", "pad", "before", "after"),
                    "`windows(x, over=T -> [U, R], size=3)`: every window of a sequence"),
    "one_hot": CallRule(_one_hot, (2, 2),
                    doc="`one_hot(index, vocab)`: 1 at the index, else 0"),
    "dropout": CallRule(_dropout, (1, 2), ("p", "shared"),
                    "`dropout(x, p)`: zero with probability p while training, the rest scaled up; `shared=T`: one draw "
                    "for all elements along these axes"),
    "uniform": CallRule(_uniform, (1, 2),
                    doc="`uniform([B, T])`: random numbers from 0 to 1; `uniform(a, b)`: an initialiser"),
    **{name: CallRule(_initializer, (n, n), doc="an initialiser") for name, n in
       {"normal": 1, "truncated": 1, "constant": 1}.items()},
    "kind": CallRule(_kind, doc="the kind of a compile-time value: mask, bias, rotation, score, none, …"),
    "defaults": CallRule(_defaults, (2, 2),
                         doc="`defaults(cell, [*, D])`: what the other tensors of a block are by default, as a list"),
    "len": CallRule(of_list, doc="`len(depths)`: how many elements a list has"),
    "has": CallRule(_has, (2, 2), doc="whether a tensor has an axis, or a mask or bias a variable that runs over it"),
}  # fmt: skip


def rule_of(name: str) -> CallRule | None:
    """How the primitive called `name` is called; None where there is none."""
    op = ops.OPS.get(name)
    return FORMS.get(name) or (rule_for(op) if op is not None and op.called else None)


def names() -> tuple[str, ...]:
    """What the primitives are called."""
    return (*(name for name, op in ops.OPS.items() if op.called), *FORMS)


CONSTANTS: dict[str, CompileTimeValue] = {
    **values.CONSTANTS,
    **{name: Initializer(name) for name in ("zeros", "ones", "xavier", "kaiming", "identity")},
    "training": TrainingCondition(),
}

INITIALIZERS = {name for name, value in CONSTANTS.items() if isinstance(value, Initializer)} | {
    name for name, rule in FORMS.items() if rule.build in (_initializer, _uniform)
}
"""What a parameter can start from, by name."""
