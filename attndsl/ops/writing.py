"""The primitive that puts values into a memory, which passes make: what a model keeps of a text as it reads on."""

from __future__ import annotations

from attndsl.lazy import Array, np
from attndsl.ops.arrays import places
from attndsl.ops.base import Call, Mismatch, Op
from attndsl.ops.pieces import Take, in_range
from attndsl.records import dataclass
from attndsl.types import Axis, Type


@dataclass(frozen=True, slots=True)
class Write(Op):
    """The memory with `values` at the places along `over` that `index` says; elsewhere it is as it was. Axes of the
    index that the memory has too are aligned (places for each row), the others are those of what is written. It gives
    what `Take` with the same index gives back. Where several go to one place, one of them is kept; an index that is
    negative or too large is an error (E0801); it never wraps around."""

    name = "write"
    fails = True
    operands = ("memory", "values", "index")
    keeps = (2,)
    noun = "memory"
    role = "none"
    over: Axis

    @property
    def caption(self) -> str:
        return f"write along {self.over.name}"

    def infer(self, memory: Type, values: Type, index: Type) -> Type:
        taken = Take(self.over).infer(memory, index)
        if values.dtype != memory.dtype or set(values.axes) != set(taken.axes):
            raise Mismatch("E0203", f"`{self.name}` puts `{values}` where `{taken}` stands", (1, 0))
        return memory

    def _plan(self, call: Call) -> tuple[tuple[Axis, ...], tuple[Axis, ...], tuple[Axis, ...]]:
        """The axes that memory and index share, those that the index brings, and the memory's others."""
        rest, index = call.inputs[0].without(self.over).axes, call.inputs[2].axes
        shared = tuple(axis for axis in rest if axis in index)
        return shared, tuple(axis for axis in index if axis not in shared), tuple(a for a in rest if a not in shared)

    def _places(self, call: Call, memory: Array, index: Array) -> tuple[Array, tuple[Array, ...]]:
        """The memory laid out as [shared, over, others], and the index of what is written in it."""
        in_range(index, call.length(self.over.size), self.over)
        shared, new, others = self._plan(call)
        ordered = memory.transpose(places(call.inputs[0].axes, (*shared, self.over, *others)))
        at = index.transpose(places(call.inputs[2].axes, (*shared, *new)))
        rows = np.indices(at.shape, sparse=True)[: len(shared)]
        return ordered, (*rows, at)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        memory, values, index = arrays
        shared, new, others = self._plan(call)
        result = memory.copy()
        ordered, at = self._places(call, result, index)
        ordered[at] = values.transpose(places(call.inputs[1].axes, (*shared, *new, *others)))
        return result

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        """Of the memory where nothing was written, of the values where they are (as if each was kept)."""
        shared, new, others = self._plan(call)
        for_memory = upstream.copy()
        ordered, at = self._places(call, for_memory, arrays[2])
        axes = (*shared, *new, *others)
        for_values = ordered[at].transpose(places(axes, call.inputs[1].axes)) if call.needs(1) else None
        ordered[at] = 0
        return (for_memory if call.needs(0) else None, for_values, None)


__all__ = ["Write"]
