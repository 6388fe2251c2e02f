"""Holding one backend against another: every output, every gradient, and the first place where they part."""

from attndsl.comparison.measure import compare
from attndsl.comparison.report import SCHEMA, Comparison, Divergence, Row, table
from attndsl.comparison.sides import candidates

__all__ = ["SCHEMA", "Comparison", "Divergence", "Row", "candidates", "compare", "table"]
