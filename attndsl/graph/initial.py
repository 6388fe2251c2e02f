"""First values of parameters: numbers that are drawn, and operators over them.

An `Initializer` says how a parameter is filled, whatever its axes are. `written_out` writes it down for a parameter's
type, as nodes like those of a graph; who runs it (`attndsl.running.initial`) or writes it in another language runs or
writes these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

from attndsl.graph.builder import Builder
from attndsl.graph.core import Region, Value
from attndsl.ops import Broadcast, Cast, Concat, Constant, Mismatch, Op, Range
from attndsl.records import Frozen, field
from attndsl.types import INT, Axis, Type

DRAWS: dict[str, tuple[str, ...]] = {
    "normal": ("std",), "truncated": ("std",), "uniform": ("low", "high"), "xavier": (), "kaiming": (),
    "identity": (), "zeros": (), "ones": (), "constant": ("value",),
}  # fmt: skip
"""What fills a whole parameter, with its arguments; `attndsl.running.initial` says what each draws."""

CONSTANT_VALUES = {"zeros": 0.0, "ones": 1.0, "constant": None}
"""Those among them that draw nothing, with their value (None: it is the argument)."""

INDEX = "index"
"""The kind of the index of a loop in which the parameter is declared; its argument says which, counted from outside."""


class Initializer(Frozen):
    """A draw (`DRAWS`), the index of a loop (`INDEX`), or else an `op`, over numbers and other initialisers."""

    kind: str
    arguments: tuple[Initializer | float | object, ...] = ()
    op: Op | None = None
    length: int = field(default=1, compare=False)  # how many draws and operators it is made of

    @staticmethod
    def applied(op: Op, *arguments: Initializer | float) -> Initializer:
        length = 1 + sum(a.length for a in arguments if isinstance(a, Initializer))
        return Initializer(op.name, arguments, op, length)

    def __str__(self) -> str:
        if self.kind == INDEX:
            return str(getattr(self.arguments[0], "name", f"index {self.arguments[0]}"))
        if self.op is not None and self.op.symbol and len(self.arguments) == 2:
            return f" {self.op.symbol} ".join(
                f"({a})" if isinstance(a, Initializer) and len(a.arguments) == 2 and a.op is not None else str(a)
                for a in self.arguments
            )
        attributes = [axis.name for axis in getattr(self.op, "axes", ())]
        axis = getattr(self.op, "axis", None)
        attributes += [] if axis is None else [axis.name]
        inside = [*map(str, self.arguments), *attributes]
        return f"{self.kind}({', '.join(inside)})" if inside else self.kind


class Draw(Op):
    """The whole of `type`, drawn; its operands are the arguments that `DRAWS` has for `kind`. The first `stacked` axes
    count several parameters, each of which is drawn as if it were alone."""

    name = "draw"
    operands = ("arguments*",)
    draws = True
    kind: str
    type: Type
    stacked: int = 0

    def infer(self, *inputs: Type) -> Type:
        return self.type


class LoopIndex(Op):
    """The index of one of the loops around a parameter, counted from outside."""

    name = INDEX
    operands = ()
    loop: int

    def infer(self, *inputs: Type) -> Type:
        return Type(INT)


StartPart = Union[Initializer, float, object]


def kept_value(initializer: Initializer, type: Type, stacked: Type, loops: Sequence[Axis], builder: Builder) -> Value:
    """What a state begins with, written down by `builder`: the value for one layer of `type`, in all of them as
    `stacked` lays them out; `loops` are its axes of layers, the outermost first. Raises `Mismatch` like
    `written_out`."""
    return _spread(_written(initializer, type, builder, loops), stacked, builder, "state")


def written_out(initializer: Initializer, type: Type, stacked: int = 0) -> Region:
    """The nodes that give a parameter of `type` its first values (see `ParameterInfo` for `stacked`). Raises `Mismatch`
    where the operators do not fit one another or the type."""
    builder = Builder()
    return builder.region((), (_spread(_written(initializer, type, builder, stacked=stacked), type, builder),))


def _written(
    part: StartPart, type: Type, builder: Builder, loops: Sequence[Axis] | None = None, stacked: int = 0
) -> Value:
    """Where the axes of all layers are known (`loops`), an index is a range over its own, and nothing is drawn."""
    if not isinstance(part, Initializer):
        return builder.emit(Constant(part))  # type: ignore[arg-type]
    if part.kind == INDEX:
        loop: int = part.arguments[0]  # type: ignore[assignment]
        return builder.emit(LoopIndex(loop) if loops is None else Range(loops[loop]))
    if part.op is None and loops is not None:
        value = CONSTANT_VALUES[part.kind]
        return _written(part.arguments[0] if value is None else value, type, builder, loops)
    if part.op is None:
        arguments = [_written(a, type, builder, loops, stacked) for a in part.arguments]
        return builder.emit(Draw(part.kind, type, stacked), *arguments)
    if isinstance(part.op, Concat):
        target = _axis(part.op.target, type, stacked)
        types = [Type(type.dtype, tuple(a if axis == target else axis for axis in type.axes)) for a in part.op.axes]
        parts = [
            _spread(_written(a, t, builder, loops, stacked), Type(t.dtype, (*t.axes, *(loops or ()))), builder)
            for a, t in zip(part.arguments, types, strict=True)
        ]
        return builder.emit(Concat(part.op.axes, target), *parts)
    if isinstance(part.op, Range):
        return builder.emit(Range(_axis(part.op.axis, type, stacked)))
    return builder.emit(part.op, *(_written(a, type, builder, loops, stacked) for a in part.arguments))


def _axis(axis: Axis, type: Type, stacked: int) -> Axis:
    """The axis of one of `stacked` parameters that `axis` is: the one of its name and size, or else the only one of its
    size, since an initialiser may come from elsewhere, where names differ."""
    alike = [a for a in type.axes[stacked:] if a.size == axis.size]
    named = [a for a in alike if a.name == axis.name]
    return named[0] if named else alike[0] if len(alike) == 1 else axis


def _spread(value: Value, type: Type, builder: Builder, what: str = "parameter") -> Value:
    lacking = [axis.name for axis in value.type.axes if axis not in type.axes]
    if lacking:
        raise Mismatch("E0208", f"the initial value has [{', '.join(lacking)}], which the {what} lacks")
    if value.type.dtype != type.dtype:
        value = builder.emit(Cast(type.dtype), value)
    return value if value.type == type else builder.emit(Broadcast(type.axes), value)
