"""Which layer of one model is which of the other: by address, else by what it computes, near first."""

from __future__ import annotations

from collections.abc import Mapping

from attndsl.differences.layers import ComparedLayer, children
from attndsl.records import dataclass, field


@dataclass(slots=True)
class Matching:
    """`same` has for each layer of the first model its counterpart; what is in neither is gone, or new."""

    same: dict[str, str] = field(default_factory=dict)
    renamed: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)


def match(before: Mapping[str, ComparedLayer], after: Mapping[str, ComparedLayer]) -> Matching:
    """Match the layers of two models."""
    found = Matching({"": ""})
    _below("", "", before, after, found)
    _elsewhere(before, after, found)
    return found


def _below(
    one: str, other: str, before: Mapping[str, ComparedLayer], after: Mapping[str, ComparedLayer], found: Matching
) -> None:
    """Match what is in two layers that are matched: those of one name, then those that compute the same, then what is
    left where one of a kind is on each side."""
    left, right = list(children(before, one)), list(children(after, other))
    pairs = [(a, b) for a in left for b in right if a.name == b.name]
    for same in (_deep, lambda part, parts: part.kind):
        taken = [a.path for a, _ in pairs], [b.path for _, b in pairs]
        lone = [a for a in left if a.path not in taken[0]], [b for b in right if b.path not in taken[1]]
        for a in lone[0]:
            alike = [b for b in lone[1] if same(a, before) == same(b, after)]
            rivals = [c for c in lone[0] if same(c, before) == same(a, before)]
            if len(alike) == len(rivals):
                b = alike[rivals.index(a)]
                pairs.append((a, b))
                found.renamed.add(a.path)
    for a, b in pairs:
        found.same[a.path] = b.path
        _below(a.path.removesuffix(".*"), b.path.removesuffix(".*"), before, after, found)


def _elsewhere(before: Mapping[str, ComparedLayer], after: Mapping[str, ComparedLayer], found: Matching) -> None:
    """Match layers that compute the same in different places."""
    taken = set(found.same.values())
    for path, part in before.items():
        if path in found.same or not part.nodes:
            continue
        alike = [b for b in after.values() if b.path not in taken and _deep(b, after) == _deep(part, before)]
        alike.sort(key=lambda b: b.name != part.name)
        if alike:
            found.same[path] = alike[0].path
            found.moved.add(path)
            taken.add(alike[0].path)
            _below(path.removesuffix(".*"), alike[0].path.removesuffix(".*"), before, after, found)
            taken.update(found.same.values())


def _deep(part: ComparedLayer, parts: Mapping[str, ComparedLayer]) -> object:
    """What a layer computes, those inside it included, whatever it is called."""
    own = part.path.removesuffix(".*")
    inside = [_deep(each, parts) for each in children(parts, own) if each.path != part.path]
    return part.kind, tuple(sorted(part.computes.items())), tuple(inside)
