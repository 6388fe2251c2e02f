"""Checkpoints: one safetensors file per kept step, put in place in one motion, the older ones dropped afterwards."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attndsl.diagnostics import AttnError, error
from attndsl.lazy import Array
from attndsl.running.processes import ALONE, Processes
from attndsl.running.state import parameters_in
from attndsl.runs.record import CHECKPOINTS, WEIGHTS
from attndsl.storage.deferred import Deferred
from attndsl.storage.refusals import file_errors
from attndsl.storage.safetensors import TensorFile, in_files, write_tensors

KEEP = 2
_NAME = re.compile(r"step-(\d+)\.safetensors")
_FACTS = "attndsl"


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


def save_checkpoint(run: Path, step: int, state: Mapping[str, Array], processes: Processes = ALONE) -> Path:
    """Keep the state after `step` steps (`save_tensors`), then drop all but the `KEEP` newest. A kill at any moment
    leaves the newest complete one readable. Raises E0705."""
    path = checkpoint_path(run, step)
    if processes.is_first:
        with file_errors("create", path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
    save_tensors(path, state, processes, format="attndsl checkpoint", step=step)
    if not processes.is_first:
        return path
    with file_errors("delete an old checkpoint in", path.parent):
        for _, old in list_checkpoints(run)[:-KEEP]:
            old.unlink(missing_ok=True)
    return path


def list_checkpoints(run: Path) -> list[tuple[int, Path]]:
    """Steps and files, oldest first."""
    folder = run / CHECKPOINTS
    found = [
        (int(match[1]), path) for path in folder.glob("step-*.safetensors") if (match := _NAME.fullmatch(path.name))
    ]
    return sorted(found)


def furthest_parameters(run: Path) -> tuple[Mapping[str, Array], int]:
    """The parameters by address and the number of steps that made them: the final ones, or those of the newest
    checkpoint that can be read where that is further. Raises E0732 where there are none yet, E0733 where the final ones
    or all checkpoints are damaged."""
    final: tuple[Mapping[str, Array], int] | None = None
    if (run / WEIGHTS).is_file():
        arrays, facts = read_tensors(run / WEIGHTS, "the weights file")
        final = arrays, int(facts.get("step", 0))
    problems: list[AttnError] = []
    for step, path in reversed(list_checkpoints(run)):
        if final is not None and step <= final[1]:
            break
        try:
            return _verified(parameters_in(open_tensors(path, "the checkpoint")[0])), step
        except AttnError as problem:
            problems.append(problem)
    if final is not None:
        return final
    if problems:
        raise problems[0]
    raise error(
        "E0732", f"the run `{run}` has no weights yet: it was stopped before its first checkpoint",
        help=f"resume it: `attndsl train --resume {run}`",
    )  # fmt: skip


def read_tensors(path: Path, what: str) -> tuple[Deferred, dict[str, Any]]:
    """`open_tensors`, with all tensors held against their checksums now: they are read again as they are asked for."""
    tensors, facts = open_tensors(path, what)
    return _verified(tensors), facts


def open_tensors(path: Path, what: str) -> tuple[Deferred, dict[str, Any]]:
    """The tensors of a safetensors file, each held against its checksum whenever it is read, and its facts. Raises
    E0601 (it cannot be read) and E0733 (it is damaged), also as a tensor is read."""
    with _damage(path, what):
        file = TensorFile(path)
        if not file.is_checked:
            raise ValueError("it has no checksums")
        facts, known = dict(json.loads(file.metadata.get(_FACTS, "{}"))), file.tensors.stated

    def read(name: str) -> Array:
        with _damage(path, what):
            return file.read(name)

    return Deferred(known, read), facts


def _verified(tensors: Deferred) -> Deferred:
    for _ in tensors.values():
        pass
    return tensors


@contextmanager
def _damage(path: Path, what: str) -> Iterator[None]:
    """Say of a file in which something is wrong what it is to the run."""
    try:
        yield
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
