"""Names with indices: published ones such as `"layers.{2*i+1}.norm.weight"`, our addresses such as `h[i].ln_1.scale`.

Both speak of variables (`i`) and of index arithmetic over them. A published name is only ever *rendered*, so any
arithmetic will do there; an address must be *solved* for its variables (which `i` gives layer 7?), so each of its
indices is a multiple of at most one variable plus a constant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from attndsl.addresses import Indices
from attndsl.diagnostics import AttnError, Source, Span, error
from attndsl.graph import ParameterInfo
from attndsl.records import Frozen, replace
from attndsl.sizes import Size
from attndsl.syntax import tree
from attndsl.weights.axes import size_of

LONGEST_NAME = 500
LARGEST_NUMBER = 10**9

# ---------------------------------------------------------------- indices


def index_of(expression: tree.Expr) -> Size | None:
    """The index that an expression of whole numbers, variables and `+ - * // %` writes; None for any other."""
    return size_of(expression, {}) if all(_may_index(node) for node in tree.walk(expression)) else None


def _may_index(node: tree.Tree) -> bool:
    match node:
        case tree.Number(value=value):
            return isinstance(value, int) and value < LARGEST_NUMBER
        case tree.Unary(operator=operator):
            return operator == "-"
        case tree.Chain():
            rights = zip((sign.text for sign in node.operators), node.operands[1:], strict=True)
            return all(
                sign in ("+", "-", "*") or (sign in ("//", "%") and isinstance(right, tree.Number) and right.value != 0)
                for sign, right in rights
            )
    return isinstance(node, (tree.Name, tree.Identifier))


def affine(index: Size) -> tuple[int, str | None, int] | None:
    """`(a, i, b)` where the index is `a * i + b` (`(0, None, b)` for a constant), or None where it is no such thing."""
    factor, variable, rest = 0, None, 0
    for monomial, coefficient in index.terms.items():
        if monomial == ():
            rest = int(coefficient)
            continue
        ((atom, exponent), *others) = monomial
        if others or exponent != 1 or not isinstance(atom, str) or variable is not None:
            return None
        factor, variable = int(coefficient), atom
    return factor, variable, rest


@lru_cache(maxsize=256)
def _index_in(text: str) -> Size | None:
    """The index between a name's braces; None where there is none."""
    if text.isidentifier():
        return Size.symbol(text)
    from attndsl.syntax.parser import parse

    try:
        file, problems = parse(Source("index", f"train _ {{ index = {text} }}\n"))
    except AttnError:
        return None
    settings = [argument for d in file.declarations if isinstance(d, tree.Train) for argument in d.settings]
    return index_of(settings[0].value) if not problems and len(settings) == 1 else None


# ---------------------------------------------------------------- published names


class NamePattern(Frozen):
    """A published name; between its texts stand indices in braces."""

    parts: tuple[str | Size, ...]
    span: Span

    @property
    def variables(self) -> frozenset[str]:
        return frozenset().union(*(part.symbols for part in self.parts if isinstance(part, Size)))

    def render(self, values: Mapping[str, int]) -> str:
        return "".join(part if isinstance(part, str) else str(part.value(values)) for part in self.parts)

    def expression(self) -> re.Pattern[str]:
        """Matches every name that the pattern can give, whatever its variables are."""
        return re.compile("".join(re.escape(part) if isinstance(part, str) else "[0-9]+" for part in self.parts))

    @property
    def text(self) -> str:
        """The name with every index written `{…}` in normal form; for messages and comparisons."""
        return "".join(part if isinstance(part, str) else f"{{{part}}}" for part in self.parts)


def parse_name(string: tree.String) -> NamePattern:
    """The pattern that a string of the spec writes; E0626 where its braces hold no index."""
    text = string.value
    if not text or len(text) > LONGEST_NAME:
        raise error("E0626", f"a published name has between 1 and {LONGEST_NAME} characters", string.span)
    parts: list[str | Size] = []
    for piece in re.split(r"(\{[^{}]*\})", text):
        if piece.startswith("{"):
            index = _index_in(piece[1:-1].strip())
            if index is None:
                raise error(
                    "E0626",
                    f"`{piece}` is not an index",
                    string.span,
                    help="an index is made of whole numbers, variables and `+ - * // %` (a number other than 0 comes "
                    "after `//` and `%`): `{i}`, `{2*i+1}`, `{i//4}`",
                )
            parts.append(index if index.symbols else str(index.value({})))
        elif "{" in piece or "}" in piece:
            raise error("E0626", f"`{text}` has a brace without its partner", string.span)
        elif piece:
            parts.append(piece)
    return NamePattern(tuple(parts), string.span)


# ---------------------------------------------------------------- addresses


class AddressPattern(Frozen):
    """An address of parameters: `h[2*i].ln_1.scale` is the pattern `h.*.ln_1.scale` with one index `(2, "i", 0)`."""

    pattern: str
    indices: tuple[tuple[int, str | None, int], ...]
    span: Span
    spans: tuple[Span, ...] = ()  # where it is written as far as each part of the pattern

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
    def text(self) -> str:
        """The address as a spec writes it: `h[2*i].ln_1.scale`."""
        return self.text_of(self.pattern)

    def text_of(self, pattern: str) -> str:
        """The beginning of the address as far as a `pattern` goes."""
        parts = pattern.split(".*")
        text = parts[0]
        for (a, variable, b), part in zip(self.indices, parts[1:], strict=False):
            index = Size.of(b) if variable is None else Size.of(a) * Size.symbol(variable) + Size.of(b)
            text += f"[{index}]{part}"
        return text

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
    pattern, indices, spans = node.text, [], [node.span]
    for step in reversed(steps):
        if isinstance(step, tree.Attribute):
            pattern += "." + step.name.text
            spans.append(step.span)
            continue
        assert isinstance(step, tree.Subscript)
        for entry in step.entries:
            if entry.index is None or entry.axis is not None or entry.is_slice or entry.below is not None:
                return None
            index = index_of(entry.index)
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
            spans.append(step.span)
    return AddressPattern(pattern, tuple(indices), expression.span, tuple(spans))


def counted(info: ParameterInfo) -> ParameterInfo:
    """A parameter with the rounds of repeats that are written out as indices too: `stage.2.norm.scale` is the one of
    `stage.*.norm.scale` in round 2."""
    steps: list[str] = []
    layers: list[Indices] = []
    rest = iter(info.layers)
    for step in info.address.split("."):
        steps.append("*" if step.isdigit() else step)
        if steps[-1] == "*":
            layers.append((int(step),) if step.isdigit() else next(rest))
    return replace(info, address=".".join(steps), layers=tuple(layers))


def reached(address: AddressPattern, info: ParameterInfo, limit: int | None = None) -> dict[str, list[int]]:
    """For each variable of `address`, the values at which it gives a layer of `info`, in order; at most `limit` layers
    of each repeat are looked at."""
    found: dict[str, list[int]] = {}
    for (a, variable, b), layers in zip(address.indices, info.layers, strict=True):
        if variable is None or a == 0:
            if b not in layers:
                return {}
            continue
        values = [
            (layer - b) // a
            for layer in (layers if limit is None else layers[:limit])
            if (layer - b) % a == 0 and (layer - b) // a >= 0
        ]
        found[variable] = [v for v in found[variable] if v in set(values)] if variable in found else values
    return found
