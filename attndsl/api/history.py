"""What a training logged, as arrays: what `TrainedModel.history` gives."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from attndsl.api.frames import Columns, as_frame
from attndsl.diagnostics import error
from attndsl.lazy import Array, np

if TYPE_CHECKING:
    from attndsl.runs.history import History


class TrainingHistory(Columns):
    """The log of a run as arrays of one length, a place for each step that it speaks of: `"step"`, int64, and float64
    for all else: `"loss"`, `"lr"`, `"grad_norm"`, `"tokens"`, `"flops"`, `"seconds"`, `"cross_entropy"` where a step
    computes it, `"scalars.NAME"` for each further scalar output of the model, and `"held_out"`,
    `"held_out_cross_entropy"`, `"held_out_scalars.NAME"` of the steps after which there was an evaluation; NaN where
    nothing is said. A notebook shows it as its curve."""

    record: History
    """The run as it was recorded: its settings, metrics, state."""

    def __init__(self, record: History) -> None:
        self.record = record

    def _made(self) -> dict[str, Array]:
        from attndsl.runs.history import columns

        found = columns(self.record.lines)
        return {
            name: np.array(values, dtype=np.int64 if name == "step" else np.float64) for name, values in found.items()
        }

    def __repr__(self) -> str:
        return f"<attndsl.TrainingHistory of {self.record.steps:,} steps: {', '.join(self)}>"

    def frame(self) -> Any:
        """The same as a `pandas.DataFrame`, with the steps as its index. Raises E0708 where pandas is not installed."""
        return as_frame(self, ["step"], "a table of the history", 'history["loss"]')

    def curve(self, name: str = "loss", against: str = "steps") -> str:
        """An SVG with one of the numbers over `"steps"`, `"tokens"`, `"flops"` or `"time"`, on held-out data too where
        it was measured. Raises E0797 for a number that was not logged, or another `against`."""
        from attndsl.diagnostics import did_you_mean
        from attndsl.runs.plot import AGAINST, plot

        for what, given, known in (("number", name, list(self)), ("axis", against, list(AGAINST))):
            if given not in known:
                way = did_you_mean(given, known) or f"there are {', '.join(known)}"
                raise error("E0797", f"there is no {what} `{given}` in the history", help=way)
        return plot([self.record], name, against)

    def _repr_html_(self) -> str:
        if not self.record.lines:
            return f"<div>{escape(repr(self))}</div>"
        drawn = self.curve()
        return f"<div>{drawn[drawn.index('<svg') :]}</div>".replace(
            "<svg ", '<svg style="max-width:100%;height:auto" ', 1
        )
