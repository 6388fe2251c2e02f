"""The server as an editor meets it: messages over pipes, one process for all tests."""

from __future__ import annotations

import json
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from attndsl.formatting import format_text
from attndsl.shipped import SHIPPED

pytest.importorskip("pygls")

SECONDS = 60

TEXT = """model M(vocab=100, width=64, heads=4) {
  input tokens: int[B, T]
  x = embeding(tokens, vocab, width)
  output logits = x
}

block wide(factor)(x: [*, D]) -> [*, D] {
  return linear(x, D)
}
"""


class Editor:
    """One editor's side of the pipes."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "attndsl", "lsp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.said: queue.Queue[dict[str, Any]] = queue.Queue()
        self.number = 0
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        while header := self.process.stdout.readline():
            size = int(header.split(b":")[1])
            while self.process.stdout.readline().strip():
                pass
            self.said.put(json.loads(self.process.stdout.read(size)))

    def send(self, **message: Any) -> None:
        assert self.process.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def ask(self, method: str, **params: Any) -> Any:
        """The result of a request, or its error."""
        self.number += 1
        self.send(id=self.number, method=method, params=params)
        while True:
            message = self.said.get(timeout=SECONDS)
            if message.get("id") == self.number:
                return message.get("result", message.get("error"))

    def diagnostics(self, uri: str, version: int | None = None) -> list[dict[str, Any]]:
        """The next ones that are published for a text as it is in a version; without one, for a text that is closed.
        Where another text was opened, those from before may come again."""
        while True:
            message = self.said.get(timeout=SECONDS)
            if message.get("method") == "textDocument/publishDiagnostics":
                told = message["params"]
                if (told["uri"], told.get("version")) == (uri, version):
                    return told["diagnostics"]

    def open(self, path: Path, text: str) -> tuple[str, list[dict[str, Any]]]:
        uri = path.as_uri()
        item = {"uri": uri, "languageId": "attn", "version": 1, "text": text}
        self.send(method="textDocument/didOpen", params={"textDocument": item})
        return uri, self.diagnostics(uri, 1)

    def change(self, uri: str, text: str, version: int = 2) -> list[dict[str, Any]]:
        whole = {"textDocument": {"uri": uri, "version": version}, "contentChanges": [{"text": text}]}
        self.send(method="textDocument/didChange", params=whole)
        return self.diagnostics(uri, version)

    def is_told(self, uri: str, codes: list[str]) -> None:
        """The diagnostics of a text become these without a change of its own."""
        while [it["code"] for it in self.diagnostics(uri, 1)] != codes:
            pass


@pytest.fixture(scope="module")
def editor() -> Iterator[Editor]:
    editor = Editor()
    assert editor.ask("initialize", processId=None, rootUri=None, capabilities={})["serverInfo"]["name"] == "attndsl"
    editor.send(method="initialized", params={})
    yield editor
    editor.ask("shutdown")
    editor.send(method="exit")
    assert editor.process.wait(SECONDS) == 0
    editor.listener.join(SECONDS)
    for pipe in (editor.process.stdin, editor.process.stdout):
        assert pipe is not None
        pipe.close()


def at(uri: str, text: str, place: str, inside: int = 0) -> dict[str, Any]:
    """The parameters that name a place, by the words that stand there."""
    before = text[: text.index(place) + inside]
    position = {"line": before.count("\n"), "character": len(before) - before.rfind("\n") - 1}
    return {"textDocument": {"uri": uri}, "position": position}


def edited(text: str, edits: list[dict[str, Any]]) -> str:
    """A text after edits, as an editor carries them out."""
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    for edit in sorted(edits, key=lambda it: list(it["range"]["start"].values()), reverse=True):
        start, end = (starts[it["line"]] + it["character"] for it in (edit["range"]["start"], edit["range"]["end"]))
        text = text[:start] + edit["newText"] + text[end:]
    return text


def test_a_mistake_is_shown_with_its_fix_and_the_fix_mends_it(editor: Editor, tmp_path: Path) -> None:
    uri, found = editor.open(tmp_path / "a.attn", TEXT)
    assert [(it["code"], it["severity"]) for it in found] == [("E0101", 1)]
    assert found[0]["range"]["start"] == {"line": 2, "character": 6}
    assert "help: did you mean `embedding`?" in found[0]["message"]
    assert found[0]["codeDescription"]["href"].endswith("/E0101.md")
    actions = editor.ask(
        "textDocument/codeAction",
        textDocument={"uri": uri},
        range=found[0]["range"],
        context={"diagnostics": found},
    )
    assert [it["title"] for it in actions] == ["did you mean `embedding`?"]
    text = edited(TEXT, actions[0]["edit"]["changes"][uri])
    assert text == TEXT.replace("embeding", "embedding")
    assert [it["code"] for it in editor.change(uri, text)] == ["W0101"] * 3  # heads, factor and the block


def test_what_is_no_spec_is_told_once(editor: Editor, tmp_path: Path) -> None:
    uri, found = editor.open(
        tmp_path / "net.attn", "import torch\nfrom torch import nn\n\n\ndef f(x):\n    return x\n" * 9
    )
    assert [it["code"] for it in found] == ["E0006"]
    assert [it["code"] for it in editor.change(uri, TEXT)] == ["E0101"]


def test_a_conflict_is_shown_with_both_places(editor: Editor, tmp_path: Path) -> None:
    text = "model M() {\n  input x: [B]\n  output y = x\n}\nmodel M() {\n  input x: [B]\n  output y = x\n}\n"
    uri, found = editor.open(tmp_path / "b.attn", text)
    (it,) = found
    assert it["code"] == "E0107"
    assert it["range"]["start"]["line"] == 4
    (other,) = it["relatedInformation"]
    assert other["location"] == {
        "uri": uri,
        "range": {"start": {"line": 0, "character": 6}, "end": {"line": 0, "character": 7}},
    }
    assert other["message"] == "first declared here"


def test_places_are_counted_as_the_protocol_does(editor: Editor, tmp_path: Path) -> None:
    """In UTF-16 units: a letter beyond the first plane is two."""
    text = 'model M() {\n  input x: [B]\n  require "𝕏𝕏" == "a" else "no"\n  output z = lnear(x, 3)\n}\n'
    _, found = editor.open(tmp_path / "c.attn", text)
    first = next(it for it in found if it["code"] == "E0210")
    assert first["range"]["start"] == {"line": 2, "character": 2}
    assert first["range"]["end"] == {"line": 2, "character": 2 + len('require "𝕏𝕏" == "a" else "no"') + 2}


def test_every_question_has_its_answer(editor: Editor, tmp_path: Path) -> None:
    text = TEXT.replace("embeding", "embedding")
    uri, _ = editor.open(tmp_path / "d.attn", text)
    document = {"textDocument": {"uri": uri}}
    said = editor.ask("textDocument/hover", **at(uri, text, "embedding"))
    assert "block embedding(" in said["contents"]["value"]
    assert said["contents"]["kind"] == "markdown"
    place = editor.ask("textDocument/definition", **at(uri, text, "linear"))
    assert Path(place["uri"]).name == "linear.attn"
    names = [it["label"] for it in editor.ask("textDocument/completion", **at(uri, text, ", width)", 2))["items"]]
    assert "width" in names
    whole = {"start": {"line": 0, "character": 0}, "end": {"line": 20, "character": 0}}
    hints = editor.ask("textDocument/inlayHint", **document, range=whole)
    assert [(it["position"]["line"], it["label"]) for it in hints] == [
        (2, "float[B, T, width]"),
        (3, "float[B, T, width]"),
    ]
    assert [it["name"] for it in editor.ask("textDocument/documentSymbol", **document)] == ["M", "wide"]
    renamed = editor.ask("textDocument/prepareRename", **at(uri, text, "x = "))
    assert renamed["start"] == {"line": 2, "character": 2}
    edits = editor.ask("textDocument/rename", **at(uri, text, "x = "), newName="stream")
    assert edited(text, edits["changes"][uri]) == text.replace("  x = ", "  stream = ").replace(
        "logits = x", "logits = stream"
    )
    refused = editor.ask("textDocument/rename", **at(uri, text, "linear"), newName="dense")
    assert "declared in std/linear.attn" in refused["message"]


def test_formatting_edits_the_lines_that_differ(editor: Editor, tmp_path: Path) -> None:
    text = TEXT.replace("embeding", "embedding").replace("  output logits = x", "  output   logits=x   # 𝕏 last")
    uri, _ = editor.open(tmp_path / "f.attn", text)
    options = {"tabSize": 2, "insertSpaces": True}
    edits = editor.ask("textDocument/formatting", textDocument={"uri": uri}, options=options)
    assert edited(text, edits) == format_text(text, "f.attn")
    assert {edit["range"]["start"]["line"] for edit in edits} == {3}
    uri, _ = editor.open(tmp_path / "g.attn", text.replace("(tokens", "tokens"))
    assert editor.ask("textDocument/formatting", textDocument={"uri": uri}, options=options) == []


def test_every_kind_of_suggestion_is_one_of_the_protocols(editor: Editor) -> None:
    from lsprotocol.types import CompletionItemKind

    from attndsl.editing.offers import KINDS
    from attndsl.language_server import saying

    assert set(saying._KINDS) == set(KINDS)
    assert all(hasattr(CompletionItemKind, name) for name in saying._KINDS.values())


def test_a_text_that_is_closed_is_forgotten_and_can_be_opened_again(editor: Editor, tmp_path: Path) -> None:
    uri, found = editor.open(tmp_path / "h.attn", TEXT)
    assert found
    editor.send(method="textDocument/didClose", params={"textDocument": {"uri": uri}})
    assert editor.diagnostics(uri) == []
    assert editor.open(tmp_path / "h.attn", TEXT) == (uri, found)


def test_a_text_that_is_not_saved_yet_is_checked_under_its_own_name(editor: Editor) -> None:
    item = {"uri": "untitled:Untitled-1", "languageId": "attn", "version": 1, "text": TEXT}
    editor.send(method="textDocument/didOpen", params={"textDocument": item})
    assert [it["code"] for it in editor.diagnostics("untitled:Untitled-1", 1)] == ["E0101"]


def test_completion_goes_by_what_is_being_typed(editor: Editor, tmp_path: Path) -> None:
    text = TEXT.replace("embeding", "embedding")
    uri, _ = editor.open(tmp_path / "e.attn", text)
    typed = text.replace("logits = x", "logits = x |> ge")
    whole = {"textDocument": {"uri": uri, "version": 2}, "contentChanges": [{"text": typed}]}
    editor.send(method="textDocument/didChange", params=whole)
    names = [it["label"] for it in editor.ask("textDocument/completion", **at(uri, typed, "|> ge", 5))["items"]]
    assert {"gelu", "wide", "layer_norm"} <= set(names)
    assert "embedding" not in names


def test_what_an_open_file_imports_is_what_the_editor_shows_of_it(editor: Editor, tmp_path: Path) -> None:
    lib, own = tmp_path / "lib.attn", tmp_path / "own.attn"
    lib.write_text("block twice()(x: [*]) -> [*] {\n  return 2 * x\n}\n")
    text = 'use "lib.attn"\nmodel M() {\n  input x: [B]\n  output y = twice(x)\n}\n'
    uri, found = editor.open(own, text)
    assert found == []
    editor.open(lib, lib.read_text())
    editor.send(
        method="textDocument/didChange",
        params={
            "textDocument": {"uri": lib.as_uri(), "version": 2},
            "contentChanges": [{"text": lib.read_text().replace("twice", "thrice")}],
        },
    )
    editor.is_told(uri, ["E0101"])


def programs() -> list[tuple[str, str]]:
    """The wrong programs of the pages of errors that are one text."""
    found = []
    for page in sorted(SHIPPED.joinpath("diagnostics", "errors").glob("[EW]0[1-4]*.md")):
        wrong = re.search(r"```attn wrong\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        if wrong is not None and "model " in wrong[1]:
            found.append((page.stem, wrong[1]))
    return found


def test_the_server_says_what_check_says(editor: Editor, tmp_path: Path, attndsl: Any) -> None:
    """Every wrong program of the pages of errors: the same codes at the same places, with the same words."""
    path = tmp_path / "wrong.attn"
    uri, _ = editor.open(path, "")
    assert len(programs()) > 40
    for number, (code, text) in enumerate(programs(), 2):
        path.write_text(text, encoding="utf-8")
        told = json.loads(attndsl("check", str(path), "--json").out)["results"][0]["diagnostics"]
        found = editor.change(uri, text, number)
        assert [it["code"] for it in found] == [it["code"] for it in told], code
        for mine, other in zip(found, told, strict=True):
            primary = other["primary"]
            words = [other["message"], primary["text"] if primary else ""]
            words += [f"note: {note}" for note in other["notes"]] + [f"help: {help}" for help in other["helps"]]
            assert mine["message"] == "\n".join(filter(None, words)), code
            if primary is not None:
                assert mine["range"]["start"]["line"] == primary["start"]["line"] - 1, code
                assert mine["range"]["end"]["line"] == primary["end"]["line"] - 1, code
            lines = [it["location"]["range"]["start"]["line"] + 1 for it in mine["relatedInformation"]]
            assert lines == [it["start"]["line"] for it in other["secondary"]], code
