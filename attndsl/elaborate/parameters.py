"""A model's parameters: declared one by one where the author wrote them, and put together when all is elaborated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from attndsl import ops
from attndsl.addresses import Box, intersection, united, without
from attndsl.diagnostics import Label, Span, error
from attndsl.elaborate.elaboration import PendingParameter
from attndsl.elaborate.frames import Frame
from attndsl.elaborate.tensors import stamp
from attndsl.elaborate.values import LayerChoice
from attndsl.graph import Initializer, ParameterInfo, Type
from attndsl.records import dataclass
from attndsl.syntax import tree
from attndsl.values import IndexVariable


def declare(frame: Frame, name: tree.Identifier, type_: Type, initializer: Initializer, span: Span) -> None:
    """Declare `name` at this frame's place and bind it. The same place again is the same parameter, shared. Where the
    place is chosen among several, the parameter has an axis for them, and the name is what the choice takes."""
    place = frame.label(name.text, name.span, callable=False)
    whole, stacks = _for_each(place.choices, type_, span), tuple(choice.depth for choice in place.choices)
    new = PendingParameter(place.path, whole, initializer, place.loops, span, frame.site, stacks=stacks)
    note(new, frame.elaborator.parameters)
    stamp(frame, span)
    value = frame.name(frame.builder.emit(ops.Parameter(place.path, whole)), place.path)
    if place.choices:
        from attndsl.elaborate.choosing import chosen  # most models have none

        value = chosen(value, frame, span)
    frame.bind(name.text, value, name.span)


def _for_each(choices: Sequence[LayerChoice], type_: Type, span: Span) -> Type:
    """The type of a parameter with an axis for each choice. Raises E0205 where it has an axis of that name."""
    for choice in reversed(choices):
        if any(axis.name == choice.axis.name for axis in type_.axes):
            raise error(
                "E0205",
                f"the parameter is {type_}, and one is chosen along `{choice.axis.name}`",
                span,
                other=Label(choice.span, "chosen here"),
                help=f"give what is chosen along a name of its own: `over=[expert={choice.axis.size}]`",
            )
        type_ = Type(type_.dtype, (choice.axis, *type_.axes))
    return type_


def _agree(first: PendingParameter, again: PendingParameter) -> None:
    """Two declarations of one address, in a round that both have, are of one parameter."""
    help = "a layer is shared between tensors of the same axes only"
    if first.span != again.span:
        raise error(
            "E0107",
            f"the {first.what} `{first.address}` is declared twice",
            again.span,
            other=Label(first.span, "first here"),
        )
    if first.type != again.type:
        message = f"the shared {first.what} `{first.address}` would be {again.type}, but it is {first.type}"
    elif first.initializer != again.initializer:
        message = (
            f"the shared {first.what} `{first.address}` would start from {again.initializer}, but it starts from "
            f"{first.initializer}"
        )
    else:
        return
    place = again.site or again.span
    raise error("E0206", message, place, other=Label(first.site or first.span, "made here"), help=help)


# ---------------------------------------------------------------- all of them


def declared_parameters(
    parameters: Iterable[dict[tuple[IndexVariable, ...], PendingParameter]],
) -> Iterator[ParameterInfo]:
    """The parameters in the order in which they were declared, those of one address by what they have in common."""
    for p, box in in_boxes(parameters):
        yield ParameterInfo(p.address, p.type, p.initializer, box, p.span, p.stacks)


def in_boxes(
    declared: Iterable[dict[tuple[IndexVariable, ...], PendingParameter]],
) -> Iterator[tuple[PendingParameter, Box]]:
    """What is declared, once for each box of rounds in which it has one type and initial value."""
    for known in declared:
        yield from _of_one_address(list(known.values()))


def note(new: PendingParameter, declared: dict[str, dict[tuple[IndexVariable, ...], PendingParameter]]) -> None:
    """Note a declaration among those that there are. The same address again, in the same rounds, must be the same."""
    _agree(declared.setdefault(new.address, {}).setdefault(new.loops, new), new)


@dataclass(eq=False, slots=True)
class _Alike:
    """What is declared at one address with one type and initial value, and in which rounds; these have none in
    common."""

    first: PendingParameter
    boxes: list[Box]


def _of_one_address(known: Sequence[PendingParameter]) -> Iterator[tuple[PendingParameter, Box]]:
    groups: dict[tuple[Type, Initializer], _Alike] = {}
    shared = _declared_again(known)
    seen: dict[Box, PendingParameter] = {}
    for p in known:
        box = _box(p)
        if box in seen:  # a layer with a repeat in it, applied again
            _agree(seen[box], p)
            continue
        seen[box] = p
        new = [box]
        for group in groups.values() if shared else ():
            for other in group.boxes:
                if all(intersection(box, other)):
                    _agree(group.first, p)
                    new = [part for piece in new for part in without(piece, other)]
        groups.setdefault((p.type, p.initializer), _Alike(p, [])).boxes.extend(new)
    for group in groups.values():
        p = group.first
        for box in united(group.boxes):
            yield p, box


def _box(p: PendingParameter) -> Box:
    found = []
    for variable in p.loops:
        assert variable.rounds is not None
        found.append(variable.rounds)
    return tuple(found)


def _declared_again(known: Sequence[PendingParameter]) -> bool:
    """Whether one round may have several of these declarations. The cases of a repeat exclude each other; those of a
    repeat that was entered twice, in a layer that is applied twice, do not."""
    entries: dict[tuple[IndexVariable, ...], object] = {}
    for p in known:
        for at, variable in enumerate(p.loops):
            if entries.setdefault(p.loops[:at], variable.entry) is not variable.entry:
                return True
    return False
