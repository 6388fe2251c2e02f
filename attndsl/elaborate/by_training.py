"""`if training { … } else { … }`: both branches elaborated, one after the other, and what they give chosen between.

Each branch sees the names as they were before it. A name that both give a tensor becomes one `in_training` node; only
the operand that it takes is ever computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, Union

from attndsl import ops
from attndsl.diagnostics import AttnError, Label, Span, error
from attndsl.elaborate.elaboration import Kept, PendingState
from attndsl.elaborate.frames import Binding, Frame, Poison, Returned
from attndsl.elaborate.tensors import arrange, emit, lift
from attndsl.elaborate.values import (
    CompileTimeValue,
    Evaluated,
    IndexFunctionValue,
    LayerValue,
    Several,
    TrainingCondition,
    describe,
    same,
    shown,
)
from attndsl.graph import BOOL, FLOAT, Type, Value
from attndsl.records import dataclass
from attndsl.syntax import tree
from attndsl.values import Number


def conditional(node: tree.Conditional, when: TrainingCondition, frame: Frame) -> CompileTimeValue:
    """`a if training else b`."""
    pair = _both(node, when, lambda: frame.evaluated(node.then), lambda: frame.evaluated(node.otherwise), frame)
    return _chosen("this", *pair, frame, node.span)


def branches(node: tree.If, when: TrainingCondition, frame: Frame) -> None:
    """The statement `if training { … } else { … }`."""
    for statement in (*node.then, *node.otherwise):
        for part in tree.walk(statement):
            if isinstance(part, (tree.InputDecl, tree.OutputDecl)):
                raise error(
                    "E0119",
                    "inputs and outputs are the same in training and in use",
                    part.span,
                    other=Label(node.condition.span),
                    help="declare it outside, and give it its value by a name that both branches assign",
                )
    _both(node, when, lambda: frame.execute(node.then), lambda: frame.execute(node.otherwise), frame)


Either = Union[tree.If, tree.Conditional]
T = TypeVar("T")


def _both(
    node: Either, when: TrainingCondition, then: Callable[[], T], otherwise: Callable[[], T], frame: Frame
) -> tuple[T, T]:
    """Run both branches from what was before, and bring together what they bind, write, return and emit; what the one
    for training gives, and what the other does."""
    before = _Moment.of(frame)
    first, after_first = then(), _Moment.of(frame)
    # Layers of the first branch are visible in the second, which may apply them again.
    before.names.update({n: b for n, b in after_first.names.items() if isinstance(b.value, LayerValue)})
    before.restore(frame)
    second, after_second = otherwise(), _Moment.of(frame)
    before.names.update({n: b for n, b in after_second.names.items() if isinstance(b.value, LayerValue)})
    before.restore(frame)
    trained, used = (after_first, after_second) if when.holds else (after_second, after_first)
    bound = {**after_second.names, **after_first.names}
    for name in sorted(bound, key=lambda name: bound[name].span.start):
        _bind(name, trained, used, node, frame)
    _write(trained, used, node, frame)
    frame.returned = _returned(trained.returned, used.returned, node, frame)
    frame.emitted = _emitted(trained.emitted, used.emitted, node, frame)
    return (first, second) if when.holds else (second, first)


@dataclass(frozen=True, eq=False)
class _Moment:
    """What a body had bound, returned and emitted at some moment, and what it had written of its states."""

    names: dict[str, Binding]
    states: dict[str, Sequence[Kept]]
    kept: dict[PendingState, tuple[Kept, Value | None, Span | None]]
    returned: Returned | None
    emitted: tuple[Value, ...] | None

    @staticmethod
    def of(frame: Frame) -> _Moment:
        here = frame.elaborator.kept.get(frame.builder, {})
        kept = {state: (found, found.next, found.at) for state, found in here.items()}
        states = dict(frame.states)
        return _Moment(dict(frame.names), states, kept, frame.returned, frame.emitted)

    def restore(self, frame: Frame) -> None:
        frame.rebind(self.names)
        frame.states, frame.returned, frame.emitted = dict(self.states), self.returned, self.emitted
        for found, next, at in self.kept.values():
            found.next, found.at = next, at
        frame.elaborator.kept[frame.builder] = {state: found for state, (found, _, _) in self.kept.items()}


def _bind(name: str, trained: _Moment, used: _Moment, node: Either, frame: Frame) -> None:
    """Bind `name` to what the branches made of it. One that only one of them knows is not known behind them."""
    outer = frame.lookup(name)
    first, second = trained.names.get(name, outer), used.names.get(name, outer)
    if first is None or second is None or (first is second and first is frame.names.get(name)):
        return
    if isinstance(first.value, Poison) or isinstance(second.value, Poison):
        frame.poison(name, node.span)
        return
    pair = Evaluated(first.value, first.span), Evaluated(second.value, second.span)
    value = _chosen(f"`{name}`", *pair, frame, node.span)
    if isinstance(value, Value) and value not in (first.value, second.value):
        frame.name(value, frame.address(name))
    frame.bind(name, value, first.span)


def _write(trained: _Moment, used: _Moment, node: Either, frame: Frame) -> None:
    """Let states be what the branch of the moment has written; one that it has not written stays."""
    here = frame.elaborator.kept.setdefault(frame.builder, {})
    for state, (found, _, _) in {**used.kept, **trained.kept}.items():
        _, first, at = trained.kept.get(state, (found, None, None))
        _, second, other = used.kept.get(state, (found, None, None))
        here.setdefault(state, found)
        if first is second:
            found.next, found.at = first, at
            continue
        pair = (Evaluated(found.read if value is None else value, node.span) for value in (first, second))
        found.next, found.at = emit(frame, ops.InTraining(), node.span, *pair), at or other
        here[state] = found


def _returned(trained: Returned | None, used: Returned | None, node: Either, frame: Frame) -> Returned | None:
    if trained is None or used is None:
        if trained is not used:
            found = trained or used
            assert found is not None
            raise _alone("return", found.span, node)
        return None
    pairs = _paired("`return`", trained.values, trained.span, used.values, used.span)
    return Returned(tuple(_chosen("what is returned", *pair, frame, node.span) for pair in pairs), trained.span)


def _emitted(
    trained: tuple[Value, ...] | None, used: tuple[Value, ...] | None, node: Either, frame: Frame
) -> tuple[Value, ...] | None:
    if trained is None or used is None:
        if trained is not used:
            raise _alone("emit", node.span, node)
        return None
    if trained is used:
        return trained
    pairs = _paired("`emit`", trained, node.span, used, node.span)
    return tuple(_as_tensor(_chosen("what is emitted", *pair, frame, node.span)) for pair in pairs)


def _as_tensor(value: CompileTimeValue) -> Value:
    assert isinstance(value, Value)
    return value


def _alone(word: str, at: Span, node: Either) -> AttnError:
    return error(
        "E0119",
        f"only one branch has `{word}`",
        at,
        other=Label(node.condition.span),
        help=f"assign a name in both branches, and write `{word}` behind them",
    )


def _paired(
    what: str, trained: Sequence[CompileTimeValue], first: Span, used: Sequence[CompileTimeValue], second: Span
) -> Iterator[tuple[Evaluated, Evaluated]]:
    if len(trained) != len(used):
        message = f"{what} gives {len(trained)} results in training, and {len(used)} otherwise"
        raise error("E0119", message, first, other=Label(second))
    return ((Evaluated(a, first), Evaluated(b, second)) for a, b in zip(trained, used, strict=True))


# ---------------------------------------------------------------- one of two values


def _chosen(what: str, trained: Evaluated, used: Evaluated, frame: Frame, span: Span) -> CompileTimeValue:
    """The value of the branch that is taken. E0119 where they are not of one type, or no tensors."""
    a, b = trained.value, used.value
    if isinstance(a, Several) and isinstance(b, Several):
        pairs = _paired(what, a.values, trained.span, b.values, used.span)
        return Several(tuple(_chosen(what, *pair, frame, span) for pair in pairs))
    if a is b or same(a, b) or (isinstance(a, Number) and isinstance(b, Number) and a == b):
        return a
    if not isinstance(a, (Value, Number)) or not isinstance(b, (Value, Number)):
        raise error(
            "E0119",
            f"{what} is {' in training, and '.join(map(_by_name, (a, b)))} otherwise",
            trained.span,
            other=() if trained.span == used.span else Label(used.span),
            help="only tensors can differ: apply it in each branch, as in `relu(x) if training else gelu(x)`",
        )
    return _of_tensors(what, lift(trained, frame), lift(used, frame), frame, span)


def _by_name(value: CompileTimeValue) -> str:
    return f"the {value.kind} `{shown(value)}`" if isinstance(value, IndexFunctionValue) else describe(value)


def _of_tensors(what: str, trained: Evaluated, used: Evaluated, frame: Frame, span: Span) -> Value:
    dtypes = {trained.type.dtype, used.type.dtype}
    wide, narrow = sorted((trained.type.axes, used.type.axes), key=len, reverse=True)
    foreign = tuple(axis for axis in narrow if axis not in wide)
    fits = frame.licensed or not narrow or set(narrow) == set(wide)
    if not fits or (BOOL in dtypes and len(dtypes) > 1):
        raise error(
            "E0119",
            f"{what} is {trained.type} in training, and {used.type} otherwise",
            trained.span,
            str(trained.type),
            other=() if trained.span == used.span else Label(used.span, str(used.type)),
            help="give it one type in both branches",
        )
    wanted = Type(dtypes.pop() if len(dtypes) == 1 else FLOAT, (*wide, *foreign))
    operands = (Evaluated(_brought(each, wanted, frame, span), each.span) for each in (trained, used))
    return emit(frame, ops.InTraining(), span, *operands)


def _brought(given: Evaluated, wanted: Type, frame: Frame, span: Span) -> Value:
    """The tensor as `wanted`, which has all its axes."""
    if given.type.dtype != wanted.dtype:
        given = Evaluated(emit(frame, ops.Cast(wanted.dtype), span, given), given.span)
    if len(given.type.axes) < len(wanted.axes):
        return emit(frame, ops.Broadcast(wanted.axes), span, given)
    return arrange(given.tensor, wanted.axes, frame, span)
