"""What a `weights` section writes once and means several times, written out: lists in names, prefixes, `maps`, and of
an `if` the branch that holds.

    prefix "encoder.{i}." {                                  "encoder.{i}.query.weight" <-> layer[i].q.weight
      "{part in [query -> q, key -> k]}." <-> linear(layer[i][part])    is    …and so on
    }

The stages behind this one (`attndsl.weights.lines` names them) are given lines that each speak of one published name.
Whatever stands in `maps` means what it means there: they see their parameters and the model's hyperparameters, and
their indices are their own.
"""

from __future__ import annotations

from collections.abc import Iterator

from attndsl.diagnostics import AttnError, Diagnostic, Label, Span, did_you_mean, error
from attndsl.elaborate.files import find_standard_maps, standard_maps
from attndsl.graph import Graph
from attndsl.records import Frozen, field, replace
from attndsl.syntax import tree
from attndsl.weights.conditions import Conditions, check_conditions
from attndsl.weights.wording import merged
from attndsl.weights.words import Word, Words, bound_in, is_plain, spellings, substituted, variables_in, word_of

MOST_LINES = 20_000
"""How many lines a section may mean; what only leads to some counts as one."""

_WAYS = {"<->": {"<-", "->"}, "<-": {"<-"}, "->": {"->"}}


class WrittenLine(Frozen):
    """A line that maps or ignores, as it is meant. `prefix` is what may stand before its names in a file; `uses` are
    the places where the maps that it is of are used, the innermost first."""

    entry: tree.MapEntry | tree.IgnoreEntry
    prefix: str
    uses: tuple[Span, ...]


class _Place(Frozen):
    """Around a line: what stands before its names, the words that hold, which way it may go, and inside which maps."""

    prefix: str = ""
    before: str = ""
    words: Words = field(default_factory=dict)
    ways: frozenset[str] = frozenset(_WAYS["<->"])
    optional: bool = False
    uses: tuple[Span, ...] = ()
    inside: tuple[tree.Maps, ...] = ()


def expanded(section: tree.Weights, graph: Graph) -> list[WrittenLine]:
    """The lines of a section that hold for `graph`, in the order written. E0626 for a list that is not one, E0630 for a
    condition of something that is not a hyperparameter (in branches that are not taken, too), E0633 for maps that are
    not used as they are made."""
    return _Expansion(section, graph).lines()


class _Expansion:
    def __init__(self, section: tree.Weights, graph: Graph) -> None:
        self.section, self.graph = section, graph
        self.maps = {group.name.text: group for group in (*section.around, *section.maps)}
        self.found: list[WrittenLine] = []
        self.wrong: list[Diagnostic] = []
        self.looked_at = 0

    def lines(self) -> list[WrittenLine]:
        check_conditions(self.section, self.graph)
        for group in self.section.maps:
            _check_indices(group)
        self.expand(self.section.entries, _Place())
        if self.looked_at > MOST_LINES:
            raise error("E0633", f"this section means more than {MOST_LINES:,} lines", self.section.model.span)
        if self.wrong:
            raise AttnError(*merged(self.wrong))
        return self.found

    def expand(self, entries: tuple[tree.WeightsEntry, ...], place: _Place) -> None:
        for entry in entries:
            try:
                for _ in self.steps(entry, place):
                    self.looked_at += 1
                    if self.looked_at > MOST_LINES:
                        return
            except AttnError as raised:
                self.wrong += told_with_uses(raised, place.uses).diagnostics

    def steps(self, entry: tree.WeightsEntry, place: _Place) -> Iterator[None]:
        """Expands an entry, each of the lines that it means in a step."""
        match entry:
            case tree.PrefixEntry():
                yield from self.prefix(entry, place)
            case tree.WeightsIf():
                holds = Conditions(self.graph, place.words).holds(entry.condition)
                self.expand(entry.then if holds else entry.otherwise, place)
                yield
            case tree.IgnoreEntry():
                for string in entry.names:
                    for names, _ in _names((string,), place):
                        self.add(tree.IgnoreEntry(entry.span, names), place)
                        yield
            case tree.MapEntry():
                for names, words in _names(entry.names, place):
                    self.map(entry, names, replace(place, words=words))
                    yield

    def prefix(self, entry: tree.PrefixEntry, place: _Place) -> Iterator[None]:
        if not entry.optional:
            for text, words in spellings(entry.text, place.words):
                yield
                self.expand(entry.entries, replace(place, before=place.before + text, words=words))
            return
        if place.prefix or place.before or place.inside or "{" in entry.text.value:
            raise error(
                "E0633",
                "an optional prefix is a string, and must be outermost",
                entry.text.span,
                help="the optional prefix says which names a file has: put it around the others",
            )
        yield
        self.expand(entry.entries, replace(place, prefix=entry.text.value))

    def map(self, entry: tree.MapEntry, names: tuple[tree.String, ...], place: _Place) -> None:
        ways = place.ways & _WAYS[entry.direction]
        if not ways:
            return
        direction = "<->" if len(ways) == 2 else next(iter(ways))
        optional = entry.optional or place.optional
        group = self.group_of(entry, place.words)
        if group is None:
            axes, value = substituted(entry.axes, place.words), substituted(entry.value, place.words)
            self.add(tree.MapEntry(entry.span, names, axes, direction, value, optional), place)
            return
        assert isinstance(entry.value, tree.Call)
        if entry.axes is not None or len(names) > 1:
            message = "the lines of maps state their own axes" if entry.axes is not None else "maps cannot be added"
            raise error("E0633", message, entry.axes.span if entry.axes is not None else names[1].span)
        if group in place.inside:
            raise error("E0633", f"the maps `{group.name.text}` use themselves", entry.value.span)
        before = names[0].value
        words = _bound(group, entry.value, replace(place, before=before))
        uses = (entry.value.span, *place.uses)
        inside = (*place.inside, group)
        self.expand(group.entries, _Place(place.prefix, before, words, frozenset(ways), optional, uses, inside))

    def group_of(self, entry: tree.MapEntry, words: Words) -> tree.Maps | None:
        """The maps that a line uses; None where it is of another kind. E0633 for maps that are not there."""
        value = entry.value
        if not isinstance(value, tree.Call) or not isinstance(value.callee, tree.Name):
            return None
        callee = substituted(value.callee, words)
        name = callee.text if isinstance(callee, tree.Name) else value.callee.text
        found = self.maps.get(name) or find_standard_maps(name)
        near = did_you_mean(name, [*self.maps, *standard_maps()]) if found is None else ()
        if near and entry.direction == "<->":
            raise error("E0633", f"there are no maps `{name}`", value.callee.span, help=near)
        return found

    def add(self, entry: tree.MapEntry | tree.IgnoreEntry, place: _Place) -> None:
        self.found.append(WrittenLine(entry, place.prefix, place.uses))


def _names(strings: tuple[tree.String, ...], place: _Place) -> Iterator[tuple[tuple[tree.String, ...], Words]]:
    """The published names of a line, one for each choice from its lists, each with the words that hold for it."""
    if not strings:
        yield (), place.words
        return
    first, *rest = strings
    for text, words in spellings(first, place.words):
        for others, inner in _names(tuple(rest), replace(place, words=words)):
            yield (tree.String(first.span, place.before + text), *others), inner


# ---------------------------------------------------------------- maps


def _bound(group: tree.Maps, call: tree.Call, place: _Place) -> Words:
    """What the parameters of maps stand for in a call, and the indices of their own, by names that are not taken."""
    _check_indices(group)
    given = [a for a in call.arguments if a.name is None]
    named = {a.name.text: a for a in call.arguments if a.name is not None}
    names = [parameter.text for parameter in group.parameters]
    known = dict(zip(names, given, strict=False)) | {name: a for name, a in named.items() if name in names}
    if len(given) + len(named) != len(known) or len(known) != len(names) or len(call.arguments) != len(known):
        raise error(
            "E0633",
            f"`{call.span.text}` does not give `{group.name.text}` what it takes",
            call.span,
            other=Label(group.name.span, f"it takes ({', '.join(names)})"),
        )
    indices = variables_in(place.before)
    words = {name: word_of(substituted(known[name].value, place.words), indices) for name in names}
    for own in sorted(_indices(group) & indices):
        fresh = own
        while fresh in indices or fresh in words:
            fresh += "_"
        name = tree.Name(group.name.span, fresh)
        words[own] = Word(f"{{{fresh}}}", name, is_index=True)
    return words


def _check_indices(group: tree.Maps) -> None:
    """E0633 for an index in maps that none of their names has: that of a name before them is not theirs."""
    own = _indices(group) | _lists(group) | {parameter.text for parameter in group.parameters}
    for node in tree.walk(group):
        for entry in node.entries if isinstance(node, tree.Subscript) else ():
            if is_plain(entry) and entry.index is not None:
                for name in tree.names(entry.index):
                    if name.text not in own:
                        raise error(
                            "E0633",
                            f"`{name.text}` is not an index of the maps `{group.name.text}`",
                            name.span,
                            help=f"an index from outside is a parameter: `maps {group.name.text}(at, {name.text})`, or "
                            "part of what one stands for",
                        )


def _indices(group: tree.Maps) -> frozenset[str]:
    """The variables in the braces of maps that are neither their parameters nor bound by a list."""
    found = frozenset().union(*(variables_in(string.value) for string in _strings(group)))
    return found - _lists(group) - {parameter.text for parameter in group.parameters}


def _lists(group: tree.Maps) -> frozenset[str]:
    return frozenset().union(*(bound_in(string.value) for string in _strings(group)))


def _strings(group: tree.Maps) -> Iterator[tree.String]:
    """The published names in maps."""
    for node in tree.walk(group):
        if isinstance(node, (tree.MapEntry, tree.IgnoreEntry)):
            yield from node.names
        elif isinstance(node, tree.PrefixEntry):
            yield node.text


def told_with_uses(raised: AttnError, uses: tuple[Span, ...]) -> AttnError:
    """What is wrong with a line of maps, with the places where the maps are used: it is there that an author looks
    where the maps are of another file."""
    return AttnError(*(_with_uses(d, uses) for d in raised.diagnostics)) if uses else raised


def _with_uses(it: Diagnostic, uses: tuple[Span, ...]) -> Diagnostic:
    own = [span for span in uses if span.beside(uses[-1])]
    used = [Label(span, "used here") for span in uses]
    if it.primary is None or it.primary.span.beside(own[0]):
        return replace(it, secondary=(*it.secondary, *used))
    there = Label(it.primary.span, it.primary.text or "of these maps")
    others = [label for label in used if label.span is not own[0]]
    return replace(it, primary=Label(own[0]), secondary=(there, *it.secondary, *others))
