"""Addresses that know their loops, and sets of the rounds in which something exists.

In `g.*.f.i.*.weight` each `*` is the index of one loop: of the loop whose own address stands before it, `g` and
`g.*.f.i`. These are the repeats in which the parameter is *declared*. A layer may be applied inside further ones, which
have no part in its address: all their rounds share it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod

Indices = range | tuple[int, ...]
"""Rounds of one loop, in order."""

Box = tuple[Indices, ...]
"""Rounds of loops inside one another: every combination of one index of each, the outermost loop's first."""

ALL_LOOPS = "@"
"""Stands between the addresses of which a tool makes one name, `a.*@f.i.*@~17`: a value in every round of every loop
around it, those among them that have no part in its address."""


def loops_of(address: str) -> tuple[str, ...]:
    """The addresses of the loops that an address lies in, outermost first: `g` and `g.*.f.i` for `g.*.f.i.*.w`."""
    found: list[str] = []
    for part in address.split(ALL_LOOPS):
        steps = part.split(".*")
        found += [".*".join(steps[:count]) for count in range(1, len(steps))]
    return tuple(found)


def label_of(address: str) -> str:
    """What the author called it: the last step."""
    return address.rpartition(".")[2]


def filled(address: str, at: Mapping[str, int]) -> str:
    """The address in the round `at`, which has the index of every loop around by its address: `h.3.scale` for
    `h.*.scale`. The `*` of a loop that is not around stays: what was moved out of it is the same in all its rounds."""
    if "*" not in address:
        return address
    pieces = address.split("*")
    text = pieces[0]
    for loop, piece in zip(loops_of(address), pieces[1:], strict=True):
        text += str(at.get(loop, "*")) + piece
    return text


def in_every_round(name: str, around: Iterable[str]) -> str:
    """`name` for a value in every round of the loops `around` it, whose addresses come outermost first."""
    return ALL_LOOPS.join((*(f"{loop}.*" for loop in around), name))


def addresses_in(address: str, box: Box) -> Iterator[str]:
    """The addresses in files, `h.0.scale` first, the innermost loop's index running fastest."""
    pieces = address.split("*")
    for indices in product(*box):
        yield pieces[0] + "".join(f"{i}{piece}" for i, piece in zip(indices, pieces[1:], strict=True))


# ---------------------------------------------------------------- sets of rounds


def rounds(box: Box) -> int:
    """How many rounds a box holds."""
    return prod(map(len, box))


def common(a: Indices, b: Indices) -> Indices:
    """The indices that are in both."""
    if a == b:
        return a
    if isinstance(a, range):
        a, b = b, a
    if isinstance(a, range) and isinstance(b, range) and a.step == b.step == 1:
        return range(max(a.start, b.start), min(a.stop, b.stop))
    members: Collection[int] = b if isinstance(b, range) else frozenset(b)
    return tuple(i for i in a if i in members)


def intersection(a: Box, b: Box) -> Box:
    """The rounds that are in both; they are of the same loops."""
    return tuple(common(x, y) for x, y in zip(a, b, strict=True))


def without(box: Box, other: Box) -> list[Box]:
    """The rounds of `box` that are not in `other`, as boxes that have none in common."""
    shared = intersection(box, other)
    if not all(shared):
        return [box]
    found: list[Box] = []
    for at, (mine, both) in enumerate(zip(box, shared, strict=True)):
        if len(both) < len(mine):
            members = frozenset(both)
            found.append((*shared[:at], tuple(i for i in mine if i not in members), *box[at + 1 :]))
    return found


def united(boxes: Sequence[Box]) -> list[Box]:
    """The same rounds in fewer boxes, as far as two that differ in one loop can be put together. The `boxes` have no
    rounds in common."""
    found = list(boxes)
    before = len(found) + 1
    while len(found) < before:
        before = len(found)
        for at in reversed(range(len(found[0]) if found else 0)):
            together: dict[Box, list[Indices]] = {}
            for box in found:
                together.setdefault((*box[:at], *box[at + 1 :]), []).append(box[at])
            found = [(*rest[:at], _joined(parts), *rest[at:]) for rest, parts in together.items()]
    return found


FEW = 100_000


def covered(boxes: Collection[Box]) -> int:
    """How many rounds are in one of the boxes or in several."""
    if sum(map(rounds, boxes)) <= FEW:
        return len({indices for box in boxes for indices in product(*box)})
    apart: list[Box] = []
    for box in boxes:
        new = [box]
        for other in apart:
            new = [part for piece in new for part in without(piece, other)]
        apart += new
    return sum(map(rounds, apart))


def _joined(parts: Sequence[Indices]) -> Indices:
    if len(parts) == 1:
        return parts[0]
    indices = tuple(sorted(i for part in parts for i in part))
    whole = range(len(indices))
    return whole if indices == tuple(whole) else indices
