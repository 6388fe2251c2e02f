"""Scans that are linear in what they carry, in chunks: within one all steps at once, from one to the next a short scan.

A step makes `h' = a * h + b`, where a and b do not depend on h, and what is read of a state is linear in it. What does
not depend on the state is computed for all steps at once. With h at the start of a chunk, the state after step t of it
is

    P[t] h + sum over s <= t of L[t, s] b[s]        P[t] the product of a up to t, L[t, s] that from s + 1 to t

(Dao and Gu, 2024, section 6; Yang et al., 2024, section 4). Where b does depend on what a step reads of the state, as
in a delta rule, what is read is solved for first (`feedback.py`). Where a is alike along axes of the state, and what is
read sums over none of the others, the sum is a product of matrices (`L * dot(q, k)` with what is added); else the steps
of all chunks are made side by side, one place of the chunks after the other. Products of a are made by multiplication
alone, so that it may be anything: 0, negative, or so small that the products are 0.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from attndsl.graph import Axis, Value
from attndsl.graph.builder import Builder
from attndsl.ops import (
    Add,
    Broadcast,
    Cast,
    Eq,
    Flatten,
    Mul,
    Range,
    Rename,
    Scan,
    Sub,
    Take,
    Unflatten,
)
from attndsl.passes.base import PAST, Pass, PassReport, Refusal, rewritten
from attndsl.passes.by_chunks import CHUNK, ByChunks, free_axis, laid_out
from attndsl.passes.feedback import Feedback
from attndsl.passes.linear import Factor, ProductTerm
from attndsl.passes.linear_scans import LinearScan, LinearState, Readout
from attndsl.passes.products import contracted, renamed
from attndsl.passes.rewrite import Rewriter
from attndsl.passes.triangles import Triangle
from attndsl.records import Frozen, dataclass, field
from attndsl.sizes import ONE


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
            done.append(rewritten("scan", f"{writer.scan.kind}: in chunks of {CHUNK}", place.node))
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


class _Fed(Frozen, eq=False):
    """What is fed back, by chunks: `local + factor * start`, of which `written` is what it adds to the end."""

    source: Feedback
    local: Value
    factor: Value
    written: Value


class _Chunks(ByChunks):
    """Writes what stands for a scan."""

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

    # ------------------------------------------------------------ states

    def _state(self, number: int, state: LinearState) -> tuple[_State, Value]:
        """What there is of a state, and its end."""
        decay = self._decay(state)
        if self.scan.by_matrix(state, {a for a in decay.type.axes if a not in (self.chunks, self.places)}):
            after, before, rows_after, rows_before, total, to_end = self._decays(state, decay)
            added = [self._up_to_end(term, to_end, {self.sources}) for term in state.added]
            fed = self._fed(state, before, rows_before, to_end) if state.fed else []
            start, end = self._carried(number, state, total, added, fed)
            made = _State(decay, after, before, start)
            for key, readout in self.scan.of_state(number):
                rows = rows_after if readout.after else rows_before
                made.local[key] = self._within(state, readout.term, state.every_added, rows, {self.sources})
        elif state.fed:
            axis = next(axis for each in state.fed for axis in each.over if axis in decay.type.axes)
            raise Refusal(f"what it carries is multiplied with a matrix, and fades differently along `{axis.name}`")
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

    def _up_to_end(self, term: ProductTerm, to_end: Value, sums: Collection[Axis]) -> Value:
        """What a term adds to the state at the end of a chunk, summed over the labels `sums` besides."""
        return self._signed(self._contracted([to_end, *self._at_sources(term)], {*sums, *term.sums}), term)

    def _fed(self, state: LinearState, before: Value, rows: Value, to_end: Value) -> list[_Fed]:
        """What is fed back. Each step reads of what earlier ones of its chunk add, and they have read before: a
        triangle, which is solved for what does not depend on the start of the chunk, and for the factor of that."""
        blocks = [
            [self._within(state, one.read, [t.negated() for t in other.written], rows, ()) for other in state.fed]
            for one in state.fed
        ]
        triangle = Triangle(self.out, self.places, self.sources, blocks)
        local = triangle.solved(
            [self._within(state, each.read, state.added, rows, {self.sources}) for each in state.fed]
        )
        factors = triangle.solved(
            [
                self._contracted([*map(self._factor, each.read.factors), before], each.read.sums - {*each.read.labels})
                for each in state.fed
            ]
        )
        found = list[_Fed]()
        for each, own, factor in zip(state.fed, local, factors, strict=True):
            written = self._sum([self._up_to_end(term, to_end, ()) for term in each.written])
            found.append(_Fed(each, self._called(own, "read_within"), factor, self._called(written, "writes")))
        return found

    def _sum(self, values: list[Value]) -> Value:
        total = values[0]
        for value in values[1:]:
            total = self.out.emit(Add(), total, value)
        return total

    def _carried(
        self, number: int, state: LinearState, total: Value, added: list[Value], fed: Sequence[_Fed] = ()
    ) -> tuple[Value, Value]:
        """The state at the start of each chunk, and at the end. What is fed back is known then, too."""
        first = self._as(self.scan.node.inputs[number], state.type.with_dtype(self.dtype))
        flat = state.type.rank > 1  # so that the stack of all chunks has them in front
        size = ONE
        for axis in state.type.axes:
            size = size * axis.size
        elements = free_axis("elements", size, {axis.name for axis in state.type.axes})
        if flat:
            first = self.out.emit(Flatten(state.type.axes, elements), first)

        def step(body: Builder, chunk: Value, h: Value) -> tuple[list[Value], list[Value]]:
            def of(value: Value) -> Value:
                return body.emit(Take(self.chunks), value, chunk) if self.chunks in value.type.axes else value

            shaped = body.emit(Unflatten(elements, state.type.axes), h) if flat else h
            next = body.emit(Mul(), shaped, of(total))
            for each in added:
                next = body.emit(Add(), next, of(each))
            read = []
            for one in fed:
                names = dict(zip(state.type.axes, one.source.read.labels, strict=True))
                seen = renamed(body, shaped, [names[axis] for axis in state.type.axes])
                reads = {*seen.type.axes} - {*state.type.axes}
                found = body.emit(Add(), of(one.local), contracted(body, [of(one.factor), seen], reads))
                axes = one.source.value.type.axes
                read.append(laid_out(body, found, (*axes[:1], self.places, *axes[1:])))
                found = body.emit(Rename(self.places, self.sources), read[-1])
                next = body.emit(Add(), next, contracted(body, [of(one.written), found], {self.sources}))
            next = laid_out(body, next, state.type.axes)
            return [body.emit(Flatten(state.type.axes, elements), next) if flat else next], [h, *read]

        end, start, *read = self._loop("chunks", self.chunks, [first], step)
        self._called(end, "end"), self._called(start, "starts")
        for each, value in zip(fed, read, strict=True):
            own = each.source.value
            self.chunked[Factor(own, own.type.axes)] = self._called(value, "read")
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

    # ------------------------------------------------------------ what is read

    def _within(
        self,
        state: LinearState,
        term: ProductTerm,
        added: Collection[ProductTerm],
        rows: Value,
        sums: Collection[Axis],
    ) -> Value:
        """What `term` reads of what a chunk adds, by products of matrices, summed over the labels `sums` besides."""
        names = dict(zip(state.type.axes, term.labels, strict=True))

        def named(value: Value) -> Value:
            return renamed(self.out, value, [names.get(axis, axis) for axis in value.type.axes])

        read, shares = [self._factor(factor) for factor in term.factors], []
        for each in added:
            values = [*read, named(rows), *map(named, self._at_sources(each))]
            share = self._contracted(values, {*term.sums, *each.sums, *sums})
            shares.append(self._called(self._signed(share, each), "within"))
        return self._sum(shares) if shares else self._number(0.0)

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
