"""Index functions in a normal form: whether a place (q, k) is attended to, as a formula of positions.

Integers are linear combinations (`LinearSum`) of indices and opaque functions, with sizes as coefficients; truth
values are comparisons of one with 0, combined by `Every`, `Some` and `Negated`. Equal formulas are equal objects, so
simplifying is comparing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Union

from attndsl.graph import Value
from attndsl.records import Frozen
from attndsl.sizes import ONE, ZERO, Size


class Index(Frozen):
    """The position along an axis: its index plus the axis's origin. `low` and `high` are the first and the last."""

    name: str
    low: Size
    high: Size

    def __str__(self) -> str:
        return self.name


class Function(Frozen):
    """A number that is not linear. Of whole ones: `//`, `%`, `abs`, `min`, `max`, `*`, or `if` (1 where a formula
    holds). Of others also `/`, `^`, `where` and functions by their names; one without arguments is a constant."""

    name: str
    arguments: tuple[LinearSum | Formula, ...]

    def __str__(self) -> str:
        if not self.arguments:
            return self.name
        if self.name in INFIX:
            left, right = (a.within(self.name) if isinstance(a, LinearSum) else f"({a})" for a in self.arguments)
            return f"{left} {self.name} {right}"
        if self.name == "where":
            condition, left, right = map(str, self.arguments)
            return f"({left} if {condition} else {right})"
        return f"{self.name}({', '.join(map(str, self.arguments))})"


class Read(Frozen):
    """An element of a tensor that is not a function of positions."""

    name: str
    value: Value
    indices: tuple[LinearSum, ...]

    def __str__(self) -> str:
        return f"{self.name}[{', '.join(map(str, self.indices))}]"


INFIX = ("//", "%", "*", "/", "^")

Atom = Union[Index, Function, Read]


class LinearSum(Frozen):
    """The sum of `terms` (atoms with coefficients, ordered by their text) and a constant."""

    terms: tuple[tuple[Atom, Size], ...] = ()
    constant: Size = ZERO

    @staticmethod
    def of(item: Atom | Size | int) -> LinearSum:
        return LinearSum((), Size.of(item)) if isinstance(item, (Size, int)) else LinearSum(((item, ONE),))

    def __add__(self, other: LinearSum) -> LinearSum:
        sums = dict(self.terms)
        for atom, coefficient in other.terms:
            sums[atom] = sums.get(atom, ZERO) + coefficient
        kept = sorted(((a, c) for a, c in sums.items() if c != ZERO), key=lambda term: str(term[0]))
        return LinearSum(tuple(kept), self.constant + other.constant)

    def __sub__(self, other: LinearSum) -> LinearSum:
        return self + other.times(Size.of(-1))

    def times(self, factor: Size) -> LinearSum:
        if factor == ZERO:
            return LinearSum()
        return LinearSum(tuple((a, c * factor) for a, c in self.terms), self.constant * factor)

    def within(self, operator: str) -> str:
        """As an operand."""
        text = str(self)
        return f"({text})" if not _is_closed(self) and set(" */-" if operator == "^" else " ") & set(text) else text

    def __str__(self) -> str:
        """What is added first, then what is subtracted, the constant last."""
        signed = [(_times_text(atom, coefficient), negative(coefficient)) for atom, coefficient in self.terms]
        signed.sort(key=lambda term: term[1])
        if self.constant != ZERO or not signed:
            constant = -self.constant if negative(self.constant) else self.constant
            signed.append((str(constant), negative(self.constant)))
        text = ""
        for shown, minus in signed:
            text += (" - " if minus else " + ") + shown if text else "-" * minus + shown
        return text


def _is_closed(number: LinearSum) -> bool:
    """Whether it is a single thing that is written with its own brackets or needs none."""
    if not number.terms or number.constant != ZERO or number.terms[0][1] != ONE or len(number.terms) > 1:
        return False
    ((atom, _),) = number.terms
    return not isinstance(atom, Function) or atom.name not in INFIX


def negative(size: Size) -> bool:
    """Whether a size is written with a minus in front: of one and its negative exactly one is."""
    return str(size).startswith("-")


def _leads_negative(number: LinearSum) -> bool:
    """Of a number and its negative exactly one is so."""
    return negative(number.terms[0][1] if number.terms else number.constant)


def _times_text(atom: Atom, coefficient: Size) -> str:
    factor = -coefficient if negative(coefficient) else coefficient
    if factor == ONE:
        return str(atom)
    return f"{factor.bracketed()}*" + LinearSum.of(atom).within("*")


class Truth(Frozen):
    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


class Compare(Frozen):
    """`difference RELATION 0`, the relation `<=`, `<` (of floats only), `==` or `!=`."""

    relation: str
    difference: LinearSum

    def __str__(self) -> str:
        return " ".join(map(str, self.sides()))

    def sides(self) -> tuple[LinearSum, str, LinearSum | Size]:
        """The same as one would write it: what is compared with what, and how."""
        constant = self.difference.constant
        added = LinearSum(tuple((a, c) for a, c in self.difference.terms if not negative(c)))
        taken = LinearSum(tuple((a, -c) for a, c in self.difference.terms if negative(c)))
        if constant == ZERO and (taken.terms or self.relation != "<="):
            return added, self.relation, taken
        if self.relation == "<=" and constant == ONE and added.terms and taken.terms:
            return added, "<", taken
        rest = LinearSum(self.difference.terms)
        if not added.terms:
            return taken, {"<=": ">=", "<": ">"}.get(self.relation, self.relation), constant
        return (rest, "<", ONE - constant) if self.relation == "<=" else (rest, self.relation, -constant)


class Holds(Frozen):
    """A boolean that is read from a tensor."""

    read: Read

    def __str__(self) -> str:
        return str(self.read)


class Every(Frozen):
    """Every one of `parts` holds; at least two, none of them an `Every`, ordered by their text."""

    parts: tuple[Formula, ...]

    def __str__(self) -> str:
        return " and ".join(f"({p})" if isinstance(p, Some) else str(p) for p in self.parts)


class Some(Frozen):
    """At least one of `parts` holds; at least two, none of them a `Some`, ordered by their text."""

    parts: tuple[Formula, ...]

    def __str__(self) -> str:
        return " or ".join(f"({p})" if isinstance(p, Every) else str(p) for p in self.parts)


class Negated(Frozen):
    """What is read does not hold, or two floats do not compare so (neither way does where one is NaN)."""

    part: Holds | Compare

    def __str__(self) -> str:
        return f"not {self.part}" if isinstance(self.part, Holds) else f"not ({self.part})"


Formula = Union[Truth, Compare, Holds, Every, Some, Negated]


# ---------------------------------------------------------------- making numbers


def function(name: str, *arguments: LinearSum | Formula) -> LinearSum:
    """A number that is not linear; linear or constant after all where the arguments allow."""
    if name == "if":
        (condition,) = arguments
        return (
            LinearSum.of(int(condition.value))
            if isinstance(condition, Truth)
            else LinearSum.of(Function(name, arguments))
        )
    numbers = [argument for argument in arguments if isinstance(argument, LinearSum)]
    values = [None if number.terms else number.constant.constant for number in numbers]
    whole_numbers = [int(n) for n in values if n is not None and n.denominator == 1]
    if len(whole_numbers) == len(arguments) and not (name in ("//", "%") and whole_numbers[1] == 0):
        return LinearSum.of(COMPUTED[name](*whole_numbers))
    if name in ("//", "%"):
        if values[1] == 1:
            return numbers[0] if name == "//" else LinearSum()
        if values[0] == 0:
            return LinearSum()
    if name == "abs" and _leads_negative(numbers[0]):
        numbers[0] = numbers[0].times(Size.of(-1))
    if name in ("min", "max", "*"):
        numbers.sort(key=str)
    if name in ("min", "max") and numbers[0] == numbers[1]:
        return numbers[0]
    return LinearSum.of(Function(name, tuple(numbers)))


COMPUTED: dict[str, Callable[..., int]] = {
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "*": lambda a, b: a * b,
    "abs": abs,
    "min": min,
    "max": max,
}


# ---------------------------------------------------------------- making formulas


def both(*parts: Formula) -> Formula:
    return _joined(Every, True, parts)


def either(*parts: Formula) -> Formula:
    return _joined(Some, False, parts)


def _joined(kind: type[Every] | type[Some], neutral: bool, parts: tuple[Formula, ...]) -> Formula:
    found: dict[Formula, None] = {}
    for part in parts:
        for item in part.parts if isinstance(part, kind) else (part,):
            if isinstance(item, Truth):
                if item.value is not neutral:
                    return item
            else:
                found[item] = None
    if any(negated(item) in found for item in found):
        return Truth(not neutral)
    ordered = tuple(sorted(found, key=str))
    return Truth(neutral) if not ordered else ordered[0] if len(ordered) == 1 else kind(ordered)


def negated(formula: Formula) -> Formula:
    if isinstance(formula, Truth):
        return Truth(not formula.value)
    if isinstance(formula, Every):
        return either(*map(negated, formula.parts))
    if isinstance(formula, Some):
        return both(*map(negated, formula.parts))
    if isinstance(formula, Negated):
        return formula.part
    if isinstance(formula, Holds):
        return Negated(formula)
    minus = formula.difference.times(Size.of(-1))
    if formula.relation in ("<=", "<"):  # of integers there is no `<`
        return Compare("<=", minus + LinearSum.of(1)) if whole(formula.difference) else Negated(formula)
    return Compare("!=" if formula.relation == "==" else "==", formula.difference)


def compare(relation: str, left: LinearSum, right: LinearSum) -> Formula:
    """One of `<= < >= > == !=` between two numbers, decided where it is a matter of constants."""
    if relation in (">", ">="):
        return compare("<" if relation == ">" else "<=", right, left)
    difference = left - right
    if relation == "<" and whole(difference):
        relation, difference = "<=", difference + LinearSum.of(1)
    if not difference.terms and (sign := difference.constant.constant) is not None:
        return Truth({"<=": sign <= 0, "<": sign < 0, "==": sign == 0, "!=": sign != 0}[relation])
    if relation in ("==", "!=") and _leads_negative(difference):
        difference = difference.times(Size.of(-1))
    if len(difference.terms) == 1 and relation == "<=":
        ((atom, coefficient),) = difference.terms
        if isinstance(atom, Function) and atom.name == "abs" and coefficient == ONE:
            (inner,) = atom.arguments
            assert isinstance(inner, LinearSum)
            rest = LinearSum((), difference.constant)
            return both(Compare("<=", inner + rest), Compare("<=", rest - inner))
    return Compare(relation, difference)


def whole(number: LinearSum) -> bool:
    """Whether a number is certainly an integer: no element of floats takes part."""
    return all(_whole(atom) for atom, _ in number.terms)


def _whole(atom: Atom) -> bool:
    if isinstance(atom, Function):
        return all(whole(argument) for argument in atom.arguments if isinstance(argument, LinearSum))
    return isinstance(atom, Index) or not atom.value.type.is_float
