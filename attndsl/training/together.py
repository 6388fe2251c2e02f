"""A training in several processes: that all of them are of the same mind, and that one message says what went wrong."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from attndsl.diagnostics import error
from attndsl.graph.text import to_text
from attndsl.running import backends
from attndsl.running.processes import ALONE, Agreed, Launch, Processes
from attndsl.runs.record import versions
from attndsl.training.session import Session

FAILED = 1


@contextmanager
def together() -> Iterator[Processes]:
    """The processes that a launcher has started with this one; what stops them is raised in one of them, and the others
    leave without a word. Raises E0770, E0773 (they have different versions), E0810."""
    launch = Launch.of_environment()
    if launch is None:
        yield ALONE
        return
    backend = backends.preferred(lambda each: each.parallel)
    backend.require()
    with backend.joined(launch) as processes:
        try:
            found = versions(backend)
            packages = ("attndsl", "python", *backend.packages)
            _require_same(processes, {f"the version of {it}": found[it] for it in packages})
            yield processes
            processes.gather(None)  # none leaves before the last is done
        except Agreed as agreed:
            if processes.is_first:
                raise agreed.problem from None
            raise SystemExit(FAILED) from None
        except Exception as problem:
            if processes.has_lost(problem):
                processes.leave(problem)
            elif processes.speaks():
                raise
            raise SystemExit(FAILED) from None


def require_same(session: Session) -> None:
    """That all processes of a session train the same model by the same recipe on the same data (E0773)."""
    if session.processes.size == 1:
        return
    facts = {
        "the model": to_text(session.graph),
        "the recipe": json.dumps(session.recipe.to_json(), sort_keys=True),
        "the data": session.data.key,
        "the step that they begin at": str(session.step),
    }
    _require_same(session.processes, {name: _digest(fact) for name, fact in facts.items()})


def _digest(text: str) -> str:
    """A short form of a text, which is not of two alike."""
    return text if len(text) <= 16 else hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _require_same(processes: Processes, facts: Mapping[str, str]) -> None:
    told = processes.gather((platform.node(), dict(facts)))
    for name in facts:
        for rank, (host, others) in enumerate(told):
            if others[name] != told[0][1][name]:
                at = f"process 0 has {told[0][1][name]} on {told[0][0]}, and process {rank} {others[name]} on {host}"
                raise Agreed(
                    error(
                        "E0773", f"the processes that train together differ in {name}", note=at,
                        help="give all of them the same command, the same files and the same installation",
                    )
                )  # fmt: skip
