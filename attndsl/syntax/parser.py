"""Text → tree: the LALR(1) automaton of `grammars/attn.lark`, which picks up again after every mistake.

The tree is built while parsing, so nothing recurses however deep a text nests. On a mistake the parser says what is
wrong (`attndsl.syntax.mistakes`), drops the statement that it stands in, and goes on with the next one; the body of a
`repeat`, a block or a model whose first line is wrong is still read, so that two mistakes give two errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from attndsl.diagnostics import MOST_TOLD, AttnError, Diagnostic, Label, Source, Span, nearest
from attndsl.syntax.build import TreeBuilder
from attndsl.syntax.keywords import lines, starts_declaration
from attndsl.syntax.lexer import NEWLINE, Lexer, Token, Vocabulary, continues_at, next_text
from attndsl.syntax.limits import MAX_BYTES, Brackets, survey, too_deep, too_large
from attndsl.syntax.reading import read_source
from attndsl.syntax.tables import END, Production, Tables, tables
from attndsl.syntax.tree import File

_OPENING = {"LPAR", "LSQB", "LBRACE"}
_CLOSING = {"RPAR", "RSQB", "RBRACE"}
_STOPS = re.compile(r'"(?:[^"\\\n]|\\.)*"?|#[^\n]*|[()\[\]{}\n,]')
_WEIGHTS_ENTRY = re.compile(r'(?:(?:prefix|ignore)[ \t]+)?"')
_WORD = re.compile(r"[A-Za-z_]\w*")


def parse(source: Source, tokens: list[Token] | None = None) -> tuple[File, list[Diagnostic]]:
    """The tree of a text, and every mistake in it, in the order of the text.

    With mistakes the tree holds the statements and declarations that could be read. A text beyond the limits of
    `attndsl.syntax.limits` gives an empty tree and the one diagnostic that says so. The tokens are added to `tokens`.
    """
    if len(source.text) > MAX_BYTES:
        return File(Span(source, 0, 0), (), None), [too_large(source.name, len(source.text))]
    brackets = survey(source)
    if brackets.refusal is not None:
        return File(Span(source, 0, len(source.text)), (), None), _or_something_else(source, [brackets.refusal])
    parser = Parsing(source, brackets)
    file = parser.run(tokens)
    found = sorted(dict.fromkeys(parser.diagnostics + parser.builder.diagnostics), key=_place)  # each once
    if not found and brackets.may_be_deep and (refusal := too_deep(file)):
        return File(file.span, (), None), [refusal]
    if not found and not file.declarations:
        from attndsl.syntax import mistakes

        found.append(mistakes.nothing_declared(source))
    return file, _or_something_else(source, found)


def _or_something_else(source: Source, found: list[Diagnostic]) -> list[Diagnostic]:
    """Mistakes, or that the text is no spec."""
    if not found:
        return found
    from attndsl.syntax.foreign import something_else  # only a text with a mistake pays for it

    told = something_else(source, len(found))
    return [told] if told is not None else found


def parse_file(path: str) -> File:
    """The tree of the file at `path`. Raises `AttnError` with every mistake, or the reason why it cannot be read."""
    file, found = parse(read_source(path))
    if found:
        raise AttnError(*found)
    return file


def _indent(text: str, offset: int) -> int:
    """The width of the white space at the start of the line of `offset`."""
    line = text.rfind("\n", 0, offset) + 1
    return re.compile(r"[ \t]*").match(text, line).end() - line  # type: ignore[union-attr]


def _after_comma(text: str, offset: int) -> bool:
    """Whether a comma is the last thing on the line before `offset`."""
    at = offset
    while at and text[at - 1] in " \t\r":
        at -= 1
    return at > 0 and text[at - 1] == ","


def _place(diagnostic: Diagnostic) -> int:
    return diagnostic.primary.span.start if diagnostic.primary else -1


@lru_cache(maxsize=1)
def _vocabulary() -> Vocabulary:
    return Vocabulary(tables())


@lru_cache(maxsize=256)
def _body_word(word: str) -> str:
    """The word before a body that `word` is, or is a slip for; "" where it is none."""
    bodies = tables().bodies
    return word if word in bodies else nearest(word, bodies) or ""


class Parsing:
    """One run over one text. The four stacks grow and shrink together; entry 0 is the start state."""

    def __init__(self, source: Source, brackets: Brackets) -> None:
        self.source = source
        self.text = source.text
        self.brackets = brackets
        self.tables: Tables = tables()
        self.builder = TreeBuilder(source)
        self.lexer = Lexer(source.text, _vocabulary(), brackets.unclosed)
        self.diagnostics: list[Diagnostic] = []
        self.states = [self.tables.start]
        self.values: list[object] = [None]
        self.starts = [0]
        self.ends = [0]
        self.before = self.states[:]
        """The states before the current token made the parser reduce."""
        self.last_mistake = -1
        self.indented = False  # whether a body was found that is set off by indentation instead of braces

    def run(self, tokens: list[Token] | None = None) -> File:
        rows, accept = self.tables.rows, self.tables.accept
        while True:
            token = self.lexer.next(rows[self.states[-1]])
            if tokens is not None:
                tokens.append(token)
            if not self.feed(token):
                self.recover(token)
            elif self.states[-1] == accept:
                file = self.values[-1]
                assert isinstance(file, File)
                return file

    # ---------------------------------------------------------------- the automaton

    def feed(self, token: Token) -> bool:
        """Reduce as `token` asks and shift it; False where it cannot stand. `$END` is not shifted: see `run`."""
        rows, rules = self.tables.rows, self.tables.rules
        states, values, starts, ends = self.states, self.values, self.starts, self.ends
        kind = token.kind
        self.before = states[:]
        while True:
            action = rows[states[-1]].get(kind)
            if action is None:
                return kind == END and states[-1] == self.tables.accept
            if action >= 0:
                states.append(action)
                values.append(token)
                starts.append(token.start)
                ends.append(token.end if kind != NEWLINE else token.start)
                return True
            rule = rules[~action]
            if rule.is_unit:
                states[-1] = rows[states[-2]][rule.origin]
                continue
            count = rule.length
            if count:
                parts = values[-count:]
                start, end = starts[-count], ends[-1]
                del states[-count:], values[-count:], starts[-count:], ends[-count:]
            else:
                parts = []
                start = end = ends[-1]
            values.append(self.build(rule, parts, start, end))
            states.append(rows[states[-1]][rule.origin])
            starts.append(start)
            ends.append(end)

    def build(self, rule: Production, parts: list[Any], start: int, end: int) -> object:
        children: list[Any] = []
        for index, inline in rule.plan:
            part: Any = parts[index] if index >= 0 else None
            if not inline:
                children.append(part)
            elif children:
                children.extend(part)
            else:
                children = part  # the list of a helper is used once: growing it in place keeps long lists linear
        if rule.action is None:
            return children
        return getattr(self.builder, rule.action)(Span(self.source, start, end), children)

    def accepts(self, kind: str) -> bool:
        """Whether a token of this kind could have stood here instead of the last one that was fed.

        The row alone says yes too often, as LALR merges states.
        """
        rows, rules = self.tables.rows, self.tables.rules
        states = self.before[:]
        while (action := rows[states[-1]].get(kind)) is not None:
            if action >= 0:
                return True
            rule = rules[~action]
            if rule.length:
                del states[-rule.length :]
            states.append(rows[states[-1]][rule.origin])
        return kind == END and states[-1] == self.tables.accept

    def awaits_value(self) -> bool:
        """Whether the last token that was fed stands where a value can."""
        return all(self.accepts(kind) for kind in ("NAME", "NUMBER", "LPAR"))

    # ---------------------------------------------------------------- after a mistake

    def recover(self, token: Token) -> None:
        """Say what is wrong at `token`, and go on from where the text makes sense again."""
        from attndsl.syntax import mistakes  # only a text with a mistake pays for it

        depth = self.statement_depth()
        start = self.starts[depth] if depth < len(self.states) else token.start
        is_new = token.start > self.last_mistake or token.kind == END
        self.last_mistake = token.start
        at = len(self.text) if token.kind == END else self.declaration_line(token)
        if at is not None and self.open_braces():
            if is_new:
                self.note(token, lambda: mistakes.missing_brace(self, at))
            self.close_braces(at)
            return
        missing = self.insert_brace(token, start)
        if missing:
            if is_new:
                self.note(token, lambda: mistakes.missing_mark(self, token, missing))
            return
        if is_new:
            self.note(token, lambda: mistakes.explain(self, token, depth))
        nothing_dropped = depth == len(self.states)
        if not nothing_dropped and token.kind != NEWLINE and self.feed(Token(NEWLINE, "", token.start, token.start)):
            start, nothing_dropped = token.start, True  # the statement was whole: only what follows it is wrong
        else:
            self.truncate(depth)
        if token.kind == END:
            return
        end = max(self.statement_end(start, token), token.start)
        header_end = self.header_end(start, end, token)
        if header_end is not None and self.stand_in(start, header_end):
            return
        if nothing_dropped:
            end = max(end, token.end) if not self.is_spare_brace(token) else token.end
        self.last_mistake = max(end, self.last_mistake)
        self.lexer.resume(end, self.open_brackets())

    def note(self, token: Token, explained: Callable[[], Diagnostic | None]) -> None:
        """Keep a mistake at `token`, unless it is part of an earlier one. Those beyond the ones that are shown are only
        counted, and need no explanation."""
        if len(self.diagnostics) < MOST_TOLD:
            found = explained()
            self.diagnostics += [found] if found is not None else []
        else:
            place = Label(Span(self.source, token.start, token.end))
            self.diagnostics.append(Diagnostic("E0010", "this is not allowed here", place))

    def statement_depth(self) -> int:
        """Where on the stacks the statement begins that is being read."""
        closed = 0
        for index in range(len(self.states) - 1, -1, -1):
            value = self.values[index]
            kind = value.kind if isinstance(value, Token) else ""
            if kind in _CLOSING:
                closed += 1
            elif closed:
                closed -= kind in _OPENING
            elif self.states[index] in self.tables.resuming:
                return index + 1
        raise AssertionError("the start state is at the start of a statement")

    def truncate(self, depth: int) -> None:
        del self.states[depth:], self.values[depth:], self.starts[depth:], self.ends[depth:]

    def open_tokens(self) -> list[Token]:
        """The brackets that are open, outermost first."""
        opened: list[Token] = []
        for value in self.values:
            if isinstance(value, Token):
                if value.kind in _OPENING:
                    opened.append(value)
                elif value.kind in _CLOSING:
                    opened.pop()
        return opened

    def owner(self) -> list[str]:
        """The one or two tokens before the innermost open bracket, if that is a brace: whose body is being read."""
        opened = self.open_tokens()
        body = self.values.index(opened[-1]) if opened and opened[-1].text == "{" else 0
        return [value.kind for value in self.values[max(0, body - 2) : body] if isinstance(value, Token)]

    def open_braces(self) -> bool:
        return any(token.kind == "LBRACE" for token in self.open_tokens())

    def open_brackets(self) -> list[str]:
        return [token.text for token in self.open_tokens() if token.start not in self.brackets.unclosed]

    def declaration_line(self, token: Token) -> int | None:
        """The start of the line of `token`, if a declaration starts there inside of another one."""
        line = self.text.rfind("\n", 0, token.start) + 1
        opened = self.open_tokens()
        return line if opened and opened[0].start < line and starts_declaration(self.text, line) else None

    def close_braces(self, at: int) -> None:
        """Go on at `at` as if every open brace had been closed there."""
        self.truncate(self.statement_depth())
        closing = Token("RBRACE", "}", at, at)
        while self.open_braces():
            if not self.feed(closing):
                first = next(i for i, v in enumerate(self.values) if isinstance(v, Token) and v.kind == "LBRACE")
                self.truncate(first)
                self.truncate(self.statement_depth())
        self.feed(Token(NEWLINE, "", at, at))
        self.lexer.resume(at, [])

    def insert_brace(self, token: Token, start: int) -> str:
        """Put in a brace that is plainly missing before `token`, and go on there; which one, or nothing."""
        text, resume_at = self.text, token.start
        owner = self.owner()
        if token.kind == NEWLINE and self.accepts("LBRACE") and _indent(text, token.end) > _indent(text, start):
            mark, kinds, resume_at = "{", ["LBRACE"], token.end
        elif token.kind == "ELSE" and "IF" in owner:
            mark, kinds = "}", ["RBRACE"]
        elif "CONFIG" in owner and _WEIGHTS_ENTRY.match(text, start):
            self.truncate(self.statement_depth())
            mark, kinds, resume_at = "}", ["RBRACE", NEWLINE], start
        else:
            return ""
        if not all(self.feed(Token(kind, mark, self.ends[-1], self.ends[-1])) for kind in kinds):
            return ""
        self.lexer.resume(resume_at, self.open_brackets())
        return mark

    def is_spare_brace(self, token: Token) -> bool:
        """Whether `token` is a `{` too many: the text holds no `}` for the one around it."""
        return token.kind == "LBRACE" and any(
            bracket.start in self.brackets.unclosed for bracket in self.open_tokens() if bracket.kind == "LBRACE"
        )

    def statement_end(self, start: int, token: Token) -> int:
        """Where the statement that starts at `start` and goes wrong at `token` ends: before a newline or a brace."""
        text, at = self.text, start
        awaits_value = token.kind == NEWLINE and self.awaits_value()
        top_level = not self.open_braces()
        entries = "CONFIG" in self.owner()
        while (stop := _STOPS.search(text, at)) is not None:
            offset, mark = stop.start(), stop.group()[0]
            at = stop.end()
            if mark in "([{":
                at = self.brackets.closing.get(offset, at - 1) + 1
            elif mark == "}":
                if offset not in self.brackets.stray and not top_level:
                    return offset
            elif mark == ",":
                if entries and offset >= token.start:
                    return at
            elif mark == "\n":
                if starts_declaration(text, at):
                    return offset
                said = next_text(text, at)
                goes_on = offset < token.start or continues_at(text, said) or _after_comma(text, offset)
                # `x = a +` and the rest on the next line are one mistake.
                if goes_on or (offset == token.start and awaits_value and not lines().like_statement.match(text, at)):
                    at = max(at, text.rfind("\n", at, said) + 1)  # lines that hold nothing are passed at once
                    continue
                if not top_level or lines().like_declaration.match(text, at):
                    return offset
        return len(text)

    def header_end(self, start: int, end: int, token: Token) -> int | None:
        """The offset of the `{` after a first line that went wrong, if what follows is a body of statements."""
        first = _WORD.match(self.text, start)
        word = _body_word(first.group()) if first else ""
        if not word or (word in self.tables.statements) != self.open_braces():
            return None
        at = start
        while (stop := _STOPS.search(self.text, at, end)) is not None:
            offset, mark = stop.start(), stop.group()
            at = stop.end()
            if mark == "{":
                return offset if token.start <= offset and offset in self.brackets.closing else None
            if mark in ("(", "["):
                at = self.brackets.closing.get(offset, at - 1) + 1
        return None

    def stand_in(self, start: int, brace: int) -> bool:
        """Put a first line without mistakes before the body at `brace`, so that the body is read."""
        if not self.open_braces():
            kinds = ("MODEL", "NAME")
        elif self.text.startswith("if", start):
            kinds = ("IF", "TRUE")  # an `else` may follow
        else:
            kinds = ("SCOPE", "NAME")
        if not all(self.feed(Token(kind, "_", start, brace)) for kind in kinds):
            return False
        self.last_mistake = brace
        self.lexer.resume(brace, self.open_brackets())
        return True
