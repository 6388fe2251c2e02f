"""What an editor asks of a spec while somebody writes it: what is here, of which type, where from, what fits, what else
it could be called.

Given texts and places in them; gives plain records. The answers come from the parser, the checker and the elaborator
themselves: `recording` notes what an elaboration finds out on its way, and `workspace` does again what a change
touches. Nothing here knows a protocol: `attndsl.language_server` speaks one.
"""

from __future__ import annotations

import gc

from attndsl.editing.completion import completions, is_known
from attndsl.editing.hovering import hover
from attndsl.editing.inlays import Inlay, inlays
from attndsl.editing.layout import formatting
from attndsl.editing.offers import Suggestion
from attndsl.editing.renaming import Edit, Refused, rename, renamed_at
from attndsl.editing.things import definition
from attndsl.editing.workspace import Analysis, Workspace
from attndsl.elaborate import shipped


def warm() -> None:
    """Read the standard library and ask about a spec before anybody does. What is there then stays, so the collector of
    garbage need not look at it again, nor as often at what comes: a check makes much and keeps most."""
    texts, path = Workspace(), shipped()["gpt2"]
    text = path.read_text(encoding="utf-8")
    texts.write(path, text)
    analysis = texts.analysis(path)
    completions(analysis, text, text.index("layer_norm"))
    hover(analysis, text.index("layer_norm"))
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


__all__ = [
    "Analysis",
    "Edit",
    "Inlay",
    "Refused",
    "Suggestion",
    "Workspace",
    "completions",
    "definition",
    "formatting",
    "hover",
    "inlays",
    "is_known",
    "rename",
    "renamed_at",
    "warm",
]
