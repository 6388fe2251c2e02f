"""Holding one backend against another: every output, every gradient, and the first place where they part.

Given a graph, and the inputs and parameters to run it with or a seed to draw them by; gives a `Comparison`, which has
for each array how far apart the two sides are and how far they may be (`attndsl.comparison.tolerance`).
"""

from attndsl.comparison.measure import compare
from attndsl.comparison.report import SCHEMA, ComparedArray, Comparison, Divergence, table
from attndsl.comparison.sides import candidates

__all__ = ["SCHEMA", "ComparedArray", "Comparison", "Divergence", "candidates", "compare", "table"]
