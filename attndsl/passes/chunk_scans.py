"""Scans that are linear in what they carry, in chunks: within one all steps at once, from one to the next a short scan.

A step makes `h' = a * h + b`, where a and b do not depend on h, and what is read of a state is linear in it. What does
not depend on the state is computed for all steps at once. With h at the start of a chunk, the state after step t of it
is

    P[t] h + sum over s <= t of L[t, s] b[s]        P[t] the product of a up to t, L[t, s] that from s + 1 to t

(Dao and Gu, 2024, section 6; Yang et al., 2024, section 4). Where a is alike along axes of the state, and what is read
sums over none of the others, the sum is a product of matrices (`L * dot(q, k)` with what is added); else the steps of
all chunks are made side by side, one place of the chunks after the other. Products of a are made by multiplication
alone, so that it may be anything: 0, negative, or so small that the products are 0.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attndsl.graph import FLOAT, FLOAT32, INT, Axis, Type, Value
from attndsl.graph.builder import Builder
from attndsl.ops import (
    Add,
    Broadcast,
    Cast,
    Concat,
    Constant,
    Div,
    Eq,
    Flatten,
    Mul,
    Neg,
    Not,
    Range,
    Scan,
    Slice,
    Sub,
    Take,
    Transpose,
    Unflatten,
)
from attndsl.passes.all_steps import AllSteps
from attndsl.passes.base import PAST, Pass, PassReport, Refusal, rewritten
from attndsl.passes.linear import Factor, ProductTerm
from attndsl.passes.linear_scans import LinearScan, LinearState, Readout
from attndsl.passes.products import contracted, renamed
from attndsl.passes.rewrite import Rewriter
from attndsl.records import dataclass, field
from attndsl.sizes import ONE, ZERO, Size
from attndsl.types import widest

CHUNK = 64
"""The most steps of a chunk: work within chunks grows with it, the number of chunks falls."""


@dataclass(frozen=True, slots=True)
class ChunkScans(Pass):
    """Scans that are linear in what they carry become ones over chunks of their steps. One that reads a text on is left
    as it is: it is mostly given one step."""

    name = "chunk-scans"
    after = ("canonicalise",)

    def rewrite(self, rewriter: Rewriter) -> PassReport:
        done, misses = [], []
        if rewriter.exact or PAST in rewriter.graph.state_names:
            return self.report(())
        for place in list(rewriter.walk()):
            if place.node is None or not isinstance(place.node.op, Scan):
                continue
            try:
                writer = _Chunks(LinearScan.of(rewriter.now(place), rewriter.sizes))
                values = writer.write()
            except Refusal as refusal:
                misses.append(refusal.miss("scan", place.node))
                continue
            done.append(rewritten("scan", f"linear in what it carries: in chunks of {CHUNK}", place.node))
            rewriter.put_all(place.node, writer.out.nodes, values)
        return self.report(done, misses)


@dataclass(eq=False)
class _State:
    """What there is of a state by chunks: `start` is it at the start of each. `after` and `before` are the products of
    `a` from there up to a step, with it and without."""

    decay: Value
    after: Value
    before: Value
    start: Value
    local: dict[tuple[int, int], Value] = field(default_factory=dict)  # what is read of what the chunk adds, by readout


class _Chunks:
    """Writes what stands for a scan."""

    def __init__(self, scan: LinearScan) -> None:
        self.scan, node = scan, scan.node
        self.out = Builder(node.scope, node.span, node.site)
        self.steps = AllSteps(self.out, node)
        taken = {a.name for n in scan.region.walk() for v in (*n.inputs, *n.outputs) for a in v.type.axes}
        time = self.time = scan.axis
        length, count = _divided(time.size, scan.sizes)
        self.chunks, self.places = _free("chunks", count, taken), _free("places", length, taken)
        self.sources = _free("sources", length, taken)
        self.whole = time if count * length == time.size else _free("whole", count * length, taken)
        self.padding = _free("padding", self.whole.size - time.size, taken)
        self.order = (self.places, self.sources, *(axis for state in scan.states for axis in state.type.axes))
        self.common = scan.common
        self.dtype = widest(*(state.type.dtype for state in scan.states), FLOAT)
        self.chunked: dict[Factor, Value] = {}
        self.decays: dict[object, tuple[Value, ...]] = {}

    def write(self) -> list[Value]:
        """What stands for the outputs of the scan, in order."""
        scan, ends = self.scan, list[Value]()
        states: list[_State] = []
        for i, state in enumerate(scan.states):
            made, end = self._state(i, state)
            states.append(made)
            ends.append(self._as(end, scan.node.outputs[i].type))
        for root, terms in scan.readouts.items():
            self.steps.give(root, self._as(self._read(root, terms, states), self._with_time(root.type)))
        for value, output in zip(scan.emitted, scan.node.outputs[len(ends) :], strict=True):
            ends.append(self._as(self.steps.of(value), output.type))
        return ends

    # ------------------------------------------------------------ values of all steps, and of chunks

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

    # ------------------------------------------------------------ states

    def _state(self, number: int, state: LinearState) -> tuple[_State, Value]:
        """What there is of a state, and its end."""
        decay = self._decay(state)
        if self.scan.by_matrix(state, {a for a in decay.type.axes if a not in (self.chunks, self.places)}):
            after, before, rows_after, rows_before, total, to_end = self._decays(state, decay)
            added = [
                self._signed(self._contracted([to_end, *self._at_sources(term)], {self.sources, *term.sums}), term)
                for term in state.added
            ]
            start, end = self._carried(number, state, total, added)
            made = _State(decay, after, before, start)
            for key, readout in self.scan.of_state(number):
                made.local[key] = self._within(state, readout, rows_after if readout.after else rows_before)
        else:
            after, before, total, sums, local = self._stepwise(number, state, decay)
            start, end = self._carried(number, state, total, [sums])
            made = _State(decay, after, before, start, local)
        return made, end

    def _decay(self, state: LinearState) -> Value:
        """`a` by chunks; 1 behind the last step, so that the state stays as it is there."""
        terms = [self._product(term) for term in state.kept]
        value = terms[0] if terms else self._number(0.0)
        for term in terms[1:]:
            value = self.out.emit(Add(), value, term)
        if self.time not in value.type.axes:
            value = self.out.emit(Broadcast((self.time, *value.type.axes)), value)
        return self._called(self._in_chunks(value, 1.0), "decay")

    def _decays(self, state: LinearState, decay: Value) -> tuple[Value, ...]:
        """The products of `a`: from the start of a chunk to a step and before it, from each step to another and before
        that, of a whole chunk, and from each step to its end."""
        key = tuple((term.factors, term.sign) for term in state.kept)
        if key not in self.decays:
            out = self.out
            both = (self.sources, self.places)
            same = out.emit(Eq(), out.emit(Range(self.places)), out.emit(Range(self.sources)))
            unit = out.emit(Cast(self.dtype), laid_out(out, same, both))
            rest = decay.type.without(self.places).axes
            first = out.emit(Broadcast(rest), self._number(1.0))
            rows = out.emit(Broadcast((*rest, self.sources)), self._number(0.0))

            def step(body: Builder, place: Value, product: Value, row: Value) -> tuple[list[Value], list[Value]]:
                a = body.emit(Take(self.places), decay, place)
                next = body.emit(Mul(), product, a)
                here = body.emit(Add(), body.emit(Mul(), row, a), body.emit(Take(self.places), unit, place))
                return [next, here], [next, product, here, row]

            total, to_end, *stacks = self._loop("decays", self.places, [first, rows], step)
            made = (*stacks, total, to_end)
            names = ("since_start", "before", "fades", "fades_before", "total", "to_end")
            self.decays[key] = tuple(map(self._called, made, names))
        return self.decays[key]

    def _at_sources(self, term: ProductTerm) -> list[Value]:
        return [
            renamed(self.out, value, [self.sources if axis == self.places else axis for axis in value.type.axes])
            for value in self._factors(term)
        ]

    def _carried(self, number: int, state: LinearState, total: Value, added: list[Value]) -> tuple[Value, Value]:
        """The state at the start of each chunk, and at the end."""
        first = self._as(self.scan.node.inputs[number], state.type.with_dtype(self.dtype))
        flat = state.type.rank > 1  # so that the stack of all chunks has them in front
        size = ONE
        for axis in state.type.axes:
            size = size * axis.size
        elements = _free("elements", size, {axis.name for axis in state.type.axes})
        if flat:
            first = self.out.emit(Flatten(state.type.axes, elements), first)

        def step(body: Builder, chunk: Value, h: Value) -> tuple[list[Value], list[Value]]:
            def of(value: Value) -> Value:
                return body.emit(Take(self.chunks), value, chunk) if self.chunks in value.type.axes else value

            shaped = body.emit(Unflatten(elements, state.type.axes), h) if flat else h
            next = body.emit(Mul(), shaped, of(total))
            for each in added:
                next = body.emit(Add(), next, of(each))
            next = laid_out(body, next, state.type.axes)
            return [body.emit(Flatten(state.type.axes, elements), next) if flat else next], [h]

        end, start = map(self._called, self._loop("chunks", self.chunks, [first], step), ("end", "starts"))
        if not flat:
            return start, end
        return tuple(self.out.emit(Unflatten(elements, state.type.axes), value) for value in (start, end))  # type: ignore[return-value]

    def _stepwise(
        self, number: int, state: LinearState, decay: Value
    ) -> tuple[Value, Value, Value, Value, dict[tuple[int, int], Value]]:
        """The steps of all chunks side by side, each chunk from zero: the products of `a`, what a chunk adds, and what
        is read of that."""
        out, readouts = self.out, dict(self.scan.of_state(number))
        axes = (*state.type.axes[:1], self.chunks, *state.type.axes[1:])
        first = out.emit(Broadcast(decay.type.without(self.places).axes), self._number(1.0))
        zero = out.emit(Broadcast(axes), self._number(0.0))
        terms = [(self._factors(term), term) for term in state.added]
        reads = {key: [self._factor(factor) for factor in readout.term.factors] for key, readout in readouts.items()}

        def step(body: Builder, place: Value, product: Value, h: Value) -> tuple[list[Value], list[Value]]:
            def of(value: Value) -> Value:
                return body.emit(Take(self.places), value, place) if self.places in value.type.axes else value

            a = of(decay)
            made, next = body.emit(Mul(), product, a), body.emit(Mul(), h, a)
            for factors, term in terms:
                share = contracted(body, [of(each) for each in factors], term.sums)
                next = body.emit(Add() if term.sign > 0 else Sub(), next, share)
            next = laid_out(body, next, axes)
            emitted = [made, product]
            for key, readout in readouts.items():
                names = dict(zip(state.type.axes, readout.term.labels, strict=True))
                seen = next if readout.after else h
                seen = renamed(body, seen, [names.get(axis, axis) for axis in seen.type.axes])
                emitted.append(contracted(body, [seen, *map(of, reads[key])], readout.term.sums))
            return [made, next], emitted

        total, sums, after, before, *read = self._loop("places", self.places, [first, zero], step)
        for value, name in ((total, "total"), (sums, "added"), (after, "since_start"), (before, "before")):
            self._called(value, name)
        for value in read:
            self._called(value, "within")
        return after, before, total, sums, dict(zip(readouts, read, strict=True))

    def _loop(self, what: str, axis: Axis, first: list[Value], step: object) -> tuple[Value, ...]:
        """A scan along `axis`; `step` gives what is carried on, and what is emitted."""
        body = Builder(self.out.scope, self.out.span, self.out.site)
        index, carried = Value(Type(INT)), [Value(value.type) for value in first]
        next, emitted = step(body, index, *carried)  # type: ignore[operator]
        region = body.region((index, *carried), (*next, *emitted))
        op = Scan(f"{self.scan.op.path}.{what}", axis, len(first), False, (axis,) * len(emitted))
        types = op.outputs(tuple(value.type for value in first), (region,))
        return self.out.emit_regions(op, tuple(first), (region,), types)

    # ------------------------------------------------------------ what is read

    def _within(self, state: LinearState, readout: Readout, rows: Value) -> Value:
        """What is read of what a chunk adds, by products of matrices."""
        term, total = readout.term, None
        names = dict(zip(state.type.axes, term.labels, strict=True))

        def named(value: Value) -> Value:
            return renamed(self.out, value, [names.get(axis, axis) for axis in value.type.axes])

        read = [self._factor(factor) for factor in term.factors]
        for added in state.added:
            values = [*read, named(rows), *map(named, self._at_sources(added))]
            share = self._contracted(values, {*term.sums, *added.sums, self.sources})
            share = self._called(self._signed(share, added), "within")
            total = share if total is None else self.out.emit(Add(), total, share)
        return self._number(0.0) if total is None else total

    def _read(self, root: Value, terms: tuple[ProductTerm | Readout, ...], states: list[_State]) -> Value:
        """What is read in all steps."""
        by_chunks: Value | None = None
        plain: Value | None = None
        for place, each in enumerate(terms):
            if isinstance(each, ProductTerm):
                share = self._product(each)
                plain = share if plain is None else self.out.emit(Add(), plain, share)
                continue
            made, state, term = states[each.state], self.scan.states[each.state], each.term
            names = dict(zip(state.type.axes, term.labels, strict=True))
            carried = [
                renamed(self.out, value, [names.get(axis, axis) for axis in value.type.axes])
                for value in (made.after if each.after else made.before, made.start)
            ]
            read = [self._factor(factor) for factor in term.factors]
            share = self._called(self._contracted([*read, *carried], term.sums), "from_before")
            share = self._signed(self.out.emit(Add(), made.local[self.scan.key(root, place)], share), term)
            by_chunks = share if by_chunks is None else self.out.emit(Add(), by_chunks, share)
        found = None if by_chunks is None else self._unchunked(by_chunks)
        both = [value for value in (found, plain) if value is not None]
        return both[0] if len(both) == 1 else self.out.emit(Add(), *both)


def _divided(steps: Size, sizes: Mapping[str, int]) -> tuple[Size, Size]:
    """How long a chunk is, and how many there are: the last one may be longer than what is left of the steps."""
    known = steps.known(sizes)
    if known is not None and known > 0:
        length = Size.of(min(CHUNK, known))
        return length, steps / length if known % CHUNK == 0 or known < CHUNK else (steps + length - 1) // length
    length = Size.of(CHUNK).minimum(steps).maximum(ONE)
    return length, (steps + length - 1) // length


def _free(name: str, size: Size, taken: set[str]) -> Axis:
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
