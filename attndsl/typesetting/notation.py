"""Formulas as text: how strongly their parts hold together, names, sizes, and the indices of tensors.

A formula is put together before it is known which indices it needs: an index that every tensor merely carries along is
left out at the end (`written`). Until then indices are numbers between signs that occur in no LaTeX.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable

from attndsl.records import Frozen
from attndsl.sizes import Opaque, Size, readable

OR, AND, COMPARE, PLUS, BIG, TIMES, POWER, ATOM = range(8)
"""What holds a formula together, from loosely to strongly; `BIG` are operators such as sums, over all that follows."""

OTHERWISE = r"\text{otherwise}"

_OPEN, _BETWEEN, _CLOSE = "\x03", "\x04", "\x05"  # around and between the indices of a tensor
_LETTER = re.compile("\x01(\\d+)\x02")


class MathText(Frozen):
    """LaTeX of math mode, and what holds it together at its outermost place. `below` is set where it is 1 over that."""

    text: str
    level: int = ATOM
    below: str = ""

    def within(self, level: int) -> str:
        """The text where an operator of this level stands next to it."""
        return self.text if self.level >= level else rf"\left({self.text}\right)"

    def __str__(self) -> str:
        return self.text


def letter(number: int) -> MathText:
    return MathText(f"\x01{number}\x02")


def letters_in(text: str) -> set[int]:
    """The indices in a formula, but for those of tensors in it."""
    depth, outside = 0, ""
    for sign in text:
        depth += (sign == _OPEN) - (sign == _CLOSE)
        outside += sign if depth == 0 else ""
    return set(map(int, _LETTER.findall(outside)))


def every_letter(text: str) -> set[int]:
    """The indices in a formula, those of tensors among them."""
    return set(map(int, _LETTER.findall(text)))


def apart(text: str, marked: Collection[int]) -> set[int]:
    """The indices by which two tensors in a formula differ, each having one that the other lacks: what is made of them
    has both, and which is whose must be seen. Those that are `marked` are seen already."""
    open_ones: list[set[int]] = []
    tensors: list[set[int]] = []
    for number, sign in re.findall(f"{_LETTER.pattern}|([{_OPEN}{_CLOSE}])", text):
        if number and open_ones:
            open_ones[-1].add(int(number))
        elif sign == _OPEN:
            open_ones.append(set())
        elif sign == _CLOSE:
            tensors.append(open_ones.pop() - set(marked))
    pairs = ((a, b) for i, a in enumerate(tensors) for b in tensors[:i])
    return set().union(*(a ^ b for a, b in pairs if a - b and b - a))


def indexed(tensor: str, indices: Iterable[str]) -> str:
    """`tensor` with indices, of which some may be left out in the end."""
    items = list(indices)
    return tensor + _OPEN + _BETWEEN.join(items) + _CLOSE if items else tensor


def written(text: str, left_out: Collection[int], name: Callable[[int], str]) -> str:
    """The text with the names of its indices. An index that is nothing but one of `left_out` is not written."""
    return _LETTER.sub(lambda found: name(int(found[1])), without(text, left_out))


def without(text: str, left_out: Collection[int]) -> str:
    """The text without the indices that are nothing but one of `left_out`; the others of a tensor become a subscript
    where it is certain which ones there are."""
    done: list[str] = [""]
    items: list[list[str]] = []
    for sign in text:
        if sign == _OPEN:
            items.append([])
            done.append("")
        elif sign in (_BETWEEN, _CLOSE):
            item = done.pop()
            only = _LETTER.fullmatch(item)
            if only is None or int(only[1]) not in left_out:
                items[-1].append(item)
            if sign == _BETWEEN:
                done.append("")
            else:
                kept = items.pop()
                done[-1] += "_{" + ",".join(kept) + "}" if kept else ""
        else:
            done[-1] += sign
    return done[0]


def name(text: str) -> str:
    """An author's name: a letter as it is, a word in italics."""
    if len(text) == 1 and text.isalpha():
        return text
    return rf"\mathit{{{_escaped(text)}}}"


def function(text: str) -> str:
    """The name of a function, upright."""
    return rf"\mathrm{{{_escaped(text)}}}"


def _escaped(text: str) -> str:
    return text.replace("_", r"\_").replace("%", r"\%").replace("*", "{*}")


def number(value: float | int | bool) -> MathText:
    """A number as one writes it: `0.125`, `10^{-5}`."""
    if isinstance(value, bool):
        return MathText(rf"\mathrm{{{str(value).lower()}}}")
    if value != value or value in (float("inf"), float("-inf")):
        return MathText({"inf": r"\infty", "-inf": r"-\infty"}.get(str(value), r"\mathrm{NaN}"), PLUS)
    text = f"{value:.12g}"
    digits, _, exponent = text.partition("e")
    level = PLUS if text.startswith("-") else ATOM
    if not exponent:
        return MathText(text, level)
    power = f"10^{{{int(exponent)}}}"
    return MathText(power, POWER) if digits == "1" else MathText(rf"{digits} \cdot {power}", min(level, TIMES))


def size(value: Size) -> MathText:
    """A size, by the names of its symbols."""
    terms = []
    for monomial, coefficient in sorted(readable(value).terms.items(), key=lambda term: _degree(term[0])):
        above = [_power(atom, exponent) for atom, exponent in monomial if exponent > 0]
        below = [_power(atom, -exponent) for atom, exponent in monomial if exponent < 0]
        if abs(coefficient.numerator) != 1 or not above:
            above.insert(0, str(abs(coefficient.numerator)))
        if coefficient.denominator != 1:
            below.insert(0, str(coefficient.denominator))
        shown = r" \cdot ".join(above)
        level = TIMES if len(above) > 1 or below else ATOM
        shown = rf"{shown} / {_divisor(below)}" if below else shown
        terms.append((coefficient < 0, MathText(shown, level)))
    if not terms:
        return MathText("0")
    text = "".join(
        (" - " if minus else " + ") + term.text if i else "-" * minus + term.text
        for i, (minus, term) in enumerate(terms)
    )
    return MathText(text, PLUS if len(terms) > 1 or terms[0][0] else terms[0][1].level)


def _degree(monomial: tuple[tuple[object, int], ...]) -> tuple[int, str]:
    return -sum(exponent for _, exponent in monomial), str(monomial)


def _divisor(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else "(" + r" \cdot ".join(parts) + ")"


def _power(atom: str | Opaque, exponent: int) -> str:
    base = name(atom) if isinstance(atom, str) else _opaque(atom)
    return base if exponent == 1 else f"{base}^{{{exponent}}}"


def _opaque(atom: Opaque) -> str:
    parts = [size(argument) for argument in atom.arguments]
    forms = {
        "floor": lambda: rf"\left\lfloor {parts[0].within(TIMES)} / {parts[1].within(POWER)} \right\rfloor",
        "mod": lambda: rf"({parts[0].within(TIMES)} \bmod {parts[1].within(POWER)})",
        "over": lambda: rf"(1 / {parts[0].within(POWER)})",
        "min": lambda: rf"\min({parts[0]}, {parts[1]})",
        "max": lambda: rf"\max({parts[0]}, {parts[1]})",
    }
    return forms[atom.function]()


def joined(sign: str, left: MathText, right: MathText, level: int, *, associative: bool = False) -> MathText:
    """Two formulas with an operator between them, of which the left one is computed first where that matters. A
    negative number is not added but subtracted."""
    if sign == "+" and re.fullmatch(r"-[\d.]+", right.text):
        sign, right = "-", MathText(right.text[1:])
    return MathText(f"{left.within(level)} {sign} {right.within(level if associative else level + 1)}", level)


def cases(*rows: tuple[MathText, str]) -> MathText:
    """What holds when; the words of a row are in math mode."""
    lines = r" \\ ".join(f"{formula} & {when}" for formula, when in rows)
    return MathText(rf"\begin{{cases}} {lines} \end{{cases}}")


def applied(operator: str, formula: MathText) -> MathText:
    return MathText(rf"{operator}\left({formula}\right)")
