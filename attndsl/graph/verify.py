"""What must be true of every graph, as a table; run between any two passes.

A graph that breaks a rule is a mistake of the compiler, never of a user, so `InvalidGraph` is not an `AttnError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attndsl.addresses import Indices, covered, intersection, loops_of, rounds
from attndsl.graph.core import Graph, Node, ParameterInfo, Region, Value
from attndsl.ops.base import Mismatch
from attndsl.ops.control import Given, Repeat, Scan
from attndsl.ops.generators import Parameter
from attndsl.ops.movement import Rename
from attndsl.sizes import Atom, Size, solved_for_one
from attndsl.types import DTYPES, Type


class InvalidGraph(Exception):
    """A graph breaks a rule of `BODY_RULES`, `PLACE_RULES`, `NODE_RULES` or `GRAPH_RULES`. `node` is the culprit, if
    it is one node's."""

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
        self.inputs = set(graph.body.parameters)
        self.types: dict[int, str | None] = {}  # what is wrong with each type, by identity: the graph holds them all
        self.visible: set[Value] = set()
        self.made: set[Value] = set()
        self.parameters: dict[str, list[ParameterInfo]] = {}
        for info in graph.parameters:
            self.parameters.setdefault(info.address, []).append(info)
        self.exactly = {(info.address, info.layers): info for info in graph.parameters}
        self.symbols = set(graph.sizes).union(graph.free_sizes)
        self.defaults = {info.value: info.name for info in graph.inputs if info.default is not None}
        self.loops: dict[str, Indices] = {}  # the repeats around, by address, and their rounds in which this runs


# ---------------------------------------------------------------- rules for one node


def _operands_in_sight(node: Node, context: _Context) -> str | None:
    if context.visible.issuperset(node.inputs):
        return None
    for i, value in enumerate(node.inputs):
        if value not in context.visible:
            known = "made in a body that is not around it" if value in context.made else "used before it is made"
            return f"operand {i} ({value.type}) is {known}"
    return None


def _made_once(node: Node, context: _Context) -> str | None:
    if context.made.isdisjoint(node.outputs):
        return None
    return next(f"the value {value.type} is made twice" for value in node.outputs if value in context.made)


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
    wants = node.op.bodies
    if wants != bool(node.regions):
        return "it has no body" if wants else "only `repeat` and `scan` have bodies"
    return None


def _renamed_alike(node: Node, context: _Context) -> str | None:
    """The sizes are equal as formulas, or where the graph's own requirements hold."""
    if not isinstance(node.op, Rename) or node.op.old.size == node.op.new.size:
        return None
    sizes = {name: Size.of(value) for name, value in context.graph.sizes.items()}
    equal: dict[Atom, Size] = {}
    for constraint in context.graph.constraints:
        if constraint.relation == "==":
            left, right = (side.substitute(sizes).substitute(equal) for side in (constraint.left, constraint.right))
            found = solved_for_one(left, right, {})
            if found is not None:
                equal = {**{atom: size.substitute(dict((found,))) for atom, size in equal.items()}, found[0]: found[1]}
    old, new = (axis.size.substitute(sizes).substitute(equal) for axis in (node.op.old, node.op.new))
    return None if old == new else f"`{node.op.old}` becomes `{node.op.new}`, and nothing says that they are equal"


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
    address, type = node.op.address, node.op.type
    if address not in context.parameters:
        return f"the parameter `{address}` is not declared"
    outside = next((loop for loop in loops_of(address) if loop not in context.loops), None)
    if outside is not None:
        return f"the parameter `{address}` is read outside of the repeat `{outside}`"
    box = tuple(context.loops[loop] for loop in loops_of(address))
    exact = context.exactly.get((address, box))
    if exact is not None and exact.type == type:
        return None
    parts = [(info, intersection(box, info.layers)) for info in context.parameters[address]]
    other = next((info for info, part in parts if all(part) and info.type != type), None)
    if other is not None:
        return f"the parameter `{address}` is declared as {other.type}, read as {type}"
    there, read = sum(rounds(part) for _, part in parts), rounds(box)
    return (
        None
        if there == read
        else f"the parameter `{address}` is read in {read} iterations, and exists in {there} of them"
    )


def _loop_at_home(node: Node, context: _Context) -> str | None:
    if not isinstance(node.op, Repeat):
        return None
    if node.op.path in context.loops:
        return f"the repeat `{node.op.path}` stands inside itself"
    outside = next((loop for loop in loops_of(node.op.path) if loop not in context.loops), None)
    return None if outside is None else f"the repeat `{node.op.path}` stands outside of the repeat `{outside}`"


def _given_reads_an_input(node: Node, context: _Context) -> str | None:
    if not isinstance(node.op, Given) or node.inputs[0] in context.inputs:
        return None
    return "its first operand is not an input of the model"


def _default_considered(node: Node, context: _Context) -> str | None:
    if not context.defaults:
        return None
    read = node.inputs[1:] if isinstance(node.op, Given) else node.inputs
    found = next((context.defaults[value] for value in read if value in context.defaults), None)
    return None if found is None else f"the input `{found}` has a default, and is read where it may be missing"


def _sizes_known(node: Node, context: _Context) -> str | None:
    return next((reason for value in node.outputs if (reason := _unknown(value.type, context))), None)


NodeRules = tuple[tuple[str, Callable[[Node, _Context], str | None]], ...]

# Before the bodies of a node are looked at.
BODY_RULES: NodeRules = (
    ("emissions are stacked over as many steps as there are", _stack_fits),
    ("a repeat stands in those that its address names", _loop_at_home),
)

# What depends on where a node stands.
PLACE_RULES: NodeRules = (
    ("a value is made before it is used, in sight of its use", _operands_in_sight),
    ("a value is made once", _made_once),
    ("parameters are declared where they are read", _parameter_declared),
)

# What depends on the node alone, and on what the graph declares.
NODE_RULES: NodeRules = (
    ("bodies belong to repeat and scan", _regions_belong),
    ("types are what the op infers", _types_inferred),
    ("an axis is renamed to one of its size", _renamed_alike),
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
            needed = sorted(info.needs - optional)
            return f"output `{info.name}` needs {needed}, which are not optional inputs without a default"
    return _repeated((info.name for info in graph.outputs), "output")


def _parameters_agree(graph: Graph, context: _Context) -> str | None:
    for info in graph.parameters:
        if len(loops_of(info.address)) != len(info.layers):
            return f"the parameter `{info.address}` says for {len(info.layers)} indices where it exists"
        if not all(axis.size.symbols <= graph.sizes.keys() for axis in info.type.axes):
            return f"the parameter `{info.address}` has a size that is not a hyperparameter: {info.type}"
    several = {address: infos for address, infos in context.parameters.items() if len(infos) > 1}
    for address, infos in several.items():
        boxes = [info.layers for info in infos]
        if covered(boxes) < sum(map(rounds, boxes)):
            return f"the parameter `{address}` is declared twice"
    return None


def _states_agree(graph: Graph, context: _Context) -> str | None:
    inputs = {info.name: info for info in graph.inputs}
    outputs = {info.name: info for info in graph.outputs}
    for info in graph.states:
        taken, given = inputs.get(info.name), outputs.get(info.name)
        if taken is None or given is None or (taken.optional and taken.default is None):
            return f"the state `{info.address}` is not an input that there always is, and an output"
        if taken.value.type != given.value.type:
            return f"the state `{info.address}` is {taken.value.type} at entry and {given.value.type} at the end"
        if given.needs:
            return f"the state `{info.address}` needs {sorted(given.needs)}, which may be left out"
        if len(loops_of(info.address)) != len(info.layers):
            return f"the state `{info.address}` says for {len(info.layers)} indices where it exists"
    return None


GRAPH_RULES: tuple[tuple[str, Callable[[Graph, _Context], str | None]], ...] = (
    ("inputs are the body's parameters", _inputs_agree),
    ("outputs are the body's results", _outputs_agree),
    ("parameters are declared once, with their indices", _parameters_agree),
    ("states are taken and given", _states_agree),
)


def verify(graph: Graph, known: set[Node] | None = None) -> None:
    """Raise `InvalidGraph` at the first rule that `graph` breaks. `known` are nodes that have been verified in a graph
    from which this one was made with the same declarations: they are immutable, so only where they stand is looked at.
    The nodes of this graph are added."""
    context = _Context(graph)
    for rule, check in GRAPH_RULES:
        reason = check(graph, context)
        if reason:
            raise InvalidGraph(rule, reason)
    _region(graph.body, context, None, set() if known is None else known)


def _hold(rules: NodeRules, node: Node, context: _Context) -> None:
    for rule, check in rules:
        if reason := check(node, context):
            raise InvalidGraph(rule, reason, node)


def _region(region: Region, context: _Context, owner: Node | None, known: set[Node]) -> None:
    for value in region.parameters:
        if value in context.made:
            raise InvalidGraph("a value is made once", f"the body's parameter {value.type} is made twice", owner)
        if reason := _unknown(value.type, context):
            raise InvalidGraph("sizes are hyperparameters or bound by an input", reason, owner)
    context.made.update(region.parameters)
    context.visible.update(region.parameters)
    for node in region.nodes:
        if node.regions:
            _bodies(node, context, known)
        if node not in known:
            _hold(PLACE_RULES, node, context)
            _hold(NODE_RULES, node, context)
            known.add(node)
        elif not _still_placed(node, context):
            _hold(PLACE_RULES, node, context)
        context.made.update(node.outputs)
        context.visible.update(node.outputs)
    for value in region.results:
        if value not in context.visible:
            rule = "a value is made before it is used, in sight of its use"
            raise InvalidGraph(rule, f"the result {value.type} of a body is not made in it or around it", owner)
    for values in (region.parameters, *(node.outputs for node in region.nodes)):
        context.visible.difference_update(values)


def _still_placed(node: Node, context: _Context) -> bool:
    """Whether no rule of `PLACE_RULES` need be asked: nearly every node is where it was."""
    if not context.visible.issuperset(node.inputs) or not context.made.isdisjoint(node.outputs):
        return False
    return not isinstance(node.op, Parameter) or "*" not in node.op.address


def _bodies(node: Node, context: _Context, known: set[Node]) -> None:
    """Look at a node's bodies first, so that the innermost culprit is named."""
    _hold(BODY_RULES, node, context)
    around = context.loops
    for case, inner in enumerate(node.regions):
        if isinstance(node.op, Repeat):
            context.loops = {**around, node.op.path: node.op.rounds(case, context.graph.sizes)}
        _region(inner, context, node, known)
    context.loops = around


def _unknown(type: Type, context: _Context) -> str | None:
    key = id(type)
    if key not in context.types:
        context.types[key] = _wrong(type, context)
    return context.types[key]


def _wrong(type: Type, context: _Context) -> str | None:
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
