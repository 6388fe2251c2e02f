"""The texts that are open in an editor, and what is known of each: parsed by the declaration, checked again where what
a check depends on has changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from attndsl.api.checking import examine
from attndsl.diagnostics import AttnError, Diagnostic, Source, few_suggestions
from attndsl.editing.recording import Recorder
from attndsl.elaborate.files import FileScope, Library
from attndsl.elaborate.frames import Frame
from attndsl.elaborate.settings import Setting
from attndsl.elaborate.spec import Spec, choose
from attndsl.graph import Graph
from attndsl.inspection import inspect
from attndsl.inspection.report import LayerReport
from attndsl.records import dataclass, field, replace
from attndsl.syntax import tree
from attndsl.syntax.limits import room_to_recurse
from attndsl.syntax.parts import Parts
from attndsl.syntax.reading import read_source

_WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass(eq=False)
class Modelled:
    """A model that was elaborated; `graph` is None, and `problem` says why, where something is wrong with it."""

    spec: Spec
    recorder: Recorder
    depends: Mapping[str, tree.Tree | None]
    graph: Graph | None = None
    problem: AttnError | None = None
    sizes: dict[str, int] = field(default_factory=dict)  # those of the inputs, at which layers were counted
    _layers: dict[str, LayerReport] | None = None

    @property
    def layers(self) -> Mapping[str, LayerReport]:
        """What each layer costs, by its path. It is counted when somebody asks first."""
        if self._layers is None:
            self._layers = {}
            if self.graph is not None:
                with suppress(AttnError):
                    report = inspect(self.graph)
                    self.sizes = {choice.name: choice.value for choice in report.sizes}
                    waiting = list(report.layers)
                    for layer in waiting:
                        self._layers[layer.path] = layer
                        waiting += layer.children
        return self._layers


@dataclass(frozen=True, eq=False)
class Analysis:
    """What is known of one text: its tree (of what could be read), its diagnostics, its models. `scope` is None where
    its declarations contradict one another."""

    path: Path
    source: Source
    file: tree.File
    diagnostics: tuple[Diagnostic, ...]
    scope: FileScope | None
    models: tuple[Modelled, ...] = ()

    @property
    def text(self) -> str:
        return self.source.text

    def declaration_at(self, offset: int) -> tree.Declaration | None:
        """The declaration that an offset of the text lies in, or right behind."""
        for declaration in self.file.declarations:
            span = declaration.span.in_file
            if span.start <= offset <= span.end:
                return declaration
        return None

    def model_of(self, declaration: tree.Tree | None) -> Modelled | None:
        """The elaboration that has seen a declaration: of a block, the first model that uses it."""
        source = declaration.span.source if declaration is not None else self.source
        return next((m for m in self.models if source in m.recorder.points), self.models[0] if self.models else None)

    def frame_at(self, offset: int, begin: int = -1) -> tuple[Recorder, Frame] | None:
        """The names at an offset of the text, see `Recorder.frame_at`."""
        declaration = self.declaration_at(offset)
        found = self.model_of(declaration)
        if declaration is None or found is None:
            return None
        source = declaration.span.source
        frame = found.recorder.frame_at(source, offset - source.start, begin - source.start)
        return (found.recorder, frame) if frame is not None else None


@dataclass(eq=False)
class _Document:
    """A text with what was parsed of it; `text` may be newer than `analysis`."""

    path: Path
    text: str
    parts: Parts = field(default_factory=Parts)
    parsed: tuple[str, tree.File, list[Diagnostic]] | None = None
    models: dict[str, Modelled] = field(default_factory=dict)
    analysis: Analysis | None = None
    is_stale: bool = False

    def parse(self) -> tuple[tree.File, list[Diagnostic]]:
        if self.parsed is None or self.parsed[0] != self.text:
            self.parsed = (self.text, *self.parts.parse(Source(str(self.path), self.text)))
        return self.parsed[1], self.parsed[2]


class Workspace:
    """Open texts by their paths. A file that another one imports is read from the disk where it is not open."""

    def __init__(self) -> None:
        self._open: dict[Path, _Document] = {}
        self._closed: dict[Path, _Document] = {}
        self.elaborated = 0
        """How many models were elaborated, not remembered."""

    def write(self, path: Path, text: str) -> None:
        """An editor has opened a file or changed it: its text is now `text`."""
        known = self._open.get(path)
        if known is None:
            self._open[path] = _Document(path, text)
        elif known.text != text:
            known.text = text
        else:
            return
        for document in self._open.values():
            if document.path != path:
                document.is_stale = True  # it may import this one

    def close(self, path: Path) -> None:
        self._open.pop(path, None)

    def paths(self) -> Iterator[Path]:
        yield from self._open

    def text(self, path: Path) -> str:
        return self._open[path].text

    def analysis(self, path: Path) -> Analysis:
        """What is known of an open text as it is now."""
        document = self._open[path]
        known = self.known(path)
        if known is None:
            document.is_stale = False
            known = document.analysis = self._analyse(document)
        return known

    def tried(self, path: Path, text: str) -> Analysis:
        """What would be known of an open text if it were another one. What its declarations say counts; their places
        are those of the text as it is again."""
        document = self._open[path]
        trial, other = Workspace(), replace(document, text=text, models=dict(document.models))
        trial._open, trial._closed = {**self._open, path: other}, self._closed  # meanwhile an editor may write here
        with document.parts.as_they_are():
            return trial._analyse(other)

    def known(self, path: Path) -> Analysis | None:
        """The same where it is known already."""
        document = self._open[path]
        known = document.analysis
        return known if known is not None and known.text == document.text and not document.is_stale else None

    def latest(self, path: Path) -> Analysis | None:
        """What was known of an open text when it was checked last."""
        return self._open[path].analysis

    def was_checked(self, path: Path) -> bool:
        return self._open[path].analysis is not None

    def tree_of(self, path: Path) -> tree.File | None:
        """What could be read of a file, open or not; None where there is none."""
        with suppress(AttnError, OSError):
            return self._read_partly(path)
        return None

    # ---------------------------------------------------------------- checking

    def _analyse(self, document: _Document) -> Analysis:
        with few_suggestions():
            file, problems = document.parse()
            scope: FileScope | None = None
            diagnostics: tuple[Diagnostic, ...] = tuple(problems)
            try:
                scope = Library(self._read_partly if problems else self._read).open(document.path)
            except AttnError as problem:
                diagnostics = diagnostics or problem.diagnostics
                problems = list(diagnostics)
                with suppress(AttnError):
                    scope = _Lenient(self._read_partly).open(document.path)
            names = list(scope.models) if scope is not None else []
            found: list[Modelled] = []

            def elaborated(spec: Spec, settings: Mapping[str, Setting]) -> Graph:
                made = self._elaborate(document, spec, settings)
                found.append(made)
                if made.problem is not None:
                    raise made.problem
                assert made.graph is not None
                return made.graph

            for name in names:
                assert scope is not None
                spec = choose(str(document.path), scope, name)
                if problems:
                    with suppress(AttnError):
                        elaborated(spec, {})
                else:
                    told = examine(lambda spec=spec: spec, {}, elaborated)[1]  # type: ignore[misc]
                    diagnostics = tuple(dict.fromkeys((*diagnostics, *told)))
        source = file.span.source
        return Analysis(document.path, source, file, tuple(map(_in_file, diagnostics)), scope, tuple(found))

    def _elaborate(self, document: _Document, spec: Spec, settings: Mapping[str, Setting]) -> Modelled:
        """A model's elaboration, from before where all that it can depend on is what it was."""
        depends = _depends(spec)
        known = document.models.get(spec.model.name.text)
        if known is not None and known.depends == depends:
            return known
        self.elaborated += 1
        recorder = Recorder(spec)
        made = Modelled(spec, recorder, depends)
        try:
            with room_to_recurse():
                made.graph = recorder.graph(settings)
        except AttnError as problem:
            made.problem = problem
        document.models[spec.model.name.text] = made
        return made

    # ---------------------------------------------------------------- files

    def _document(self, path: Path) -> _Document:
        """The text at a path: what is open, else what the disk has, parsed once as long as it does not change."""
        opened = self._open.get(path) or self._open.get(path.resolve())
        if opened is not None:
            return opened
        text = read_source(str(path)).text
        known = self._closed.get(path)
        if known is None or known.text != text:
            known = self._closed[path] = _Document(path, text)
        return known

    def _read(self, path: Path) -> tree.File:
        file, problems = self._document(path).parse()
        if problems:
            raise AttnError(*problems)
        return file

    def _read_partly(self, path: Path) -> tree.File:
        return self._document(path).parse()[0]


class _Lenient(Library):
    """Takes of files that contradict themselves what can be taken."""

    def _declare(self, scope: FileScope) -> None:
        with suppress(AttnError):
            super()._declare(scope)


def _in_file(diagnostic: Diagnostic) -> Diagnostic:
    """With places that count from the beginning of their files, as they are now."""
    primary = diagnostic.primary
    return replace(
        diagnostic,
        primary=replace(primary, span=primary.span.in_file) if primary is not None else None,
        secondary=tuple(replace(label, span=label.span.in_file) for label in diagnostic.secondary),
    )


def _depends(spec: Spec) -> dict[str, tree.Tree | None]:
    """All that elaborating a model can depend on: the model, its variants, and whatever their words, and those of the
    blocks that these may name, stand for in the user's files. Trees are compared by identity: one that was not parsed
    again says what it said."""
    found: dict[str, tree.Tree | None] = {"model": spec.model}
    found.update({f"variant {variant.name.text}": variant for variant in spec.variants})
    waiting: list[tuple[tree.Tree, FileScope]] = [(node, spec.scope) for node in found.values() if node is not None]
    while waiting:
        node, scope = waiting.pop()
        for word in set(_WORD.findall(node.span.text)):
            key = f"{scope.path}: {word}"
            if key not in found:
                declared = scope.blocks.get(word)
                found[key] = declared[0] if declared is not None else None
                if declared is not None and not declared[1].is_standard:
                    waiting.append(declared)
    return found
