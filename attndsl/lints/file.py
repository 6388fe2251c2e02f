"""The names of a user's files: of the model that was asked for, and of every block, mask, bias and import."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from attndsl.diagnostics import Diagnostic, warning
from attndsl.elaborate.primitives import rule_of
from attndsl.lints.names import BodyReader, unread
from attndsl.syntax import tree

if TYPE_CHECKING:
    from attndsl.elaborate import Spec
    from attndsl.elaborate.files import FileScope
    from attndsl.elaborate.settings import Setting

_WORD = re.compile(r"[A-Za-z_]\w*")


def names(spec: Spec, settings: Mapping[str, Setting]) -> Iterator[Diagnostic]:
    """Names that are never read (W0101) or that hide others (W0102)."""
    yield from _model(spec)
    for scope in spec.scope.library.user_files():
        for declaration in scope.file.declarations:
            if isinstance(declaration, (tree.Block, tree.IndexFunction)):
                yield from _found(_read(declaration), scope)
    yield from _declared(spec.file, " ".join(str(value) for value in settings.values()))


def _model(spec: Spec) -> Iterator[Diagnostic]:
    reader = BodyReader()
    reader.signature(spec.model.hyperparameters)
    reader.statements(spec.model.body)
    missing = {bound.name.text: bound for bound in reader.made.values() if bound.kind == "hyperparameter"}
    missing = {name: bound for name, bound in missing.items() if not bound.is_read}
    # A section may read them; what `config` gives them is no use of theirs.
    for part in _sections(spec) if missing else ():
        for name in _used(part):
            if name in missing:
                missing.pop(name).is_read = True
        if not missing:
            break
    yield from _found(reader, spec.scope)


def _sections(spec: Spec) -> Iterator[tree.Tree]:
    """What a model's recipes and weights are made of, beside the keys that give its hyperparameters."""
    yield from (it for it in spec.scope.trains if it.model.text == spec.model.name.text)
    yield from (part for it in spec.weights for part in (*it.around, *it.maps, *it.entries))


@lru_cache(maxsize=1000)  # an editor asks again and again about trees that did not change
def _read(node: tree.Block | tree.IndexFunction) -> BodyReader:
    """A block, mask or bias, read by itself."""
    reader = BodyReader()
    if isinstance(node, tree.Block):
        reader.signature((*node.hyperparameters, *node.tensors))
        for result in node.results:
            reader.expression(result)
    else:
        reader.signature(node.captures)
        for variable in node.variables:
            reader.expression(variable)
            reader.assign(variable.name, "other")
    reader.statements(node.body)
    return reader


def _found(reader: BodyReader, scope: FileScope) -> Iterator[Diagnostic]:
    yield from reader.hiding()
    yield from reader.unread()
    yield from reader.unwritten()
    yield from reader.twists()
    for name, value in reader.given.items():
        if name not in reader.assigned or isinstance(value, tree.Name) or _makes_mask(value, scope):
            yield from _hides_callable(name, value, scope)


def _makes_mask(value: tree.Expr, scope: FileScope) -> bool:
    """Whether a call gives a mask or a bias, whatever its arguments are."""
    callee = value.callee if isinstance(value, tree.Call) else value
    declared = scope.find(callee.text) if isinstance(callee, tree.Name) else None
    return declared is not None and isinstance(declared[0], tree.IndexFunction)


def _hides_callable(name: tree.Identifier, value: tree.Expr, scope: FileScope) -> Iterator[Diagnostic]:
    """A block under the name of another one, which nobody who reads the body expects. (A number or a tensor does not
    hide a block.)"""
    callee = value.callee if isinstance(value, tree.Call) else value
    if not isinstance(callee, tree.Name) or callee.text == name.text:
        return
    declared = scope.find(name.text)
    if (declared is not None or rule_of(name.text)) and (scope.find(callee.text) or rule_of(callee.text)):
        own = declared is not None and not declared[1].is_standard
        whose = "this file's" if own else "the library's"
        yield warning(
            "W0102",
            f"`{name.text}` shadows {whose} `{name.text}`",
            name.span,
            f"means `{callee.text}` in this body",
            help="give it another name",
        )


def _declared(file: tree.File, settings: str) -> Iterator[Diagnostic]:
    """What a file with a model declares or imports and never uses. (A file without one is there for others.)"""
    missing = {name.text: (name, kind) for name, kind in _own(file)}
    for word in _WORD.findall(settings):
        missing.pop(word, None)
    for declaration in sorted(file.declarations, key=lambda it: not isinstance(it, tree.Model)):  # they use most
        itself = declaration.name.text if isinstance(declaration, (tree.Block, tree.IndexFunction)) else ""
        for name in _words(declaration) if missing else ():
            if name != itself:
                missing.pop(name, None)
    for unused, kind in missing.values():
        yield from unread(unused, kind)


def _own(file: tree.File) -> Iterator[tuple[tree.Identifier, str]]:
    """The blocks, masks, biases and maps that a file gives a name, with what they are."""
    for declaration in file.declarations:
        if isinstance(declaration, tree.Block):
            yield declaration.name, "block"
        elif isinstance(declaration, tree.IndexFunction):
            yield declaration.name, declaration.kind
        elif isinstance(declaration, tree.Use):
            yield from ((renamed or name, "import") for name, renamed in declaration.names)
        elif isinstance(declaration, tree.Maps):
            yield declaration.name, "maps"
        elif isinstance(declaration, tree.Weights):
            yield from ((group.name, "maps") for group in declaration.maps)


@lru_cache(maxsize=1000)
def _words(declaration: tree.Declaration) -> frozenset[str]:
    return frozenset(_used(declaration))


def _used(node: tree.Tree) -> Iterator[str]:
    """The names in a tree, and the words of its texts, which may write a block: `act == "gelu"`."""
    for at in tree.walk(node):
        if isinstance(at, tree.Name):
            yield at.text
        elif isinstance(at, tree.String):
            yield from _WORD.findall(at.value)
