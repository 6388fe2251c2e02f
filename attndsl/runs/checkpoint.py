"""Checkpoints: one safetensors file per kept step, put in place in one motion, the older ones dropped afterwards."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attndsl.diagnostics import AttnError, error
from attndsl.lazy import Array
from attndsl.records import Frozen
from attndsl.running.processes import ALONE, Processes
from attndsl.running.state import parameters_in
from attndsl.runs.record import CHECKPOINTS, WEIGHTS
from attndsl.storage.deferred import Deferred
from attndsl.storage.refusals import file_errors
from attndsl.storage.safetensors import TensorFile, in_files, write_tensors

KEEP = 2
_NAME = re.compile(r"step-(\d+)\.safetensors")
_FACTS = "attndsl"


class Checkpoint(Frozen):
    """The state after `step` steps."""

    step: int
    path: Path
    state: Mapping[str, Array]

    @property
    def parameters(self) -> Mapping[str, Array]:
        """The parameters alone, by address, with the states that all rows share."""
        return parameters_in(self.state)


def checkpoint_path(run: Path, step: int) -> Path:
    return run / CHECKPOINTS / f"step-{step:06d}.safetensors"


def save_tensors(path: Path, tensors: Mapping[str, Array], processes: Processes = ALONE, **facts: object) -> None:
    """Write a safetensors file whole or not at all; `facts` go into its header. The first of the `processes` writes,
    while all of them hand over the tensors of which each has a part. Raises E0705 (in the first)."""
    if not processes.is_first:
        for name in in_files(tensors):
            tensors[name]
        return
    with file_errors("write", path):
        write_tensors(path, tensors, {_FACTS: json.dumps(facts)})


def save_checkpoint(
    run: Path, step: int, state: Mapping[str, Array], keep: int = KEEP, processes: Processes = ALONE
) -> Path:
    """Keep the state after `step` steps (`save_tensors`), then drop all but the `keep` newest. A kill at any moment
    leaves the newest complete one readable. Raises E0705."""
    path = checkpoint_path(run, step)
    if processes.is_first:
        with file_errors("create", path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
    save_tensors(path, state, processes, format="attndsl checkpoint", step=step)
    if not processes.is_first:
        return path
    with file_errors("delete an old checkpoint in", path.parent):
        for _, old in list_checkpoints(run)[:-keep]:
            old.unlink(missing_ok=True)
    return path


def list_checkpoints(run: Path) -> list[tuple[int, Path]]:
    """Steps and files, oldest first."""
    folder = run / CHECKPOINTS
    found = [
        (int(match[1]), path) for path in folder.glob("step-*.safetensors") if (match := _NAME.fullmatch(path.name))
    ]
    return sorted(found)


def load_checkpoint(path: Path, step: int) -> Checkpoint:
    """One whose file is known to be whole. Raises E0733 where it is damaged."""
    return Checkpoint(step, path, read_tensors(path, "the checkpoint")[0])


def newest_checkpoint(run: Path, after: int = -1) -> tuple[Checkpoint | None, list[AttnError]]:
    """The newest that can be read, of those behind step `after`, and what is wrong with the newer ones that cannot."""
    problems: list[AttnError] = []
    for step, path in reversed(list_checkpoints(run)):
        if step <= after:
            break
        try:
            return load_checkpoint(path, step), problems
        except AttnError as problem:
            problems.append(problem)
    return None, problems


def furthest_parameters(run: Path) -> tuple[Mapping[str, Array], int]:
    """The parameters by address and the number of steps that made them: the final ones, or those of the newest
    checkpoint that can be read where that is further. Raises E0732 where there are none yet, E0733 where the final ones
    or all checkpoints are damaged."""
    final: tuple[Mapping[str, Array], int] | None = None
    if (run / WEIGHTS).is_file():
        arrays, facts = read_tensors(run / WEIGHTS, "the weights file")
        final = arrays, int(facts.get("step", 0))
    checkpoint, problems = newest_checkpoint(run, final[1] if final is not None else -1)
    if checkpoint is not None:
        return checkpoint.parameters, checkpoint.step
    if final is not None:
        return final
    if problems:
        raise problems[0]
    raise error(
        "E0732", f"the run `{run}` has no weights yet: it was stopped before its first checkpoint",
        help=f"resume it: `attndsl train --resume {run}`",
    )  # fmt: skip


def read_tensors(path: Path, what: str) -> tuple[Deferred, dict[str, Any]]:
    """The tensors of a safetensors file, all held against their checksums, to be read again as they are asked for; and
    its facts. Raises E0601 (it cannot be read), E0733 (it is damaged); what is damaged afterwards is E0602 or E0603."""
    try:
        file = TensorFile(path)
        try:
            if not file.is_checked:
                raise ValueError("it has no checksums")
            facts = json.loads(file.metadata.get(_FACTS, "{}"))
            for _ in file.tensors.items():
                pass
            return file.tensors, dict(facts)
        except BaseException:
            file.close()
            raise
    except (AttnError, ValueError, TypeError) as problem:
        first = problem.diagnostics[0] if isinstance(problem, AttnError) else None
        if first is not None and first.code == "E0601":
            raise
        raise error(
            "E0733",
            f"{what} `{path}` is damaged",
            note=first.message if first is not None else str(problem),
            help="restore the file from a copy, or delete it to fall back on an older one",
        ) from None
