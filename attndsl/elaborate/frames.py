"""Where names live while a spec is elaborated, and what is shared by the whole run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod

from attndsl.diagnostics import AttnError, Diagnostic, Label, Span, error
from attndsl.elaborate.files import FileScope
from attndsl.elaborate.values import TOP, Argument, Compile, Layer, Place
from attndsl.graph import Axis, Initializer, InputInfo, OutputInfo, ScopeInfo, Type, Value
from attndsl.graph.builder import Builder
from attndsl.records import dataclass, field
from attndsl.sizes import Constraint, Size
from attndsl.syntax import tree
from attndsl.values import IndexVariable, Number

MAX_STEPS = 40_000
STEPS_FOR_A_CHARACTER = 5
"""How many operations a model may unroll to: expressions evaluated, and nodes made of them. A text that writes its
layers out one by one is in proportion to them; blocks that call each other, and repeats that differ in each round, are
not."""


MAX_DEPTH = 48
"""How many blocks, masks and biases may be inside one another."""


class Poisoned(Exception):
    """An expression uses a name whose definition has failed already; it says nothing, so that one mistake gives one
    error."""


class Poison:
    """What a name is bound to when its definition failed."""


POISON = Poison()


@dataclass(eq=False)
class Binding:
    value: Compile | Poison
    span: Span


@dataclass(eq=False)
class PendingParameter:
    """A parameter while the repeats in which it is declared are still being elaborated: `loops` are their indices."""

    address: str
    type: Type
    initializer: Initializer
    loops: tuple[IndexVariable, ...]
    span: Span
    site: Span | None


@dataclass(eq=False)
class Run:
    """What one elaboration collects, and the functions that call each other through it (so that no two modules import
    each other): `evaluate` an expression, `apply` a value to arguments, `execute` statements, `enter` a scope, repeat
    or scan. `sizes` are the integer hyperparameters' values."""

    evaluate: Callable[[tree.Expr, Frame], Compile]
    apply: Callable[[Compile, Sequence[Argument], dict[str, Argument], Frame, Span, tree.Identifier | None], Compile]
    execute: Callable[[Sequence[tree.Statement], Frame], None]
    enter: Callable[[tree.Scope | tree.Repeat | tree.Scan, Frame], Compile]
    sizes: dict[str, int] = field(default_factory=dict)
    parameters: dict[str, dict[tuple[IndexVariable, ...], PendingParameter]] = field(default_factory=dict)
    layers: dict[tuple[str, tuple[IndexVariable, ...]], Layer] = field(default_factory=dict)
    counts: dict[tuple[str, tuple[IndexVariable, ...]], Size] = field(default_factory=dict)
    inputs: dict[str, InputInfo] = field(default_factory=dict)
    outputs: dict[str, OutputInfo] = field(default_factory=dict)
    constraints: dict[tuple[str, Size, Size], Constraint] = field(default_factory=dict)
    scopes: dict[str, ScopeInfo] = field(default_factory=dict)
    problems: list[Diagnostic] = field(default_factory=list)
    said: set[tuple[str, Span | None]] = field(default_factory=set)  # codes and places of the problems
    named: dict[str, Value] = field(default_factory=dict)
    depth: int = 0
    limit: int = 0
    steps: int = 0
    outcomes: int = 0  # of conditions on repeat indices, computed so far
    exhausted: bool = False

    def spend(self, steps: int, span: Span, frame: Frame) -> None:
        """Take so many steps of those that the text allows; raises E0111 where none are left."""
        self.steps += steps
        if self.steps > self.limit:
            self.exhausted = True
            raise error(
                "E0111",
                f"the model unrolls to more than {self.limit:,} operations",
                frame.site or span,
                note=f"{MAX_STEPS:,} are allowed, and {STEPS_FOR_A_CHARACTER} for each character of its files",
                help="use `repeat` for layers that are alike; do blocks call each other again and again?",
            )

    def spend_on_sizes(self, span: Span, frame: Frame, *operands: Argument) -> None:
        """Take the steps that an operator on sizes needs: in proportion to its products of terms."""
        sizes = (o.value.size for o in operands if isinstance(o.value, Number) and o.value.size is not None)
        self.spend(prod(size.parts for size in sizes) // 8, span, frame)

    @contextmanager
    def entered(self, declared: tree.Identifier, span: Span, frame: Frame) -> Iterator[None]:
        """While the body of a block, mask or bias is elaborated; raises E0111 where they are too deep."""
        if self.depth >= MAX_DEPTH:
            raise error(
                "E0111",
                f"`{declared.text}` calls itself, or blocks and masks nest deeper than {MAX_DEPTH}",
                frame.site or span,
                other=Label(declared.span, "declared here"),
            )
        self.spend(5, span, frame)
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    def report(self, problem: AttnError) -> None:
        """Keep the diagnostics of `problem` that have not been said: a block called in many places fails once."""
        for diagnostic in problem.diagnostics:
            said = (diagnostic.code, diagnostic.primary.span if diagnostic.primary else None)
            if said not in self.said:
                self.said.add(said)
                self.problems.append(diagnostic)

    def declare_layer(self, layer: Layer) -> Layer:
        """Note a layer, so that it is found as a member of the one that holds it."""
        self.layers[layer.place.path, layer.place.loops] = layer
        return layer

    def declare_loop(self, place: Place, count: Size, span: Span) -> None:
        """Note how often the repeat at `place` goes round: as often whenever a layer that holds it is applied."""
        known = self.counts.setdefault((place.path, place.loops), count)
        if known != count:
            raise error(
                "E0206",
                f"`{place.path}` goes round `{count}` times here, and `{known}` times before, in one layer",
                span,
                help="a layer is shared between tensors of the same axes only",
            )

    def require(self, constraint: Constraint) -> None:
        """Check a constraint now if every size in it is known, else keep it for the call."""
        holds = constraint.holds(self.sizes)
        if holds is False:
            raise AttnError(constraint.failure(self.sizes))
        if holds is None:
            self.constraints.setdefault((constraint.relation, constraint.left, constraint.right), constraint)


@dataclass(eq=False)
class Frame:
    """The names of one body. `parent` is the body around it in the text (None for a block: a block sees its own
    arguments and its file, never its caller). What it declares is declared at `place`; `counts` numbers unlabelled
    layers by kind."""

    run: Run
    scope: FileScope
    builder: Builder
    place: Place = TOP
    parent: Frame | None = None
    names: dict[str, Binding] = field(default_factory=dict)
    labels: dict[str, Span] = field(default_factory=dict)
    numbered: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)
    results: tuple[Compile, ...] | None = None
    emitted: tuple[Value, ...] | None = None
    kind: str = "model"  # "model", "block", "scope", "repeat", "scan", "index function"
    owner: str = ""  # the block's name, for messages
    outer: bool = False  # inside a typed assignment or an index function: outer combinations are licensed
    in_user_file: bool = True
    site: Span | None = None
    returned: Span | None = None
    rest: tuple[Axis, ...] | None = None  # what `*` stands for in a block
    positions: dict[str, Axis] = field(default_factory=dict)  # an index function's variables

    def lookup(self, name: str) -> Binding | None:
        frame: Frame | None = self
        while frame is not None:
            if name in frame.names:
                return frame.names[name]
            frame = frame.parent
        return None

    def short_of(self, axis: Axis) -> tuple[str, Type] | None:
        """Where `*` stands for `axis`, among others, in this block: the first tensor without it, and its type."""
        for name, binding in self.names.items() if axis in (self.rest or ()) else ():
            if isinstance(binding.value, Value) and axis not in binding.value.type.axes:
                return name, binding.value.type
        return None

    def visible(self) -> Iterator[str]:
        frame: Frame | None = self
        while frame is not None:
            yield from frame.names
            frame = frame.parent

    def bind(self, name: str, value: Compile | Poison, span: Span) -> None:
        self.names[name] = Binding(value, span)

    def address(self, name: str) -> str:
        return self.place.address(name)

    def label(self, identifier: str, span: Span) -> Place:
        """The place of a layer or parameter called so here; a name is given once."""
        if identifier in self.numbered:
            raise error(
                "E0106",
                f"an unlabelled layer before this one has the address `{self.address(identifier)}`",
                span,
                "the same address",
                help="label that layer too, or choose another label here",
            )
        if identifier in self.labels:
            raise error(
                "E0106",
                f"the label `{identifier}` is given twice",
                span,
                "given again here",
                other=Label(self.labels[identifier], "first given here"),
                help=f"give this layer another label; to share the first one's parameters call it: `{identifier}(…)`",
            )
        self.labels[identifier] = span
        return self.place.inside(identifier)

    def name(self, value: Value, address: str) -> Value:
        """Let an author ask for `value` by `address`. A variable assigned again gives its address to the later value; a
        variable that is called like a layer leaves the address to the layer."""
        named = self.run.named
        older = named.get(address)
        if older is value or (older is not None and address in self.run.scopes):
            return value
        if older is not None:
            self.builder.rename(older, tuple(n for n in older.names if n != address))
        named[address] = value
        return self.builder.rename(value, (*value.names, address))

    def number(self, kind: str) -> Place:
        """The place of the next unlabelled layer of its kind: `linear`, `linear_2`, …"""
        while True:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            name = kind if self.counts[kind] == 1 else f"{kind}_{self.counts[kind]}"
            if name not in self.labels:
                self.numbered.add(name)
                return self.place.inside(name)

    def child(self, kind: str, place: Place | None = None, builder: Builder | None = None) -> Frame:
        """A body inside this one that sees its names."""
        return Frame(
            self.run, self.scope, builder or self.builder, place or self.place, self, kind=kind, owner=self.owner,
            outer=self.outer, in_user_file=self.in_user_file, site=self.site, rest=self.rest, positions=self.positions,
        )  # fmt: skip

    def find_layer(self, name: str) -> Layer | None:
        binding = self.lookup(name)
        return binding.value if binding and isinstance(binding.value, Layer) else None
