"""Values of a scan's body by chunks of its steps, and places in them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attndsl.graph import FLOAT, FLOAT32, INT, Axis, Type, Value
from attndsl.graph.builder import Builder
from attndsl.ops import (
    Broadcast,
    Cast,
    Concat,
    Constant,
    Div,
    Flatten,
    Neg,
    Not,
    Scan,
    Slice,
    Transpose,
    Unflatten,
)
from attndsl.passes.all_steps import AllSteps
from attndsl.passes.linear import Factor, ProductTerm
from attndsl.passes.linear_scans import LinearScan
from attndsl.passes.products import contracted, renamed
from attndsl.sizes import ONE, ZERO, Size
from attndsl.types import widest

CHUNK = 64
"""The most steps of a chunk: work within chunks grows with it, the number of chunks falls."""


class ByChunks:
    """Emits values of the body of a scan for all its steps, and for all chunks of these."""

    def __init__(self, scan: LinearScan) -> None:
        self.scan, node = scan, scan.node
        self.out = Builder(node.scope, node.span, node.site)
        self.steps = AllSteps(self.out, node)
        taken = {a.name for n in scan.region.walk() for v in (*n.inputs, *n.outputs) for a in v.type.axes}
        time = self.time = scan.axis
        length, count = _divided(time.size, scan.sizes)
        self.chunks, self.places = free_axis("chunks", count, taken), free_axis("places", length, taken)
        self.sources = free_axis("sources", length, taken)
        self.whole = time if count * length == time.size else free_axis("whole", count * length, taken)
        self.padding = free_axis("padding", self.whole.size - time.size, taken)
        self.order = (self.places, self.sources, *(axis for state in scan.states for axis in state.type.axes))
        self.common = scan.common
        self.dtype = widest(*(state.type.dtype for state in scan.states), FLOAT)
        self.chunked: dict[Factor, Value] = {}
        self.decays: dict[object, tuple[Value, ...]] = {}

    def _with_time(self, type: Type) -> Type:
        at = min(1, type.rank)
        return Type(type.dtype, (*type.axes[:at], self.time, *type.axes[at:]))

    def _as(self, value: Value, type: Type) -> Value:
        """A value as one of another precision and layout."""
        if value.type.dtype != type.dtype:
            value = self.out.emit(Cast(type.dtype), value)
        return laid_out(self.out, value, type.axes)

    def _all(self, factor: Factor) -> Value:
        """A factor in all steps, its axes named by its labels."""
        out, value = self.out, self.steps.of(factor.value)
        if factor.kind == "not":
            value = out.emit(Not(), value)
        if value.type.dtype not in (self.dtype, FLOAT32):
            value = out.emit(Cast(self.dtype), value)
        if factor.kind == "over":
            value = out.emit(Div(), out.emit(Constant(1.0)), value)
        own = dict(zip(factor.value.type.axes, factor.labels, strict=True))
        return renamed(out, value, [own.get(axis, axis) for axis in value.type.axes])

    def _product(self, term: ProductTerm) -> Value:
        """The factors of a term in all steps, multiplied and summed."""
        factors = [self._all(factor) for factor in term.factors] or [self._number(1.0)]
        return self._signed(contracted(self.out, factors, term.sums), term)

    def _contracted(self, values: list[Value], sums: Collection[Axis]) -> Value:
        return contracted(self.out, values, sums, self.order)

    def _called(self, value: Value, name: str) -> Value:
        return self.out.rename(value, (f"{self.out.scope}.{name}",))

    def _signed(self, value: Value, term: ProductTerm) -> Value:
        return self.out.emit(Neg(), value) if term.sign < 0 else value

    def _number(self, number: float) -> Value:
        value = self.out.emit(Constant(number))
        return value if value.type.dtype == self.dtype else self.out.emit(Cast(self.dtype), value)

    def _in_chunks(self, value: Value, fill: float) -> Value:
        """A value of all steps by chunks and places in them; the places behind the last step have `fill`."""
        out, time = self.out, self.time
        before = tuple(axis for axis in value.type.axes if axis in self.common)
        behind = tuple(axis for axis in value.type.axes if axis not in (*before, time))
        value = laid_out(out, value, (*before, time, *behind))
        if self.whole == time:
            return out.emit(Unflatten(time, (self.chunks, self.places)), value)
        rest = tuple(self.padding if axis == time else axis for axis in value.type.axes)
        padding = out.emit(Broadcast(rest), self._number(fill))
        padded = out.emit(Concat((time, self.padding), self.whole), value, padding)
        return out.emit(Unflatten(self.whole, (self.chunks, self.places)), padded)

    def _factor(self, factor: Factor) -> Value:
        if factor not in self.chunked:
            value = self._all(factor)
            timed = self.time in value.type.axes
            self.chunked[factor] = self._in_chunks(value, 0.0) if timed else value
            for name in self.steps.of(factor.value).names[:1] if timed else ():
                self._called(self.chunked[factor], name.rpartition(".")[2])
        return self.chunked[factor]

    def _factors(self, term: ProductTerm) -> list[Value]:
        """What is added in a step, by chunks: nothing behind the last step."""
        found = [self._factor(factor) for factor in term.factors]
        if not any(self.places in value.type.axes for value in found):
            found.append(self._in_chunks(self.out.emit(Broadcast((self.time,)), self._number(1.0)), 0.0))
        return found

    def _unchunked(self, value: Value) -> Value:
        rest = [axis for axis in value.type.axes if axis not in (self.chunks, self.places)]
        value = laid_out(self.out, value, (*rest[:1], self.chunks, self.places, *rest[1:]))
        value = self.out.emit(Flatten((self.chunks, self.places), self.whole), value)
        return value if self.whole == self.time else self.out.emit(Slice(self.whole, ZERO, self.time), value)

    def _loop(self, what: str, axis: Axis, first: list[Value], step: object) -> tuple[Value, ...]:
        """A scan along `axis`; `step` gives what is carried on, and what is emitted."""
        body = Builder(self.out.scope, self.out.span, self.out.site)
        index, carried = Value(Type(INT)), [Value(value.type) for value in first]
        next, emitted = step(body, index, *carried)  # type: ignore[operator]
        region = body.region((index, *carried), (*next, *emitted))
        op = Scan(f"{self.scan.op.path}.{what}", axis, len(first), False, (axis,) * len(emitted))
        types = op.outputs(tuple(value.type for value in first), (region,))
        return self.out.emit_regions(op, tuple(first), (region,), types)


def _divided(steps: Size, sizes: Mapping[str, int]) -> tuple[Size, Size]:
    """How long a chunk is, and how many there are: the last one may be longer than what is left of the steps."""
    known = steps.known(sizes)
    if known is not None and known > 0:
        length = Size.of(min(CHUNK, known))
        return length, steps / length if known % CHUNK == 0 or known < CHUNK else (steps + length - 1) // length
    length = Size.of(CHUNK).minimum(steps).maximum(ONE)
    return length, (steps + length - 1) // length


def free_axis(name: str, size: Size, taken: set[str]) -> Axis:
    """An axis with a name that no other one here has."""
    while name in taken:
        name += "'"
    taken.add(name)
    return Axis(name, size)


def laid_out(out: Builder, value: Value, axes: tuple[Axis, ...]) -> Value:
    """A value with exactly these axes, in this order."""
    if value.type.axes == axes:
        return value
    return out.emit(Transpose(axes) if set(axes) == set(value.type.axes) else Broadcast(axes), value)
