"""What flows where in a graph: the node that makes a value and those that read it; and the parameters that an output is
computed from and that no output gives a gradient (W0104)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from attndsl.diagnostics import Diagnostic, Label, Span, warning
from attndsl.ops import Parameter

if TYPE_CHECKING:
    from attndsl.elaborate import Spec
    from attndsl.graph import Graph, Node, Region, Value
    from attndsl.ops.base import Op

OpT = TypeVar("OpT", bound="Op")


class Flow:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = tuple(graph.body.walk())
        self.makers: dict[Value, Node] = {value: node for node in self.nodes for value in node.outputs}

    def made_by(self, value: Value, kind: type[OpT] | tuple[type[OpT], ...]) -> Node | None:
        """The node that makes a value, if its op is of that kind."""
        node = self.makers.get(value)
        return node if node is not None and isinstance(node.op, kind) else None

    @cached_property
    def readers(self) -> dict[Value, list[Node]]:
        found: dict[Value, list[Node]] = {}
        for node in self.nodes:
            for value in node.inputs:
                found.setdefault(value, []).append(node)
        return found

    @cached_property
    def given(self) -> set[Value]:
        """The values that are computed from an input (or carried by a repeat or scan)."""
        found = set(self.graph.body.parameters)
        self._give(self.graph.body, found)
        return found

    def _give(self, region: Region, found: set[Value]) -> None:
        for node in region.nodes:
            for body in node.regions:
                found.update(body.parameters[1:])
                self._give(body, found)
            if node.regions or any(value in found for value in node.inputs):
                found.update(node.outputs)


# ---------------------------------------------------------------- gradients


def without_gradient(spec: Spec, flow: Flow) -> Iterator[Diagnostic]:
    """One warning for each place of a user's that made such parameters; what the recipe freezes stays as it is anyhow.
    (A parameter that no output is computed from comes from a name that nobody reads.)"""
    graph = flow.graph
    trained = _reached(graph, _passes_gradient)
    made = [(node.op.address, node) for node in flow.nodes if isinstance(node.op, Parameter)]
    fine = {address for address, node in made if node.output in trained}
    if all(address in fine for address, _ in made):
        return
    read = _reached(graph, _reads)
    fine |= {address for address, node in made if node.output not in read} | _frozen(spec, graph)
    places: dict[Span | None, dict[str, Node]] = {}
    for address, node in made:
        if address not in fine:
            places.setdefault(node.at, {})[address] = node
    for place, found in places.items():
        yield _told(place, found, _end(flow, found.values(), read))


def _passes_gradient(node: Node) -> Iterable[Value]:
    """The operands that get a gradient where the node's output does."""
    return [value for value in node.inputs if value.type.is_float] if node.op.differentiable else ()


def _reads(node: Node) -> Iterable[Value]:
    return node.inputs


def _reached(graph: Graph, back: Callable[[Node], Iterable[Value]]) -> set[Value]:
    """The values from which an output is reached, where `back` gives the operands that a node leads back to."""
    outputs = graph.outputs if back is _reads else graph.own_outputs  # none flows back from the next call
    reached = {info.value for info in outputs if back is not _passes_gradient or info.value.type.is_float}
    _go_back(graph.body, reached, back)
    return reached


def _go_back(region: Region, reached: set[Value], back: Callable[[Node], Iterable[Value]]) -> None:
    for node in reversed(region.nodes):
        if node.regions:
            _through_bodies(node, reached, back)
        elif any(value in reached for value in node.outputs):
            reached.update(back(node))


def _through_bodies(node: Node, reached: set[Value], back: Callable[[Node], Iterable[Value]]) -> None:
    """Through a repeat or scan: what is carried into a round was carried out of the one before it."""
    for body in node.regions:
        reached.update(result for value, result in zip(node.outputs, body.results, strict=True) if value in reached)
    known = -1
    while known != len(reached):
        known = len(reached)
        for body in node.regions:
            _go_back(body, reached, back)
        carried = {at for body in node.regions for at, value in enumerate(body.parameters[1:]) if value in reached}
        reached.update(body.results[at] for body in node.regions for at in carried)
        reached.update(node.inputs[at] for at in carried)


def _frozen(spec: Spec, graph: Graph) -> set[str]:
    """The addresses of which the recipe freezes every layer."""
    if spec.train is None:
        return set()
    from attndsl.recipe.recipe import read_recipe
    from attndsl.values import hyperparameters_of

    recipe = read_recipe(spec.train, hyperparameters_of(graph))
    if not recipe.freeze:
        return set()
    frozen = recipe.frozen(address for info in graph.parameters for address in info.addresses())
    open_ = {info.address for info in graph.parameters if not frozen.issuperset(info.addresses())}
    return {info.address for info in graph.parameters} - open_


def _told(place: Span | None, found: dict[str, Node], end: Span | None) -> Diagnostic:
    names = [f"`{address}`" for address in found]
    shown = " and ".join(names) if len(names) < 3 else f"{names[0]} and {len(names) - 1} more parameters"
    apart = end is not None and end != place
    return warning(
        "W0104",
        f"no output gives {shown} a gradient",
        place,
        "" if apart else "no gradient flows through this",
        other=Label(end, "no gradient flows through this") if apart and end is not None else (),
        help="compute an output from it with what has a gradient, or keep it as it is: `freeze` in the recipe",
    )


def _end(flow: Flow, makers: Iterable[Node], read: set[Value]) -> Span | None:
    """Where a gradient on its way to what `makers` make comes to its end: at the first node that lets none through."""
    made = {node.output for node in makers}
    for node in flow.nodes:
        if not any(value in made for value in node.inputs):
            continue
        if node.regions:
            for body in node.regions:
                made.update(p for p, value in zip(body.parameters[1:], node.starts, strict=True) if value in made)
        elif any(value in made for value in _passes_gradient(node)) and node.output.type.is_float:
            made.update(node.outputs)
        elif node.output in read:
            return node.at
    return None
