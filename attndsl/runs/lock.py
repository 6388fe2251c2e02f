"""One process at a time trains a run."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from attndsl.diagnostics import AttnError, error
from attndsl.runs.record import is_run
from attndsl.storage.refusals import file_errors

FILE = "run.lock"
TRIES, MOMENT = 3, 0.05  # seconds between them: whoever asks whether a run is locked has the lock while it does


@contextlib.contextmanager
def locked(run: Path, warn: Callable[[str], None] = lambda text: None) -> Iterator[None]:
    """The run is this process's alone while it lasts. The system lets go of the lock when the process ends, so that one
    that was killed is in nobody's way. Where there is no run yet nothing is locked; where the file system has no locks,
    `warn` is told. Raises E0739 where another process trains it, E0705."""
    if not is_run(run):
        yield
        return
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        yield
        return
    path = run / FILE
    with file_errors("lock", path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        for tries in reversed(range(TRIES)):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not tries:
                    raise _taken(run, path) from None
                time.sleep(MOMENT)
            except OSError:
                warn(f"the file system of `{run}` has no locks: see that no other process trains this run")
                break
            else:
                break
        with file_errors("write", path):
            os.ftruncate(handle, 0)
            holder = {"process": os.getpid(), "host": platform.node(), "since": time.strftime("%F %T")}
            os.write(handle, json.dumps(holder).encode())
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def is_locked(run: Path) -> bool:
    """Whether a process trains the run now. Nothing is kept from one that is about to."""
    path = run / FILE
    try:
        import fcntl

        if not path.stat().st_size:  # it says so itself that none does
            return False
        handle = os.open(path, os.O_RDONLY)
    except (ImportError, OSError):
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(handle)
    return False


def _taken(run: Path, path: Path) -> AttnError:
    """E0739, with what the other process has written about itself."""
    try:
        holder = json.loads(path.read_bytes())
        process, host, since = int(holder["process"]), str(holder["host"]), str(holder["since"])
    except (OSError, ValueError, TypeError, KeyError):  # it has not come to that yet
        who, stop = "another process", "stop the other process"
    else:
        elsewhere = f" on {host}" if host != platform.node() else ""
        who = f"the process {process}{elsewhere}, since {since}"
        stop = f"stop it{elsewhere}: `kill {process}` (it saves a checkpoint first)"
    return error(
        "E0739",
        f"the run `{run}` is already being trained, by {who}",
        help=("wait until it has ended", f"or {stop}", "or train another run, with a different `--out`"),
    )
