"""Where names live while a body is elaborated, and what they are bound to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attndsl.diagnostics import Label, Span, error
from attndsl.elaborate.elaboration import Elaboration, Kept
from attndsl.elaborate.files import FileScope
from attndsl.elaborate.values import TOP, CompileTimeValue, Evaluated, Place
from attndsl.graph import Axis, Type, Value
from attndsl.graph.builder import Builder
from attndsl.records import dataclass, field, replace
from attndsl.sizes import Atom, Constraint, Size
from attndsl.syntax import tree
from attndsl.values import Number

HERE = "_"
"""The label of a block that is given no part of its own in the address."""


class Poisoned(Exception):
    """An expression uses a name whose definition has failed already; it says nothing, so that one mistake gives one
    error."""


class Poison:
    """What a name is bound to when its definition failed."""


POISON = Poison()


@dataclass(eq=False)
class Binding:
    value: CompileTimeValue | Poison
    span: Span


@dataclass(eq=False)
class Labels:
    """The names that layers and parameters have in one body: those that an author gave, and the numbered ones."""

    given: dict[str, Span] = field(default_factory=dict)
    loops: set[str] = field(default_factory=set)
    numbered: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)

    def give(self, identifier: str, span: Span, place: Place, *, callable: bool = True) -> None:
        """Take a label for what stands at `place`; raises E0106 where it is taken, or is none."""
        if identifier == HERE:
            raise error(
                "E0106",
                f"`{HERE}` cannot be used in an address: as a label it adds no part to the addresses inside a block",
                span,
                help=f"write `… as {HERE}` behind the call of a block, or choose a label",
            )
        if identifier in self.numbered:
            raise error(
                "E0106",
                f"an unlabelled layer before this one has the address `{place.address(identifier)}`",
                span,
                "the same address",
                help="label that layer too, or choose another label here",
            )
        if identifier in self.given:
            raise error(
                "E0106",
                f"the label `{identifier}` is given twice",
                span,
                "given again here",
                other=Label(self.given[identifier], "first given here"),
                help=f"give this layer another label; to share the first one's parameters call it: `{identifier}(…)`"
                if callable and identifier not in self.loops
                else "choose another label",
            )
        self.given[identifier] = span

    def loop(self, index: str, span: Span, place: Place) -> str:
        """The name for a repeat or scan: that of its index, or the next free one where another loop has that."""
        if index in self.loops:
            return self.number(index)
        if index in self.given:
            raise error(
                "E0106",
                f"`{index}` is the label of a layer, and a loop has its address from the name of its index",
                span,
                other=Label(self.given[index], "given here"),
                help="give the index another name",
            )
        self.give(index, span, place)
        self.loops.add(index)
        return index

    def number(self, kind: str) -> str:
        """The next free name for an unlabelled layer of its kind."""
        while True:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            name = kind if self.counts[kind] == 1 else f"{kind}_{self.counts[kind]}"
            if name not in self.given:
                self.numbered.add(name)
                return name


@dataclass(eq=False)
class Enclosing:
    """The block, mask or bias in whose body a frame lies: its name, what `*` stands for in this call, and the axes of a
    mask's or bias's variables."""

    name: str = ""
    rest: tuple[Axis, ...] | None = None
    positions: dict[str, Axis] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Viewpoint:
    """What a user sees of a body: whether its text is in one of his own files, and if not, which call of his led to
    it. What goes wrong in the standard library is told there."""

    in_user_file: bool = True
    site: Span | None = None

    def inside(self, call: Span, *, standard: bool) -> Viewpoint:
        """That of the body that `call` enters, which is the standard library's or not."""
        first = standard and self.in_user_file
        return Viewpoint(self.in_user_file and not standard, self.site or (call if first else None))


USER = Viewpoint()


@dataclass(frozen=True, eq=False)
class Equal:
    """What is known to be equal in a body beyond what is so as a formula: the `sizes` and `axes` that go by others, and
    what they are. See `attndsl.elaborate.equalities`."""

    sizes: Mapping[Atom, Size] = field(default_factory=dict)
    axes: Mapping[Axis, Axis] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.sizes or self.axes)

    def axis(self, axis: Axis) -> Axis:
        """The axis in terms of the sizes that others go by; one that goes by its size goes by the other one."""
        size, origin = axis.size.substitute(self.sizes), axis.origin.substitute(self.sizes)
        made = Axis(str(size) if axis.name == str(axis.size) else axis.name, size, origin)
        return self.axes.get(made, made)


NOTHING_EQUAL = Equal()


@dataclass(frozen=True, eq=False)
class Returned:
    """What a `return` gave, and where it stands."""

    values: tuple[CompileTimeValue, ...]
    span: Span


@dataclass(eq=False)
class Frame:
    """The names of one body. `parent` is the body around it in the text (None for a block: a block sees its own
    arguments and its file, never its caller). What it declares is declared at `place`, with a name of `labels`; nodes
    go to the `builder`. `axes` are those that its tensors have, by their names, with how many have each.
    `returned` and `emitted` are what `return` and `emit` have said, `states` the states that are declared here."""

    elaborator: Elaboration
    scope: FileScope
    builder: Builder
    kind: str  # "model", "block", "scope", "repeat", "scan", "index function"
    place: Place = TOP
    parent: Frame | None = None
    names: dict[str, Binding] = field(default_factory=dict)
    axes: dict[str, dict[Axis, int]] = field(default_factory=dict)
    labels: Labels = field(default_factory=Labels)
    enclosing: Enclosing = field(default_factory=Enclosing)
    viewpoint: Viewpoint = USER
    licensed: bool = False  # inside a typed assignment or an index function: any axes may be combined
    equal: Equal = NOTHING_EQUAL
    returned: Returned | None = None
    emitted: tuple[Value, ...] | None = None
    states: dict[str, Sequence[Kept]] = field(default_factory=dict)

    @property
    def site(self) -> Span | None:
        return self.viewpoint.site

    @property
    def is_called(self) -> bool:
        """Whether this is the body of a block, a mask or a bias, or lies in one; its caller reports what is wrong."""
        return self.kind in ("block", "index function") or (self.parent is not None and self.parent.is_called)

    def at(self, span: Span) -> Span:
        """Where something at `span` is told: there, or at the user's call that led to it."""
        return self.viewpoint.site or span

    def evaluate(self, expression: tree.Expr) -> CompileTimeValue:
        """What an expression is here."""
        return self.elaborator.evaluate(expression, self)

    def evaluated(self, expression: tree.Expr) -> Evaluated:
        """The same, with where it is written."""
        return Evaluated(self.evaluate(expression), expression.span, expression)

    def execute(self, statements: Sequence[tree.Statement]) -> None:
        """Run the statements of this body."""
        self.elaborator.execute(statements, self)

    def spend(self, steps: int, span: Span) -> None:
        """Take steps of those that are left, see `attndsl.elaborate.bounds`."""
        self.elaborator.budget.spend(steps, self.at(span))

    def lookup(self, name: str) -> Binding | None:
        frame: Frame | None = self
        while frame is not None:
            if name in frame.names:
                return frame.names[name]
            frame = frame.parent
        return None

    def short_of(self, axis: Axis) -> tuple[str, Type] | None:
        """Where `*` stands for `axis`, among others, in this block: the first tensor without it, and its type."""
        for name, tensor in self.tensors() if axis in (self.enclosing.rest or ()) else ():
            if axis not in tensor.type.axes:
                return name, tensor.type
        return None

    def tensors(self) -> Iterator[tuple[str, Value]]:
        """The names of this body that are tensors."""
        for name, binding in self.names.items():
            if isinstance(binding.value, Value):
                yield name, binding.value

    @property
    def has_poison(self) -> bool:
        """Whether the definition of a name that is seen here has failed."""
        own = any(isinstance(binding.value, Poison) for binding in self.names.values())
        return own or (self.parent is not None and self.parent.has_poison)

    def visible(self) -> Iterator[str]:
        frame: Frame | None = self
        while frame is not None:
            yield from frame.names
            frame = frame.parent

    def bind(self, name: str, value: CompileTimeValue | Poison, span: Span) -> None:
        self._bind(name, Binding(value, span))

    def rebind(self, names: Mapping[str, Binding]) -> None:
        """Let these be the names of this body, and no others."""
        self.names, self.axes = {}, {}
        for name, binding in names.items():
            self._bind(name, binding)

    def _bind(self, name: str, binding: Binding) -> None:
        before, self.names[name] = self.names.get(name), binding
        for found, more in ((before, -1), (binding, 1)):
            for axis in found.value.type.axes if found is not None and isinstance(found.value, Value) else ():
                count = self.axes.setdefault(axis.name, {})
                count[axis] = count.get(axis, 0) + more
                if not count[axis]:
                    del count[axis]

    def bind_axis(self, name: str, axis: Axis, span: Span) -> Axis:
        """Let a name stand for an axis, and for its length as a number."""
        self.bind(name, Number(axis.size.known(self.elaborator.sizes), axis.size, axis), span)
        return axis

    def require(
        self, relation: str, left: Size, right: Size, span: Span, code: str, helps: tuple[str, ...] = ()
    ) -> None:
        """Ask that `left relation right`, for what is at `span`: see `Elaboration.require`."""
        self.elaborator.require(Constraint(relation, left, right, self.at(span), code, helps=helps))

    def address(self, name: str) -> str:
        return self.place.address(name)

    def poison(self, name: str, span: Span) -> None:
        """Bind a name whose definition has failed."""
        self.bind(name, POISON, span)

    def label(self, identifier: str, span: Span, *, callable: bool = True) -> Place:
        """The place of a layer, or of a parameter or state, called so here; a name is given once."""
        self.labels.give(identifier, span, self.place, callable=callable)
        return self.place.inside(identifier)

    def loop(self, index: tree.Identifier) -> Place:
        """The place of a repeat or scan by its index: `t`; `t_2` for the second one in a body, …"""
        return self.place.inside(self.labels.loop(index.text, index.span, self.place))

    def number(self, kind: str) -> Place:
        """The place of the next unlabelled layer of its kind: `linear`, `linear_2`, …"""
        return self.place.inside(self.labels.number(kind))

    def name(self, value: Value, address: str) -> Value:
        """Let an author ask for `value` by `address`. A variable assigned again gives its address to the later value of
        the same body; a variable that is called like a layer leaves the address to the layer."""
        named = self.elaborator.named
        older = named.get((self.builder, address))
        if older is value or (older is not None and address in self.elaborator.scopes):
            return value
        if older is not None:
            self.builder.rename(older, tuple(n for n in older.names if n != address))
        named[self.builder, address] = value
        return self.builder.rename(value, (*value.names, address))

    def child(self, kind: str, place: Place | None = None, builder: Builder | None = None) -> Frame:
        """A body inside this one that sees its names."""
        return Frame(
            self.elaborator, self.scope, builder or self.builder, kind, place or self.place, self,
            enclosing=self.enclosing, viewpoint=self.viewpoint, licensed=self.licensed, equal=self.equal,
        )  # fmt: skip

    def entered(self, kind: str, name: str, scope: FileScope, place: Place, call: Span) -> Frame:
        """The body of a block, mask or bias that is declared in `scope`, as `call` enters it: what it declares is at
        `place`, and it sees no name of this body, but what is equal here."""
        return Frame(
            self.elaborator, scope, self.builder, kind, place, enclosing=Enclosing(name),
            viewpoint=self.viewpoint.inside(call, standard=scope.is_standard), equal=self.equal,
        )  # fmt: skip

    def licensing(self) -> Frame:
        """This frame for an expression in which any axes may be combined."""
        return self if self.licensed else replace(self, licensed=True)
