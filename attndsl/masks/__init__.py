"""What masks mean, read back from the graph.

Given the value of a mask, and the axes of its queries and keys; gives its formula in positions (`k <= q`) and the facts
that follow from it: whether it is causal, a window, a prefix, and whether a row may be empty.
"""

from attndsl.masks.facts import Mask, mask_facts, words
from attndsl.masks.formulas import index_formula, mask_formula

__all__ = ["Mask", "index_formula", "mask_facts", "mask_formula", "words"]
