"""A repeat over a list, or one that is unrolled: its body is elaborated once for each element, one after the other, so
that what it carries may change its sizes, and sizes may depend on the counter and the element. It is no node of the
graph; the addresses in it count on, `stage.0.…`, `stage.1.…`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attndsl import ops
from attndsl.diagnostics import Label, error
from attndsl.elaborate.bodies import first_value, stacked
from attndsl.elaborate.cases import decided
from attndsl.elaborate.frames import Binding, Frame, Poison, Poisoned
from attndsl.elaborate.sizes_and_axes import size_of
from attndsl.elaborate.statements import assigned_names
from attndsl.elaborate.tensors import emit
from attndsl.elaborate.values import CompileTimeValue, Evaluated, Place, as_list, describe, one_or_several
from attndsl.graph import Axis, ScopeInfo, Value
from attndsl.sizes import Size
from attndsl.syntax import tree
from attndsl.values import Number


def unrolled(node: tree.Repeat, given: CompileTimeValue, frame: Frame) -> CompileTimeValue:
    """Run the body of `node` for each element of the list `given`, or so many times as the number `given` says."""
    count, elements = _elements(node, given, frame)
    place = frame.loop(node.name)
    around = frame.child("repeat", place)
    for item in node.carried:
        first = first_value(item, frame)
        around.bind(item.name.text, first.value, first.span)
    emitted: list[tuple[Value, ...]] = []
    with frame.elaborator.budget.unrolling(node.name.text, count):
        for i, element in enumerate(elements):
            emitted.append(_round(node, i, element, place, around, frame))
    if count == 0 and any(isinstance(statement, tree.Emit) for statement in node.body):
        raise error(
            "E0113",
            f"nothing is emitted: the body of `{node.name.text}` is written out 0 times, and its result has no type",
            node.span,
            help="put an `if` around it, or hand a value on under a name that is made outside",
        )
    own = [item.name.text for item in node.carried]
    for name in _carried(node, frame):
        value = around.names[name].value if name in around.names else None
        if name not in own and value is not None:
            frame.bind(name, value, around.names[name].span)
            if isinstance(value, Value):
                frame.name(value, frame.address(name))
    if emitted and emitted[0]:
        return one_or_several([_stack(node, parts, frame) for parts in zip(*_alike(node, emitted), strict=True)])
    names = own or [name for name in _carried(node, frame) if isinstance(_of(name, frame), Value)]
    return one_or_several([_of(name, around) for name in names])


def _elements(node: tree.Repeat, given: CompileTimeValue, frame: Frame) -> tuple[int, Iterable[CompileTimeValue]]:
    """How many rounds there are, and what each is for: a number may be too large to count to."""
    listed = as_list(given)
    if listed is not None:
        return len(listed.values), listed.values
    if node.element is not None:
        raise error(
            "E0104",
            f"only a list has elements, but this is {describe(given)}",
            node.count.span,
            other=Label(node.element.span, "the element"),
            help=f"give one name, the index: `repeat {node.name.text} in …`",
        )
    if isinstance(given, Number):
        given = Number(decided(given).value, given.size, given.axis, None, given.is_bool)
    count = size_of(given, node.count.span, frame, smallest=0)
    times = count.known(frame.elaborator.sizes)
    if times is None:
        raise error("E0404", f"`{count}` is not known at compile time", node.count.span)
    return times, map(Number.of, range(times))


def _carried(node: tree.Repeat, frame: Frame) -> list[str]:
    """The names of what was made around the body, and that it assigns to."""
    names = dict.fromkeys(name.text for statement in node.body for name in assigned_names(statement))
    return [name for name in names if frame.lookup(name) is not None]


def _round(
    node: tree.Repeat, i: int, element: CompileTimeValue, place: Place, around: Frame, frame: Frame
) -> tuple[Value, ...]:
    """Run the body for one element, and bind in `around` what it hands on to the next; gives what it emits."""
    elaborator = frame.elaborator
    frame.spend(5, node.span)
    here = place.inside(str(i))
    elaborator.scopes[here.path] = ScopeInfo(here.path, "scope", node.span, True)
    inner = around.child("repeat", here)
    if node.element is not None:
        inner.bind(node.name.text, Number.of(i), node.name.span)
        inner.bind(node.element.text, element, node.element.span)
    else:
        inner.bind(node.name.text, element, node.name.span)
    problems = len(elaborator.problems)
    inner.execute(node.body)
    if len(elaborator.problems) > problems:
        raise Poisoned
    for name in (*(item.name.text for item in node.carried), *_carried(node, frame)):
        binding = inner.names.get(name)
        if binding is not None:
            if isinstance(binding.value, Poison):
                raise Poisoned
            around.bind(name, binding.value, binding.span)
    return inner.emitted or ()


def _of(name: str, frame: Frame) -> CompileTimeValue:
    binding: Binding | None = frame.lookup(name)
    assert binding is not None
    if isinstance(binding.value, Poison):
        raise Poisoned
    return binding.value


def _alike(node: tree.Repeat, emitted: Sequence[tuple[Value, ...]]) -> Sequence[tuple[Value, ...]]:
    """What the rounds emit; E0207 where that is of several types."""
    for i, values in enumerate(emitted):
        types, first = [str(value.type) for value in values], [str(value.type) for value in emitted[0]]
        if types != first:
            told = [
                f"`{node.name.text}.{at}` emits {', '.join(each) or 'nothing'}" for at, each in ((0, first), (i, types))
            ]
            raise error(
                "E0207",
                f"{' and '.join(told)}: what is emitted is stacked, and has one type",
                node.span,
                help="emit it in one form, or hand it on under a name that is made outside",
            )
    return emitted


def _stack(node: tree.Repeat, parts: Sequence[Value], frame: Frame) -> Value:
    """What the rounds emit, one behind the other along an axis that is called as the counter is, and stands where that
    of a repeat does."""
    axis, one = Axis(node.name.text, Size.of(len(parts))), Axis("1", Size.of(1))
    (whole,) = stacked(parts[:1], axis, node)
    order = tuple(one if each == axis else each for each in whole.axes)
    rows = [emit(frame, ops.Broadcast(order), node.span, Evaluated(part, node.span)) for part in parts]
    joined = ops.Concat((one,) * len(rows), axis)
    return emit(frame, joined, node.span, *(Evaluated(row, node.span) for row in rows))
