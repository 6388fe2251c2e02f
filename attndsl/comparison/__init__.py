"""Holding one backend against another: every output, every gradient, and the first place where they part."""

from attndsl.comparison.measure import compare
from attndsl.comparison.report import SCHEMA, ComparedArray, Comparison, Divergence, table
from attndsl.comparison.sides import candidates

__all__ = ["SCHEMA", "ComparedArray", "Comparison", "Divergence", "candidates", "compare", "table"]
