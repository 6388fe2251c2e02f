"""Attention to what keys and values are made of, where that is smaller than they are.

Keys `k = W c` and values `v = U c` of each position are maps of a vector `c` that all heads share (the latent attention
of DeepSeek-AI, "DeepSeek-V2", 2024, section 2.1.2): then `q · (W c) = (Wᵀ q) · c`, and `Σ p (U c) = U (Σ p c)`. So
queries are brought to `c`, which stands for keys and values, and what was attended to is brought to the values. A call
that reads a text on remembers `c` alone. Parts of the keys that are no such map, and are the same in all heads (a
rotated part), stand beside `c`.

That is worth its while where the numbers kept for a position, times the products that a query makes with them, become
fewer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from attndsl.graph import Axis, Node, Type, Value
from attndsl.graph.builder import Builder
from attndsl.ops import Attention, Broadcast, Concat, Dot, Op, Rename, Slice, Transpose, Unflatten
from attndsl.passes.algebra import Algebra
from attndsl.passes.base import Pass, PassReport
from attndsl.passes.incremental.clock import Clock
from attndsl.passes.rewrite import Rewriter
from attndsl.passes.rules import Match, Rule, apply
from attndsl.records import Frozen, replace
from attndsl.sizes import ZERO, Size


class _Part(Frozen):
    """Some of a key (along `axis`), or a value: `source` as it is; or, with a `weight`, dot(source, weight) over the
    axis `inner`. `views` are what is done to either then: to the axes that they have."""

    source: Value
    axis: Axis
    views: tuple[Op, ...] = ()
    weight: Value | None = None
    inner: Axis | None = None

    @property
    def width(self) -> Axis:
        return self.inner or self.axis

    def viewed(self, out: Builder, value: Value) -> Value:
        for op in self.views:
            axis = op.old if isinstance(op, Rename) else op.axis if isinstance(op, Unflatten | Slice) else None
            if axis in value.type.axes:
                value = out.emit(op, value)
        return value

    def query(self, out: Builder, q: Value) -> Value:
        """What a query asks of the source."""
        return q if self.weight is None else out.emit(Dot((self.axis,)), q, self.viewed(out, self.weight))


class _Found(Frozen):
    keys: tuple[_Part, ...]
    value: _Part
    start: Size  # where the value's source begins among those of the keys


class AttendToLatent(Pass):
    """See above. It is for a graph that reads a text on: for a whole text it would take more time and save nothing."""

    clock: Clock
    name: ClassVar[str] = "attend-to-latent"

    def rewrite(self, rewriter: Rewriter) -> PassReport:
        return self.report(*apply(rewriter, (Rule(self.name, (Attention,), self._candidates, self._check),)))

    def _candidates(self, algebra: Algebra, node: Node) -> Iterator[_Found]:
        op, (_, k, v, *_) = node.op, node.inputs
        assert isinstance(op, Attention)
        if not self.clock.is_time(op.over) or len(op.contract) != 1:
            return
        keys = self._keys(algebra, k, op.contract[0])
        own = [axis for axis in v.type.axes if axis not in k.type.axes]
        value = self._linear(algebra, v, own[0]) if len(own) == 1 else None
        if keys is None or value is None:
            return
        start = ZERO
        for part in keys:
            if part.source is value.source and part.inner == value.inner and part.weight is not None:
                yield _Found(keys, value, start)
                return
            start += part.width.size

    def _keys(self, algebra: Algebra, k: Value, contract: Axis) -> tuple[_Part, ...] | None:
        """The parts of the keys, each of which has the rows of the batch and positions, and nothing else."""
        views: list[Op] = []
        value = k
        while (node := algebra.made_by(value, Rename, Transpose)) is not None:
            if isinstance(node.op, Rename) and contract in (node.op.new, node.op.old):
                return None
            views.insert(0, node.op)
            value = node.inputs[0]
        joined = algebra.made_by(value, Concat)
        if joined is not None and isinstance(joined.op, Concat) and joined.op.target == contract:
            parts = list(zip(joined.inputs, joined.op.axes, strict=True))
        else:
            parts = [(value, contract)]
        found = [
            self._linear(algebra, part, axis, views) or self._same(algebra, part, axis, views) for part, axis in parts
        ]
        return tuple(part for part in found if part is not None) if None not in found else None

    def _linear(self, algebra: Algebra, value: Value, axis: Axis, after: list[Op] | None = None) -> _Part | None:
        """The part that is a product with a weight."""
        views = list(after or ())
        while (node := algebra.made_by(value, Rename, Transpose, Unflatten, Slice)) is not None:
            views.insert(0, node.op)
            value = node.inputs[0]
        dot = algebra.made_by(value, Dot)
        if dot is None or not isinstance(dot.op, Dot) or len(dot.op.over) != 1:
            return None
        for source, weight in (dot.inputs, dot.inputs[::-1]):
            mine = [each for each in source.type.axes if each not in dot.op.over]
            if self._shared(mine) and not any(self.clock.is_time(each) for each in weight.type.axes):
                on_weight = [op for op in views if isinstance(op, Unflatten | Slice)]
                if all(op.axis not in mine for op in on_weight):
                    return _Part(source, axis, tuple(views), weight, dot.op.over[0])
        return None

    def _same(self, algebra: Algebra, value: Value, axis: Axis, views: list[Op]) -> _Part | None:
        """The part that is the same in all heads."""
        while (node := algebra.made_by(value, Broadcast, Transpose)) is not None:
            value = node.inputs[0]
        mine = [each for each in value.type.axes if each != axis]
        return _Part(value, axis, tuple(views)) if axis in value.type.axes and self._shared(mine) else None

    def _shared(self, axes: list[Axis]) -> bool:
        """Whether these are the rows of a batch and positions alone."""
        return (
            len(self.clock.times(tuple(axes))) == 1
            and len(axes) == 1 + len(self.clock.rows)
            and not set(self.clock.rows) - set(axes)
        )

    def _check(self, algebra: Algebra, node: Node, found: _Found) -> Match | None:
        op, (q, k, v, *rest) = node.op, node.inputs
        assert isinstance(op, Attention)
        latent = Axis("latent", sum((part.width.size for part in found.keys), ZERO))
        seen = Axis("latent_value", found.value.width.size)
        before = self._numbers(k.type) + self._numbers(v.type)
        heads = self._numbers(q.type.without(*op.contract))
        products = heads * (op.contract[0].size + found.value.axis.size), heads * (latent.size + seen.size)
        if not _fewer(latent.size * products[1], before * products[0], algebra.rewriter.sizes):
            return None

        def rewrite(out: Builder) -> Value:
            queries = [
                part.query(out, each)
                for part, each in zip(found.keys, self._parts(algebra, out, q, op, found), strict=True)
            ]
            sources = [part.viewed(out, part.source) for part in found.keys]
            if len(queries) > 1:
                joined = Concat(tuple(part.width for part in found.keys), latent)
                query, key = out.emit(joined, *queries), out.emit(joined, *sources)
            else:
                renamed = Rename(found.keys[0].width, latent)
                query, key = out.emit(renamed, queries[0]), out.emit(renamed, sources[0])
            value = out.emit(Slice(latent, found.start, seen), key)
            new = replace(op, contract=(latent,))
            mixed = out.emit(new, query, key, value, *rest)
            assert found.value.weight is not None
            weight = found.value.viewed(out, found.value.weight)
            inner = next(axis for axis in weight.type.axes if axis == found.value.inner)
            return out.emit(Dot((seen,)), mixed, out.emit(Rename(inner, seen), weight))

        return Match(f"attention to `{latent.name}`, of {latent.size} numbers for each position", rewrite)

    def _parts(self, algebra: Algebra, out: Builder, q: Value, op: Attention, found: _Found) -> list[Value]:
        """The parts of the queries that meet those of the keys."""
        axes = tuple(part.axis for part in found.keys)
        if len(axes) == 1:
            return [q]
        joined = algebra.made_by(q, Concat)
        if joined is not None and isinstance(joined.op, Concat) and joined.op.axes == axes:
            return list(joined.inputs)
        parts, start = [], ZERO
        for axis in axes:
            parts.append(out.emit(Slice(op.contract[0], start, axis), q))
            start += axis.size
        return parts

    def _numbers(self, type: Type) -> Size:
        """How many numbers a value has for each position of each row."""
        found = Size.of(1)
        for axis in type.axes:
            if not self.clock.is_time(axis) and axis not in self.clock.rows:
                found *= axis.size
        return found


def _fewer(some: Size, others: Size, sizes: Mapping[str, int]) -> bool:
    a, b = some.known(sizes), others.known(sizes)
    return a is not None and b is not None and a < b
