"""Rewritings of the graph: one file each, one visible pipeline."""

from attndsl.passes.base import Miss, Pass, Report, Rewrite
from attndsl.passes.pipeline import PIPELINE, explain, optimize

__all__ = ["PIPELINE", "Miss", "Pass", "Report", "Rewrite", "explain", "optimize"]
