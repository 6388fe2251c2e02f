"""What to say where a word starts something that it does not start, and where a value is a statement by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable

from attndsl.diagnostics import Diagnostic, Label, nearest
from attndsl.habits import STATEMENTS, advise, advise_statement
from attndsl.syntax.lexer import NEWLINE, Token
from attndsl.syntax.place import AFTER_VALUE, OPERANDS, DeclaredNames, ParserPlace
from attndsl.syntax.tables import END, tables

_USES = {
    "input": "input tokens: int[B, T]",
    "output": "output logits = …",
    "layer": "layer wte = embedding(vocab, width)",
    "param": "param scale: [D] = ones",
    "state": "state memory: [B, M, width] = zeros",
    "scope": "scope encoder { … }",
    "repeat": "repeat h in depth { … }",
    "scan": "scan t in T with s = … { … }",
}


def reserved(place: ParserPlace) -> Diagnostic | None:
    """`and = 3`, `x.return`, `repeat if in depth`."""
    if place.token.text not in tables().reserved or "NAME" not in place.expected:
        return None
    if place.kind == "IF" and "PLUS" not in place.expected and place.parts and place.expected >= {"NUMBER"}:
        return None
    return place.say(
        "E0015", f"`{place.token.text}` is a word of the language, and cannot be a name", help="choose another name"
    )


def unknown_word(place: ParserPlace) -> Diagnostic | None:
    """A first word that is not a keyword, where one was needed: `modle GPT(…)`, `retrun x`."""
    parts, token = place.parts, place.token
    if place.at_start and place.at_top and not place.expected & {"RBRACE"}:
        return _outside(place)
    if place.at_start and "PREFIX" in place.expected and place.kind == "NAME":
        entries = sorted(word for word, kind in tables().words.items() if kind in place.expected)
        return _word(place, token.start, token.end, entries, "an entry of a `weights` section")
    is_name = len(parts) == 1 and isinstance(parts[0], Token) and parts[0].kind == "NAME"
    starts_word = place.kind in ("NAME", "STRING", "NUMBER") or token.text in tables().reserved or token.text == "{"
    if is_name and starts_word and "EQUALS" in place.expected and place.bracket is None:
        first = place.first_word
        if first in tables().declarations:
            return place.say(
                "E0020",
                f"a `{first}` cannot be declared here",
                place.span(place.start, place.start + len(first)),
                help="declarations go at the top level of a file; they cannot be nested",
            )
        if first in _USES:
            return _nameless(place, first, place.start)
        return _word(place, place.start, place.start + len(first), {*tables().statements, "else"}, "a statement")
    before = re.search(r"\b(?:scope|repeat|scan)$", place.text[: place.before])
    if place.kind == "LBRACE" and before is not None:
        return _nameless(place, before.group(), before.start())
    return None


def _nameless(place: ParserPlace, word: str, at: int) -> Diagnostic:
    """`repeat {`, `scope {`: keywords only where a name follows."""
    return place.say(
        "E0010", f"`{word}` needs a name after it", place.span(at, at + len(word)), help=f"as in `{_USES[word]}`"
    )


def _outside(place: ParserPlace) -> Diagnostic:
    """Something between declarations that is not one."""
    token = place.token
    word = token.text if re.fullmatch(r"[A-Za-z_]\w*", token.text) else ""
    rest = place.text[token.end : token.end + 80]
    is_statement = word in tables().statements or re.match(r"\s*(?:[-+*/]?=|,|<-|:)", rest)
    if (
        word
        and re.match(r"[ \t]+[A-Za-z_\"]", rest)
        and nearest(word, tables().declarations)
        and word not in tables().statements
    ):
        return _word(place, token.start, token.end, tables().declarations, "a declaration")
    if word and (is_statement or not re.match(r"[ \t]+[A-Za-z_\"]", rest)):
        closed = [
            close
            for close in place.parser.brackets.closing.values()
            if close < token.start and place.text[close] == "}"
        ]
        other = None
        if closed:
            other = Label(place.span(max(closed), max(closed) + 1), "the declaration before it ends here")
        return place.say("E0020", "this statement is outside every model and block", other=other)
    if word:
        return _word(place, token.start, token.end, tables().declarations, "a declaration")
    return place.say("E0020", f"{place.shown()} is outside every declaration")


def _word(place: ParserPlace, start: int, end: int, words: Iterable[str], what: str) -> Diagnostic:
    span = place.span(start, end)
    found = nearest(span.text, words)
    line = place.text[start:].split("\n", 1)[0]
    if span.text in STATEMENTS:
        help = advise_statement(line)
    elif found:
        help = f"did you mean `{found}`?"
    else:
        help = "what can start one: " + ", ".join(f"`{word}`" for word in sorted(words))
    return place.say("E0015", f"`{span.text}` does not start {what}", span, help=help)


def unused_value(place: ParserPlace) -> Diagnostic | None:
    """A statement that is only an expression: `dropout(x, p)`."""
    parts = place.parts
    is_name = len(parts) == 1 and isinstance(parts[0], Token) and parts[0].kind == "NAME"
    after_name = is_name and "EQUALS" in place.expected and place.bracket is None
    can_start = place.at_start and "RETURN" in place.expected
    if after_name and place.kind == "LSQB":
        return place.say(
            "E0019",
            "only a whole name can be given a value",
            place.span(place.start),
            help="values do not change in place; make a new one, as with `concat(…)` or `where(…)`",
        )
    first = place.first_word
    if (after_name or can_start) and first == "self":
        help = advise(place.text, place.start, DeclaredNames(place.text))
        return place.say(
            "E0019", "only a whole name can be given a value", place.span(place.start, place.start + 4), help=help
        )
    if after_name and first in STATEMENTS:
        return _word(place, place.start, place.start + len(first), {*tables().statements, "else"}, "a statement")
    starts_value = can_start and (place.kind in OPERANDS or place.kind in ("MINUS", "NOT", "LSQB"))
    goes_on = after_name and (place.kind in AFTER_VALUE or place.kind in (NEWLINE, "RBRACE", END))
    if not starts_value and not goes_on:
        return None
    helps = ["give it a name with `name = …`, or hand it on with `return`"]
    if place.kind in ("MINUS", "LPAR") and place.at_start:
        helps.append(f"a line that starts with `{place.token.text}` does not go on with the one before it")
    line = place.text[place.start : place.parser.statement_end(place.start, place.token)].split("\n", 1)[0]
    return place.say(
        "E0019",
        "this value is not used",
        place.span(place.start, place.start + len(line.split(" #", 1)[0].rstrip())),
        help=helps,
    )
