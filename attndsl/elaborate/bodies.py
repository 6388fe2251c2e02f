"""Scopes, repeats and scans: statements or expressions with a body of their own."""

from __future__ import annotations

from collections.abc import Sequence

from attndsl import ops
from attndsl.addresses import Indices
from attndsl.diagnostics import Label, Span, error
from attndsl.elaborate.cases import Tables, split_rounds
from attndsl.elaborate.equalities import settled, unsettled
from attndsl.elaborate.frames import Frame, Poison, Poisoned
from attndsl.elaborate.sizes_and_axes import axes_text, axis_of, size_of, type_of
from attndsl.elaborate.statements import assigned_names
from attndsl.elaborate.tensors import arrange, as_precise, emit, lift
from attndsl.elaborate.values import (
    CompileTimeValue,
    Evaluated,
    Several,
    as_list,
    describe,
    has_tensors,
    one_or_several,
)
from attndsl.graph import INT, Axis, Region, ScopeInfo, Type, Value
from attndsl.graph.builder import Builder
from attndsl.ops.control import stacked_at
from attndsl.records import Frozen, replace
from attndsl.syntax import tree
from attndsl.types import FLOATS
from attndsl.values import Formula, IndexVariable, List, Number

MAX_REPEATS = 10**15


def scope(node: tree.Scope, frame: Frame) -> CompileTimeValue:
    place = frame.label(node.name.text, node.name.span)
    frame.elaborator.scopes[place.path] = ScopeInfo(place.path, "scope", node.span, True)
    inner = frame.child("scope", place)
    problems = len(frame.elaborator.problems)
    inner.execute(node.body)
    for name in [n for s in node.body for n in assigned_names(s)]:
        outer = frame.lookup(name.text)
        if outer is not None and isinstance(outer.value, Value) and name.text in inner.names:
            frame.bind(name.text, inner.names[name.text].value, name.span)
    if inner.returned is None:
        if len(frame.elaborator.problems) > problems:
            raise Poisoned
        return Several(())
    for value in inner.returned.values:
        if isinstance(value, Value):
            frame.name(value, place.path)
    return one_or_several(inner.returned.values)


# ---------------------------------------------------------------- what repeat and scan share


def first_value(item: tree.Carried, frame: Frame) -> Evaluated:
    """What a name after `with` begins with, as its type says. Without a type it may be a list of tensors."""
    given = frame.evaluated(item.value)
    if item.type is None and isinstance(given.value, List) and has_tensors(given.value):
        return given
    value = lift(given, frame)
    assert isinstance(value.value, Value)
    if item.type is not None:
        wanted = type_of(item.type, frame, (value.value.type,))
        value = as_precise(value, wanted, frame, item.span)
        assert isinstance(value.value, Value)
        if set(wanted.axes) != set(value.value.type.axes) or wanted.dtype != value.value.type.dtype:
            if not set(value.value.type.axes) <= set(wanted.axes) or wanted.dtype != value.value.type.dtype:
                raise error(
                    "E0208",
                    f"this is {value.value.type}, but {wanted} is written",
                    item.value.span,
                    other=Label(item.type.span, "written here"),
                    help=_as_wanted(item.value, value.value.type, wanted),
                )
            value = Evaluated(emit(frame, ops.Broadcast(wanted.axes), item.span, value), item.value.span)
        else:
            value = Evaluated(arrange(value.tensor, wanted.axes, frame, item.span), item.value.span)
    return value


def _carried(node: tree.Repeat | tree.Scan, frame: Frame) -> list[tuple[str, Evaluated]]:
    """What the body carries from one round to the next: what stands after `with`, and every tensor made outside that
    the body assigns to."""
    found: dict[str, Evaluated] = {}
    for item in node.carried:
        found[item.name.text] = first_value(item, frame)
    for statement in node.body:
        for name in assigned_names(statement):
            binding = frame.lookup(name.text)
            if binding is None or name.text in found:
                continue
            if isinstance(binding.value, Poison):
                raise Poisoned
            if has_tensors(binding.value):
                given = settled(binding.value, frame, binding.span) if frame.equal else binding.value
                found[name.text] = Evaluated(given, binding.span)
            elif isinstance(binding.value, List) or (isinstance(binding.value, Number) and binding.value.axis is None):
                what, ways = ("list", ()) if isinstance(binding.value, List) else ("number", (_INSIDE,))
                unrolled = (_UNROLLED,) if isinstance(node, tree.Repeat) else ()
                raise error(
                    "E0207",
                    f"`{name.text}` is a compile-time {what}; a body cannot change it from one iteration to the next",
                    name.span,
                    other=Label(binding.span, "made here"),
                    help=(*ways, *unrolled),
                )
    return list(found.items())


_KEEPS = "what `{}` carries keeps its type from one iteration to the next"
_INSIDE = "give the number made inside another name, or make it a tensor with `float(…)`"
_UNROLLED = "an `unrolled repeat` may change it: its body is written out for each iteration"


def _as_wanted(node: tree.Expr, have: Type, wanted: Type) -> str | tuple[str, ...]:
    """How an initial value becomes what is written, where only its dtype is another."""
    if have.dtype == wanted.dtype:
        return ()
    if isinstance(node, tree.Number) and wanted.dtype in FLOATS:
        return f"write `{node.span.text}.0`"
    return f"convert it: `{wanted.dtype}({node.span.text})`"


def _bind_carried(inner: Frame, carried: Sequence[tuple[str, Evaluated]]) -> list[Value]:
    values: list[Value] = []
    for name, given in carried:
        address, is_list = inner.address(name), isinstance(given.value, List)
        made = [
            inner.builder.parameter(Value(each.type, (f"{address}.{i}" if is_list else address,)))
            for i, each in enumerate(given.each)
        ]
        inner.bind(name, List.of(tuple(made)) if is_list else made[0], given.span)
        values += made
    return values


def _finish_carried(
    inner: Frame, carried: Sequence[tuple[str, Evaluated]], node: tree.Repeat | tree.Scan
) -> list[Value]:
    """The carried values at the end of the body; each must have kept its type, and a list its length."""
    results: list[Value] = []
    for name, given in carried:
        binding = inner.names[name]
        if isinstance(binding.value, Poison):
            raise Poisoned
        if not isinstance(given.value, List):
            results.append(_kept(name, given.type, Evaluated(binding.value, binding.span), given, inner, node))
            continue
        after = as_list(binding.value)
        if after is None or len(after.values) != len(given.value.values):
            now = f"{len(after.values)} of them" if after is not None else describe(binding.value)
            raise error(
                "E0207",
                f"`{name}` is a list of {len(given.value.values)} tensors before the body and {now} after it",
                binding.span,
                other=Label(given.span, "made here"),
                help=f"a list that `{node.name.text}` carries keeps its length from one iteration to the next",
            )
        for i, (value, each) in enumerate(zip(after.values, given.each, strict=True)):
            results.append(_kept(f"{name}[{i}]", each.type, Evaluated(value, binding.span), given, inner, node))
    return results


def _kept(
    name: str, start: Type, after: Evaluated, given: Evaluated, inner: Frame, node: tree.Repeat | tree.Scan
) -> Value:
    """A carried value as it is `after` the body, with the axes that it has at the `start`. Raises E0207 where it has
    another type."""
    value = lift(after, inner).value if isinstance(after.value, Number) else after.value
    if isinstance(value, Value) and inner.equal:
        value = unsettled(value, start.axes, inner, after.span)
    if not isinstance(value, Value) or value.type.dtype != start.dtype or set(value.type.axes) != set(start.axes):
        now = str(value.type) if isinstance(value, Value) else "no tensor"
        raise error(
            "E0207",
            f"`{name}` is {start} before the body and {now} after it",
            after.span,
            now,
            other=Label(given.span, str(start)),
            help=(_KEEPS.format(node.name.text), *_way_out(node, value)),
        )
    return arrange(value, start.axes, inner, after.span)


def _way_out(node: tree.Repeat | tree.Scan, value: object) -> tuple[str, ...]:
    """The way out where what a repeat carries changes its sizes."""
    if not isinstance(node, tree.Repeat) or not isinstance(value, Value):
        return ()
    return (f"where each iteration has sizes of its own, write `unrolled repeat {node.name.text} in …`",)


def stacked(emitted: Sequence[Value], axis: Axis, node: tree.Repeat | tree.Scan) -> list[Type]:
    """The types of what is emitted, stacked. Raises E0205 where something has an axis of that name."""
    types = []
    for value in emitted:
        axes = value.type.axes
        if any(a.name == axis.name for a in axes):
            raise error(
                "E0205",
                f"what is emitted already has the axis `{axis.name}`: {axes_text(axes)}",
                node.span,
                help="rename it in the body",
            )
        place = stacked_at(value.type)
        types.append(Type(value.type.dtype, (*axes[:place], axis, *axes[place:])))
    return types


class LoopBody(Frozen):
    """The body of a loop, elaborated: what it is given, what it gives back, and the types of what it emits, stacked."""

    builder: Builder
    parameters: tuple[Value, ...]
    results: tuple[Value, ...]
    emitted: list[Type]

    def region(self, further: Sequence[Value] = ()) -> Region:
        return self.builder.region(self.parameters, (*self.results, *further))


def _body(
    node: tree.Repeat | tree.Scan, inner: Frame, index: Value, carried: Sequence[tuple[str, Evaluated]], axis: Axis
) -> LoopBody:
    """Elaborate the body in the frame `inner`."""
    parameters = _bind_carried(inner, carried)
    problems = len(inner.elaborator.problems)
    inner.execute(node.body)
    results = _finish_carried(inner, carried, node)
    if len(inner.elaborator.problems) > problems:
        raise Poisoned
    emitted = inner.emitted or ()
    types = stacked(emitted, axis, node)
    return LoopBody(inner.builder, (index, *parameters), (*results, *emitted), types)


def _emit(
    op: ops.Repeat | ops.Scan,
    node: tree.Repeat | tree.Scan,
    frame: Frame,
    carried: Sequence[tuple[str, Evaluated]],
    bodies: Sequence[Region],
    emitted: Sequence[Type],
) -> tuple[Value, ...]:
    """The node of a loop: what it carries at the end, then what it emits."""
    frame.builder.scope, frame.builder.span, frame.builder.site = op.path, node.span, frame.at(node.span)
    inputs = tuple(each.tensor for _, given in carried for each in given.each)
    return frame.builder.emit_regions(op, inputs, tuple(bodies), (*(i.type for i in inputs), *emitted))


def _count(carried: Sequence[tuple[str, Evaluated]]) -> int:
    """How many tensors are carried, those in lists counted."""
    return sum(len(given.each) for _, given in carried)


def _finish(
    node: tree.Repeat | tree.Scan, frame: Frame, carried: Sequence[tuple[str, Evaluated]], outputs: Sequence[Value]
) -> CompileTimeValue:
    """Bind the final carried values outside and give the expression's value."""
    own = {c.name.text for c in node.carried}
    emitted = outputs[_count(carried) :]
    finals: list[CompileTimeValue] = []
    for _, given in carried:
        at = _count(carried[: len(finals)])
        values = outputs[at : at + len(given.each)]
        finals.append(List.of(tuple(values)) if isinstance(given.value, List) else values[0])
    for (name, given), value in zip(carried, finals, strict=True):
        if name not in own:
            if isinstance(value, Value):
                frame.name(value, frame.address(name))
            frame.bind(name, value, given.span)
    mine = [value for (name, _), value in zip(carried, finals, strict=True) if name in own]
    return one_or_several(emitted or mine or finals)


# ---------------------------------------------------------------- repeat


def repeat(node: tree.Repeat, frame: Frame) -> CompileTimeValue:
    elaborator = frame.elaborator
    if isinstance(node.count, tree.Call) and node.count.callee.span.text == "range":
        inside = ", ".join(argument.value.span.text for argument in node.count.arguments)
        help = f"write `repeat {node.name.text} in {inside}`"
        raise error("E0404", "a repeat takes a number, not a range", node.count.span, help=help)
    given = frame.evaluate(node.count)
    if node.unrolled or node.element is not None or as_list(given) is not None:
        from attndsl.elaborate.unrolled import unrolled  # most models have none

        return unrolled(node, given, frame)
    count = size_of(given, node.count.span, frame, smallest=0)
    times = count.known(elaborator.sizes)
    if times is None:
        raise error(
            "E0404",
            f"`{count}` is not known at compile time",
            node.count.span,
            help="give the number of iterations by hyperparameters; to iterate along an axis use `scan t in T`",
        )
    if times > MAX_REPEATS:
        raise error(
            "E0209", f"`{count}` is {times:,}: more than {MAX_REPEATS:,} layers are not supported", node.count.span
        )
    place = frame.loop(node.name)
    path = place.path
    elaborator.scopes[path] = ScopeInfo(path, "repeat", node.span, True)
    elaborator.declare_loop(place, count, frame.at(node.count.span))
    carried = _carried(node, frame)
    remaining: Indices = range(times)
    bodies: list[LoopBody] = []
    groups: list[Indices] = []
    axis, entry, tables = Axis.of(count), object(), Tables()
    while True:
        frame.spend(5, node.span)
        builder = Builder(outer=frame.builder)
        index = builder.parameter(Value(Type(INT), (f"{path}.*.{node.name.text}",)))
        variable = IndexVariable(node.name.text, index, remaining[0] if len(remaining) else 0, entry)
        inner = frame.child("repeat", place.in_loop(variable), builder)
        number = Number(variable.representative, None, None, Formula("index", variable=variable))
        inner.bind(node.name.text, number, node.name.span)
        bodies.append(_body(node, inner, index, carried, axis))
        if bodies[-1].emitted != bodies[0].emitted:
            raise error("E0207", "the cases of this body emit different types", node.span)
        variable.rounds, remaining = split_rounds(variable, remaining, tables, elaborator.budget, node.count.span)
        groups.append(variable.rounds)
        if not len(remaining):
            break
    cases = None
    if len(bodies) > 1:
        which = {i: case for case, group in enumerate(groups) for i in group}
        cases = tuple(which[i] for i in range(times))
    emitted, axes = bodies[0].emitted, (axis,) * len(bodies[0].emitted)
    if not elaborator.states:
        op = ops.Repeat(path, count, cases, _count(carried), axes)
        return _finish(node, frame, carried, _emit(op, node, frame, carried, [b.region() for b in bodies], emitted))
    return _finish(
        node,
        frame,
        carried,
        _keeping(ops.Repeat(path, count, cases, _count(carried), axes), node, frame, carried, bodies),
    )


def _keeping(
    op: ops.Repeat,
    node: tree.Repeat,
    frame: Frame,
    carried: Sequence[tuple[str, Evaluated]],
    bodies: Sequence[LoopBody],
) -> tuple[Value, ...]:
    """The outputs of a repeat whose bodies may write states: each leaves as one more stack."""
    from attndsl.elaborate import states  # most models have none

    written = states.written_in(frame.elaborator, [body.builder for body in bodies])
    around = [variable.value for variable in frame.place.loops]
    regions = [
        body.region(states.leaving(frame.elaborator, written, body.builder, [*around, body.parameters[0]]))
        for body in bodies
    ]
    axis = Axis(f"{op.path}.*", op.count)
    last = regions[0].results[len(regions[0].results) - len(written) :]
    types = [*bodies[0].emitted, *stacked(last, axis, node)]
    op = replace(op, stacked=(*op.stacked, *(axis for _ in written)))
    outputs = _emit(op, node, frame, carried, regions, types)
    own = len(outputs) - len(written)
    states.arrived(frame.elaborator, written, outputs[own:], frame, frame.at(node.name.span))
    return outputs[:own]


# ---------------------------------------------------------------- scan


def scan(node: tree.Scan, frame: Frame) -> CompileTimeValue:
    axis = axis_of(node.axis, frame)
    place = frame.loop(node.name)
    path = place.path
    frame.elaborator.scopes[path] = ScopeInfo(path, "scan", node.span, True)
    carried = _carried(node, frame)
    builder = Builder(outer=frame.builder)
    index = builder.parameter(Value(Type(INT), (f"{path}.{node.name.text}",)))
    inner = frame.child("scan", place, builder)
    inner.bind(node.name.text, index, node.name.span)
    frame.elaborator.scans.add(builder)
    body = _body(node, inner, index, carried, axis)
    region, types = body.region(), body.emitted
    op = ops.Scan(path, axis, _count(carried), False, (axis,) * len(types))
    outputs = _emit(op, node, frame, carried, (region,), types)
    before = _before(axis, index, region)
    count = _count(carried)
    placed = [_placed(value, axis, before, frame, node.span) for value in outputs[count:]]
    return _finish(node, frame, carried, (*outputs[:count], *placed))


def _before(axis: Axis, index: Value, region: Region) -> tuple[Axis, ...] | None:
    """What stands before `axis` in the first tensor that the body takes a step's part of."""
    for made in region.nodes:
        if isinstance(made.op, ops.Take) and made.op.over == axis and made.inputs[1] is index:
            axes = made.inputs[0].type.axes
            return axes[: axes.index(axis)]
    return None


def _placed(value: Value, axis: Axis, before: tuple[Axis, ...] | None, frame: Frame, span: Span) -> Value:
    """What a scan emits with its axis where the sliced one stood: behind those that stood before that."""
    rest = [a for a in value.type.axes if a != axis]
    if before is None:
        return value
    place = max((rest.index(a) + 1 for a in before if a in rest), default=0)
    return arrange(value, (*rest[:place], axis, *rest[place:]), frame, span)
