"""Symbolic sizes and what must hold of them."""

from attndsl.sizes.constraints import Constraint
from attndsl.sizes.size import Size, SizeTooLong, solve

__all__ = ["Constraint", "Size", "SizeTooLong", "solve"]
