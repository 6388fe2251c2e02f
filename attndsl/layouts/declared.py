"""Layouts as they are written: in a spec, or behind `--layout`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attndsl.diagnostics import AttnError, Diagnostic, Label, Source, Span, did_you_mean, error
from attndsl.graph import Axis, Graph, Region
from attndsl.layouts.core import NO_STAGES, AxisPattern, Layout, Mesh, PlacementRule, batch_axes
from attndsl.ops import Repeat
from attndsl.sizes import Size
from attndsl.syntax import tree
from attndsl.syntax.parser import parse
from attndsl.values import Evaluator, Number, Plain

if TYPE_CHECKING:
    from attndsl.elaborate import Spec

DATA = "data"
_NAMED = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\((?P<sizes>[^()]*)\))?\s*")
_SIZES = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*([1-9][0-9]{0,8})\s*")
HOW = (
    "name a layout of the spec, with other sizes if need be: `tensor(data=8)`; or write one: "
    "`data=2, model=4; B on data; heads on model`"
)


def choose_layout(text: str, spec: Spec, graph: Graph) -> Layout:
    """What stands behind `--layout`: the name of a layout of `spec`, perhaps with other sizes of its mesh
    (`tensor(data=8)`), or a mesh and rules (`data=2, model=4; B on data; heads on model`).

    Raises E1001 and E1002, and E00xx for what is not written as a layout is.
    """
    declaration, others = _meant(text, spec)
    return read_layout(declaration, graph, others)


def choose_mesh(text: str, spec: Spec) -> Mesh:
    """The mesh alone of what stands behind `--layout`. Raises E1001 and E1003, and E00xx."""
    return _mesh(*_meant(text, spec))


def _meant(text: str, spec: Spec) -> tuple[tree.Layout, Mapping[str, int]]:
    """The layout that is meant, and the sizes that stand in place of its own."""
    named = _NAMED.fullmatch(text)
    if named is not None:
        return _declared(named[1], named["sizes"], spec)
    mesh, *rules = text.split(";")
    body = "\n".join(f"  {rule.strip()}" for rule in rules if rule.strip())
    name = spec.model.name.text
    source = Source("--layout", f"layout given for {name} over ({mesh.strip()}) {{\n{body}\n}}\n")
    file, problems = parse(source)
    if problems:
        raise AttnError(*problems)
    match file.declarations:
        case (tree.Layout() as declaration,):
            return declaration, {}
    raise error("E0010", f"`{text}` is more than a layout", help=HOW)


def _declared(name: str, sizes: str | None, spec: Spec) -> tuple[tree.Layout, Mapping[str, int]]:
    names = [it.name.text for it in spec.layouts]
    found = next((it for it in spec.layouts if it.name.text == name), None)
    if found is None:
        known = f"its layouts: {', '.join(names)}" if names else "it declares none"
        message = f"`{spec.model.name.text}` has no layout `{name}`"
        raise error("E1001", message, help=(*did_you_mean(name, names), f"{known}; {HOW}"))
    others: dict[str, int] = {}
    for part in (sizes or "").split(","):
        given = _SIZES.fullmatch(part)
        if given is not None:
            if given[1] in others:
                raise error("E1003", f"the mesh has `{given[1]}` twice", help=HOW)
            others[given[1]] = int(given[2])
        elif part.strip():
            raise error("E1001", f"`{part.strip()}` is not a size of a mesh", help=HOW)
    return found, others


def read_layout(declaration: tree.Layout, graph: Graph, others: Mapping[str, int] | None = None) -> Layout:
    """A declared layout, for a model at its hyperparameters; `others` are sizes that stand in place of those written.

    Raises E1001 for a dimension that the mesh does not have, E1002 for axes that the model does not have, E1003 for an
    axis that is placed twice on one dimension, E1005 for microbatches of what is no repeat. What is wrong with
    several rules is told at once.
    """
    mesh = _mesh(declaration, others or {})
    axes = _Axes(graph)
    rules: list[PlacementRule] = []
    parameters: list[tree.ParameterPlacing] = []
    wrong: list[Diagnostic] = []
    for line in declaration.rules:
        with _noting(wrong):
            if line.dimension is not None:
                _known(line.dimension.text, mesh, line.dimension.span)
        if isinstance(line, tree.ParameterPlacing):
            parameters.append(line)
            continue
        with _noting(wrong):
            rules.append(axes.rule(line))
    with _noting(wrong):
        _once(rules)
    for line in parameters[1:]:
        message, first = "it is said twice where the parameters lie", Label(parameters[0].span, "the first time")
        wrong += error("E1003", message, line.span, other=first, help="leave one of them out").diagnostics
    if wrong:
        raise AttnError(*wrong)
    if parameters:
        over = parameters[0].dimension.text if parameters[0].dimension is not None else None
    else:
        over = batch_dimension(rules, graph)
    return Layout(declaration.name.text, mesh, tuple(rules), over, declaration.span)


@contextmanager
def _noting(wrong: list[Diagnostic]) -> Iterator[None]:
    """Notes what is wrong, and goes on behind it."""
    try:
        yield
    except AttnError as problem:
        wrong += problem.diagnostics


def _mesh(declaration: tree.Layout, others: Mapping[str, int]) -> Mesh:
    seen: set[str] = set()
    for it in declaration.mesh:
        if it.name.text in seen:
            raise error("E1003", f"the mesh has `{it.name.text}` twice", it.span, help="give one of them another name")
        seen.add(it.name.text)
    mesh = Mesh(tuple((it.name.text, others.get(it.name.text, int(it.size.value))) for it in declaration.mesh))
    for name in others:
        _known(name, mesh, None)
    return mesh


def default_layout(graph: Graph, devices: int) -> Layout:
    """Without a layout: the rows of a batch, and the parameters, are divided over all devices."""
    rules = tuple(PlacementRule((AxisPattern(axis.name, axis.size),), DATA) for _, axis in batch_axes(graph)[:1])
    return Layout("data", Mesh(((DATA, devices),)), rules, DATA if rules else None)


def batch_dimension(rules: list[PlacementRule], graph: Graph) -> str | None:
    """The mesh dimension on which the rows of a batch lie."""
    for _, axis in batch_axes(graph):
        for rule in rules:
            if any(pattern.matches(axis) for pattern in rule.axes):
                return rule.dimension
    return None


def _known(name: str, mesh: Mesh, span: Span | None) -> None:
    if name not in mesh.names:
        helps = did_you_mean(name, mesh.names) or (f"its dimensions: {', '.join(mesh.names)}",)
        raise error("E1001", f"the mesh {mesh} has no dimension `{name}`", span, help=helps)


def _once(rules: list[PlacementRule]) -> None:
    seen: dict[tuple[str, str], AxisPattern] = {}
    for rule in rules:
        for pattern in rule.axes:
            first = seen.setdefault((pattern.text, rule.dimension), pattern)
            if first is not pattern:
                message = f"`{pattern.text}` is placed twice on `{rule.dimension}`"
                other = Label(first.span, "the first time") if first.span is not None else ()
                way = "leave one of them out: the first that fits decides"
                raise error("E1003", message, pattern.span, other=other, help=way)


class _Axes(Evaluator):
    """The axes of a model, as rules name them: by a name, or by a size, in which names are hyperparameters and sizes of
    inputs. Repeats have names only: `layer`, or the whole address of one that is called so, `decoder.layer`."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.axes = frozenset(_axes(graph))
        self.loops = tuple(node.op for node in graph.body.walk() if isinstance(node.op, Repeat))

    def rule(self, line: tree.Placing) -> PlacementRule:
        """Raises E1002 where no axis and no repeat of the model is meant, E1005 for microbatches without a repeat."""
        patterns, wrong = list[AxisPattern](), list[Diagnostic]()
        for node in line.axes:
            with _noting(wrong):
                patterns.append(self.pattern(node))
        if wrong:
            raise AttnError(*wrong)
        texts = {pattern.text for pattern in patterns}
        loops = dict.fromkeys(path for text in texts for path in self._loops(text))
        count = int(line.microbatches.value) if line.microbatches is not None else None
        if count is not None and not loops:
            message = f"`{', '.join(texts)}` is no repeat, whose layers could take a batch in microbatches"
            raise error(NO_STAGES, message, line.span, help=self._repeats())
        return PlacementRule(tuple(patterns), line.dimension.text, line.span, tuple(loops), count)

    def _loops(self, text: str) -> list[str]:
        """The repeat at an address, or those of a name that stand in no other of that name."""
        at = [op.path for op in self.loops if op.path == text]
        return at or [op.path for op in _outermost(self.graph.body, text)]

    def _repeats(self) -> str:
        paths = ", ".join(dict.fromkeys(op.path for op in self.loops))
        return f"its repeats: {paths}" if paths else "it has no repeat"

    def pattern(self, node: tree.Expr) -> AxisPattern:
        """Raises E1002 where no axis of the model is meant."""
        text = " ".join(node.span.text.split())
        if any(text in (op.label, op.path) for op in self.loops):
            return AxisPattern(text, None, node.span)
        if isinstance(node, tree.Attribute):  # as addresses are written
            raise self._none(text, node.span)
        named = isinstance(node, tree.Name) and any(axis.name == node.text for axis in self.axes)
        try:
            value = self.evaluate(node)
        except AttnError:
            if not named:
                raise
            value = None
        size = value.size if isinstance(value, Number) else None
        pattern = AxisPattern(text, size, node.span)
        if not any(map(pattern.matches, self.axes)):
            raise self._none(text, node.span)
        return pattern

    def find(self, node: tree.Name) -> Plain | None:
        if node.text in self.graph.sizes or node.text in self.graph.free_sizes:
            return Number(self.graph.sizes.get(node.text), Size.symbol(node.text))
        return None

    def unknown(self, node: tree.Name) -> AttnError:
        return self._none(node.text, node.span)

    def _none(self, text: str, span: Span) -> AttnError:
        names = sorted({axis.name for axis in self.axes if axis.name.isidentifier()})
        loops = sorted({name for op in self.loops for name in (op.label, op.path) if "*" not in name})
        sizes = {*self.graph.sizes, *self.graph.free_sizes} & {str(axis.size) for axis in self.axes}
        helps = did_you_mean(text, [*names, *loops, *sizes]) or (f"its axes: {', '.join(names)}", self._repeats())
        return error("E1002", f"`{self.graph.name}` has no axis `{text}`", span, help=helps)


def _outermost(region: Region, label: str) -> Iterator[Repeat]:
    for node in region.nodes:
        if isinstance(node.op, Repeat) and node.op.label == label:
            yield node.op
        else:
            for body in node.regions:
                yield from _outermost(body, label)


def _axes(graph: Graph) -> Iterator[Axis]:
    given = [info.value.type for info in graph.inputs] + [info.type for info in graph.parameters]
    made = (value.type for node in graph.body.walk() for value in node.outputs)
    return (axis for type in (*given, *made) for axis in type.axes)
