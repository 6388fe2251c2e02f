"""The modules of a written file: the tree of parameters and layers that gives `state_dict()` our addresses."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from attndsl.addresses import Box, Indices, intersection
from attndsl.backends.pytorch.expressions import Expr
from attndsl.backends.pytorch.names import keywords, plain
from attndsl.backends.pytorch.starts import Start, index_name, loops_read
from attndsl.graph import Graph, Node, ParameterInfo, Type
from attndsl.records import Frozen, dataclass, field


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


class RepeatForm(Frozen):
    """How a repeat is written, in some rounds of those around it: how often it goes round, as a number and as text, and
    the classes of its modules, if they have any, with the one that each round takes (`cases`, where there are
    several), and the `sizes` that their constructors take."""

    rounds: Box
    count: int
    text: str
    classes: tuple[str, ...] = ()
    cases: tuple[int, ...] | None = None
    sizes: tuple[str, ...] = ()


@dataclass(eq=False)
class Layers:
    """Writes constructors. `kinds` has the class of each layer that is called as one, `turned` the addresses of
    matrices whose columns lie together in memory; `loops` the repeats by their addresses."""

    graph: Graph
    kinds: Mapping[str, tuple[str, tuple[str, ...]]]
    turned: Collection[str]
    size: Callable[[Type], list[str]]
    helper: Callable[[str], str]
    layer_class: Callable[[str], str]
    lower: Callable[[Node, tuple[Expr, ...]], Expr]
    own_name: Callable[[str], str]
    fixed: dict[int, str] = field(default_factory=dict)  # indices that are numbers in what is being written
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
            own = self.own_name(name)
            if plain(own):
                lines.append(f"self.{own} = {part}")
            else:
                kind = "_parameters" if _ends(tree.parts[name], rounds) else "_modules"
                lines.append(f'self.{kind}["{own}"] = {part}')
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
        parts = self._parts(part, f"{address}.", rounds)
        if parts and all(name.isdigit() and not _ends(part.parts[name], rounds) for name, _ in parts):
            return self._written_out(dict(parts))
        kind, arguments = self.kinds.get(address, ("Layer", ()))
        return f"{self.layer_class(kind)}({', '.join([*keywords(self._named(parts)), *arguments])})"

    def _named(self, parts: list[tuple[str, str]]) -> list[tuple[str, str]]:
        return [(self.own_name(name), text) for name, text in parts]

    def _written_out(self, parts: Mapping[str, str]) -> str:
        """The modules of a repeat whose rounds are written out, an empty one where a round has no parameters."""
        count = 1 + max(map(int, parts))
        modules = [parts.get(str(i)) or f"{self.layer_class('Layer')}()" for i in range(count)]
        return f"nn.ModuleList([{', '.join(modules)}])"

    def _list(self, body: Part, address: str, rounds: Box) -> str:
        """The modules of a repeat."""
        loop = self.loop(address, rounds)
        if loop is None or not loop.classes:
            return self._plain_list(body, address, rounds, loop)
        names, cases, own = loop.classes, loop.cases, index_name(len(rounds))
        given = [self._index(at) for at in self._read(body, (*loop.rounds, range(loop.count)))]
        made = f"({', '.join([*given, *loop.sizes])})"
        if cases is None:
            return f"nn.ModuleList({names[0]}{made} for {own if own in given else '_'} in range({loop.text}))"
        choice = f"({', '.join(names)})"
        if all(case == i % len(names) for i, case in enumerate(cases)):
            return f"nn.ModuleList({choice}[{own} % {len(names)}]{made} for {own} in range({loop.text}))"
        if own in given:
            return f"nn.ModuleList({choice}[case]{made} for ({own}, case) in enumerate({cases}))"
        return f"nn.ModuleList({choice}[case]{made} for case in {cases})"

    def _plain_list(self, body: Part, address: str, rounds: Box, loop: RepeatForm | None) -> str:
        """Modules without a class of their own, all alike or each with what it has."""
        if loop is None:  # nothing reads what it holds, so nothing says how often it goes round
            count = 1 + max(info.layers[len(rounds)][-1] for info in body.walk() if all(_shared(info, rounds)))
            loop = RepeatForm(rounds, count, str(count))
        layer = self.layer_class("Layer")

        def one(indices: Indices) -> str:
            return (
                f"{layer}({', '.join(keywords(self._named(self._parts(body, f'{address}.*.', (*rounds, indices)))))})"
            )

        def single(i: int) -> str:
            self.fixed[len(rounds)] = str(i)
            text = one((i,))
            del self.fixed[len(rounds)]
            return text

        everywhere = range(loop.count)
        if body.is_even((*rounds, everywhere)):
            own = index_name(len(rounds)) if len(rounds) in self._read(body, (*rounds, everywhere)) else "_"
            return f"nn.ModuleList({one(everywhere)} for {own} in range({loop.text}))"
        return f"nn.ModuleList([{', '.join(map(single, everywhere))}])"

    def initial(self, info: ParameterInfo) -> str:
        """A new parameter with its first values."""
        made = Start(info, self.graph.sizes, self._index, self.lower, self.size, self.helper).parameter()
        return f"{self.helper('turned')}({made})" if info.address in self.turned else made

    def _index(self, loop: int) -> str:
        return self.fixed.get(loop) or index_name(loop)

    def _read(self, body: Part, rounds: Box) -> list[int]:
        """The loops around what is in `body` in these rounds on whose indices its first values hang."""
        read = {i for info in body.walk() if all(_shared(info, rounds)) for i in loops_read(info.initializer)}
        return [loop for loop in sorted(read) if loop < len(rounds)]

    def arguments(self, body: Part, rounds: Box) -> list[str]:
        """What the constructor of a class of a repeat's modules takes: see `_read`. All its cases take the same."""
        return [f"{index_name(loop)}: int" for loop in self._read(body, rounds)]


def _ends(part: Part, rounds: Box) -> ParameterInfo | None:
    """The parameter that stands there in these rounds, if one does: `part` is even in them."""
    return next((info for info in part.infos if all(_shared(info, rounds))), None)
