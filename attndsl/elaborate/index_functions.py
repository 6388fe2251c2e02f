"""Masks and biases: functions of positions, combined freely, made tensors where they are subscripted.

`m[q=T, k=S]` runs the body with `q` and `k` bound to the positions along those axes (index plus the axis's origin), so
a mask is ordinary nodes over ranges; `attndsl.masks` reads such nodes back as an index function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from attndsl import ops
from attndsl.diagnostics import AttnError, Label, Span, error
from attndsl.elaborate.arguments import given_at, require_all
from attndsl.elaborate.elsewhere import subscript_advice
from attndsl.elaborate.frames import Frame
from attndsl.elaborate.signatures import bind
from attndsl.elaborate.sizes_and_axes import axis_of
from attndsl.elaborate.tensors import arithmetic, arrange, emit, lift
from attndsl.elaborate.values import CompileTimeValue, Evaluated, IndexFunctionValue, describe, lacking, parts_of
from attndsl.graph import Axis, ScopeInfo, Value
from attndsl.records import replace
from attndsl.sizes import Size
from attndsl.syntax import tree
from attndsl.values import Number

_MASK_OPERATORS = {"&": "and", "|": "or", "and": "and", "or": "or", "not": "not"}
_BIAS_OPERATORS = {"+", "-", "*", "/", "neg"}


def combined(operator: str, span: Span, *operands: Evaluated) -> IndexFunctionValue:
    """`causal & window(128)`, `not causal`, `alibi(heads) + other`, `0.5 * alibi(heads)`."""
    kinds = {o.value.kind for o in operands if isinstance(o.value, IndexFunctionValue)}
    kind = "mask" if operator in _MASK_OPERATORS else "bias" if operator in _BIAS_OPERATORS else ""
    allowed = (IndexFunctionValue,) if kind == "mask" else (IndexFunctionValue, Number)
    for operand in operands:
        if not isinstance(operand.value, allowed) or (kind and kinds != {kind}):
            wrong = next(
                (o for o in operands if not isinstance(o.value, IndexFunctionValue) or o.value.kind != kind), operand
            )
            raise error(
                "E0302",
                f"`{operator}` combines {'masks' if kind == 'mask' else 'biases'}, but this is {describe(wrong.value)}",
                wrong.span,
                help="masks combine with `&`, `|` and `not`; biases with `+`, `-` and `*`",
            )
    if not kind:
        raise error(
            "E0302",
            f"`{operator}` does not combine masks or biases",
            span,
            help="masks combine with `&`, `|` and `not`; biases with `+`, `-` and `*`",
        )
    values = tuple(o.value for o in operands)
    return IndexFunctionValue(
        kind,
        operator=_MASK_OPERATORS.get(operator, operator),
        operands=values,  # type: ignore[arg-type]
        span=span,
        parts=parts_of(values, span),
    )


def instantiate(function: IndexFunctionValue, axes: Mapping[str, tuple[Axis, Span]], frame: Frame, span: Span) -> Value:
    """The mask (bool) or bias (float) as a tensor over the axes given for its variables and its own ones."""
    if function.declaration is None:
        return _combination(function, axes, frame, span)
    with frame.elaborator.budget.entered(function.declaration.name.span, frame.at(span)):
        return _instance(function, axes, frame, span)


def _instance(function: IndexFunctionValue, axes: Mapping[str, tuple[Axis, Span]], frame: Frame, span: Span) -> Value:
    declaration, scope = function.declaration, function.scope
    assert declaration is not None
    assert scope is not None
    place = function.place or frame.place
    inner = frame.entered("index function", declaration.name.text, scope, place, span).licensing()
    bind(declaration, function.given, function.given, inner, frame, span)
    for variable in declaration.variables:
        name = variable.name.text
        if variable.axis is not None:
            axis = axis_of(variable.axis, inner)
        elif name in axes:
            axis = axes[name][0]
        else:
            raise error(
                "E0303",
                f"`{declaration.name.text}` needs to know which axis `{name}` runs over",
                span,
                other=Label(variable.span, "declared here"),
                help=f"subscript it with `{name}=…` too",
            )
        inner.enclosing.positions[name] = axis
        inner.bind(name, positions(axis, inner, variable.span), variable.span)
    inner.execute(declaration.body)
    if inner.returned is None:
        raise error(
            "E0112",
            f"`{declaration.name.text}` returns nothing here",
            declaration.name.span,
            help=f"end the {function.kind} with `return …`, whatever its conditions are",
        )
    result = lift(Evaluated(inner.returned.values[0], declaration.body[-1].span), inner)
    assert isinstance(result.value, Value)
    dtype = result.value.type.dtype
    if function.kind == "mask" and dtype != "bool":
        raise error(
            "E0302",
            f"the mask `{declaration.name.text}` gives {dtype}, not bool",
            declaration.body[-1].span,
            help="a mask says with a comparison which pairs attend",
        )
    value = result.value
    if function.kind == "bias" and not result.value.type.is_float:
        value = emit(inner, ops.Cast("float"), result.span, result)
    own = [inner.enclosing.positions[v.name.text] for v in declaration.variables]
    others = [a for a in value.type.axes if a not in own]
    return arrange(value, (*others, *(a for a in own if a in value.type.axes)), inner, result.span)


def runs_over(function: IndexFunctionValue, axis: Axis, frame: Frame) -> bool:
    """Whether a variable is declared to run over `axis`: `h in heads`."""
    declaration = function.declaration
    if declaration is None:
        operands = [operand for operand in function.operands if isinstance(operand, IndexFunctionValue)]
        return any(runs_over(operand, axis, frame) for operand in operands)
    assert function.scope is not None
    inner = Frame(frame.elaborator, function.scope, frame.builder, "index function", frame.place)
    for name, given in function.given.settings.items():
        inner.bind(name, given.value, given.span)
    for variable in declaration.variables:
        with suppress(AttnError):  # what is wrong with it is said where it is used
            if variable.axis is not None and axis_of(variable.axis, inner) == axis:
                return True
    return False


def _combination(
    function: IndexFunctionValue, axes: Mapping[str, tuple[Axis, Span]], frame: Frame, span: Span
) -> Value:
    place = function.span or span
    parts: list[Evaluated] = []
    for operand in function.operands:
        value: CompileTimeValue = operand
        if isinstance(operand, IndexFunctionValue):
            value = instantiate(operand, axes, frame, span)
        parts.append(lift(Evaluated(value, place), frame))
    if len(parts) == 1:
        return emit(frame, ops.Not() if function.operator == "not" else ops.Neg(), place, parts[0])
    return arithmetic(frame.licensing(), function.operator, parts[0], parts[1], place)


def read(node: tree.Subscript, base: Evaluated, frame: Frame) -> Value:
    """`doc[b, q]`: a captured tensor read at variables (its last axes, where it has more). A plain variable renames the
    axis it stands at; any other index is a lookup."""
    assert isinstance(base.value, Value)
    axes = base.value.type.axes
    if len(node.entries) > len(axes):
        raise error(
            "E0303", f"{len(node.entries)} indices for a tensor with {len(axes)} axes", node.span, str(base.value.type)
        )
    result = base
    for entry, axis in zip(node.entries, axes[len(axes) - len(node.entries) :], strict=True):
        if entry.index is None:
            raise error("E0303", "named and plain indices are mixed", entry.span, help="name every axis, or none")
        name = entry.index.text if isinstance(entry.index, tree.Name) else None
        if name is not None and name in frame.enclosing.positions:
            result = Evaluated(_rename(result, axis, frame.enclosing.positions[name], frame, entry), node.span)
            continue
        if not frame.enclosing.positions:
            raise error(
                "E0303",
                "it is ambiguous which axis is indexed",
                entry.span,
                help=subscript_advice(node.span, base, frame)
                or f"name it: `{base.span.text}[{axis.name}={entry.span.text}]`",
            )
        index = lift(Evaluated(frame.evaluate(entry.index), entry.index.span, entry.index), frame)
        result = Evaluated(emit(frame, ops.Take(axis), node.span, result, index), node.span)
    assert isinstance(result.value, Value)
    return result.value


def _rename(base: Evaluated, old: Axis, new: Axis, frame: Frame, entry: tree.SubscriptEntry) -> Value:
    assert isinstance(base.value, Value)
    if old == new:
        return base.value
    if old.size != new.size:
        wanted = str(new.size)  # not its name, which may be that of a signature (self-attention's S has the size T)
        raise error(
            "E0301",
            f"`{frame.enclosing.name}` reads {base.value.type} at `{entry.span.text}`, which runs over "
            f"`{wanted}`, but the tensor has `{old.name}` there",
            frame.site or entry.span,
            other=Label(entry.span, f"`{entry.span.text}` runs over `{wanted}` here"),
            help=f"give it a tensor with the axis `{wanted}` instead of `{old.name}`",
        )
    return emit(frame, ops.Rename(old, new), entry.span, base)


def positions(axis: Axis, frame: Frame, span: Span) -> Value:
    """The positions along an axis: its indices, counted from its origin."""
    index = emit(frame, ops.Range(axis), span)
    if axis.origin == Size.of(0):
        return index
    origin = lift(Evaluated(Number(axis.origin.known(frame.elaborator.sizes), axis.origin), span), frame)
    return emit(frame, ops.Add(), span, Evaluated(index, span), origin)


def call(function: IndexFunctionValue, positional: Sequence[Evaluated], frame: Frame, span: Span) -> Value | None:
    """`causal(q, k)` in the body of another index function: the same function at the same positions. None where the
    arguments are not position variables, and so are captures."""
    names = [a.expression.text for a in positional if isinstance(a.expression, tree.Name)]
    if not names or len(names) < len(positional) or any(n not in frame.enclosing.positions for n in names):
        return None
    own = ["q", "k"]
    if function.declaration is not None:
        if lacking(function.declaration, function.given):
            return None
        own = [v.name.text for v in function.declaration.variables if v.axis is None]
    if len(own) != len(names):
        raise error("E0303", f"this {function.kind} has {len(own)} variables: {', '.join(own)}", span)
    return instantiate(
        function, {o: (frame.enclosing.positions[n], span) for o, n in zip(own, names, strict=True)}, frame, span
    )


def apply(
    function: IndexFunctionValue, positional: Sequence[Evaluated], keywords: dict[str, Evaluated], frame: Frame,
    span: Span, label: tree.Identifier | None,
) -> CompileTimeValue:  # fmt: skip
    """`causal(q, k)` inside another mask, or a mask or bias with its captures given. One with parameters has a place of
    its own for them."""
    instance = call(function, positional, frame, span) if not keywords else None
    if instance is not None:
        return instance
    declaration = function.declaration
    if declaration is None:
        raise error("E0105", f"this {function.kind} takes no arguments", span, help="subscript it: `mask[q=T, k=S]`")
    given = given_at(declaration, function.given, positional, keywords, frame, span)
    require_all(declaration, given, span, frame)
    bound = replace(function, given=given, span=span, parts=parts_of(given.values(), span))
    if not owns_parameters(declaration) and label is None:
        return bound
    kind = declaration.name.text
    place = frame.label(label.text, label.span) if label else frame.number(kind)
    info = ScopeInfo(place.path, kind, span, label is not None, declaration.doc)
    frame.elaborator.scopes[place.path] = info
    return replace(bound, place=place)


def owns_parameters(declaration: tree.IndexFunction) -> bool:
    return any(isinstance(s, tree.ParamDecl) for s in declaration.body)
