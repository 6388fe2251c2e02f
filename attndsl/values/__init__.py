"""Values that are known at compile time, and what the operators and functions of the language make of them.

Given expressions of the tree and what their names mean at the place where they stand; gives numbers, texts, `none` and
references. A model's hyperparameters and conditions, a `train` section, the `config`, the conditions and the axes of a
`weights` section are all evaluated here, so that one expression has one value wherever it is written.
"""

from attndsl.values.evaluator import KIND, Absent, Evaluator, Operand, left_to_right, not_a_condition
from attndsl.values.hyperparameters import hyperparameters_of, named, shown_setting, storable
from attndsl.values.number import (
    CONSTANTS,
    SPELLINGS,
    Formula,
    IndexVariable,
    List,
    Nothing,
    Number,
    Plain,
    Reference,
    Text,
    described,
    elements,
    equal,
    from_python,
    joined,
    kind_of,
    operate,
    place_in,
    rounds,
    to_python,
    to_setting,
    too_long,
    undo,
    written,
)
from attndsl.values.operators import FUNCTIONS, LISTS, OPERATORS, Scalar, apply, rule_of

__all__ = [
    "CONSTANTS",
    "FUNCTIONS",
    "KIND",
    "LISTS",
    "OPERATORS",
    "SPELLINGS",
    "Absent",
    "Evaluator",
    "Formula",
    "IndexVariable",
    "List",
    "Nothing",
    "Number",
    "Operand",
    "Plain",
    "Reference",
    "Scalar",
    "Text",
    "apply",
    "described",
    "elements",
    "equal",
    "from_python",
    "hyperparameters_of",
    "joined",
    "kind_of",
    "left_to_right",
    "named",
    "not_a_condition",
    "operate",
    "place_in",
    "rounds",
    "rule_of",
    "shown_setting",
    "storable",
    "to_python",
    "to_setting",
    "too_long",
    "undo",
    "written",
]
