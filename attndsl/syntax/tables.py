"""From `grammars/attn.lark` to the tables that the parser runs on.

Lark reads the grammar, proves it LALR(1) (any conflict is an error) and computes the states. What comes out is plain
data, kept as JSON under the user's cache directory: a run that finds it there neither imports lark nor unpickles
anything. The cache is only ever a saving of time: a missing, damaged, outdated or foreign file is built anew.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from attndsl.records import dataclass

FORMAT = 1
"""Goes up when the layout of the cached data changes."""

START = "file"
END = "$END"

STATEMENT_STARTS = ("RETURN", "USE", "PREFIX", "REQUIRE")
"""A state that can go on with one of these is at the start of a statement, a declaration, an entry of a `weights`
section or an entry of its `config`: the places where the parser picks up again after a mistake."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A production. `action` is the builder's method; None for a helper, whose value is a list that its parents inline.

    `plan` says what the method gets: for each child the index of its value, and whether that is a list to inline;
    index -1 stands for an optional part that is absent. `is_unit` marks a production that passes its one value on.
    """

    origin: str
    length: int
    action: str | None
    plan: tuple[tuple[int, bool], ...]
    is_unit: bool


@dataclass(frozen=True, slots=True)
class Tables:
    """`rows[state][symbol]` is the state to go to, or `~rule` for the rule to reduce by."""

    rows: tuple[dict[str, int], ...]
    symbols: tuple[str, ...]
    """The symbol that each state is entered by."""
    resuming: frozenset[int]
    """The states at the start of a statement (see `STATEMENT_STARTS`)."""
    rules: tuple[Rule, ...]
    start: int
    accept: int
    patterns: dict[str, str]
    """Terminal → regular expression."""
    words: dict[str, str]
    """Keyword → terminal."""
    marks: dict[str, str]
    """Operator or bracket → terminal."""


@lru_cache(maxsize=1)
def tables() -> Tables:
    """The parser's tables, from the cache or from the grammar."""
    grammar = resources.files("attndsl").joinpath("grammars/attn.lark").read_text(encoding="utf-8")
    path = cache_path(grammar)
    data = _read(path, grammar)
    if data is None:
        data = build(grammar)
        _write(path, data)
    return _thaw(data)


def cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says to ignore a relative path.
    root = Path(base) if base and os.path.isabs(base) else Path(os.path.expanduser("~")) / ".cache"
    return root / "attndsl"


def cache_path(grammar: str) -> Path:
    version = f"{sys.version_info.major}{sys.version_info.minor}"
    return cache_directory() / f"grammar-{FORMAT}-{version}-{zlib.crc32(grammar.encode()):08x}.json"


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
    return {
        "grammar": grammar,
        "rows": rows,
        "symbols": symbols,
        "rules": [_describe(rule) for rule in rules],
        "start": 0,
        "accept": state_of[table.end_states[START]],
        "terminals": [[t.name, type(t.pattern).__name__ == "PatternRE", t.pattern.value] for t in parser.terminals],
    }


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
    terminals = data["terminals"]
    rows = data["rows"]
    return Tables(
        rows=tuple(rows),
        symbols=tuple(data["symbols"]),
        resuming=frozenset(
            state
            for state, row in enumerate(rows)
            if any(start in row for start in STATEMENT_STARTS) and data["symbols"][state] != "DOC"
        ),
        rules=tuple(
            Rule(origin, length, action, tuple((i, inline) for i, inline in plan), is_unit)
            for origin, length, action, plan, is_unit in data["rules"]
        ),
        start=data["start"],
        accept=data["accept"],
        patterns={name: text for name, is_regex, text in terminals if is_regex},
        words={text: name for name, is_regex, text in terminals if not is_regex and text.isidentifier()},
        marks={text: name for name, is_regex, text in terminals if not is_regex and not text.isidentifier()},
    )


# ---------------------------------------------------------------- the cache


def _read(path: Path, grammar: str) -> dict[str, Any] | None:
    """The cached data, or None unless it is ours, whole and of this very grammar."""
    try:
        with open(path, "rb") as file:
            if hasattr(os, "getuid") and os.fstat(file.fileno()).st_uid != os.getuid():
                return None
            checksum, _, payload = file.read().partition(b"\n")
        if int(checksum, 16) != zlib.crc32(payload):
            return None
        data: dict[str, Any] = json.loads(payload)
        return data if data["grammar"] == grammar else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, data: dict[str, Any]) -> None:
    """Store `data`, whole or not at all; a cache that cannot be written is no one's problem."""
    payload = json.dumps(data, separators=(",", ":")).encode()
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(b"%08x\n" % zlib.crc32(payload) + payload)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True) if os.path.isdir(path.parent) else None
