"""The language server: `attndsl.editing`'s answers in the words of the Language Server Protocol, over stdin and stdout.

Given messages of an editor; gives answers, and diagnostics of its own accord. Needs pygls, which comes with
`pip install 'attndsl[editor]'`. A text is checked in a thread of its own, and a question about a text as it was checked
last is answered at once.
"""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from importlib.util import find_spec

from attndsl.diagnostics import error


def serve() -> None:
    """Speak the protocol on stdin and stdout until the editor says to exit. Raises E0708 where pygls is missing."""
    if find_spec("pygls") is None:
        what = "the language server needs the package `pygls`, which is not installed"
        raise error("E0708", what, help="install it with `pip install 'attndsl[editor]'`")
    from attndsl.language_server.server import make_server

    # Files of its own, as it closes them at the end; and what anything else prints must not come between messages.
    with (
        open(os.dup(sys.stdin.fileno()), "rb") as said,
        open(os.dup(sys.stdout.fileno()), "wb") as answers,
        redirect_stdout(sys.stderr),
    ):
        make_server().start_io(said, answers)


__all__ = ["serve"]
