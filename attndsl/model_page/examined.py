"""A spec as it is at a moment, and as the file that it lies in changes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from attndsl.api.checking import examine
from attndsl.diagnostics import AttnError, Diagnostic, Source
from attndsl.elaborate.files import Library
from attndsl.elaborate.settings import Setting
from attndsl.elaborate.spec import Spec, choose, place_of
from attndsl.graph import Graph
from attndsl.records import Frozen
from attndsl.syntax.reading import read_source

_Stamp = Mapping[Path, "tuple[int, int, int] | None"]


class Examined(Frozen, eq=False):
    """A spec's text with all that is said of it. `graph` is its model or, where something is wrong with it, the model
    that the file had when it was right last, when its text was `seen`; None where there was none."""

    name: str
    source: Source
    diagnostics: tuple[Diagnostic, ...]
    graph: Graph | None
    seen: Source

    @property
    def is_current(self) -> bool:
        """Whether the model is that of the text."""
        return self.graph is not None and self.seen is self.source


class FollowedSpec:
    """A spec in a file that somebody is writing. `files` are those that it is made of, as far as they could be read."""

    def __init__(self, name: str, settings: Mapping[str, Setting] | None = None) -> None:
        """Raises E0501 where `name` is that of no spec, E0001 where there is no such file."""
        self.name = name
        self.settings = settings or {}
        self.path, self._wanted = place_of(name)
        self.files: frozenset[Path] = frozenset((self.path,))
        source = read_source(str(self.path))
        self._stamp: _Stamp = {}  # of the files as they were examined, and as they were seen last
        self._next: _Stamp = {}
        self._take(Examined(name, source, (), None, source), _stamp(self.files))

    def look(self) -> bool:
        """Look at the files, and examine the spec again where one has changed since, and has not changed any more since
        the last look: an editor may take its time to write. Whether it was examined."""
        stamp = _stamp(self.files)
        settled, self._next = stamp == self._next, stamp
        if stamp == self._stamp or not settled:
            return False
        self._take(self.now, stamp)
        return True

    def _take(self, last: Examined, stamp: _Stamp) -> None:
        """Examine the spec; `stamp` is of before, so that what is written meanwhile is seen by the next look."""
        self.now = self._examine(last)
        self._stamp = self._next = {
            **_stamp(self.files),
            **{path: it for path, it in stamp.items() if path in self.files},
        }

    def _examine(self, last: Examined) -> Examined:
        try:
            source = read_source(str(self.path))
        except AttnError as problem:
            return Examined(self.name, last.source, problem.diagnostics, last.graph, last.seen)
        library = Library()

        def opened() -> Spec:
            return choose(self.name, library.open(self.path, source=source), self._wanted)

        graph, found = examine(opened, self.settings)
        read = {scope.path for scope in library.user_files()}
        if graph is None:  # perhaps for what a file says that nothing could be read of
            read |= self.files | {Path(it.primary.span.source.whole.name) for it in found if it.primary}
        self.files = frozenset((self.path, *read))
        if graph is None:
            return Examined(self.name, source, found, last.graph, last.seen)
        return Examined(self.name, source, found, graph, source)


def _stamp(files: Iterable[Path]) -> _Stamp:
    """What shows that a file was written: None for one that is not there."""

    def of(path: Path) -> tuple[int, int, int] | None:
        try:
            status = os.stat(path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    return {path: of(path) for path in files}
