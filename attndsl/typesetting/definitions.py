"""The equations of a model: its own, and the definitions of the blocks that it calls."""

from __future__ import annotations

from collections.abc import Callable

from attndsl.graph import Graph
from attndsl.inspection.report import first_sentence
from attndsl.records import Frozen, dataclass, field, replace
from attndsl.typesetting.layered import CalledLayer, Layered
from attndsl.typesetting.notation import function, name, written
from attndsl.typesetting.writer import DefinitionWriter, Equation

ARGUMENTS = "xyzuvw"
NAMED = "\0"  # stands for a block's name until it is known whether it has been defined


class Definition(Frozen):
    """`kind` is the block ("" for the model itself), `layers` where it is called; `lines` are ready LaTeX of math mode,
    `indices` the letters that occur in them with the axes that they run along."""

    kind: str
    doc: str
    layers: tuple[str, ...]
    lines: tuple[Equation, ...]
    indices: tuple[tuple[str, str], ...]


class Equations(Frozen):
    """The model's own equations, and the definitions of the blocks that it calls. A notebook shows them."""

    title: str
    doc: str
    model: Definition
    blocks: tuple[Definition, ...]

    def _repr_markdown_(self) -> str:
        from attndsl.typesetting.documents import equations_in_markdown

        return equations_in_markdown(self)


def equations(graph: Graph) -> Equations:
    """What `graph` computes, by the formulas of its operators."""
    book = _Book(Layered.of(graph))
    writer = DefinitionWriter(book, "")
    for info in graph.inputs:
        writer.names[info.value] = writer.unique(name(info.name))
    results = graph.body.results
    writer.block(graph.body.nodes, results)
    for output, value in zip(graph.outputs, results, strict=True):
        if output.name in graph.state_names:
            writer.equation(rf"{name(output.name)}^{{\mathrm{{next}}}}", value)
        elif writer.names.get(value) != name(output.name):
            writer.equation(writer.unique(name(output.name)), value)
    blocks = [replace(form.shown, layers=tuple(form.layers)) for form in sorted(book.forms, key=lambda f: f.number)]
    doc = first_sentence(graph.doc) if graph.doc else ""
    return Equations(graph.title, doc, _finished(writer, "", ""), tuple(blocks))


@dataclass(slots=True, eq=False)
class _Form:
    """A definition, and the layers that it is of."""

    number: int
    name: str
    key: tuple[object, ...]
    shown: Definition
    layers: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Book:
    model: Layered
    forms: list[_Form] = field(default_factory=list)
    known: dict[CalledLayer, str] = field(default_factory=dict)
    begun: int = 0

    def form(self, call: CalledLayer) -> str:
        if call not in self.known:
            self.known[call] = self._form(call)
        return self.known[call]

    def _form(self, call: CalledLayer) -> str:
        self.begun += 1
        number, kind = self.begun, self.model.kind(call.path)
        writer = DefinitionWriter(self, call.path)
        writer.taken.add(kind)
        arguments = [_argument(i, len(call.inputs)) for i in range(len(call.inputs))]
        writer.names.update(zip(call.inputs, arguments, strict=True))
        writer.taken.update(arguments)
        writer.block(call.nodes, call.results)
        called = rf"{NAMED}\left({', '.join(arguments)}\right)"
        if len(call.results) == 1:
            writer.equation(called, call.results[0])
        else:
            several = ", ".join(map(writer.tensor, call.results))
            writer.lines.append(Equation(0, called, rf"\left({several}\right)"))
        key = (kind, _canonical(writer))
        for form in self.forms:
            if form.key == key:
                if call.path not in form.layers:
                    form.layers.append(call.path)
                return form.name
        primes = "'" * sum(form.key[0] == kind for form in self.forms)
        named = function(kind) + primes
        writer.lines[-1] = replace(writer.lines[-1], left=writer.lines[-1].left.replace(NAMED, named))
        doc = self.model.graph.scopes[call.path].doc
        shown = _finished(writer, kind + primes, first_sentence(doc) if doc else "", call.path)
        self.forms.append(_Form(number, named, key, shown, [call.path]))
        return named


def _argument(number: int, count: int) -> str:
    return ARGUMENTS[number] if count <= len(ARGUMENTS) else f"{{x_{{{number + 1}}}}}"


def _canonical(writer: DefinitionWriter) -> tuple[object, ...]:
    """The same for two definitions that say the same with other letters."""
    order: dict[int, str] = {}

    def numbered(number: int) -> str:
        return order.setdefault(number, f"<{len(order)}>")

    return tuple(_written(writer, line, numbered) for line in writer.lines)


def _written(writer: DefinitionWriter, line: Equation, named: Callable[[int], str]) -> Equation:
    left_out = set(range(len(writer.axes))) - line.marked
    return Equation(line.depth, written(line.left, left_out, named), written(line.right, left_out, named))


def _finished(writer: DefinitionWriter, kind: str, doc: str, *layers: str) -> Definition:
    """With letters for the indices: one of the axis's name, as far as it is free."""
    found: dict[int, str] = {}
    taken = {text for text in writer.taken if len(text) == 1} | {index for _, index in writer.loops}
    copies = {copy: base for base, copy in writer.copies.items()}

    def named(number: int) -> str:
        if number in copies:
            return named(copies[number]) + "'"
        if number not in found:
            found[number] = _letter(writer.axes[number].name, taken)
            taken.add(found[number])
        return found[number]

    lines = tuple(_written(writer, line, named) for line in writer.lines)
    indices = tuple((text, str(writer.axes[number])) for number, text in found.items())
    return Definition(kind, doc, layers, lines, indices)


def _letter(axis: str, taken: set[str]) -> str:
    said = [sign for sign in axis.rpartition("_")[2].lower() + axis.lower() if sign.isalpha()]
    numbered = [rf"i_{{{number}}}" for number in range(len(taken) + 1)]
    sign: str
    for sign in (*said, *"ijklmnpqrstuvwxyzabcdefgho", *numbered):
        if sign not in taken:
            return sign
    raise AssertionError("there are more numbered letters than taken ones")
