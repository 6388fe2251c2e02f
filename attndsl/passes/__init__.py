"""Rewritings of the graph: one file each, one visible pipeline.

Given a graph; gives one that computes the same in fewer or better steps, and for each pass a report of what it rewrote
and of what came close and was refused, with the reason.
"""

from typing import TYPE_CHECKING

from attndsl.lazy import lazily

if TYPE_CHECKING:
    from attndsl.passes.base import Miss, Pass, PassReport, Rewrite
    from attndsl.passes.pipeline import PIPELINE, TRAINED, explain, optimize

__all__ = ["PIPELINE", "TRAINED", "Miss", "Pass", "PassReport", "Rewrite", "explain", "optimize"]

__getattr__, __dir__ = lazily(__name__)
