"""Holding one backend against another: every output, every gradient, and the first place where they part."""

from attndsl.comparison.measure import compare
from attndsl.comparison.report import SCHEMA, Comparison, Divergence, Row, table
from attndsl.comparison.sides import CANDIDATES

__all__ = ["CANDIDATES", "SCHEMA", "Comparison", "Divergence", "Row", "compare", "table"]
