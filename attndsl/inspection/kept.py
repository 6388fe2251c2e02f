"""What a forward pass has to keep for the backward one.

Each operation's gradient reads some of its operands again, or its own result; those values stay in memory until the
backward pass reaches them. The table follows from the derivative of each primitive, as it stands in the graph (nothing
is fused, nothing recomputed). Values that only rename, reorder or cut another one share its memory.
"""

from __future__ import annotations

from attndsl.graph import Node, Region, Value

OUTPUT = -1
NOTHING: tuple[int, ...] = ()
BYTES = {"float": 4, "int": 8, "bool": 1}
PARTNER = "partner"  # a product: each operand is read for the gradient of the other

# The operands (by position) and the result (`OUTPUT`) that an operation's gradient reads.
KEPT: dict[str, tuple[int, ...] | str] = {
    # elementwise, one operand
    "exp": (OUTPUT,), "log": (0,), "sqrt": (OUTPUT,), "rsqrt": (0, OUTPUT), "tanh": (OUTPUT,), "erf": (0,),
    "sigmoid": (OUTPUT,), "sin": (0,), "cos": (0,), "neg": NOTHING, "abs": (0,), "sign": NOTHING, "floor": NOTHING,
    "ceil": NOTHING, "round": NOTHING, "not": NOTHING, "cast": NOTHING, "stop_gradient": NOTHING,
    # elementwise, several operands
    "add": NOTHING, "sub": NOTHING, "mul": PARTNER, "div": PARTNER, "maximum": (0, 1), "minimum": (0, 1),
    "floor_div": NOTHING, "mod": (0, 1), "pow": PARTNER, "eq": NOTHING, "ne": NOTHING, "lt": NOTHING, "le": NOTHING,
    "gt": NOTHING, "ge": NOTHING, "and": NOTHING, "or": NOTHING, "where": (0,),
    # reductions
    "sum": NOTHING, "mean": NOTHING, "max": (0, OUTPUT), "min": (0, OUTPUT), "any": NOTHING, "all": NOTHING,
    "arg_max": NOTHING, "cum_sum": NOTHING, "softmax": (OUTPUT,), "log_softmax": (OUTPUT,), "log_sum_exp": (0, OUTPUT),
    # contraction
    "dot": PARTNER,
    # movement
    "rename": NOTHING, "unflatten": NOTHING, "flatten": NOTHING, "transpose": NOTHING, "broadcast": NOTHING,
    "concat": NOTHING, "slice": NOTHING, "select": NOTHING, "take": (1,), "windows": NOTHING, "flip": NOTHING,
    # generators
    "constant": NOTHING, "range": NOTHING, "size_of": NOTHING, "one_hot": NOTHING, "parameter": NOTHING,
    "uniform": NOTHING, "dropout": NOTHING,  # dropout keeps which elements it dropped: see `KeptValues.of`
    # bodies: what their own nodes keep is counted there
    "repeat": NOTHING, "scan": NOTHING, "given": NOTHING,
    # fused: all operands, and attention's result; weights are computed again
    "attention": (0, 1, 2, 3, 4, OUTPUT), "layer_norm": (0, 1), "rms_norm": (0, 1), "gelu": (0,), "silu": (0,),
}  # fmt: skip

# Results that share their operand's memory.
VIEWS = frozenset({
    "rename", "unflatten", "flatten", "transpose", "broadcast", "slice", "select", "stop_gradient", "flip",
    "given",
})  # fmt: skip


class KeptValues:
    """Decides, node by node in order, which values are kept; every value is reported once, by the node that is the
    first to need it."""

    def __init__(self) -> None:
        self._trained: set[Value] = set()  # depends on a parameter: a gradient flows through it
        self._base: dict[Value, Value] = {}  # a view, and what it looks at
        self._seen: set[Value] = set()

    def enter(self, region: Region, node: Node) -> None:
        """Prepare for the nodes of a body: what it carries has a gradient if what comes in or goes out has one."""
        inside = region.parameters[len(region.parameters) - len(node.inputs) :]
        before = -1
        while before != len(self._trained):
            before = len(self._trained)
            for parameter, initial in zip(inside, node.inputs, strict=True):
                if initial in self._trained:
                    self._trained.add(parameter)
            for inner in region.nodes:
                self._flow(inner)
            for parameter, result in zip(inside, region.results, strict=False):
                if result in self._trained:
                    self._trained.add(parameter)

    def _flow(self, node: Node) -> None:
        for region in node.regions:
            self.enter(region, node)
        results = [result for region in node.regions for result in region.results]
        flows = node.op.name == "parameter" or any(v in self._trained for v in (*node.inputs, *results))
        if flows and node.op.name != "stop_gradient":
            self._trained.update(v for v in node.outputs if v.type.dtype == "float")

    def of(self, node: Node) -> tuple[tuple[Value, int], ...]:
        """The values that `node` makes the forward pass keep and that no earlier one did, with the bytes of one
        element of each."""
        name = node.op.name
        self._flow(node)
        if name in VIEWS and node.inputs:
            self._base[node.output] = self._base.get(node.inputs[0], node.inputs[0])
        if name in ("parameter", "constant", "size_of"):
            self.ignore(node.output)
        if node.regions or not any(v in self._trained for v in node.outputs):
            return ()
        if name == "dropout":
            return ((node.output, 1),) if getattr(node.op, "p", 1) else ()
        found: dict[Value, int] = {}
        for value in self._read_again(node):
            base = self._base.get(value, value)
            if base not in self._seen:
                self._seen.add(base)
                found[base] = BYTES[base.type.dtype]
        return tuple(found.items())

    def ignore(self, value: Value) -> None:
        """Count `value` never: it is in memory anyway."""
        self._seen.add(value)

    def _read_again(self, node: Node) -> tuple[Value, ...]:
        rule = KEPT.get(node.op.name, tuple(range(len(node.inputs))))
        if isinstance(rule, str):
            trained = [v in self._trained for v in node.inputs]
            values = [v for i, v in enumerate(node.inputs) if any(t for j, t in enumerate(trained) if j != i)]
            if node.op.name in ("div", "pow") and trained[1]:
                values = list(node.inputs)
            if node.op.name == "pow" and trained[0]:
                values.append(node.inputs[0])
            return tuple(values)
        return tuple(node.output if i == OUTPUT else node.inputs[i] for i in rule if i < len(node.inputs))


__all__ = ["KEPT", "VIEWS", "KeptValues"]
