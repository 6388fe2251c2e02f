"""What a mask says about positions, read off the nodes that compute it: whether it is exactly "not after the query", and
whether every query has something to attend to."""

from __future__ import annotations

from collections.abc import Mapping

from attndsl import ops
from attndsl.graph import Axis, Node, Value
from attndsl.sizes import Size

# An int value as a sum: each axis's index times a whole number (the key None holds the rest).
Form = dict[Axis | None, Size]
Producers = Mapping[Value, Node]


def is_causal(mask: Value, producers: Producers, query: Axis, key: Axis) -> bool:
    """Whether `mask` is True exactly where key index <= query index, on axes of one length."""
    if query.size != key.size:
        return False
    compared = _comparison(_seen_through(mask, producers), producers)
    return compared is not None and compared == {key: Size.of(1), query: Size.of(-1), None: Size.of(0)}


def never_empty(mask: Value, producers: Producers, query: Axis, key: Axis) -> bool:
    """Whether every query certainly attends to something: the key at its own place, counted from either end, will do."""
    for offset in (Size.of(0), key.size - query.size):
        fits = all(c >= 0 for c in offset.terms.values()) and all(
            c >= 0 for c in (key.size - query.size - offset).terms.values()
        )
        if fits and _holds(mask, producers, query, key, offset):
            return True
    return False


def _holds(mask: Value, producers: Producers, query: Axis, key: Axis, offset: Size) -> bool:
    """Whether the mask is certainly True at key index = query index + offset."""
    mask = _seen_through(mask, producers)
    node = producers.get(mask)
    if node is None:
        return False
    if isinstance(node.op, ops.And):
        return all(_holds(v, producers, query, key, offset) for v in node.inputs)
    if isinstance(node.op, ops.Or):
        return any(_holds(v, producers, query, key, offset) for v in node.inputs)
    if isinstance(node.op, ops.Constant):
        return node.op.value is True
    if isinstance(node.op, ops.Eq):
        left, right = (_form(v, producers) for v in node.inputs)
        difference = _sum(left, right, -1)
        return difference is not None and not any(c.terms for c in _on_diagonal(difference, query, key, offset).values())
    compared = _comparison(mask, producers)
    if compared is None:
        return False
    rest = _on_diagonal(compared, query, key, offset)
    if any(coefficient.terms for axis, coefficient in rest.items() if axis is not None):
        return False
    # A size is at least 1 where it is the length of something, and never negative.
    return all(coefficient <= 0 for coefficient in rest.get(None, Size.of(0)).terms.values())


def _on_diagonal(form: Form, query: Axis, key: Axis, offset: Size) -> Form:
    weight = form.get(key, Size.of(0))
    rest = {axis: c for axis, c in form.items() if axis != key}
    rest[query] = rest.get(query, Size.of(0)) + weight
    rest[None] = rest.get(None, Size.of(0)) + weight * offset
    return rest


def _seen_through(value: Value, producers: Producers) -> Value:
    """The value before reordering and repeating, which a mask's meaning does not depend on."""
    node = producers.get(value)
    while node is not None and isinstance(node.op, (ops.Transpose, ops.Broadcast)):
        value = node.inputs[0]
        node = producers.get(value)
    return value


def _comparison(value: Value, producers: Producers) -> Form | None:
    """The form f for which the value is `f <= 0`, None where it is no comparison of positions."""
    node = producers.get(value)
    if node is None or not isinstance(node.op, (ops.Le, ops.Lt, ops.Ge, ops.Gt)):
        return None
    left, right = (_form(v, producers) for v in node.inputs)
    if isinstance(node.op, (ops.Ge, ops.Gt)):
        left, right = right, left
    difference = _sum(left, right, -1)
    if difference is not None and isinstance(node.op, (ops.Lt, ops.Gt)):
        difference[None] = difference.get(None, Size.of(0)) + 1
    return difference


def _form(value: Value, producers: Producers) -> Form | None:
    node = producers.get(value)
    if node is None or value.type.dtype != "int":
        return None
    op = node.op
    if isinstance(op, ops.Range):
        return {op.axis: Size.of(1), None: Size.of(0)}
    if isinstance(op, ops.Constant):
        return {None: Size.of(int(op.value))}
    if isinstance(op, ops.SizeOf):
        return {None: op.size}
    if isinstance(op, (ops.Transpose, ops.Broadcast)):
        return _form(node.inputs[0], producers)
    if isinstance(op, ops.Rename):
        inner = _form(node.inputs[0], producers)
        return None if inner is None else {op.new if axis == op.old else axis: c for axis, c in inner.items()}
    if isinstance(op, ops.Neg):
        return _sum({None: Size.of(0)}, _form(node.inputs[0], producers), -1)
    if isinstance(op, (ops.Add, ops.Sub)):
        left, right = (_form(v, producers) for v in node.inputs)
        return _sum(left, right, 1 if isinstance(op, ops.Add) else -1)
    return None


def _sum(left: Form | None, right: Form | None, sign: int) -> Form | None:
    if left is None or right is None:
        return None
    total = dict(left)
    for axis, coefficient in right.items():
        total[axis] = total.get(axis, Size.of(0)) + coefficient * sign
    return {axis: c for axis, c in total.items() if axis is None or c.terms}
