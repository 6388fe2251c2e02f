"""What must hold of every text that is formatted, and texts in disorder to hold it on."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import attndsl
from attndsl.diagnostics import Source
from attndsl.formatting import format_text
from attndsl.graph.text import to_text
from attndsl.syntax.lexer import NEWLINE, Token, doc_text
from attndsl.syntax.parser import parse
from attndsl.syntax.printer import to_outline
from attndsl.syntax.tables import END

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```attn[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"#[^\n]*")
_PLACE = re.compile(r" (?:at|from) \S+:\d+:\d+")
_GOES_ON = {"PIPE", "OR", "AND", "PLUS", "TIMES", "ELSE", "AS", "ARROW", "LBRACE", "DIVIDE", "EQUALS"}


def violations(text: str) -> list[str]:
    """What does not hold of `text`, formatted: that it stays as it is when it is formatted again, that it says the
    same, that every comment stands between the same tokens, and that the author's spaces made no difference."""
    formatted = format_text(text, "text")
    found = []
    if format_text(formatted, "text") != formatted:
        found.append("it changes again")
    if _tree(formatted) != _tree(text):
        found.append("it says something else")
    if _with_comments(formatted) != _with_comments(text):
        found.append("a comment is gone, or elsewhere")
    if format_text(disordered(text, 0, comments=False), "text") != formatted:
        found.append("how it was written shows")
    return found


def graph_text(text: str) -> str:
    """The graph of a text, without the places that its nodes come from."""
    return _PLACE.sub("", to_text(attndsl.parse(text).graph))


def _tree(text: str) -> str:
    file, found = parse(Source("text", text))
    assert not found, found[0].message
    return to_outline(file, positions=False)


def tokens_of(text: str) -> list[Token]:
    tokens: list[Token] = []
    _, found = parse(Source("text", text), tokens)
    assert not found, found[0].message
    return tokens


def _with_comments(text: str) -> list[tuple[str, str]]:
    """Tokens and comments in their order, and whether a comment has a line of its own; commas at the end of a list mean
    nothing."""
    said: list[tuple[str, str]] = []
    end = 0
    for token in tokens_of(text):
        for comment in _COMMENT.finditer(text, end, token.start if token.kind != NEWLINE else token.end):
            alone = not text[text.rfind("\n", 0, comment.start()) + 1 : comment.start()].strip()
            said.append(("alone" if alone else "behind", comment.group().rstrip()))
        end = token.end
        if token.kind in ("RPAR", "RSQB", "RBRACE", NEWLINE, END):
            last = next((n for n in range(len(said) - 1, -1, -1) if said[n][0] not in ("alone", "behind")), 0)
            if said and said[last] == ("COMMA", ","):
                del said[last]
        if token.kind not in (NEWLINE, END):
            said.append((token.kind, doc_text(token.text) if "DOC" in token.kind else token.text))
    return said


def disordered(text: str, seed: int, *, comments: bool) -> str:
    """The same program, written down by somebody who cares for nothing: other spaces and lines, and where `comments`
    says so other empty lines and comments everywhere."""
    choice = random.Random(seed)
    tokens = [token for token in tokens_of(text) if token.kind != NEWLINE]
    on_a_line = _on_a_line(text, tokens)
    parts: list[str] = []
    opened: list[str] = []
    end = 0
    for number, token in enumerate(tokens):
        before = tokens[number - 1].kind if number else ""
        inside = bool(opened) and opened[-1] in "(["
        may_end = not on_a_line[number] and (inside or before in ("COMMA", "LBRACE") or token.kind in _GOES_ON)
        parts += [_between(text[end : token.start], before, may_end, choice, comments), token.text]
        if token.text in ("(", "[", "{"):
            opened.append(token.text)
        elif token.text in (")", "]", "}"):
            opened.pop()
        end = token.end
    return "".join(parts)


def _between(gap: str, before: str, may_end: bool, choice: random.Random, comments: bool) -> str:
    if not before or "DOC" in before or "#" in gap:
        return gap
    ends = may_end and choice.random() < 0.2
    spaces = " " * choice.choice((1, 1, 3))
    if "\n" not in gap and not ends:
        return gap and spaces
    if not comments:
        return (gap.rstrip(" ") if "\n" in gap else "\n") + spaces
    behind = choice.choice(("", "", "", f"  # behind {choice.random()}", "#behind"))
    alone = ("", f"   # alone {choice.random()}", "#alone \t")
    lines = [choice.choice(alone) for _ in range(choice.choice((0, 0, 0, 1, 2, 3)))]
    return "\n".join([behind, *lines, spaces])


def _on_a_line(text: str, tokens: list[Token]) -> list[bool]:
    """For each token, whether it is in braces that are opened and closed on one line: they stay so."""
    found = [False] * len(tokens)
    opened: list[int] = []
    for number, token in enumerate(tokens):
        if token.kind == "LBRACE":
            opened.append(number)
        elif token.kind == "RBRACE":
            first = opened.pop()
            if "\n" not in text[tokens[first].start : token.start]:
                found[first + 1 : number + 1] = [True] * (number - first)
    return found


def shipped() -> Iterator[tuple[str, str]]:
    """Every shipped file: its path, and its text."""
    for path in sorted((ROOT / "specs").rglob("*.attn")):
        yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def documented() -> Iterator[tuple[str, str]]:
    """Every block of attn in the documents, where it stands, as a file; those that are wrong on purpose too."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        written = page.read_text(encoding="utf-8")
        for block in _FENCE.finditer(written):
            line = written.count("\n", 0, block.start()) + 1
            yield f"{page.relative_to(ROOT)}:{line}", block[1]


def as_file(text: str) -> str | None:
    """A block as a file: as it is, or as the statements of a model; None where it is wrong on purpose."""
    for whole in (text, f"model M {{\n{text}}}\n"):
        if not parse(Source("text", whole))[1]:
            return whole
    return None
