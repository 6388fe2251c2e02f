"""Symbolic sizes and what must hold of them.

Given symbols and numbers; gives `Size`, a formula in a normal form, by which two sizes are equal or not whatever their
values; and `Constraint`, which is decided where values are known and kept for later where not.
"""

from attndsl.sizes.constraints import Constraint
from attndsl.sizes.quotients import at_least_zero
from attndsl.sizes.size import ONE, ZERO, Size, solve, solved_for_one
from attndsl.sizes.terms import Atom, Opaque, SizeTooLong, readable

__all__ = [
    "ONE",
    "ZERO",
    "Atom",
    "Constraint",
    "Opaque",
    "Size",
    "SizeTooLong",
    "at_least_zero",
    "readable",
    "solve",
    "solved_for_one",
]
