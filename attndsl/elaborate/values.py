"""What an expression can be at compile time, besides a tensor (`attndsl.graph.Value`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Union

from attndsl.diagnostics import Span, error
from attndsl.graph import Axis, Initializer, Type, Value
from attndsl.records import Frozen, field
from attndsl.syntax import tree
from attndsl.values import (
    IndexVariable,
    List,
    Nothing,
    Number,
    Plain,
    Reference,
    Text,
    described,
    written,
)
from attndsl.values import kind_of as kind_of_plain

if TYPE_CHECKING:
    from attndsl.elaborate.files import FileScope
    from attndsl.elaborate.frames import Frame


class LayerChoice(Frozen, eq=False):
    """A layer for each element of `index`, one of as many as `axis` is long: `take(block, index, over=axis)`. The$
    address of these layers, once they have one, is of `depth` parts."""

    axis: Axis
    index: Value
    span: Span
    depth: int = 0


class Place(Frozen, eq=False):
    """Where something is declared: the `path` that its address begins with, and the loops that it is declared in, the
    outermost first, one for each `*` of the path. A parameter declared here has one more axis for each of `choices`."""

    path: str = ""
    loops: tuple[IndexVariable, ...] = ()
    choices: tuple[LayerChoice, ...] = ()

    def address(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def inside(self, name: str) -> Place:
        """The place of what a layer, a scope or a scan of this name holds."""
        return Place(self.address(name), self.loops, self.choices)

    def in_loop(self, index: IndexVariable) -> Place:
        """The place of what the repeat at this place holds."""
        return Place(f"{self.path}.*", (*self.loops, index), self.choices)

    def chosen(self, choices: tuple[LayerChoice, ...]) -> Place:
        """The place of what a layer here holds that `choices` choose among others."""
        depth = len(self.path.split(".")) if self.path else 0
        added = [LayerChoice(choice.axis, choice.index, choice.span, depth) for choice in choices]
        return Place(self.path, self.loops, (*self.choices, *added)) if choices else self


TOP = Place()


class Primitive(Frozen, eq=False):
    """A primitive of the language by name (`attndsl.elaborate.primitives`), perhaps with arguments given already."""

    name: str
    positional: tuple[Evaluated, ...] = ()
    keywords: Mapping[str, Evaluated] = field(default_factory=dict)
    parts: int = 1


class Arguments(Frozen, eq=False):
    """What has been given of the arguments of a block, a mask or a bias: its hyperparameters' values and its tensors by
    name, and tensors that take the names that are left, in order."""

    settings: Mapping[str, Evaluated] = field(default_factory=dict)
    tensors: Mapping[str, Evaluated] = field(default_factory=dict)
    waiting: tuple[Evaluated, ...] = ()

    @property
    def has_tensors(self) -> bool:
        return bool(self.tensors or self.waiting)

    def named(self, declared: tree.Declared) -> dict[str, Evaluated]:
        """The tensors by the names of the parameters of `declared` that they are for."""
        free = [p.name.text for p in declared.tensors if p.name.text not in self.tensors]
        return {**self.tensors, **dict(zip(free, self.waiting, strict=False))}

    def values(self) -> Iterator[CompileTimeValue]:
        for given in (*self.settings.values(), *self.tensors.values(), *self.waiting):
            yield given.value


NOTHING_GIVEN = Arguments()


def lacking(declared: tree.Declared, given: Arguments) -> list[tree.Parameter]:
    """The parameters without a default for which nothing is given yet."""
    there = {*given.settings, *given.named(declared)}
    return [p for p in declared.parameters if p.default is None and p.name.text not in there]


class BlockValue(Frozen, eq=False):
    """A block, perhaps with some of its hyperparameters and tensors given already. With `choices` it stands for several
    with parameters of their own, of which each element goes through one."""

    block: tree.Block
    scope: FileScope
    given: Arguments = NOTHING_GIVEN
    parts: int = 1
    choices: tuple[LayerChoice, ...] = ()  # which of several blocks like it each element goes through

    @property
    def lacks(self) -> tuple[str, ...]:
        """The tensors that are still to be given, if some are given already."""
        missing = lacking(self.block, self.given) if self.given.has_tensors else ()
        return tuple(p.name.text for p in missing if p.type is not None)


class LayerValue(Frozen, eq=False):
    """A block at an address: applying it again shares its parameters."""

    callee: BlockValue
    place: Place
    span: Span
    applied: list[bool] = field(default_factory=list)  # empty until it has been applied once

    @property
    def path(self) -> str:
        return self.place.path


class IndexFunctionValue(Frozen, eq=False):
    """A mask or bias: a declaration with what it captures, or an algebraic combination (`operator`) of others."""

    kind: str  # "mask" or "bias"
    declaration: tree.IndexFunction | None = None
    scope: FileScope | None = None
    given: Arguments = NOTHING_GIVEN
    place: Place | None = None  # of the parameters that it owns
    operator: str = ""
    operands: tuple[IndexFunctionValue | Number | Value, ...] = ()
    span: Span | None = None
    parts: int = 1


class Several(Frozen, eq=False):
    """The results of a call that gives more than one."""

    values: tuple[CompileTimeValue, ...]


class TrainingCondition(Frozen):
    """`training`, or (if not `holds`) `not training`: a condition whose outcome is known where a program is made for
    training or for use, and not before."""

    holds: bool = True


class Axes(Frozen, eq=False):
    """A list as axes, unresolved: whose axes it means depends on the primitive that takes it."""

    terms: tuple[tree.AxisTerm, ...]
    frame: Frame


def as_axes(value: CompileTimeValue) -> Axes | None:
    """The axes that a list stands for where axes are wanted; None where it was not written as one."""
    found = value.axes if isinstance(value, List) else value
    return found if isinstance(found, Axes) else None


def as_list(value: CompileTimeValue) -> List | None:
    """A value as a list, or None where it is something else; raises what is wrong with a list of which only axes could
    be made."""
    if not isinstance(value, Axes):
        return value if isinstance(value, List) else None
    for term in value.terms:
        if term.name is not None or term.size is None:
            raise error("E0104", f"`{term.span.text}` is an axis, not a value", term.span, help="a list is `[1, 2, 3]`")
    return List.of(tuple(value.frame.evaluate(term.size) for term in value.terms if term.size is not None))


class ArrowValue(Frozen, eq=False):
    """`[D] -> [heads, head]`, unresolved."""

    source: Axes
    target: Axes
    span: Span


CompileTimeValue = Union[
    Number,
    Text,
    Nothing,
    List,
    Primitive,
    BlockValue,
    LayerValue,
    IndexFunctionValue,
    Initializer,
    TrainingCondition,
    Several,
    Axes,
    ArrowValue,
    Value,
]


PLAIN = (Number, Text, Nothing, List)
"""What the operators of `attndsl.values` take."""

NAMED = (Primitive, BlockValue, IndexFunctionValue, Initializer)
"""What is compared by what it is, and with a text by how it is written."""


class Evaluated(Frozen, eq=False):
    """A value with where it was written."""

    value: CompileTimeValue
    span: Span
    expression: tree.Expr | None = None

    @property
    def tensor(self) -> Value:
        """The value, which is known to be a tensor."""
        assert isinstance(self.value, Value)
        return self.value

    @property
    def type(self) -> Type:
        """The type of a tensor."""
        return self.tensor.type

    @property
    def each(self) -> tuple[Evaluated, ...]:
        """What this is as arguments of a call: a list of tensors stands for its elements."""
        if not isinstance(self.value, List) or not has_tensors(self.value):
            return (self,)
        return tuple(Evaluated(value, self.span) for value in self.value.values)


def has_tensors(value: CompileTimeValue) -> bool:
    """Whether this is a tensor, or a list of nothing but tensors."""
    if isinstance(value, List):
        return bool(value.values) and all(isinstance(each, Value) for each in value.values)
    return isinstance(value, Value)


def one_or_several(values: Sequence[CompileTimeValue]) -> CompileTimeValue:
    """What a body gives: its one result, or all of them."""
    return values[0] if len(values) == 1 else Several(tuple(values))


def describe(value: CompileTimeValue) -> str:
    """What a value is, in words for a message."""
    if isinstance(value, Value):
        return f"a tensor {value.type}"
    if isinstance(value, PLAIN):
        return described(value)
    if isinstance(value, IndexFunctionValue):
        return f"a {value.kind}"
    if isinstance(value, BlockValue) and value.lacks:
        return f"the block `{name_of(value)}`, which still needs {' and '.join(f'`{name}`' for name in value.lacks)}"
    if isinstance(value, (BlockValue, Primitive)):
        return f"the block `{name_of(value)}`"
    if isinstance(value, LayerValue):
        return f"the layer `{value.path}`"
    if isinstance(value, Initializer):
        return f"the initialiser `{value}`"
    if isinstance(value, TrainingCondition):
        return f"the condition `{shown(value)}`"
    if isinstance(value, Several):
        return f"{len(value.values)} results"
    return "a list of axes"


def how_to_apply(value: CompileTimeValue) -> str | tuple[()]:
    """The way out where a block, or a list of axes, stands in the place of a tensor."""
    if isinstance(value, BlockValue) and value.lacks:
        return f"give it what it needs: `{name_of(value)}(…, {', '.join(f'{name}=…' for name in value.lacks)})`"
    if isinstance(value, TrainingCondition):
        return f"choose between two values: `a if {shown(value)} else b`"
    if isinstance(value, List):
        return "`stack(…, over=entry)` makes a tensor of a list"
    return () if isinstance(value, Axes) else "apply it to its tensors first"


def name_of(value: BlockValue | Primitive) -> str:
    return value.name if isinstance(value, Primitive) else value.block.name.text


def kind_of(value: CompileTimeValue) -> str:
    """The word that `kind(…)` gives: what sort of position, mask or block an argument is."""
    if isinstance(value, PLAIN):
        return kind_of_plain(value)
    if isinstance(value, IndexFunctionValue):
        return value.kind
    if isinstance(value, BlockValue):
        missing = [p for p in lacking(value.block, value.given) if p.type is not None]
        return "rotation" if len(missing) == 1 else "score"
    if isinstance(value, (Primitive, LayerValue)):
        return "block"
    if isinstance(value, Initializer):
        return "initializer"
    return "number" if isinstance(value, TrainingCondition) else "tensor"


MAX_PARTS = 1_000
"""How many masks, biases, blocks and primitives a compile-time value may be made of, each as often as it takes part."""


def parts_of(values: Iterable[CompileTimeValue], span: Span) -> int:
    """How many parts a value has that is made of `values` at `span`. Raises E0111 where they are too many."""
    parts = 1 + sum(map(_parts, values))
    if parts > MAX_PARTS:
        raise error(
            "E0111",
            f"this is made of more than {MAX_PARTS:,} masks, biases or blocks",
            span,
            help="write a mask or bias with a body of its own, in which conditions are combined",
        )
    return parts


def _parts(value: CompileTimeValue) -> int:
    if isinstance(value, List):
        return sum(map(_parts, value.values))
    return value.parts if isinstance(value, (BlockValue, Primitive, IndexFunctionValue)) else 0


def shown(value: CompileTimeValue) -> str:
    """A compile-time value as a user would type it, as far as it has a short form."""
    if isinstance(value, Number):
        if value.is_bool:
            return "true" if value.value else "false"
        return str(value.value)
    if isinstance(value, List):
        return written(as_plain(value))
    if isinstance(value, IndexFunctionValue):
        if value.declaration is not None:
            return _shown_declared(value.declaration, value.given)
        signs = {"and": "&", "or": "|"}
        parts = list(map(shown, value.operands))
        return (
            f" {signs.get(value.operator, value.operator)} ".join(parts)
            if len(parts) > 1
            else f"{value.operator} {parts[0]}"
        )
    if isinstance(value, BlockValue):
        text = _shown_declared(value.block, value.given)
        for choice in value.choices:
            text = f"take({text}, …, over={choice.axis.name})"
        return text
    if isinstance(value, Primitive):
        return value.name
    if isinstance(value, Initializer):
        return str(value)
    if isinstance(value, TrainingCondition):
        return "training" if value.holds else "not training"
    if isinstance(value, Value):
        return "…"
    return value.text if isinstance(value, Text) else "none"


def _shown_declared(declared: tree.Declared, given: Arguments) -> str:
    """With what is given: in the order of the parameters, not of the call, and what has a default by its name."""
    there = {**given.settings, **given.named(declared)}
    parts, named = [], False
    for parameter in declared.parameters:
        name = parameter.name.text
        named = named or parameter.default is not None or name not in there
        if name in there:
            value = there[name].value
            text = written(value) if isinstance(value, Text) else shown(value)
            parts.append(f"{name}={text}" if named else text)
    return declared.name.text + (f"({', '.join(parts)})" if parts else "")


def same(a: CompileTimeValue, b: CompileTimeValue) -> bool | None:
    """Whether two blocks, masks, biases or initialisers are one, and whether one is what a text says; None where these
    are no such things."""
    if isinstance(a, Nothing) or isinstance(b, Nothing):
        return isinstance(a, Nothing) and isinstance(b, Nothing)
    if isinstance(a, Text) or isinstance(b, Text):
        return shown(a) == shown(b) if isinstance(a, NAMED) or isinstance(b, NAMED) else None
    if not isinstance(a, NAMED) or not isinstance(b, NAMED):
        return None
    if isinstance(a, BlockValue) and isinstance(b, BlockValue) and a.block is not b.block:
        return False
    if isinstance(a, IndexFunctionValue) and isinstance(b, IndexFunctionValue) and a.declaration is not b.declaration:
        return False
    return shown(a) == shown(b) and tensors_of(a) == tensors_of(b)


def tensors_of(value: CompileTimeValue) -> list[Value]:
    """The tensors that a value holds, in the order in which they are shown."""
    if isinstance(value, Value):
        return [value]
    if isinstance(value, (BlockValue, IndexFunctionValue)):
        declared = value.block if isinstance(value, BlockValue) else value.declaration
        inside: list[CompileTimeValue] = (
            list(value.operands)
            if isinstance(value, IndexFunctionValue)
            else [choice.index for choice in value.choices]
        )
        if declared is not None:
            there = {**value.given.settings, **value.given.named(declared)}
            inside += [there[p.name.text].value for p in declared.parameters if p.name.text in there]
        return [tensor for part in inside for tensor in tensors_of(part)]
    return []


def as_plain(value: CompileTimeValue) -> Plain:
    """A compile-time value as `attndsl.values` has it: a block or a mask by how it is written."""
    if isinstance(value, List):
        return List.of(tuple(map(as_plain, value.values)))
    return value if isinstance(value, PLAIN) else Reference(shown(value), kind_of(value))
