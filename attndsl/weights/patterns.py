"""Names with indices: published ones such as `"layers.{2*i+1}.norm.weight"`, our addresses such as `h[i].ln_1.scale`.

Both speak of variables (`i`) and of index arithmetic over them. A published name is only ever *rendered*, so any
arithmetic will do there; an address must be *solved* for its variables (which `i` gives layer 7?), so each of its
indices is a multiple of at most one variable plus a constant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from attndsl.diagnostics import Span, error
from attndsl.graph import ParameterInfo
from attndsl.records import dataclass
from attndsl.syntax import tree

Index = int | str | tuple[str, "Index", "Index"]
"""A number, a variable, or an operator (`+ - * // %`) with two operands."""

LONGEST_NAME = 500


def evaluate(index: Index, values: Mapping[str, int]) -> int:
    if isinstance(index, int):
        return index
    if isinstance(index, str):
        return values[index]
    operator, left, right = index
    a, b = evaluate(left, values), evaluate(right, values)
    if operator == "+":
        return a + b
    if operator == "-":
        return a - b
    if operator == "*":
        return a * b
    return a // b if operator == "//" else a % b


def variables_of(index: Index) -> frozenset[str]:
    if isinstance(index, tuple):
        return variables_of(index[1]) | variables_of(index[2])
    return frozenset((index,)) if isinstance(index, str) else frozenset()


def affine(index: Index) -> tuple[int, str | None, int] | None:
    """`(a, i, b)` where the index is `a * i + b` (`(0, None, b)` for a constant), or None where it is no such thing."""
    if isinstance(index, int):
        return 0, None, index
    if isinstance(index, str):
        return 1, index, 0
    operator, left, right = index
    first, second = affine(left), affine(right)
    if first is None or second is None:
        return None
    (a, i, b), (c, j, d) = first, second
    if operator in ("+", "-") and (i is None or j is None or i == j):
        sign = 1 if operator == "+" else -1
        return a + sign * c, i or j, b + sign * d
    if operator == "*" and (i is None or j is None):
        return (a * d, i, b * d) if j is None else (b * c, j, b * d)
    return None


def divides_by_zero(index: Index) -> bool:
    if not isinstance(index, tuple):
        return False
    operator, left, right = index
    return (
        (operator in ("//", "%") and (not isinstance(right, int) or right == 0))
        or divides_by_zero(left)
        or divides_by_zero(right)
    )


# ---------------------------------------------------------------- published names


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A published name; between its texts stand indices in braces."""

    parts: tuple[str | tuple[Index], ...]  # an index is wrapped in a tuple of one, to tell it from a text
    span: Span

    @property
    def variables(self) -> frozenset[str]:
        return frozenset().union(*(variables_of(part[0]) for part in self.parts if isinstance(part, tuple)))

    def render(self, values: Mapping[str, int]) -> str:
        return "".join(part if isinstance(part, str) else str(evaluate(part[0], values)) for part in self.parts)

    def expression(self) -> re.Pattern[str]:
        """Matches every name that the pattern can give, whatever its variables are."""
        return re.compile("".join(re.escape(part) if isinstance(part, str) else "[0-9]+" for part in self.parts))

    @property
    def text(self) -> str:
        """The name with every index written `{…}` in normal form; for messages and comparisons."""
        return "".join(part if isinstance(part, str) else "{" + _written(part[0]) + "}" for part in self.parts)


def _written(index: Index) -> str:
    if not isinstance(index, tuple):
        return str(index)
    operator, left, right = index
    return f"{_written(left)}{operator}{_written(right)}"


def parse_name(string: tree.String) -> NamePattern:
    """The pattern that a string of the spec writes; E0626 where its braces hold no index."""
    text = string.value
    if not text or len(text) > LONGEST_NAME:
        raise error("E0626", f"a published name has between 1 and {LONGEST_NAME} characters", string.span)
    parts: list[str | tuple[Index]] = []
    for piece in re.split(r"(\{[^{}]*\})", text):
        if piece.startswith("{"):
            parts.append((_IndexReader(piece[1:-1], string.span).read(),))
        elif "{" in piece or "}" in piece:
            raise error("E0626", f"`{text}` has a brace without its partner", string.span)
        elif piece:
            parts.append(piece)
    return NamePattern(tuple(parts), string.span)


class _IndexReader:
    """Reads the arithmetic between braces: sums of products of numbers, variables and brackets."""

    def __init__(self, text: str, span: Span) -> None:
        self.text, self.span = text, span
        self.tokens = re.findall(r"\d+|[A-Za-z_]\w*|//|[-+*%()]|\S", text)
        self.at = 0
        self.depth = 0

    def read(self) -> Index:
        index = self.sum()
        if self.at < len(self.tokens) or divides_by_zero(index):
            raise self.wrong()
        return index

    def wrong(self) -> Exception:
        return error(
            "E0626",
            f"`{{{self.text}}}` is no index",
            self.span,
            help="an index is made of whole numbers, variables and `+ - * // %` (a number other than 0 stands after "
            "`//` and `%`): `{i}`, `{2*i+1}`, `{i//4}`",
        )

    def next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def sum(self) -> Index:
        index = self.product()
        while (operator := self.next()) in ("+", "-"):
            self.at += 1
            index = (operator, index, self.product())
        return index

    def product(self) -> Index:
        index = self.operand()
        while (operator := self.next()) in ("*", "//", "%"):
            self.at += 1
            index = (operator, index, self.operand())
        return index

    def operand(self) -> Index:
        token = self.next()
        self.at += 1
        if token.isdecimal() and token.isascii() and len(token) < 10:
            return int(token)
        if token.isidentifier():
            return token
        self.depth += 1
        if token == "(" and self.depth < 20:
            index = self.sum()
            if self.next() == ")":
                self.at += 1
                return index
        raise self.wrong()


# ---------------------------------------------------------------- addresses


@dataclass(frozen=True, slots=True)
class AddressPattern:
    """An address of parameters: `h[2*i].ln_1.scale` is the pattern `h.*.ln_1.scale` with one index `(2, "i", 0)`."""

    pattern: str
    indices: tuple[tuple[int, str | None, int], ...]
    span: Span

    @property
    def variables(self) -> frozenset[str]:
        return frozenset(variable for _, variable, _ in self.indices if variable is not None)

    def render(self, values: Mapping[str, int]) -> str:
        parts = self.pattern.split("*")
        text = parts[0]
        for (a, variable, b), part in zip(self.indices, parts[1:], strict=True):
            text += str(b if variable is None else a * values[variable] + b) + part
        return text

    def layers(self, values: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(b if variable is None else a * values[variable] + b for a, variable, b in self.indices)

    def solve(self, layers: Sequence[int]) -> dict[str, int] | None:
        """The variables' values that lead to these layers; None where none do."""
        values: dict[str, int] = {}
        for (a, variable, b), layer in zip(self.indices, layers, strict=True):
            if variable is None or a == 0:
                if layer != b:
                    return None
                continue
            value, rest = divmod(layer - b, a)
            if rest or value < 0 or values.setdefault(variable, value) != value:
                return None
        return values

    @property
    def reaches_all(self) -> bool:
        """Whether every layer is reached: each index is a variable of its own, as it stands."""
        named = [variable for _, variable, _ in self.indices]
        return (
            all(a == 1 and b == 0 for a, _, b in self.indices) and len(set(named)) == len(named) and None not in named
        )


def parse_address(expression: tree.Expr) -> AddressPattern | None:
    """The address that `wte.table` or `h[i].ln_1.scale` writes, or None where the expression is of another kind."""
    steps: list[tree.Expr] = []
    node = expression
    while isinstance(node, (tree.Attribute, tree.Subscript)):
        steps.append(node)
        node = node.base
    if not isinstance(node, tree.Name):
        return None
    pattern, indices = node.text, []
    for step in reversed(steps):
        if isinstance(step, tree.Attribute):
            pattern += "." + step.name.text
            continue
        assert isinstance(step, tree.Subscript)
        for entry in step.entries:
            if entry.index is None or entry.axis is not None or entry.is_slice or entry.below is not None:
                return None
            index = _index_of(entry.index)
            form = affine(index) if index is not None else None
            if form is None:
                raise error(
                    "E0625",
                    f"the layer `{entry.index.span.text}` cannot be solved for its variable",
                    entry.index.span,
                    help="an index here is `a * i + b` with whole numbers a and b: `h[i]`, `h[2*i+1]`, `h[0]`",
                )
            pattern += ".*"
            indices.append(form)
    return AddressPattern(pattern, tuple(indices), expression.span)


def _index_of(expression: tree.Expr) -> Index | None:
    if isinstance(expression, tree.Number) and isinstance(expression.value, int):
        return expression.value
    if isinstance(expression, tree.Name):
        return expression.text
    if isinstance(expression, tree.Unary) and expression.operator == "-":
        index = _index_of(expression.operand)
        return None if index is None else ("-", 0, index)
    if isinstance(expression, tree.Chain) and all(o.text in ("+", "-", "*") for o in expression.operators):
        total = _index_of(expression.operands[0])
        for operator, operand in zip(expression.operators, expression.operands[1:], strict=True):
            index = _index_of(operand)
            if total is None or index is None:
                return None
            total = (operator.text, total, index)
        return total
    return None


def reached(address: AddressPattern, info: ParameterInfo, limit: int | None = None) -> dict[str, list[int]]:
    """For each variable of `address`, the values at which it gives a layer of `info`, in order; at most `limit` layers
    of each repeat are looked at."""
    found: dict[str, list[int]] = {}
    for (a, variable, b), layers in zip(address.indices, info.layers, strict=True):
        if variable is None or a == 0:
            continue
        values = [
            (layer - b) // a
            for layer in (layers if limit is None else layers[:limit])
            if (layer - b) % a == 0 and (layer - b) // a >= 0
        ]
        found[variable] = [v for v in found[variable] if v in set(values)] if variable in found else values
    return found
