"""How good the model of a run is on held-out data: its losses while it trains, and metrics at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attndsl.lazy import Array
from attndsl.objectives.metrics import NUMBER, Metric
from attndsl.records import Frozen, replace
from attndsl.training.session import Session


class Evaluation(Frozen):
    """What the held-out data give, all together: the `loss` that is minimised; `cross_entropy`, that of the answers
    over the `counted` positions that ask for one (None where no output says them); `per_byte`, the same where every
    token of a text counts; `scalars`, all scalar outputs of the model by name."""

    loss: float
    cross_entropy: float | None
    per_byte: float | None
    counted: int
    scalars: Mapping[str, float]

    @property
    def per_token(self) -> float:
        """The cross entropy, or the loss where there is none."""
        return self.loss if self.cross_entropy is None else self.cross_entropy


def evaluate(session: Session) -> Evaluation | None:
    """The held-out data, up to `evaluate_batches` batches of them, always the same ones; None where there are too
    few."""
    objective = session.objective
    batches = [
        batch
        for batch in objective.evaluation(session.held_out, session.recipe.evaluate_batches)
        if objective.counted(batch)
    ]
    if not batches:
        return None
    scalars = session.trainer.evaluate(batches, in_order=objective.in_order)
    name = session.scored.name
    nats = scalars.pop(name, None) if name is not None else None
    size = session.data.known.bytes_per_token
    per_byte = nats / size if size and nats is not None and objective.says_every_token else None
    counted = sum(objective.counted(batch) for batch in batches)
    return Evaluation(scalars[session.recipe.minimize], nats, per_byte, counted, scalars)


def measure(session: Session, held_out: Evaluation | None) -> tuple[Metric, ...]:
    """What people ask of a model of this kind, on the held-out data, and the model's other scalar outputs."""
    if held_out is None:
        return ()

    def predict(batch: Mapping[str, Array], outputs: Sequence[str]) -> Mapping[str, Array]:
        return session.trainer.outputs(batch, outputs)

    known = replace(session.data.known, loss=held_out.loss, cross_entropy=held_out.cross_entropy)
    found = session.objective.metrics(predict, session.held_out, session.recipe.evaluate_batches, known)
    others = {name: value for name, value in held_out.scalars.items() if name != session.recipe.minimize}
    return (*found, *(Metric(name, value, NUMBER) for name, value in others.items()))
