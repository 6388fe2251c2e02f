"""The tables that the parser runs on, which are made from `grammars/attn.lark` ahead of time.

Lark reads the grammar, proves it LALR(1) (any conflict is an error) and computes the states. What comes out is plain
data, kept beside this file: `python scripts/tables.py` writes it, and a test says when it is out of date. So a run
neither imports lark nor keeps anything of its own.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from attndsl.records import Frozen
from attndsl.shipped import SHIPPED

START = "file"
END = "$END"

STATEMENT_STARTS = ("RETURN", "USE", "PREFIX", "REQUIRE")
"""A state that can go on with one of these is at the start of a statement, a declaration, an entry of a `weights`
section or an entry of its `config`: the places where the parser picks up again after a mistake."""


class Production(Frozen):
    """A production. `action` is the builder's method; None for a helper, whose value is a list that its parents inline.

    `plan` says what the method gets: for each child the index of its value, and whether that is a list to inline;
    index -1 stands for an optional part that is absent. `is_unit` marks a production that passes its one value on.
    """

    origin: str
    length: int
    action: str | None
    plan: tuple[tuple[int, bool], ...]
    is_unit: bool


class Tables(Frozen):
    """`rows[state][symbol]` is the state to go to, or `~rule` for the rule to reduce by."""

    rows: tuple[dict[str, int], ...]
    symbols: tuple[str, ...]
    """The symbol that each state is entered by."""
    resuming: frozenset[int]
    """The states at the start of a statement (see `STATEMENT_STARTS`)."""
    rules: tuple[Production, ...]
    start: int
    accept: int
    patterns: dict[str, str]
    """Terminal → regular expression."""
    words: dict[str, str]
    """Keyword → terminal."""
    marks: dict[str, str]
    """Operator or bracket → terminal."""
    reserved: frozenset[str]
    """The keywords that are never names."""
    declarations: frozenset[str]
    """The keywords that a declaration starts with."""
    statements: frozenset[str]
    """The keywords that a statement starts with."""
    bodies: frozenset[str]
    """The keywords of what has a body of statements in braces."""


@lru_cache(maxsize=1)
def tables() -> Tables:
    """The parser's tables. Those of a grammar that was changed since they were written are made here, with lark."""
    grammar = SHIPPED.joinpath("grammars", "attn.lark").read_bytes()
    data = json.loads(SHIPPED.joinpath("syntax", "tables.json").read_bytes())
    return _thaw(data if data["grammar"] == zlib.crc32(grammar) else build(grammar.decode()))


# ---------------------------------------------------------------- building


def build(grammar: str) -> dict[str, Any]:
    """The tables of a grammar as JSON-able data. Raises lark's `GrammarError` where the grammar is not LALR(1)."""
    import lark
    from lark.lexer import Lexer
    from lark.parsers.lalr_analysis import Shift

    class NoLexer(Lexer):
        """Stands in for ours (attndsl.syntax.lexer), which needs the tables first."""

        def __init__(self, conf: object) -> None: ...

        def lex(self, *_: object) -> Any:
            return iter(())

    parser = lark.Lark(grammar, parser="lalr", lexer=NoLexer, start=START, strict=True, maybe_placeholders=True)
    table = parser.parser.parser._parse_table
    rules = sorted(parser.rules, key=str)
    number_of = {rule: number for number, rule in enumerate(rules)}
    # Lark numbers states as its sets happen to be ordered; in the order of a walk they are the same in every process.
    order = [table.start_states[START]]
    symbols = [""]
    state_of = {order[0]: 0}
    rows: list[dict[str, int]] = []
    for state in order:
        row: dict[str, int] = {}
        for symbol, (action, target) in sorted(table.states[state].items()):
            if action is not Shift:
                row[symbol] = ~number_of[target]
                continue
            if target not in state_of:
                state_of[target] = len(order)
                order.append(target)
                symbols.append(symbol)
            row[symbol] = state_of[target]
        rows.append(row)
    terminals = sorted(parser.terminals, key=lambda terminal: terminal.name)
    return {
        "grammar": zlib.crc32(grammar.encode()),
        "rows": rows,
        "symbols": symbols,
        "rules": [_describe(rule) for rule in rules],
        "start": 0,
        "accept": state_of[table.end_states[START]],
        "bodies": sorted({word for rule in rules if _has_body(rule) for word in _first(rule, rules)}),
        "reserved": sorted(t.name for t in parser.terminals if t.priority > 0),
        "patterns": {t.name: t.pattern.value for t in terminals if t.pattern.type == "re"},
        "fixed": {t.name: t.pattern.value for t in terminals if t.pattern.type == "str"},
    }


def _has_body(rule: Any) -> bool:
    return any(symbol.name == "body" for symbol in rule.expansion)


def _first(rule: Any, rules: list[Any]) -> list[str]:
    """The terminals that the text of a rule can start with."""
    symbol = rule.expansion[0]
    if symbol.is_term:
        return [symbol.name]
    return [name for other in rules if other.origin == symbol and other.expansion for name in _first(other, rules)]


def _describe(rule: Any) -> list[Any]:
    name = rule.origin.name
    plan = []
    missing = rule.options.empty_indices or (False,) * len(rule.expansion)
    children = iter(enumerate(rule.expansion))
    for absent in missing:
        if absent:
            plan.append([-1, False])
            continue
        index, symbol = next(children)
        if symbol.is_term:
            if not symbol.filter_out:
                plan.append([index, False])
        else:
            plan.append([index, symbol.name.startswith("_")])
    is_unit = bool(rule.options.expand1) and not rule.alias and len(plan) == len(rule.expansion) == 1
    action = None if name.startswith("_") and not rule.alias else str(rule.alias or name)
    return [name, len(rule.expansion), action, plan, is_unit]


def _thaw(data: dict[str, Any]) -> Tables:
    rows, symbols, fixed = data["rows"], data["symbols"], data["fixed"]
    words = {name: text for name, text in fixed.items() if text.isidentifier()}

    def among(names: Iterable[str]) -> frozenset[str]:
        return frozenset(words[name] for name in names if name in words)

    return Tables(
        rows=tuple(rows),
        symbols=tuple(symbols),
        resuming=frozenset(
            state
            for state, row in enumerate(rows)
            if any(start in row for start in STATEMENT_STARTS) and symbols[state] != "DOC"
        ),
        rules=tuple(
            Production(origin, length, action, tuple((i, inline) for i, inline in plan), is_unit)
            for origin, length, action, plan, is_unit in data["rules"]
        ),
        start=data["start"],
        accept=data["accept"],
        patterns=data["patterns"],
        words={text: name for name, text in words.items()},
        marks={text: name for name, text in fixed.items() if name not in words},
        reserved=among(data["reserved"]),
        declarations=among(rows[data["start"]]),
        statements=among(name for row in rows if "RETURN" in row for name in row),
        bodies=among(data["bodies"]),
    )
