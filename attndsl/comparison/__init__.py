"""Holding one backend against another: every output, every gradient, and the first place where they part."""

from attndsl.comparison.measure import CANDIDATES, compare
from attndsl.comparison.report import SCHEMA, Comparison, Divergence, Row, table

__all__ = ["CANDIDATES", "SCHEMA", "Comparison", "Divergence", "Row", "compare", "table"]
