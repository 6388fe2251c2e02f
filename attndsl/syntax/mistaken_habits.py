"""What to say where a text is written as another language has it: bodies by indentation, axes by place, and so on."""

from __future__ import annotations

import re

from attndsl.diagnostics import Diagnostic, shortened
from attndsl.habits import STATEMENTS, advise, advise_subscript
from attndsl.syntax.lexer import NEWLINE
from attndsl.syntax.place import DeclaredNames, ParserPlace
from attndsl.syntax.tables import END


def typeless(place: ParserPlace) -> Diagnostic | None:
    """`param g = ones`, `input x`: a declaration without its type."""
    word = place.first_word
    if word not in ("input", "param", "state") or "COLON" not in place.expected or len(place.parts) != 2:
        return None
    name = place.text[place.before - len(place.text[: place.before].split()[-1]) : place.before]
    example = {
        "input": f"input {name}: [B, T]",
        "param": f"param {name}: [width]",
        "state": f"state {name}: [B, width]",
    }
    rest = place.text[place.token.start :].split("\n", 1)[0].strip()
    after = f" {shortened(rest)}" if place.kind == "EQUALS" else ""
    return place.say("E0010", f"`{name}` has no type", label="expected `:`", help=f"write `{example[word]}{after}`")


def half(place: ParserPlace) -> Diagnostic | None:
    """`x if heads > 1`, `repeat depth {`, `else too long`."""
    text, token = place.text, place.token
    if place.kind == "COMMA" and place.first_word == "require":
        return place.say(
            "E0010", "a `require` has one condition", help="join them with `and`, or write one on a line each"
        )
    if place.kind in (NEWLINE, END, "COMMA", "RPAR") and "ELSE" in place.expected and place.first_word != "if":
        return place.say("E0010", "`else` is missing", label="a value needs both cases", help="write `… if … else …`")
    if place.kind == "LBRACE" and place.first_word in ("repeat", "scan") and {"IN"} <= place.expected:
        count = text[place.start : token.start].split(None, 1)[-1].strip()
        name = "h" if place.first_word == "repeat" else "t"
        help = f"write `{place.first_word} {name} in {count} {{ … }}`"
        return place.say("E0010", f"`{place.first_word}` needs a name for its index", label="expected `in`", help=help)
    if place.kind == "NAME" and place.expected == {"STRING"}:
        rest = text[token.start :].split("\n", 1)[0].strip()
        return place.say("E0010", "a string is written in quotes", help=f'write `"{shortened(rest)}"`')
    if place.kind == "LBRACE" and place.parser.awaits_value():
        return place.say("E0010", "`{` starts no value", help="a list is written in square brackets: `[a, b]`")
    if place.kind == "COMMA" and place.first_word in ("input", "param", "state") and "LSQB" in place.expected:
        axes = text[text.rindex(":", 0, token.start) + 1 :].split("\n", 1)[0].split("=")[0].strip()
        return place.say("E0010", "axes are written in brackets", help=f"write `[{shortened(axes)}]`")
    return None


def variables(place: ParserPlace) -> Diagnostic | None:
    """`mask m = q >= k`."""
    if place.first_word not in ("mask", "bias") or place.kind != "EQUALS" or "LPAR" not in place.expected:
        return None
    head = place.text[place.start : place.before]
    return place.say("E0010", "the variables are missing", label="expected `(`", help=f"write `{head}(q, k) = …`")


def elsewhere(place: ParserPlace) -> Diagnostic | None:
    """A word of another language that goes on with a statement: `} elif …`, `with no_grad:`."""
    word = place.token.text
    if word not in STATEMENTS or not (word == "with" or (not place.at_start and "ELSE" in place.expected)):
        return None
    return place.say("E0010", f"there is no `{place.token.text}`", help=STATEMENTS[place.token.text])


def foreign_call(place: ParserPlace) -> Diagnostic | None:
    """A call of another library around the mistake, which is then the smaller part of what is wrong."""
    for bracket in place.parser.open_tokens():
        found = re.search(r"[A-Za-z_][\w.]*$", place.text[: bracket.start]) if bracket in place.parts else None
        if not found or ("." not in found.group() and place.token.text != "'"):
            continue  # a function of that name is here as well
        help = advise(place.text, found.start(), DeclaredNames(place.text))
        if help:
            name = found.group()
            return place.say(
                "E0010", f"`{name}` is another library's", place.span(found.start(), found.end()), help=help
            )
    return None


def nameless_slice(place: ParserPlace) -> Diagnostic | None:
    """A part of an axis by its place, as NumPy has it: `x[:, 0]`, `x[1:3]`, `x[..., 0]`."""
    bracket = place.bracket
    is_dots = place.text.startswith("...", place.token.start)
    if not (place.token.text == ":" or is_dots) or bracket is None or bracket.text != "[":
        return None
    if "=" in place.text[bracket.end : place.token.start].rpartition(",")[2]:
        return None
    help = advise_subscript(place.text, bracket.start, DeclaredNames(place.text))
    return place.say("E0010", "axes are given by name, not by position", help=help)


def body(place: ParserPlace) -> Diagnostic | None:
    """`if width > 4:`, whose body is indented."""
    if place.token.text != ":" or "LBRACE" not in place.expected:
        return None
    head = place.text[place.start : place.token.start].split("\n", 1)[0]
    return place.say("E0010", "a body is written in braces", label="expected `{`", help=f"write `{head} {{ … }}`")
