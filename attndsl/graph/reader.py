"""Reads the text form of a graph (`attndsl.graph.text`) back; for tests, tools and files that a pass wrote.

What cannot be read is a `GraphSyntaxError` with its line; whether the graph makes sense is for the verifier to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeVar

from attndsl.addresses import Box
from attndsl.diagnostics import Label, Source, Span
from attndsl.graph.core import (
    Bound,
    Graph,
    InputInfo,
    Node,
    OutputInfo,
    ParameterInfo,
    Region,
    ScopeInfo,
    StateInfo,
    Value,
)
from attndsl.graph.cursor import INTEGER, SYMBOL, Cursor
from attndsl.graph.initial import DRAWS, INDEX, Initializer
from attndsl.ops import OPS, MaskFacts, Windows
from attndsl.ops.base import Op
from attndsl.records import fields
from attndsl.sizes import Constraint

T = TypeVar("T")
NUMBER = re.compile(r"-?(?:inf|nan|\d+(?:\.\d+)?(?:e[+-]?\d+)?)")
FILE = re.compile(r"[^\s:\",{}()]+")
ATTRIBUTE = re.compile(r"\w+\s*=")
RELATION = re.compile(r"==|!=|<=|<|>=|>|divides")


class _Listed(Source):
    """A source of which only positions are known; an offset holds a line and a column."""

    WIDTH = 1 << 20

    def __init__(self, name: str) -> None:
        super().__init__(name, "")

    def position(self, offset: int) -> tuple[int, int]:
        return divmod(offset, self.WIDTH)

    def line(self, number: int) -> str:
        return ""


NOWHERE = Span(Source("", ""), 0, 0)  # for declarations that must have a span, in texts without


def parse_text(text: str) -> Graph:
    """The graph that `text` describes; raises `GraphSyntaxError`."""
    return _Reader(text).graph()


RECORDS: dict[str, type[MaskFacts | Windows]] = {
    "MaskFacts": MaskFacts,
    "Windows": Windows,
}  # what an attribute may be besides numbers, texts, sizes, axes and types


class _Reader(Cursor):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.values: dict[str, Value] = {}
        self.sources: dict[str, Source] = {}

    # ------------------------------------------------------------ attributes, spans

    def number(self) -> float | int:
        text = self.match(NUMBER, "a number")
        return int(text) if INTEGER.fullmatch(text) else float(text)

    def scalar(self) -> float | int | bool:
        if self.has("true"):
            return True
        return False if self.has("false") else self.number()

    def hyperparameter(self) -> object:
        self.skip()
        if self.text.startswith('"', self.at):
            return self.string()
        if self.has("none"):
            return None
        if self.has("["):
            return self.listed(self.hyperparameter, "]")
        value = self.scalar()
        return Fraction(int(value), int(self.number())) if self.has("/") else value

    def span(self, word: str = "at") -> Span | None:
        if not self.has(word):
            return None
        self.skip()
        name = self.string() if self.text.startswith('"', self.at) else self.match(FILE, "a file's name")
        self.need(":")
        line = int(self.match(INTEGER, "a line"))
        self.need(":")
        place = line * _Listed.WIDTH + int(self.match(INTEGER, "a column"))
        return Span(self.sources.setdefault(name, _Listed(name)), place, place)

    def doc(self) -> str | None:
        return self.string() if self.has("doc") else None

    # ------------------------------------------------------------ declarations

    def graph(self) -> Graph:
        self.need("graph")
        name = self.word()
        variant = self.word() if self.has("variant") else None
        origin = ""
        if self.has("origin"):
            self.skip()
            origin = self.string() if self.text.startswith('"', self.at) else self.match(FILE, "a file's name")
        span, doc = self.span(), self.doc()
        hyperparameters: dict[str, object] = {}
        while self.has("hyperparameter"):
            key = self.word()
            self.need("=")
            hyperparameters[key] = self.hyperparameter()
        sizes: dict[str, int] = {}
        while self.has("size"):
            key = self.word()
            self.need("=")
            sizes[key] = int(self.match(INTEGER, "a number"))
        inputs = self.each("input", self.input)
        parameters = self.each("parameter", self.parameter)
        states = self.each("state", self.state)
        constraints = self.each("constraint", self.constraint)
        scopes = {info.path: info for info in self.each("scope", self.scope)}
        self.need("body")
        self.need("{")
        nodes = self.nodes()
        self.need("}")
        outputs = self.each("output", self.output)
        self.skip()
        if self.at != len(self.text):
            raise self.error("the end")
        body = Region(tuple(i.value for i in inputs), nodes, tuple(o.value for o in outputs))
        return Graph(
            name,
            hyperparameters,
            sizes,
            inputs,
            outputs,
            parameters,
            constraints,
            scopes,
            body,
            variant,
            doc,
            span,
            origin,
            states=states,
        )

    def each(self, keyword: str, item: Callable[[], T]) -> tuple[T, ...]:
        items: list[T] = []
        while self.has(keyword):
            items.append(item())
        return tuple(items)

    def input(self) -> InputInfo:
        name, value = self.word(), self.made()
        optional = self.has("optional")
        default = self.string() if self.has("=") else None
        bounds: list[Bound] = []
        if self.has("where"):
            bounds.append(self.bound())
            while self.has(","):
                bounds.append(self.bound())
        span = self.span()
        return InputInfo(name, value, optional, tuple(bounds), self.doc(), span, default)

    def bound(self) -> Bound:
        relation = self.match(RELATION, "a relation")
        return Bound(relation, self.size(), self.span() or NOWHERE)

    def output(self) -> OutputInfo:
        name = self.word()
        self.need("=")
        value = self.use()
        needs: list[str] = []
        if self.has("needs"):
            needs.append(self.word())
            while self.has(","):
                needs.append(self.word())
        span = self.span()
        return OutputInfo(name, value, frozenset(needs), self.doc(), span)

    def parameter(self) -> ParameterInfo:
        address = self.word()
        self.need(":")
        type = self.type()
        self.need("=")
        start = self.initial(self.match(SYMBOL, "an initializer"))
        layers = self.layers()
        stacks: tuple[int, ...] = ()
        if self.has("stacked"):
            self.need("[")
            stacks = self.listed(lambda: int(self.number()), "]")
        return ParameterInfo(address, type, start, layers, self.span(), stacks)

    def state(self) -> StateInfo:
        address = self.word()
        self.need(":")
        type = self.type()
        self.need("in")
        name = self.word()
        return StateInfo(address, type, name, self.layers(), span=self.span())

    def layers(self) -> Box:
        if not self.has("layers"):
            return ()
        self.need("[")
        return self.listed(self.layer, "]")

    def initial(self, kind: str) -> Initializer:
        """What stands behind the name of a draw, of the index of a loop, or of an op."""
        if kind in DRAWS or kind == INDEX:
            return Initializer(kind, self.listed(self.part, ")") if self.has("(") else ())
        self.need("(")
        op, arguments = self.applied(kind, self.part)
        return Initializer.applied(op, *arguments)

    def part(self) -> Initializer | float | bool:
        self.skip()
        if NUMBER.match(self.text, self.at):
            return self.number()
        name = self.match(SYMBOL, "an initializer")
        return name == "true" if name in ("true", "false") else self.initial(name)

    def layer(self) -> range | tuple[int, ...]:
        def integer() -> int:
            return int(self.match(INTEGER, "a number"))

        if self.has("("):
            return self.listed(integer, ")")
        start = integer()
        self.need(":")
        stop = integer()
        return range(start, stop, integer() if self.has(":") else 1)

    def constraint(self) -> Constraint:
        left = self.size()
        relation = self.match(RELATION, "a relation")
        right = self.size()
        span = self.span() or NOWHERE
        self.need("code")
        code = self.match(SYMBOL, "a code")
        notes = self.each("note", self.string)
        helps = self.each("help", self.string)
        other = self.each("other", lambda: Label(self.span() or NOWHERE, self.string()))
        return Constraint(relation, left, right, span, code, notes, helps, other)

    def scope(self) -> ScopeInfo:
        path = self.word()
        self.need("=")
        kind = self.word()
        labelled = self.has("labelled")
        span = self.span()
        return ScopeInfo(path, kind, span, labelled, self.doc())

    # ------------------------------------------------------------ bodies

    def made(self) -> Value:
        name = self.match(re.compile(r"%\d+"), "a value")
        names = self.listed(self.word, "}") if self.has("{") else ()
        self.need(":")
        value = Value(self.type(), names)
        self.values[name] = value
        return value

    def use(self) -> Value:
        name = self.match(re.compile(r"%\w+"), "a value")
        if name not in self.values:
            raise self.refusal(f"{name} is used before it is made")
        return self.values[name]

    def nodes(self) -> tuple[Node, ...]:
        found: list[Node] = []
        while True:
            self.skip()
            if not self.text.startswith("%", self.at):
                return tuple(found)
            found.append(self.node())

    def node(self) -> Node:
        outputs = [self.made()]
        while self.has(","):
            outputs.append(self.made())
        self.need("=")
        op, inputs = self.op()
        scope = self.word() if self.has("in") else ""
        span, site = self.span(), self.span("from")
        regions: list[Region] = []
        while self.has("{"):
            self.need("given")
            parameters = [self.made()]
            while self.has(","):
                parameters.append(self.made())
            nodes = self.nodes()
            self.need("give")
            results = self.listed(self.use, "}")
            regions.append(Region(tuple(parameters), nodes, results))
        return Node(op, inputs, tuple(outputs), tuple(regions), scope, span, site)

    def op(self) -> tuple[Op, tuple[Value, ...]]:
        name = self.match(SYMBOL, "an op")
        self.need("(")
        return self.applied(name, self.use)

    def applied(self, name: str, operand: Callable[[], T]) -> tuple[Op, tuple[T, ...]]:
        """What stands between the parentheses behind an op's name: its operands, then its attributes."""
        kind = OPS.get(name)
        if kind is None:
            raise self.refusal(f"there is no op `{name}`")
        inputs: list[T] = []
        attributes: dict[str, object] = {}
        kinds = {f.name: str(f.type) for f in fields(kind)}

        def item() -> None:
            self.skip()
            if not ATTRIBUTE.match(self.text, self.at):
                inputs.append(operand())
                return
            attribute = self.match(SYMBOL, "an attribute")
            self.need("=")
            if attribute not in kinds:
                raise self.refusal(f"`{name}` has no attribute `{attribute}`")
            attributes[attribute] = self.attribute(kinds[attribute])

        self.listed(item, ")")
        return kind(**attributes), tuple(inputs)

    def attribute(self, kind: str) -> object:
        """A value of the annotated type `kind`."""
        if kind.endswith(" | None"):
            return None if self.has("none") else self.attribute(kind.removesuffix(" | None"))
        if kind in RECORDS:
            return self.record(RECORDS[kind])
        if kind.startswith("tuple["):
            self.need("[")
            item = kind.removeprefix("tuple[").split(",")[0]
            return self.listed(lambda: self.attribute(item), "]")
        readers: dict[str, Callable[[], object]] = {
            "Axis": self.axis, "Size": self.size, "Type": self.type, "str": self.string, "bool": self.scalar,
            "int": self.scalar, "float": self.scalar, "float | int | bool": self.scalar,
        }  # fmt: skip
        return readers[kind]()

    def record(self, kind: type[MaskFacts | Windows]) -> MaskFacts | Windows:
        """`{name=value, …}`: what is not as it is by default."""
        kinds = {f.name: str(f.type) for f in fields(kind)}
        given: dict[str, Any] = {}

        def item() -> None:
            name = self.match(SYMBOL, "a name")
            self.need("=")
            given[name] = self.attribute(kinds[name])

        self.need("{")
        self.listed(item, "}")
        return kind(**given)
