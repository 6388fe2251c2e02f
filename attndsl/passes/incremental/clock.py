"""What of a graph is time: the axis along which a text goes on, and what a node does along it."""

from __future__ import annotations

from collections.abc import Iterator

from attndsl.graph import Axis, Graph, Node
from attndsl.ops import Convolution, Op, Windows
from attndsl.records import Frozen, fields, is_record
from attndsl.sizes import ONE, ZERO, Size


class NotCausal(Exception):
    """What `node` makes of a position needs what comes after it, or cannot be made position by position."""

    def __init__(self, reason: str, node: Node | None = None) -> None:
        super().__init__(reason)
        self.reason, self.node = reason, node


class Clock(Frozen):
    """`time` is the axis of the tokens along which a text goes on, `rows` are their others: the texts of a batch."""

    time: Axis
    rows: tuple[Axis, ...]

    @staticmethod
    def of(graph: Graph, tokens: str) -> Clock:
        """The clock of the input `tokens`, whose last axis is time. `NotCausal` where its length is not free."""
        axes = next(info.value.type.axes for info in graph.inputs if info.name == tokens)
        free = [axis for axis in axes if axis.size in map(Size.symbol, axis.size.symbols - graph.sizes.keys())]
        fixed = [axis for axis in axes if axis not in free]
        if fixed or not axes:
            length = f"always {fixed[0].size} long" if fixed else "a single number"
            raise NotCausal(f"`{tokens}` is {length}, and a text that goes on is as long as a call says")
        return Clock(axes[-1], axes[:-1])

    @property
    def symbol(self) -> str:
        (name,) = self.time.size.symbols
        return name

    def is_time(self, axis: Axis) -> bool:
        """Whether the positions of a text stand along it."""
        return axis.size == self.time.size

    def is_mixed(self, axis: Axis) -> bool:
        """Whether it is as long as the text makes it in another way: several positions in one axis, or more of them."""
        return self.symbol in axis.size.symbols and not self.is_time(axis)

    def times(self, axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
        return tuple(axis for axis in axes if self.is_time(axis))

    def tail(self, op: Op) -> Windows | None:
        """The windows along time of an op that sees at each position what stands before it, as far as they reach, and
        nothing else of other positions."""
        if not isinstance(op, Windows | Convolution):
            return None
        windows = (op,) if isinstance(op, Windows) else op.windows
        (window, *others) = sorted(windows, key=lambda window: not self.is_time(window.axis))
        reach = (window.offsets.size - 1) * window.dilation
        fits = window.stride == ONE and window.after == ZERO and window.before == reach
        alone = not any(self.symbol in axis.size.symbols for other in others for axis in (other.axis, other.positions))
        fits = fits and alone and self.is_time(window.axis) and self.is_time(window.positions)
        channels = () if isinstance(op, Windows) else op.channels
        return window if fits and not self.times(channels) and not set(self.rows) & set(channels) else None

    def along(self, op: Op) -> Iterator[Axis | Size]:
        """What an op names that is time or the rows of a batch: the axes along which it does more than to each position
        the same, and sizes."""
        for each in _named(op):
            size = each.size if isinstance(each, Axis) else each
            if self.symbol in size.symbols or (isinstance(each, Axis) and each in self.rows):
                yield each


def sizes_of(op: Op) -> set[str]:
    """The names of the sizes that an op's attributes have to do with."""
    return {name for each in _named(op) for name in (each.size if isinstance(each, Axis) else each).symbols}


def _named(item: object) -> Iterator[Axis | Size]:
    if isinstance(item, (Axis, Size)):
        yield item
    elif isinstance(item, tuple):
        for each in item:
            yield from _named(each)
    elif is_record(item) and not isinstance(item, type):  # an op, and what it is made of: a convolution's windows
        yield from _named(tuple(getattr(item, field.name) for field in fields(item)))
