"""The one layout of a text, as the edits that give it."""

from __future__ import annotations

from difflib import SequenceMatcher
from pathlib import Path

from attndsl.diagnostics import AttnError
from attndsl.editing.renaming import Edit
from attndsl.formatting import format_text


def formatting(path: Path, text: str) -> list[Edit]:
    """The edits that put a text into the one layout, line by line, so that an editor's cursor stays where it is. None
    where the text has a mistake, which is told anyway."""
    try:
        wanted = format_text(text, str(path))
    except AttnError:
        return []
    before, after = text.splitlines(keepends=True), wanted.splitlines(keepends=True)
    starts = [0]
    for line in before:
        starts.append(starts[-1] + len(line))
    return [
        Edit(path, starts[i], starts[j], "".join(after[k:m]))
        for kind, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
        if kind != "equal"
    ]
