"""The modules of a written file: the tree of parameters and layers that gives `state_dict()` our addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from attndsl.addresses import Box, Indices, intersection
from attndsl.backends.pytorch.expressions import number
from attndsl.backends.pytorch.names import keywords, plain
from attndsl.graph import Graph, ParameterInfo
from attndsl.records import dataclass, field


@dataclass(eq=False, slots=True)
class Part:
    """What stands at one step of the addresses: the parameters whose address ends there (several where they differ by
    layer), and the parts inside it by their next step; `*` holds the rounds of a repeat."""

    infos: list[ParameterInfo] = field(default_factory=list)
    parts: dict[str, Part] = field(default_factory=dict)

    def walk(self) -> Iterator[ParameterInfo]:
        yield from self.infos
        for part in self.parts.values():
            yield from part.walk()

    def exists(self, rounds: Box) -> bool:
        """Whether anything of it is there in some of these rounds of the loops around it."""
        return any(all(_shared(info, rounds)) for info in self.walk())

    def is_even(self, rounds: Box) -> bool:
        """Whether the same of it is there in all of these rounds."""
        return all(not all(shared) or shared == rounds for shared in (_shared(info, rounds) for info in self.walk()))


def _shared(info: ParameterInfo, rounds: Box) -> Box:
    return intersection(rounds, info.layers[: len(rounds)])


def parameter_tree(graph: Graph) -> Part:
    """The parameters by the steps of their addresses; repeats that have no rounds left out."""
    root = Part()
    for info in graph.parameters:
        if info.copies:
            at = root
            for step in info.address.split("."):
                at = at.parts.setdefault(step, Part())
            at.infos.append(info)
    return root


@dataclass(frozen=True, slots=True)
class RepeatForm:
    """How a repeat is written, in some rounds of those around it: how often it goes round, as a number and as text, and
    the classes of its modules, if they have any, with the one that each round takes (`cases`, where there are
    several)."""

    rounds: Box
    count: int
    text: str
    classes: tuple[str, ...] = ()
    cases: tuple[int, ...] | None = None


@dataclass(eq=False)
class Layers:
    """Writes constructors. `kinds` has the class of each layer that is called as one; `loops` the repeats by their
    addresses."""

    graph: Graph
    kinds: Mapping[str, tuple[str, tuple[str, ...]]]
    size: Callable[[ParameterInfo], list[str]]
    helper: Callable[[str], str]
    layer_class: Callable[[str], str]
    loops: dict[str, list[RepeatForm]] = field(default_factory=dict)

    def note(self, path: str, loop: RepeatForm) -> None:
        """Take down how a repeat is written: first that it is, then perhaps its classes."""
        known = self.loops.setdefault(path, [])
        known[:] = [loop, *(other for other in known if other.rounds != loop.rounds)]

    def loop(self, path: str, rounds: Box) -> RepeatForm | None:
        """How the repeat is written in these rounds of those around it."""
        known = self.loops.get(path, ())
        return next((loop for loop in known if intersection(rounds, loop.rounds) == rounds), None)

    def assignments(self, tree: Part, path: str, rounds: Box) -> list[str]:
        """The statements of an `__init__`, one for each part of `tree`, all of whose addresses begin with `path`, that
        is there in these rounds of the loops around it."""
        lines = []
        for name, part in self._parts(tree, path, rounds):
            if plain(name):
                lines.append(f"self.{name} = {part}")
            else:
                kind = "_parameters" if _ends(tree.parts[name], rounds) else "_modules"
                lines.append(f'self.{kind}["{name}"] = {part}')
        return lines

    def _parts(self, tree: Part, path: str, rounds: Box) -> list[tuple[str, str]]:
        found = []
        for name, part in tree.parts.items():
            if ending := _ends(part, rounds):
                found.append((name, self.initial(ending)))
            elif part.exists(rounds):
                found.append((name, self._layer(part, f"{path}{name}", rounds)))
        return found

    def _layer(self, part: Part, address: str, rounds: Box) -> str:
        if "*" in part.parts and part.parts["*"].exists(rounds):
            return self._list(part.parts["*"], address, rounds)
        kind, arguments = self.kinds.get(address, ("Layer", ()))
        parts = self._parts(part, f"{address}.", rounds)
        return f"{self.layer_class(kind)}({', '.join([*keywords(parts), *arguments])})"

    def _list(self, body: Part, address: str, rounds: Box) -> str:
        """The modules of a repeat."""
        loop = self.loop(address, rounds)
        if loop is None or not loop.classes:
            return self._plain_list(body, address, rounds, loop)
        names, cases = loop.classes, loop.cases
        if cases is None:
            return f"nn.ModuleList({names[0]}() for _ in range({loop.text}))"
        choice = f"({', '.join(names)})"
        if all(case == i % len(names) for i, case in enumerate(cases)):
            return f"nn.ModuleList({choice}[i % {len(names)}]() for i in range({loop.text}))"
        return f"nn.ModuleList({choice}[case]() for case in {cases})"

    def _plain_list(self, body: Part, address: str, rounds: Box, loop: RepeatForm | None) -> str:
        """Modules without a class of their own, all alike or each with what it has."""
        if loop is None:  # nothing reads what it holds, so nothing says how often it goes round
            count = 1 + max(info.layers[len(rounds)][-1] for info in body.walk() if all(_shared(info, rounds)))
            loop = RepeatForm(rounds, count, str(count))
        layer = self.layer_class("Layer")

        def one(indices: Indices) -> str:
            return f"{layer}({', '.join(keywords(self._parts(body, f'{address}.*.', (*rounds, indices))))})"

        everywhere = range(loop.count)
        if body.is_even((*rounds, everywhere)):
            return f"nn.ModuleList({one(everywhere)} for _ in range({loop.text}))"
        return f"nn.ModuleList([{', '.join(one((i,)) for i in everywhere)}])"

    def initial(self, info: ParameterInfo) -> str:
        """A new parameter with its first values."""
        kind, arguments = info.initializer.kind, [number(a).text for a in info.initializer.arguments]
        shape = self.size(info)
        lengths = [axis.size.value(self.graph.sizes) for axis in info.type.axes]
        if kind in ("xavier", "kaiming"):
            kind, arguments = _by_fan(kind, lengths)
        names = {"normal": ["std"], "truncated": ["std"], "uniform": ["low", "high"], "constant": ["value"]}.get(
            kind, []
        )
        return (
            f"{self.helper(kind)}({', '.join([*shape, *(f'{n}={a}' for n, a in zip(names, arguments, strict=True))])})"
        )


def _by_fan(kind: str, lengths: Sequence[int]) -> tuple[str, list[str]]:
    """Glorot and Bengio's uniform, He's normal: the deviation from the numbers of inputs and outputs. Matrices are
    [in, out]; further axes in front count with the inputs."""
    outputs = lengths[-1] if lengths else 1
    inputs = 1
    for length in lengths[:-1]:
        inputs *= length
    if kind == "xavier":
        bound = (6 / (inputs + outputs)) ** 0.5
        return "uniform", [repr(-bound), repr(bound)]
    return "normal", [repr((2 / inputs) ** 0.5)]


def _ends(part: Part, rounds: Box) -> ParameterInfo | None:
    """The parameter that stands there in these rounds, if one does: `part` is even in them."""
    return next((info for info in part.infos if all(_shared(info, rounds))), None)
