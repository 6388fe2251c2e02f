"""Whether sizes can be divided among the devices that share them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import combinations
from math import lcm

from attndsl.diagnostics import AttnError, Diagnostic, Label, listed, quoted
from attndsl.graph import Value
from attndsl.layouts.core import NOT_DIVISIBLE, Mesh, PlacementRule
from attndsl.layouts.placements import Placement
from attndsl.layouts.walk import LayoutWalk
from attndsl.sizes import Constraint, Size
from attndsl.types import Type

ALIGNED = 128
"""Large sizes, such as vocabularies, are padded to multiples of this (Shoeybi et al., 2019)."""


def equal_parts(walk: LayoutWalk, stored: Mapping[tuple[str, Type], Placement]) -> list[Constraint]:
    """What must hold of sizes, so that the parts are equal into which axes are divided anywhere in a graph.

    Raises E1004 where it is known not to hold."""
    shared: dict[Size, dict[tuple[str, ...], dict[PlacementRule, None]]] = {}
    for size, on, found in _divided(walk, stored):
        shared.setdefault(size, {}).setdefault(on, {}).update(dict.fromkeys(found))
    graph, mesh = walk.graph, walk.mesh
    constraints, mistakes = list[Constraint](), list[Diagnostic]()
    for size, ways in shared.items():
        value = size.known(graph.sizes)
        for on, rules in ways.items():
            count = mesh.count(on)
            if any(set(on) < set(other) for other in ways):
                continue  # which asks for more
            if value is not None and value % count:
                mistakes.append(_indivisible(mesh, on, rules, size, value))
            span = next((rule.span for rule in rules if rule.span), graph.span)
            if value is None and span is not None and size.symbols - graph.sizes.keys():
                notes = tuple(f"the layout says `{rule}`" for rule in rules)
                way = _multiple(size, count)
                constraints.append(
                    Constraint("divides", size, Size.of(count), span, NOT_DIVISIBLE, notes=notes, helps=(way,))
                )
    if mistakes:
        raise AttnError(*mistakes)
    return constraints


def _divided(
    walk: LayoutWalk, stored: Mapping[tuple[str, Type], Placement]
) -> Iterator[tuple[Size, tuple[str, ...], list[PlacementRule]]]:
    """Each size that is divided, with the dimensions on which it lies and the rules that say so."""
    places: list[tuple[Value | str, Placement]] = [(address, placement) for (address, _), placement in stored.items()]
    for there in walk.located.values():
        places += [(there.value, Placement(walk.mesh, states)) for states in there.versions]
    for key, placement in places:
        for axis, on in placement.divided.items():
            found = (walk.wanted.rule(key, axis, name) for name in on)
            yield axis.size, on, [rule for rule in found if rule is not None]


def _indivisible(
    mesh: Mesh, on: tuple[str, ...], rules: Collection[PlacementRule], size: Size, value: int
) -> Diagnostic:
    shown, count = str(value) if str(size) == str(value) else f"`{size}` ({value})", mesh.count(on)
    message = f"{shown} cannot be divided over the {count} devices along {_named(on)}"
    fitting = [n for n in range(2, min(value, 64) + 1) if value % n == 0]
    ways = [f"{', '.join(map(str, fitting[:8]))} devices would divide it"] if fitting else []
    symbols = sorted(size.symbols)
    if symbols:
        fits = value + -value % lcm(count, ALIGNED if value > ALIGNED**2 else 1)
        more = fits if str(size) == symbols[0] else "…"
        ways.append(f"make it a multiple of {count}: `--set {symbols[0]}={more}`")
    ways += [f"leave it whole along {_named(some)}" for some in _left_whole(mesh, on, value)]
    labels = [Label(rule.span, f"`{rule}`") for rule in rules if rule.span]
    helps = (*ways[:1], *(f"or {way}" for way in ways[1:]))
    return Diagnostic(NOT_DIVISIBLE, message, next(iter(labels), None), tuple(labels[1:]), helps=helps)


def _multiple(size: Size, count: int) -> str:
    """What to do about a size, perhaps that of a microbatch, that is not divisible."""
    parts = lcm(*(factor.denominator for factor in size.terms.values()))
    return f"make `{size * parts}` a multiple of {count * parts}"


def _left_whole(mesh: Mesh, on: tuple[str, ...], value: int) -> list[tuple[str, ...]]:
    """The fewest dimensions without which the others divide a size."""
    for number in range(1, len(on) + 1):
        found = [some for some in combinations(on, number) if value * mesh.count(some) % mesh.count(on) == 0]
        if found:
            return found
    return []


def _named(dimensions: Collection[str]) -> str:
    return listed(tuple(map(quoted, dimensions)))
