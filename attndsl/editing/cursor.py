"""Where the cursor is: the statement before it, read with a mark in the place of what is missing."""

from __future__ import annotations

import re

from attndsl.diagnostics import Source
from attndsl.records import Frozen
from attndsl.syntax import tree
from attndsl.syntax.keywords import starts_declaration
from attndsl.syntax.lexer import CLOSING, continues_at, next_text
from attndsl.syntax.limits import survey
from attndsl.syntax.parser import Parsing

MARK = "__here__"
_WORD = re.compile(r"[A-Za-z_]\w*\Z")
_POINTS = re.compile(r'"(?:[^"\\\n]|\\.)*"?|#[^\n]*|///[^\n]*|[()\[\]{}\n]')


class CursorPlace(Frozen, eq=False):
    """The cursor in a text: the declaration, the body and the statement that it is in begin at these offsets, `before`
    is the statement up to the word being typed, `closers` what closes its brackets."""

    text: str
    offset: int
    declaration: int
    body: int
    statement: int
    before: str
    closers: str
    depth: int

    @classmethod
    def of(cls, text: str, offset: int) -> CursorPlace | None:
        """None inside a string or a comment."""
        begin = text.rfind("\n", 0, offset) + 1
        while begin and not starts_declaration(text, begin):
            begin = text.rfind("\n", 0, begin - 1) + 1
        opened: list[tuple[str, int]] = []
        statement = begin
        for point in _POINTS.finditer(text, begin, offset):
            mark = point.group()
            if mark in CLOSING:
                opened.append((mark, point.start()))
                statement = point.end() if mark == "{" else statement
            elif mark in ")]}":
                while opened and opened.pop()[0] != {")": "(", "]": "[", "}": "{"}[mark]:
                    pass
            elif mark == "\n":
                if (not opened or opened[-1][0] == "{") and not continues_at(text, point.end()):
                    statement = min(next_text(text, point.end()), offset)
            elif point.end() == offset and (
                mark[0] in "#/" or (mark[0] == '"' and (len(mark) == 1 or mark[-1] != '"'))
            ):
                return None
        body = next((at for mark, at in reversed(opened) if mark == "{"), begin)
        word = _WORD.search(text, statement, offset)
        closers = "".join(CLOSING[mark] for mark, at in reversed(opened) if at > body and mark != "{")
        end = word.start() if word else offset
        depth = sum(mark == "{" for mark, _ in opened)
        return cls(text, offset, begin, body, statement, text[statement:end].lstrip(), closers, depth)

    def tree(self) -> tuple[tree.Statement, list[tree.Tree]] | None:
        """The statement with the mark in it, and the nodes around the mark, the innermost first."""
        for rest in (self.closers, self.closers + " {\n}", self.closers + " = 0", self.closers + ": [a] = 0"):
            source = Source("", f"block b() {{\n{self.before}{MARK}{rest}\n}}\n")
            brackets = survey(source)
            if brackets.refusal is not None:
                return None
            parsing = Parsing(source, brackets)
            file = parsing.run()
            if parsing.diagnostics or not file.declarations:
                continue
            block = file.declarations[0]
            if isinstance(block, tree.Block) and block.body:
                around = _around(block.body[0])
                return (block.body[0], around) if around else None
        return None


def _around(node: tree.Tree) -> list[tree.Tree]:
    if isinstance(node, (tree.Name, tree.Identifier)) and node.text == MARK:
        return [node]
    for child in tree.children(node):
        found = _around(child)
        if found:
            return [*found, node]
    return []
