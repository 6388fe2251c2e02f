"""What masks mean, read back from the graph."""

from attndsl.masks.analysis import MaskDescription, describe_mask, mask_formula, never_empty, rows_never_empty

__all__ = ["MaskDescription", "describe_mask", "mask_formula", "never_empty", "rows_never_empty"]
