"""Pictures from trained models: from captions, or again from pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attndsl.decoding.sampling import Sampling
from attndsl.decoding.sequences import chunks
from attndsl.generation.fits import objective_of, require_examples, require_fit
from attndsl.lazy import np
from attndsl.objectives.base import Use

if TYPE_CHECKING:
    import numpy

    from attndsl.runs.run import Run

    Array = numpy.ndarray[Any, Any]

AT_ONCE = 32  # examples


def draw(
    run: Run,
    examples: Sequence[Any],
    sampling: Sampling | None = None,
    *,
    backend: str | None = None,
    device: str | None = None,
) -> Array:
    """A picture for each of `examples` (captions, pictures, or rows with the column for them), float32 `[rows,
    channels, height, width]` with values between 0 and 1; codes are chosen by `sampling` (None: as the model says).

    Raises E0744 where the run draws nothing, E0749 (no example), E0741, E0752 (a caption that is too long), E0753 (no
    such output), E0756 (a picture of another size), E0732 (the copy of the run whose codes it draws in is gone).
    """
    require_fit(run, "generate", Use.DRAW)
    objective = objective_of(run, backend=backend, device=device)
    require_examples(objective, examples)
    program, sampling = run.program(backend, device), sampling or Sampling()
    pieces = [
        objective.draw(program.run, [examples[place] for place in piece], sampling, piece.start)
        for piece in chunks(len(examples), AT_ONCE)
    ]
    return np.concatenate(pieces)
