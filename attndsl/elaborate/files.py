"""Files and what they declare: imports, and the standard library behind every file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from os.path import isdir, isfile  # which say no, where those of Path raise, to a name that no file can have
from pathlib import Path
from typing import TypeVar, Union

from attndsl.diagnostics import AttnError, Diagnostic, Label, Source, Span, did_you_mean, error
from attndsl.records import dataclass, field, replace
from attndsl.shipped import SHIPPED
from attndsl.syntax import tree
from attndsl.syntax.parser import parse
from attndsl.syntax.reading import read_source

Declared = Union[tree.Block, tree.IndexFunction]
Key = TypeVar("Key")

_DECLARES = re.compile(r"^(?:block|mask|bias)[ \t]+([A-Za-z_]\w*)", re.MULTILINE)
_MAPS = re.compile(r"^maps[ \t]+([A-Za-z_]\w*)", re.MULTILINE)


def specs_folder() -> Path:
    return SHIPPED / "specs"


@cache
def standard_names() -> dict[str, Path]:
    """Where each name of the standard library is declared. A quick look at the text: files are parsed when needed."""
    return {name: path for path in _standard_files() for name in _DECLARES.findall(path.read_text(encoding="utf-8"))}


@cache
def standard_maps() -> dict[str, Path]:
    """Where the standard library declares `maps` for `weights` sections."""
    return {name: path for path in _standard_files() for name in _MAPS.findall(path.read_text(encoding="utf-8"))}


def find_standard_maps(name: str) -> tree.Maps | None:
    """The `maps` of the standard library that are called `name`."""
    path = standard_maps().get(name)
    declared = _standard_file(path).declarations if path is not None else ()
    return next((d for d in declared if isinstance(d, tree.Maps) and d.name.text == name), None)


def _standard_files() -> list[Path]:
    return sorted((specs_folder() / "std").glob("*.attn"))


def _read(path: Path) -> tree.File:
    """The tree of a file; one that came with attndsl goes by its name there (`std/norms.attn`), wherever it lies."""
    source = read_source(str(path))
    home, place = specs_folder().resolve(), path.resolve()
    return _parsed(place.relative_to(home).as_posix() if place.is_relative_to(home) else source.name, source.text)


@lru_cache(maxsize=32)
def _parsed(name: str, text: str) -> tree.File:
    """The tree of a text that goes by this name. One that is read again, for another variant, is the same tree."""
    file, problems = parse(Source(name, text))
    if problems:
        raise AttnError(*problems)
    return file


@cache
def _standard_file(path: Path) -> tree.File:
    """A file of the standard library, which does not change while a program runs."""
    return _read(path)


@dataclass(eq=False)
class FileScope:
    """One file's declarations by name. `blocks` holds blocks, masks and biases with the scope each was declared in
    (its own file, where its body's names are looked up)."""

    path: Path
    file: tree.File
    library: Library
    is_standard: bool
    blocks: dict[str, tuple[Declared, FileScope]] = field(default_factory=dict)
    models: dict[str, tree.Model] = field(default_factory=dict)
    maps: dict[str, tree.Maps] = field(default_factory=dict)
    variants: list[tree.Variant] = field(default_factory=list)
    weights: list[tree.Weights] = field(default_factory=list)
    trains: list[tree.Train] = field(default_factory=list)
    layouts: list[tree.Layout] = field(default_factory=list)

    @property
    def source(self) -> Source:
        return self.file.span.source

    def find(self, name: str) -> tuple[Declared, FileScope] | None:
        """The block, mask or bias called `name`: this file's own or imported, else the standard library's."""
        return self.blocks.get(name) or self.library.standard(name)

    def names(self) -> Iterator[str]:
        yield from self.blocks
        yield from standard_names()


class Library:
    """The files read for one run, each once. `read` gives the tree of a user's file, or raises what is wrong."""

    def __init__(self, read: Callable[[Path], tree.File] | None = None) -> None:
        self._read = read or _read
        self._scopes: dict[Path, FileScope] = {}
        self._found: dict[Path, FileScope] = {}  # the same, as they are asked for
        self._opening: list[tuple[Path, Span | None]] = []

    def standard(self, name: str) -> tuple[Declared, FileScope] | None:
        path = standard_names().get(name)
        return self.open(path).blocks.get(name) if path else None

    @property
    def length(self) -> int:
        """How many characters the user's files have."""
        return sum(len(scope.source.text) for scope in self.user_files())

    def user_files(self) -> Iterator[FileScope]:
        """The files that were read so far and are not the standard library's."""
        return (scope for scope in tuple(self._scopes.values()) if not scope.is_standard)

    def open(self, path: Path, asked: Span | None = None, source: Source | None = None) -> FileScope:
        """The scope of the file at `path`, or of a `source` that is taken to lie there; `asked` is the `use` that wants
        it."""
        if path in self._found:
            return self._found[path]
        key = path.resolve()
        if key in self._scopes:
            return self._found.setdefault(path, self._scopes[key])
        for place, (other, _) in enumerate(self._opening):
            if other == key:
                chain = [*(p.name for p, _ in self._opening[place:]), key.name]
                first = self._opening[place + 1][1] if place + 1 < len(self._opening) else None
                raise error(
                    "E0109",
                    f"these files import each other: {' → '.join(chain)}",
                    asked,
                    "this closes the cycle",
                    other=Label(first, "it starts here") if first else (),
                    help="move what both need into a third file",
                )
        self._opening.append((key, asked))
        try:
            is_standard = key.parent == (specs_folder() / "std").resolve()
            if source is not None:
                file = _parsed(source.name, source.text)
            else:
                file = _standard_file(key) if is_standard else self._read(path)
            scope = FileScope(path, file, self, is_standard)
            self._declare(scope)
        finally:
            self._opening.pop()
        self._scopes[key] = scope
        return scope

    def _declare(self, scope: FileScope) -> None:
        found: list[Diagnostic] = []
        declared: dict[str, Span] = {}
        mapped: dict[str, Span] = {}

        def claim(name: tree.Identifier, declared: dict[str, Span] = declared) -> None:
            message = f"`{name.text}` is declared twice"
            found.extend(_twice(declared, name.text, name.span, message, help="give one of them another name"))

        for declaration in scope.file.declarations:
            if isinstance(declaration, tree.Use):
                try:
                    self._use(scope, declaration)
                except AttnError as problem:
                    found += problem.diagnostics
            elif isinstance(declaration, (tree.Block, tree.IndexFunction)):
                claim(declaration.name)
                scope.blocks[declaration.name.text] = (declaration, scope)
            elif isinstance(declaration, tree.Model):
                claim(declaration.name)
                scope.models[declaration.name.text] = declaration
            elif isinstance(declaration, tree.Maps):
                claim(declaration.name, mapped)
                scope.maps[declaration.name.text] = declaration
            elif isinstance(declaration, tree.Variant):
                scope.variants.append(declaration)
            elif isinstance(declaration, tree.Weights):
                scope.weights.append(declaration)
            elif isinstance(declaration, tree.Layout):
                scope.layouts.append(declaration)
            else:
                scope.trains.append(declaration)
        for names in _lists(scope):
            first: dict[str, Span] = {}
            for name in names:
                found += _twice(first, name.text, name.span, f"`{name.text}` is given twice", "given")
        seen: dict[tuple[str, str], Span] = {}
        later: list[tree.Section] = [*scope.variants, *scope.weights, *scope.trains, *scope.layouts]
        for section in later:
            if section.model.text not in scope.models:
                found.append(
                    Diagnostic(
                        "E0101",
                        f"there is no model `{section.model.text}` in this file",
                        Label(section.model.span),
                        (),
                        (),
                        did_you_mean(section.model.text, scope.models),
                    )
                )
            kind = type(section).__name__.lower()
            what = section.name if isinstance(section, (tree.Variant, tree.Layout)) else section.model
            if isinstance(section, tree.Weights):
                what = section.origin
            elif isinstance(section, tree.Train) and section.variant is not None:
                what = section.variant
                found += _no_variant(what, section.model.text, scope)
            key = (f"{kind} {section.model.text}", what.text if what is not section.model else "")
            found += _twice(seen, key, what.span, f"this {kind} is declared twice")
        if found:
            raise AttnError(*found)
        scope.weights = [replace(section, around=tuple(scope.maps.values())) for section in scope.weights]

    def _use(self, scope: FileScope, use: tree.Use) -> None:
        if use.is_std:
            path = specs_folder() / "std" / f"{use.path.replace('.', '/')}.attn"
            if not isfile(path):
                known = sorted({p.stem for p in standard_names().values()})
                raise error(
                    "E0501",
                    f"the standard library has no file `{use.path}`",
                    use.span,
                    help=did_you_mean(use.path, known) or (f"it has {', '.join(known)}",),
                )
        else:
            path = scope.path.parent / use.path
            if not isfile(path):
                near = (
                    [p.name for p in path.parent.glob("*.attn") if p.name != scope.path.name]
                    if isdir(path.parent)
                    else []
                )
                raise error(
                    "E0501",
                    f"there is no file `{use.path}` to import",
                    use.span,
                    f"looked for {path}",
                    help=did_you_mean(path.name, near),
                )
        other = self.open(path, use.span)
        if not use.names:
            scope.blocks.update({name: found for name, found in other.blocks.items() if name not in scope.blocks})
            scope.maps.update({name: found for name, found in other.maps.items() if name not in scope.maps})
        for name, renamed in use.names:
            declared, mapped = other.blocks.get(name.text), other.maps.get(name.text)
            if declared is None and mapped is None:
                raise error(
                    "E0110",
                    f"`{use.path}` declares no `{name.text}`",
                    name.span,
                    help=did_you_mean(name.text, [*other.blocks, *other.maps]),
                )
            if declared is not None:
                scope.blocks[(renamed or name).text] = declared
            if mapped is not None:
                scope.maps[(renamed or name).text] = replace(mapped, name=renamed or name)


def _no_variant(name: tree.Identifier, model: str, scope: FileScope) -> list[Diagnostic]:
    """What is wrong with the name of a recipe's variant, which must be one of the model."""
    names = [v.name.text for v in scope.variants if v.model.text == model]
    if name.text in names or model not in scope.models:
        return []
    helps = did_you_mean(name.text, names) or (
        f"its variants: {', '.join(names)}" if names else f"the recipe of the model itself: `train {model} {{ … }}`",
    )
    return [Diagnostic("E0101", f"`{model}` has no variant `{name.text}`", Label(name.span), (), (), helps)]


def _twice(
    seen: dict[Key, Span], key: Key, span: Span, message: str, verb: str = "declared", help: str | tuple[str, ...] = ()
) -> tuple[Diagnostic, ...]:
    """Note that `key` stands at `span`; E0107 with the `message` where it stands somewhere else already."""
    first = seen.setdefault(key, span)
    if first is span:
        return ()
    other = Label(first, f"first {verb} here")
    return error("E0107", message, span, f"{verb} again here", other=other, help=help).diagnostics


def _lists(scope: FileScope) -> Iterator[list[tree.Identifier]]:
    """Each list of a file whose names must be distinct: signatures, variables, settings."""
    for declaration in scope.file.declarations:
        if isinstance(declaration, tree.Block):
            yield [p.name for p in (*declaration.hyperparameters, *declaration.tensors)]
        elif isinstance(declaration, tree.IndexFunction):
            yield [*(p.name for p in declaration.captures), *(v.name for v in declaration.variables)]
        elif isinstance(declaration, tree.Model):
            yield [p.name for p in declaration.hyperparameters]
        elif isinstance(declaration, tree.Maps):
            yield list(declaration.parameters)
        elif isinstance(declaration, tree.Weights):
            yield [group.name for group in declaration.maps]
            yield from (list(group.parameters) for group in declaration.maps)
        elif isinstance(declaration, (tree.Variant, tree.Train)):
            yield [s.name for s in declaration.settings if s.name is not None]
