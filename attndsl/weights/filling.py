"""Published tensors into parameters, one after the other: of many files no more is in memory than one tensor and what
is made of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from attndsl.graph import Graph
from attndsl.lazy import Array, np
from attndsl.records import Frozen
from attndsl.storage.deferred import Deferred, stating
from attndsl.weights.forms import Form
from attndsl.weights.stacks import parts_of

if TYPE_CHECKING:
    from attndsl.weights.sources import WeightsSource


class Filler(Frozen, eq=False):
    """A value of `form` in the files: the sum of these tensors."""

    form: Form
    names: tuple[str, ...]

    def read(self, source: WeightsSource) -> Iterator[tuple[str, Array]]:
        """The parameters that it fills, by address as files have them; views of one array, where that will do."""
        first, *others = self.names
        published = as_float(source.read(first))
        for name in others:
            published = published + as_float(source.read(name))
        return self.form.invert(published)


def filled(graph: Graph, source: WeightsSource, makers: Mapping[str, Filler]) -> Deferred:
    """The parameters by address, in the graph's order, and the states that all rows share; without those that lack
    something. `makers` say what fills them, by their addresses in files."""
    plan = _Plan(graph, source, makers)
    return Deferred(plan.stated, plan.made, plan.through)


class _Plan:
    """`pieces` are the addresses in files of what is one array here: that of several layers among which an index
    chooses, or that address alone."""

    def __init__(self, graph: Graph, source: WeightsSource, makers: Mapping[str, Filler]) -> None:
        self.source, self.makers = source, makers
        self.parts = parts_of(graph)
        pieces: dict[str, list[str]] = {}
        for address, part in self.parts.items():
            pieces.setdefault(part.whole, []).append(address)
        shapes = {address: part.info.type.shape(graph.sizes) for address, part in self.parts.items()}
        states = {a: info.type.shape(graph.sizes) for info in graph.shared_states for a in info.addresses()}
        pieces |= {address: [address] for address in states}
        self.pieces = {whole: some for whole, some in pieces.items() if all(address in makers for address in some)}
        self.stated = {whole: self._stated(some, {**shapes, **states}) for whole, some in self.pieces.items()}

    def _stated(self, pieces: Sequence[str], shapes: Mapping[str, tuple[int, ...]]) -> Array:
        wide = any(self.source.entry(name).dtype == "F64" for each in pieces for name in self.makers[each].names)
        counts = tuple(at + 1 for at in self._index(pieces[-1]))
        return stating((*counts, *shapes[pieces[0]]), np.float64 if wide else np.float32)

    def _index(self, address: str) -> tuple[int, ...]:
        """Where it stands in the array that it is a piece of."""
        return self.parts[address].index if address in self.parts else ()

    def made(self, whole: str) -> Array:
        return dict(self._made([self.makers[address] for address in self.pieces[whole]], [whole]))[whole]

    def through(self) -> Iterator[tuple[str, Array]]:
        return self._made(self.makers.values(), self.pieces)

    def _made(self, fillers: Iterable[Filler], wanted: Iterable[str]) -> Iterator[tuple[str, Array]]:
        """What is `wanted` of what these fill, each as soon as all of it is there."""
        whole_of = {address: whole for whole in wanted for address in self.pieces[whole]}
        left = {whole: len(self.pieces[whole]) for whole in whole_of.values()}
        begun: dict[str, Array] = {}
        for filler in dict.fromkeys(fillers):
            for address, array in filler.read(self.source):
                if address not in whole_of or self.makers[address] is not filler:
                    continue
                whole, index = whole_of.pop(address), self._index(address)
                if not index:
                    yield whole, owned(array)
                    continue
                if whole not in begun:
                    begun[whole] = np.empty(self.stated[whole].shape, self.stated[whole].dtype)
                begun[whole][index] = array
                left[whole] -= 1
                if not left[whole]:
                    yield whole, begun.pop(whole)


def as_float(array: Array) -> Array:
    """Real numbers as parameters have them: float16 as float32, and in the byte order of this machine."""
    with np.errstate(invalid="ignore"):  # a signalling NaN is not a reason to speak up here
        wide = np.float32 if array.dtype.itemsize == 2 else array.dtype.newbyteorder("=")
        return array.astype(wide, copy=False)


def owned(array: Array) -> Array:
    """In fresh, contiguous memory of its own: results must not depend on how a file aligns its tensors."""
    return array if array.base is None and array.flags.c_contiguous else array.copy(order="C")
