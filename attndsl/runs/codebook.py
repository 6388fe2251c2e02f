"""A trained discrete autoencoder, in the codes of which other models say pictures: a run with `reconstruct`.

Such a model gives an int output, the codes of a picture, and takes an optional input of the same type, codes to be
drawn instead. Given the folder of a run; gives what encodes pictures and draws codes. A run that says pictures in such
codes keeps a copy of it, so that it draws wherever either of the two is moved.
"""

from __future__ import annotations

from pathlib import Path

from attndsl.diagnostics import AttnError, error
from attndsl.graph import INT, InputInfo
from attndsl.lazy import Array, np
from attndsl.objectives import make_objective
from attndsl.objectives.base import Objective
from attndsl.objectives.pictures import PictureObjective
from attndsl.objectives.reconstruct import Reconstruct, picture_output
from attndsl.records import replace
from attndsl.runs.run import Run, keep_run, load_run

AT_ONCE = 64  # pictures


class RunCodebook:
    """The codebook of a run. Raises E0765 where its model has no codes."""

    def __init__(self, run: Run, backend: str | None = None, device: str | None = None) -> None:
        self.run, self.origin = run, f"`{run.folder}`"
        objective = make_objective(run.recipe, run.graph, None, None)
        coded = _coded(run)
        drawn = picture_output(run.graph, objective.input("image")) if isinstance(objective, Reconstruct) else None
        if coded is None or drawn is None or not isinstance(objective, PictureObjective):
            raise error(
                "E0765",
                f"{self.origin} is not the run of a discrete autoencoder: {run.graph.name} has no codes to draw from",
                note="one gives an int output, and takes an optional input of the same type",
                help="train one, for example `attndsl train dvae:nano`, and name its folder",
            )
        self.objective, self.drawn = objective, drawn.name
        self.tokens, self.code, self.codes = coded
        self.image = objective.input("image")
        self.graph = run.graph
        self.program = run.program(backend, device)
        self.channels = next(i for i in run.graph.inputs if i.name == self.image).value.type.axes[1]

    def grid(self, images: Array) -> tuple[int, int]:
        self.objective.require_size(images[:1], "these data")
        down, across = self._encoded(images[:1]).shape[1:]
        return down, across

    def encode(self, images: Array) -> Array:
        self.objective.require_size(images[:1], "these data")
        pieces = [self._encoded(images[at : at + AT_ONCE]) for at in range(0, len(images), AT_ONCE)]
        return np.concatenate(pieces)

    def _encoded(self, images: Array) -> Array:
        given = self.objective.given_pictures(images)
        return np.asarray(self.program.run(given, [self.tokens])[self.tokens], dtype=np.int64)

    def decode(self, grids: Array) -> Array:
        """`grids` are `[rows, cells]`, row by row of a square."""
        side = round(grids.shape[-1] ** 0.5)
        codes = grids.reshape(len(grids), side, -1)
        type = next(i for i in self.graph.inputs if i.name == self.image).value.type
        known = dict(self.graph.sizes)
        wanted = next(i for i in self.graph.inputs if i.name == self.code).value.type
        known |= {str(axis.size): length for axis, length in zip(wanted.axes, codes.shape, strict=True)}
        empty = np.zeros([axis.size.value(known) for axis in type.axes], dtype=np.float32)
        given = {self.image: empty, self.code: codes}
        return self.objective.plain_pictures(np.asarray(self.program.run(given, [self.drawn])[self.drawn]))


def _coded(run: Run) -> tuple[str, str, int] | None:
    """The output with codes, the input for them, and how many there are."""
    for info in run.graph.inputs:
        most = _most(info, run)
        if info.value.type.dtype != INT or not info.optional or most is None:
            continue
        for output in run.graph.outputs:
            if output.value.type == info.value.type and info.name not in output.needs:
                return output.name, info.name, most
    return None


def _most(info: InputInfo, run: Run) -> int | None:
    limits = [bound.limit.known(run.graph.sizes) for bound in info.bounds if bound.relation == "<"]
    known = [int(limit) for limit in limits if limit is not None]
    return min(known, default=None)


def accompany(
    objective: Objective, kept: Path | None = None, backend: str | None = None, device: str | None = None
) -> Objective:
    """The objective, with what it needs of another run: of the one that the recipe names, where a training begins, or
    of its copy in the folder `kept` of a run. Raises E0765, and what reading that run raises."""
    option = objective.companion
    if option is None:
        return objective
    folder = str(objective.choice.options[option]) if kept is None else str(kept / option)
    if folder == "none":
        kind = objective.choice.kind
        raise error(
            "E0765",
            f"`{kind}` says pictures in the codes of a discrete autoencoder, and no run of one is named",
            help=f"train one first (`attndsl train dvae:nano …`), then `--set batches.{option}=RUN`",
        )
    try:
        run = load_run(folder)
    except AttnError as problem:
        raise AttnError(
            *(
                replace(d, notes=(*d.notes, f"it is the `{option}` of a model that draws pictures in its codes"))
                for d in problem.diagnostics
            )
        ) from None
    objective.codebook = RunCodebook(run, backend, device)  # type: ignore[attr-defined]
    return objective


def keep_companion(objective: Objective, folder: Path) -> None:
    """Copy what the objective needs of another run into the `folder` of a new one. Raises E0705."""
    if objective.companion is not None:
        keep_run(objective.codebook.run, folder / objective.companion)  # type: ignore[attr-defined]
