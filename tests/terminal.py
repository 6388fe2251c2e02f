"""Programs that are started as from a terminal."""

from __future__ import annotations

import signal


def as_in_a_terminal() -> None:
    """What a shell starts in the background inherits deaf ears for Ctrl-C; for `preexec_fn`."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
