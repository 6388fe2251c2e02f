"""What every primitive is made of: one frozen class holding its documentation, attributes, shape rule, NumPy meaning,
gradient and cost. Backends keep their own lowerings; an op knows none of them.

An op's fields are its attributes, so an op is a value: two are equal when they do the same thing. Every primitive has
one output (regions, which have several, are in `attndsl.ops.control`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from attndsl.records import dataclass, field
from attndsl.sizes import Size
from attndsl.types import Axis, Type

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy

    Array = numpy.ndarray[Any, Any]


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


@dataclass(frozen=True, slots=True)
class Call:
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
    lengths: dict[Size, int] = field(default_factory=dict, compare=False, repr=False)  # what `length` found, to share

    def length(self, size: Size) -> int:
        found = self.lengths.get(size)
        if found is None:
            found = self.lengths[size] = size.value(self.sizes)
        return found

    def shape(self, type: Type) -> tuple[int, ...]:
        return tuple([self.length(axis.size) for axis in type.axes])

    def needs(self, operand: int) -> bool:
        """Whether `gradient` must give this operand's: only a float has one."""
        return self.inputs[operand].dtype == "float" and (not self.needed or self.needed[operand])

    def dtype(self, dtype: str) -> str:
        """NumPy's name for a dtype of the language: `float` is the run's, `int` int64, `bool` bool."""
        return {"float": self.float_dtype, "int": "int64", "bool": "bool"}[dtype]


class Op:
    """A primitive. Subclasses are frozen, slotted dataclasses."""

    __slots__ = ()

    name: ClassVar[str]
    operands: ClassVar[tuple[str, ...]]  # the names of the operands, for messages and docs; `?` ends an optional one's
    commutative: ClassVar[bool] = False
    pure: ClassVar[bool] = True  # False where two equal nodes may not be merged or dropped
    differentiable: ClassVar[bool] = True
    needs_elements: ClassVar[bool] = False  # has no value over an axis of length 0

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

    def flops(self, output: Type, *inputs: Type) -> Size:
        """Floating point operations of one application; a multiply-add counts as two."""
        return Size.of(0)
