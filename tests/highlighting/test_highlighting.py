"""Colours agree with the parser: what it reads as a keyword, a number or a text is shown as one; and the files that
editors read are those of the grammar."""

from __future__ import annotations

import importlib
import json
import tomllib
from pathlib import Path

import pytest
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Token

from attndsl import __version__
from attndsl.diagnostics import Source
from attndsl.highlighting.colours import rules
from attndsl.highlighting.lexer import TOKENS, AttnLexer
from attndsl.shipped import SHIPPED
from attndsl.syntax import lexer as lexing
from attndsl.syntax.parser import Parsing, survey
from attndsl.syntax.tables import tables
from tests.scripts import script

ROOT = Path(__file__).resolve().parents[2]
SPECS = sorted([*SHIPPED.joinpath("specs").glob("*.attn"), *SHIPPED.joinpath("specs", "std").glob("*.attn")])
WRITTEN = {"NUMBER": Number, "STRING": String.Double, "DOC": String.Doc, "FILE_DOC": String.Doc}


class _Listening(lexing.Lexer):
    """Keeps the tokens that a parser was given."""

    def next(self, row: dict[str, int]) -> lexing.Token:
        token = super().next(row)
        self.__dict__.setdefault("heard", []).append(token)
        return token


def tokens_of(text: str) -> list[lexing.Token]:
    source = Source("a.attn", text)
    parsing = Parsing(source, survey(source))
    parsing.lexer = _Listening(text, parsing.lexer.vocabulary)
    parsing.run()
    assert not parsing.diagnostics
    return [token for token in parsing.lexer.heard if token.text.strip()]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_colours_are_what_the_parser_reads(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    shown = {at: (kind, value) for at, kind, value in AttnLexer().get_tokens_unprocessed(text)}
    assert not [value for kind, value in shown.values() if kind in (Token.Text, Token.Error)]
    known = tables()
    for token in tokens_of(text):
        if token.kind == "VARIANT_NAME":
            continue
        kind, value = shown[token.start]
        place = (
            f"{path.name}:{text.count(chr(10), 0, token.start) + 1}: `{token.text}` ({token.kind}) is shown as {kind}"
        )
        if token.kind in WRITTEN:
            assert kind is WRITTEN[token.kind], place
        elif token.kind == "NAME":
            assert kind in Name or (kind is Keyword.Type), place
        elif known.words.get(token.text) == token.kind:
            assert kind in Keyword or kind is Operator.Word, place
        else:
            assert kind in Operator or kind is Punctuation, place
            assert value == token.text, place


def test_comments_are_comments() -> None:
    assert [kind for kind, value in AttnLexer().get_tokens("x = 1  # a\n") if value == "# a"] == [Comment.Single]


def test_the_files_for_editors_are_those_of_the_grammar() -> None:
    for path, text in script("textmate").files().items():
        assert path.read_text(encoding="utf-8") == text, "run `python scripts/textmate.py`"


def test_every_kind_has_its_token_and_its_scope() -> None:
    kinds = {kind for rule in rules() for kind in rule.kinds}
    assert kinds == TOKENS.keys()
    assert kinds == script("textmate").SCOPES.keys()


def test_pygments_finds_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (place,) = project["entry-points"]["pygments.lexers"].values()
    module, _, name = place.partition(":")
    assert getattr(importlib.import_module(module), name) is AttnLexer
    assert "attn" in AttnLexer.aliases


def test_the_extension_names_what_there_is() -> None:
    """The extension for Visual Studio Code: its files, its grammar, its command."""
    folder = ROOT / "editors" / "vscode"
    package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    own = (folder / package["main"]).read_text(encoding="utf-8")
    assert all(f'require("{module}' in own for module in package["dependencies"])
    (language,), (grammar,) = package["contributes"]["languages"], package["contributes"]["grammars"]
    assert grammar["language"] == language["id"] == "attn"
    made = {path.name: json.loads(text) for path, text in script("textmate").files().items()}
    assert grammar["scopeName"] == made[Path(grammar["path"]).name]["scopeName"]
    assert language["extensions"] == [f".{it}" for it in made[Path(grammar["path"]).name]["fileTypes"]]
    assert Path(language["configuration"]).name in made
    prepared = (folder / "prepare.js").read_text(encoding="utf-8")
    assert all(f'"{name}"' in prepared for name in made)
    (setting,) = package["contributes"]["configuration"]["properties"].items()
    assert setting[0] == "attndsl.command"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert setting[1]["default"] in project["scripts"]
    assert 'args: ["lsp"]' in own
    assert package["version"] == __version__
