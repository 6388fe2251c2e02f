"""Writes the equations of one definition: of a model, or of a block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from attndsl import ops
from attndsl.drawing.captions import indices_said
from attndsl.graph import Node, Value
from attndsl.graph.builder import Builder
from attndsl.ops.fused import Fused
from attndsl.records import Frozen
from attndsl.types import Type
from attndsl.typesetting.elements import RULES
from attndsl.typesetting.escaping import in_latex
from attndsl.typesetting.layered import CalledLayer, Layered
from attndsl.typesetting.letters import Letters
from attndsl.typesetting.notation import (
    PLUS,
    MathText,
    apart,
    function,
    indexed,
    joined,
    name,
    size,
    without,
)
from attndsl.typesetting.rule import Places

SPARE = "ZYUVRACEFGJKLMNPQHIOBDSTWX"
"""What values are called that nobody named."""

DEEPEST = 24  # of a formula: one with more operators inside one another has parts with names


class Book(Protocol):
    """Who keeps the definitions."""

    model: Layered

    def form(self, call: CalledLayer) -> str:
        """The name of the definition that says what this call computes."""


class Equation(Frozen):
    """An equation, or (with no `left` side) words before a loop. `depth` counts the loops around it, `marked` are the
    indices that are written."""

    depth: int
    left: str
    right: str
    marked: frozenset[int] = frozenset()


class DefinitionWriter(Letters):
    """`home` is the layer whose equations these are; `loops` the loops around the current line, with their indices."""

    def __init__(self, book: Book, home: str) -> None:
        super().__init__()
        self.book, self.home = book, home
        self.lines: list[Equation] = []
        self.names: dict[Value, str] = {}
        self.calls: dict[Value, CalledLayer] = {}
        self.makers: dict[Value, Node] = {}
        self.depths: dict[Value, int] = {}  # of what stands where it is read
        self.loops: list[tuple[str, str]] = []
        self.taken: set[str] = set()

    # ------------------------------------------------------------ values

    def element(self, value: Value, places: Places) -> MathText:
        if value in self.names:
            return MathText(indexed(self.names[value], self.subscripts(value.type, places)))
        if value in self.calls:
            return MathText(indexed(self.applied(self.calls[value]), self.subscripts(value.type, places)))
        node = self.maker(value)
        if isinstance(node.op, Fused):
            return self.expanded(node, places)
        return RULES[type(node.op)](self, node, places)

    def maker(self, value: Value) -> Node:
        """The node that makes a value which stands where it is read: one of these, or one that anybody may read."""
        if value in self.makers:
            return self.makers[value]
        assert self.book.model.is_free(value), value
        return self.book.model.makers[value]

    def expanded(self, node: Node, places: Places) -> MathText:
        """A fused operator means what it is made of."""
        builder = Builder()
        result = node.op.expand(builder, *node.inputs)  # type: ignore[attr-defined]
        self.makers.update(builder.makers)
        return self.element(result, places)

    def parameter(self, address: str) -> str:
        return self.at_loops(address, name(self.short(address)))

    def short(self, address: str) -> str:
        """An address as one says it here."""
        homes = [path for path, _ in reversed(self.loops)] + [self.home]
        for home in homes:
            for prefix in (f"{home}.*.", f"{home}."):
                if home and address.startswith(prefix):
                    return address[len(prefix) :]
        return address

    def at_loops(self, address: str, text: str) -> str:
        """With the indices of the loops here in which it is declared: each round has one of its own."""
        indices = [index for path, index in self.loops if address.startswith(f"{path}.*.")]
        return f"{text}^{{({','.join(indices)})}}" if indices else text

    def applied(self, call: CalledLayer) -> str:
        model, form = self.book.model, self.book.form(call)
        if model.has_parameters(call.path):
            label = call.path.rpartition(".")[2]
            shown = model.graph.scopes[call.path].labelled and label != model.kind(call.path)
            below = f"_{{{function(label)}}}" if shown else ""
            form = self.at_loops(call.path, form) + below
        return rf"{form}\left({', '.join(map(self.tensor, call.inputs))}\right)"

    def tensor(self, value: Value) -> str:
        """The whole of a value, without indices: its name, what gives it, or a new name with an equation of its own."""
        value = self.peeled(value)
        if value in self.names:
            return self.names[value]
        if value not in self.calls:
            match self.maker(value).op:
                case ops.Range(axis):
                    return rf"(0, \dots, {size(axis.size - 1)})"
                case ops.Parameter(address):
                    return self.parameter(address)
        before, self.marked = self.marked, set()
        formula = self.element(value, self.own(value.type.axes))
        self.marked |= apart(formula.text, self.marked)
        letters = {self.letter(axis) for axis in value.type.axes}
        clean = not self.marked & letters and r"\begin{cases}" not in formula.text
        self.marked |= before
        if clean:
            return without(formula.text, letters)
        return self.named(value, self.spare())

    def peeled(self, value: Value) -> Value:
        """The same with its axes under the names that they had: they are told by their places."""
        while value not in self.names and value in self.makers and isinstance(self.makers[value].op, ops.Rename):
            value = self.makers[value].inputs[0]
        return value

    # ------------------------------------------------------------ names

    def authored(self, value: Value) -> str | None:
        """What an author called it here; a label of a call is no such name."""
        top = not self.home and not self.loops
        for address in value.names:
            short = self.short(address)
            here = "." not in short and (top or short != address)
            if here and address not in self.book.model.graph.scopes:
                return short
        return None

    def unique(self, text: str) -> str:
        while text in self.taken:
            text += "'"
        self.taken.add(text)
        return text

    def spare(self) -> str:
        free = (each for each in SPARE if each not in self.taken)
        found = next(free, None)
        return self.unique(found if found is not None else rf"{{Z_{{{len(self.taken)}}}}}")

    # ------------------------------------------------------------ equations

    def block(self, nodes: Sequence[Node], results: Sequence[Value]) -> None:
        """The equations of what these nodes compute, but for what stands where it is read."""
        steps = list(self.book.model.steps(nodes, self.home if not self.loops else self.loops[-1][0]))
        counts = self.counts(steps, results)
        for step in steps:
            if isinstance(step, CalledLayer):
                self.calls.update(dict.fromkeys(step.results, step))
                self.several(step) if len(step.results) > 1 else self.one(step.results[0], counts)
            elif step.regions:
                self.loop(step)
            else:
                self.makers[step.output] = step
                self.one(step.output, counts)

    def counts(self, steps: Sequence[Node | CalledLayer], results: Sequence[Value]) -> dict[Value, int]:
        """How many read each value; 0 for what stands in the equation of a result."""
        found = dict.fromkeys(results, 1)
        last = self.book.model.renamed(results)
        for step in steps:
            read = step.inputs if isinstance(step, CalledLayer) else self.book.model.call("", [step]).inputs
            for value in read:
                found[value] = found.get(value, 0) + 1
        return {value: 0 if count == 1 and value in last else count for value, count in found.items()}

    def equation(self, left: str, value: Value, type: Type | None = None, at: Places | None = None) -> None:
        """`left` is what `value` gives: a tensor of `type` (that of the value, if none is said) with these indices, and
        the value's own."""
        outside, self.marked = self.marked, set()
        value = value if type is not None else self.peeled(value)
        places = {**self.own(value.type.axes), **(at or {})}
        right = self.element(value, places).text
        shown = indexed(left, self.subscripts(type or value.type, places))
        self.marked |= apart(right, self.marked)
        self.lines.append(Equation(len(self.loops), shown, right, frozenset(self.marked)))
        self.marked = outside

    def named(self, value: Value, text: str) -> str:
        """Give a value a name, by an equation."""
        self.equation(text, value, value.type)
        self.names[value] = text
        return text

    def called(self, value: Value) -> str:
        """What a value is called in an equation of its own."""
        authored = self.authored(value)
        return self.unique(name(authored)) if authored is not None else self.spare()

    def one(self, value: Value, counts: Mapping[Value, int]) -> None:
        node = self.makers.get(value)
        authored = self.authored(value)
        moved = node is not None and (node.op.moves or isinstance(node.op, ops.OneOf))
        count = counts.get(value, 0)
        deep = 1 + max((self.depths.get(v, 0) for v in node.inputs), default=0) if node is not None else 1
        if deep <= DEEPEST and (count == 0 or (authored is None and (moved or count < 2))):
            self.depths[value] = deep
            return
        self.named(value, self.called(value))

    def several(self, call: CalledLayer) -> None:
        right = self.applied(call)
        self.names.update((value, self.called(value)) for value in call.results)
        left = ", ".join(self.names[value] for value in call.results)
        self.lines.append(Equation(len(self.loops), left, right))

    # ------------------------------------------------------------ loops

    def loop(self, node: Node) -> None:
        """The equations of a body, as recursions: what is carried has the index of its round, or step."""
        op, depth = node.op, len(self.loops)
        assert isinstance(op, (ops.Repeat, ops.Scan))
        count = op.axis.size if isinstance(op, ops.Scan) else op.count
        backwards = isinstance(op, ops.Scan) and op.reverse
        index = self.unique(r"\ell" if op.label == "l" else name(op.label))
        here, last = MathText(index), size(count - 1)
        after = joined("-" if backwards else "+", here, MathText("1"), PLUS)
        first, end = (last, MathText("-1")) if backwards else (MathText("0"), size(count))
        bases = []
        self.loops.append((op.path, index))
        for number in range(op.carried):
            given = (region.parameters[1 + number] for region in node.regions)
            named = (self.authored(value) for value in (*given, node.outputs[number]))
            text = next(filter(None, named), None)
            bases.append(self.unique(name(text)) if text is not None else self.spare())
        self.loops.pop()
        for base, value in zip(bases, node.inputs, strict=True):
            self.equation(f"{base}^{{({first})}}", value)
        emitted = [self.called(value) for value in node.outputs[op.carried :]]
        self.loops.append((op.path, index))
        for case, region in enumerate(node.regions):
            which = rf"{first}, \dots, {'0' if backwards else last}"
            if isinstance(op, ops.Repeat) and op.cases is not None:
                rounds = op.rounds(case, {})
                if not rounds:
                    continue
                which = rf"\text{{{in_latex(indices_said(rounds))}}}"
            self.lines.append(Equation(depth, "", rf"\text{{for }} {index} = {which}\text{{:}}"))
            self.names[region.parameters[0]] = index
            for base, value in zip(bases, region.parameters[1:], strict=True):
                self.names[value] = f"{base}^{{({index})}}"
            self.block(region.nodes, region.results)
            for base, value in zip(bases, region.results, strict=False):
                self.equation(f"{base}^{{({after})}}", value)
            each = zip(emitted, node.outputs[op.carried :], region.results[op.carried :], op.stacked, strict=True)
            for text, whole, value, axis in each:
                self.equation(text, value, whole.type, {axis: here})
        self.loops.pop()
        for base, value in zip(bases, node.outputs, strict=False):
            self.names[value] = f"{base}^{{({end})}}"
        self.names.update(zip(node.outputs[op.carried :], emitted, strict=True))
