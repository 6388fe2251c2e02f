"""A call of a primitive, as the functions that build its nodes see it."""

from __future__ import annotations

from collections.abc import Callable

from attndsl.diagnostics import Span, error, shortened
from attndsl.elaborate.frames import Frame
from attndsl.elaborate.sizes_and_axes import axes_of
from attndsl.elaborate.tensors import emit, lift
from attndsl.elaborate.values import CompileTimeValue, Evaluated
from attndsl.graph import Axis, Type, Value
from attndsl.ops import Op
from attndsl.records import dataclass


@dataclass(frozen=True, slots=True)
class PrimitiveCall:
    """A primitive's arguments, where it stands, and what it is called."""

    name: str
    positional: tuple[Evaluated, ...]
    keywords: dict[str, Evaluated]
    frame: Frame
    span: Span

    def tensor(self, place: int) -> Evaluated:
        """The operand at `place` as a tensor."""
        return lift(self.positional[place], self.frame)

    def type(self, place: int) -> Type:
        return self.tensor(place).type

    def keyword(self, name: str) -> Evaluated:
        if name not in self.keywords:
            raise error(
                "E0103",
                f"`{self.name}` needs `{name}=…`",
                self.span,
                help=self._over() if name == "over" else (),
            )
        return self.keywords[name]

    def _over(self) -> str:
        """How the axis is given, with the last one that all operands have."""
        types = [a.value.type for a in self.positional if isinstance(a.value, Value)]
        axes = [axis for axis in (types[0].axes if types else ()) if all(axis in t.axes for t in types)]
        operands = ", ".join(shortened(a.span.text, 30) for a in self.positional) or "…"
        return f"say which axis: `{self.name}({operands}, over={axes[-1].name if axes else 'S'})`"

    def axes(self, name: str, *types: Type) -> tuple[Axis, ...]:
        return axes_of(self.keyword(name), self.frame, types, known=True)

    def axis(self, name: str, *types: Type) -> Axis:
        found = self.axes(name, *types)
        if len(found) != 1:
            raise error("E0104", f"`{self.name}` works over one axis", self.keyword(name).span)
        return found[0]

    def emit(self, op: Op, *operands: Evaluated) -> Value:
        return emit(self.frame, op, self.span, *operands)


@dataclass(frozen=True, slots=True)
class CallRule:
    """How a primitive is called: the fewest and most positional arguments (with fewer it stays a block value,
    `softmax(over=S)`), the keywords, and the function that builds what it gives. `names_axis`: one `name=size` is an
    axis, `range(part=2)`."""

    build: Callable[[PrimitiveCall], CompileTimeValue]
    operands: tuple[int, int] = (1, 1)
    keywords: tuple[str, ...] = ()
    doc: str = ""
    names_axis: bool = False
