"""Statements: names bound, parameters and layers made, branches taken; one mistake ends one statement."""

from __future__ import annotations

from attndsl.diagnostics import Label, error, shortened
from attndsl.elaborate import parameters
from attndsl.elaborate.calls import make_layer
from attndsl.elaborate.equalities import assume, assume_outcome
from attndsl.elaborate.expressions import binary, condition, outcome
from attndsl.elaborate.frames import Frame, Returned
from attndsl.elaborate.initial import initializer_of
from attndsl.elaborate.sizes_and_axes import type_of
from attndsl.elaborate.tensors import lift, typed
from attndsl.elaborate.values import (
    BlockValue,
    CompileTimeValue,
    Evaluated,
    Several,
    TrainingCondition,
    as_plain,
    describe,
    how_to_apply,
)
from attndsl.graph import Type, Value
from attndsl.records import replace
from attndsl.sizes import Constraint
from attndsl.sizes.constraints import RELATIONS
from attndsl.syntax import tree
from attndsl.types import FLOAT, FLOAT32
from attndsl.values import List, Number, Text, written


def bound_names(statement: tree.Statement) -> list[tree.Identifier]:
    """The names that a statement binds around it, those in branches and bodies included."""
    if isinstance(statement, tree.Assign):
        return [*statement.targets, *_labels(statement.value)]
    if isinstance(statement, (tree.LayerDecl, tree.ParamDecl, tree.StateDecl, tree.InputDecl, tree.OutputDecl)):
        return [statement.name]
    if isinstance(statement, tree.If):
        return [n for s in (*statement.then, *statement.otherwise) for n in bound_names(s)]
    if isinstance(statement, (tree.Repeat, tree.Scan, tree.Scope)):
        return [n for s in statement.body for n in assigned_names(s)]
    return []


def doubtful_names(statement: tree.Statement, frame: Frame) -> list[tree.Identifier]:
    """The names of which nothing further should be said where a statement failed: those that it would have bound, and
    the values of which something was required that does not hold. What follows relies on it."""
    if not isinstance(statement, tree.RequireDecl):
        return bound_names(statement)
    read = (part for part in _parts(statement.condition) if isinstance(part, tree.Name))
    return [tree.Identifier(name.span, name.text) for name in read if name.text in frame.names]


def assigned_names(statement: tree.Statement) -> list[tree.Identifier]:
    """The names that plain assignment gives a value: what a repeat may carry."""
    if isinstance(statement, tree.If):
        return [n for s in (*statement.then, *statement.otherwise) for n in assigned_names(s)]
    found: list[tree.Identifier] = []
    if isinstance(statement, (tree.Repeat, tree.Scan, tree.Scope)):
        found += [n for s in statement.body for n in assigned_names(s)]
    if isinstance(statement, (tree.Assign, tree.OutputDecl)):
        bodies = [node for node in _parts(statement.value) if isinstance(node, (tree.Repeat, tree.Scan, tree.Scope))]
        found += [n for body in bodies for n in assigned_names(body)]
    if isinstance(statement, tree.Assign):
        found += statement.targets
    return found


def _labels(node: tree.Expr) -> list[tree.Identifier]:
    return [part.label for part in _parts(node) if isinstance(part, tree.Labelled)]


def _parts(node: tree.Expr) -> list[tree.Tree]:
    """An expression and what it is made of, the insides of bodies left out."""
    return list(tree.walk(node, into=lambda at: not isinstance(at, (tree.Scope, tree.Repeat, tree.Scan))))


# ---------------------------------------------------------------- assignment


def assign(node: tree.Assign, frame: Frame) -> None:
    value = (frame if node.type is None else frame.licensing()).evaluate(node.value)
    if node.operator is not None:
        value = _augmented(node, value, frame)
    if node.type is not None:
        value = typed(Evaluated(value, node.value.span, node.value), node.type, frame, node.span)
    if len(node.targets) == 1:
        values: tuple[CompileTimeValue, ...] = (value,)
        if isinstance(value, Several):
            raise error(
                "E0113",
                f"this gives {len(value.values)} results for one name",
                node.value.span,
                other=Label(node.targets[0].span),
                help="write `a, b = …`",
            )
    else:
        values = value.values if isinstance(value, Several) else (value,)
        if len(values) != len(node.targets):
            raise error(
                "E0113",
                f"this gives {len(values)} result{'s' if len(values) != 1 else ''} for {len(node.targets)} names",
                node.value.span,
                describe(value),
                other=Label(node.targets[0].span.to(node.targets[-1].span)),
                help=_taken_apart(node, value)
                if isinstance(value, Value)
                else how_to_apply(value)
                if isinstance(value, BlockValue)
                else (),
            )
    for target, item in zip(node.targets, values, strict=True):
        if isinstance(item, Value):
            frame.name(item, frame.address(target.text))
        frame.bind(target.text, item, target.span)


def _taken_apart(node: tree.Assign, value: Value) -> str:
    """How a tensor becomes as many as there are names."""
    axis = value.type.axes[-1].name if value.type.axes else "T"
    names = [target.text for target in node.targets]
    parts = ", ".join(f"{name}={axis} / {len(names)}" for name in names)
    split = f"split({shortened(node.value.span.text)}, over={axis} -> [{parts}])"
    return f"to split the tensor, write `{', '.join(names)} = {split}`"


def _augmented(node: tree.Assign, value: CompileTimeValue, frame: Frame) -> CompileTimeValue:
    """`x += y` is `x = x + y`."""
    (target,) = node.targets
    name = tree.Name(target.span, target.text)
    left, right = frame.evaluated(name), Evaluated(value, node.value.span, node.value)
    assert node.operator is not None
    return binary(node.operator, left, right, node.span, frame)


# ---------------------------------------------------------------- parameters and layers


def declare_layer(node: tree.LayerDecl, frame: Frame) -> None:
    layer = make_layer(frame.evaluate(node.value), node.name, frame, node.span)
    frame.bind(node.name.text, layer, node.name.span)


def declare_parameter(node: tree.ParamDecl, frame: Frame) -> None:
    type_ = type_of(node.type, frame)
    _check_parameter(type_, node, frame)
    initializer = initializer_of(node, type_, frame)
    parameters.declare(frame, node.name, type_, initializer, node.span)


def _check_parameter(type_: Type, node: tree.ParamDecl, frame: Frame) -> None:
    """A parameter is float, and as large whatever the inputs are."""
    if type_.dtype != FLOAT:
        raise error(
            "E0204",
            f"a parameter is float, not {type_.dtype}",
            node.type.span,
            help=f"it has the model's precision; convert it where it is used: `float32({node.name.text})`"
            if type_.dtype == FLOAT32
            else "it is trained by gradients; a table of numbers is computed: `range(n)`, `where(…)`",
        )
    free = sorted({s for a in type_.axes for s in a.size.symbols} - frame.elaborator.sizes.keys())
    if free:
        raise error(
            "E0209",
            f"a parameter cannot have the size of an input: `{free[0]}`",
            node.type.span,
            str(type_),
            help="its axes are hyperparameters; is this the axis that you meant?",
        )


# ---------------------------------------------------------------- control


def branch(node: tree.If, frame: Frame) -> None:
    found, before = outcome(node.condition, frame), frame.equal
    if isinstance(found, TrainingCondition):
        from attndsl.elaborate import by_training  # most models have none

        by_training.branches(node, found, frame)
        return
    assume_outcome(node.condition, found, frame)
    frame.execute(node.then if found else node.otherwise)
    frame.equal = before


def give_back(node: tree.Return, frame: Frame) -> None:
    if frame.kind not in ("block", "scope", "index function"):
        raise error(
            "E0112",
            f"a {frame.kind} returns nothing",
            node.span,
            help="a model has `output NAME = …`; a repeat carries what it assigns, or has `emit …`",
        )
    values: list[CompileTimeValue] = []
    for expression in node.values:
        value = frame.evaluate(expression)
        values += value.values if isinstance(value, Several) else (value,)
    frame.returned = Returned(tuple(values), node.span)


def emit_values(node: tree.Emit, frame: Frame) -> None:
    if frame.kind not in ("repeat", "scan"):
        raise error("E0112", "`emit` belongs in a `repeat` or a `scan`", node.span)
    if frame.emitted is not None:
        raise error("E0112", "a body emits once", node.span, help="emit several values at once: `emit a, b`")
    emitted = []
    for expression in node.values:
        value = lift(frame.evaluated(expression), frame).value
        assert isinstance(value, Value)
        emitted.append(value)
    frame.emitted = tuple(emitted)


def require(node: tree.RequireDecl, frame: Frame) -> None:
    comparison = node.condition
    if isinstance(comparison, tree.Chain) and comparison.operators[0].text == "and":
        for part in comparison.operands:
            require(replace(node, condition=part), frame)
        return
    if isinstance(comparison, tree.Chain) and comparison.operators[0].text in RELATIONS:
        sides = [frame.evaluate(o) for o in comparison.operands]
        relation = comparison.operators[0].text
        if all(isinstance(s, Number) and s.size is not None for s in sides):
            left, right = (s for s in sides if isinstance(s, Number))
            assert left.size is not None
            assert right.size is not None
            said = node.message.value if node.message else ""
            at = frame.at(node.span)
            frame.elaborator.require(
                Constraint(relation, left.size, right.size, at, "E0210", _because(frame, node), message=said)
            )
            if relation == "==":
                assume(left, right, frame)
            return
    if not condition(comparison, frame):
        values = _values_in(comparison, frame)
        if node.message:
            raise error("E0210", node.message.value, node.span, note=values)
        raise error("E0210", f"`{comparison.span.text}` does not hold", node.span, note=values)
    assume_outcome(comparison, True, frame)


def _values_in(node: tree.Expr, frame: Frame) -> tuple[str, ...]:
    """What the names in a condition stand for, where these are texts, numbers or booleans."""
    names = dict.fromkeys(part.text for part in _parts(node) if isinstance(part, tree.Name))
    found = {name: binding.value for name in reversed(names) if (binding := frame.lookup(name)) is not None}
    shown = [f"{name} = {written(as_plain(value))}" for name, value in found.items() if isinstance(value, (Text, List))]
    shown += [f"{name} = {value.value}" if not value.is_bool else f"{name} = {value}"
              for name, value in found.items() if isinstance(value, Number) and value.value is not None]  # fmt: skip
    return (", ".join(shown),) if shown else ()


def _because(frame: Frame, node: tree.RequireDecl) -> tuple[str, ...]:
    return (f"`{frame.enclosing.name}` requires `{node.condition.span.text}`",) if frame.is_called else ()


def declare_state(node: tree.StateDecl, frame: Frame) -> None:
    from attndsl.elaborate import states  # most models have none

    states.declare(node, frame)


def write_state(node: tree.StateWrite, frame: Frame) -> None:
    from attndsl.elaborate import states

    states.write(node, frame)
