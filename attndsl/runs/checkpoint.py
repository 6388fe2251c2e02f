"""Checkpoints: one safetensors file per kept step, put in place in one motion, the older ones dropped afterwards."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attndsl.data.files import file_errors, remove_partial, write_whole
from attndsl.diagnostics import AttnError, error
from attndsl.records import dataclass

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]

FOLDER = "checkpoints"
KEEP = 2
_NAME = re.compile(r"step-(\d+)\.safetensors")
_PARAMETERS = "parameters/"
_FACTS = "attndsl"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state after `step` steps."""

    step: int
    path: Path
    state: Mapping[str, Array]

    @property
    def parameters(self) -> dict[str, Array]:
        """The parameters alone, by address."""
        return {
            name.removeprefix(_PARAMETERS): array for name, array in self.state.items() if name.startswith(_PARAMETERS)
        }


def checkpoint_path(run: Path, step: int) -> Path:
    return run / FOLDER / f"step-{step:06d}.safetensors"


def save_tensors(path: Path, tensors: Mapping[str, Array], **facts: object) -> None:
    """Write a safetensors file whole or not at all; `facts` go into its header. Raises E0705."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    # In one entry: several would stand in an order that changes from process to process.
    header = {_FACTS: json.dumps(facts)}

    def write(partial: Path) -> None:
        try:
            save_file(dict(tensors), partial, header)
        except SafetensorError as problem:  # it wraps the system's own errors
            raise OSError(str(problem)) from problem

    write_whole(path, write)


def save_checkpoint(run: Path, step: int, state: Mapping[str, Array], keep: int = KEEP) -> Path:
    """Keep the state after `step` steps, then drop all but the `keep` newest. A kill at any moment leaves the newest
    complete one readable. Raises E0705."""
    path = checkpoint_path(run, step)
    with file_errors("create", path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    save_tensors(path, state, format="attndsl checkpoint", step=step)
    with file_errors("delete an old checkpoint in", path.parent):
        for _, old in list_checkpoints(run)[:-keep]:
            old.unlink(missing_ok=True)
    return path


def list_checkpoints(run: Path) -> list[tuple[int, Path]]:
    """Steps and files, oldest first."""
    folder = run / FOLDER
    found = [
        (int(match[1]), path) for path in folder.glob("step-*.safetensors") if (match := _NAME.fullmatch(path.name))
    ]
    return sorted(found)


def load_checkpoint(path: Path, step: int) -> Checkpoint:
    """Read one, into fresh memory. Raises E0733 where the file is damaged."""
    return Checkpoint(step, path, read_tensors(path, "the checkpoint")[0])


def newest_checkpoint(run: Path) -> tuple[Checkpoint | None, list[AttnError]]:
    """The newest that can be read, and what is wrong with the newer ones that cannot."""
    remove_partial(run / FOLDER)
    problems: list[AttnError] = []
    for step, path in reversed(list_checkpoints(run)):
        try:
            return load_checkpoint(path, step), problems
        except AttnError as problem:
            problems.append(problem)
    return None, problems


def read_tensors(path: Path, what: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """The tensors (copied) and the facts of a safetensors file. Raises E0705, E0733."""
    from safetensors import SafetensorError, safe_open

    with file_errors("read", path):
        try:
            with safe_open(path, framework="numpy") as file:
                facts = json.loads((file.metadata() or {}).get(_FACTS, "{}"))
                return {name: file.get_tensor(name).copy() for name in file.keys()}, dict(facts)  # noqa: SIM118
        except (SafetensorError, ValueError, TypeError) as problem:
            raise error(
                "E0733",
                f"{what} `{path}` is damaged: {problem}",
                help="restore the file from a copy, or delete it to fall back on an older one",
            ) from None
