"""Finds the work of a step of training in a graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attndsl.graph import Axis, Graph, Node, Region, Value
from attndsl.graph.kept import KeptValues
from attndsl.layouts import Layout
from attndsl.layouts.classes import Place
from attndsl.ops import (
    Attention,
    Convolution,
    GroupedDot,
    LinearCrossEntropy,
    LogSoftmax,
    Parameter,
    Repeat,
    Scan,
    Sliding,
    Take,
)
from attndsl.passes.base import Pass
from attndsl.passes.decide import Decide
from attndsl.passes.fuse_attention import FuseAttention
from attndsl.passes.fuse_cross_entropy import FuseCrossEntropy
from attndsl.passes.pipeline import RECOGNISED, optimize
from attndsl.planning.axes import Dimensions
from attndsl.planning.going_back import GoingBack
from attndsl.planning.work import (
    EXPERTS,
    INNER,
    KERNELS,
    OTHER,
    ROUTED,
    TOKENS,
    Attending,
    Extent,
    Keeping,
    Passing,
    Product,
    Segment,
    Workload,
)
from attndsl.sizes import Size
from attndsl.types import BYTES


def work_of(
    graph: Graph, *, materialised: bool = False, chunked: bool = False, layout: Layout | None = None
) -> Workload:
    """What a step of training does. With `materialised`, attention's scores are written to memory, as before
    FlashAttention (Dao et al., 2022). If the loss is `chunked`, nothing else is computed, and the scores of words are
    there for some rows at a time, unless the layout divides words. Without a layout, all is divided that can be inside
    of layers. How long this takes does not depend on how often a body runs."""
    graph, _ = Decide(training=True).run(graph)
    if chunked:
        graph = graph.giving(
            [info.name for info in graph.own_outputs if info.value.type.is_float and not info.value.type.axes]
        )
    without: tuple[type[Pass], ...] = (FuseAttention,) if materialised else ()
    made, dimensions = _recognised(graph, layout, without)
    for node in made.body.walk():
        if isinstance(node.op, LinearCrossEntropy):
            if dimensions.find(node.inputs[1], node.op.over) in dimensions.inner:
                made, dimensions = _recognised(graph, layout, (*without, FuseCrossEntropy))
            break
    return _Reader(made, dimensions).read()


def _recognised(graph: Graph, layout: Layout | None, without: tuple[type[Pass], ...]) -> tuple[Graph, Dimensions]:
    made, _ = optimize(graph, verify=False, passes=[step for step in RECOGNISED if not isinstance(step, without)])
    return made, Dimensions(made, layout)


def _behind_products(graph: Graph) -> frozenset[Value]:
    """The values of the outermost body that are made after its last product and its last loop, and logarithms of
    probabilities before that: there may be several losses."""
    nodes = graph.body.nodes
    last = max((i for i, node in enumerate(nodes) if node.op.contracts or node.regions), default=len(nodes))
    losses = (node for i, node in enumerate(nodes) if i > last or isinstance(node.op, LogSoftmax))
    return frozenset(value for node in losses for value in node.outputs)


def _chained(node: Node | None) -> bool:
    """Whether it can be a part of a kernel that computes several operations row by row."""
    return node is not None and not node.regions and (node.op.pointwise or node.op.by_rows)


class _Reader:
    def __init__(self, graph: Graph, dimensions: Dimensions) -> None:
        self.graph = graph
        self.dimensions = dimensions
        self.kept = KeptValues(graph.parameters)
        self.parameters: dict[Value, str] = {}
        self.base: dict[Value, Value] = {}
        self.makers: dict[Value, Node] = {}
        self.readers: dict[Value, list[Node]] = {}
        self.numbers: dict[Value, int] = {}
        self.around: Extent = ()  # how often a body inside of a segment runs
        self.home: dict[Value, Segment] = {}
        self.rounds: set[Segment] = set()  # those of repeats
        self.read_again: list[tuple[Segment, Value, int]] = []  # by the backward pass, with the bytes of an element
        self.sizes: dict[str, set[Size]] = {INNER: set(), EXPERTS: set(), TOKENS: set()}
        self.loss = _behind_products(graph)
        self.back = GoingBack(self.kept.trains)
        for node in graph.body.walk():
            for value in node.inputs:
                self.readers.setdefault(value, []).append(node)
            for value in node.outputs:
                self.makers[value] = node

    def read(self) -> Workload:
        for info in self.graph.inputs:
            self.kept.ignore(info.value)
        segments = list(self._segments(self.graph.body))
        self._weights(segments)
        self._keep()
        for segment in segments:
            segment.back = self.back.steps(segment, self._extent, lambda value: self._base(value) in self.parameters)
        sizes = {kind: tuple(found) for kind, found in self.sizes.items()}
        return Workload(self.graph, tuple(segments), self.dimensions, sizes)

    # ------------------------------------------------------------ segments

    def _segments(self, region: Region) -> Iterator[Segment]:
        segment = Segment("before", 1)
        names = iter(("between", "between_2", "between_3", "between_4"))
        nodes = list(region.nodes)
        last = max((i for i, node in enumerate(nodes) if isinstance(node.op, Repeat)), default=-1)
        for number, node in enumerate(nodes):
            if not isinstance(node.op, Repeat):
                self._node(segment, node)
                continue
            yield segment
            yield from self._rounds(node)
            segment = Segment("after" if number == last else next(names, "between"), 1)
        yield segment

    def _rounds(self, node: Node) -> Iterator[Segment]:
        """A repeat: a segment for each of its bodies, in the order in which they run first."""
        assert isinstance(node.op, Repeat)
        bodies = []
        for case, region in enumerate(node.regions):
            rounds = node.op.rounds(case, self.graph.sizes)
            if not len(rounds):
                continue
            name = node.op.label + (f" {case + 1}" if len(node.regions) > 1 else "")
            segment = Segment(name, len(rounds), carried=[self._extent(v) for v in node.inputs if v.type.is_float])
            self.rounds.add(segment)
            self.home.update(dict.fromkeys(region.parameters, segment))
            self.kept.enter(region, node)
            for inner in region.nodes:
                self._node(segment, inner)
            bodies.append((rounds[0], segment))
        yield from (segment for _, segment in sorted(bodies, key=lambda pair: pair[0]))

    def _weights(self, segments: list[Segment]) -> None:
        """Give each segment the parameters that it is the first to read; those of a body are one round's. What all
        rounds share is there once, before them."""
        seen: set[tuple[str, Segment | None]] = set()
        by_address = {info.address: info for info in self.graph.parameters}
        for value, address in self.parameters.items():
            info, segment = by_address[address], self.home[value]
            own = segment in self.rounds and bool(info.layers)
            key = (address, segment if own else None)
            if key in seen:
                continue
            seen.add(key)
            extent = self._extent(value)
            if not own:
                segment = segment if segment not in self.rounds else segments[0]
                extent = ((Size.of(info.copies), OTHER), *extent)
                for reader in self._real_readers(value):
                    if reader is not None and self.home[reader.outputs[0]] is not segment:
                        self.home[reader.outputs[0]].others.append(self._extent(value))
            segment.weights.append(extent)

    # ------------------------------------------------------------ nodes

    def _node(self, segment: Segment, node: Node) -> None:
        for value in node.outputs:
            self.home[value] = segment
        if isinstance(node.op, Parameter):
            self.parameters[node.output] = node.op.address
        for region in node.regions:
            self.kept.enter(region, node)
            around = self.around
            assert isinstance(node.op, (Repeat, Scan))
            self.around = (*around, (node.op.count if isinstance(node.op, Repeat) else node.op.axis.size, OTHER))
            for inner in region.nodes:
                self._node(segment, inner)
            self.around = around
        read = self.kept.of(node)
        self.read_again += [(segment, value, size) for value, size in read]
        if node.op.keeps_beside and self.kept.trains(node.output):
            parts = Keeping(self._all(node.output), BYTES[node.output.type.dtype], "other", False, False)
            segment.kept["eager"] += [parts] * node.op.keeps_beside
        self.back.note(segment, node, read)
        if node.regions or not node.output.type.is_float:
            return
        if node.op.view:
            self.base[node.output] = self._base(node.inputs[0])
        elif node.op.summed:
            segment.products.append(self._product(node))
            segment.ahead += [self._extent(node.inputs[i]) for i in node.op.ahead if self.kept.trains(node.inputs[i])]
        elif isinstance(node.op, Attention):
            segment.attentions.append(each := self._attention(node))
            if node.op.biased and self.kept.trains(node.inputs[3 + node.op.masked]):  # no kernel has its gradient
                weights = Keeping((*each.queries, *each.keys), BYTES[node.output.type.dtype], "other", True, False)
                segment.kept["eager"].append(weights)
        elif node.inputs and not node.op.free:
            if isinstance(node.op, Take) and node.inputs[0] in self.parameters:
                segment.lookups.append(self._extent(node.output))
            segment.passings.append(self._passing(node))

    def _base(self, value: Value) -> Value:
        return self.base.get(value, value)

    def _keep(self) -> None:
        """Say of each segment what it keeps: what gradients read, or what that can be made of again."""
        for kernels in KERNELS:
            kept: dict[tuple[Value, int], Segment] = {}
            for segment, value, size in self.read_again:
                again = value.type.is_float and size != 1  # where dropout struck cannot be found out again
                for source in self._sources(value, kernels) if again else (value,):
                    kept.setdefault((source, size), self.home.get(source, segment))
            for (value, size), segment in kept.items():
                extent = self._extent(value)
                segment.kept[kernels].append(
                    Keeping(extent, size, self._maker(value), self._scores(extent), value in self.loss)
                )

    def _sources(self, value: Value, kernels: str) -> Iterator[Value]:
        """What a value is kept as: itself, or what a kernel makes it of once more."""
        value = self._base(value)
        node = self.makers.get(value)
        cheap = node is not None and not node.regions and node.inputs and (
            node.op.pointwise or node.op.by_rows or node.op.moves
        )  # fmt: skip
        again = cheap and (kernels == "compiled" or (kernels == "fused" and self._inside(value)))
        if not again or node is None or self.home.get(value) not in self.rounds:
            if value not in self.parameters:
                yield value
            return
        for operand in node.inputs:
            if operand.type.is_float and operand.type.axes:
                yield from self._sources(operand, kernels)

    def _maker(self, value: Value) -> str:
        node = self.makers.get(value)
        if node is None or node.regions or not node.op.contracts:
            return "other"
        return "attention" if isinstance(node.op, Attention) else "product"

    # ------------------------------------------------------------ pieces

    def _extent(self, value: Value) -> Extent:
        return self._of(value, value.type.axes)

    def _all(self, value: Value) -> Extent:
        """Its extent in all rounds of the bodies that it stands in, within a segment."""
        return (*self.around, *self._extent(value))

    def _of(self, value: Value, axes: Iterable[Axis]) -> Extent:
        return tuple((axis.size, self._kind(self.dimensions.find(value, axis), axis)) for axis in axes)

    def _kind(self, place: Place, axis: Axis) -> str:
        d = self.dimensions
        kinds = ((INNER, d.inner), (EXPERTS, d.experts), (ROUTED, d.routed), (TOKENS, {d.tokens}))
        kind = next((kind for kind, places in kinds if place in places), OTHER)
        if kind in self.sizes:
            self.sizes[kind].add(axis.size)
        return kind

    @staticmethod
    def _scores(extent: Extent) -> bool:
        return sum(kind == TOKENS for _, kind in extent) > 1

    def _source(self, value: Value) -> int:
        return self.numbers.setdefault(self._base(value), len(self.numbers))

    def _product(self, node: Node) -> Product:
        (left, right, *_), over = node.inputs, node.op.summed
        weight = self._base(right) in self.parameters or self._base(left) in self.parameters
        if self._base(left) in self.parameters and not isinstance(node.op, GroupedDot | Sliding):
            left, right = right, left
        both = [axis for axis in left.type.axes if axis in right.type.axes and axis not in over]
        group = [node.op.group] if isinstance(node.op, GroupedDot) else []
        own = [axis for axis in right.type.axes if axis not in over and axis not in both]
        columns = [axis for axis in own if axis not in group]
        windows = node.output if isinstance(node.op, Convolution) else left  # of an input, as they stand in the result
        sliding = (left, node.output) if isinstance(node.op, Sliding) else ()
        return Product(
            batch=self._of(right, group) if group else self._of(left, both),
            rows=self._of(windows, [axis for axis in windows.type.axes if axis not in right.type.axes]),
            columns=self._of(right, columns),
            summed=self._of(right, over),
            weight=weight,
            source=self._source(left),
            grouped=bool(group),
            ends=all(self.dimensions.find(right, axis) in self.dimensions.stream for axis in columns),
            times=self.around,
            sliding=tuple(map(self._extent, sliding)),
        )

    def _attention(self, node: Node) -> Attending:
        q, k, v, *_ = node.inputs
        op = node.op
        assert isinstance(op, Attention)
        own = [axis for axis in v.type.axes if axis in node.output.type.axes and axis not in q.type.axes]
        visible = "causal" if op.mask.causal else "window" if op.mask.window is not None else "all"
        return Attending(
            queries=self._of(q, [axis for axis in q.type.axes if axis not in op.contract]),
            keys=self._of(k, [op.over]),
            head=self._of(q, op.contract),
            value=self._of(v, own),
            visible=visible,
            window=op.mask.window,
            memory=(self._extent(k), self._extent(v)),
        )

    def _passing(self, node: Node) -> Passing:
        floats = [v for v in node.inputs if v.type.is_float and v.type.axes and self._base(v) not in self.parameters]
        return Passing(
            read=tuple(map(self._all, floats)),
            written=(self._all(node.output),),
            inside_read=tuple(map(self._inside, floats)),
            inside_written=self._inside(node.output),
            scores=self._scores(self._extent(node.output)) or any(self._scores(self._extent(v)) for v in floats),
            loss=node.output in self.loss,
        )

    def _inside(self, value: Value) -> bool:
        """Whether one kernel makes a value and uses it, where chains are fused: nothing else reads it."""
        base = self._base(value)
        readers = list(self._real_readers(base))
        return _chained(self.makers.get(base)) and len(readers) == 1 and _chained(readers[0])

    def _real_readers(self, value: Value) -> Iterator[Node | None]:
        """Who reads a value, through what only renames or reorders it; None stands for the end of a body."""
        readers = self.readers.get(value, [])
        if not readers:
            yield None
        for node in readers:
            if node.op.view and node.outputs:
                yield from self._real_readers(node.output)
            else:
                yield node
