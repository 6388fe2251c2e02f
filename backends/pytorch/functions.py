"""Writes the statements of one Python function from the nodes of one body.

A value that is used once stands inside the expression that uses it while that stays readable; others get a variable,
named by the author's name for them. A name is taken up again once what it held is no longer needed (`x = x + …`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from attndsl import ops
from attndsl.addresses import Box, Indices, loops_of
from attndsl.backends.pytorch.choices import Owner, owners, write_given, write_in_training
from attndsl.backends.pytorch.expressions import CHOICE, Expr, size_expression, wrapped
from attndsl.backends.pytorch.lines import Line, WrittenArgument
from attndsl.backends.pytorch.loops import Loop, parts, write_loop
from attndsl.backends.pytorch.lowerings import LOWERINGS
from attndsl.backends.pytorch.names import attribute, identifier
from attndsl.backends.pytorch.opened import formula_expression
from attndsl.backends.pytorch.site import Site, filled
from attndsl.backends.pytorch.special import Narrow
from attndsl.diagnostics import Source
from attndsl.graph import FLOAT, Node, Region, Value, captured
from attndsl.ops.base import Op
from attndsl.records import dataclass, field
from attndsl.sizes import Size
from attndsl.values import NumberOfSizes

if TYPE_CHECKING:
    from attndsl.backends.pytorch.source import File

LONGEST = 84  # an expression longer than this is written in two statements


@dataclass(eq=False)
class Writer:
    """One function. `bases` maps the path of the layers around (`h.*.`; empty at the top) to the Python expression that
    reaches their parts; `arguments` are its arguments so far."""

    file: File
    arguments: list[WrittenArgument]
    bases: dict[str, str]
    rounds: dict[str, Indices] = field(default_factory=dict)  # of the repeats around, by address, in which this runs
    indent: int = 2
    lines: list[Line] = field(default_factory=list)
    values: dict[Value, Expr] = field(default_factory=dict)
    waiting: dict[Value, tuple[Node, ...]] = field(
        default_factory=dict
    )  # what an expression not yet written is made of
    left: Counter[Value] = field(default_factory=Counter)  # reads of a value that are still to be written
    single: set[Value] = field(default_factory=set)
    named: set[Value] = field(default_factory=set)  # waiting, but not to stand inside an expression
    holders: dict[str, Value] = field(default_factory=dict)
    reserved: set[str] = field(default_factory=set)
    sizes: dict[str, str] = field(default_factory=dict)  # the free sizes that the function mentions
    foreign: dict[str, WrittenArgument] = field(default_factory=dict)  # parameters of layers outside, by address
    owners: dict[Node, Owner] = field(default_factory=dict)  # what is not needed always (`choices.owners`)
    asked: dict[Value, str] = field(default_factory=dict)  # when what a loop stacks is needed, if not always
    loops: list[Loop] = field(default_factory=list)  # in place, around what is being written, the outermost first
    uses_wide: bool = False
    lengths: dict[Size, str] = field(default_factory=dict)  # variables of sizes with long formulas
    definitions: list[str] = field(default_factory=list)  # and what they are
    cited: set[tuple[Source, int]] = field(default_factory=set)
    constructs: bool = False  # whether it is a constructor, which has the open sizes as arguments

    def __post_init__(self) -> None:
        self.reserved |= self.file.reserved | {variable.name for variable in self.arguments}

    # ------------------------------------------------------------ what lowerings ask for

    def size(self, size: Size) -> Expr:
        name = self._named(size)
        return Expr(name) if name else size_expression(self._by_names(size), self.symbol)

    def _named(self, size: Size) -> str | None:
        """The variable of a size that an axis has a name for, where the formula is long."""
        if size not in self.lengths and size in self.file.lengths and not self.constructs:
            text = size_expression(self._by_names(size), self.symbol).text
            self.lengths[size] = self.fresh(identifier(self.file.lengths[size]))
            self.definitions.append(f"{self.lengths[size]} = {text}")
        return self.lengths.get(size)

    def _by_names(self, size: Size) -> Size:
        """A size by the names of others that it has as functions in it."""
        for other in self.file.lengths:
            ((monomial, coefficient),) = other.terms.items() if len(other.terms) == 1 else (((), 0),)
            short = not self.constructs and coefficient == 1 and len(monomial) == 1
            if short and other != size and size.has(monomial[0][0]):
                size = size.substitute({monomial[0][0]: Size.symbol(f"={self._named(other)}")})
        return size

    def symbol(self, symbol: str) -> str:
        if symbol.startswith("="):
            return symbol[1:]
        if symbol in self.file.open:
            return self.file.open[symbol].said(self.constructs)
        if symbol in self.file.graph.sizes:
            return self.file.constant(symbol)
        self.sizes[symbol] = identifier(symbol)
        return self.sizes[symbol]

    def computed(self, number: NumberOfSizes) -> Expr | None:
        found = formula_expression(number.origin, self.file.open, self.symbol)
        if found is not None and "math." in found.text:
            self.math()
        return found

    @property
    def plain(self) -> bool:
        return self.file.plain

    @property
    def wide(self) -> Collection[Value]:
        return self.file.wide

    def dtype(self, *, wide: bool = False) -> str:
        if wide:
            self.uses_wide = True
            return "wide"
        for variable in self.arguments:
            if variable.type.dtype == FLOAT and not variable.optional and not variable.wide:
                return f"{variable.name}.dtype"
        return self.file.dtype(self)

    def device(self) -> str:
        for variable in sorted(self.arguments, key=lambda v: not v.type.axes):
            if not variable.optional:
                return f"{variable.name}.device"
        return self.file.device(self)

    def counts(self, value: Value) -> bool:
        return any(value in loop.indices for loop in self.loops)

    def parts(self, table: Value, place: int) -> str | None:
        return parts(self, table, place)

    def helper(self, name: str) -> str:
        return self.file.helper(name)

    def define(self, name: str, arguments: str, doc: str, body: str) -> str:
        return self.file.define(name, arguments, doc, body)

    def math(self) -> str:
        return self.file.math()

    def parameter(self, address: str) -> str:
        found = self.reach(address, parameter=True)
        if found is not None:
            return found
        return self.foreign_parameter(address).name

    def foreign_parameter(self, address: str) -> WrittenArgument:
        """An argument for a parameter that belongs to a module outside."""
        if address not in self.foreign:
            name = self.fresh(identifier(address.replace("*.", "").replace(".", "_")))
            self.foreign[address] = WrittenArgument(name, self.file.parameters[address].type)
        return self.foreign[address]

    def layer(self, path: str) -> str:
        found = self.reach(path, parameter=False)
        assert found is not None, path
        return found

    def around(self, address: str) -> Box:
        """The rounds of the loops that an address lies in, in which this runs."""
        return tuple(self.rounds[loop] for loop in loops_of(address))

    def reach(self, address: str, *, parameter: bool) -> str | None:
        base = max((b for b in self.bases if address.startswith(b)), key=len, default=None)
        if base is None or "*" in address[len(base) :]:
            return None
        text, steps = self.bases[base], address[len(base) :].split(".")
        for i, step in enumerate(map(self.file.own_name, steps)):
            text = attribute(text, step, parameter=parameter and i == len(steps) - 1)
        return text

    # ------------------------------------------------------------ names

    def fresh(self, wish: str) -> str:
        """A name that nothing has had in this function."""
        name, count = wish, 1
        while name in self.reserved or name in self.holders:
            count += 1
            name = f"{wish}_{count}"
        self.reserved.add(name)
        return name

    def name_for(self, value: Value, node: Node | None, also: tuple[str, ...] = (), *, own: bool = False) -> str:
        """A variable for `value`: its own name if that is free or holds nothing that is still needed, and, if `own`, is
        no argument's."""
        wish = self.wish(value, node, also)
        name, count = wish, 1
        while not self._takeable(name, value) or (own and name in self.reserved):
            count += 1
            name = f"{wish}_{count}"
        self.holders[name] = value
        return name

    def _takeable(self, name: str, value: Value) -> bool:
        held = self.holders.get(name)
        if held is None:
            return name not in self.reserved
        alike = held.type.dtype == value.type.dtype and (held in self.wide) == (value in self.wide)
        return self.left[held] <= 0 and (name not in self.reserved or alike)  # `dtype` may ask for an argument's

    def wish(self, value: Value, node: Node | None, also: tuple[str, ...] = ()) -> str:
        """What `value` is best called: by its own names, by `also`, or by what made it."""
        scopes = self.file.graph.scopes
        # The outermost name says most; of two at one depth, a variable's says more than a layer's.
        for name in sorted(self.file.variables.names(value) or also, key=lambda n: (n.count("."), n in scopes)):
            before, _, last = name.rpartition(".")
            if last.isdigit() and (whose := before.rpartition(".")[2]).isidentifier():
                return identifier(f"{whose}_{last}")  # one of several: `memory_0`
            if last != "*":
                return identifier(last)
        if node is not None:
            if noun := (node.op.made_by if isinstance(node.op, Narrow) else node.op).noun:
                return noun
            for part in reversed(node.scope.split(".")):
                if part and part != "*" and not isinstance(node.op, (ops.Repeat, ops.Scan)):
                    return identifier(part)
            return identifier(node.op.name.rpartition(".")[2])
        return "value"

    # ------------------------------------------------------------ statements

    def add(self, text: str, node: Node | None = None, comment: str = "") -> None:
        lines = wrapped(text, self.indent)
        if comment and len(lines[-1]) + len(comment) + 4 <= 120:
            lines[-1] += f"  # {comment}"
        self.lines += [Line(line, node) for line in lines]

    def blank(self) -> None:
        if self.lines and not self.lines[-1].text.endswith(":"):
            self.lines.append(Line(""))

    def cite(self, *nodes: Node) -> None:
        """Comments with the lines of the spec that the next statement comes from, where they are not cited yet."""
        places = {node.at.line: node.at.source for node in nodes if node.at is not None and not _says_nothing(node.op)}
        new = [(line, source) for line, source in sorted(places.items()) if (source, line) not in self.cited]
        if not new:
            return
        self.cited.update((source, line) for line, source in new)
        self.blank()
        limit = max(116 - 4 * self.indent, 40)
        for line, source in new:
            quoted = " ".join(source.line(line).split("#")[0].split())
            text = f"# {source.name.rpartition('/')[2]}:{line}  {quoted}".rstrip()
            self.lines.append(Line("    " * self.indent + (text if len(text) <= limit else text[: limit - 1] + "…")))

    def count(self, region: Region) -> None:
        """Note how often each value is read, and which are read once, by a node of the region that makes them."""
        root = self.file.variables.root
        results = [root(value) for value in region.results]
        reads: Counter[Value] = Counter(results)
        made: set[Value] = set()
        for node in region.nodes:
            if node.regions:
                # Read again and again, or by another function: never inside an expression.
                reads.update(self.held(node) * 2)
            elif not self.file.variables.shares(node):
                reads.update(map(root, node.inputs))
            made.update(node.outputs)
        self.left.update(reads)
        kept = {*results, *map(root, self.file.taps)}
        self.single |= {value for value in made if reads[value] == 1} - kept
        if any(isinstance(node.op, ops.OneOf) for node in region.nodes):
            self.owners |= owners(region, root, kept)

    def held(self, node: Node) -> list[Value]:
        """What a node with bodies reads from around it."""
        outer = [v for inner in node.regions for v in captured(inner)]
        return list(dict.fromkeys(map(self.file.variables.root, outer))) + [
            self.file.variables.root(v) for v in node.inputs
        ]

    def run(self, nodes: Sequence[Node], owner: Owner | None = None) -> None:
        """Write those of `nodes` that `owner` alone needs, or that are needed always. What is computed in training
        alone, or in use alone, waits for the first `in_training` nodes behind it, and these for others."""
        own: list[Node] = []
        chosen: list[Node] = []
        for node in nodes:
            needs = self.owners.get(node)
            if needs is not owner and isinstance(needs, Node):
                continue
            on_a_side = isinstance(needs, bool) and needs is not owner
            chooses = isinstance(node.op, ops.InTraining) and not isinstance(owner, bool) and not self.of_numbers(node)
            waits = on_a_side or chooses or not node.op.operands
            made = {node.output for node in chosen}
            if chosen and (not waits or any(value in made for value in self.held(node))):
                write_in_training(self, own, chosen)
                own, chosen = [], []
            if on_a_side:
                own.append(node)
            elif chooses:
                chosen.append(node)
            else:
                self.write_node(node, owner, nodes)
        if own or chosen:
            write_in_training(self, own, chosen)

    def write_node(self, node: Node, owner: Owner | None, around: Sequence[Node]) -> None:
        """Write what one of the nodes `around` makes."""
        if node.regions:
            write_loop(self, node)
        elif isinstance(node.op, ops.Given):
            write_given(self, node, [each for each in around if self.owners.get(each) is node])
        elif isinstance(node.op, ops.InTraining) and isinstance(owner, bool):
            self.settle([taken := self.file.variables.root(node.inputs[0 if owner else 1])])
            self.values[node.output] = self.read(taken)
            self.left[taken] += self.left[node.output]
        elif not self.file.variables.shares(node):
            self.statement(node)
        self.tap(node.outputs)

    def of_numbers(self, node: Node) -> bool:
        """Whether all operands of a node are Python numbers."""
        return all(value in self.values and self.values[value].host for value in node.inputs)

    def statement(self, node: Node) -> None:
        """Note the node's expression, and write it where it cannot wait for the one that uses it."""
        value = node.output
        if node.op.draws:
            self.settle_draws(node.inputs)
        for operand in map(self.file.variables.root, node.inputs):
            if operand in self.named and operand in self.waiting:
                self.write(operand)
        expression = self.lower(node)
        while len(expression.text) > LONGEST and (longest := self._longest(node, len(expression.text) - LONGEST)):
            self.settle(longest)
            expression = self.lower(node)
        if expression.host and len(expression.text) > LONGEST:  # said again wherever it is used: not at this length
            expression = self.filled(expression, value, wide=value in self.wide)
        self.values[value] = expression
        if expression.host or isinstance(node.op, ops.Parameter):
            if all(operand in self.file.hosts for operand in map(self.file.variables.root, node.inputs)):
                self.file.hosts[value] = node  # made of no index: what a function inside this one can say, too
            return
        inputs = dict.fromkeys(map(self.file.variables.root, node.inputs))
        self.waiting[value] = (node, *(n for v in inputs for n in self.waiting.get(v, ())))
        if value not in self.single:
            self.write(value)
        elif self._deserves_a_name(node, expression):
            self.named.add(value)

    def _longest(self, node: Node, excess: int) -> list[Value]:
        """Operands that stand in the node's expression, as few as make it shorter by `excess`, in their order."""
        waiting = [v for v in dict.fromkeys(map(self.file.variables.root, node.inputs)) if v in self.waiting]
        chosen: set[Value] = set()
        for value in sorted(waiting, key=lambda v: -len(self.values[v].text)):
            length = len(self.values[value].text)
            if excess > 0 and length > 24:
                chosen.add(value)
                excess -= length - 8
        return [value for value in waiting if value in chosen]

    def _deserves_a_name(self, node: Node, expression: Expr) -> bool:
        """Whether an author's variable is worth a line of its own although it is used once. It gets one just before it
        is used: `q`, `k` and `v` in the order in which attention takes them."""
        scopes = self.file.graph.scopes
        own = [
            name
            for name in self.file.variables.names(node.output)
            if name not in scopes and name.rpartition(".")[2] != "*"
        ]
        return bool(own) and len(expression.text) > 30

    def lower(self, node: Node) -> Expr:
        lowering = LOWERINGS.get(type(node.op))
        if lowering is None:
            raise NotImplementedError(f"PyTorch has no lowering of {node.op.name}")
        return lowering(Site(node, tuple(map(self.read, node.inputs)), self))

    def read(self, value: Value) -> Expr:
        value = self.file.variables.root(value)
        if value not in self.values and value in self.file.hosts:
            # A number or a parameter from the function around: said again, not handed over.
            self.values[value] = self.lower(self.file.hosts[value])
        return self.values[value]

    def assign(self, name: str, value: Value, node: Node) -> None:
        """The statement that gives the variable `name` what `value` is."""
        self.add(f"{name} = {self.take(value)}", node)

    def take(self, value: Value, level: int = CHOICE) -> str:
        """What `value` is, for a statement that stands for one of its readers."""
        value = self.file.variables.root(value)
        nodes = self.waiting.pop(value, ())
        self._stands(nodes)
        for other in (value for n in nodes for value in map(self.file.variables.root, n.inputs)):
            self.left[other] -= 1
        self.left[value] -= 1
        return self.tensor(value).at(level)

    def _stands(self, nodes: Sequence[Node]) -> None:
        """These nodes are in a statement now: none of their values waits any more."""
        for value in (value for node in nodes for value in node.outputs):
            self.waiting.pop(value, None)

    def write(self, value: Value) -> None:
        """The statement that gives `value` a variable."""
        nodes = self.waiting.pop(value)
        self._stands(nodes)
        node = nodes[0]
        expression = self.values[value]
        self.cite(*nodes)
        read = []
        for other in dict.fromkeys(v for n in nodes for v in map(self.file.variables.root, n.inputs)):
            if other not in self.file.hosts and not any(other in n.outputs for n in nodes):
                self.left[other] -= sum(list(map(self.file.variables.root, n.inputs)).count(other) for n in nodes)
                read.append(other)
        name = self.name_for(value, node)
        axes = value.type.axes
        kept = any(other.type.axes == axes for other in read)
        comment = "" if kept or not axes else "[" + ", ".join(axis.name for axis in axes) + "]"
        self.add(f"{name} = {expression.text}", node, comment)
        self.values[value] = Expr(name)

    def tensor(self, value: Value) -> Expr:
        """The value as a variable or argument, whatever it was: what a loop, a call or a `return` takes."""
        expression = self.read(value)
        if not expression.host:
            return expression
        return self.filled(expression, value, wide=value in self.wide)

    def filled(self, number: Expr, value: Value, *, wide: bool = False) -> Expr:
        """`value`, which is a Python number, as a tensor."""
        dtype = self.dtype(wide=wide) if value.type.is_float else None
        return filled("()", number, dtype, self.device())

    def settle(self, values: Iterable[Value]) -> None:
        """Write what is still waiting among `values`, so that a loop or another function can read it."""
        for value in map(self.file.variables.root, values):
            if value in self.waiting:
                self.write(value)

    def settle_draws(self, read: Iterable[Value] = ()) -> None:
        """Write what is still waiting that draws random numbers: these are drawn in the order of the graph, wherever
        what is drawn is read. What stands in something else that waits, or in one of the values that are `read` next,
        is drawn where that is."""
        of_read = {value for operand in map(self.file.variables.root, read) for value in self._inside(operand)}
        inside = {value for _, *others in self.waiting.values() for node in others for value in node.outputs}
        drawing = (value for value, nodes in self.waiting.items() if any(node.op.draws for node in nodes))
        self.settle([value for value in drawing if value not in inside | of_read])

    def _inside(self, value: Value) -> list[Value]:
        """What waits and is written where this value is, itself included."""
        return [made for node in self.waiting.get(value, ()) for made in node.outputs]

    def release(self, values: Iterable[Value], times: int = 1) -> None:
        """So many of these values' reads are written now."""
        for value in map(self.file.variables.root, values):
            self.left[value] -= times

    def tap(self, values: Iterable[Value]) -> None:
        """Record those of `values` that are asked for by address."""
        for value in values:
            if value in self.file.taps:
                self.settle([value])
                self.add(f'{self.helper("record")}("{self.file.taps[value]}", {self.tensor(value)})')


def _says_nothing(op: Op) -> bool:
    """Whether it may be written anywhere, so that it says nothing about where a statement comes from."""
    return not op.operands and not op.draws
