"""Python expressions as text that knows how tightly it binds, and the pieces that tensor code is made of: sizes, axes
brought into line, indices, and long lines broken."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Union

from attndsl.records import Frozen
from attndsl.sizes import Atom, Opaque, Size, readable
from attndsl.types import Axis

# How tightly Python's operators bind, loosest first.
CHOICE, NOT, COMPARE, BIT_OR, BIT_AND, SUM, PRODUCT, UNARY, POWER, ATOM = range(10)


class Expr(Frozen):
    """An expression: its text, how tightly its outermost operator binds, and whether it is a Python number (`host`)
    and not a tensor."""

    text: str
    level: int = ATOM
    host: bool = False

    def at(self, level: int) -> str:
        """The text, in brackets where an operator that binds like `level` would tear it apart."""
        return self.text if self.level >= level else f"({self.text})"

    def call(self, method: str, *arguments: str) -> Expr:
        return Expr(f"{self.at(ATOM)}.{method}({', '.join(arguments)})")

    def __str__(self) -> str:
        return self.text


def binary(left: Expr, operator: str, right: Expr, level: int) -> Expr:
    """`left operator right`, grouped as built: floating point addition is not associative."""
    if level in (COMPARE, POWER):
        texts = left.at(level + 1), right.at(UNARY if level == POWER else level + 1)
    else:
        texts = left.at(level), right.at(level + 1)
    return Expr(f"{texts[0]} {operator} {texts[1]}", level, left.host and right.host)


def function(name: str, *arguments: str, host: bool = False) -> Expr:
    return Expr(f"{name}({', '.join(arguments)})", ATOM, host)


def number(value: float | int | bool) -> Expr:
    """A literal."""
    if isinstance(value, float) and not math.isfinite(value):
        return Expr("math.nan" if math.isnan(value) else "math.inf" if value > 0 else "-math.inf", UNARY, True)
    return Expr(repr(value), UNARY if repr(value).startswith("-") else ATOM, True)


# ---------------------------------------------------------------------------------------------------------------- sizes


Factor = Union[str, Opaque, Size]  # a symbol, a function of sizes, or a sum to divide by


def size_expression(size: Size, name: Callable[[str], str]) -> Expr:
    """Python integer arithmetic for a size; `name` gives the variable that holds a symbol's value."""
    above, below = _fraction(size, name)
    return above if below.text == "1" else binary(above, "//", below, PRODUCT)


def _fraction(size: Size, name: Callable[[str], str]) -> tuple[Expr, Expr]:
    """A size as a quotient of integers."""
    size = readable(size)
    below, denominator = _below(size)
    above: Expr | None = None
    for monomial, coefficient in size.terms.items():
        exponents = dict(below)
        for atom, exponent in _with_quotients(monomial):
            exponents[atom] = exponents.get(atom, 0) + exponent
        if above is None:
            above = _product(coefficient * denominator, exponents, name)
        else:
            term = _product(abs(coefficient) * denominator, exponents, name)
            above = binary(above, "-" if coefficient < 0 else "+", term, SUM)
    return above or number(0), _product(Fraction(denominator), below, name)


def _below(size: Size) -> tuple[dict[Factor, int], int]:
    """What a size is to be multiplied with so that nothing in it is divided: factors with exponents, and a number."""
    below: dict[Factor, int] = {}
    for monomial in size.terms:
        for atom, exponent in _with_quotients(monomial):
            below[atom] = max(below.get(atom, 0), -exponent)
    denominator = math.lcm(*[coefficient.denominator for coefficient in size.terms.values()])
    return {atom: exponent for atom, exponent in below.items() if exponent > 0}, denominator


def _with_quotients(monomial: Sequence[tuple[Atom, int]]) -> list[tuple[Factor, int]]:
    """The factors, with `1/(a+b)` as `a+b` to the power -1, and `1/(1+b/a)` as `a` and that."""
    found: dict[Factor, int] = {}
    for atom, exponent in monomial:
        factor: Factor = atom
        if isinstance(atom, Opaque) and atom.function == "over":
            factor, exponent = atom.arguments[0], -exponent
            below, denominator = _below(factor)
            divided = {**below, Size.of(denominator): 1} if denominator > 1 else below
            for each, power in divided.items():
                factor *= (each if isinstance(each, Size) else Size({((each, 1),): Fraction(1)})) ** power
                found[each] = found.get(each, 0) - exponent * power
        found[factor] = found.get(factor, 0) + exponent
    return list(found.items())


def _product(coefficient: Fraction, exponents: dict[Factor, int], name: Callable[[str], str]) -> Expr:
    factors = [] if abs(coefficient) == 1 and any(exponents.values()) else [number(abs(coefficient.numerator))]
    for atom, exponent in exponents.items():
        base = _atom(atom, name)
        if exponent:
            factors.append(base if exponent == 1 else binary(base, "**", number(exponent), POWER))
    product = factors[0]
    if coefficient < 0:
        product = Expr(f"-{product.at(UNARY)}", UNARY, True)
    for factor in factors[1:]:
        product = binary(product, "*", factor, PRODUCT)
    return product


def _atom(atom: Factor, name: Callable[[str], str]) -> Expr:
    if isinstance(atom, str):
        return Expr(name(atom), ATOM, True)
    if isinstance(atom, Size):
        return size_expression(atom, name)
    if atom.function == "floor":
        # Quotients stay exact inside: `8*width/3 // 256` rounds once.
        (left, under), (right, over) = (_fraction(argument, name) for argument in atom.arguments)
        above = left if over.text == "1" else binary(left, "*", over, PRODUCT)
        return binary(above, "//", right if under.text == "1" else binary(under, "*", right, PRODUCT), PRODUCT)
    parts = [size_expression(argument, name) for argument in atom.arguments]
    if atom.function == "mod":
        return binary(parts[0], "%", parts[1], PRODUCT)
    return function(atom.function, *(part.text for part in parts), host=True)


# ----------------------------------------------------------------------------------------------------------------- axes


def dim(axes: Sequence[Axis], axis: Axis) -> str:
    """The place of an axis as torch counts it, -1 for the last."""
    at = list(axes).index(axis)
    return "-1" if at == len(axes) - 1 else str(at)


def dims(axes: Sequence[Axis], over: Sequence[Axis]) -> str:
    """The places of several axes, as one argument; empty where they are all there are (a reduction of everything)."""
    if len(over) == len(axes):
        return ""
    if len(over) == 1:
        return dim(axes, over[0])
    return "(" + ", ".join(dim(axes, axis) for axis in over) + ")"


def permuted(x: Expr, axes: Sequence[Axis], target: Sequence[Axis]) -> Expr:
    """x with its axes in the order of `target` (the same axes)."""
    order = [list(axes).index(axis) for axis in target]
    moved = [i for i, at in enumerate(order) if i != at]
    if not moved:
        return x
    if len(moved) == 2:
        return x.call("transpose", *_from_the_end(moved, len(order)))
    return x.call("permute", *map(str, order))


def _from_the_end(pair: Sequence[int], rank: int) -> tuple[str, ...]:
    return ("-2", "-1") if tuple(pair) == (rank - 2, rank - 1) else (str(pair[0]), str(pair[1]))


def aligned(x: Expr, axes: Sequence[Axis], target: Sequence[Axis], *, full_rank: bool = False) -> Expr:
    """x made to broadcast against a tensor of axes `target`, which has all of x's: its axes in that order, with an axis
    of length 1 for each that it lacks between them (and before them, if `full_rank`)."""
    if x.host or (not axes and not full_rank):
        return x
    x = permuted(x, axes, [axis for axis in target if axis in axes])
    marks = [":" if axis in axes else "None" for axis in target]
    if not full_rank:
        while marks and marks[0] == "None":
            marks.pop(0)
    return index(x, marks)


def index(x: Expr, marks: list[str]) -> Expr:
    """`x[marks]`, written as short as it goes: `x` where nothing is picked, `[:, 0]`, `[..., None]`."""
    if all(mark == ":" for mark in marks):
        return x
    short = list(marks)
    while short[-1] == ":":
        short.pop()
    leading = next(i for i, mark in enumerate(marks) if mark != ":")
    if leading > 1 or (leading == 1 and len(short) == len(marks) and marks[-1] == "None"):
        ending = ["...", *marks[leading:]]
        if len(ending) < len(short) or (len(ending) == len(short) and marks[-1] != ":"):
            short = ending
    return Expr(f"{x.at(ATOM)}[{', '.join(short)}]")


def letters(axes: Sequence[Axis]) -> dict[Axis, str]:
    """A letter for each axis, for einsum: out of its own name where that is free."""
    found: dict[Axis, str] = {}
    for axis in axes:
        if axis in found:
            continue
        own = [c for c in axis.name.lower() if "a" <= c <= "z"]
        if len(own) > 1 and own[0] in found.values():
            own = [own[-1], *own]
        candidates = (
            own + [chr(c) for c in range(ord("a"), ord("z") + 1)] + [chr(c) for c in range(ord("A"), ord("Z") + 1)]
        )
        found[axis] = next(c for c in candidates if c not in found.values())
    return found


# ---------------------------------------------------------------------------------------------------------------- lines

WIDTH = 110


def wrapped(line: str, indent: int) -> list[str]:
    """A statement in lines of at most `WIDTH` columns where its brackets allow: the widest bracket is opened, and what
    is in it stands a step further in, on a line of its own or an argument a line."""
    pad = "    " * indent
    if len(pad) + len(line) <= WIDTH:
        return [pad + line]
    group = _widest_bracket(line)
    if group is None:
        return [pad + line]
    start, end = group
    head, inside, tail = line[: start + 1], line[start + 1 : end], line[end:]
    if len(pad) + 4 + len(inside) <= WIDTH:
        return [pad + head, pad + "    " + inside, *wrapped(tail, indent)]
    parts = _arguments(inside)
    if len(parts) == 1:
        return [pad + head, *wrapped(inside, indent + 1), *wrapped(tail, indent)]
    body: list[str] = []
    for part in parts:
        body += wrapped(part + ",", indent + 1)
    return [pad + head, *body, *wrapped(tail, indent)]


def _spans(line: str) -> list[tuple[int, int, int]]:
    """(depth, start, end) of every bracket pair outside string literals. One that was opened on a line before this one
    is not a pair."""
    stack: list[int] = []
    found: list[tuple[int, int, int]] = []
    quote = ""
    for i, c in enumerate(line):
        if quote:
            quote = "" if c == quote else quote
        elif c in "\"'":
            quote = c
        elif c in "([{":
            stack.append(i)
        elif c in ")]}" and stack:
            start = stack.pop()
            found.append((len(stack), start, i))
    return found


def _widest_bracket(line: str) -> tuple[int, int] | None:
    outer = [(end - start, start, end) for depth, start, end in _spans(line) if depth == 0 and end - start > 1]
    return max(outer)[1:] if outer else None


def _arguments(inside: str) -> list[str]:
    """The parts between commas that no bracket encloses."""
    closed = [(start, end) for depth, start, end in _spans(inside) if depth == 0]
    parts, begin, at = [], 0, 0
    quote = ""
    while at < len(inside):
        jump = next((end for start, end in closed if start == at), None)
        if jump is not None and not quote:
            at = jump
        elif quote:
            quote = "" if inside[at] == quote else quote
        elif inside[at] in "\"'":
            quote = inside[at]
        elif inside[at] == ",":
            parts.append(inside[begin:at].strip())
            begin = at + 1
        at += 1
    rest = inside[begin:].strip()
    return [*parts, rest] if rest else parts
