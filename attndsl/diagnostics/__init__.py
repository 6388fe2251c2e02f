"""What is said when something is wrong: places and messages, the text and JSON made of them, and what each code means.

Given spans of a source and words; gives an `AttnError`, which as text is what the command line prints, or a warning,
which goes to whoever listens. Everything in attndsl may use this room, and it uses no other.
"""

from attndsl.diagnostics.diagnostic import (
    MOST_TOLD,
    WARNING,
    AttnError,
    Diagnostic,
    Label,
    Source,
    Span,
    collected,
    error,
    is_heard,
    listening,
    warn,
    warning,
)
from attndsl.diagnostics.suggestions import (
    Fix,
    did_you_mean,
    few_suggestions,
    first_of,
    listed,
    nearest,
    quoted,
    shortened,
)

__all__ = [
    "MOST_TOLD",
    "WARNING",
    "AttnError",
    "Diagnostic",
    "Fix",
    "Label",
    "Source",
    "Span",
    "collected",
    "did_you_mean",
    "error",
    "few_suggestions",
    "first_of",
    "is_heard",
    "listed",
    "listening",
    "nearest",
    "quoted",
    "shortened",
    "warn",
    "warning",
]
