"""What masks mean, read back from the graph: given the value of a mask, its formula and what follows from it."""

from attndsl.masks.facts import Mask, mask_facts, words
from attndsl.masks.formulas import mask_formula

__all__ = ["Mask", "mask_facts", "mask_formula", "words"]
