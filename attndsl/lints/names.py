"""Names that nobody reads (W0101), states that nobody writes (W0109), and names that hide others (W0102): what a file's
text says, whatever the settings.

A body is read from its first statement to its last with what each name may stand for at that point. Both branches of an
`if` count, and what a repeated body reads from before its start it also reads from the round before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attndsl.diagnostics import Diagnostic, Label, Span, warning
from attndsl.records import dataclass, field
from attndsl.syntax import tree

MEANT = "_"
"""What a name that is meant to be unread begins with."""


@dataclass(eq=False, slots=True)
class Meaning:
    """What a name stands for from one place on; `giver` is the input or tensor in whose type a size is first named."""

    name: tree.Identifier
    kind: str  # one of `_UNREAD`, or "size", "counter" or "other", of which nobody needs to read any
    giver: Meaning | None = None
    is_read: bool = False
    is_written: bool = False  # a state
    products: dict[tuple[str, ...], tuple[tuple[str, ...], Span]] = field(default_factory=dict)
    """How products of its axes are written where it is declared and cut up: in order, by the factors sorted."""


Names = dict[str, tuple[Meaning, ...]]

_UNREAD = {
    "hyperparameter": "the hyperparameter `{}` is never read",
    "input": "the input `{}` is never read",
    "tensor": "the tensor `{}` is never read",
    "parameter": "the parameter `{}` is never read",
    "state": "the state `{}` is never read",
    "layer": "the layer `{}` is never applied",
    "value": "the value assigned to `{}` is never read",
    "block": "the block `{}` is never used in this file",
    "mask": "the mask `{}` is never used in this file",
    "bias": "the bias `{}` is never used in this file",
    "import": "`{}` is imported and never used",
    "maps": "the maps `{}` are never used in this file",
}
_HIDDEN = {
    "hyperparameter": "the hyperparameter",
    "size": "the size",
    "counter": "the index of the repeat",
}
Body = tree.Scope | tree.Repeat | tree.Scan


class BodyReader:
    """One walk through a body: a model's, a block's, a mask's. `made` is all that was bound, by where it is written."""

    def __init__(self) -> None:
        self.names: Names = {}
        self.made: dict[tree.Identifier, Meaning] = {}
        self.rounds: list[tuple[Names, set[str]]] = []  # of each body around: its names at the start, those read then
        self.hidden: dict[tree.Identifier, Meaning] = {}
        self.given: dict[tree.Identifier, tree.Expr] = {}  # what may be a block under a name
        self.assigned: set[tree.Identifier] = set()  # those of them whose call may have given a tensor
        self.twisted: dict[tree.AxisTerm, tuple[str, Span]] = {}  # products that are written otherwise elsewhere

    # ------------------------------------------------------------ names

    def bind(self, name: tree.Identifier, kind: str, giver: Meaning | None = None) -> Meaning:
        bound = self.made.setdefault(name, Meaning(name, kind, giver))
        self.names[name.text] = (bound,)
        return bound

    def assign(self, name: tree.Identifier, kind: str, value: tree.Tree | None = None) -> None:
        """Bind a name in the body, and note what it hides."""
        for hidden in self.names.get(name.text, ()):
            if hidden.kind in _HIDDEN and not (hidden.kind == "hyperparameter" and _fills_in(name.text, value)):
                self.hidden.setdefault(name, hidden)
        self.bind(name, kind)

    def read(self, name: str, *, giving: bool = True) -> None:
        meanings = self.names.get(name, ())
        for bound in meanings:
            bound.is_read = True
            if giving and bound.giver is not None:
                bound.giver.is_read = True
        for start, again in self.rounds:
            if any(bound in meanings for bound in start.get(name, ())):
                again.add(name)

    def introduce(self, type_: tree.TypeTree, giver: Meaning) -> None:
        """The names in a type that mean nothing yet are sizes from here on."""
        _note_products(type_.axes, giver)
        for name in tree.names(type_.axes):
            if name.text not in self.names:
                self.bind(tree.Identifier(name.span, name.text), "size", giver)
            else:
                self.read(name.text, giving=False)

    # ------------------------------------------------------------ signatures

    def signature(self, parameters: Sequence[tree.Parameter]) -> None:
        """Hyperparameters and tensors, in order; a default sees those before it."""
        for parameter in parameters:
            if parameter.default is not None:
                self.expression(parameter.default)
            bound = self.bind(parameter.name, "hyperparameter" if parameter.type is None else "tensor")
            if parameter.type is None and parameter.default is not None:
                self.given[parameter.name] = parameter.default
            if parameter.type is not None:
                self.introduce(parameter.type, bound)

    # ------------------------------------------------------------ statements

    def statements(self, body: Sequence[tree.Statement]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, node: tree.Statement) -> None:
        match node:
            case tree.Assign():
                if node.operator is not None:
                    self.read(node.targets[0].text)
                self.inside(node)
                for target in node.targets:
                    self.assign(target, "value", None if node.operator else node.value)
                if node.type is not None:
                    _note_products(node.type.axes, self.made[node.targets[0]])
                if isinstance(node.value, (tree.Name, tree.Call)):
                    self.given[node.targets[0]] = node.value
                    self.assigned.add(node.targets[0])
            case tree.LayerDecl():
                self.inside(node)
                self.assign(node.name, "layer")
                self.given[node.name] = node.value
            case tree.ParamDecl():
                self.inside(node)
                self.assign(node.name, "parameter")
            case tree.StateDecl():
                self.inside(node)
                self.assign(node.name, "state")
            case tree.StateWrite():
                self.inside(node)
                for bound in self.names.get(node.name.text, ()):
                    bound.is_written = True
            case tree.InputDecl():
                self.input(node)
            case tree.OutputDecl():  # which users name; it may be called like a hyperparameter
                self.inside(node)
                self.bind(node.name, "other")
            case tree.If():
                self.expression(node.condition)
                before = dict(self.names)
                self.statements(node.then)
                then, self.names = self.names, before
                self.statements(node.otherwise)
                self.names = _either(then, self.names)
            case tree.Scope() | tree.Repeat() | tree.Scan():
                self.body(node, is_value=False)
            case _:
                self.inside(node)

    def input(self, node: tree.InputDecl) -> None:
        """What an input says of itself does not make it read."""
        given = [*node.where, *([node.default] if node.default is not None else [])]
        for name in (name for part in given for name in tree.names(part)):
            self.read(name.text, giving=False)
        self.assign(node.name, "input")
        self.introduce(node.type, self.made[node.name])

    def inside(self, node: tree.Tree) -> None:
        """All the expressions that a statement is made of."""
        for part in tree.children(node):
            self.expression(part)

    def body(self, node: Body, *, is_value: bool) -> None:
        """A body of its own: what it assigns to names from outside is theirs afterwards, its own names are gone."""
        outside = dict(self.names)
        if isinstance(node, tree.Scope):
            self.statements(node.body)
        else:
            self.loop(node, outside, is_value)
        inside, self.names = self.names, outside
        kept = {name: inside[name] for name in outside if name in inside}
        self.names = kept if isinstance(node, tree.Scope) else _either(outside, kept)

    def loop(self, node: tree.Repeat | tree.Scan, outside: Names, is_value: bool) -> None:
        for part in tree.children(node):
            if not any(part is statement for statement in node.body):
                self.expression(part)
        self.assign(node.name, "counter" if isinstance(node, tree.Repeat) else "other")
        if isinstance(node, tree.Repeat) and node.element is not None:
            self.assign(node.element, "counter")
        for carried in node.carried:
            self.assign(carried.name, "other")
        start, again = dict(self.names), set[str]()
        self.rounds.append((start, again))
        self.statements(node.body)
        self.rounds.pop()
        for name in again:  # the next round reads what this one leaves
            self.read(name)
        self.names = _either(start, {name: self.names[name] for name in start})
        for name in outside:
            if is_value and self.names[name] != outside[name]:  # without `emit`, a loop gives what it carries
                self.read(name)
        for carried in node.carried:
            self.read(carried.name.text)

    # ------------------------------------------------------------ expressions

    def expression(self, node: tree.Tree) -> None:
        waiting = [node]
        while waiting:
            at = waiting.pop()
            if isinstance(at, tree.Name):
                self.read(at.text)
            elif isinstance(at, (tree.Scope, tree.Repeat, tree.Scan)):
                self.body(at, is_value=True)
            else:
                if isinstance(at, (tree.Call, tree.Pipe)):
                    self.cut(at)
                waiting += reversed(tuple(tree.children(at)))

    def cut(self, node: tree.Call | tree.Pipe) -> None:
        """Hold the products that `rearrange` cuts a named tensor's axes into against those known of that tensor."""
        call, given = (node, None) if isinstance(node, tree.Call) else (node.stages[0], node.value)
        if not (isinstance(call, tree.Call) and isinstance(call.callee, tree.Name) and call.callee.text == "rearrange"):
            return
        values = [given] if given is not None else []
        values += [argument.value for argument in call.arguments]
        if len(values) == 2 and isinstance(values[0], tree.Name) and isinstance(values[1], tree.Arrow):
            for meaning in self.names.get(values[0].text, ()):
                for term, (_, span) in _note_products(values[1].source, meaning).items():
                    self.twisted.setdefault(term, (values[0].text, span))

    # ------------------------------------------------------------ what was found

    def unread(self) -> Iterator[Diagnostic]:
        for bound in self.made.values():
            if not bound.is_read and bound.kind in _UNREAD:
                yield from unread(bound.name, bound.kind)

    def unwritten(self) -> Iterator[Diagnostic]:
        for bound in self.made.values():
            if bound.kind == "state" and not bound.is_written and not bound.name.text.startswith(MEANT):
                yield warning(
                    "W0109",
                    f"the state `{bound.name.text}` is never written",
                    bound.name.span,
                    help=f"write what the next call begins with: `{bound.name.text} <- …`",
                )

    def twists(self) -> Iterator[Diagnostic]:
        for term, (name, first) in self.twisted.items():
            yield warning(
                "W0105",
                f"`{term.span.text}` and `{first.text}` are one axis of `{name}`, and cut it up in two ways",
                term.span,
                "the last factor is the fastest here",
                other=Label(first, "and another one is the fastest here"),
                help="write the factors in the order in which the elements lie",
            )

    def hiding(self) -> Iterator[Diagnostic]:
        """What is read under a name that meant something else before; one that is not read misleads nobody."""
        for name, hidden in self.hidden.items():
            if self.made[name].is_read:
                hidden.is_read = True  # one mistake, one warning
                yield warning(
                    "W0102",
                    f"`{name.text}` shadows {_HIDDEN[hidden.kind]} of that name",
                    name.span,
                    "the name means this from here on",
                    other=Label(hidden.name.span, "and meant this"),
                    help="give it another name",
                )


def _note_products(axes: tree.AxisList, meaning: Meaning) -> dict[tree.AxisTerm, tuple[tuple[str, ...], Span]]:
    """Note the products among axes of what has this meaning; those that are known with another order of factors."""
    twisted = {}
    for term in axes.terms:
        if isinstance(term.size, tree.Chain) and {it.text for it in term.size.operators} == {"*"}:
            order = tuple(operand.span.text for operand in term.size.operands)
            known = meaning.products.setdefault(tuple(sorted(order)), (order, term.span))
            if known[0] != order:
                twisted[term] = known
    return twisted


def _either(one: Names, other: Names) -> Names:
    """What names may stand for after one way or the other."""
    return {name: tuple(dict.fromkeys((*one.get(name, ()), *other.get(name, ())))) for name in {**one, **other}}


def unread(name: tree.Identifier, kind: str) -> Iterator[Diagnostic]:
    """What is told of a name that nobody reads, unless it is meant so."""
    if name.text.startswith(MEANT):
        return
    yield warning(
        "W0101",
        _UNREAD[kind].format(name.text),
        name.span,
        help=f"remove it; where it is meant to be unused, call it `_{name.text}`",
    )


def _fills_in(name: str, value: tree.Tree | None) -> bool:
    """Whether a value is the hyperparameter itself with something else in its place in some cases: `n = 4 if n == none
    else n` says what `none` stands for, and `act = none if plain else act` when it is not wanted."""
    if not isinstance(value, tree.Conditional):
        return False
    return any(isinstance(side, tree.Name) and side.text == name for side in (value.then, value.otherwise))
