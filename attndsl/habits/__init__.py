"""What people write who come from PyTorch, NumPy, JAX, einops or Python, and what it is here.

Given a text and where in it something means nothing here, the room gives a help line with what to write instead.
`table` is the one list of such habits; `written` reads what stands in the author's text, `advice` finds the habit and
fills in the author's own names, `notations` translates patterns and numbered axes. The parser, the elaborator and the
recipes ask when something means nothing to them; nothing else loads this. docs/coming-from.md is written from what the
compiler answers.
"""

from attndsl.habits.advice import (
    KnownNames,
    advise,
    advise_layer,
    advise_option,
    advise_product,
    advise_statement,
    advise_subscript,
    called_here,
)
from attndsl.habits.table import DTYPES, HYPERPARAMETERS, MARKS, RECIPE, STATEMENTS, VERBS, WORDS

__all__ = [
    "DTYPES",
    "HYPERPARAMETERS",
    "MARKS",
    "RECIPE",
    "STATEMENTS",
    "VERBS",
    "WORDS",
    "KnownNames",
    "advise",
    "advise_layer",
    "advise_option",
    "advise_product",
    "advise_statement",
    "advise_subscript",
    "called_here",
]
