"""A layout in words: where parameters and values lie and why, and what the devices send one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attndsl.diagnostics import Span
from attndsl.layouts.choosing import RunnerUp
from attndsl.layouts.emitting import Move
from attndsl.layouts.laid_out import LaidOut
from attndsl.layouts.placements import PARTIAL, WHOLE, Rounds
from attndsl.sizes import Size
from attndsl.types import Axis, Type

Row = tuple[str, ...]
STAGES = ("repeat", "on", "stages", "layers of each", "microbatches", "steps", "of them idle")
NUMBERS = ("times", "bytes", "if whole", *STAGES[2:])


def tell(laid_out: LaidOut) -> str:
    """The layout, then tables: repeats in stages, parameters as they lie between their uses, values that have names,
    collectives. Bytes are those of one device (of a parameter of a repeat, in one round) in float32, and formulas of
    the sizes that inputs bind. Beside each stands what another way would have cost: of a parameter, that it is whole;
    of a value, the way that came second, where it sends more (what inputs bind is taken to be 512 long)."""
    mesh = laid_out.layout.mesh
    title = f"{laid_out.whole.title} laid out over {mesh}: {mesh.devices} devices"
    rules = [f"  {line.strip()}" for line in str(laid_out.layout).splitlines()[1:-1]]
    tables = [
        *([_table("stages", STAGES, list(_stages(laid_out)))] if laid_out.loops else []),
        _table("parameters", ("parameter", "lies", "bytes", "if whole", "why"), list(_parameters(laid_out))),
        _table("values", ("value", "lies", "why", "otherwise"), list(_values(laid_out))),
        _table(
            "collectives",
            ("in", "collective", "over", "array on a device", "bytes", "times", "pass", "why", "line"),
            list(_moves(laid_out)),
        ),
    ]
    return "\n".join(["\n".join([title, *rules]) + "\n", *tables])


def _stages(laid_out: LaidOut) -> Iterator[Row]:
    """In the steps in which a device has no microbatch it computes what nobody reads (the bubble)."""
    for loop in laid_out.loops:
        numbers = (loop.stages, loop.layers, loop.microbatches, loop.steps)
        yield loop.path, loop.on, *map(str, numbers), f"{loop.stages - 1} ({loop.bubble:.0%})"


def _parameters(laid_out: LaidOut) -> Iterator[Row]:
    graph, layout = laid_out.whole, laid_out.layout
    for info in graph.parameters:
        placement = laid_out.parameters[info.address, info.type]
        why = [_by_rule(laid_out, info.address, state, at) for at, state in enumerate(placement.states)]
        if layout.parameters and placement.on(layout.parameters) is WHOLE and layout.mesh.size(layout.parameters) > 1:
            count = layout.mesh.size(layout.parameters)
            why.append(f"whole on {layout.parameters}: no axis that is left can be divided by {count}")
        bytes = (f"{4 * type.count(graph.sizes):,}" for type in (placement.local(info.type), info.type))
        yield info.address, placement.shown(info.type), *bytes, "; ".join(filter(None, why)) or "nothing divides it"


def _by_rule(laid_out: LaidOut, address: str, state: object, at: int) -> str:
    name = laid_out.layout.mesh.names[at]
    if isinstance(state, Rounds):
        rules = (rule for rule in laid_out.layout.rules if rule.dimension == name and state.loop in rule.loops)
        return f"{state.count} layers of each stage: `{next(rules)}`"
    if not isinstance(state, Axis):
        return ""
    rule = laid_out.rules.get((address, state, name))
    if rule is not None:
        return f"`{rule}`"
    return f"`parameters on {name}`: {state.name} is its longest axis that can be divided"


def _values(laid_out: LaidOut) -> Iterator[Row]:
    parameters = {info.address for info in laid_out.whole.parameters}
    for value, (placement, reason) in laid_out.values.items():
        for name in value.names[-1:] if parameters.isdisjoint(value.names) else ():
            yield name, placement.shown(value.type), reason, _otherwise(laid_out.runners_up.get(value, ()))


def _otherwise(runners_up: Sequence[RunnerUp]) -> str:
    """What came second, and how many bytes more it would have sent."""
    said = []
    for second in runners_up:
        more = 4 * (second.instead - second.sent)
        lies = second.result.name if isinstance(second.result, Axis) else _WORDS.get(second.result, "by owner")
        if more >= 1 and more != float("inf"):
            said.append(f"{lies} on {second.on}: {more / 1e6:,.1f} MB more")
    return "; ".join(said)


_WORDS: Mapping[object, str] = {WHOLE: "whole", PARTIAL: "a sum"}


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
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = [title]
    for row in (headings, *rows):
        cells = zip(headings, row, widths, strict=True)
        line = "  ".join(c.rjust(width) if heading in NUMBERS else c.ljust(width) for heading, c, width in cells)
        lines.append(f"  {line.rstrip()}")
    return "\n".join(lines) + "\n"
