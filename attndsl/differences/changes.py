"""The changes between two models, each with its class."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from attndsl.differences.classes import CLASSES
from attndsl.differences.layers import BODY, ENTERS, ComparedLayer, Operation, parts_of
from attndsl.differences.matching import Matching, match
from attndsl.graph import Graph, InputInfo, ParameterInfo
from attndsl.graph.text import initial_text, type_text
from attndsl.inspection import inspect
from attndsl.ops import Constant
from attndsl.records import Frozen
from attndsl.sizes import Constraint
from attndsl.values import shown_setting

_FLOAT = re.compile(r"-?\d+\.\d+(e[-+]\d+)?")
_WORD = re.compile(r"[A-Za-z_]\w*")

SCHEMA = "attndsl.diff/1"


class Change(Frozen):
    """`what` is a word for it (added, removed, moved, renamed, rewired, …), `where` an address, `text` a sentence."""

    kind: str
    what: str
    where: str
    text: str

    def to_json(self) -> dict[str, str]:
        return {"class": self.kind, "what": self.what, "where": self.where, "text": self.text}


class Differences(Frozen):
    """The changes, worst first, and what both models have in numbers: parameters and FLOPs of a forward pass."""

    names: tuple[str, str]
    changes: tuple[Change, ...]
    parameters: tuple[int, int]
    flops: tuple[int, int]
    matching: Matching

    @property
    def equal(self) -> bool:
        """Whether the two mean the same, names aside."""
        return all(change.kind == "cosmetic" for change in self.changes)

    def reaching(self, kind: str) -> tuple[Change, ...]:
        """The changes of a class, and those that are worse."""
        return tuple(it for it in self.changes if CLASSES.index(it.kind) <= CLASSES.index(kind))

    def to_json(self) -> dict[str, object]:
        """As plain data; `schema` changes whenever a key changes its meaning or goes away."""
        return {
            "schema": SCHEMA,
            "before": {"name": self.names[0], "parameters": self.parameters[0], "flops": self.flops[0]},
            "after": {"name": self.names[1], "parameters": self.parameters[1], "flops": self.flops[1]},
            "equal": self.equal,
            "changes": [change.to_json() for change in self.changes],
        }


def differences(before: Graph, after: Graph, names: tuple[str, str] = ("before", "after")) -> Differences:
    """What changes in meaning from `before` to `after`."""
    return _Comparing(before, after).found(names)


class _Comparing:
    def __init__(self, before: Graph, after: Graph) -> None:
        self.graphs = before, after
        self.called = _called(before, after)
        self.parts = parts_of(before, str), parts_of(after, self.say)
        self.matching = match(*self.parts)
        self.rewired: dict[str, tuple[list[str], list[str]]] = {}
        self.back = {after: before for before, after in self.matching.same.items()}

    def found(self, names: tuple[str, str]) -> Differences:
        changes = [*self.layers(), *self.parameters(), *self.states(), *self.ends(), *self.order()]
        changes = [*self.settings(changes), *changes]
        changes.sort(key=lambda change: CLASSES.index(change.kind))
        reports = [inspect(graph) for graph in self.graphs]
        before, after = reports
        return Differences(
            names,
            tuple(changes),
            (before.totals.parameters, after.totals.parameters),
            (before.totals.flops, after.totals.flops),
            self.matching,
        )

    def say(self, text: str) -> str:
        """A text about the second model, with the names that sizes and hyperparameters have in the first."""
        return _WORD.sub(lambda word: self.called.get(word[0], word[0]), text) if self.called else text

    # ------------------------------------------------------------ settings

    def settings(self, others: list[Change]) -> Iterator[Change]:
        """Hyperparameters. What one means is seen in what else changes, or in the sizes that it is part of."""
        before, after = (graph.hyperparameters for graph in self.graphs)
        if self.graphs[0].name != self.graphs[1].name:
            text = f"the model is called {self.graphs[1].name}, not {self.graphs[0].name}"
            yield Change("cosmetic", "renamed", self.graphs[1].name, text)
        for new, old in self.called.items():
            yield Change("cosmetic", "renamed", new, f"it was called {old}")
        after = {self.called.get(name, name): value for name, value in after.items()}
        for name in dict.fromkeys([*before, *after]):
            if name not in after:
                yield Change("cosmetic", "hyperparameter", name, f"{name} is gone (it was {_shown(before[name])})")
            elif name not in before:
                yield Change("cosmetic", "hyperparameter", name, f"{name} = {_shown(after[name])} is new")
            elif before[name] != after[name]:
                text = f"{name} = {_shown(before[name])} → {_shown(after[name])}"
                yield Change(self.reach(name, others), "hyperparameter", name, text)

    def reach(self, name: str, others: list[Change]) -> str:
        """The class of another value of a hyperparameter."""
        word = re.compile(rf"\b{re.escape(name)}\b")

        def says(texts: Iterator[str]) -> bool:
            return any(word.search(text) for text in texts)

        graphs, parts = self.graphs, [part for parts in self.parts for part in parts.values()]
        if says(type_text(it.type) for graph in graphs for it in graph.parameters):
            return "weights"
        if any(it.what == "copies" for it in others) and says(
            text for part in parts for it in part.operations for name, text in it.attributes if name == "count"
        ):
            return "weights"
        if says(text for part in parts for text in (*part.computes, *part.masks)):
            return "numerics"
        if says(type_text(it.type) for graph in graphs for it in graph.states):
            return "state"
        if says(
            str(it)
            for graph in graphs
            for it in (*map(_limit, graph.constraints), *(b.limit for i in graph.inputs for b in i.bounds))
        ):
            return "shape"
        worst = min((CLASSES.index(it.kind) for it in others), default=len(CLASSES) - 1)
        return CLASSES[worst]

    # ------------------------------------------------------------ layers

    def layers(self) -> Iterator[Change]:
        before, after = self.parts
        for path, part in before.items():
            if path in self.matching.same:
                yield from self.kept(part, after[self.matching.same[path]])
            elif part.above not in before or self.is_there(part.above, before, self.matching.same) or not part.above:
                yield self.one_sided(part, 0)
        for path, part in after.items():
            if path not in self.back and (
                part.above not in after or self.is_there(part.above, after, self.back) or not part.above
            ):
                yield self.one_sided(part, 1)

    def is_there(self, path: str, parts: dict[str, ComparedLayer], matched: dict[str, str]) -> bool:
        return path in matched or path not in parts

    def one_sided(self, part: ComparedLayer, side: int) -> Change:
        count = sum(
            it.copies * it.type.count(self.graphs[side].sizes)
            for it in self.graphs[side].parameters
            if it.address.startswith(f"{part.path}.")
        )
        said = f"{part.kind}, {count:,} parameters" if count else f"{part.kind}, no parameters"
        what = ("removed", "added")[side]
        return Change("weights" if count else "numerics", what, part.path, f"{what}: {said}")

    def kept(self, one: ComparedLayer, other: ComparedLayer) -> Iterator[Change]:
        where = other.path or BODY
        has_parameters = any(it.address.startswith(f"{other.path}.") for it in self.graphs[1].parameters)
        if one.path in self.matching.moved or (one.path in self.matching.renamed and one.path):
            what = "moved" if one.path in self.matching.moved else "renamed"
            told = "moved from" if what == "moved" else "it was called"
            yield Change("weights" if has_parameters else "cosmetic", what, where, f"{told} {one.path}")
        if one.kind != other.kind:
            yield Change("numerics", "replaced", where, f"{one.kind} → {other.kind}")
        if one.masks != other.masks:
            yield Change("numerics", "mask", where, f"mask {_listed(one.masks)} → {_listed(other.masks)}")
        if one.positions != other.positions:
            yield Change(
                "numerics", "position", where, f"position {_listed(one.positions)} → {_listed(other.positions)}"
            )
        reads = Counter({self.there(name): count for name, count in one.reads.items()})
        gone, new = (sorted(set(a) - set(b)) for a, b in ((reads, other.reads), (other.reads, reads)))
        inherited = (gone, new) == self.rewired.get(other.above)
        self.rewired[other.path.removesuffix(".*")] = (gone, new)
        if (gone or new) and not inherited:
            left = [self.back.get(name, name) or BODY for name in gone]
            right = [name or BODY for name in new]
            if left and right:
                yield Change("numerics", "rewired", where, f"reads {', '.join(right)}, not {', '.join(left)}")
            else:
                said = f"also reads {', '.join(right)}" if right else f"no longer reads {', '.join(left)}"
                yield Change("numerics", "rewired", where, said)
        if one.computes != other.computes and one.kind == other.kind and one.positions == other.positions:
            text = _computed(one, other)
            if text or not (gone or new):
                yield Change("numerics", "computes", where, text or "the same operations are put together otherwise")

    def there(self, source: str) -> str:
        """What a layer of the first model reads, by its name in the second."""
        path = source.removeprefix(ENTERS)
        return source.removesuffix(path) + self.matching.same.get(path, path)

    # ------------------------------------------------------------ parameters and states

    def parameters(self) -> Iterator[Change]:
        """Of layers that are in both."""
        copies: dict[tuple[str, int, int], list[ParameterInfo]] = {}
        before = {self.renamed(it.address): it for it in self.graphs[0].parameters}
        after = {it.address: it for it in self.graphs[1].parameters}
        for address, one in before.items():
            other = after.get(address)
            if other is None:
                if self.owner(one) in self.matching.same:
                    yield Change("weights", "removed", one.address, f"parameter removed: {type_text(one.type)}")
                continue
            yield from self.parameter(one, other)
            if one.layers != other.layers and self.owner(one) not in self.matching.moved:
                copies.setdefault((other.address.rpartition("*")[0].rstrip("."), one.copies, other.copies), []).append(
                    other
                )
        for (path, left, right), infos in copies.items():
            text = f"{left:,} layers → {right:,}, each with {len(infos)} parameters"
            yield Change("weights", "copies", path, text)
        for address, new in after.items():
            if address not in before and self.owner(new) in self.back:
                yield Change("weights", "added", address, f"parameter added: {type_text(new.type)}")

    def parameter(self, one: ParameterInfo, other: ParameterInfo) -> Iterator[Change]:
        shapes = [
            tuple(a.size.value(g.sizes) for a in it.type.axes) for it, g in zip((one, other), self.graphs, strict=True)
        ]
        if shapes[0] != shapes[1] or one.type.dtype != other.type.dtype:
            text = f"{'×'.join(map(str, shapes[0])) or 'scalar'} → {'×'.join(map(str, shapes[1])) or 'scalar'}"
            yield Change("weights", "shape", other.address, text)
        texts = initial_text(one.initializer), self.say(initial_text(other.initializer))
        if texts[0] != texts[1]:
            yield Change("numerics", "initial", other.address, f"starts as {texts[1]}, not {texts[0]}")

    def owner(self, info: ParameterInfo) -> str:
        path = info.address.rpartition(".")[0]
        parts = self.parts[0] if info in self.graphs[0].parameters else self.parts[1]
        while path and path not in parts:
            path = path.rpartition(".")[0]
        return path

    def renamed(self, address: str) -> str:
        """The address that a parameter of the first model has in the second."""
        path, _, name = address.rpartition(".")
        rest = [name]
        while path and path not in self.matching.same:
            path, _, name = path.rpartition(".")
            rest.insert(0, name)
        there = self.matching.same.get(path, "")
        return ".".join([there, *rest] if there else rest)

    def states(self) -> Iterator[Change]:
        before = {self.renamed(it.address): type_text(it.type) for it in self.graphs[0].states}
        after = {it.address: self.say(type_text(it.type)) for it in self.graphs[1].states}
        for address in dict.fromkeys([*before, *after]):
            one, other = before.get(address), after.get(address)
            if one != other:
                yield Change("state", "state", address, f"state {one or 'none'} → {other or 'none'}")

    # ------------------------------------------------------------ inputs, outputs, order

    def ends(self) -> Iterator[Change]:
        first, second = self.graphs
        before = {f"input {it.name}": _input(it) for it in first.own_inputs}
        after = {f"input {it.name}": self.say(_input(it)) for it in second.own_inputs}
        before |= {f"output {it.name}": type_text(it.value.type) for it in first.own_outputs}
        after |= {f"output {it.name}": self.say(type_text(it.value.type)) for it in second.own_outputs}
        for name in dict.fromkeys([*before, *after]):
            one, other = before.get(name), after.get(name)
            if one is None or other is None:
                yield Change("shape", "removed" if one else "added", name, f"{name}: {one or other}")
            elif one != other:
                yield Change("shape", "shape", name, f"{one} → {other}")
        limits = [_limit(it) for it in first.constraints], [self.say(_limit(it)) for it in second.constraints]
        for what, ours, theirs in (("no longer required", *limits), ("now required", *reversed(limits))):
            for limit in dict.fromkeys(ours):
                if limit not in theirs:
                    yield Change("shape", "limit", "sizes", f"{what}: {limit}")

    def order(self) -> Iterator[Change]:
        """Layers of one body that are computed in another order."""
        same = self.matching.same
        left = [same[path] for path in self.parts[0] if path in same and path not in self.matching.moved]
        right = [path for path in self.parts[1] if path in set(left)]
        for above in dict.fromkeys(self.parts[1][path].above for path in right):
            one, other = ([p for p in paths if self.parts[1][p].above == above] for paths in (left, right))
            if one != other:
                names = ", ".join(self.parts[1][p].name for p in other if p)
                yield Change("layout", "order", above or BODY, f"the order is now {names}")


def _limit(limit: Constraint) -> str:
    return f"{limit.left} {limit.relation} {limit.right}"


def _called(before: Graph, after: Graph) -> dict[str, str]:
    """What hyperparameters and sizes of the second model are called in the first, where one name is gone and another is
    new: hyperparameters of the same value, sizes in the same place."""
    one, other = before.hyperparameters, after.hyperparameters
    gone = [name for name in one if name not in other]
    found: dict[str, str] = {}
    for name in other:
        same = [old for old in gone if name not in one and shown_setting(one[old]) == shown_setting(other[name])]
        if same:
            found[name] = same[0]
            gone.remove(same[0])
    if len(before.free_sizes) == len(after.free_sizes):
        pairs = zip(before.free_sizes, after.free_sizes, strict=True)
        found |= {new: old for old, new in pairs if old not in after.free_sizes and new not in before.free_sizes}
    return found


def _computed(one: ComparedLayer, other: ComparedLayer) -> str:
    """What is in one and not in the other: blocks if there are any, else operations, else what these are told."""
    names = (Counter(it.name for it in part.operations.elements() if not it.moves) for part in (one, other))
    for left, right in ((Counter(one.blocks), Counter(other.blocks)), tuple(names)):
        gone, new = left - right, right - left
        if gone or new:
            return f"{_counted(gone)} → {_counted(new)}"
    gone_ops, new_ops = one.operations - other.operations, other.operations - one.operations
    told: dict[str, None] = {}
    for name in dict.fromkeys(it.name for it in gone_ops):
        pairs = [[it for it in side.elements() if it.name == name] for side in (gone_ops, new_ops)]
        for before, after in zip(*pairs, strict=False):
            told |= dict.fromkeys(_told_otherwise(before, after))
    laid_out = "the same operations, on values that are laid out otherwise" if gone_ops or new_ops else ""
    return ", ".join(told) or laid_out


def _told_otherwise(before: Operation, after: Operation) -> Iterator[str]:
    """The attributes in which two applications of an op differ, unless it does no more than lay values out."""
    if before.moves and before.name != Constant.name:
        return
    for (name, left), (_, right) in zip(before.attributes, after.attributes, strict=True):
        if left != right:
            what = before.name if before.name == Constant.name else f"{before.name}: {name}"
            yield f"{what} {_short(left)} → {_short(right)}"


def _short(text: str) -> str:
    """A number with no more digits than one reads."""
    return f"{float(text):.6g}" if _FLOAT.fullmatch(text) else text


def _counted(names: Counter[str]) -> str:
    return _listed(tuple(name if count == 1 else f"{name} × {count}" for name, count in names.items()))


def _listed(texts: tuple[str, ...]) -> str:
    return ", ".join(texts) if texts else "none"


def _input(info: InputInfo) -> str:
    bounds = ", ".join(f"{bound.relation} {bound.limit}" for bound in info.bounds)
    optional = " optional" * info.optional
    return type_text(info.value.type) + optional + (f" where {bounds}" if bounds else "")


def _shown(value: object) -> str:
    return shown_setting(value)
