"""Values that are known at compile time, and what the operators and functions of the language make of them.

Given expressions of the tree and what their names mean at the place where they stand; gives numbers, texts, `none` and
references. A model's hyperparameters and conditions, a `train` section, the `config`, the conditions and the axes of a
`weights` section are all evaluated here, so that one expression has one value wherever it is written.
"""

from attndsl.values.evaluator import KIND, Absent, Evaluator, Operand, left_to_right, not_a_condition
from attndsl.values.hyperparameters import hyperparameters_of, named
from attndsl.values.number import (
    CONSTANTS,
    SPELLINGS,
    Formula,
    IndexVariable,
    Nothing,
    Number,
    Plain,
    Reference,
    Text,
    described,
    equal,
    from_python,
    kind_of,
    operate,
    to_python,
    to_setting,
    too_long,
    undo,
    written,
)
from attndsl.values.operators import FUNCTIONS, OPERATORS, Scalar, apply, rule_of

__all__ = [
    "CONSTANTS",
    "FUNCTIONS",
    "KIND",
    "OPERATORS",
    "SPELLINGS",
    "Absent",
    "Evaluator",
    "Formula",
    "IndexVariable",
    "Nothing",
    "Number",
    "Operand",
    "Plain",
    "Reference",
    "Scalar",
    "Text",
    "apply",
    "described",
    "equal",
    "from_python",
    "hyperparameters_of",
    "kind_of",
    "left_to_right",
    "named",
    "not_a_condition",
    "operate",
    "rule_of",
    "to_python",
    "to_setting",
    "too_long",
    "undo",
    "written",
]
