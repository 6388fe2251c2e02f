"""Lexemes → documents: where a statement may be broken, from its loosest places to its tightest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from attndsl.formatting.docs import Align, Break, Doc, Fill, Grouped, Nest, Space
from attndsl.formatting.lexemes import OPERAND_ENDS, Braces, Item, Lexeme, Listed, Sentence, first_of, last_of

ARROWS = frozenset({"BOTH_WAYS", "TAKES", "ARROW"})
_GIVES = ARROWS | {"EQUALS", "PLUS_EQUALS", "MINUS_EQUALS", "TIMES_EQUALS", "DIVIDE_EQUALS"}
_CLAUSES = frozenset({"WHERE", "WITH"})
_COMPARISONS = frozenset({"EQUAL", "UNEQUAL", "LESS", "AT_MOST", "MORE", "AT_LEAST", "IN"})

_OPERATORS = (
    frozenset({"OR"}),
    frozenset({"AND"}),
    _COMPARISONS,
    frozenset({"BAR"}),
    frozenset({"AMPERSAND"}),
    frozenset({"PLUS", "MINUS"}),
    frozenset({"TIMES", "DIVIDE", "FLOOR_DIVIDE", "REMAINDER"}),
)
"""Binary operators, from loose to tight; a line never ends within a power."""

_NEVER_FIRST = frozenset({"MINUS", "FLOOR_DIVIDE"}) | _COMPARISONS
"""Operators that no line starts with: outside of brackets the first two end the statement, and a comparison is read in
one go."""

_NOT_AFTER_SPACE = frozenset({"COMMA", "RPAR", "RSQB", "COLON", "DOT"})

_STEP = 2  # what goes on with a statement
_LIST = 4  # what goes on with a list
_LISTED_BELOW = frozenset({"VARIANT", "WEIGHTS", "MAPS"})
"""Declarations whose entries may stand beside each other, and below each other."""


def statement(line: Sentence, braces: Callable[[Braces], Doc]) -> Doc:
    """The document of a line; `braces` gives that of what stands in braces."""
    return _Writer(line.owner, braces).value(line.items, bracketed=False)


def gap(before: Lexeme, after: Lexeme) -> bool:
    """Whether a space goes between two lexemes."""
    if before.unary or before.kind in ("LPAR", "LSQB", "DOT") or after.kind in _NOT_AFTER_SPACE:
        return False
    if before.tight or after.tight:
        return after.kind == "ARROW"
    if after.kind in ("LPAR", "LSQB"):
        return before.kind not in OPERAND_ENDS
    return not (before.kind == "COLON" and after.kind == "VARIANT_NAME")


class _Writer:
    def __init__(self, owner: str, braces: Callable[[Braces], Doc]) -> None:
        self.owner = owner
        self.braces = braces

    def value(self, items: Sequence[Item], bracketed: bool) -> Doc:
        """From the loosest: what ends with braces, clauses, what is given to a name, a list, a pipe, a choice."""
        chunks = _split(items, lambda before, _: isinstance(before, Braces))
        if len(chunks) > 1 or isinstance(items[-1], Braces):
            return _apart(*((chunk, self._with_braces(chunk, bracketed)) for chunk in chunks))
        clauses = _split(items, lambda _, item: _kind(item) in _CLAUSES)
        if len(clauses) > 1:
            first, *rest = (self.value(clause, bracketed) for clause in clauses)
            return Grouped([first, Nest(_STEP, [[Break(), clause] for clause in rest])])
        sign = next((n for n, item in enumerate(items) if n and _kind(item) in _GIVES), len(items) - 1)
        if sign == len(items) - 1:
            return self._list(items, bracketed)
        return self._giving(items[:sign], items[sign], items[sign + 1 :], bracketed)

    def _giving(self, left: Sequence[Item], sign: Item, right: Sequence[Item], bracketed: bool) -> Doc:
        """`left = right`, and in a `config` also `left = right = again`."""
        several = any(_kind(it) == "COMMA" for it in left)  # names, between which a line never ends
        given = self._tight(left) if several else self._list(left, bracketed)
        if any(_kind(it) == "COMMA" for it in right):
            return _apart((left, given), ([sign], first_of(sign)), (right, self._list(right, bracketed)))
        again = _split(right, lambda _, item: isinstance(item, Lexeme) and item.kind == "EQUALS" and not item.tight)
        right, *more = again
        value = self.value(right, bracketed)
        if self.owner in ("WEIGHTS", "MAPS") and _kind(sign) in ARROWS and not bracketed:
            return Grouped([given, Nest(_LIST, [Break(), first_of(sign), Space(), value])])
        doc = _apart((left, given), ([sign], first_of(sign)), (right, value))
        steps: list[Doc] = [[Break(), first_of(it[0]), Space(), self._list(it[1:], bracketed)] for it in more]
        return Grouped([doc, Nest(_STEP, steps)]) if steps else doc

    def _with_braces(self, chunk: Sequence[Item], bracketed: bool) -> Doc:
        *head, last = chunk
        if not isinstance(last, Braces):
            return self.value(chunk, bracketed)
        return [self.value(head, bracketed), Space(), self.braces(last)] if head else self.braces(last)

    def _list(self, items: Sequence[Item], bracketed: bool) -> Doc:
        entries = _split(items, lambda before, _: _kind(before) == "COMMA")
        if len(entries) == 1:
            return self._pipe(items, bracketed)
        is_below = self.owner in _LISTED_BELOW and _kind(items[0]) not in ("REQUIRE", "IGNORE")
        by = 0 if is_below else _LIST
        return Nest(by, Fill([self._entry(entry, bracketed) for entry in entries]))

    def _entry(self, entry: Sequence[Item], bracketed: bool) -> Doc:
        *rest, last = entry
        if rest and isinstance(last, Lexeme) and last.kind == "COMMA":
            return [self.value(rest, bracketed), last]
        return self.value(entry, bracketed)

    def _pipe(self, items: Sequence[Item], bracketed: bool) -> Doc:
        first, *stages = _split(items, lambda _, item: _kind(item) == "PIPE")
        if not stages:
            return self._choice(items, bracketed)
        docs: list[Doc] = []
        for stage in stages:
            docs += [Break(), first_of(stage[0]), Space(), self._choice(stage[1:], bracketed)]
        return Grouped([self._choice(first, bracketed), Space(), Align(docs[1:], within=20, by=_STEP, fresh=True)])

    def _choice(self, items: Sequence[Item], bracketed: bool) -> Doc:
        first, *others = _split(items, lambda before, item: _kind(item) == "ELSE" and not isinstance(before, Braces))
        if others:
            docs: list[Doc] = [self._choice(first, bracketed)]
            for word, *other in others:
                docs.append(Nest(_STEP, [Break(), first_of(word), Space(), self._choice(other, bracketed)]))
            return Grouped(docs)
        sides = _split(items, lambda before, item: _kind(item) == "IF" and _kind(before) != "ELSE")
        if len(sides) > 1:
            then, (sign, *condition) = sides
            of = self._operators(condition, 0, bracketed)
            return [self._operators(then, 0, bracketed), Space(), first_of(sign), Space(), of]
        return self._operators(items, 0, bracketed)

    def _operators(self, items: Sequence[Item], level: int, bracketed: bool) -> Doc:
        if level == len(_OPERATORS):
            return self._tight(items)
        kinds = _OPERATORS[level]
        first, *rest = _split(items, lambda before, item: _kind(item) in kinds and _is_binary(before, item))
        if not rest:
            return self._operators(items, level + 1, bracketed)
        docs: list[Doc] = []
        for part in rest:
            operator = first_of(part[0])
            stays = operator.kind in _NEVER_FIRST and not (bracketed and kinds is not _COMPARISONS)
            docs += [Space() if stays else Break(), operator, Space(), self._operators(part[1:], level + 1, bracketed)]
        return Grouped([self._operators(first, level + 1, bracketed), Nest(_STEP, docs)])

    def _tight(self, items: Sequence[Item]) -> Doc:
        return _apart(*(([it], self._brackets(it) if isinstance(it, Listed) else first_of(it)) for it in items))

    def _brackets(self, brackets: Listed) -> Doc:
        parts = [self._entry(part, bracketed=True) for part in brackets.parts]
        doc: list[Doc] = [brackets.open, Align(Fill(parts), within=24, by=_LIST), brackets.close]
        return Grouped(doc) if brackets.open.kind == "LSQB" else doc


def _apart(*parts: tuple[Sequence[Item], Doc]) -> Doc:
    """The documents of items that follow each other, with the spaces that go between them."""
    docs: list[Doc] = [parts[0][1]]
    for (before, _), (after, doc) in pairwise(parts):
        docs += [Space(), doc] if gap(last_of(before[-1]), first_of(after[0])) else [doc]
    return docs


def _is_binary(before: Item, operator: Item) -> bool:
    return last_of(before).kind in OPERAND_ENDS and not (isinstance(operator, Lexeme) and operator.unary)


def _kind(item: Item) -> str:
    return item.kind if isinstance(item, Lexeme) else ""


def _split(items: Sequence[Item], starts: Callable[[Item, Item], bool]) -> list[Sequence[Item]]:
    """The items in parts; `starts` says of an item and the one before it whether another part starts there."""
    at = [0, *(n for n, (before, item) in enumerate(pairwise(items), 1) if starts(before, item)), len(items)]
    return [items[start:end] for start, end in pairwise(at)]
