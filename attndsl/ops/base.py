"""What every primitive is made of: one frozen class holding its documentation, attributes, shape rule, NumPy meaning,
gradient and cost. Backends keep their own lowerings; an op knows none of them.

An op's fields are its attributes, so an op is a value: two are equal when they do the same thing. Every primitive has
one output (regions, which have several, are in `attndsl.ops.control`). What others need to know of an op (how a spec
writes it, whether it draws numbers, what its gradient reads, how it is drawn) is declared on its class as well, so that
nobody keeps a list of names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import takewhile
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from attndsl.lazy import Array
from attndsl.records import Frozen, field, fields
from attndsl.sizes import Size
from attndsl.types import BOOL, INT, Axis, Type

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attndsl.ops.collectives import Communicator


class Typed(Protocol):
    """A value, as far as an op looks at it."""

    @property
    def type(self) -> Type: ...


class Body(Protocol):
    """What an op with bodies sees of one: the values that it is given and those that it gives back."""

    @property
    def parameters(self) -> Sequence[Typed]: ...

    @property
    def results(self) -> Sequence[Typed]: ...


class Mismatch(Exception):
    """An op does not take these operands. `operands` are the positions of those that disagree, the culprit first, and
    `lacking` is an axis that this one should have; the elaborator turns it into a diagnostic with their spans."""

    def __init__(
        self,
        code: str,
        message: str,
        operands: tuple[int, ...] = (),
        *,
        note: str = "",
        help: str = "",
        lacking: Axis | None = None,
    ) -> None:
        super().__init__(message)
        self.lacking = lacking
        self.code, self.message, self.operands, self.note, self.help = code, message, operands, note, help


class Call(Frozen):
    """What an op is told when it runs: types, the value of every size, the run's precision and random state.

    `indices` are those of the enclosing repeats and scans, outermost first; with `seed`, `step` and an op's `site`
    they key whatever it draws, so a run can be resumed without a generator's state.
    """

    inputs: tuple[Type, ...]
    output: Type
    sizes: Mapping[str, int]
    float_dtype: str = "float32"
    training: bool = False
    seed: int = 0
    step: int = 0
    indices: tuple[int, ...] = ()
    needed: tuple[bool, ...] = ()  # whether a gradient is asked for, by operand; empty: for all
    communicator: Communicator | None = field(default=None, compare=False, repr=False)  # None: this device is alone
    block: int = 0  # how many queries attention, and rows a loss head, takes at a time; 0: what suits the processor
    aside: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)  # by `evaluate`, for `gradient`
    lengths: dict[Size, int] = field(default_factory=dict, compare=False, repr=False)  # what `length` found, to share

    def of(self, inputs: tuple[Type, ...], output: Type, needed: tuple[bool, ...] = ()) -> Call:
        """The call of another op in the same run. It is made at each node that runs, and faster than by `replace`."""
        return Call(
            inputs, output, self.sizes, self.float_dtype, self.training, self.seed, self.step, self.indices, needed,
            self.communicator, self.block, {}, self.lengths,
        )  # fmt: skip

    def length(self, size: Size) -> int:
        found = self.lengths.get(size)
        if found is None:
            found = self.lengths[size] = size.value(self.sizes)
        return found

    def shape(self, type: Type) -> tuple[int, ...]:
        return tuple([self.length(axis.size) for axis in type.axes])

    def needs(self, operand: int) -> bool:
        """Whether `gradient` must give this operand's: only a float has one."""
        return self.inputs[operand].is_float and (not self.needed or self.needed[operand])

    def dtype(self, dtype: str) -> str:
        """NumPy's name for a dtype of the language: a float's is the run's, which is float32 at least."""
        return {INT: "int64", BOOL: "bool"}.get(dtype, self.float_dtype)


OUTPUT = -1  # among the operands that `Op.kept` counts: the result itself


def the_others(needed: tuple[bool, ...]) -> tuple[int, ...]:
    """`Op.kept` of a product: each operand is read for the gradient of the other."""
    return tuple(i for i in range(len(needed)) if any(wanted for j, wanted in enumerate(needed) if j != i))


class Op(Frozen):
    """A primitive: its fields are its attributes."""

    name: ClassVar[str]
    operands: ClassVar[tuple[str, ...]]  # the names of the operands, for messages and docs; `?` ends an optional one's

    # How a spec writes it: by its name, with the attributes as keywords, or with a sign between its operands. What is
    # neither has a form of its own (`attndsl.elaborate.primitives`).
    called: ClassVar[bool] = False
    symbol: ClassVar[str] = ""

    # What it computes.
    pointwise: ClassVar[bool] = False  # each element from the elements at the same place
    moves: ClassVar[bool] = False  # no element, only its place, whatever the elements are
    commutative: ClassVar[bool] = False
    associative: ClassVar[bool] = False  # apart from rounding
    identity: ClassVar[float | bool | None] = None  # as the right operand it changes nothing (nor as the left, if
    # the op is commutative)
    linear: ClassVar[tuple[tuple[int, ...], ...]] = ()  # operands in which it is linear together, the others fixed
    contracts: ClassVar[bool] = False  # sums products: what hardware is built for
    combines: ClassVar[str] = ""  # results for the parts of an axis that it goes over make up the whole as their "sum",
    # "mean", "max" or "min"; "": they do not
    needs_elements: ClassVar[bool] = False  # has no value over an axis of length 0
    fails: ClassVar[bool] = False  # raises an error for some ints (E0801, E0805): is computed only where a spec asks

    # How it runs.
    by_rows: ClassVar[bool] = False  # along each axis but `over`, a part of the result needs that part of the operands
    differentiable: ClassVar[bool] = True
    keeps: ClassVar[tuple[int, ...] | None] = None  # what the gradient reads (see `kept`); None: everything
    keeps_beside: ClassVar[int] = 0  # arrays of the result's size that are kept as well where its parts are computed
    # one by one, by a library that has no kernel for the whole
    ahead: ClassVar[tuple[int, ...]] = ()  # operands whose gradients are made with the result, and kept beside
    hands_on: ClassVar[bool] = False  # the gradient of an operand that has the result's axes is that of the result
    view: ClassVar[bool] = False  # the result shares the first operand's memory
    made_again: ClassVar[bool] = False  # the result is not kept: gradients that read it make it of the operand again
    draws: ClassVar[bool] = False  # random numbers, by the run's seed and step and its `site`
    free: ClassVar[bool] = False  # costs nothing to make again: it is known by what it is
    reads_parameters: ClassVar[bool] = False
    bodies: ClassVar[bool] = False  # a node of it has regions
    across_devices: ClassVar[bool] = False  # asks which device this is, or what others have (`attndsl.layouts`)

    # How it is shown.
    role: ClassVar[str] = "operation"  # the kind of its box in a diagram; "none": whoever reads it reads its operand
    sign: ClassVar[str] = ""  # stands in a circle where two streams meet
    noun: ClassVar[str] = ""  # what its result is called in written code if no author named it; "": its name

    @property
    def goes_over(self) -> tuple[Axis, ...]:
        """The axes along which it works, its attribute `over`."""
        over: Axis | tuple[Axis, ...] = getattr(self, "over", ())
        return (over,) if isinstance(over, Axis) else over

    @property
    def summed(self) -> tuple[Axis, ...]:
        """The axes of its second operand over which it sums products with the first; none where it is no product."""
        return ()

    @property
    def works_along(self) -> tuple[Axis, ...]:
        """The axes whose places are not alike to it: along any other one, a part of the result needs that part of the
        operands that have it. They are those that its attributes name, but where these only say an order."""
        return tuple(_axes(getattr(self, attribute.name) for attribute in fields(self)))

    @property
    def corresponding(self) -> tuple[tuple[Axis, Axis], ...]:
        """Axes of the operand and the result of which a part is a part of the other, though they are not the same."""
        return ()

    @property
    def caption(self) -> str:
        """What its box in a diagram says: `sum over T`."""
        words = self.name.replace("_", " ")
        return f"{words} over {', '.join(axis.name for axis in self.goes_over)}" if self.goes_over else words

    def mirrored(self) -> Op | None:
        """The op that gives the same with its two operands exchanged, if there is one."""
        return self if self.commutative else None

    def rows(self, output: Type, *, training: bool) -> tuple[Axis, ...]:
        """The first axes of the result along which each part is computed by itself: for that part of the operands
        `evaluate` gives that part of the result, and `gradient` the same part of what it gives for an operand that has
        these axes, and a summand of what it gives for another."""
        alone = self.pointwise or self.by_rows
        if not alone or (self.fails and not output.is_float):  # an error looks at all elements
            return ()
        return tuple(takewhile(lambda axis: axis not in self.goes_over, output.axes))

    def is_linear(self, operands: Collection[int]) -> bool:
        """Whether it is linear in these of its operands together, the others being fixed."""
        return any(set(operands) <= set(together) for together in self.linear)

    def kept(self, needed: tuple[bool, ...]) -> tuple[int, ...]:
        """The places of the operands that the gradient reads, and `OUTPUT` if it reads the result, where it is asked
        for the operands that are `needed`. What is read stays in memory until the backward pass."""
        if not self.differentiable or not any(needed):
            return ()
        everything = (*range(len(needed)), OUTPUT)
        return everything if self.keeps is None else tuple(i for i in self.keeps if i in everything)

    def infer(self, *inputs: Type) -> Type:
        """The output's type; raises `Mismatch` where the operands do not fit."""
        raise NotImplementedError(type(self).__name__)

    def outputs(self, inputs: tuple[Type, ...], bodies: tuple[Body, ...] = ()) -> tuple[Type, ...]:
        """The types of a node's outputs; raises `Mismatch` where the operands, or a body, do not fit. Only an op with
        bodies has several: what else could give two results is two ops (`sort` is a `take` by `argsort`)."""
        return (self.infer(*inputs),)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        """The meaning, in NumPy: arrays laid out as `call.inputs` say, to one laid out as `call.output` says."""
        raise NotImplementedError(type(self).__name__)

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        """The gradient for each operand (None: it has none), given the output's gradient, the output, the operands."""
        raise NotImplementedError(type(self).__name__)

    def part(self, call: Call, *arrays: Array) -> tuple[slice | int, ...] | None:
        """Which part of the first operand the result is, where it is one: the gradient is the result's there, and 0
        elsewhere."""
        return None

    def flops(self, output: Type, *inputs: Type) -> Size:
        """Floating point operations of one application; a multiply-add counts as two."""
        return Size.of(0)


def _axes(attributes: Iterable[object]) -> Iterator[Axis]:
    for attribute in attributes:
        if isinstance(attribute, Axis):
            yield attribute
        elif isinstance(attribute, tuple):
            yield from _axes(attribute)


class Single(Op):
    """An op of one operand. A subclass says its `forward`, and its `backward` where it is differentiable."""

    operands = ("x",)

    def forward(self, call: Call, x: Array) -> Array:
        """The meaning, in NumPy."""
        raise NotImplementedError(type(self).__name__)

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        """The gradient for x, given that of the result, y."""
        raise NotImplementedError(type(self).__name__)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return self.forward(call, *arrays)

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        return (self.backward(call, upstream, output, *arrays) if self.differentiable and call.needs(0) else None,)
