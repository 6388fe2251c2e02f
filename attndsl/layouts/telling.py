"""A layout in words: where parameters and values lie and why, and what the devices send one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attndsl.diagnostics import Span
from attndsl.graph import ParameterInfo, Value
from attndsl.layouts.emitting import Move
from attndsl.layouts.laid_out import LaidOut
from attndsl.layouts.placements import PARTIAL, WHOLE, Rounds, State
from attndsl.sizes import Size
from attndsl.tables import aligned
from attndsl.types import Axis, Type

Row = tuple[str, ...]
STAGES = ("repeat", "on", "stages", "layers of each", "microbatches", "steps", "of them idle")
PARAMETERS = ("parameter", "lies", "on", "along", "holds", "sends", "why")
NUMBERS = ("times", "bytes", "holds", "sends", *STAGES[2:])


def tell(laid_out: LaidOut) -> str:
    """The layout, then tables: repeats in stages, parameters as they lie between their uses, values that have names,
    collectives. Bytes are those of one device in float32, and formulas of the sizes that inputs bind. Beside each is
    told what another way would have cost, all the rest as it is: of a parameter, every other axis along which it could
    lie; of a value, the way that came second."""
    mesh = laid_out.layout.mesh
    title = f"{laid_out.whole.title} laid out over {mesh}: {mesh.devices} devices"
    rules = [f"  {line.strip()}" for line in str(laid_out.layout).splitlines()[1:-1]]
    tables = [
        *([_table("stages", STAGES, list(_stages(laid_out)))] if laid_out.loops else []),
        _table(
            "parameters, and how else they could lie: bytes of all layers that a device holds, and sends in a step",
            PARAMETERS,
            list(_parameters(laid_out)),
        ),
        _table(
            "values, and what came second: bytes more that a device would send in a step",
            ("value", "lies", "why", "otherwise"),
            list(_values(laid_out)),
        ),
        _table(
            "collectives",
            ("in", "collective", "over", "array on a device", "bytes", "times", "pass", "why", "line"),
            list(_moves(laid_out)),
        ),
    ]
    return "\n".join(["\n".join([title, *rules]) + "\n", *tables])


def _stages(laid_out: LaidOut) -> Iterator[Row]:
    """In the steps in which a device has no microbatch it waits for others (the bubble)."""
    for loop in laid_out.loops:
        numbers = (loop.stages, loop.layers, loop.microbatches, loop.steps)
        yield loop.path, loop.on, *map(str, numbers), f"{loop.stages - 1} ({loop.bubble:.0%})"


def _parameters(laid_out: LaidOut) -> Iterator[Row]:
    """Those of which everything but the name is the same have their rows together. Along each dimension the way that
    was taken is the first."""
    alike: dict[tuple[str, tuple[Row, ...]], list[str]] = {}
    for info in laid_out.whole.parameters:
        lies = laid_out.parameters[info.address, info.type].shown(info.type)
        alike.setdefault((lies, tuple(_ways(laid_out, info))), []).append(info.address)
    for (lies, ways), (first, *others) in alike.items():
        names = [*(f"{name}," for name in (first, *others)[:-1]), (first, *others)[-1]]
        for number in range(max(len(ways), len(names))):
            way = ways[number] if number < len(ways) else ("",) * (len(PARAMETERS) - 2)
            yield names[number] if number < len(names) else "", lies if number == 0 else "", *way


def _ways(laid_out: LaidOut, info: ParameterInfo) -> Iterator[Row]:
    """The columns after the first two."""
    sizes, last = laid_out.whole.sizes, ""
    for way in laid_out.alternatives.of_parameter(info):
        taken, last = way.on != last, way.on
        why = (_by_rule(laid_out, info.address, way.on, way.state) if taken else "",)
        sends = _number(way.sends, sizes) if way.sends is not None else "impossible"
        yield way.on if taken else "", _lies(way.state), _number(way.holds, sizes), sends, *why


def _by_rule(laid_out: LaidOut, address: str, on: str, state: State) -> str:
    if isinstance(state, Rounds):
        rules = (rule for rule in laid_out.layout.rules if rule.dimension == on and state.loop in rule.loops)
        return f"`{next(rules)}`, {state.count} in each stage"
    if isinstance(state, Axis):
        rule = laid_out.rules.get((address, state, on))
        return f"`{rule}`" if rule is not None else f"`parameters on {on}`, its longest axis that can be divided"
    if on == laid_out.layout.parameters:
        return f"`parameters on {on}`, but no axis is left that {laid_out.layout.mesh.size(on)} divides"
    return "no rule divides it"


def _values(laid_out: LaidOut) -> Iterator[Row]:
    parameters = {info.address for info in laid_out.whole.parameters}
    for value, (placement, reason) in laid_out.values.items():
        for name in value.names[-1:] if parameters.isdisjoint(value.names) else ():
            yield name, placement.shown(value.type), reason, _otherwise(laid_out, value)


def _otherwise(laid_out: LaidOut, value: Value) -> str:
    """What came second, and how many bytes more it would have sent, or less if at usual lengths that is so."""
    sizes, worth = laid_out.whole.sizes, laid_out.alternatives.chooser.facts.worth
    said = []
    for on, state, more, against in laid_out.alternatives.of_value(value):
        if worth(more) < 0:
            said.append(
                f"{_lies(state)} on {on}: {_number(-more, sizes)} less" + (f", but {against}" if against else "")
            )
        elif _number(more, sizes) != "0":
            said.append(f"{_lies(state)} on {on}: {_number(more, sizes)} more")
    return "; ".join(said)


def _lies(state: State) -> str:
    if isinstance(state, Rounds):
        return f"layers of {state.loop}"
    return str(state) if isinstance(state, Axis) else _WORDS.get(state, "by owner")


_WORDS: Mapping[State, str] = {WHOLE: "whole", PARTIAL: "a sum"}


def _moves(laid_out: LaidOut) -> Iterator[Row]:
    """Equal ones are one line."""
    sizes = laid_out.whole.sizes
    counts: dict[Move, int] = {}
    for move in laid_out.moves:
        counts[move] = counts.get(move, 0) + 1
    for move, count in counts.items():
        over = f"{move.on}, {move.axis.name}" if move.axis is not None else move.on
        yield (
            move.scope or "the model", move.collective, over, _shape(move.type), _number(move.bytes, sizes),
            _number(move.times * count, sizes), "backward" if move.in_backward else "forward", move.reason,
            _line(move.at),
        )  # fmt: skip


def _shape(type: Type) -> str:
    return f"{type.dtype}[{', '.join(map(str, type.axes))}]"


def _number(size: Size, sizes: Mapping[str, int]) -> str:
    """The value, or a formula of the sizes that have none."""
    known = size.known(sizes)
    if known is not None:
        return f"{known:,}"
    return str(size.substitute({name: Size.of(value) for name, value in sizes.items()}))


def _line(span: Span | None) -> str:
    return f"{span.source.name}:{span.line}" if span is not None else ""


def _table(title: str, headings: Row, rows: Sequence[Row]) -> str:
    if not rows:
        return f"{title}: none\n"
    return "".join(f"{line}\n" for line in (title, *(f"  {line}" for line in aligned(headings, rows, NUMBERS))))
