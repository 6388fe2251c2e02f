"""The server: which request is answered by what. Checks run one after the other in a thread; while a newer text waits
for its check, completion goes by the last one, and everything else waits too."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from attndsl import __version__
from attndsl.diagnostics import Source, Span
from attndsl.editing import (
    Analysis,
    Refused,
    Workspace,
    completions,
    definition,
    formatting,
    hover,
    inlays,
    is_known,
    rename,
    renamed_at,
    warm,
)
from attndsl.language_server import saying
from attndsl.language_server.places import location_of, offset_at, path_of, path_to_uri, position_at, range_of
from attndsl.lazy import lsp
from attndsl.syntax.limits import MAX_DEPTH

if TYPE_CHECKING:
    from pygls.lsp.server import LanguageServer

T = TypeVar("T")
TRIGGERS = (">", " ", "(", ",", "=", "[", ".", ":")
PAUSE = 0.2
"""Seconds without a change after which a text is checked."""


class EditorSession:
    """The texts of one editor, and the thread in which they are checked."""

    def __init__(self, server: LanguageServer) -> None:
        self.server = server
        self.texts = Workspace()
        self.thread_for_checks = ThreadPoolExecutor(1, "check")
        self.waiting: dict[Path, asyncio.Task[None]] = {}
        self.uris: dict[Path, str] = {}  # what the editor calls the open texts

    async def apart(self, task: Callable[[], T]) -> T:
        """Run something that takes its time where it holds up nobody."""
        return await asyncio.get_running_loop().run_in_executor(self.thread_for_checks, task)

    async def analysis(self, uri: str) -> Analysis:
        """What is known of a text as it is now."""
        path = path_of(uri)
        known = self.texts.known(path)
        return known if known is not None else await self.apart(lambda: self.texts.analysis(path))

    def take(self, uri: str) -> None:
        """A text is there, or another one: check it, and tell, once nobody types."""
        path = path_of(uri)
        self.uris[path] = uri
        self.texts.write(path, self.server.workspace.get_text_document(uri).source)
        if path in self.waiting:
            self.waiting[path].cancel()
        self.waiting[path] = asyncio.ensure_future(self._check(uri, path))

    def leave(self, uri: str) -> None:
        """The editor shows a text no more, nor anything about it."""
        path = path_of(uri)
        if path in self.waiting:
            self.waiting.pop(path).cancel()
        self.uris.pop(path, None)
        self.texts.close(path)
        self.server.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri=uri, diagnostics=[]))

    async def _check(self, uri: str, path: Path) -> None:
        await asyncio.sleep(PAUSE if self.texts.was_checked(path) else 0)
        await self.tell(uri)
        for other, name in list(self.uris.items()):
            if other != path and other in self.texts.paths() and self.texts.known(other) is None:
                await self.tell(name)

    async def tell(self, uri: str) -> None:
        """Publish the diagnostics of a text, unless it has changed since."""
        analysis = await self.analysis(uri)
        if path_of(uri) in self.texts.paths() and self.texts.known(path_of(uri)) is analysis:
            version = self.server.workspace.get_text_document(uri).version
            self.server.text_document_publish_diagnostics(
                lsp.PublishDiagnosticsParams(uri=uri, version=version, diagnostics=saying.diagnostics(analysis))
            )
            await self.apart(lambda: [model.layers for model in analysis.models])


def make_server() -> LanguageServer:
    """The server with its answers, ready to be started."""
    from pygls.exceptions import JsonRpcInvalidParams
    from pygls.lsp.server import LanguageServer

    server = LanguageServer("attndsl", __version__, text_document_sync_kind=lsp.TextDocumentSyncKind.Incremental)
    session = EditorSession(server)
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 20 * MAX_DEPTH))  # for every thread, from the beginning
    sys.setswitchinterval(0.0005)  # an answer does not wait for a check's turn to end

    @server.feature(lsp.INITIALIZED)
    async def initialized(params: lsp.InitializedParams) -> None:
        await session.apart(warm)

    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: lsp.DidOpenTextDocumentParams) -> None:
        session.take(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: lsp.DidChangeTextDocumentParams) -> None:
        session.take(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: lsp.DidCloseTextDocumentParams) -> None:
        session.leave(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    async def hovered(params: lsp.HoverParams) -> lsp.Hover | None:
        analysis = await session.analysis(params.text_document.uri)
        text = hover(analysis, offset_at(analysis.source, params.position))
        return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, text)) if text else None

    @server.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    async def defined(params: lsp.DefinitionParams) -> lsp.Location | None:
        analysis = await session.analysis(params.text_document.uri)
        found = definition(analysis, offset_at(analysis.source, params.position))
        return location_of(found) if found is not None else None

    @server.feature(lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(trigger_characters=list(TRIGGERS)))
    async def completed(params: lsp.CompletionParams) -> lsp.CompletionList:
        uri = params.text_document.uri
        text = session.texts.text(path_of(uri))
        offset = offset_at(Source(uri, text), params.position)
        latest = session.texts.latest(path_of(uri))
        if latest is None or not is_known(latest, text, offset):
            latest = await session.analysis(uri)
        return saying.completion(completions(latest, text, offset))

    @server.feature(lsp.TEXT_DOCUMENT_INLAY_HINT)
    async def hinted(params: lsp.InlayHintParams) -> list[lsp.InlayHint]:
        analysis = await session.analysis(params.text_document.uri)
        first, last = params.range.start.line, params.range.end.line
        return [saying.inlay(it, analysis.source) for it in inlays(analysis) if first <= it.line - 1 <= last]

    @server.feature(lsp.TEXT_DOCUMENT_CODE_ACTION, lsp.CodeActionOptions([lsp.CodeActionKind.QuickFix]))
    async def mended(params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
        uri = params.text_document.uri
        return list(saying.fixes(await session.analysis(uri), uri, params.range))

    @server.feature(lsp.TEXT_DOCUMENT_PREPARE_RENAME)
    async def asked_to_rename(params: lsp.PrepareRenameParams) -> lsp.Range:
        analysis = await session.analysis(params.text_document.uri)
        try:
            return range_of(renamed_at(analysis, offset_at(analysis.source, params.position)))
        except Refused as reason:
            raise JsonRpcInvalidParams(str(reason)) from None

    @server.feature(lsp.TEXT_DOCUMENT_RENAME, lsp.RenameOptions(prepare_provider=True))
    async def renamed(params: lsp.RenameParams) -> lsp.WorkspaceEdit:
        uri = params.text_document.uri
        analysis = await session.analysis(uri)
        offset = offset_at(analysis.source, params.position)
        try:
            edits = await session.apart(lambda: rename(session.texts, path_of(uri), offset, params.new_name))
        except Refused as reason:
            raise JsonRpcInvalidParams(str(reason)) from None
        changes: dict[str, list[lsp.TextEdit]] = {}
        for edit in edits:
            tree = session.texts.tree_of(edit.path)
            assert tree is not None
            source = tree.span.source
            place = lsp.Range(position_at(source, edit.start), position_at(source, edit.end))
            changes.setdefault(path_to_uri(edit.path), []).append(lsp.TextEdit(place, edit.text))
        return lsp.WorkspaceEdit(changes=dict(changes))

    @server.feature(lsp.TEXT_DOCUMENT_FORMATTING)
    async def laid_out(params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit]:
        path = path_of(params.text_document.uri)
        source = Source(str(path), session.texts.text(path))
        edits = await session.apart(lambda: formatting(path, source.text))
        return [lsp.TextEdit(range_of(Span(source, edit.start, edit.end)), edit.text) for edit in edits]

    @server.feature(lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    async def outlined(params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
        return list(saying.outline((await session.analysis(params.text_document.uri)).file))

    return server
