"""Writes the class of the model: its `__init__`, and a `forward` that gives the outputs by name and computes what is
asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from attndsl.backends.pytorch.expressions import Expr, wrapped
from attndsl.backends.pytorch.functions import Writer
from attndsl.backends.pytorch.lines import Line, WrittenArgument, header, parted
from attndsl.backends.pytorch.memories import writes
from attndsl.backends.pytorch.names import identifier
from attndsl.backends.pytorch.specialize import any_op
from attndsl.graph import InputInfo, Node, Value, captured
from attndsl.records import dataclass
from attndsl.sizes import Size

if TYPE_CHECKING:
    from attndsl.backends.pytorch.source import File


GATHERED_AGAIN = """
    def __call__(self, *given, **named):
        with torch.autograd.graph.saved_tensors_hooks(kept_part, gathered_again):
            return super().__call__(*given, **named)
"""
"""How a model is called that gathers what is divided."""


@dataclass(eq=False)
class WrittenModel:
    lines: list[Line]
    arguments: dict[str, str]
    selectable: bool


def write_model(file: File) -> WrittenModel:
    graph, body = file.graph, file.body
    writer = Writer(file, [], {"": "self"})
    arguments: dict[str, str] = {}
    taken: list[str] = []
    for info in sorted(graph.inputs, key=lambda info: info.optional):
        name = writer.fresh(identifier(info.name))
        if info.name in graph.state_names:
            taken.append(f'{name} = states.get("{info.name}")' if info.optional else f'{name} = states["{info.name}"]')
        else:
            arguments[info.name] = name
        if info.name in arguments or not info.optional:
            writer.arguments.append(WrittenArgument(name, info.value.type, info.optional))
        writer.values[info.value] = Expr(name)
        writer.holders[name] = info.value
    writer.count(body)

    wanted_by, wanted = _wanted_by(file)
    everything = frozenset(info.name for info in graph.outputs)
    needs = {info.name: info.needs for info in graph.outputs}
    always = frozenset(graph.state_names)  # they are given by every call
    stacks = {
        value: everything if always & (readers := wanted.get(file.variables.root(value), frozenset())) else readers
        for node in body.nodes
        for value in (node.outputs[any_op(node).carried :] if node.regions else ())
    }
    sets: set[frozenset[str]] = {wanted_by[node] for node in body.nodes} | {*stacks.values()} | {frozenset()}
    separate = {s for s in sets if s and s != everything and not all(needs[name] for name in s)}
    selectable = bool(separate)

    def condition(names: frozenset[str]) -> str:
        """When a node that these outputs need is to be computed; empty for always."""
        if names >= everything and len(everything) and not all(needs[n] for n in names):
            return ""
        parts = []
        for info in graph.outputs:
            if info.name in names:
                tests = [f'"{info.name}" in outputs'] if selectable else []
                tests += [f"{arguments[need]} is not None" for need in sorted(needs[info.name])]
                parts.append(" and ".join(tests))
        if not parts or any(not part for part in parts):
            return ""
        parts = list(dict.fromkeys(parts))
        return parts[0] if len(parts) == 1 else " or ".join(f"({p})" if " and " in p else p for p in parts)

    groups: dict[str, list[Node]] = {"": []}
    for node in sorted(body.nodes, key=lambda node: -len(wanted_by[node])):
        groups.setdefault(condition(wanted_by[node]), []).append(node)
    producers = {value: node for node in body.nodes for value in node.outputs}
    for value, readers in stacks.items():
        if condition(readers) not in ("", condition(wanted_by[producers[value]])):
            writer.asked[value] = condition(readers)
    homes = _homes(file, wanted_by, condition) | {
        info.name: writer.asked[value]
        for info, value in zip(graph.outputs, map(file.variables.root, body.results), strict=True)
        if value in writer.asked
    }
    for name in homes.values():
        groups.setdefault(name, [])
    writer.tap(body.parameters)
    started = False
    order = {node: i for i, node in enumerate(body.nodes)}
    for test, nodes in groups.items():
        given = [i for i, info in enumerate(graph.outputs) if homes[info.name] == test]
        states = [i for i in given if graph.outputs[i].name in graph.state_names]
        kept = list(writer.lines)
        if test:
            writer.blank()
            writer.add(f"if {test}:")
            writer.indent += 1
        begin = len(writer.lines)
        writer.run(sorted(nodes, key=order.__getitem__))
        writer.settle([body.results[i] for i in given])
        written = {i: f'"{graph.outputs[i].name}": {writer.tensor(body.results[i])}' for i in given}
        results = f"{{{', '.join(text for i, text in written.items() if i not in states)}}}"
        if not test:
            writer.blank()
            started = len(groups) > 1
            if states:
                results += f", {{{', '.join(written[i] for i in states)}}}"
            writer.add(
                f"{'results' if started else 'return'}{', states' if started and states else ''}"
                f"{' =' if started else ''} {results}"
            )
        else:
            for i in given:
                writer.add(f'results["{graph.outputs[i].name}"] = {writer.tensor(body.results[i])}')
            if not any(line.says_something for line in writer.lines[begin:]):  # what there was stands elsewhere
                writer.lines = kept
            writer.indent -= 1
    if started:
        writer.add("return results, states" if taken else "return results")

    own = [v for v in writer.arguments if v.name in arguments.values()]
    parameters = [f"{v.name}: Tensor | None = None" if v.optional else f"{v.name}: Tensor" for v in own]
    if needed := any(not info.optional for info in graph.inputs if info.name in graph.state_names):
        parameters.insert(sum(not v.optional for v in own), "states: dict[str, Tensor]")
    elif taken:
        parameters.append("states: dict[str, Tensor] | None = None")
    if selectable:
        names = " ".join(f'"{info.name}",' for info in graph.own_outputs)
        names = names.removesuffix(",") if len(graph.own_outputs) > 1 else names
        parameters.append(f"outputs: tuple[str, ...] = ({names})")
    gives = "tuple[dict[str, Tensor], dict[str, Tensor]]" if taken else "dict[str, Tensor]"
    head = f"def forward(self, {', '.join(parameters)}) -> {gives}:"
    head = head.replace("(self, )", "(self)")
    bounds = _bounds(writer) if file.plain and not file.traced else []
    top, unknown = header(writer)
    assert not unknown, unknown
    top += map(_line, bounds)
    assignments = file.layers.assignments(file.tree, "", ())
    from attndsl.backends.pytorch.source import _init

    sizes = file.read_sizes(assignments, [top, writer.lines])
    defaults = [f"{argument}: int = {file.graph.sizes[name]}" for name, argument in _taken(file, sizes)]
    lines = [Line(f"class {file.model}(nn.Module):")]
    lines += [Line(f'    """{_summary(file)}"""'), Line("")]
    if made := [*file.kept_sizes(sizes), *assignments]:
        lines += [*_init(made, defaults), Line("")]
    if "all_gather" in file.helpers:
        lines += [*map(Line, GATHERED_AGAIN.strip("\n").split("\n")), Line("")]
    lines += [Line(text) for text in wrapped(head, 1)]
    lines += [Line(text) for text in _docstring(file, arguments)]
    if taken:
        ahead = [*([] if needed else ["states = states or {}"]), *taken]
        top = [*([] if not needed else map(_line, ahead)), *top, *([] if needed else map(_line, ahead))]
    return WrittenModel([*lines, *parted(top, writer.lines)], arguments, selectable)


def _bounds(writer: Writer) -> list[str]:
    """Statements that say in words where a length is beyond what the model is made for, as its context."""
    graph, lines = writer.file.graph, list[str]()
    for rule in graph.constraints:
        name = next((name for name in graph.free_sizes if rule.left == Size.symbol(name)), None)
        if rule.relation == "<=" and name is not None and rule.right.symbols <= graph.sizes.keys():
            length, limit = writer.size(rule.left).text, writer.size(rule.right).text
            most = f"{{{limit}}} (`{rule.right}`)" if rule.right.symbols else limit
            lines += [f"if {length} > {limit}:"]
            lines += [f'    raise ValueError(f"`{name}` is {{{length}}}, and may be at most {most}")']
    return lines


def _taken(file: File, sizes: Mapping[str, bool]) -> list[tuple[str, str]]:
    """The sizes that the model's constructor takes, with their arguments."""
    return [(name, size.argument) for name, size in file.open.items() if size.argument in sizes]


def _line(text: str) -> Line:
    return Line(f"        {text}")


def _wanted_by(file: File) -> tuple[dict[Node, frozenset[str]], dict[Value, frozenset[str]]]:
    """The outputs that need each node of the model's body, and each value, counting those that need a value of the same
    variable."""
    root = file.variables.root
    wanted: dict[Value, frozenset[str]] = {}
    for info, value in zip(file.graph.outputs, file.body.results, strict=True):
        wanted[root(value)] = wanted.get(root(value), frozenset()) | {info.name}
    found: dict[Node, frozenset[str]] = {}
    everything = frozenset(info.name for info in file.graph.outputs)
    states = frozenset(file.graph.state_names)  # they are given by every call
    for node in reversed(file.body.nodes):
        names = frozenset().union(*(wanted.get(root(value), frozenset()) for value in node.outputs))
        found[node] = everything if names & states or not names or writes(node) else names  # nobody: it is recorded
        if not file.variables.shares(node):
            for value in map(root, (*node.inputs, *(v for inner in node.regions for v in captured(inner)))):
                wanted[value] = wanted.get(value, frozenset()) | found[node]
    return found, wanted


def _homes(
    file: File, wanted_by: Mapping[Node, frozenset[str]], condition: Callable[[frozenset[str]], str]
) -> dict[str, str]:
    """The condition under which each output's value is there."""
    producers = {value: node for node in file.body.nodes for value in node.outputs}
    homes = {}
    for info, value in zip(file.graph.outputs, file.body.results, strict=True):
        made = producers.get(file.variables.root(value))
        if made is not None:
            homes[info.name] = condition(wanted_by[made])
        else:
            homes[info.name] = condition(frozenset([info.name])) if info.needs else ""
    return homes


def _summary(file: File) -> str:
    doc = " ".join((file.graph.doc or "").split())
    first = doc.split(". ")[0].rstrip(".") if doc else file.graph.name
    return f"{first}." if len(first) < 100 else f"{file.graph.name}."


def _docstring(file: File, arguments: dict[str, str]) -> list[str]:
    """The shapes that go in and come out."""

    def shown(info: InputInfo) -> str:
        return f"{arguments[info.name]}: {info.value.type}"

    graph = file.graph
    given = ", ".join(map(shown, sorted(graph.own_inputs, key=lambda info: info.optional)))
    results = ", ".join(f"{info.name}: {info.value.type}" for info in graph.own_outputs)
    states = [f"{info.name}: {info.value.type}" for info in graph.outputs if info.name in graph.state_names]
    if states:
        lines = [f'        """{given}', f"        -> {results}", "        states, taken and given:"]
        return [*lines, *(f"            {state}" for state in states), '        """']
    text = f'"""{given} -> {results}"""' if given else f'"""-> {results}"""'
    if len(text) <= 108:
        return [f"        {text}"]
    return [f'        """{given}', f"        -> {results}", '        """']
