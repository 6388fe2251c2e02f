"""What is said when something is wrong: places and messages, the text and JSON made of them, and what each code means.

Given spans of a source and words; gives an `AttnError`, which as text is what the command line prints. Everything in
attndsl may use this room, and it uses no other.
"""

from attndsl.diagnostics.diagnostic import (
    AttnError,
    Diagnostic,
    Label,
    Source,
    Span,
    did_you_mean,
    error,
    nearest,
)

__all__ = ["AttnError", "Diagnostic", "Label", "Source", "Span", "did_you_mean", "error", "nearest"]
