"""What a model is made of: layers with shapes, parameters, operations and the memory that training takes."""

from attndsl.inspection.measure import inspect
from attndsl.inspection.report import LayerReport, Report, Sharing, SizeChoice, Totals
from attndsl.inspection.sizes import choose_sizes
from attndsl.inspection.table import render_tree

__all__ = ["LayerReport", "Report", "Sharing", "SizeChoice", "Totals", "choose_sizes", "inspect", "render_tree"]
