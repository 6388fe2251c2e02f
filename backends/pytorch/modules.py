"""The modules of a written file: the tree of parameters and layers that gives `state_dict()` our addresses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Union

from attndsl.backends.pytorch.expressions import number
from attndsl.backends.pytorch.names import keywords, plain
from attndsl.graph import Graph, ParameterInfo
from attndsl.records import dataclass, field

Tree = dict[str, Union["Tree", ParameterInfo]]


def parameter_tree(graph: Graph) -> Tree:
    """The parameters by the steps of their addresses; repeats that have no rounds left out."""
    root: Tree = {}
    for info in graph.parameters:
        if not info.copies:
            continue
        at = root
        *steps, last = info.address.split(".")
        for step in steps:
            inner = at.setdefault(step, {})
            assert isinstance(inner, dict), info.address
            at = inner
        at[last] = info
    return root


@dataclass(eq=False)
class Layers:
    """Writes constructors. `kinds` has the class of each layer that is called as one; `classes`, for the path of a
    repeat, the classes of its cases and which case each round is."""

    graph: Graph
    kinds: Mapping[str, tuple[str, tuple[str, ...]]]
    classes: dict[str, tuple[list[str], tuple[int, ...] | None]]
    size: Callable[[ParameterInfo], list[str]]
    helper: Callable[[str], str]
    layer_class: Callable[[str], str]
    counts: dict[str, str] = field(default_factory=dict)  # for the path of a repeat, how many rounds, as text

    def assignments(self, tree: Tree, path: str, case: int | None = None) -> list[str]:
        """The statements of an `__init__`, one for each part."""
        lines = []
        for name, part in self._parts(tree, path, case):
            if plain(name):
                lines.append(f"self.{name} = {part}")
            else:
                kind = "_parameters" if isinstance(tree[name], ParameterInfo) else "_modules"
                lines.append(f'self.{kind}["{name}"] = {part}')
        return lines

    def _parts(self, tree: Tree, path: str, case: int | None) -> list[tuple[str, str]]:
        parts = []
        for name, part in tree.items():
            address = f"{path}{name}"
            if isinstance(part, ParameterInfo):
                if self._exists(part, path, case):
                    parts.append((name, self.initial(part)))
            elif self._any(part, path, case):
                parts.append((name, self._layer(part, address, path, case)))
        return parts

    def _exists(self, info: ParameterInfo, path: str, case: int | None) -> bool:
        """Whether the parameter is there in the rounds that are of this case."""
        if case is None or not info.layers:
            return True
        repeat = self._repeat(path)
        if repeat is None:
            return True
        depth = repeat.count("*")
        cases = self.classes[repeat][1] or ()
        return any(cases[i] == case for i in info.layers[depth])

    def _repeat(self, path: str) -> str | None:
        """The path of the innermost repeat with several cases around `path`."""
        found = [p for p, (_, cases) in self.classes.items() if cases is not None and path.startswith(f"{p}.*.")]
        return max(found, key=len, default=None)

    def _any(self, tree: Tree, path: str, case: int | None) -> bool:
        return any(
            self._exists(part, path, case) if isinstance(part, ParameterInfo) else self._any(part, path, case)
            for part in tree.values()
        )

    def _layer(self, tree: Tree, address: str, path: str, case: int | None) -> str:
        if set(tree) == {"*"}:
            return self._list(tree["*"], address)
        kind, arguments = self.kinds.get(address, ("Layer", ()))
        parts = self._parts(tree, f"{address}.", case)
        return f"{self.layer_class(kind)}({', '.join([*keywords(parts), *arguments])})"

    def _list(self, body: Tree | ParameterInfo, address: str) -> str:
        assert isinstance(body, dict)
        if address not in self.classes:
            return self._plain_list(body, address)
        names, cases = self.classes[address]
        if cases is None:
            return f"nn.ModuleList({names[0]}() for _ in range({self.counts[address]}))"
        choice = f"({', '.join(names)})"
        if all(case == i % len(names) for i, case in enumerate(cases)):
            return f"nn.ModuleList({choice}[i % {len(names)}]() for i in range({self.counts[address]}))"
        return f"nn.ModuleList({choice}[case]() for case in {cases})"

    def _plain_list(self, body: Tree, address: str) -> str:
        """Modules without a class of their own, all alike or each with what it has."""
        depth = address.count("*")
        rounds = _indices(body, depth)
        count = max(rounds) + 1 if rounds else 0
        everywhere = all(len(indices) == count for indices in _all_indices(body, depth))
        parts = ", ".join(keywords(self._parts(body, f"{address}.*.", None)))
        layer = self.layer_class("Layer")
        if everywhere:
            return f"nn.ModuleList({layer}({parts}) for _ in range({self.counts.get(address, count)}))"
        items = [f"{layer}({', '.join(keywords(self._at(body, f'{address}.*.', depth, i)))})" for i in range(count)]
        return f"nn.ModuleList([{', '.join(items)}])"

    def _at(self, tree: Tree, path: str, depth: int, i: int) -> list[tuple[str, str]]:
        parts = []
        for name, part in tree.items():
            if isinstance(part, ParameterInfo):
                if i in part.layers[depth]:
                    parts.append((name, self.initial(part)))
            elif i in _indices(part, depth):
                inner = ", ".join(keywords(self._at(part, f"{path}{name}.", depth, i)))
                parts.append((name, f"{self.layer_class('Layer')}({inner})"))
        return parts

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


def _all_indices(tree: Tree, depth: int) -> list[Sequence[int]]:
    found: list[Sequence[int]] = []
    for part in tree.values():
        found += [part.layers[depth]] if isinstance(part, ParameterInfo) else _all_indices(part, depth)
    return found


def _indices(tree: Tree, depth: int) -> set[int]:
    return {i for indices in _all_indices(tree, depth) for i in indices}
