"""A `weights` section against a graph: which published tensor holds which parameters, checked to be complete.

`WeightMap(section, graph)` raises everything that is wrong with the section at once; `items()` then lists every
published tensor with its form. Of lines under an `if` it sees those that hold for the graph. Repeats are checked by a
few of their layers, so that the cost does not grow with depth. The stages before this one are told of in
`attndsl.weights.lines`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import islice, product

from attndsl.diagnostics import AttnError, Diagnostic, Label, Span, error
from attndsl.graph import Graph, Initializer, ParameterInfo
from attndsl.records import Frozen, replace
from attndsl.syntax import tree
from attndsl.weights.expanding import WrittenLine, expanded, told_with_uses
from attndsl.weights.forms import Form
from attndsl.weights.lines import MapLine, parse_line
from attndsl.weights.patterns import AddressPattern, counted, parse_name
from attndsl.weights.resolving import LAYERS_LOOKED_AT, Resolved, holders, resolve
from attndsl.weights.shaping import form_of
from attndsl.weights.wording import merged, several


class Item(Frozen):
    """A published tensor: its name without the optional prefix, the line that maps it, the form of its value in its own
    order of axes. Where several are added up, `names` are those of all; the first is written with the sum, the others
    with zeros."""

    name: str
    line: MapLine
    form: Form
    names: tuple[str, ...] = ()

    @property
    def is_first(self) -> bool:
        return not self.names or self.name == self.names[0]

    @property
    def is_unshaped(self) -> bool:
        """Whether nothing is said of the tensor's shape: it holds the same number everywhere."""
        return self.line.is_fixed and self.line.axes is None

    def full_name(self, with_prefix: bool) -> str:
        return self.line.prefix + self.name if with_prefix else self.name


class Family(Frozen):
    """Published names by pattern: those that are ignored, or must hold what a line computes."""

    expression: re.Pattern[str]
    prefix: str
    item: Item | None = None

    def matches(self, full_name: str) -> bool:
        """With the optional prefix, or without."""
        return any(
            full_name.startswith(prefix) and self.expression.fullmatch(full_name, len(prefix))
            for prefix in {self.prefix, ""}
        )


Reaching = list[tuple[MapLine, AddressPattern]]


class WeightMap:
    """A section bound to a graph; `AttnError` with a diagnostic for each mistake in the section."""

    def __init__(self, section: tree.Weights, graph: Graph) -> None:
        self.section, self.graph = section, graph
        self.diagnostics: list[Diagnostic] = []
        parameters: dict[str, list[ParameterInfo]] = {}
        self.parameters = tuple(counted(_apart(info, graph) if info.stacks else info) for info in graph.parameters)
        self.stacked = {info.address: info for info in map(counted, graph.parameters) if info.stacks}
        for info in (*self.parameters, *self.stacked.values(), *map(counted, _kept(graph))):
            parameters.setdefault(info.address, []).append(info)
        self.lines: list[Resolved] = []
        self.families: list[Family] = []
        known = holders(parameters)
        for written in expanded(section, graph):
            with _Collect(self.diagnostics, written):
                if isinstance(written.entry, tree.IgnoreEntry):
                    for string in written.entry.names:
                        self.families.append(Family(parse_name(string).expression(), written.prefix))
                    continue
                line = parse_line(written, graph.sizes)
                try:
                    if (resolved := resolve(line, parameters, known)) is not None:
                        self._add(resolved)
                except AttnError as raised:
                    raise self._with_layer(raised, line, known) from None
        self.diagnostics = merged(self.diagnostics)
        if not self.diagnostics:
            self._check_names()
            self._check_coverage()
        if self.diagnostics:
            raise AttnError(*self.diagnostics)

    def _add(self, resolved: Resolved) -> None:
        line = resolved.line
        if line.is_fixed and line.variables:  # a family: checked where a file has it
            item = Item(line.name.text, line, form_of(resolved, {}, self.graph))
            self.families.append(Family(line.name.expression(), line.prefix, item))
        else:
            for values in resolved.assignments(2):
                form_of(resolved, values, self.graph)
        self.lines.append(resolved)

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The optional ones."""
        return tuple(dict.fromkeys(r.line.prefix for r in self.lines if r.line.prefix))

    def items(self) -> list[Item]:
        """Every published tensor, in the section's order; E0629 where two lines give one name."""
        found: list[Item] = []
        taken: dict[str, MapLine] = {}
        given: dict[str, MapLine] = {}
        for resolved in self.lines:
            line = resolved.line
            if line.is_fixed and line.variables:
                continue
            for values in resolved.assignments(None):
                form = form_of(resolved, values, self.graph)
                names = tuple(name.render(values) for name in line.names)
                for name in names:
                    item = Item(name, line, form, names if len(names) > 1 else ())
                    full = item.full_name(True)
                    for used, seen in ((line.takes, taken), (line.gives, given)):
                        if used and full in seen:
                            raise _twice(full, line, seen[full])
                        if used:
                            seen[full] = line
                    found.append(item)
        return found

    # ------------------------------------------------------------ the whole

    def _check_names(self) -> None:
        for direction in ("<-", "->"):
            seen: dict[str, MapLine] = {}
            for line in (resolved.line for resolved in self.lines):
                for name in line.names if (line.takes if direction == "<-" else line.gives) else ():
                    text = line.prefix + name.text
                    if text in seen:
                        self.diagnostics += _twice(text, line, seen[text]).diagnostics
                        return
                    seen[text] = line

    def _check_coverage(self) -> None:
        lines = [resolved.line for resolved in self.lines]
        takers, givers = [line for line in lines if line.takes], [line for line in lines if line.gives]
        twice: list[tuple[str, AttnError]] = []
        lost: list[tuple[str, AttnError]] = []
        two_way = [line for line in takers if line.two_way]
        filling, written, filled = (self._by_address(some) for some in (takers, givers, two_way))
        for info in self.parameters:
            shown = info.address.replace(".*", "[i]")
            try:
                self._check_filled_once(info, filled.get(info.address, []))
            except AttnError as raised:
                twice.append((shown, raised))
            try:
                if takers:
                    self._check_reached(info, filling.get(info.address, []), "filled from")
                if givers:
                    self._check_reached(info, written.get(info.address, []), "written to")
            except AttnError as raised:
                lost.append((shown, raised))
        # One mapped twice often stands in the place of one that is lost: a single slip of the author's.
        self.diagnostics += several(twice or lost)

    def _by_address(self, lines: Iterable[MapLine]) -> dict[str, Reaching]:
        """For each parameter the lines that speak of it, with the address by which they do. One of many layers together
        is one of each of them."""
        found: dict[str, Reaching] = {}
        for line in lines:
            for address in line.addresses:
                if (stack := self.stacked.get(address.pattern)) is not None:
                    from attndsl.weights.stacks import in_every_layer  # most models have none

                    address = in_every_layer(address, stack)
                found.setdefault(address.pattern, []).append((line, address))
        return found

    @cached_property
    def _sites(self) -> Mapping[str, Span]:
        """Where the author wrote the call that made a layer, by its path."""
        found: dict[str, Span] = {}
        for node in self.graph.body.walk():
            path = node.scope if node.at is not None else ""
            while path and path not in found:
                assert node.at is not None
                found[path] = node.at
                path = path.rpartition(".")[0]
        return found

    def _with_layer(self, raised: AttnError, line: MapLine, known: Mapping[str, list[str]]) -> AttnError:
        """What does not fit the model, with the place of the layer that it is about, and what that has."""
        told = []
        for it in raised.diagnostics:
            address = next((a for a in line.addresses if it.code != "E0620" or a.pattern not in known), None)
            path = address.pattern if address is not None else ""
            while path and path not in self._sites:
                path = path.rpartition(".")[0]
            if address is not None and path and it.code in ("E0620", "E0624"):
                has = [f"`{p.removeprefix(path + '.')}`" for p in known.get(path, ())]
                text = f"`{address.text_of(path)}` has {', '.join(has).replace('.*', '[i]')}"
                it = replace(it, secondary=(*it.secondary, Label(self._sites[path], text)))
            told.append(it)
        return AttnError(*told)

    def _declared(self, info: ParameterInfo) -> tuple[Label, ...]:
        layer = info.address.rpartition(".")[0]
        span = self._sites.get(layer, info.span)
        return (Label(span, "the parameter is made here"),) if span is not None else ()

    def _check_reached(self, info: ParameterInfo, reaching: Reaching, verb: str) -> None:
        if any(address.reaches_all for _, address in reaching):
            return
        lost = [layers for layers in _layers(info) if all(a.solve(layers) is None for _, a in reaching)]
        if not lost:
            return
        shown = info.address.replace(".*", "[i]")
        if not reaching:
            raise error(
                "E0622",
                f"the parameter `{shown}` is not {verb} any published tensor",
                self.section.model.span,
                other=self._declared(info),
                help=f'add a line for it: `"…" <-> {shown}`',
            )
        line, _ = reaching[0]
        places = ", ".join(str(layers[0]) if len(layers) == 1 else str(layers) for layers in lost[:6])
        more = f" and {len(lost) - 6} more" if len(lost) > 6 else ""
        raise told_with_uses(
            error(
                "E0623",
                f"`{shown}` is not {verb} a published tensor in every layer",
                line.tree.span,
                f"leaves out i = {places}{more}",
                other=self._declared(info),
            ),
            line.uses,
        )

    def _check_filled_once(self, info: ParameterInfo, reaching: Reaching) -> None:
        for at, (line, address) in enumerate(reaching):
            for other, earlier in reaching[:at]:
                if any(
                    address.solve(layers) is not None and earlier.solve(layers) is not None for layers in _layers(info)
                ):
                    same = earlier.span == address.span
                    raise told_with_uses(
                        error(
                            "E0621",
                            f"the parameter `{info.address.replace('.*', '[i]')}` is mapped twice",
                            address.span,
                            other=() if same else Label(earlier.span, "mapped here first"),
                            help="a second published copy takes `<-` (it must equal the first) or `->` (it is also "
                            "written)",
                        ),
                        (*line.uses, *(use for use in other.uses if use not in line.uses)),
                    )


def _apart(info: ParameterInfo, graph: Graph) -> ParameterInfo:
    from attndsl.weights.stacks import apart  # most models have none

    return apart(info, graph.sizes)


def _kept(graph: Graph) -> Iterator[ParameterInfo]:
    """The states that all rows share, which a training makes as it makes the parameters: a line may fill one."""
    for info in graph.shared_states:
        if info.type.is_float:
            yield ParameterInfo(info.address, info.type, Initializer("zeros"), info.layers, info.span)


def _layers(info: ParameterInfo) -> Iterator[tuple[int, ...]]:
    each = LAYERS_LOOKED_AT if len(info.layers) < 2 else 64
    return islice(product(*(layers[:each] for layers in info.layers)), LAYERS_LOOKED_AT)


def _twice(name: str, line: MapLine, other: MapLine) -> AttnError:
    same = line.tree.name.span == other.tree.name.span
    raised = error(
        "E0629",
        f"the published tensor `{name}` is mapped twice",
        line.tree.name.span,
        other=() if same else Label(other.tree.name.span, "and here"),
    )
    return told_with_uses(raised, (*line.uses, *(use for use in other.uses if use not in line.uses)))


class _Collect:
    """Keeps the diagnostics of an `AttnError` that is raised about a line, and goes on behind it."""

    def __init__(self, diagnostics: list[Diagnostic], written: WrittenLine) -> None:
        self.diagnostics, self.written = diagnostics, written

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, raised: BaseException | None, trace: object) -> bool:
        if isinstance(raised, AttnError):
            self.diagnostics.extend(told_with_uses(raised, self.written.uses).diagnostics)
            return True
        return False
