"""Primitives that compare two numbers, or combine two booleans, place by place."""

from __future__ import annotations

from attndsl.ops import rules
from attndsl.ops.arithmetic import Binary
from attndsl.ops.base import Op
from attndsl.types import BOOL, Type


class Relation(Binary):
    """A comparison of two numbers."""

    differentiable = False
    noun = "mask"

    def result(self, left: Type, right: Type) -> str:
        rules.promoted(left, right, self.name)
        return BOOL


class Equality(Relation):
    """A comparison of two numbers or of two bools."""

    commutative = True

    def result(self, left: Type, right: Type) -> str:
        if left.dtype == right.dtype == BOOL:
            return BOOL
        return super().result(left, right)


class Eq(Equality):
    """left == right"""

    name = "eq"
    symbol = "=="
    ufunc = "equal"


class Ne(Equality):
    """left != right"""

    name = "ne"
    symbol = "!="
    ufunc = "not_equal"


class Lt(Relation):
    """left < right"""

    name = "lt"
    symbol = "<"
    ufunc = "less"

    def mirrored(self) -> Op:
        return Gt()


class Le(Relation):
    """left <= right"""

    name = "le"
    symbol = "<="
    ufunc = "less_equal"

    def mirrored(self) -> Op:
        return Ge()


class Gt(Relation):
    """left > right"""

    name = "gt"
    symbol = ">"
    ufunc = "greater"

    def mirrored(self) -> Op:
        return Lt()


class Ge(Relation):
    """left >= right"""

    name = "ge"
    symbol = ">="
    ufunc = "greater_equal"

    def mirrored(self) -> Op:
        return Le()


class Logical(Binary):
    """A function of two bools."""

    noun = "mask"
    commutative = True
    differentiable = False

    def result(self, left: Type, right: Type) -> str:
        rules.boolean(left, 0, self.name)
        rules.boolean(right, 1, self.name)
        return BOOL


class And(Logical):
    """True where both are."""

    name = "and"
    symbol = "and"
    ufunc = "logical_and"
    associative = True
    identity = True


class Or(Logical):
    """True where at least one is."""

    name = "or"
    symbol = "or"
    ufunc = "logical_or"
    associative = True
    identity = False
