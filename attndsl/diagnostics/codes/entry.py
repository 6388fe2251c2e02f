"""One entry of the table of codes."""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """`wrong` gives the diagnostic, `right` is its nearest relative that does not.

    `kind` says what they are: `spec` (programs in attn, which `attndsl check` judges), `command` (command lines, with
    what they answer) or `situation` (command lines that need a machine, a file or a moment that an example cannot
    bring along).
    """

    code: str
    title: str
    text: str
    wrong: str
    right: str
    kind: str = "spec"
