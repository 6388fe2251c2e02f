"""What a model is made of: layers with shapes, parameters, operations and the memory that training takes.

Given a graph, and sizes for its inputs; gives a `Report`, a tree of layers, and that tree as text. Nothing is run: all
is counted by what each op says of its cost.
"""

from typing import TYPE_CHECKING

from attndsl.lazy import lazily

if TYPE_CHECKING:
    from attndsl.inspection.measure import inspect
    from attndsl.inspection.report import LayerReport, Report, Sharing, SizeChoice, Totals
    from attndsl.inspection.sizes import choose_sizes
    from attndsl.inspection.table import render_tree

__all__ = ["LayerReport", "Report", "Sharing", "SizeChoice", "Totals", "choose_sizes", "inspect", "render_tree"]

__getattr__, __dir__ = lazily(__name__)
