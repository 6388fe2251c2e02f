"""A `weights` section against a graph: which published tensor holds which parameters, checked to be complete.

`WeightMap(section, graph)` raises everything that is wrong with the section at once; `items()` then lists every
published tensor with its form. Of lines under an `if` it sees those that hold for the graph. Repeats are checked by a
few of their layers, so that the cost does not grow with depth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, product

from attndsl.diagnostics import AttnError, Diagnostic, Label, error
from attndsl.graph import Graph, ParameterInfo
from attndsl.records import dataclass
from attndsl.syntax import tree
from attndsl.weights.binding import Scope, addresses, arranged, bind, constant, stated_axes
from attndsl.weights.conditions import chosen
from attndsl.weights.forms import Constant, Form
from attndsl.weights.patterns import AddressPattern, NamePattern, parse_name, reached
from attndsl.weights.telling import several

LAYERS_LOOKED_AT = 4096
"""How many layers of a repeat the check walks through where an index is not simply the layer's."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """`prefix "transformer." optional`: what stands before the names of all maps below it."""

    text: str
    optional: bool

    def full(self, name: str, present: bool) -> str:
        return self.text + name if present or not self.optional else name


NO_PREFIX = Prefix("", False)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the section. `addresses` are those of its expression; none where it is a constant."""

    tree: tree.MapEntry
    name: NamePattern
    prefix: Prefix
    addresses: tuple[AddressPattern, ...]
    number: float | None

    @property
    def takes(self) -> bool:
        return self.tree.direction in ("<->", "<-")

    @property
    def gives(self) -> bool:
        return self.tree.direction in ("<->", "->")

    @property
    def two_way(self) -> bool:
        return self.tree.direction == "<->"


@dataclass(frozen=True, slots=True)
class Item:
    """A published tensor: its name without the prefix, the line that maps it, the form of its value in its own order
    of axes."""

    name: str
    entry: Entry
    form: Form

    def full_name(self, with_prefix: bool) -> str:
        return self.entry.prefix.full(self.name, with_prefix)


@dataclass(frozen=True, slots=True)
class Family:
    """Published names by pattern: those that are ignored, or must hold one number (`number` is not None)."""

    expression: re.Pattern[str]
    prefix: Prefix
    entry: Entry | None = None

    def matches(self, full_name: str) -> bool:
        if full_name.startswith(self.prefix.text) and self.expression.fullmatch(full_name, len(self.prefix.text)):
            return True
        return self.prefix.optional and self.expression.fullmatch(full_name) is not None


class WeightMap:
    """A section bound to a graph; `AttnError` with a diagnostic for each mistake in the section."""

    def __init__(self, section: tree.Weights, graph: Graph) -> None:
        self.section, self.graph = section, graph
        self.diagnostics: list[Diagnostic] = []
        parameters: dict[str, list[ParameterInfo]] = {}
        for info in graph.parameters:
            parameters.setdefault(info.address, []).append(info)
        self.scope = Scope(parameters, graph.sizes)
        self.entries: list[Entry] = []
        self.families: list[Family] = []
        prefix = NO_PREFIX
        for line in chosen(section, graph):
            if isinstance(line, tree.PrefixEntry):
                prefix = Prefix(line.text.value, line.optional)
            elif isinstance(line, tree.MapEntry):
                with _Collect(self.diagnostics):
                    entry = self._entry(line, prefix)
                    self._check_entry(entry)
                    self.entries.append(entry)
            else:
                for string in line.names:
                    with _Collect(self.diagnostics):
                        self.families.append(Family(parse_name(string).expression(), prefix))
        self.families += [
            Family(e.name.expression(), e.prefix, e) for e in self.entries if e.number is not None and e.name.variables
        ]
        if not self.diagnostics:
            self._check_names()
            self._check_coverage()
        if self.diagnostics:
            raise AttnError(*self.diagnostics)

    @property
    def prefixes(self) -> tuple[Prefix, ...]:
        return tuple(dict.fromkeys(entry.prefix for entry in self.entries if entry.prefix.text))

    def items(self) -> list[Item]:
        """Every published tensor, in the section's order; E0629 where two lines give one name."""
        found: list[Item] = []
        taken: dict[str, Entry] = {}
        given: dict[str, Entry] = {}
        for entry in self.entries:
            if entry.number is not None and entry.name.variables:
                continue  # a family: checked where the file has it
            for values in self._assignments(entry, None):
                item = Item(entry.name.render(values), entry, self._form(entry, values))
                full = item.full_name(True)
                for used, seen in ((entry.takes, taken), (entry.gives, given)):
                    if used and full in seen:
                        raise _twice(full, entry, seen[full])
                    if used:
                        seen[full] = entry
                found.append(item)
        return found

    # ------------------------------------------------------------ lines

    def _entry(self, line: tree.MapEntry, prefix: Prefix) -> Entry:
        name = parse_name(line.name)
        number = constant(line.value)
        found = tuple(addresses(line.value))
        entry = Entry(line, name, prefix, found, number)
        if number is not None:
            if entry.gives and name.variables:
                raise error(
                    "E0626",
                    f"how many `{name.text}` there are is not said",
                    line.name.span,
                    help="use `<-`: a check on import only",
                )
            return entry
        self.scope.values = {}
        for address in found:
            self._check_rank(address)
        spoken = frozenset().union(*(address.variables for address in found))
        for variable in sorted(name.variables ^ spoken):
            if variable in spoken:
                span = next(a.span for a in found if variable in a.variables)
                raise error(
                    "E0626",
                    f"`{variable}` does not occur in the published name",
                    span,
                    help=f"write it there: `{{{variable}}}`",
                )
            raise error(
                "E0626",
                f"`{variable}` occurs in the published name only",
                line.name.span,
                help=f"write it on the right too: `h[{variable}]`",
            )
        return entry

    def _check_rank(self, address: AddressPattern) -> None:
        for info in self.scope.infos(address):
            if len(info.layers) != len(address.indices):
                raise error("E0620", f"`{address.span.text}` is not one parameter", address.span)

    def _check_entry(self, entry: Entry) -> None:
        for values in self._assignments(entry, 2):
            self._form(entry, values)

    def _assignments(self, entry: Entry, limit: int | None) -> Iterator[dict[str, int]]:
        """The values of a line's variables, in order; with a `limit`, those of the first and last layers only."""
        domains: dict[str, dict[int, None]] = {variable: {} for variable in sorted(entry.name.variables)}
        for address in entry.addresses:
            for info in self.scope.infos(address):
                look = LAYERS_LOOKED_AT if limit is not None and not address.reaches_all else limit
                for variable, values in reached(address, info, look).items():
                    domains[variable].update(dict.fromkeys(values if limit is None else values[:limit]))
        for choice in product(*(sorted(values) for values in domains.values())):
            yield dict(zip(domains, choice, strict=True))

    def _form(self, entry: Entry, values: dict[str, int]) -> Form:
        line = entry.tree
        self.scope.values = values
        if entry.number is not None:
            axes = () if line.axes is None else stated_axes(line.axes, self.scope)
            return Constant(axes, self.scope.lengths(axes), entry.number)
        form = bind(line.value, self.scope)
        if line.axes is not None:
            return arranged(form, line.axes, self.scope)
        if len(form.axes) > 1:
            names = ", ".join(axis.name for axis in form.axes)
            raise error(
                "E0624",
                f"the order of the axes of `{entry.name.text}` is not stated",
                line.name.span,
                f"the value has the axes [{names}]",
                note="a tensor whose axes are as long as each other would load just as well the wrong way round",
                help=f'state the order of the published tensor: `"{line.name.value}": [{names}]`, or another one',
            )
        return form

    # ------------------------------------------------------------ the whole

    def _check_names(self) -> None:
        for direction in ("<-", "->"):
            seen: dict[str, Entry] = {}
            for entry in self.entries:
                if entry.takes if direction == "<-" else entry.gives:
                    text = entry.prefix.text + entry.name.text
                    if seen.setdefault(text, entry) is not entry:
                        self.diagnostics += _twice(text, entry, seen[text]).diagnostics
                        return

    def _check_coverage(self) -> None:
        takers, givers = [e for e in self.entries if e.takes], [e for e in self.entries if e.gives]
        twice: list[tuple[str, AttnError]] = []
        lost: list[tuple[str, AttnError]] = []
        for info in self.graph.parameters:
            shown = info.address.replace(".*", "[i]")
            try:
                self._check_filled_once(info, [e for e in takers if e.two_way])
            except AttnError as raised:
                twice.append((shown, raised))
            try:
                if takers:
                    self._check_reached(info, takers, "filled from")
                if givers:
                    self._check_reached(info, givers, "written to")
            except AttnError as raised:
                lost.append((shown, raised))
        # One mapped twice often stands in the place of one that is lost: a single slip of the author's.
        self.diagnostics += several(twice or lost)

    def _reaching(self, info: ParameterInfo, entries: list[Entry]) -> list[tuple[Entry, AddressPattern]]:
        return [(e, a) for e in entries for a in e.addresses if a.pattern == info.address]

    def _check_reached(self, info: ParameterInfo, entries: list[Entry], verb: str) -> None:
        reaching = self._reaching(info, entries)
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
                other=_declared(info),
                help=f'add a line for it: `"…" <-> {shown}`',
            )
        entry, _ = reaching[0]
        places = ", ".join(str(layers[0]) if len(layers) == 1 else str(layers) for layers in lost[:6])
        more = f" and {len(lost) - 6} more" if len(lost) > 6 else ""
        raise error(
            "E0623",
            f"`{shown}` is not {verb} a published tensor in every layer",
            entry.tree.span,
            f"leaves out i = {places}{more}",
            other=_declared(info),
        )

    def _check_filled_once(self, info: ParameterInfo, entries: list[Entry]) -> None:
        reaching = self._reaching(info, entries)
        for at, (entry, address) in enumerate(reaching):
            for other, earlier in reaching[:at]:
                if any(
                    address.solve(layers) is not None and earlier.solve(layers) is not None for layers in _layers(info)
                ):
                    same = other.tree is entry.tree and earlier is address
                    raise error(
                        "E0621",
                        f"the parameter `{info.address.replace('.*', '[i]')}` is mapped twice",
                        address.span,
                        other=() if same else Label(earlier.span, "mapped here first"),
                        help="a second published copy takes `<-` (it must equal the first) or `->` (it is written too)",
                    )


def _layers(info: ParameterInfo) -> Iterator[tuple[int, ...]]:
    each = LAYERS_LOOKED_AT if len(info.layers) < 2 else 64
    return islice(product(*(layers[:each] for layers in info.layers)), LAYERS_LOOKED_AT)


def _declared(info: ParameterInfo) -> tuple[Label, ...]:
    return (Label(info.span, "the parameter is made here"),) if info.span is not None else ()


def _twice(name: str, entry: Entry, other: Entry) -> AttnError:
    return error(
        "E0629",
        f"the published tensor `{name}` is mapped twice",
        entry.tree.name.span,
        other=Label(other.tree.name.span, "and here"),
    )


class _Collect:
    """Keeps the diagnostics of an `AttnError` raised inside, and goes on behind it."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        self.diagnostics = diagnostics

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, raised: BaseException | None, trace: object) -> bool:
        if isinstance(raised, AttnError):
            self.diagnostics.extend(raised.diagnostics)
            return True
        return False
