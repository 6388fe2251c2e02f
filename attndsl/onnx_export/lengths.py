"""Sizes as an ONNX graph computes them: constants where the hyperparameters say what they are, else from the shapes of
the inputs, once for the whole graph.

A size that the inputs bind is a vector of one whole number, so that shapes are put together from these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from attndsl.graph import Type
from attndsl.onnx_export.writer import TENSOR_TYPES, OnnxWriter, dtype_of
from attndsl.sizes import Opaque, Size, solve
from attndsl.types import Axis

_LENGTH = "length of an axis"
Quotient = tuple[str, str | None]  # dividend and divisor (None: 1) of a number that is a whole one in the end


class Lengths:
    """The sizes of one graph; `sizes` are those that are known. The inputs, by name, bind the others."""

    def __init__(self, writer: OnnxWriter, sizes: Mapping[str, int], inputs: Mapping[str, Type]) -> None:
        self.writer, self.sizes = writer, dict(sizes)
        self.known = {name: Size.of(value) for name, value in sizes.items()}
        self.symbols: dict[str, str] = {}
        self._found: dict[Size, str] = {}
        self._shapes: dict[tuple[Size, ...], str] = {}
        self._given: dict[str, str] = {}  # the shapes of the inputs
        waiting = [(name, at, axis) for name, type in inputs.items() for at, axis in enumerate(type.axes)]
        for _ in waiting:  # one axis may be what another one waits for
            for name, at, axis in waiting:
                self._bind(name, at, axis)

    def _bind(self, name: str, at: int, axis: Axis) -> None:
        size = axis.size.substitute(self.known)
        unknown = [symbol for symbol in sorted(size.symbols) if symbol not in self.symbols]
        if len(unknown) != 1:
            return
        found = solve(size, Size.symbol(_LENGTH), unknown[0])
        if found is None:
            return
        with self.writer.outermost():
            if name not in self._given:
                self._given[name] = self.writer.emit("Shape", name)
            length = self.writer.emit("Gather", self._given[name], self.writer.ints(at), axis=0)
            self.symbols[unknown[0]] = self._written(found, {**self.symbols, _LENGTH: length})

    # ------------------------------------------------------------ asked for

    def number(self, size: Size) -> int | None:
        """The value, where the hyperparameters say it."""
        return size.known(self.sizes)

    def vector(self, size: Size) -> str:
        """The size as a vector of one number."""
        known = self.number(size)
        if known is not None:
            return self.writer.ints(known)
        if size not in self._found:
            with self.writer.outermost():
                self._found[size] = self._written(size.substitute(self.known), self.symbols)
        return self._found[size]

    def scalar(self, size: Size) -> str:
        """The size as a number without axes."""
        known = self.number(size)
        if known is not None:
            return self.writer.constant(known, "int64")
        return self.writer.emit("Squeeze", self.vector(size), self.writer.ints(0))

    def shape(self, sizes: Sequence[Size], *, one_open: bool = False) -> str:
        """Sizes side by side: a shape. With `one_open` a single unknown one is -1, which a reshape finds itself."""
        known = [self.number(size) for size in sizes]
        if one_open and known.count(None) == 1 and 0 not in known:
            known[known.index(None)] = -1
        numbers = [n for n in known if n is not None]
        if len(numbers) == len(known):
            return self.writer.ints(*numbers) if numbers else self.writer.constant([], "int64")
        if (key := tuple(sizes)) not in self._shapes:
            with self.writer.outermost():
                self._shapes[key] = self.writer.emit("Concat", *map(self.vector, key), axis=0)
        return self._shapes[key]

    def declared(self, name: str, type: Type) -> Any:
        """A value's declaration: its dtype, and its axes; what is not known, by the name of its size."""
        from onnx import helper

        known = [(self.number(axis.size), str(axis.size)) for axis in type.axes]
        shape = [said if number is None else number for number, said in known]
        return helper.make_tensor_value_info(name, TENSOR_TYPES[dtype_of(type)], shape)

    # ------------------------------------------------------------ written

    def _written(self, size: Size, symbols: Mapping[str, str]) -> str:
        dividend, divisor = self._quotient(size, symbols)
        return dividend if divisor is None else self.writer.emit("Div", dividend, divisor)

    def _quotient(self, size: Size, symbols: Mapping[str, str]) -> Quotient:
        """The size as one fraction."""
        total: Quotient | None = None
        for monomial, coefficient in size.terms.items():
            term = self._number(coefficient)
            for atom, exponent in monomial:
                factor = self._function(atom, symbols) if isinstance(atom, Opaque) else (symbols[atom], None)
                if exponent < 0:
                    factor = (factor[1] or self.writer.ints(1), factor[0])
                for _ in range(abs(exponent)):
                    term = self._times(term, factor)
            total = term if total is None else self._plus(total, term)
        return total or (self.writer.ints(0), None)

    def _number(self, value: Fraction) -> Quotient:
        ints = self.writer.ints
        return ints(value.numerator), None if value.denominator == 1 else ints(value.denominator)

    def _product(self, left: str | None, right: str | None) -> str | None:
        one = self.writer.ints(1)
        left, right = (None if side == one else side for side in (left, right))
        return self.writer.emit("Mul", left, right) if left and right else left or right

    def _times(self, left: Quotient, right: Quotient) -> Quotient:
        return self._product(left[0], right[0]) or self.writer.ints(1), self._product(left[1], right[1])

    def _plus(self, left: Quotient, right: Quotient) -> Quotient:
        if left[1] != right[1]:
            left, right = self._over(left, right[1]), self._over(right, left[1])
        divisor = self._product(left[1], right[1]) if left[1] != right[1] else left[1]
        return self.writer.emit("Add", left[0], right[0]), divisor

    def _over(self, number: Quotient, divisor: str | None) -> Quotient:
        """The number with both sides times `divisor`; the lower one is put together by `_plus`."""
        return self._product(number[0], divisor) or self.writer.ints(1), number[1]

    def _function(self, atom: Opaque, symbols: Mapping[str, str]) -> Quotient:
        parts = [self._quotient(argument, symbols) for argument in atom.arguments]
        if atom.function == "over":
            (above, below) = parts[0]
            return below or self.writer.ints(1), above
        (a, a_below), (b, b_below) = parts
        left, right = self._product(a, b_below) or self.writer.ints(1), self._product(b, a_below) or self.writer.ints(1)
        if atom.function == "floor":
            return floor_divided(self.writer, left, right), None
        kind = {"min": "Min", "max": "Max"}[atom.function]
        return self.writer.emit(kind, left, right), self._product(a_below, b_below)


def floor_divided(writer: OnnxWriter, left: str, right: str) -> str:
    """The largest whole number not above the quotient of two: `Div` rounds towards 0, `Mod` has the divisor's sign."""
    return writer.emit("Div", writer.emit("Sub", left, writer.emit("Mod", left, right)), right)
