"""Triangles of numbers that are solved: several unknowns at each place, of which each depends on those before it."""

from __future__ import annotations

from collections.abc import Sequence

from attndsl.graph import Axis, Value
from attndsl.graph.builder import Builder
from attndsl.ops import Broadcast, Concat, Flatten, Select, SolveTriangular, Transpose, Unflatten
from attndsl.sizes import ONE, Size


class Triangle:
    """Unknowns along `rows`. `blocks[i][j]`, with the axes `rows` and `columns`, is what the i-th unknown of a row
    takes from the j-th one of an earlier row, negated: `(1 + blocks) u = values`."""

    def __init__(self, out: Builder, rows: Axis, columns: Axis, blocks: Sequence[Sequence[Value]]) -> None:
        self.out, self.rows, self.columns = out, rows, columns
        count = Size.of(len(blocks))
        self.unknown, other = Axis(f"{rows.name}'unknown", count), Axis(f"{columns.name}'unknown", count)
        self.matrix = self._stacked([self._stacked(row, other) for row in blocks], self.unknown)
        self.op = SolveTriangular(rows, columns)
        if len(blocks) > 1:
            self.matrix, first = self._joined(self.matrix, rows, self.unknown)
            self.matrix, second = self._joined(self.matrix, columns, other)
            self.op = SolveTriangular(first, second)

    def solved(self, values: Sequence[Value]) -> list[Value]:
        """The unknowns, where `values` are given."""
        right = self._stacked(values, self.unknown)
        if self.op.over != self.rows:
            right, _ = self._joined(right, self.rows, self.unknown)
        lacking = tuple(a for a in self.matrix.type.axes if a not in (self.op.earlier, *right.type.axes))
        right = self.out.emit(Broadcast((*lacking, *right.type.axes)), right) if lacking else right
        found = self.out.emit(self.op, self.matrix, right)
        if self.op.over == self.rows:
            return [found]
        found = self.out.emit(Unflatten(self.op.over, (self.rows, self.unknown)), found)
        return [self.out.emit(Select(self.unknown, Size.of(i)), found) for i in range(len(values))]

    def _stacked(self, values: Sequence[Value], axis: Axis) -> Value:
        """The values along an axis; one as it is."""
        if len(values) == 1:
            return values[0]
        one = Axis("1", ONE)
        axes = tuple(dict.fromkeys(each for value in values for each in value.type.axes))
        parts = [self.out.emit(Broadcast((*axes, one)), value) for value in values]
        return self.out.emit(Concat((one,) * len(values), axis), *parts)

    def _joined(self, value: Value, first: Axis, second: Axis) -> tuple[Value, Axis]:
        """The value with two axes as one, in which the second varies fastest; and that one."""
        joined = Axis(f"{first.name}*{second.name}", first.size * second.size)
        rest = tuple(axis for axis in value.type.axes if axis not in (first, second))
        value = self.out.emit(Transpose((*rest, first, second)), value)
        return self.out.emit(Flatten((first, second), joined), value), joined
