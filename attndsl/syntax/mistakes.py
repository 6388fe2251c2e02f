"""What to say about a syntax error: from the place where the parser stopped to a message in the author's words.

`explain` asks a row of questions, the most telling first; the last one always has an answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING

from attndsl.diagnostics import Diagnostic, Fix, Label, Source, Span, shortened
from attndsl.habits import MARKS, STATEMENTS, WORDS, advise_product, advise_statement
from attndsl.syntax import mistaken_habits as habits
from attndsl.syntax import mistaken_words as words
from attndsl.syntax.lexer import BAD, CLOSING, NEWLINE, Token
from attndsl.syntax.place import COMPARISONS, OPERANDS, OPERATORS, DeclaredNames, ParserPlace
from attndsl.syntax.tables import END
from attndsl.syntax.tree import Tree

if TYPE_CHECKING:
    from attndsl.syntax.parser import Parsing


def explain(parser: Parsing, token: Token, depth: int) -> Diagnostic | None:
    """The diagnostic for `token`, which cannot stand where it does; the statement begins at `depth` of the stacks. None
    for the `else` of an `if` whose body is only indented, which has been reported."""
    place = ParserPlace(parser, token, depth)
    if parser.indented and (token.text == "else" or place.first_word in ("elif", "else")):
        return None
    line = parser.text[place.start :].split("\n", 1)[0]
    parser.indented = parser.indented or line.split("#")[0].rstrip().endswith(":")
    for question in _QUESTIONS:
        found = question(place)
        if found is not None:
            return found
    return place.unexpected()


def nothing_declared(source: Source) -> Diagnostic:
    what = "is empty" if not source.text.strip() else "declares nothing"
    return Diagnostic(
        "E0005",
        f"`{source.name}` {what}",
        Label(Span(source, 0, 0)) if source.text.strip() else None,
        helps=("a file holds at least one declaration, such as `model Name(width=768) { … }`",),
    )


def missing_brace(parser: Parsing, at: int) -> Diagnostic:
    """A `{` that nothing closes, noticed at `at`: at the end of the file, or where another declaration starts."""
    brackets, text, source = parser.brackets, parser.text, parser.source
    culprit = next((b for b, where in brackets.unclosed.items() if text[b] == "{" and where >= at), None)
    if culprit is None:
        culprit = next(token.start for token in parser.open_tokens() if token.kind == "LBRACE")
    # A brace inside of it that closes further left than its own line begins closes the outer one in the author's mind.
    for opening, closing in sorted(brackets.closing.items()):
        if culprit < opening < at and text[opening] == "{" and _indent(text, closing) < _indent(text, opening):
            culprit = opening
            break
    if at >= len(text):
        end = len(text.rstrip())
        label = Label(Span(source, end, end), "the file ends here")
    else:
        end = at + (re.match(r"\w+", text[at : at + 20]) or re.match("", "")).end()  # type: ignore[union-attr]
        label = Label(Span(source, at, end), "a declaration starts here, inside of another one")
    return Diagnostic(
        "E0011", "`}` is missing", label, secondary=(Label(Span(source, culprit, culprit + 1), "to close this"),)
    )


def missing_mark(parser: Parsing, token: Token, mark: str) -> Diagnostic:
    """A brace that was left out just before `token`."""
    span = Span(parser.source, parser.ends[-1], parser.ends[-1])
    next_word = re.compile(r"\w*").match(parser.text, parser.lexer.at)
    before = "a body starts here" if mark == "{" or next_word is None else f"before `{next_word.group()}`"
    return Diagnostic("E0011", f"`{mark}` is missing", Label(span, before))


def _write(wrong: str, instead: str) -> Fix:
    return Fix.of(f"write `{instead}`", wrong, instead)


def _indent(text: str, offset: int) -> int:
    line = text.rfind("\n", 0, offset) + 1
    return len(text[line:]) - len(text[line:].lstrip(" \t"))


# ---------------------------------------------------------------- the questions


def _characters(place: ParserPlace) -> Diagnostic | None:
    """A character that starts nothing, or a string that does not end."""
    token, text, source = place.token, place.text, place.source
    if place.kind != BAD:
        return None
    if token.text == '"':
        end = text.find("\n", token.start)
        line = text[token.start : end if end >= 0 else len(text)].rstrip()
        return place.say(
            "E0013",
            "this string does not end",
            Span(source, token.start, token.start + len(line)),
            help='close it with `"`',
        )
    if token.text == "///":
        return place.say(
            "E0020", "a docstring goes on lines of its own", help="a comment after a statement starts with `#`"
        )
    if token.text == "'":
        call = habits.foreign_call(place)
        if call is not None:
            return call
        end = text.find("'", token.end)
        line_end = text.find("\n", token.end)
        stop = end + 1 if 0 <= end < (line_end if line_end >= 0 else len(text)) else token.end
        quoted = text[token.start + 1 : stop - 1]
        helps: list[str] = [_write(text[token.start : stop], f'"{quoted}"')]
        if quoted.isidentifier() and text[: token.start].endswith("="):
            helps.append(f"a block, a mask or a position has no quotes: `{quoted}`")
        return place.say("E0012", "strings go in double quotes", Span(source, token.start, stop), help=helps)
    if token.text == ";":
        return place.say("E0012", "`;` means nothing here", help="a statement ends with its line: leave it out")
    if token.text in MARKS:
        return place.say("E0012", f"`{token.text}` means nothing here", help=_write(token.text, MARKS[token.text]))
    if token.text == "@":
        if place.at_start:
            return place.say("E0012", "`@` means nothing here", help=STATEMENTS["@"])
        help = advise_product(text, token.start, DeclaredNames(text))
        return place.say("E0012", "`@` means nothing here", help=help)
    if token.text.isprintable():
        help = "names are made of `a` to `z`, `A` to `Z`, `0` to `9` and `_`" if token.text[0].isalpha() else ""
        return place.say("E0012", f"`{token.text[:20]}` means nothing here", help=help or ())
    name = unicodedata.name(token.text[0], f"character U+{ord(token.text[0]):04X}").lower()
    help = "write an ordinary space" if token.text.isspace() else "delete it"
    return place.say("E0012", f"an invisible character means nothing here: {name}", help=help)


def _fraction(place: ParserPlace) -> Diagnostic | None:
    """`.5`, `1.`, `2x`."""
    token, text = place.token, place.text
    if place.kind == "DOT" and re.match(r"\.\d", text[token.start : token.start + 2]):
        digits = re.match(r"\.\d+", text[token.start :])
        assert digits is not None
        number = re.search(r"\d[\d_.]*$", text[max(0, token.start - 40) : token.start])
        if number is not None:
            span = place.span(token.start - len(number.group()), token.start + digits.end())
            return place.say("E0014", f"`{span.text}` is not a number", span)
        span = place.span(token.start, token.start + digits.end())
        return place.say("E0014", f"`{span.text}` is not a number", span, help=_write(span.text, f"0{span.text}"))
    number = re.search(r"(?<![\w.])\d[\d_.]*$", text[max(0, token.start - 40) : token.start])
    if number is None:
        return None
    span = place.span(token.start - len(number.group()))
    if place.kind == "DOT":
        return place.say("E0014", f"`{span.text}` is not a number", span, help=_write(span.text, f"{span.text}0"))
    if place.kind == "NAME":
        help = (
            "digits are grouped as in `50_257`"
            if token.text.startswith("_")
            else f"write `{number.group()} * {token.text}`"
        )
        return place.say("E0014", f"`{span.text}` is neither a number nor a name", span, help=help)
    return None


def _docstring(place: ParserPlace) -> Diagnostic | None:
    parts = place.parts
    is_dangling = len(parts) == 1 and isinstance(parts[0], Token) and parts[0].kind == "DOC"
    if place.kind != "DOC" and not is_dangling:
        return None
    doc = place.token if place.kind == "DOC" else parts[0]
    assert isinstance(doc, Token)
    end = doc.start + len(doc.text.split("\n", 1)[0])
    return place.say(
        "E0020",
        "this docstring documents nothing",
        place.span(doc.start, end),
        help="`///` goes before a declaration, an `input` or an `output`; a comment starts with `#`",
    )


def _comment(place: ParserPlace) -> Diagnostic | None:
    """`// residual`, `/* residual */`."""
    if place.kind == "DIVIDE" and place.text.startswith("/*", place.token.start):
        return place.say("E0010", "a comment starts with `#`, and ends with its line", help="write `# …` on every line")
    if place.kind != "FLOOR_DIVIDE" or not place.at_start:
        return None
    line = place.text[place.token.end :].split("\n", 1)[0].strip()
    return place.say("E0010", "a comment starts with `#`", help=f"write `# {shortened(line)}`")


def _brackets(place: ParserPlace) -> Diagnostic | None:
    """A bracket that is missing, of the wrong kind, or too many."""
    token, bracket = place.token, place.bracket
    if bracket is not None and bracket.text != "{":
        other = Label(place.span(bracket.start, bracket.end), "to close this")
        close = CLOSING[bracket.text]
        end = place.span(place.before, place.before)
        if place.kind in (NEWLINE, END, "LBRACE") and bracket.start in place.parser.brackets.unclosed:
            return place.say("E0011", f"`{close}` is missing", end, other=other)
        if place.kind in ("RPAR", "RSQB", "RBRACE") and token.text != close:
            if token.start in place.parser.brackets.stray:
                return place.say(
                    "E0011", f"`{token.text}` cannot close `{bracket.text}`", label=f"expected `{close}`", other=other
                )
            return place.say("E0011", f"`{close}` is missing", end, other=other)
    if place.kind in ("RPAR", "RSQB", "RBRACE") and token.start in place.parser.brackets.stray:
        helps: str | tuple[str, ...] = ()
        closed = [
            close
            for close in place.parser.brackets.closing.values()
            if close < token.start and place.text[close] == "}"
        ]
        if token.text == "}" and closed:
            line = place.source.position(max(closed))[0]
            helps = f"everything before it was closed by the `}}` on line {line}"
        return place.say("E0011", f"`{token.text}` closes nothing", help=helps)
    return None


def _equals(place: ParserPlace) -> Diagnostic | None:
    if place.kind == "EQUALS" and "EQUAL" in place.expected:
        return place.say(
            "E0016",
            "`=` gives a name its value, and is not allowed here",
            help=Fix.of("to compare, write `==`", "=", "=="),
        )
    if place.kind == "EQUAL" and "EQUALS" in place.expected:
        return place.say(
            "E0016",
            "`==` compares, and is not allowed here",
            help=Fix.of("to give a name its value, write `=`", "==", "="),
        )
    if place.kind == "EQUALS" and place.text[: place.before].endswith(":") and place.before == place.token.start:
        return place.say("E0016", "there is no `:=`", place.span(place.before - 1), help=_write(":=", "="))
    return None


def _else(place: ParserPlace) -> Diagnostic | None:
    if place.kind == "ELSE" and place.at_start:
        return place.say("E0010", "this `else` follows no `if`")
    return None


def _comparison(place: ParserPlace) -> Diagnostic | None:
    if place.kind not in COMPARISONS or len(place.parts) < 3:
        return None
    operator = place.parts[-2]
    if not (
        isinstance(operator, list) and operator and isinstance(operator[0], Token) and operator[0].kind in COMPARISONS
    ):
        return None
    first, left = operator[0], place.parts[-3]
    middle = place.text[first.end : place.token.start].strip()
    before = left.span.text if isinstance(left, Tree) and len(left.span.text) < 40 else "…"
    return place.say(
        "E0017",
        "comparisons do not chain",
        other=Label(place.span(first.start, first.end), "the first comparison"),
        help=f"join two with `and`: `{before} {first.text} {middle} and {middle} {place.token.text} …`",
    )


def _operator_spelling(place: ParserPlace) -> Diagnostic | None:
    """`**`, `&&`, `||`, `+x`."""
    token = place.token
    if place.kind in ("TIMES", "AMPERSAND", "BAR") and place.text[: token.start].endswith(token.text):
        instead = MARKS[2 * token.text]
        span = place.span(token.start - 1)
        also = "" if place.kind == "TIMES" else f" (or `{token.text}` between masks)"
        return place.say(
            "E0010",
            f"there is no operator `{span.text}`",
            span,
            help=Fix.of(f"write `{instead}`{also}", span.text, instead),
        )
    if place.kind == "MORE" and place.text[: token.start].endswith("<"):
        return place.say(
            "E0010", "there is no operator `<>`", place.span(token.start - 1), help=_write("<>", MARKS["<>"])
        )
    if place.kind == "PLUS" and "MINUS" in place.expected:
        return place.say("E0010", "`+` goes between two values", help="leave it out" if place.parts else ())
    return None


def _operand(place: ParserPlace) -> Diagnostic | None:
    """Two values with nothing between them, or an operator with nothing after it."""
    token, source = place.token, place.source
    expects_value = place.parser.awaits_value()
    if expects_value and place.kind in (NEWLINE, END, "RBRACE", "RPAR", "RSQB", "COMMA") and not place.at_start:
        last = _last_token(place.parser)
        help = ""
        if place.kind == NEWLINE and last is not None and last.kind in OPERATORS:
            help = "to go on with the statement, start the next line with the operator, or put the whole in parentheses"
        after = f" after `{last.text}`" if last is not None else ""
        end = Span(source, place.before, place.before)
        return place.say("E0010", f"a value is missing{after}", end, help=help or ())
    if expects_value and place.kind in OPERATORS and place.parts and place.kind != "MINUS":
        return place.say("E0010", f"a value is missing before {place.shown()}")
    between = "PLUS" in place.expected and (place.kind in OPERANDS or place.kind == "NOT")
    if between and place.kind != "LPAR":
        help = ""
        if token.text == "for":
            line = place.text[token.start :].split("\n", 1)[0]
            return place.say("E0010", "there are no comprehensions", help=advise_statement(line))
        if place.bracket is not None and "COMMA" in place.expected:
            return place.say("E0010", f"`,` or an operator is missing before {place.shown()}")
        if place.text.rfind("//", place.start, token.start) >= 0:
            help = "`//` divides; a comment starts with `#`"
        last = _last_token(place.parser)
        if last is not None and last.text in STATEMENTS:
            return place.say(
                "E0010", f"there is no `{last.text}`", place.span(last.start, last.end), help=STATEMENTS[last.text]
            )
        if last is not None and last.text in ("f", "r", "b") and token.kind == "STRING" and last.end == token.start:
            return place.say(
                "E0010",
                "a string has no prefix",
                place.span(last.start, last.end),
                help=f"write `{token.text}`",
            )
        if last is not None and last.kind == token.kind == "NAME" and place.bracket is None:
            help = help or f"to apply `{last.text}`, write `{last.text}({token.text})`"
        asked = re.match(r"not\s+in\s+(\[[^\[\]\n]*\]|[\w.]+|)", place.text[token.start :])
        if asked is not None and token.kind == "NOT":
            element = re.search(r"[\w.\"]*\s*$", place.text[: token.start])
            way = f"write `not ({element[0].strip() or '…'} in {asked[1] or '…'})`"  # type: ignore[index]
            return place.say("E0010", "there is no operator `not in`", help=way)
        if token.text in WORDS:
            return place.say("E0010", f"there is no operator `{token.text}`", help=f"write `{WORDS[token.text]}`")
        return place.say("E0010", f"an operator is missing before {place.shown()}", help=help or ())
    if place.kind == "LPAR" and re.search(r"\bas\s+\w+\s*$", place.text[place.start : token.start]):
        return place.say("E0010", "`as` comes last", help="call first, then name the layer: `f(…)(x) as name`")
    return None


def _last_token(parser: Parsing) -> Token | None:
    part = parser.values[-1]
    if isinstance(part, list) and part:
        part = part[-1]
    return part if isinstance(part, Token) else None


_QUESTIONS: tuple[Callable[[ParserPlace], Diagnostic | None], ...] = (
    _characters,
    _fraction,
    _docstring,
    _comment,
    _brackets,
    _else,
    _equals,
    _comparison,
    _operator_spelling,
    words.reserved,
    words.unknown_word,
    words.unused_value,
    habits.nameless_slice,
    habits.body,
    habits.typeless,
    habits.half,
    habits.variables,
    habits.elsewhere,
    _operand,
)
