"""Whose a process's number is. Machines that share a folder have numbers of their own, and so has each container."""

from __future__ import annotations

import functools
import os
import platform
from pathlib import Path

_KERNEL = Path("/proc/sys/kernel/random/boot_id")  # no two that run have the same


def machine() -> str:
    """What tells this machine, as it runs now, from all others, whatever these are called."""
    try:
        return _KERNEL.read_text().strip()
    except OSError:  # another system than Linux
        return platform.node()


def number_space() -> str:
    """Where on the machine this process's number means it."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


@functools.cache
def numbering() -> str:
    """A short name, without dots, for where the numbers are that this process sees."""
    import hashlib

    told = "\n".join((machine(), platform.node(), number_space()))
    return hashlib.blake2b(told.encode(), digest_size=4).hexdigest()


def is_running(number: str) -> bool:
    """Whether the process of that number, of those that this one sees, may still be there."""
    if os.name != "posix" or not number.isdecimal():
        return True
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
