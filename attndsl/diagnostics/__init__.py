"""What is said when something is wrong: places and messages, the text and JSON made of them, and what each code means.

Given spans of a source and words; gives an `AttnError`, which as text is what the command line prints. Everything in
attndsl may use this room, and it uses no other.
"""

from attndsl.diagnostics.diagnostic import (
    MOST_TOLD,
    AttnError,
    Diagnostic,
    Label,
    Source,
    Span,
    error,
)
from attndsl.diagnostics.suggestions import did_you_mean, few_suggestions, nearest

__all__ = [
    "MOST_TOLD",
    "AttnError",
    "Diagnostic",
    "Label",
    "Source",
    "Span",
    "did_you_mean",
    "error",
    "few_suggestions",
    "nearest",
]
