"""The processes that train one model together, as each of them sees it.

All take the same steps on the same batches, of which each has its part, and only the first (of rank 0) talks and
writes. What may go wrong in one of them alone is done in agreement, so that either all go on or one of them says why
not.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from typing import TypeVar

from attndsl.diagnostics import AttnError
from attndsl.records import dataclass, replace

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Launch:
    """What a launcher tells a process: its `rank` among `size` of them, and its number among those that it has started
    here, if it says that."""

    rank: int
    size: int
    local: int | None = None

    @staticmethod
    def of_environment() -> Launch | None:
        """As torchrun says it (`RANK`, `WORLD_SIZE`, `LOCAL_RANK`); None for a process that is alone."""
        rank, size, local = (os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        if not rank.isdecimal() or not size.isdecimal() or int(size) <= 1:
            return None
        return Launch(int(rank), int(size), int(local) if local.isdecimal() else None)


class Processes:
    """A process that is alone; a backend that joins several gives one that overrides `gather` and what follows it. It
    is number `local` of the `local_size` that are on its machine."""

    rank = 0
    size = 1
    local = 0
    local_size = 1

    def gather(self, value: Result) -> list[Result]:
        """What each process gives here, by rank. All of them must call it."""
        return [value]

    def total(self, values: Sequence[float]) -> list[float]:
        """The sums over the processes, with the same bits in each."""
        return list(values)

    def device(self, wanted: str) -> str:
        """Where this one computes: of several devices of a machine that of its own."""
        return wanted

    def usage(self, memory: int) -> dict[str, float]:
        """What it takes to train together: of the `memory` of each (`Trainer.memory`) the most, and `collectives`, the
        share of the time since it was last asked that they have spent on one another. Nothing where it is alone."""
        return {}

    def speaks(self) -> bool:
        """Whether it is the first to ask: of those that fail, it is the one that says why."""
        return True

    def has_lost(self, problem: Exception) -> bool:
        """Whether it is no failure of this process alone, but of what it sends to others or has from them."""
        return False

    def leave(self, problem: Exception) -> None:
        """End, but not before it was seen which process was the first to go. If none was, the first to ask says what
        the `problem` is (E0771)."""

    # ------------------------------------------------------------ what is made of these

    @property
    def is_first(self) -> bool:
        """Whether it is the one that talks and writes."""
        return self.rank == 0

    def any(self, here: bool) -> bool:
        """Whether it is so in any of them."""
        return any(self.total([float(here)])) if self.size > 1 else here

    def agree(self, action: Callable[[], Result]) -> Result:
        """What `action` gives; where it fails in one, what went wrong there is raised in all of them."""
        if self.size == 1:
            return action()
        problem: Exception | None = None
        try:
            found = action()
        except Agreed:  # all of them know
            raise
        except Exception as raised:
            problem = raised
        if (problem := self.first_problem(problem)) is not None:
            raise Agreed(problem)
        return found

    def first_problem(self, here: Exception | None) -> Exception | None:
        """What has gone wrong in the first of the processes in which something has, with where that is unless all have
        such a problem."""
        if self.size == 1:
            return here
        told = self.gather(_Failure.of(here) if here is not None else None)
        failures = {rank: failure for rank, failure in enumerate(told) if failure is not None}
        for rank, first in failures.items():
            return first.problem if len(failures) == self.size else first.at(rank, self.size)
        return None

    def in_turn(self, action: Callable[[], Result]) -> Result:
        """`agree`, where the first process acts before the others, for which it may leave something in a file; then the
        first of each other machine, which may not see that file, and then the rest."""
        if self.size == 1:
            return action()
        turn = 0 if self.is_first else 1 if self.local == 0 else 2
        found = [self.agree(action if number == turn else lambda: None) for number in range(3)]
        return found[turn]  # type: ignore[return-value]

    def from_first(self, action: Callable[[], Result]) -> Result:
        """What `action` gives in the first process, which alone acts."""
        found = self.agree(action if self.is_first else lambda: None)
        return self.gather(found)[0]  # type: ignore[return-value]


ALONE = Processes()


class Agreed(Exception):
    """What went wrong in one process, raised in all of them: only the first of them says it."""

    def __init__(self, problem: Exception) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class _Failure:
    problem: Exception
    host: str

    @staticmethod
    def of(problem: Exception) -> _Failure:
        """With what can be sent to others."""
        if not isinstance(problem, (AttnError, OSError, MemoryError)):
            problem = RuntimeError(f"{type(problem).__name__}: {problem}")
        return _Failure(problem, platform.node())

    def at(self, rank: int, size: int) -> Exception:
        """The problem, with where it is."""
        if not isinstance(self.problem, AttnError):
            return self.problem
        note = f"this is so for process {rank} of {size}, on {self.host}"
        first, *others = self.problem.diagnostics
        return AttnError(replace(first, notes=(*first.notes, note)), *others)
