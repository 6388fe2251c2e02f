"""Places of the protocol and ours: lines and columns counted from 0, in UTF-16 units; URIs and paths."""

from __future__ import annotations

from pathlib import Path

from attndsl.diagnostics import Source, Span
from attndsl.elaborate.files import specs_folder
from attndsl.lazy import lsp


def offset_at(source: Source, position: lsp.Position) -> int:
    """The offset of a place that an editor names; within the line, where that is shorter."""
    starts = source.line_starts
    number, character = int(position.line), int(position.character)
    if number >= len(starts):
        return len(source.text)
    start = starts[number]
    line = source.line(number + 1)
    if line.isascii():
        return start + min(character, len(line))
    units = 0
    for column, sign in enumerate(line):
        if units >= character:
            return start + column
        units += 2 if ord(sign) > 0xFFFF else 1
    return start + len(line)


def position_at(source: Source, offset: int) -> lsp.Position:
    line, column = source.position(offset)
    before = source.line(line)[: column - 1]
    units = len(before) if before.isascii() else len(before.encode("utf-16-le")) // 2
    return lsp.Position(line - 1, units)


def range_of(span: Span) -> lsp.Range:
    span = span.in_file
    return lsp.Range(position_at(span.source, span.start), position_at(span.source, span.end))


def location_of(span: Span) -> lsp.Location:
    return lsp.Location(uri_of(span.in_file.source), range_of(span))


def uri_of(source: Source) -> str:
    """Where a source lies; one that came with attndsl goes by its name there."""
    path = Path(source.name)
    return path_to_uri(path if path.is_absolute() else specs_folder().resolve() / path)


def path_to_uri(path: Path) -> str:
    return path.absolute().as_uri()


def path_of(uri: str) -> Path:
    """The file of a URI; what is not saved yet has one of its own, in the working folder."""
    if not uri.startswith("file:"):
        return Path.cwd() / uri.replace("/", "_").replace(":", "_")
    from pygls import uris

    return Path(str(uris.to_fs_path(uri)))
