"""What the fusions share."""

from __future__ import annotations

from collections.abc import Iterable

from attndsl.graph import Node, Value
from attndsl.ops import Op
from attndsl.passes.algebra import Algebra


def group(algebra: Algebra, root: Node, leaves: Iterable[Value], through: tuple[type[Op], ...]) -> tuple[Node, ...]:
    """The nodes from `root` back to `leaves`, through nodes of the kinds `through`; `root` first."""
    ends, found, waiting = set(leaves), dict[Node, None](), [root]
    while waiting:
        node = waiting.pop()
        if node in found:
            continue
        found[node] = None
        for value in node.inputs:
            maker = algebra.made_by(value, *through)
            if value not in ends and maker is not None and algebra.constant(value) is None:
                waiting.append(maker)
    return tuple(found)


def axis_names(axes: Iterable[object]) -> str:
    return f"[{', '.join(getattr(axis, 'name', str(axis)) for axis in axes)}]"
