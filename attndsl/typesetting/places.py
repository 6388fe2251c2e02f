"""The rules of the primitives that move elements, and of those that make them from nothing."""

from __future__ import annotations

from attndsl import ops
from attndsl.graph import Node
from attndsl.sizes import Size
from attndsl.types import Axis
from attndsl.typesetting.notation import (
    BIG,
    OTHERWISE,
    PLUS,
    POWER,
    TIMES,
    MathText,
    cases,
    indexed,
    joined,
    name,
    number,
    size,
)
from attndsl.typesetting.rule import Elements, Places, Rule, first, running


def _rename(of: Elements, node: Node, places: Places) -> MathText:
    assert isinstance(node.op, ops.Rename)
    return of.element(node.inputs[0], {**places, node.op.old: places[node.op.new]})


def _shifted(of: Elements, index: MathText, by: Size) -> MathText:
    if by.constant == 0:
        return of.index(index)
    minus = str(by).startswith("-")
    return joined("-" if minus else "+", of.index(index), size(-by if minus else by), PLUS)


def _slice(of: Elements, node: Node, places: Places) -> MathText:
    assert isinstance(node.op, ops.Slice)
    moved = _shifted(of, places[node.op.target], node.op.start)
    return of.element(node.inputs[0], {**places, node.op.axis: moved})


def _select(of: Elements, node: Node, places: Places) -> MathText:
    assert isinstance(node.op, ops.Select)
    return of.element(node.inputs[0], {**places, node.op.axis: size(node.op.at)})


def _flip(of: Elements, node: Node, places: Places) -> MathText:
    assert isinstance(node.op, ops.Flip)
    axis = node.op.over
    last = joined("-", size(axis.size - 1), of.index(places[axis]), PLUS)
    return of.element(node.inputs[0], {**places, axis: last})


def _take(of: Elements, node: Node, places: Places) -> MathText:
    assert isinstance(node.op, ops.Take)
    table, index = node.inputs
    return of.element(table, {**places, node.op.over: of.element(index, places)})


def _unflatten(of: Elements, node: Node, places: Places) -> MathText:
    """The parts together: `(i·n + j)·m + k`."""
    assert isinstance(node.op, ops.Unflatten)
    total: MathText | None = None
    for part in node.op.parts:
        at = of.index(places[part])
        if total is not None:
            at = joined("+", MathText(rf"{size(part.size).within(POWER)}\, {total.within(POWER)}", TIMES), at, PLUS)
        total = at
    return of.element(node.inputs[0], {**places, node.op.axis: total or MathText("0")})


def _flatten(of: Elements, node: Node, places: Places) -> MathText:
    """Each part from the whole: `⌊i / n⌋` and `i mod n`."""
    assert isinstance(node.op, ops.Flatten)
    rest, found = of.index(places[node.op.axis]), {}
    first, *others = node.op.parts
    for part in reversed(others):
        length = size(part.size).within(POWER)
        found[part] = MathText(rf"{rest.within(TIMES)} \bmod {length}", TIMES)
        rest = MathText(rf"\lfloor {rest.within(TIMES)} / {length} \rfloor")
    return of.element(node.inputs[0], {**places, **found, first: rest})


def _concat(of: Elements, node: Node, places: Places) -> MathText:
    assert isinstance(node.op, ops.Concat)
    at, start, rows = of.index(places[node.op.target]), Size.of(0), []
    for number_, (value, axis) in enumerate(zip(node.inputs, node.op.axes, strict=True)):
        inner = _shifted(of, at, -start)
        start = start + axis.size
        last = number_ == len(node.inputs) - 1
        rows.append(
            (of.element(value, {**places, axis: inner}), OTHERWISE if last else rf"\text{{if }} {at} < {size(start)}")
        )
    return rows[0][0] if len(rows) == 1 else cases(*rows)


def _windows(of: Elements, node: Node, places: Places) -> MathText:
    """Outside of what there is stands 0."""
    assert isinstance(node.op, ops.Windows)
    op = node.op

    def scaled(axis: Axis, by: Size) -> MathText:
        index = of.index(places[axis])
        return index if by.constant == 1 else MathText(rf"{size(by).within(POWER)}\, {index.within(POWER)}", TIMES)

    at = joined("+", scaled(op.positions, op.stride), scaled(op.offsets, op.dilation), PLUS)
    padded = not (op.before.constant == 0 and op.after.constant == 0)
    at = _shifted(of, at, -op.before)
    found = of.element(node.inputs[0], {**places, op.axis: at})
    return (
        cases((found, rf"\text{{if }} 0 \le {at} < {size(op.axis.size)}"), (number(0), OTHERWISE)) if padded else found
    )


def _scatter_add(of: Elements, node: Node, places: Places) -> MathText:
    assert isinstance(node.op, ops.ScatterAdd)
    new = of.bound(node.op.over, places)
    values, index = (of.element(value, {**places, **new}) for value in node.inputs)
    at = of.index(places[node.op.target])
    return MathText(rf"\sum_{{{running(new)}:\ {index} = {at}}} {values.within(BIG)}", BIG)


def _write(of: Elements, node: Node, places: Places) -> MathText:
    assert isinstance(node.op, ops.Write)
    memory, values, index = node.inputs
    at = of.index(places[node.op.over])
    new = of.bound(tuple(axis for axis in values.type.axes if axis not in memory.type.axes), places)
    inner = {**places, **new}
    when = rf"\text{{if }} {of.element(index, inner)} = {at}"
    return cases((of.element(values, inner), when), (of.element(memory, places), OTHERWISE))


# ---------------------------------------------------------------- what comes from nowhere


def _constant(of: Elements, node: Node, places: Places) -> MathText:
    assert isinstance(node.op, ops.Constant)
    return number(node.op.value)


def _list(of: Elements, node: Node, places: Places) -> MathText:
    assert isinstance(node.op, ops.Element)
    listed = ",".join(map(str, map(number, node.op.values)))
    return MathText(rf"\left({listed}\right)_{{{first(of, node, places)}}}")


def _range(of: Elements, node: Node, places: Places) -> MathText:
    assert isinstance(node.op, ops.Range)
    return of.index(places[node.op.axis])


def _size_of(of: Elements, node: Node, places: Places) -> MathText:
    assert isinstance(node.op, ops.SizeOf)
    return size(node.op.size)


def _one_hot(of: Elements, node: Node, places: Places) -> MathText:
    assert isinstance(node.op, ops.OneHot)
    return MathText(rf"\left[ {first(of, node, places)} = {of.index(places[node.op.axis])} \right]")


def _parameter(of: Elements, node: Node, places: Places) -> MathText:
    assert isinstance(node.op, ops.Parameter)
    at = [of.index(MathText(index)).text for index in of.subscripts(node.output.type, places)]
    return MathText(indexed(of.parameter(node.op.address), at))


def _uniform(of: Elements, node: Node, places: Places) -> MathText:
    """A draw of its own for each element."""
    return MathText(indexed(r"\mathcal{U}(0, 1)", of.subscripts(node.output.type, places)))


def _dropout(of: Elements, node: Node, places: Places) -> MathText:
    assert isinstance(node.op, ops.Dropout)
    inner, *rate = (of.element(value, places) for value in node.inputs)
    rates = rate[0] if rate else number(node.op.p or 0.0)
    shared = "".join(rf",\,\text{{one for all }}{name(axis.name)}" for axis in node.op.shared)
    return MathText(rf"\operatorname{{dropout}}_{{{rates}{shared}}}\left({inner}\right)")


PLACES: dict[type[ops.Op], Rule] = {
    ops.Rename: _rename,
    ops.Unflatten: _unflatten,
    ops.Flatten: _flatten,
    ops.Transpose: first,
    ops.Broadcast: first,
    ops.Concat: _concat,
    ops.Flip: _flip,
    ops.Slice: _slice,
    ops.Select: _select,
    ops.Take: _take,
    ops.ScatterAdd: _scatter_add,
    ops.Windows: _windows,
    ops.Write: _write,
    ops.Constant: _constant,
    ops.Element: _list,
    ops.Range: _range,
    ops.SizeOf: _size_of,
    ops.OneHot: _one_hot,
    ops.Parameter: _parameter,
    ops.Uniform: _uniform,
    ops.Dropout: _dropout,
}
