"""What an editor asks of a spec while somebody writes it: what is here, of which type, where from, what fits, what else
it could be called.

Given texts and places in them; gives plain records. The answers come from the parser, the checker and the elaborator
themselves: `recording` notes what an elaboration finds out on its way, and `workspace` does again what a change
touches. Nothing here knows a protocol: `attndsl.language_server` speaks one.
"""

from attndsl.editing.completion import Suggestion, completions, is_known
from attndsl.editing.hovering import hover
from attndsl.editing.inlays import Inlay, inlays
from attndsl.editing.renaming import Edit, Refused, rename, renamed_at
from attndsl.editing.things import definition
from attndsl.editing.workspace import Analysis, Workspace

__all__ = [
    "Analysis",
    "Edit",
    "Inlay",
    "Refused",
    "Suggestion",
    "Workspace",
    "completions",
    "definition",
    "hover",
    "inlays",
    "is_known",
    "rename",
    "renamed_at",
]
