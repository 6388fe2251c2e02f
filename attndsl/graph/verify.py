"""What must be true of every graph, as a table; run between any two passes.

A graph that breaks a rule is a mistake of the compiler, never of a user, so `InvalidGraph` is no `AttnError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attndsl.graph.core import Graph, Node, Region, Value
from attndsl.ops.base import Mismatch
from attndsl.ops.control import Given, Repeat, Scan
from attndsl.ops.generators import Parameter
from attndsl.types import DTYPES, Type


class InvalidGraph(Exception):
    """A graph breaks a rule of `NODE_RULES` or `GRAPH_RULES`. `node` is the culprit, where there is one."""

    def __init__(self, rule: str, reason: str, node: Node | None = None) -> None:
        place = ""
        if node is not None:
            place = (
                f" (node `{node.op.name}`" + (f" in {node.scope}" if node.scope else "") + f", {node.at or 'no span'})"
            )
        super().__init__(f"{rule}: {reason}{place}")
        self.rule, self.reason, self.node = rule, reason, node


class _Context:
    """What is known while a graph is walked: the values in sight, all values made so far, what the graph declares."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.visible: set[Value] = set()
        self.made: set[Value] = set()
        self.parameters = {info.address: info for info in graph.parameters}
        self.symbols = set(graph.sizes).union(graph.free_sizes)
        self.defaults = {info.value: info.name for info in graph.inputs if info.default is not None}
        self.repeats = 0


# ---------------------------------------------------------------- rules for one node


def _operands_in_sight(node: Node, context: _Context) -> str | None:
    for i, value in enumerate(node.inputs):
        if value not in context.visible:
            known = "made in a body that is not around it" if value in context.made else "used before it is made"
            return f"operand {i} ({value.type}) is {known}"
    return None


def _made_once(node: Node, context: _Context) -> str | None:
    return next((f"the value {v.type} is made twice" for v in node.outputs if v in context.made), None)


def _types_inferred(node: Node, context: _Context) -> str | None:
    given = tuple(value.type for value in node.inputs)
    try:
        expected = node.op.outputs(given, node.regions)
    except Mismatch as problem:
        return f"the operands do not fit: {problem.message}"
    except TypeError:
        return f"it does not take {len(given)} operands"
    found = tuple(value.type for value in node.outputs)
    if found != expected:
        return f"it gives {_types(expected)} and the graph says {_types(found)}"
    return None


def _regions_belong(node: Node, context: _Context) -> str | None:
    wants = isinstance(node.op, (Repeat, Scan))
    if wants != bool(node.regions):
        return "it has no body" if wants else "only `repeat` and `scan` have bodies"
    return None


def _stack_fits(node: Node, context: _Context) -> str | None:
    op = node.op
    if not isinstance(op, (Repeat, Scan)):
        return None
    length = op.count if isinstance(op, Repeat) else op.axis.size
    if isinstance(op, Repeat) and op.cases is not None and length.known(context.graph.sizes) != len(op.cases):
        return f"{len(op.cases)} cases for {length} iterations"
    return next((f"{length} emissions are stacked over {a}" for a in op.stacked if a.size != length), None)


def _parameter_declared(node: Node, context: _Context) -> str | None:
    if not isinstance(node.op, Parameter):
        return None
    info = context.parameters.get(node.op.address)
    if info is None:
        return f"the parameter `{node.op.address}` is not declared"
    if info.type != node.op.type:
        return f"the parameter `{node.op.address}` is declared as {info.type}, read as {node.op.type}"
    stars = node.op.address.count("*")
    return f"`{node.op.address}` is read inside {context.repeats} repeats" if stars > context.repeats else None


def _given_reads_an_input(node: Node, context: _Context) -> str | None:
    if not isinstance(node.op, Given) or node.inputs[0] in context.graph.body.parameters:
        return None
    return "its first operand is no input of the model"


def _default_considered(node: Node, context: _Context) -> str | None:
    read = node.inputs[1:] if isinstance(node.op, Given) else node.inputs
    found = next((context.defaults[value] for value in read if value in context.defaults), None)
    return None if found is None else f"the input `{found}` has a default, and is read where it may be missing"


def _sizes_known(node: Node, context: _Context) -> str | None:
    return next((_unknown(value.type, context) for value in node.outputs if _unknown(value.type, context)), None)


NODE_RULES: tuple[tuple[str, Callable[[Node, _Context], str | None]], ...] = (
    ("a value is made before it is used, in sight of its use", _operands_in_sight),
    ("a value is made once", _made_once),
    ("bodies belong to repeat and scan", _regions_belong),
    ("types are what the op infers", _types_inferred),
    ("emissions are stacked over as many steps as there are", _stack_fits),
    ("parameters are declared", _parameter_declared),
    ("only inputs are given or left out", _given_reads_an_input),
    ("an input with a default is read with its default", _default_considered),
    ("sizes are hyperparameters or bound by an input", _sizes_known),
)


# ---------------------------------------------------------------- rules for the whole graph


def _inputs_agree(graph: Graph, context: _Context) -> str | None:
    if graph.body.parameters != tuple(info.value for info in graph.inputs):
        return "the body's parameters are not the inputs' values"
    return _repeated((info.name for info in graph.inputs), "input")


def _outputs_agree(graph: Graph, context: _Context) -> str | None:
    if graph.body.results != tuple(info.value for info in graph.outputs):
        return "the body's results are not the outputs' values"
    optional = {info.name for info in graph.inputs if info.optional and info.default is None}
    for info in graph.outputs:
        if info.value in context.defaults:
            return f"output `{info.name}` is the input `{context.defaults[info.value]}` without its default"
        if not info.needs <= optional:
            return f"output `{info.name}` needs {sorted(info.needs - optional)}, no optional input without a default"
    return _repeated((info.name for info in graph.outputs), "output")


def _parameters_agree(graph: Graph, context: _Context) -> str | None:
    for info in graph.parameters:
        if info.address.count("*") != len(info.layers):
            return f"the parameter `{info.address}` says for {len(info.layers)} indices where it exists"
        if not info.type.elements.symbols <= graph.sizes.keys():
            return f"the parameter `{info.address}` has a size that is no hyperparameter: {info.type}"
    return _repeated((info.address for info in graph.parameters), "parameter")


GRAPH_RULES: tuple[tuple[str, Callable[[Graph, _Context], str | None]], ...] = (
    ("inputs are the body's parameters", _inputs_agree),
    ("outputs are the body's results", _outputs_agree),
    ("parameters are declared once, with their indices", _parameters_agree),
)


def verify(graph: Graph) -> None:
    """Raise `InvalidGraph` at the first rule that `graph` breaks."""
    context = _Context(graph)
    for rule, check in GRAPH_RULES:
        reason = check(graph, context)
        if reason:
            raise InvalidGraph(rule, reason)
    _region(graph.body, context, None)


def _region(region: Region, context: _Context, owner: Node | None) -> None:
    outside = set(context.visible)
    for value in region.parameters:
        if value in context.made:
            raise InvalidGraph("a value is made once", f"the body's parameter {value.type} is made twice", owner)
        if reason := _unknown(value.type, context):
            raise InvalidGraph("sizes are hyperparameters or bound by an input", reason, owner)
        context.made.add(value)
        context.visible.add(value)
    for node in region.nodes:
        context.repeats += isinstance(node.op, Repeat)
        for inner in node.regions:  # first, so that the innermost culprit is named
            _region(inner, context, node)
        context.repeats -= isinstance(node.op, Repeat)
        for rule, check in NODE_RULES:
            if reason := check(node, context):
                raise InvalidGraph(rule, reason, node)
        context.made.update(node.outputs)
        context.visible.update(node.outputs)
    for value in region.results:
        if value not in context.visible:
            rule = "a value is made before it is used, in sight of its use"
            raise InvalidGraph(rule, f"the result {value.type} of a body is not made in it or around it", owner)
    context.visible = outside


def _unknown(type: Type, context: _Context) -> str | None:
    if type.dtype not in DTYPES:
        return f"there is no dtype `{type.dtype}`"
    names = [axis.name for axis in type.axes]
    if len(set(names)) != len(names):
        return f"{type} has an axis name twice"
    used = frozenset[str]().union(*(a.size.symbols | a.origin.symbols for a in type.axes))
    unknown = used - context.symbols
    return f"nothing says how large {sorted(unknown)} is in {type}" if unknown else None


def _repeated(names: Iterable[str], what: str) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return f"the {what} `{name}` is declared twice"
        seen.add(name)
    return None


def _types(types: Iterable[Type]) -> str:
    return ", ".join(map(str, types))
