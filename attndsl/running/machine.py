"""What is the fastest on this machine, where one thing can be computed in several ways: timed once, and kept.

A backend names a *kind* of work and its *kernels*, functions that do a sample of it. `Machine.fastest` times them in
turn, and keeps what it found in a file in the user's cache folder (`measured.json`), under what the times depend on:
the processor, the threads, the versions. A file that is damaged is measured anew, and one that cannot be written is
done without. What is found while the machine is busy serves this process alone: the least of several times in turn
compares well also then, but one may have met a better moment. The environment variable ATTNDSL_KERNELS names the kernel
to take instead, wherever there is one of that name; other kinds take their first then, and nothing is timed.
"""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attndsl.diagnostics import did_you_mean, error
from attndsl.storage.whole import replacing

PIN = "ATTNDSL_KERNELS"
Kernels = Mapping[str, Callable[[], object]]
_ROUNDS, _SECONDS, _LONGEST = 9, 0.15, 0.6  # at most, for a kind; and where no time was met twice
_MARGIN, _STEADY = 1.05, 1.1


class Machine:
    """A processor as it computes now. `depends` are the names of what times depend on besides."""

    def __init__(self, *depends: str, file: Path | None = None) -> None:
        self.name = ", ".join((processor(), *depends))
        self.file = file or cache_folder() / "measured.json"
        self._known: dict[str, dict[str, float]] = _read(self.file).get(self.name, {})

    def fastest(self, kind: str, names: Sequence[str], kernels: Callable[[], Kernels]) -> str:
        """The fastest of the kernels called `names`, which `kernels` makes when they are to be timed. The first is what
        needs no reason: another is taken if it is 5 % faster."""
        first, *others = names
        if wanted := pinned():
            return wanted if wanted in others else first
        if not others:
            return first
        seconds = self.seconds(kind, names, kernels)
        return min(seconds, key=lambda name: seconds[name] * (1 if name == first else _MARGIN))

    def seconds(self, kind: str, names: Sequence[str], kernels: Callable[[], Kernels]) -> Mapping[str, float]:
        """What a sample of this kind takes by each of these kernels."""
        if kind not in self._known or self._known[kind].keys() != set(names):
            self._known[kind], steady = timed(kernels())
            if steady and not busy():
                self._keep(kind)
        return self._known[kind]

    def _keep(self, kind: str) -> None:
        found = _read(self.file)
        found.setdefault(self.name, {})[kind] = self._known[kind]
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.file) as stream:
                stream.write(json.dumps(found, indent=1).encode())
        except OSError:
            pass  # the next process measures again


def timed(kernels: Kernels) -> tuple[dict[str, float], bool]:
    """The least time of each, in seconds, and whether each was nearly met twice, so that nothing else was in its way.
    All in turn, so that what else the machine does meets all alike."""
    times: dict[str, list[float]] = {name: [] for name in kernels}
    began = time.perf_counter()
    while True:
        for name, run in kernels.items():
            start = time.perf_counter()
            run()
            times[name] = sorted((*times[name], time.perf_counter() - start))
        rounds, passed = len(next(iter(times.values()))), time.perf_counter() - began
        steady = rounds > 1 and all(found[1] < found[0] * _STEADY for found in times.values())
        if passed > _LONGEST or (steady and (passed > _SECONDS or rounds >= _ROUNDS)):
            return {name: found[0] for name, found in times.items()}, steady


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def busy() -> bool:
    """Whether more is waiting for the processors than there are of them, by the average of the last minute: of all that
    the machine has, since that average is of all processes."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > (os.cpu_count() or 1) + 0.5


def pinned() -> str:
    """What the environment asks for; empty where it leaves the choice to what is measured."""
    return os.environ.get(PIN, "")


def check_pin(known: Iterable[str]) -> None:
    """Raise E0816 where ATTNDSL_KERNELS names none of the `known` kernels."""
    wanted, known = pinned(), list(known)
    if wanted and wanted not in known:
        helps = (*did_you_mean(wanted, known), f"there are {', '.join(f'`{name}`' for name in known)}")
        raise error("E0816", f"{PIN} asks for kernels called `{wanted}`", help=helps)


def cache_folder() -> Path:
    """Where what can be made again is kept for this user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "attndsl"


def processor() -> str:
    """The processor, as it calls itself."""
    try:
        match = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        match = None
    return match[1].strip() if match else platform.processor()


def _read(file: Path) -> dict[str, Any]:
    """What a file keeps, by machine and kind; nothing where it is not such a file."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {
            machine: {kind: {name: float(s) for name, s in seconds.items()} for kind, seconds in kinds.items()}
            for machine, kinds in found.items()
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
