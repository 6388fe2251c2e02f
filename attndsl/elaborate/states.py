"""States: what a model keeps from one call to the next.

A graph has no effects. All layers of a state come in as one optional input, stacked, whose default is its initial
value, and go out as one output. A read in a repeat takes its own layer out of it; what is written there leaves each
body as one more emission, which the repeat stacks.
"""

from __future__ import annotations

from collections.abc import Sequence

from attndsl import ops
from attndsl.addresses import loops_of
from attndsl.diagnostics import Label, Span, error
from attndsl.elaborate.elaboration import Elaboration, Kept, PendingParameter, PendingState
from attndsl.elaborate.equalities import unsettled
from attndsl.elaborate.expressions import unknown
from attndsl.elaborate.frames import Frame, Poison, Poisoned
from attndsl.elaborate.initial import state_value
from attndsl.elaborate.parameters import in_boxes, note
from attndsl.elaborate.sizes_and_axes import type_of
from attndsl.elaborate.tensors import as_written, lift, mismatch, stamp
from attndsl.elaborate.values import Evaluated, Place, describe, has_tensors
from attndsl.graph import Axis, Initializer, InputInfo, OutputInfo, StateInfo, Type, Value
from attndsl.graph.builder import Builder
from attndsl.graph.initial import kept_value
from attndsl.ops import Mismatch
from attndsl.ops.control import stacked_at
from attndsl.syntax import tree
from attndsl.values import List

WHERE = "a state stands in a model, a block, a scope or a repeat; a scan carries values from step to step itself"


def declare(node: tree.StateDecl, frame: Frame) -> None:
    """`state memory: [B, M, width] = zeros`: bind the name to the value at entry, that of this layer in a repeat.
    Without a type it begins with a tensor, or with a list of tensors: a state for each."""
    place = frame.label(node.name.text, node.name.span, callable=False)
    _check_place(node, place, frame)
    if node.type is not None:
        frame.states[node.name.text] = [_declared(node, place, type_of(node.type, frame), None, frame)]
        return
    given = frame.evaluated(node.init)
    if not has_tensors(given.value):
        message = f"a state without a type begins with a tensor or a list of tensors, and not {describe(given.value)}"
        way = f"write its type, as in `state {node.name.text}: [B, width] = zeros`"
        raise error("E0104", message, node.init.span, help=way)
    places = [place.inside(str(i)) for i in range(len(given.each))] if isinstance(given.value, List) else [place]
    kept = [_declared(node, at, each.type, each, frame) for at, each in zip(places, given.each, strict=True)]
    reads = tuple(each.read for each in kept)
    frame.bind(node.name.text, List.of(reads) if isinstance(given.value, List) else reads[0], node.name.span)
    frame.states[node.name.text] = kept


def _declared(node: tree.StateDecl, place: Place, type_: Type, first: Evaluated | None, frame: Frame) -> Kept:
    """One state of a declaration, bound to the name; `first` is what it begins with, where that is a tensor."""
    initializer = state_value(node, type_, frame, first)
    span, elaborator = node.span, frame.elaborator
    new = PendingParameter(place.path, type_, initializer, place.loops, node.name.span, frame.site, "state")
    note(new, elaborator.state_places)
    key = (place.path, type_, initializer)
    if key not in elaborator.states:
        elaborator.states[key] = _taken(node, place, type_, initializer, frame)
    state = elaborator.states[key]
    here = elaborator.kept.setdefault(frame.builder, {})
    if state not in here:
        stamp(frame, span)
        read = _layer(state, [variable.value for variable in place.loops], frame.builder)
        here[state] = Kept(state, frame.name(read, place.path), frame.builder)
    frame.bind(node.name.text, here[state].read, node.name.span)
    return here[state]


def write(node: tree.StateWrite, frame: Frame) -> None:
    """`memory <- …`: what the state is at the next call; of a list of states, a list."""
    states = _find(node.name, frame)
    for kept in states:
        _check_write(kept, node, frame)
    given = frame.licensing().evaluated(node.value)
    values = given.each if len(states) > 1 or isinstance(given.value, List) else (lift(given, frame),)
    if len(values) != len(states):
        counts = f"{len(states)} state{'s' if len(states) != 1 else ''}, and this is {describe(given.value)}"
        raise error("E0113", f"`{node.name.text}` is a list of {counts}", given.span)
    for kept, value in zip(states, values, strict=True):
        tensor, state = value.tensor, kept.state
        if frame.equal:
            tensor = unsettled(tensor, state.type.axes, frame, node.span)
        made = Evaluated(tensor, given.span, given.expression)
        kept.next = as_written(made, state.type, state.span, frame, node.span)
        kept.at = frame.at(node.span)


def _check_write(kept: Kept, node: tree.StateWrite, frame: Frame) -> None:
    """Raises E0115 where a state is written in another body than its own, or again."""
    if kept.builder is not frame.builder:
        raise error(
            "E0115",
            f"`{node.name.text}` is written in every iteration of a loop in which it is not declared",
            node.span,
            other=Label(kept.state.span, "declared here"),
            help="let the loop carry the value, and write the state after it; or declare the state in the body of "
            "the `repeat`: each layer has its own then",
        )
    if kept.next is not None:
        assert kept.at is not None
        again = frame.at(node.span)
        if kept.at == again:
            message = (
                f"`{node.name.text}` is written twice in a call: by iterations, or by a layer that is applied twice"
            )
            raise error("E0115", message, again, help=(_ONCE, "or apply two layers, each with a state of its own"))
        first = Label(kept.at, "first here")
        raise error("E0115", f"`{node.name.text}` is written twice", again, other=first, help=_ONCE)


_ONCE = "a call writes a state once: a read gives the value at entry all along; compute the last value, and write that"


def _find(name: tree.Identifier, frame: Frame) -> Sequence[Kept]:
    at: Frame | None = frame
    while at is not None:
        if name.text in at.states:
            return at.states[name.text]
        at = at.parent
    binding = frame.lookup(name.text)
    if binding is None:
        raise unknown(name.text, name.span, frame)
    if isinstance(binding.value, Poison):
        raise Poisoned
    raise error(
        "E0115",
        f"`{name.text}` is {describe(binding.value)}, and only a state is written with `<-`",
        name.span,
        other=Label(binding.span, "made here"),
        help=f"assign to it with `{name.text} = …`, or declare `state {name.text}: [B, width] = zeros`",
    )


def _check_place(node: tree.StateDecl, place: Place, frame: Frame) -> None:
    """Each loop around must be a repeat that has a part in the address: its layers have states of their own."""
    if frame.kind == "index function":
        raise error("E0115", "a mask or a bias has no state", node.span, help=WHERE)
    if place.choices:
        message = f"`{place.path}` is in a block that is chosen for each element, and so has no state of its own"
        raise error(
            "E0115", message, frame.at(node.span), other=Label(place.choices[0].span, "chosen here"), help=WHERE
        )
    builder, loops = frame.builder, list(place.loops)
    while builder.outer is not None:
        if not loops or loops.pop().value not in builder.parameters:
            layer = builder not in frame.elaborator.scans
            message = "a layer that all iterations share has no state" if layer else "a scan has no state of its own"
            ways = ("make the layer in the body of the `repeat`: each iteration has its own then",) if layer else (
                "declare the state before the `scan`, begin with it (`with h: [B, width] = memory`), and write the "
                "state after it",
            )  # fmt: skip
            at = frame.at(node.span)
            raise error("E0115", message, at, "declared in it", help=(*ways, WHERE))
        builder = builder.outer


def _taken(node: tree.StateDecl, place: Place, type: Type, initializer: Initializer, frame: Frame) -> PendingState:
    """The input that all layers of a state come in by, and what is read of it."""
    elaborator, path = frame.elaborator, place.path
    top = frame.builder
    while top.outer is not None:
        top = top.outer
    loops = [Axis(f"{loop}.*", elaborator.counts[loop, place.loops[:at]]) for at, loop in enumerate(loops_of(path))]
    before = stacked_at(type)
    stacked = Type(type.dtype, (*type.axes[:before], *reversed(loops), *type.axes[before:]))
    if path in elaborator.outputs or (
        path in elaborator.inputs and path not in (s.name for s in elaborator.states.values())
    ):
        what = "output" if path in elaborator.outputs else "input"
        raise error("E0107", f"there is an {what} `{path}` already", node.name.span, help="call one of them otherwise")
    name = path
    while name in elaborator.inputs:  # layers with another type or initial value
        name += "'"
    top.scope = "" if loops else frame.place.path
    top.span, top.site = node.span, frame.at(node.span)
    value = top.parameter(Value(stacked))
    try:
        default = kept_value(initializer, type, stacked, loops, top)
    except Mismatch as problem:
        raise mismatch(problem, node.init.span, ()) from None
    read = top.emit(ops.Given(), value, default)
    text = " ".join(node.init.span.text.split())
    elaborator.inputs[name] = InputInfo(name, value, True, (), None, node.name.span, text)
    return PendingState(name, type, read, tuple(loops), (node.type or node.init).span)


def _layer(state: PendingState, indices: Sequence[Value], builder: Builder) -> Value:
    """What a state is at entry in these iterations of its loops, the outermost first."""
    value = state.value
    for axis, index in zip(state.loops, indices, strict=False):
        value = builder.emit(ops.Take(axis), value, index)
    return value


# ---------------------------------------------------------------- what leaves the bodies of repeats


def written_in(elaborator: Elaboration, builders: Sequence[Builder]) -> list[PendingState]:
    """The states that one of these bodies writes, the cases of a repeat."""
    found = (kept for builder in builders for kept in elaborator.kept.get(builder, {}).values())
    return list(dict.fromkeys(kept.state for kept in found if kept.next is not None))


def leaving(
    elaborator: Elaboration, states: Sequence[PendingState], builder: Builder, indices: Sequence[Value]
) -> list[Value]:
    """What a body gives for each of `states`: what it was where the body does not write it. `indices` are those of the
    loops around."""
    values = []
    for state in states:
        kept = elaborator.kept.get(builder, {}).get(state)
        if kept is None:
            values.append(_layer(state, indices, builder))
        else:
            values.append(kept.read if kept.next is None else kept.next)
    return values


def arrived(
    elaborator: Elaboration, states: Sequence[PendingState], outputs: Sequence[Value], frame: Frame, span: Span
) -> None:
    """Note what a repeat in this frame has made of `states`."""
    here = elaborator.kept.setdefault(frame.builder, {})
    for state, value in zip(states, outputs, strict=True):
        if state in here and here[state].next is not None:
            message = f"the state `{state.name}` is written twice in a call: its layer is applied twice"
            raise error("E0115", message, span, help=(_ONCE, "or apply two layers, each with a state of its own"))
        here[state] = Kept(state, state.value, frame.builder, value, span)


def outputs_of(elaborator: Elaboration, top: Builder) -> list[OutputInfo]:
    """The outputs that states leave a model by."""
    kept = elaborator.kept.get(top, {})
    outputs = []
    for state in elaborator.states.values():
        at = kept.get(state)
        value = state.value if at is None or at.next is None else at.next
        if value.type.axes != state.value.type.axes:  # of numbers, the layers of nested loops lie in another order
            value = top.emit(ops.Transpose(state.value.type.axes), value)
        outputs.append(OutputInfo(state.name, value, frozenset(), None, state.span))
    return outputs


def declared_states(elaborator: Elaboration) -> tuple[StateInfo, ...]:
    """The states in the order in which they were declared, with the layers in which they exist."""
    states = elaborator.states
    return tuple(
        StateInfo(p.address, p.type, states[p.address, p.type, p.initializer].name, box, p.span)
        for p, box in in_boxes(elaborator.state_places.values())
    )


def check_needs(elaborator: Elaboration, outputs: Sequence[OutputInfo]) -> None:
    """Raises E0115 where a state cannot be written because an optional input was left out."""
    names = {state.name: state for state in elaborator.states.values()}
    for info in outputs:
        if info.name in names and info.needs:
            needs = " and ".join(f"`{need}`" for need in sorted(info.needs))
            raise error(
                "E0115",
                f"without {needs} there is no next value of the state `{info.name}`",
                info.span,
                help="compute it from inputs that are always given, or give the optional input a default",
            )
