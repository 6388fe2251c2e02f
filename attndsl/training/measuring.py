"""How good the model of a run is on held-out data: its loss while it trains, and metrics at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attndsl.objectives.metrics import Metric
from attndsl.records import dataclass
from attndsl.training.session import Session

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The mean loss over the held-out data: `per_token`, that is, over the positions that count (the rows, of a
    classifier), of which there were `tokens`; `per_byte` where every token of a text counts."""

    per_token: float
    per_byte: float | None
    tokens: int


def evaluate(session: Session) -> Evaluation | None:
    """The mean loss over up to `evaluate_batches` batches of the held-out data, always the same ones; None where there
    are too few. Batches weigh as many positions as count in them."""
    objective, total, counted = session.objective, 0.0, 0
    for batch in objective.evaluation(session.held_out, session.recipe.evaluate_batches):
        number = objective.counted(batch)
        if number:
            total += session.trainer.evaluate(batch) * number
            counted += number
    if not counted:
        return None
    size = session.data.known.bytes_per_token if objective.choice.kind == "next_token" else None
    return Evaluation(total / counted, total / counted / size if size else None, counted)


def measure(session: Session, held_out: Evaluation | None) -> tuple[Metric, ...]:
    """What people ask of a model of this kind, on the held-out data."""
    if held_out is None:
        return ()

    def predict(batch: Mapping[str, Array], outputs: Sequence[str]) -> Mapping[str, Array]:
        return session.trainer.outputs(batch, outputs)

    batches = session.recipe.evaluate_batches
    found = session.objective.metrics(predict, session.held_out, batches, held_out.per_token, session.data.known)
    return tuple(found)
