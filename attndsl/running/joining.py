"""Several batches as one: each scalar output over all of them, as if they had been computed together.

Most losses are a sum over the batch by a number of what counts in it, and a mean of such means is not the mean over
all: batches in which more counts must weigh more, and several losses weigh by counts of their own. So an output is read
as a linear combination of terms, and each term of each batch gets a weight, by which the terms of all batches add up:

    sum / count           the count here by the count in all batches (a count knows no parameter)
    mean over the batch   the elements here by those in all batches
    sum over the batch    1
    anything else         1 by the number of batches: right for what no batch decides (a penalty on weights); for
                          what is not a sum over examples (a product of means, a largest value), the mean over the
                          batches stands for it; of truths, how often they were true
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from attndsl.graph import Graph, InputInfo, Node, OutputInfo, Region, Value, captured
from attndsl.graph.builder import Builder
from attndsl.lazy import Array, np
from attndsl.ops.arithmetic import Add, Div, Mul, Sub
from attndsl.ops.base import Call
from attndsl.ops.elementwise import Neg, StopGradient
from attndsl.ops.generators import SizeOf
from attndsl.ops.reductions import Mean, Sum
from attndsl.records import Frozen, replace
from attndsl.running import backends
from attndsl.running.inputs import check_inputs
from attndsl.types import FLOAT, Axis, Type

if TYPE_CHECKING:
    from attndsl.running.program import Program

Batch = Mapping[str, "Array"]


class Weight(Frozen):
    """What a term of a batch counts as: a scalar of the graph (`count`), the elements along axes (`over`), or neither:
    as much as in every other batch."""

    count: Value | None = None
    over: tuple[Axis, ...] = ()


class JoinedBatches:
    """`graph` is the given one with an input for each weight, and beside each scalar output another of which the
    values of `weighted` batches add up to that of all batches together."""

    def __init__(self, graph: Graph) -> None:
        self._reading = _Reading(graph)
        self._plain = graph
        taken = {info.name for info in graph.inputs} | {info.name for info in graph.outputs}
        builder = Builder()
        weights: dict[Weight, Value] = {}
        scalars = [info for info in graph.own_outputs if not info.value.type.axes]
        self.names = {info.name: _free(f"{info.name}_joined", taken) for info in scalars}
        made: list[OutputInfo] = []
        used: dict[str, set[Weight]] = {}
        for info in scalars:
            asked: dict[Weight, Value] = {}
            value = self._reading.weighed(info.value, builder, weights, asked)
            used[info.name] = set(asked)
            made.append(OutputInfo(self.names[info.name], value, info.needs))
        self._inputs = {weight: _free(f"weight_{number}", taken) for number, weight in enumerate(weights)}
        self._used = used
        inputs = tuple(InputInfo(self._inputs[weight], value, optional=True) for weight, value in weights.items())
        outputs = tuple(
            replace(joined, needs=joined.needs | {self._inputs[weight] for weight in used[info.name]})
            for info, joined in zip(scalars, made, strict=True)
        )
        self.graph = replace(
            graph,
            inputs=(*graph.inputs, *inputs),
            outputs=(*graph.outputs, *outputs),
            body=Region(
                (*graph.body.parameters, *weights.values()),
                (*graph.body.nodes, *builder.nodes),
                (*graph.body.results, *(info.value for info in outputs)),
            ),
        )

    def scalars(self, batch: Batch) -> tuple[str, ...]:
        """The scalar outputs that such a batch allows, by their own names."""
        return tuple(
            info.name for info in self._plain.own_outputs if info.name in self.names and info.needs <= batch.keys()
        )

    def prepared(
        self, batches: Sequence[Batch], without: Collection[str] = ()
    ) -> tuple[Sequence[Batch], dict[str, str]]:
        """What to run: the batches, and for each scalar output that they allow, `without` some, the output whose values
        add up to it."""
        names = [name for name in self.scalars(batches[0]) if name not in without]
        if len(batches) == 1:
            return batches, {name: name for name in names}
        return self.weighted(batches), {name: self.names[name] for name in names}

    def weighted(self, batches: Sequence[Batch]) -> list[dict[str, Array]]:
        """The batches with their weights."""
        wanted = {weight for name in self.scalars(batches[0]) for weight in self._used[name]}
        found = [dict(batch) for batch in batches]
        for weight, shares in self._shares(wanted, batches).items():
            for batch, share in zip(found, shares, strict=True):
                batch[self._inputs[weight]] = np.asarray(share, np.float64)
        return found

    def _shares(self, wanted: set[Weight], batches: Sequence[Batch]) -> dict[Weight, list[float]]:
        number = len(batches)
        if number == 1:
            return {weight: [1.0] for weight in wanted}
        sizes = [check_inputs(self._plain, batch) for batch in batches]
        every = {name: max(each.get(name, 0) for each in sizes) for name in sizes[0]}
        every |= {name: sum(each[name] for each in sizes) for name in self._reading.batch}
        leaves = self._counted({weight.count for weight in wanted if weight.count is not None}, batches)
        totals = {leaf: np.asarray(sum(arrays)) for leaf, arrays in leaves.items()}
        found: dict[Weight, list[float]] = {}
        for weight in wanted:
            if weight.count is not None:
                parts = [
                    float(self._reading.scalar(weight.count, {leaf: a[i] for leaf, a in leaves.items()}, sizes[i]))
                    for i in range(number)
                ]
                whole = float(self._reading.scalar(weight.count, totals, every))
            elif weight.over:
                parts = [float(math.prod(axis.size.value(each) for axis in weight.over)) for each in sizes]
                whole = sum(parts)
            else:
                parts, whole = [1.0] * number, float(number)
            found[weight] = [part / whole if whole else 0.0 for part in parts]
        return found

    def _counted(self, counts: set[Value], batches: Sequence[Batch]) -> dict[Value, list[Array]]:
        """The sums over each batch that the counts are made of."""
        leaves = list(dict.fromkeys(leaf for count in counts for leaf in self._reading.leaves(count) or ()))
        if not leaves:
            return {}
        names = [self._counting[1][leaf] for leaf in leaves]
        rows = [self._counting[0].run(batch, names) for batch in batches]
        return {leaf: [row[name] for row in rows] for leaf, name in zip(leaves, names, strict=True)}

    @cached_property
    def _counting(self) -> tuple[Program, dict[Value, str]]:
        """A program of the sums that counts are made of, and their names there. It has no parameters."""
        counts = [weight.count for weight in self._inputs if weight.count is not None]
        leaves = list(dict.fromkeys(leaf for count in counts for leaf in self._reading.leaves(count) or ()))
        names = {leaf: f"sum_{number}" for number, leaf in enumerate(leaves)}
        inner = self._reading.needed(leaves)
        graph = replace(
            self._plain,
            inputs=tuple(replace(info, optional=True) for info in self._plain.inputs),
            outputs=tuple(OutputInfo(name, leaf) for leaf, name in names.items()),
            parameters=(),
            states=(),
            body=Region(self._plain.body.parameters, inner, tuple(leaves)),
        )
        return backends.reference().program(graph), names


class _Reading:
    """What is known of the scalars of a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.makers: dict[Value, Node] = {value: node for node in graph.body.nodes for value in node.outputs}
        leading = [info.value.type.axes[0].size.symbols for info in graph.own_inputs if info.value.type.axes]
        self.batch = (frozenset.intersection(*map(frozenset, leading)) if leading else frozenset()) - graph.sizes.keys()
        free = set(graph.free_sizes)
        self.given = {value for value in graph.body.parameters if value.type.axes}  # what a batch decides
        self.learned: set[Value] = set()  # what parameters, or what is drawn, decide
        for node in graph.body.nodes:
            read = (*node.inputs, *(value for region in node.regions for value in captured(region)))
            inner = (node, *(each for region in node.regions for each in region.walk()))
            sized = any(isinstance(each.op, SizeOf) and each.op.size.symbols & free for each in inner)
            if sized or any(v in self.given for v in read) or any(_symbols(v.type) & free for v in node.outputs):
                self.given.update(node.outputs)
            drawn = any(each.op.reads_parameters or each.op.draws for each in inner)
            if drawn or any(value in self.learned for value in read):
                self.learned.update(node.outputs)

    # ------------------------------------------------------------ terms

    def weighed(
        self, value: Value, builder: Builder, weights: dict[Weight, Value], asked: dict[Weight, Value]
    ) -> Value:
        """The scalar with a weight for each of its terms. `weights` has the inputs for all weights, `asked` those of
        this scalar."""

        def by(weight: Weight) -> Value:
            asked[weight] = weights.setdefault(weight, Value(Type(FLOAT)))
            return builder.emit(Mul(), value, asked[weight])

        def again(other: Value) -> Value:
            return self.weighed(other, builder, weights, asked)

        node = self.makers.get(value)
        if node is None or value not in self.given:
            return by(Weight())
        match node.op, node.inputs:
            case (Add() | Sub()) as op, (a, b):
                return builder.emit(op, again(a), again(b))
            case (Neg() | StopGradient()) as op, (a,):
                return builder.emit(op, again(a))
            case Mul() as op, (a, b) if a not in self.given:
                return builder.emit(op, a, again(b))
            case (Mul() | Div()) as op, (a, b) if b not in self.given:
                return builder.emit(op, again(a), b)
            case Div(), (a, b) if self.is_sum(a) and self.leaves(b) is not None:
                return by(Weight(count=b))
            case Mean() as op, _ if self._over_batch(op.over):
                return by(Weight(over=op.over))
            case Sum() as op, _ if self._over_batch(op.over):
                return value
        return by(Weight())

    def is_sum(self, value: Value) -> bool:
        """Whether the values of several batches add up to that of all."""
        node = self.makers.get(value)
        match (node.op, node.inputs) if node is not None else (None, ()):
            case Sum() as op, _:
                return self._over_batch(op.over)
            case ((Add() | Sub()), (a, b)):
                return self.is_sum(a) and self.is_sum(b)
            case ((Neg() | StopGradient()), (a,)):
                return self.is_sum(a)
            case Mul(), (a, b) if a not in self.given:
                return self.is_sum(b)
            case ((Mul() | Div()), (a, b)) if b not in self.given:
                return self.is_sum(a)
        return False

    def _over_batch(self, axes: tuple[Axis, ...]) -> bool:
        return any(axis.size.symbols & self.batch for axis in axes)

    # ------------------------------------------------------------ counts

    def leaves(self, value: Value) -> tuple[Value, ...] | None:
        """The sums over the batch that a count is made of; None where it is not a count: parameters are in it, or
        what is not a sum."""
        node = self.makers.get(value)
        if node is None or value in self.learned or node.regions:
            return None
        if isinstance(node.op, Sum) and node.inputs[0].type.axes:
            return (value,) if self._over_batch(node.op.over) else None
        found: list[Value] = []
        for operand in node.inputs:
            inner = self.leaves(operand) if not operand.type.axes else None
            if inner is None:
                return None
            found += inner
        return tuple(found)

    def scalar(self, value: Value, leaves: Mapping[Value, Array], sizes: Mapping[str, int]) -> Array:
        """The value of a count where these are its sums and sizes."""
        if value in leaves:
            return leaves[value]
        node = self.makers[value]
        call = Call(tuple(v.type for v in node.inputs), value.type, {**self.graph.sizes, **sizes}, "float64")
        return np.asarray(node.op.evaluate(call, *(self.scalar(operand, leaves, sizes) for operand in node.inputs)))

    def needed(self, values: Sequence[Value]) -> tuple[Node, ...]:
        """The nodes that lead to some values, in order."""
        wanted, found = set(values), []
        for node in reversed(self.graph.body.nodes):
            if wanted.intersection(node.outputs):
                found.append(node)
                wanted.update(node.inputs, *(captured(region) for region in node.regions))
        return tuple(reversed(found))


def _symbols(type: Type) -> set[str]:
    return {symbol for axis in type.axes for symbol in axis.size.symbols}


def _free(name: str, taken: set[str]) -> str:
    """The name, or one like it that nothing has yet."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name
