"""The graph as text: complete, readable, the same bytes in every process; `parse_text` reads it back.

```
graph GPT2 variant small origin gpt2.attn at gpt2.attn:2:1
hyperparameter width = 768
size width = 768
input tokens %0: int[B, T] where < vocab at gpt2.attn:3:36
parameter h.*.ln_1.scale: float[width] = ones layers [0:12] at std/norms.attn:4:3
state h.*.memory: float[B, M, width] in h.*.memory layers [0:12] at gpt2.attn:8:5
constraint T <= context at gpt2.attn:3:30 code E0210
scope h.*.ln_1 = layer_norm labelled at gpt2.attn:9:12
body {
  %1: float[B, T, width] = add(%4, %5) in h.*.attn at std/attention.attn:9:3 from gpt2.attn:9:14
  %9 {h}: float[B, T, width] = repeat(%8, path="h", count=depth, cases=none, carried=1, stacked=[]) in h {
    given %10: int[], %11: float[B, T, width]
    give %31
  }
}
output logits = %32 at gpt2.attn:14:3
```

Values are numbered in the order in which they are written; `{…}` are their names. An axis is written as its size, as
`name=size` where it has a name of its own, and with `from origin` where it does not start at position 0. Spans are
`at file:line:column` (`from` for the place in the user's file), so a graph that was read back has spans without text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from fractions import Fraction

from attndsl.addresses import Box
from attndsl.diagnostics import Span
from attndsl.graph.core import Graph, InputInfo, Node, OutputInfo, ParameterInfo, Region, StateInfo, Value
from attndsl.graph.cursor import WORD
from attndsl.graph.initial import Initializer
from attndsl.graph.reader import FILE
from attndsl.ops.base import Op
from attndsl.records import fields
from attndsl.sizes import Constraint, Size
from attndsl.types import Axis, Type


def to_text(graph: Graph) -> str:
    """The text form of `graph`."""
    return _Writer().graph(graph)


def op_text(op: Op, operands: Iterable[str] = ()) -> str:
    """`dot(%1, %2, over=[head])`."""
    attributes = [f"{f.name}={attribute_text(getattr(op, f.name))}" for f in fields(op)]
    return f"{op.name}({', '.join([*operands, *attributes])})"


def initial_text(part: object) -> str:
    """`normal(div(0.02, add(index(0), 1)))`."""
    if not isinstance(part, Initializer):
        return attribute_text(part)
    inside = map(initial_text, part.arguments)
    if part.op is not None:
        return op_text(part.op, inside)
    return f"{part.kind}({', '.join(inside)})" if part.arguments else part.kind


def attribute_text(value: object) -> str:
    """An attribute of an op, or a hyperparameter."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "none"
    if isinstance(value, Axis):
        return axis_text(value)
    if isinstance(value, Type):
        return type_text(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(attribute_text, value))}]"
    if isinstance(value, (Size, int, Fraction)):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if hasattr(type(value), "__dataclass_fields__"):
        return f"{{{', '.join(_parts(value))}}}"
    return json.dumps(str(value), ensure_ascii=False)


def _parts(record: object) -> Iterator[str]:
    """What of a record is not as it is by default."""
    for field in fields(record):  # type: ignore[arg-type]
        part = getattr(record, field.name)
        if part != field.default:
            yield f"{field.name}={attribute_text(part)}"


def axis_text(axis: Axis) -> str:
    text = str(axis.size)
    if axis.name != text:
        text = f"{axis.name if WORD.fullmatch(axis.name) else json.dumps(axis.name)}={text}"
    return text if axis.origin == Size.of(0) else f"{text} from {axis.origin}"


def type_text(type: Type) -> str:
    return f"{type.dtype}[{', '.join(map(axis_text, type.axes))}]"


def _word(text: str) -> str:
    return text if WORD.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _layer_text(indices: range | tuple[int, ...]) -> str:
    if isinstance(indices, range):
        return f"{indices.start}:{indices.stop}" + (f":{indices.step}" if indices.step != 1 else "")
    return f"({', '.join(map(str, indices))})"


def _layers(box: Box) -> str:
    return f" layers [{', '.join(map(_layer_text, box))}]" if box else ""


class _Writer:
    def __init__(self) -> None:
        self.numbers: dict[Value, int] = {}

    def graph(self, graph: Graph) -> str:
        head = f"graph {_word(graph.name)}"
        if graph.variant is not None:
            head += f" variant {_word(graph.variant)}"
        if graph.origin:
            head += f" origin {_file(graph.origin)}"
        lines = [head + self.at(graph.span) + _doc(graph.doc)]
        lines += [f"hyperparameter {_word(k)} = {attribute_text(v)}" for k, v in graph.hyperparameters.items()]
        lines += [f"size {_word(name)} = {value}" for name, value in graph.sizes.items()]
        lines += map(self.input, graph.inputs)
        lines += map(self.parameter, graph.parameters)
        lines += map(self.state, graph.states)
        lines += map(self.constraint, graph.constraints)
        for path, info in graph.scopes.items():
            labelled = " labelled" if info.labelled else ""
            lines.append(f"scope {_word(path)} = {_word(info.kind)}{labelled}{self.at(info.span)}{_doc(info.doc)}")
        lines += ["body {", *("  " + line for line in self.region(graph.body)), "}"]
        lines += map(self.output, graph.outputs)
        return "\n".join(lines) + "\n"

    def input(self, info: InputInfo) -> str:
        bounds = ", ".join(f"{b.relation} {b.limit}{self.at(b.span)}" for b in info.bounds)
        optional = " optional" if info.optional else ""
        if info.default is not None:
            optional += f" = {json.dumps(info.default, ensure_ascii=False)}"
        where = f" where {bounds}" if bounds else ""
        return f"input {_word(info.name)} {self.made(info.value)}{optional}{where}{self.at(info.span)}{_doc(info.doc)}"

    def output(self, info: OutputInfo) -> str:
        needs = f" needs {', '.join(map(_word, sorted(info.needs)))}" if info.needs else ""
        return f"output {_word(info.name)} = {self.use(info.value)}{needs}{self.at(info.span)}{_doc(info.doc)}"

    def parameter(self, info: ParameterInfo) -> str:
        head = f"parameter {_word(info.address)}: {type_text(info.type)} = {initial_text(info.initializer)}"
        stacked = f" stacked {attribute_text(info.stacks)}" if info.stacks else ""
        return f"{head}{_layers(info.layers)}{stacked}{self.at(info.span)}"

    def state(self, info: StateInfo) -> str:
        head = f"state {_word(info.address)}: {type_text(info.type)} in {_word(info.name)}"
        return f"{head}{_layers(info.layers)}{self.at(info.span)}"

    def constraint(self, constraint: Constraint) -> str:
        text = f"constraint {constraint.left} {constraint.relation} {constraint.right}"
        text += self.at(constraint.span) + f" code {constraint.code}"
        text += "".join(f" note {json.dumps(note, ensure_ascii=False)}" for note in constraint.notes)
        text += "".join(f" help {json.dumps(line, ensure_ascii=False)}" for line in constraint.helps)
        return text + "".join(
            f" other{self.at(label.span)} {json.dumps(label.text, ensure_ascii=False)}" for label in constraint.other
        )

    def region(self, region: Region) -> Iterator[str]:
        """The lines of a body; the numbers of its parameters that are numbered already (inputs) stay."""
        if any(value not in self.numbers for value in region.parameters):
            yield f"given {', '.join(map(self.made, region.parameters))}"
            yield from self.nodes(region)
            yield f"give {', '.join(map(self.use, region.results))}".rstrip()
        else:
            yield from self.nodes(region)

    def nodes(self, region: Region) -> Iterator[str]:
        for node in region.nodes:
            line = self.node(node)
            for i, inner in enumerate(node.regions):
                yield f"{line} {{" if i == 0 else "} {"
                yield from ("  " + text for text in self.region(inner))
            yield "}" if node.regions else line

    def node(self, node: Node) -> str:
        operands = [self.use(value) for value in node.inputs]
        made = ", ".join(map(self.made, node.outputs))
        scope = f" in {_word(node.scope)}" if node.scope else ""
        site = self.at(node.site).replace(" at ", " from ", 1)
        return f"{made} = {op_text(node.op, operands)}{scope}{self.at(node.span)}{site}"

    def made(self, value: Value) -> str:
        number = self.numbers.setdefault(value, len(self.numbers))
        names = f" {{{', '.join(map(_word, value.names))}}}" if value.names else ""
        return f"%{number}{names}: {type_text(value.type)}"

    def use(self, value: Value) -> str:
        number = self.numbers.get(value)
        return f"%{number}" if number is not None else "%undefined"

    def at(self, span: Span | None) -> str:
        if span is None or not span.source.name:
            return ""
        line, column = span.source.position(span.start)
        return f" at {_file(span.source.name)}:{line}:{column}"


def _file(name: str) -> str:
    return name if FILE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _doc(doc: str | None) -> str:
    return "" if doc is None else f" doc {json.dumps(doc, ensure_ascii=False)}"
