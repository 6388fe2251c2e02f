"""Parameters of several layers among which an index chooses: one array in the model, and a tensor for each in files.

In a `weights` section `h[i].experts[e].up.weight` is that of one layer, and `h[i].experts.up.weight` all of them along
one more axis, for the files that hold them so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import product

from attndsl.addresses import Indices
from attndsl.graph import Graph, ParameterInfo
from attndsl.lazy import Array
from attndsl.records import Frozen, replace
from attndsl.weights.patterns import AddressPattern


def apart(info: ParameterInfo, sizes: Mapping[str, int]) -> ParameterInfo:
    """The parameter of one of the layers, each of them being a round of a repeat: the address has a `*` for it."""
    loops = iter(info.layers)
    steps: list[tuple[str, Indices | None]] = []
    for at, step in enumerate(info.address.split(".")):
        for axis, depth in zip(info.type.axes, info.stacks, strict=False):
            if depth == at:
                steps.append(("*", range(axis.size.value(sizes))))
        steps.append((step, next(loops) if step == "*" else None))
    address, layers = ".".join(step for step, _ in steps), tuple(box for _, box in steps if box is not None)
    return replace(
        info, address=address, layers=layers, type=info.type.without(*info.type.axes[: info.stacked]), stacks=()
    )


def in_every_layer(address: AddressPattern, info: ParameterInfo) -> AddressPattern:
    """The address of the parameters of all layers together as one of each of them, by an index of its own."""
    indices = iter(address.indices)
    steps: list[tuple[str, tuple[int, str | None, int] | None]] = []
    for at, step in enumerate(address.pattern.split(".")):
        steps += [("*", (1, f"layer {i}", 0)) for i, depth in enumerate(info.stacks) if depth == at]
        steps.append((step, next(indices) if step == "*" else None))
    pattern, found = ".".join(step for step, _ in steps), tuple(index for _, index in steps if index is not None)
    return replace(address, pattern=pattern, indices=found)


class StackedParameter(Frozen):
    """A parameter of one layer: where it is in that of all, which has the address `whole`."""

    whole: str
    index: tuple[int, ...]
    info: ParameterInfo


def parts_of(graph: Graph) -> dict[str, StackedParameter]:
    """All parameters as files have them, by address, in the graph's order."""
    found: dict[str, StackedParameter] = {}
    for info in graph.parameters:
        one = apart(info, graph.sizes) if info.stacks else info
        counts = [range(axis.size.value(graph.sizes)) for axis in info.type.axes[: info.stacked]]
        for whole in info.addresses():
            for index in product(*counts):
                found[_inserted(whole, info.stacks, index)] = StackedParameter(whole, index, one)
    return found


def _inserted(address: str, stacks: tuple[int, ...], index: tuple[int, ...]) -> str:
    steps = address.split(".")
    for depth, at in reversed(list(zip(stacks, index, strict=True))):
        steps.insert(depth, str(at))
    return ".".join(steps)


def reading(graph: Graph, arrays: Mapping[str, Array]) -> Callable[[str], Array]:
    """What finds a parameter of one layer in those of all. It keeps those of as many as stand at one place, since their
    layers are asked for by turns."""
    places = Counter(tuple(info.address.split(".")[: info.stacks[0]]) for info in graph.parameters if info.stacks)
    parts, whole = parts_of(graph), lru_cache(max(places.values(), default=0))(arrays.__getitem__)
    return lambda address: whole(parts[address].whole)[parts[address].index]
