"""Rewritings of the graph: one file each, one visible pipeline."""

from attndsl.passes.base import Miss, Pass, PassReport, Rewrite
from attndsl.passes.pipeline import PIPELINE, explain, optimize

__all__ = ["PIPELINE", "Miss", "Pass", "PassReport", "Rewrite", "explain", "optimize"]
