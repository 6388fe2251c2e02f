"""From trees to graphs: names, sizes, axes, labels, blocks and masks, all decided before a tensor exists.

Given a spec with the files that it imports, and values for hyperparameters; gives a `Graph` that obeys every rule of
the language, or raises an `AttnError` with all that is wrong.
"""

from attndsl.elaborate.inputs import with_optional
from attndsl.elaborate.model import elaborate, load, meanings, unfit_values
from attndsl.elaborate.spec import Spec, open_spec, open_text, shipped

__all__ = [
    "Spec",
    "elaborate",
    "load",
    "meanings",
    "open_spec",
    "open_text",
    "shipped",
    "unfit_values",
    "with_optional",
]
