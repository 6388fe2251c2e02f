"""What must hold of sizes: decided at once where every symbol has a value, kept for the call where not."""

from __future__ import annotations

from collections.abc import Mapping

from attndsl.diagnostics import Diagnostic, Label, Span
from attndsl.records import Frozen
from attndsl.sizes.size import Size

RELATIONS = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "divides": lambda a, b: b != 0 and a % b == 0,
}


class Constraint(Frozen):
    """`left RELATION right`; for `divides`, `right` divides `left`. `origin` is where the author (or a block that he
    called) asked for it, `code` the diagnostic that its failure gives, and `message` what that says (empty: what the
    sizes would have to be)."""

    relation: str
    left: Size
    right: Size
    span: Span
    code: str = "E0210"
    notes: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()
    other: tuple[Label, ...] = ()
    message: str = ""

    @property
    def symbols(self) -> frozenset[str]:
        return self.left.symbols | self.right.symbols

    def holds(self, values: Mapping[str, int]) -> bool | None:
        """Whether it holds under `values`; None where a size in it is not known yet."""
        if self.relation == "==" and self.left == self.right:
            return True
        try:
            return bool(RELATIONS[self.relation](self.left.exact(values), self.right.exact(values)))
        except KeyError:
            return None
        except ZeroDivisionError:
            return False

    def failure(self, values: Mapping[str, int]) -> Diagnostic:
        """The message for values under which it does not hold, in the author's names."""

        def shown(size: Size) -> str:
            text = str(size)
            if text[0] == "(" and text.find(")") == len(text) - 1:
                text = text[1:-1]
            try:
                value = str(size.exact(values))
            except (KeyError, ZeroDivisionError):
                return f"`{text}`"
            return text if text == value else f"`{text}` ({value})"

        if self.relation == "divides":
            message = f"{shown(self.left)} is not divisible by {shown(self.right)}"
        else:
            message = f"{shown(self.left)} must be {_WORDS[self.relation]} {shown(self.right)}"
        known = [f"{name} = {values[name]}" for name in sorted(self.symbols) if name in values]
        derivation = (", ".join(known),) if known else ()
        if self.message:
            message, derivation = self.message, (message, *derivation)
        return Diagnostic(self.code, message, Label(self.span), self.other, derivation + self.notes, self.helps)


_WORDS = {
    "==": "equal to",
    "!=": "different from",
    "<": "less than",
    "<=": "at most",
    ">": "more than",
    ">=": "at least",
}
