"""What is computed in float32 at least, whatever the module computes in, and where it meets the rest.

Positions, distances, counts and lengths are whole numbers, given or computed, and bfloat16 cannot tell 257 from 256. So
floats that are made of whole numbers alone (sines, slopes, shares) are calculated in float32 (float64 in a module of
that), and brought to the module's dtype where they meet its data. What is only converted or moved on its way there
loses nothing by being narrow from the start.

Data are computed so where `precision.precise_values` says. A narrow value that such a computation reads is brought to
float32 once, where it is made.
"""

from __future__ import annotations

from collections.abc import Sequence

from attndsl import ops
from attndsl.backends.pytorch.precision import precise_values
from attndsl.backends.pytorch.special import Narrow
from attndsl.graph import FLOAT, FLOAT32, Node, Region, Value
from attndsl.records import replace

# What gives its operands' numbers as they are, besides what moves them. Any other operator calculates.
EXACT = (ops.Constant, ops.Cast, ops.OneHot, ops.Where, ops.OneOf, ops.StopGradient)


def widened(body: Region) -> tuple[Region, frozenset[Value]]:
    """The body with a conversion wherever a value that is computed in float32 at least meets others, and all such
    values."""
    widening = _Widening(body)
    if not (widening.whole or widening.precise):
        return body, frozenset()
    return widening.region(body, ()), frozenset({*widening.whole, *widening.precise, *widening.wide.values()})


def _of_whole_numbers(node: Node, made: set[Value]) -> bool:
    """Whether the node computes something from whole numbers alone; `made` are the floats that are."""
    if node.regions or node.op.reads_parameters or node.op.draws:
        return False
    return all(not value.type.is_float or value in made for value in node.inputs)


def _find(region: Region, made: set[Value]) -> None:
    for node in region.nodes:
        for inner in node.regions:
            _find(inner, made)
        if _of_whole_numbers(node, made) and node.output.type.is_float:
            made.add(node.output)


def _widen_results(region: Region, made: set[Value], wide: set[Value]) -> None:
    """Add to `wide` what is calculated, and what is made of that."""
    for node in region.nodes:
        for inner in node.regions:
            _widen_results(inner, made, wide)
        calculates = not (node.op.moves or isinstance(node.op, EXACT)) or any(value in wide for value in node.inputs)
        if calculates and not node.regions and node.output in made:
            wide.add(node.output)


def _widen_operands(region: Region, made: set[Value], wide: set[Value]) -> None:
    """Add to `wide` what something is calculated from. A comparison, or a rounding to an int, calculates too."""
    for node in reversed(region.nodes):
        for inner in reversed(node.regions):
            _widen_operands(inner, made, wide)
        if _of_whole_numbers(node, made) and (not node.output.type.is_float or node.output in wide):
            wide.update(value for value in node.inputs if value in made)


class _Widening:
    """`whole` are the wide floats made of whole numbers, `precise` other values that are computed so; `narrow` and
    `wide` have what a value is in the module's dtype, and in float32."""

    def __init__(self, body: Region) -> None:
        self.made: set[Value] = set()
        _find(body, self.made)
        self.whole: set[Value] = set()
        _widen_results(body, self.made, self.whole)
        _widen_operands(body, self.made, self.whole)
        self.precise = precise_values(body)
        self.constants = {node.output for node in body.walk() if isinstance(node.op, ops.Constant)}
        self.narrow: dict[Value, Value] = {}
        self.wide: dict[Value, Value] = {}
        for node in body.walk():
            if isinstance(node.op, (ops.Repeat, ops.Scan)):
                for region in node.regions:
                    self._ask(region.parameters[1:], node.starts)
                    self._ask(node.outputs, region.results)
            elif not self._is_whole(node) and node.output in self.precise:
                narrow = self._narrow_operands(node)
                self._ask((node.output,) * len(narrow), narrow)

    def _is_whole(self, node: Node) -> bool:
        whole = _of_whole_numbers(node, self.made)
        return whole and (not node.output.type.is_float or node.output in self.whole)

    def _is_wide(self, value: Value) -> bool:
        return value in self.whole or value in self.precise

    def _narrow_operands(self, node: Node) -> tuple[Value, ...]:
        """The operands of a node with a precise result that must be brought to float32 first: in elementwise arithmetic
        one that is no scalar, as torch does the same to the others then."""
        if isinstance(node.op, ops.Cast):
            return ()
        found = tuple(v for v in node.inputs if v.type.is_float and v not in self.constants)
        tensors = [value for value in found if value.type.axes] if node.op.pointwise else []
        if any(map(self._is_wide, tensors)):
            return ()
        return tuple(tensors[:1]) or found

    def _ask(self, takers: Sequence[Value], given: Sequence[Value]) -> None:
        """Provide for what is `given` to `takers` in float32, if they are precise."""
        for taker, value in zip(takers, given, strict=True):
            if taker in self.precise and value.type.is_float and not self._is_wide(value):
                self.wide.setdefault(value, Value(value.type.with_dtype(FLOAT32), value.names))

    def region(self, region: Region, takers: Sequence[Value]) -> Region:
        """The region, whose results are given to `takers` (the model's outputs, where there are none)."""
        nodes: list[Node] = []
        for parameter in region.parameters:
            nodes += self._copies(parameter, None)
        for node in region.nodes:
            nodes.append(self._node(node))
            for value in node.outputs:
                nodes += self._copies(value, node)
        results = [
            self._given(value, takers[i] in self.precise if takers else False) for i, value in enumerate(region.results)
        ]
        return Region(region.parameters, tuple(nodes), tuple(results))

    def _node(self, node: Node) -> Node:
        if node.regions:
            first = node.regions[0].parameters[1:]
            given = [self._given(v, taker in self.precise) for v, taker in zip(node.starts, first, strict=True)]
            regions = tuple(self.region(inner, node.outputs) for inner in node.regions)
            return replace(node, inputs=(*given, *node.active), regions=regions)
        if self._is_whole(node):
            return node
        if node.output in self.precise:
            asked = self._narrow_operands(node)
            return replace(node, inputs=tuple(self.wide.get(v, v) if v in asked else v for v in node.inputs))
        compares = not node.output.type.is_float
        inputs = (v if compares and v in self.precise else self._given(v, False) for v in node.inputs)
        return replace(node, inputs=tuple(inputs))

    def _given(self, value: Value, precise: bool) -> Value:
        """What a reader is given for a value, that takes floats in float32 if it is `precise`."""
        return self.wide.get(value, value) if precise else self.narrow.get(value, value)

    def _copies(self, value: Value, maker: Node | None) -> list[Node]:
        """The conversions of a value that stand behind what made it."""
        place = ("", None, None) if maker is None else (maker.scope, maker.span, maker.site)
        if value in self.wide:
            return [Node(ops.Cast(FLOAT32), (value,), (self.wide[value],), (), *place)]
        if value.type.dtype != FLOAT or not self._is_wide(value) or value in self.constants:
            return []
        self.narrow[value] = Value(value.type, value.names)
        made_by = ops.OneOf if maker is None else type(maker.op)
        return [Node(Narrow(made_by), (value,), (self.narrow[value],), (), *place)]
