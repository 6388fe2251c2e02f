"""Expressions: what each means at compile time, and the nodes it makes."""

from __future__ import annotations

import itertools

from attndsl import ops
from attndsl.diagnostics import MOST_TOLD, AttnError, Label, Span, did_you_mean, error, first_of
from attndsl.elaborate import index_functions, initial, primitives
from attndsl.elaborate.cases import decided, note_outcome
from attndsl.elaborate.elsewhere import advice
from attndsl.elaborate.equalities import assume_outcome
from attndsl.elaborate.frames import Frame, Poison, Poisoned
from attndsl.elaborate.sizes_and_axes import axis_in_body
from attndsl.elaborate.tensors import arithmetic, emit, lift
from attndsl.elaborate.values import (
    PLAIN,
    Axes,
    BlockValue,
    CompileTimeValue,
    Evaluated,
    IndexFunctionValue,
    LayerValue,
    Primitive,
    TrainingCondition,
    as_list,
    as_plain,
    describe,
    has_tensors,
    how_to_apply,
    same,
    tensors_of,
)
from attndsl.graph import Initializer, Value
from attndsl.syntax import tree
from attndsl.values import (
    SPELLINGS,
    List,
    Nothing,
    Number,
    Operand,
    given_twice,
    joined,
    left_to_right,
    not_a_condition,
    operate,
)

# ---------------------------------------------------------------- names


def name(node: tree.Name, frame: Frame) -> CompileTimeValue:
    binding = frame.lookup(node.text)
    if binding is not None:
        if isinstance(binding.value, Poison):
            raise Poisoned
        return binding.value
    found = callable_named(node.text, frame)
    if found is not None:
        return found
    if node.text in primitives.CONSTANTS:
        return primitives.CONSTANTS[node.text]
    axis = axis_in_body(node.text, node.span, frame)
    if axis is not None:
        return Number(axis.size.known(frame.elaborator.sizes), axis.size, axis)
    raise unknown(node.text, node.span, frame)


def callable_named(name: str, frame: Frame, *, skip_layers: bool = False) -> CompileTimeValue | None:
    """The nearest thing called `name` that can be applied; a number or tensor of that name does not hide it."""
    at: Frame | None = frame
    while at is not None:
        binding = at.names.get(name)
        if binding is not None:
            if isinstance(binding.value, Poison):
                raise Poisoned
            wanted = (
                (BlockValue, Primitive, IndexFunctionValue)
                if skip_layers
                else (BlockValue, Primitive, IndexFunctionValue, LayerValue, Nothing)
            )
            if isinstance(binding.value, wanted):
                return binding.value
        at = at.parent
    declared = frame.scope.find(name)
    if declared is not None:
        declaration, scope = declared
        if isinstance(declaration, tree.Block):
            return BlockValue(declaration, scope)
        return IndexFunctionValue(declaration.kind, declaration, scope, span=declaration.name.span)
    return Primitive(name) if primitives.rule_of(name) else None


def unknown(name: str, span: Span, frame: Frame, *, called: bool = False) -> AttnError:
    """E0101, with what to write instead where the name is one of another library's, or a slip for a name that is known
    here and fits: what is `called` is a block, a mask or a bias."""
    if called and name in primitives.CONSTANTS:
        what = describe(primitives.CONSTANTS[name])
        help = advice(span, frame) or f"write `{name}`"
        return error("E0105", f"`{name}` is {what} and takes no arguments", span, help=help)
    if len(frame.elaborator.problems) >= MOST_TOLD:  # it is only counted
        return error("E0101", f"there is nothing called `{name}` here", span)
    known = itertools.chain(frame.scope.names(), primitives.names())
    if not called:
        known = itertools.chain(frame.visible(), known, primitives.CONSTANTS, ("true", "false"))
    else:
        known = itertools.chain((n for n in frame.visible() if callable_named(n, frame) is not None), known)
    help = advice(span, frame) or did_you_mean(name, known)
    if len(help) == 0 and frame.viewpoint.in_user_file:
        help = (
            (f"a block of your own is declared: `block {name}()(x: [*]) -> [*] {{ … }}`",)
            if called
            else _tensors(frame)
        )
    return error("E0101", f"there is nothing called `{name}` here", span, "not found", help=help)


def _tensors(frame: Frame) -> tuple[str, ...]:
    """Which tensors there are, for a name that resembles nothing."""
    names: set[str] = set()
    at: Frame | None = frame
    while at is not None:
        names.update(name for name, _ in at.tensors())
        at = at.parent
    return (f"the tensors here are {first_of(sorted(names), 8)}",) if names else ()


def attribute(node: tree.Attribute, frame: Frame) -> CompileTimeValue:
    base = frame.evaluate(node.base)
    if not isinstance(base, LayerValue):
        help: str | tuple[str, ...] = ()
        if isinstance(base, Value):
            help = advice(node.name.span, frame, node.base.span.text, base)
            if not help and base.type.axes:
                help = f"its sizes are the names of its axes: {', '.join(f'`{axis.name}`' for axis in base.type.axes)}"
        what = f"a tensor has no member `{node.name.text}`" if isinstance(base, Value) else "only a layer has members"
        label = describe(base) if isinstance(base, Value) else f"this is {describe(base)}"
        raise error("E0108", what, node.base.span, label, help=help)
    place = base.place.inside(node.name.text)
    path = place.path
    pending = frame.elaborator.parameters.get(path, {}).get(place.loops)
    if pending is not None:
        return emit(frame, ops.Parameter(path, pending.type), node.span)
    inner = frame.elaborator.layers.get((path, place.loops))
    if inner is not None:
        for tensor in tensors_of(inner.callee):
            if not frame.builder.sees(tensor):
                raise error(
                    "E0108",
                    f"the layer `{path}` holds a tensor of the body in which it was made, which is not there here",
                    node.span,
                    str(tensor.type),
                    other=Label(inner.span, "made here"),
                    help="apply it in that body, or make it without the tensor and give that at each call",
                )
        return inner
    if not base.applied:
        raise error(
            "E0108",
            f"the layer `{base.path}` has no parameters yet",
            node.span,
            "used before it is applied",
            help="apply the layer to its tensors first: its shapes follow from them",
        )
    start = f"{base.path}."
    members = {
        p[len(start) :].split(".")[0]
        for p in (*frame.elaborator.parameters, *frame.elaborator.scopes)
        if p.startswith(start)
    }
    raise error(
        "E0108",
        f"the layer `{base.path}` has no member `{node.name.text}`",
        node.name.span,
        help=did_you_mean(node.name.text, members) or (f"it has {', '.join(sorted(members)) or 'none'}",),
    )


# ---------------------------------------------------------------- operators


def unary(node: tree.Unary, frame: Frame) -> CompileTimeValue:
    operand = frame.evaluated(node.operand)
    operator = "neg" if node.operator == "-" else "not"
    if isinstance(operand.value, PLAIN):
        return operate(operator, node.span, operand)
    if isinstance(operand.value, TrainingCondition) and operator == "not":
        return TrainingCondition(not operand.value.holds)
    if isinstance(operand.value, IndexFunctionValue):
        return index_functions.combined(operator, node.span, operand)
    if isinstance(operand.value, Initializer):
        return initial.combined(ops.written(operator)(), frame, node.span, operand)
    return emit(frame, ops.written(operator)(), node.span, lift(operand, frame))


def chain(node: tree.Chain, frame: Frame) -> CompileTimeValue:
    def combine(operator: str, left: Evaluated, right: Evaluated, span: Span) -> Evaluated:
        return Evaluated(binary(operator, left, right, span, frame), span)

    return left_to_right(node, frame.evaluated, combine).value


def binary(operator: str, left: Evaluated, right: Evaluated, span: Span, frame: Frame) -> CompileTimeValue:
    """`left operator right`: a compile-time value, a mask or a bias, or a tensor."""
    a, b = left.value, right.value
    if isinstance(a, (List, Axes)) or isinstance(b, (List, Axes)):
        return _with_list(operator, left, right, span)
    if isinstance(a, PLAIN) and isinstance(b, PLAIN):
        frame.elaborator.budget.spend_on_sizes(frame.at(span), left, right)
        return operate(operator, span, left, right)
    if isinstance(a, TrainingCondition) or isinstance(b, TrainingCondition):
        return _with_training(operator, left, right, span)
    if operator in ("==", "!=") and (equal := same(a, b)) is not None:
        return Number.of(equal == (operator == "=="))
    if isinstance(a, IndexFunctionValue) or isinstance(b, IndexFunctionValue):
        return index_functions.combined(operator, span, left, right)
    if isinstance(a, Initializer) or isinstance(b, Initializer):
        return initial.combined(ops.written(SPELLINGS.get(operator, operator))(), frame, span, left, right)
    if isinstance(a, (Value, Number)) and isinstance(b, (Value, Number)):
        return arithmetic(frame, SPELLINGS.get(operator, operator), left, right, span)
    if operator in ("==", "!=") and not isinstance(a, Value) and not isinstance(b, Value):
        raise error("E0104", f"`{operator}` compares {describe(a)} with {describe(b)}", span, "never equal")
    culprit = left if not isinstance(a, (Value, Number)) else right
    raise error(
        "E0104",
        f"`{operator}` takes numbers and tensors, but this is {describe(culprit.value)}",
        culprit.span,
        help=_applied(operator, left, culprit)
        if isinstance(culprit.value, (BlockValue, Primitive, LayerValue))
        else (),
    )


def _applied(operator: str, left: Evaluated, culprit: Evaluated) -> str | tuple[()]:
    """What `x | mlp(16)` and `x + mlp(16)` should have been."""
    if operator == "|" and culprit is not left:
        return f"write `{left.span.text} |> {culprit.span.text}`"
    return how_to_apply(culprit.value)


def _with_list(operator: str, left: Evaluated, right: Evaluated, span: Span) -> CompileTimeValue:
    """`depths == [2, 2]`, `kind in kinds`, `kept + [x]`."""
    lists = joined(operator, as_list(left.value), as_list(right.value), span)
    if lists is not None:
        return lists
    if operator in ("==", "!=") and (isinstance(left.value, Nothing) or isinstance(right.value, Nothing)):
        return Number.of(operator == "!=")
    for side in (left, right):
        if (listed := as_list(side.value)) is not None and any(isinstance(value, Value) for value in listed.values):
            what = f"`{operator}` takes lists of compile-time values, and this one holds tensors"
            raise error("E0104", what, side.span, help="`+` joins it with another one, `[i]` takes a tensor of it")
        if isinstance(side.value, Value):
            way = "compare it with each element: `tokens == 0 or tokens == 1`" if operator == "in" else ()
            what = f"`{operator}` does not go between a list and a tensor"
            raise error("E0104", what, side.span, describe(side.value), help=way)
    plain = (Operand(as_plain(as_list(side.value) or side.value), side.span) for side in (left, right))
    return operate(operator, span, *plain)


def _with_training(operator: str, left: Evaluated, right: Evaluated, span: Span) -> CompileTimeValue:
    """`training and gated`: decided now where the other side decides it, else `training` or `not training`."""
    if operator not in ("and", "or"):
        culprit = left if isinstance(left.value, TrainingCondition) else right
        what = f"`{operator}` takes numbers and tensors, but this is {describe(culprit.value)}"
        raise error("E0104", what, culprit.span, help=how_to_apply(culprit.value))
    undecided = [side.value for side in (left, right) if isinstance(side.value, TrainingCondition)]
    if len(undecided) == 2:
        return undecided[0] if undecided[0] == undecided[1] else Number.of(operator == "or")
    other = right if isinstance(left.value, TrainingCondition) else left
    if not isinstance(other.value, Number) or not other.value.is_bool or other.value.value is None:
        what = f"`training` goes with compile-time conditions, but this is {describe(other.value)}"
        raise error("E0104", what, other.span, help="choose by `training` first, and with `where(…)` inside")
    outcome = bool(decided(other.value).value)
    return Number.of(outcome) if outcome == (operator == "or") else undecided[0]


def condition(node: tree.Expr, frame: Frame) -> bool:
    """The outcome of a compile-time condition that is the same in training and in use."""
    found = outcome(node, frame)
    if isinstance(found, TrainingCondition):
        what = f"what is required holds in training and in use, but this is {describe(found)}"
        raise error("E0104", what, node.span, help="compute what it is about in each branch of `if training { … }`")
    return found


def outcome(node: tree.Expr, frame: Frame) -> bool | TrainingCondition:
    """The outcome of a compile-time condition, unless that is decided by whether the model is trained. One on a repeat
    index is noted, so that the body is elaborated once for each way in which its conditions come out."""
    value = frame.evaluate(node)
    if isinstance(value, TrainingCondition):
        return value
    if not isinstance(value, Number) or not value.is_bool:
        if isinstance(value, Value):
            way = "to choose between tensors element by element use `where(condition, a, b)`"
            raise not_a_condition(node, describe(value), way)
        raise not_a_condition(node, describe(value))
    if value.value is None:
        raise error(
            "E0404",
            "this condition depends on the size of an input, which is not known at compile time",
            node.span,
            help="a condition may use hyperparameters and repeat indices",
        )
    found = bool(value.value)
    if value.formula is not None:
        note_outcome(value.formula, found, node.span)
    return found


def conditional(node: tree.Conditional, frame: Frame) -> CompileTimeValue:
    found, before = outcome(node.condition, frame), frame.equal
    if isinstance(found, TrainingCondition):
        from attndsl.elaborate import by_training  # most models have none

        return by_training.conditional(node, found, frame)
    assume_outcome(node.condition, found, frame)
    value = frame.evaluate(node.then if found else node.otherwise)
    frame.equal = before
    return value


# ---------------------------------------------------------------- calls


def call(
    node: tree.Call, frame: Frame, label: tree.Identifier | None = None, piped: Evaluated | None = None
) -> CompileTimeValue:
    _look_up(node.callee, frame)
    positional = [] if piped is None else [piped]
    keywords: dict[str, Evaluated] = {}
    for given in node.arguments:
        value = _argument(given, frame)
        if given.name is None:
            positional.append(value)
        elif given.name.text in keywords:
            raise given_twice(given.name)
        else:
            keywords[given.name.text] = value
    compile_time = bool(keywords) or not all(has_tensors(a.value) for a in positional)
    callee = _callee(node.callee, frame, fresh=label is not None or compile_time)
    return frame.elaborator.apply(callee, positional, keywords, frame, node.span, label)


def _look_up(callee: tree.Expr, frame: Frame) -> None:
    """Refuse what is called before its arguments: what another library calls a function has another's arguments."""
    if isinstance(callee, tree.Attribute):
        frame.evaluate(callee)
    elif isinstance(callee, tree.Call):
        _look_up(callee.callee, frame)
    elif isinstance(callee, tree.Name) and frame.lookup(callee.text) is None and not callable_named(callee.text, frame):
        raise unknown(callee.text, callee.span, frame, called=True)


def _argument(given: tree.Argument, frame: Frame) -> Evaluated:
    """A call's argument. `over=name` may name an axis that only the operand has (`over=in`)."""
    node = given.value
    if (
        given.name is not None
        and given.name.text == "over"
        and isinstance(node, tree.Name)
        and frame.lookup(node.text) is None
    ):
        return Evaluated(Axes((tree.AxisTerm(node.span, None, node),), frame), node.span, node)
    return frame.evaluated(node)


def _callee(node: tree.Expr, frame: Frame, *, fresh: bool) -> CompileTimeValue:
    """What is called. A call with a label or with hyperparameters makes a new layer, so a label of that name is passed
    over; a call without either applies the labelled layer again."""
    if not isinstance(node, tree.Name):
        return frame.evaluate(node)
    found = callable_named(node.text, frame, skip_layers=fresh)
    if found is None and fresh:
        found = callable_named(node.text, frame)
    if found is not None:
        return found
    binding = frame.lookup(node.text)
    if binding is not None and not isinstance(binding.value, Poison):
        raise error("E0105", f"`{node.text}` is {describe(binding.value)} and cannot be applied", node.span)
    raise unknown(node.text, node.span, frame, called=True)


def labelled(node: tree.Labelled, frame: Frame, piped: Evaluated | None = None) -> CompileTimeValue:
    if isinstance(node.value, tree.Call):
        return call(node.value, frame, node.label, piped)
    if piped is not None:
        return frame.elaborator.apply(_callee(node.value, frame, fresh=True), [piped], {}, frame, node.span, node.label)
    value = frame.evaluate(node.value)
    if isinstance(value, Value):
        frame.label(node.label.text, node.label.span)
        return frame.name(value, frame.address(node.label.text))
    raise error(
        "E0105",
        f"`as` labels a layer or a tensor, but this is {describe(value)}",
        node.value.span,
        help="a label comes after a call: `linear(x, width) as q`",
    )


def pipe(node: tree.Pipe, frame: Frame) -> CompileTimeValue:
    value = frame.evaluated(node.value)
    for stage in node.stages:
        if isinstance(stage, tree.Labelled):
            result = labelled(stage, frame, value)
        elif isinstance(stage, tree.Call):
            result = call(stage, frame, None, value)
        else:
            callee = _callee(stage, frame, fresh=False)
            result = frame.elaborator.apply(callee, [value], {}, frame, stage.span, None)
        value = Evaluated(result, value.span.to(stage.span))
    return value.value
