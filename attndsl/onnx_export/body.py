"""A graph's nodes, one after the other, as nodes of ONNX.

A `repeat` is unrolled: each round has its own parameters and its own names, as other tools expect. A `scan` is a
`Loop`, since its length is known when the file runs.
"""

from __future__ import annotations

from collections.abc import Iterable

from attndsl.graph import Node, Region, Type, Value
from attndsl.onnx_export import fused, movement, pointwise, products, reductions
from attndsl.onnx_export.lengths import Lengths
from attndsl.onnx_export.loops import looped
from attndsl.onnx_export.pointwise import Rule
from attndsl.onnx_export.site import OnnxSite, in_order
from attndsl.onnx_export.writer import OnnxWriter, Tensor, dtype_of
from attndsl.ops import OPS, Given, InTraining, Op, Repeat, Scan, SolveTriangular
from attndsl.ops.control import stacked_at

RULES: dict[type[Op], Rule] = {**pointwise.RULES, **movement.RULES, **reductions.RULES, **products.RULES, **fused.RULES}

WITHOUT_RULE: dict[type[Op], str] = {
    Given: "which inputs the file takes is decided before it is written",
    InTraining: "the file is of the model in use",
    Repeat: "a body: unrolled, or a loop",
    Scan: "a body: a loop",
    SolveTriangular: "a scan goes step by step",
    **{op: "the file is of one device" for op in OPS.values() if op.across_devices},
}
"""The ops that need none, and why."""


class OnnxBody:
    """Writes regions. `values` are the names of what has been written."""

    def __init__(self, writer: OnnxWriter, lengths: Lengths) -> None:
        self.writer, self.lengths = writer, lengths
        self.values: dict[Value, str] = {}
        self._last: tuple[str, list[Value]] | None = None  # the last result, and all values that are this one

    def apply(self, op: Op, inputs: tuple[Tensor, ...], output: Type) -> str:
        """The name of what `op` gives."""
        return RULES[type(op)](OnnxSite(self.writer, self.lengths, op, inputs, output, self.apply))

    def region(self, region: Region, given: Iterable[str]) -> list[str]:
        """Write a body, and give the names of its results."""
        self.values.update(zip(region.parameters, given, strict=True))
        for node in region.nodes:
            self.writer.node = node
            if node.active:
                raise NotImplementedError("ONNX has no repeat that is active in some steps alone")
            if isinstance(node.op, Repeat) and self.lengths.number(node.op.count) is not None:
                self._unrolled(node, node.op)
            elif isinstance(node.op, Repeat | Scan):
                self._loop(node, node.op)
            else:
                self._node(node)
        return [self.values[value] for value in region.results]

    def _node(self, node: Node) -> None:
        inputs = tuple(Tensor(self.values[value], value.type) for value in node.inputs)
        name = self.apply(node.op, inputs, node.output.type)
        if self._last is None or self._last[0] != name:
            self._last = name, []
        self._last[1].append(node.output)
        if node.output.names:
            name = self.writer.named(name, self.writer.address(node.output.names[-1]))
            self._last = name, self._last[1]
        self.values.update(dict.fromkeys(self._last[1], name))

    # ------------------------------------------------------------ loops

    def _unrolled(self, node: Node, op: Repeat) -> None:
        writer, outer = self.writer, self.writer.loops
        carried = [self.values[value] for value in node.inputs]
        stacks: list[list[str]] = [[] for _ in op.stacked]
        for i in range(self.lengths.number(op.count) or 0):
            writer.loops = {**outer, op.path: i}
            body = node.regions[op.cases[i] if op.cases else 0]
            results = self.region(body, [writer.constant(i, "int64"), *carried])
            carried = results[: op.carried]
            for stack, name in zip(stacks, results[op.carried :], strict=True):
                stack.append(name)
        writer.loops, writer.node = outer, node
        self.values.update(zip(node.outputs, carried, strict=False))
        for value, names in zip(node.outputs[op.carried :], stacks, strict=True):
            self.values[value] = self._stacked(value.type, names)

    def _stacked(self, type: Type, names: list[str]) -> str:
        """Emissions side by side along the axis of the rounds."""
        emit, at = self.writer.emit, max(type.rank - 2, 0)
        if not names:
            zero = self.writer.constant(0, dtype_of(type))
            return emit("Expand", zero, self.lengths.shape([axis.size for axis in type.axes]))
        return emit("Concat", *[emit("Unsqueeze", name, self.writer.ints(at)) for name in names], axis=at)

    def _loop(self, node: Node, op: Repeat | Scan) -> None:
        writer, (body,) = self.writer, node.regions
        rounds = self.lengths.scalar(op.count if isinstance(op, Repeat) else op.axis.size)
        backwards = isinstance(op, Scan) and op.reverse

        def step(i: str, carried: list[str]) -> list[Tensor]:
            if backwards:
                i = writer.emit("Sub", writer.emit("Sub", rounds, writer.constant(1, "int64")), i)
            results = self.region(body, [i, *carried])
            writer.node = node
            return [Tensor(name, value.type) for name, value in zip(results, body.results, strict=True)]

        first = [Tensor(self.values[value], value.type) for value in node.inputs]
        names = looped(writer, self.lengths, writer.address(op.path), rounds, first, step)
        self.values.update(zip(node.outputs, names, strict=True))
        for value, name in zip(node.outputs[op.carried :], names[op.carried :], strict=True):
            self.values[value] = self._laid(op, value.type, name, backwards)

    def _laid(self, op: Repeat | Scan, type: Type, name: str, backwards: bool) -> str:
        """A stack of emissions, which `Loop` gives with the rounds in front and in their order."""
        at = stacked_at(Type(type.dtype, type.axes[1:]))
        site = OnnxSite(self.writer, self.lengths, op, (), type, self.apply)
        if backwards:
            name = movement.flipped(site, name, 0)
        order = (type.axes[at], *type.axes[:at], *type.axes[at + 1 :])
        return in_order(site, site.reshaped(name, order), order, type.axes)  # no rounds, no lengths of a round
