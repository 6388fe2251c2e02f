"""Rewritings of the graph: one file each, one visible pipeline.

Given a graph; gives one that computes the same in fewer or better steps, and for each pass a report of what it rewrote
and of what came close and was refused, with the reason.
"""

from attndsl.passes.base import Miss, Pass, PassReport, Rewrite
from attndsl.passes.pipeline import LOSSES, PIPELINE, explain, optimize

__all__ = ["LOSSES", "PIPELINE", "Miss", "Pass", "PassReport", "Rewrite", "explain", "optimize"]
