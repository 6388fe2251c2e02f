"""What a layer knows of positions, as formulas: what it adds to scores, and the angles that it turns by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from attndsl.graph import Axis, Node, Value
from attndsl.masks.positions import position_formula
from attndsl.ops import Add, Broadcast, Cast, Cos, Rename, Sub, Transpose


def positions(
    nodes: Iterable[Node], makers: Mapping[Value, Node], attending: Mapping[Node, tuple[Axis, ...]]
) -> tuple[str, ...]:
    """Of a layer that consists of `nodes`. A bias is a formula of q and k, as a mask is; an angle one of t where it is
    that of what attends."""
    nodes = list(nodes)
    found: dict[str, None] = {}
    times: dict[Axis, str] = {}
    for node in nodes:
        if (queries := attending.get(node)) is not None:
            keys = node.op.goes_over[0]
            times |= dict.fromkeys((*queries[-1:], keys), "t")
            names = {**dict.fromkeys(queries[-1:], "q"), keys: "k"}
            found |= dict.fromkeys(_biases(node.inputs[0], makers, names))
    for node in nodes:
        if isinstance(node.op, Cos) and (angle := position_formula(node.inputs[0], makers, times)) is not None:
            found[f"angles {angle}"] = None
    return tuple(found)


def _biases(score: Value, makers: Mapping[Value, Node], names: Mapping[Axis, str]) -> Iterator[str]:
    """The formulas of what is added to a score."""
    maker = makers.get(score)
    if maker is None:
        return
    if isinstance(maker.op, (Add, Sub, Cast, Transpose, Broadcast, Rename)):
        if isinstance(maker.op, Rename) and maker.op.new in names:
            names = {**names, maker.op.old: names[maker.op.new]}
        for value in maker.inputs:
            yield from _biases(value, makers, names)
    elif (formula := position_formula(score, makers, names)) is not None:
        yield str(formula)
