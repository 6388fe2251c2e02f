"""The indices of one definition: a letter for each axis, and which of them an equation must show."""

from __future__ import annotations

from collections.abc import Iterable

from attndsl.types import Axis, Type
from attndsl.typesetting.notation import MathText, every_letter, letter, letters_in
from attndsl.typesetting.rule import Places


class Letters:
    """Letters are numbers until all equations are there. An index that every tensor has at the place of its own axis is
    carried along, and need not be written; whatever else is done with it marks it."""

    def __init__(self) -> None:
        self.axes: list[Axis] = []  # by the number of their letters
        self.copies: dict[int, int] = {}  # letters that run beside another one of their axis
        self.marked: set[int] = set()  # letters that are more than carried along in the current equation

    def letter(self, axis: Axis) -> int:
        if axis not in self.axes:
            self.axes.append(axis)
        return self.axes.index(axis)

    def own(self, axes: Iterable[Axis]) -> dict[Axis, MathText]:
        return {axis: letter(self.letter(axis)) for axis in axes}

    def bound(self, axes: tuple[Axis, ...], places: Places) -> dict[Axis, MathText]:
        running = {number for place in places.values() for number in every_letter(place.text)}
        found: dict[Axis, MathText] = {}
        for axis in axes:
            number = self.letter(axis)
            while number in running:
                if number not in self.copies:
                    self.copies[number] = len(self.axes)
                    self.axes.append(axis)
                number = self.copies[number]
            found[axis] = letter(number)
            self.marked.add(number)
        return found

    def index(self, formula: MathText) -> MathText:
        self.marked |= letters_in(formula.text)
        return formula

    def subscripts(self, type: Type, places: Places) -> list[str]:
        found = []
        for axis in type.axes:
            place, own = places[axis], self.letter(axis)
            if place.text != letter(own).text:
                self.marked |= {own, *letters_in(place.text)}
            found.append(place.text)
        return found
