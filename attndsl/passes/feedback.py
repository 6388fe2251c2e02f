"""What a step reads of a state and adds to it again: `S - b (S k) k`, the delta rule (Widrow and Hoff, 1960; Schlag et
al., 2021).

Such a step multiplies the state with a matrix that is no more than a product of two vectors beside the decay. With
`u = S k` known in all steps of a chunk, it is a step that adds `- b u k`, like any other; and u depends on the u of
earlier steps of the chunk alone, so that a triangle of numbers is solved for it (Bischof and Van Loan, 1987; Yang et
al., 2024, "Parallelizing linear transformers with the delta rule over sequence length", section 3.2).
"""

from __future__ import annotations

from collections.abc import Iterable

from attndsl.graph import Axis, Type, Value
from attndsl.passes.linear import Factor, ProductTerm
from attndsl.records import Frozen, replace


class Feedback(Frozen, eq=False):
    """`value` stands for what a step reads of the state that it finds: `read`. It adds the terms `written` times that.
    `over` are the axes of the state over which it sums."""

    value: Value
    over: tuple[Axis, ...]
    read: ProductTerm
    written: tuple[ProductTerm, ...]

    @property
    def added(self) -> tuple[ProductTerm, ...]:
        """What is added, with what is read among the factors."""
        own = Factor(self.value, self.value.type.axes)
        return tuple(replace(term, factors=(own, *term.factors)) for term in self.written)


def feedbacks(state: Value, terms: Iterable[ProductTerm]) -> tuple[Feedback, ...] | ProductTerm:
    """The terms of a step in which the state is summed over, all along the same axes, by what they read of it; or one
    that multiplies it with a matrix that is no product of what reads and what is written."""
    found: dict[tuple[object, ...], Feedback] = {}
    for term in terms:
        over = tuple(axis for axis, label in zip(state.type.axes, term.labels, strict=True) if axis != label)
        for axis, label in zip(state.type.axes, term.labels, strict=True):
            if axis != label and label not in term.sums:
                return term
            read_as = axis.named(f"{axis.name}'read")
            if axis != label:
                term = replace(term.relabelled(label, read_as), sums=term.sums - {label} | {read_as})
        reads = {label for label in term.labels if label not in state.type.axes}
        reading = tuple(factor for factor in term.factors if not reads.isdisjoint(factor.labels))
        writing = tuple(factor for factor in term.factors if factor not in reading)
        inside = {label for factor in reading for label in factor.labels} | reads
        others = any(each.over != over for each in found.values())
        if others or inside & {*over} or any(inside & term.sums - reads & {*factor.labels} for factor in writing):
            return term
        read = ProductTerm(state, term.labels, reading, term.sums & inside)
        written = ProductTerm(None, (), writing, term.sums - inside, term.sign)
        key = (read.labels, frozenset(read.factors), len(read.factors), read.sums)
        rest = tuple(axis for axis in state.type.axes if axis not in over)
        first = found.get(key) or Feedback(Value(Type(state.type.dtype, rest)), over, read, ())
        found[key] = replace(first, written=(*first.written, written))
    return tuple(found.values())
