"""Another name for a thing: every place that has to change, or the reason why it cannot be called so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from attndsl.diagnostics import AttnError, Span
from attndsl.editing.substitution import Substitution
from attndsl.editing.things import address, axis_names, binders, callees, path_to, thing_at
from attndsl.editing.workspace import Analysis, Workspace
from attndsl.elaborate import primitives
from attndsl.elaborate.values import LayerValue
from attndsl.records import Frozen
from attndsl.syntax import tree
from attndsl.syntax.tables import tables

_NAME = re.compile(r"[A-Za-z_]\w*")
Word = tree.Identifier | tree.Name


class Refused(Exception):
    """The reason why something is not renamed."""


class Edit(Frozen):
    """What to write in the place of `start` to `end` of the text of a file."""

    path: Path
    start: int
    end: int
    text: str


def renamed_at(analysis: Analysis, offset: int) -> Span:
    """The name at an offset, which can be renamed. Raises `Refused`."""
    path = path_to(analysis.file, offset)
    leaf = path[-1] if path else None
    thing = thing_at(analysis, offset)
    if not isinstance(leaf, (tree.Identifier, tree.Name)) or thing is None or thing.defined is None:
        raise Refused("there is nothing here that has a name in this file")
    if thing.defined.source.whole is not analysis.source:
        raise Refused(f"`{thing.name}` is declared in {thing.defined.source.name}")
    return leaf.span.in_file


def rename(workspace: Workspace, path: Path, offset: int, name: str) -> list[Edit]:
    """The edits that call the thing at an offset `name`. Raises `Refused` where the text would say something else then,
    or is not valid now."""
    analysis = workspace.analysis(path)
    renamed_at(analysis, offset)
    if not _NAME.fullmatch(name) or name in tables().reserved:
        raise Refused(f"`{name}` is not a name")
    spans = list(dict.fromkeys(span.in_file for span in _places(analysis, offset, name)))
    edits = [Edit(path, span.start, span.end, name) for span in sorted(spans, key=lambda span: span.start)]
    thing = thing_at(analysis, offset)
    assert thing is not None and thing.defined is not None  # noqa: PT018
    owner = analysis.declaration_at(thing.defined.in_file.start)
    assert owner is not None
    if not Substitution(analysis, owner, thing.defined, thing.name, name, spans).keeps_the_meaning():
        _hold(workspace, analysis, edits)
    return [*edits, *_elsewhere(workspace, analysis, offset, name)]


def _elsewhere(workspace: Workspace, analysis: Analysis, offset: int, name: str) -> Iterator[Edit]:
    """The places in the files beside this one that import the block, mask or bias at an offset."""
    thing = thing_at(analysis, offset)
    owner = analysis.declaration_at(thing.defined.in_file.start) if thing is not None and thing.defined else None
    if thing is None or not isinstance(owner, (tree.Block, tree.IndexFunction)) or owner.name.span != thing.defined:
        return
    for path in sorted(analysis.path.parent.glob("*.attn")) if analysis.path.parent.is_dir() else ():
        file = workspace.tree_of(path) if path != analysis.path else None
        for use in (d for d in file.declarations if isinstance(d, tree.Use)) if file is not None else ():
            if use.is_std or (path.parent / use.path).resolve() != analysis.path.resolve():
                continue
            imported = {a.text: (a, b) for a, b in use.names}
            if use.names and thing.name not in imported:
                continue
            here, renamed = imported.get(thing.name, (None, None))
            spans = [here.span] if here is not None else []
            for declaration in file.declarations if file is not None and renamed is None else ():
                bound = thing.name in set(_names_of(declaration))
                spans += _references(declaration, thing.name, bound=bound)
            places = dict.fromkeys(span.in_file for span in spans)
            yield from (Edit(path, span.start, span.end, name) for span in places)


def _hold(workspace: Workspace, analysis: Analysis, edits: list[Edit]) -> None:
    """Check that the text says the same after the edits: as many messages of each kind, as many parameters."""
    text = analysis.text
    for edit in reversed(edits):
        text = text[: edit.start] + edit.text + text[edit.end :]
    after = workspace.tried(analysis.path, text)
    if _summary(analysis) != _summary(after):
        before = [d.message for d in analysis.diagnostics]
        new = next((d.message for d in after.diagnostics if d.message not in before), "the model would be another one")
        raise Refused(f"it would not mean the same: {new}")


def _summary(analysis: Analysis) -> object:
    graphs = [model.graph for model in analysis.models]
    sizes = [(len(g.parameters), g.parameter_count, len(g.body.nodes)) if g is not None else None for g in graphs]
    return sorted(d.code for d in analysis.diagnostics), sizes


def _places(analysis: Analysis, offset: int, name: str) -> Iterator[Span]:
    thing = thing_at(analysis, offset)
    assert thing is not None and thing.defined is not None  # noqa: PT018
    old, defined = thing.name, thing.defined
    owner = analysis.declaration_at(defined.in_file.start)
    assert owner is not None
    file = analysis.file
    if isinstance(owner, tree.Variant) and owner.name.span == defined:
        yield defined
        for section in file.declarations:
            if isinstance(section, tree.Train) and section.variant is not None and section.variant.text == old:
                yield section.variant.span
    elif isinstance(owner, tree.Model) and owner.name.span == defined:
        yield defined
        sections = (d for d in file.declarations if isinstance(d, tree.Section))
        yield from (section.model.span for section in sections if section.model.text == old)
    elif isinstance(owner, (tree.Block, tree.IndexFunction)) and owner.name.span == defined:
        if any(name in d.span.text and name in set(_names_of(d)) for d in file.declarations):
            raise Refused(f"there is a `{name}` already")
        yield defined
        for declaration in file.declarations:
            if old in declaration.span.text:
                yield from _references(declaration, old, bound=old in set(_names_of(declaration)))
    elif isinstance(owner, (tree.Model, tree.Block, tree.IndexFunction)):
        if name in set(_names_of(owner)):
            raise Refused(f"`{owner.name.text}` has a `{name}` already")
        yield from _local(analysis, owner, old)
        yield from _from_outside(analysis, owner, old, defined)
    elif isinstance(owner, (tree.Maps, tree.Weights)):
        raise Refused("maps are not renamed")


def _names_of(declaration: tree.Declaration) -> Iterator[str]:
    yield from (it.text for it in binders(declaration))
    yield from (it.text for it in axis_names(declaration))


def _references(declaration: tree.Declaration, old: str, *, bound: bool) -> Iterator[Span]:
    """Where a declaration names a block; where a variable has the same name, only what is applied is the block."""
    called = {id(node) for node in callees(declaration)}
    maps = isinstance(declaration, (tree.Weights, tree.Maps))  # what is applied there are maps
    for node in tree.walk(declaration):
        if isinstance(node, tree.Name) and node.text == old:
            is_block = id(node) not in called if maps else not bound or id(node) in called
            if is_block:
                yield node.span


def _local(analysis: Analysis, owner: tree.Declaration, old: str) -> Iterator[Span]:
    """Every place in a declaration that means its variable, parameter, layer or axis."""
    blocks = analysis.scope is not None and analysis.scope.find(old) is not None
    is_block = blocks or primitives.rule_of(old) is not None
    called = {id(node) for node in callees(owner)} if is_block else set()
    found = analysis.model_of(owner)
    for node in tree.walk(owner):
        if isinstance(node, tree.Name) and node.text == old:
            layer = found is not None and isinstance(found.recorder.callees.get(node.span), LayerValue)
            if id(node) not in called or layer:
                yield node.span
        elif isinstance(node, tree.AxisTerm) and node.name is not None and node.name.text == old:
            yield node.name.span
    yield from (name.span for name in binders(owner) if name.text == old)


def _from_outside(analysis: Analysis, owner: tree.Declaration, old: str, defined: Span) -> Iterator[Span]:
    """Where other declarations name a parameter of a block or model, or a layer of a model."""
    parameters = getattr(owner, "hyperparameters", ()) + getattr(owner, "tensors", ())
    is_parameter = any(p.name.span == defined for p in parameters)
    for declaration in analysis.file.declarations:
        if old not in declaration.span.text:
            continue
        if isinstance(owner, tree.Model):
            section = isinstance(declaration, tree.Section)
            if section and getattr(declaration, "model").text == owner.name.text:  # noqa: B009
                yield from _in_section(declaration, old, is_parameter=is_parameter)
        elif is_parameter:
            yield from _given_by_name(declaration, owner, old)


def _given_by_name(declaration: tree.Declaration, owner: tree.Declaration, old: str) -> Iterator[Span]:
    """Where a declaration calls a block with an argument of this name."""
    block = owner.name.text if isinstance(owner, (tree.Block, tree.IndexFunction)) else ""
    for node in tree.walk(declaration):
        if isinstance(node, tree.Call) and isinstance(node.callee, tree.Name) and node.callee.text == block:
            yield from (a.name.span for a in node.arguments if a.name is not None and a.name.text == old)


def _in_section(section: tree.Declaration, old: str, *, is_parameter: bool) -> Iterator[Span]:
    if isinstance(section, tree.Variant):
        yield from (s.name.span for s in section.settings if s.name is not None and s.name.text == old and is_parameter)
        return
    keys = {id(n) for e in getattr(section, "config", ()) for n in (tree.walk(e.value) if not e.again else ())}
    if isinstance(section, tree.Train):
        keys |= {id(node) for node in callees(section)}  # kinds of objectives, and `tokens`, are no things of a model
    for node in tree.walk(section):
        if isinstance(node, tree.ConfigEntry) and node.name is not None and node.name.text == old and is_parameter:
            yield node.name.span
        elif isinstance(node, tree.Name) and node.text == old and id(node) not in keys:
            yield node.span
        elif (
            isinstance(node, tree.Attribute)
            and node.name.text == old
            and not is_parameter
            and address(node).count(".") <= 2
        ):
            yield node.name.span


__all__ = ["AttnError", "Edit", "Refused", "rename", "renamed_at"]
