"""The slots of the memories that an incremental graph keeps (`attndsl.passes.incremental.memories`): how many there
must be, and how many of them are in use."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from attndsl.graph import Graph
from attndsl.sizes import Size


def slots(graph: Graph, sizes: Mapping[str, int], length: int = 0) -> dict[str, int]:
    """How long the memories of an incremental graph must be, by the names of their sizes, for calls of these `sizes`
    and texts of up to `length` tokens: those of all positions as long as a text, those for a window as long as a call
    needs, or as a text that is shorter (0: of any length)."""
    return {
        name: max(needed, length) if whole else min(needed, length or needed)
        for name, whole, right in _memory_sizes(graph)
        if (needed := right.known({**graph.sizes, **sizes})) is not None
    }


def slots_in_use(graph: Graph, length: int) -> dict[str, int]:
    """How many slots of the memories hold something in texts of up to `length` tokens, by the names of their sizes:
    position p stands in slot p, also in a memory for a window that is no shorter than the text."""
    return {name: length for name, _, _ in _memory_sizes(graph)}


def _memory_sizes(graph: Graph) -> Iterator[tuple[str, bool, Size]]:
    """The sizes that memories alone have: their names, whether a slot is there for each position of a text, and what
    they have to be at least. A model may ask as much of other sizes, which its inputs have, or what is kept of these
    once and given back as it is."""
    states, results = graph.state_names, {info.name: info.value for info in graph.outputs}
    given = [info for info in graph.inputs if info.name not in states or results.get(info.name) is info.value]
    others = {name for info in given for axis in info.value.type.axes for name in axis.size.symbols}
    for rule in graph.constraints:
        name = next((name for name in graph.free_sizes if rule.left == Size.symbol(name)), None)
        if rule.relation == ">=" and name is not None and name not in others:
            yield name, rule.right.constant is None and len(rule.right.terms) == 1, rule.right


def slot_places(graph: Graph) -> dict[str, dict[str, int]]:
    """Where the slots stand in the memories of an incremental graph: by the names of the states, and of their sizes."""
    sizes = {Size.symbol(name): name for name, _, _ in _memory_sizes(graph)}
    return {
        info.name: {sizes[axis.size]: at for at, axis in enumerate(info.value.type.axes) if axis.size in sizes}
        for info in graph.inputs
        if info.name in graph.state_names
    }


def in_use(
    memories: Mapping[str, Mapping[str, int]], stacks: Mapping[str, Any], slots: Mapping[str, int]
) -> dict[str, Any]:
    """The states with no more than the first `slots` slots of their memories, as views; `memories` are what
    `slot_places` says."""
    found = dict(stacks)
    for name, places in memories.items():
        for size, at in places.items():
            if size in slots and slots[size] < found[name].shape[at]:
                found[name] = found[name][(*(slice(None),) * at, slice(slots[size]))]
    return found


def kept(
    names: Iterable[str], stacks: Mapping[str, Any], views: Mapping[str, Any], results: Mapping[str, Any]
) -> dict[str, Any]:
    """The states of these names after a call that was given `views` of `stacks` and gave `results`: the views, written
    over, or others in their place."""
    found = {}
    for name in names:
        found[name] = results[name]
        if name in stacks and views[name] is not stacks[name]:
            if results[name] is not views[name]:
                views[name][...] = results[name]
            found[name] = stacks[name]
    return found


def chosen(
    places: Mapping[str, int],
    memories: Mapping[str, Mapping[str, int]],
    stacks: Mapping[str, Any],
    rows: Sequence[int],
    slots: Mapping[str, int],
    stay: Collection[str],
    several: Callable[[str, Any], Any],
) -> dict[str, Any]:
    """The states whose rows stand at these `places`, with these of their rows, in this order. Where there are no more
    of them than before they are written over: of a memory only what is in use, of rows only those that move, and
    nothing of the states in `stay`. Where there are more, `several` makes each anew."""
    places = {name: place for name, place in places.items() if name in stacks}
    if any(stacks[name].shape[place] < len(rows) for name, place in places.items()):
        return {**stacks, **{name: several(name, stacks[name]) for name in places}}
    moves, aside = moves_of(rows)
    found = dict(stacks)
    for name, place in places.items():
        before, stack = (slice(None),) * place, stacks[name]
        if moves and name not in stay:
            (view,) = in_use({name: memories.get(name, {})}, {name: stack}, slots).values()
            copies = {row: view[(*before, [row])] for row in aside}
            for to, origin in moves:
                read = copies[origin] if origin in copies else view[(*before, slice(origin, origin + 1))]
                view[(*before, slice(to, to + 1))] = read
        found[name] = stack[(*before, slice(len(rows)))]
    return found


def moves_of(rows: Sequence[int]) -> tuple[list[tuple[int, int]], list[int]]:
    """How rows come to stand in this order, as (to, origin), one after the other: none is written over before the last
    read of it, but for those of which a copy has to be put aside first, as they go round in rings."""
    left = {to: origin for to, origin in enumerate(rows) if to != origin}
    moves: list[tuple[int, int]] = []
    aside: list[int] = []
    while left:
        read = set(left.values()).difference(aside)
        free = [to for to in left if to not in read]
        moves += [(to, left.pop(to)) for to in free]
        if not free:
            aside.append(next(iter(left)))
    return moves, aside


__all__ = ["chosen", "in_use", "kept", "moves_of", "slot_places", "slots", "slots_in_use"]
