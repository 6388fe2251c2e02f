"""Our records in the protocol's: diagnostics with their two places, fixes as edits, suggestions with their kinds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attndsl.diagnostics import MOST_TOLD, Diagnostic, Source
from attndsl.editing import Analysis, Inlay, Suggestion
from attndsl.language_server.places import location_of, path_to_uri, position_at, range_of
from attndsl.lazy import lsp
from attndsl.shipped import SHIPPED
from attndsl.syntax import tree

_KINDS = {
    "variable": "Variable",
    "layer": "Module",
    "hyperparameter": "Property",
    "axis": "TypeParameter",
    "block": "Function",
    "mask": "Interface",
    "bias": "Interface",
    "primitive": "Operator",
    "initialiser": "Constant",
    "value": "Value",
    "keyword": "Keyword",
    "model": "Class",
    "variant": "EnumMember",
    "file": "File",
    "dtype": "Struct",
}


def diagnostics(analysis: Analysis) -> list[lsp.Diagnostic]:
    """The diagnostics of a text, as many as a command line tells."""
    found = sorted(analysis.diagnostics, key=lambda it: it.is_warning)
    return [_diagnostic(it, analysis.source) for it in found[:MOST_TOLD]]


def _diagnostic(it: Diagnostic, source: Source) -> lsp.Diagnostic:
    start = lsp.Position(0, 0)
    place, others = lsp.Range(start, start), [*it.secondary]
    if it.primary is not None and it.primary.span.in_file.source is source:
        place = range_of(it.primary.span)
    elif it.primary is not None:  # in a file that this one imports
        others.insert(0, it.primary)
    lines = [it.message, it.primary.text if it.primary is not None else ""]
    lines += [*(f"note: {note}" for note in it.notes), *(f"help: {help}" for help in it.helps)]
    return lsp.Diagnostic(
        range=place,
        message="\n".join(line for line in lines if line),
        severity=lsp.DiagnosticSeverity.Warning if it.is_warning else lsp.DiagnosticSeverity.Error,
        code=it.code,
        code_description=lsp.CodeDescription(path_to_uri(SHIPPED / "diagnostics" / "errors" / f"{it.code}.md")),
        source="attndsl",
        related_information=[
            lsp.DiagnosticRelatedInformation(location_of(label.span), label.text or "here") for label in others
        ],
    )


def fixes(analysis: Analysis, uri: str, wanted: lsp.Range) -> Iterator[lsp.CodeAction]:
    """What can be mended at a place by writing something else."""
    for it in analysis.diagnostics:
        for help, span, text in it.fixes:
            place = range_of(span)
            here = it.primary is not None and span.in_file.source is analysis.source
            if not here or place.end.line < wanted.start.line or place.start.line > wanted.end.line:
                continue
            yield lsp.CodeAction(
                title=f"{help.rstrip('?')} → `{text}`" if f"`{text}`" not in help else help,
                kind=lsp.CodeActionKind.QuickFix,
                diagnostics=[_diagnostic(it, analysis.source)],
                edit=lsp.WorkspaceEdit(changes={uri: [lsp.TextEdit(place, text)]}),
            )


def completion(found: Iterable[Suggestion]) -> lsp.CompletionList:
    return lsp.CompletionList(
        is_incomplete=False,
        items=[
            lsp.CompletionItem(
                label=it.label,
                kind=getattr(lsp.CompletionItemKind, _KINDS[it.kind]),
                detail=it.detail or None,
                documentation=lsp.MarkupContent(lsp.MarkupKind.Markdown, it.doc) if it.doc else None,
                sort_text=f"{it.rank}{it.label}",
                insert_text=it.text or None,
            )
            for it in found
        ],
    )


def inlay(it: Inlay, source: Source) -> lsp.InlayHint:
    return lsp.InlayHint(
        position=position_at(source, it.offset), label=it.text, kind=lsp.InlayHintKind.Type, padding_left=True
    )


_SYMBOLS: dict[type, str] = {
    tree.Model: "Class",
    tree.Block: "Function",
    tree.IndexFunction: "Interface",
    tree.Variant: "EnumMember",
    tree.Maps: "Object",
}


def outline(file: tree.File) -> Iterator[lsp.DocumentSymbol]:
    """The declarations of a file that have names, and its sections by their models'."""
    for declaration in file.declarations:
        if isinstance(declaration, tree.Use):
            continue
        at = declaration.model if isinstance(declaration, (tree.Weights, tree.Train)) else declaration.name
        section = type(declaration).__name__.lower() if at is getattr(declaration, "model", None) else ""
        kind = getattr(lsp.SymbolKind, _SYMBOLS.get(type(declaration), "Namespace"))
        yield lsp.DocumentSymbol(f"{section} {at.text}".strip(), kind, range_of(declaration.span), range_of(at.span))
