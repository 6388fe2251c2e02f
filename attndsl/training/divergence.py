"""What is said when a training diverges, and what becomes of the checkpoint that did."""

from __future__ import annotations

import math

from attndsl.diagnostics import AttnError, error
from attndsl.runs.checkpoint import checkpoint_path, list_checkpoints
from attndsl.storage.refusals import file_errors
from attndsl.training.session import Session


def drop_unproved(session: Session, step: int) -> None:
    """Delete the checkpoint of the weights that have just failed, so that the run goes on from the one before, whose
    next step was sound. One that the run went on from stays: other settings may be to blame, such as the precision."""
    if step > session.step:
        path = checkpoint_path(session.run, step)
        with file_errors("delete the checkpoint", path):
            path.unlink(missing_ok=True)


def became(what: str, loss: float) -> str:
    return f"{what} became {'NaN' if math.isnan(loss) else 'infinite'}"


def diverged(session: Session, message: str, step: int, lr: float) -> AttnError:
    """E0730, with what a user can do from here; `step` is the number of steps that made the failing weights."""
    recipe, resume = session.recipe, f"attndsl train --resume {session.run}"
    # One of these very weights is being dropped, unless the run went on from it.
    kept = [path for number, path in list_checkpoints(session.run) if number < step or number == step == session.step]
    highest = recipe.optimizer.number("lr")
    ways: list[str] = []
    if step > session.step and highest:  # this session has moved the weights
        notes = [f"the learning rate was {lr:.3g}"]
        notes.append(
            f"the last good checkpoint is `{kept[-1]}`"
            if kept
            else "there is no good checkpoint yet: the run would start again"
        )
        ways.append(f"a lower learning rate: `{resume} --set lr={highest / 3:.2g}`")
        if not recipe.clip or recipe.clip > 0.5:
            ways.append(f"smaller steps: `{resume} --set clip=0.5`")
    elif kept:
        notes = [f"these are still the weights of `{kept[-1]}`"]
        notes.append("either they are ruined, or a setting that was changed is to blame")
        ways.append(
            f"go back to `{kept[-2]}`: delete `{kept[-1]}`, then `{resume} --set lr=…`"
            if len(kept) > 1
            else "start a new run with another `--out`, and a lower learning rate"
        )
    else:
        notes = ["no step has moved the weights yet: the model's own formulas give it at its initial values"]
        ways.append("look in the spec for a division by zero, or the logarithm or root of a number below zero")
    if session.trainer.precision in ("float16", "bfloat16"):
        ways.append(f"a higher precision: `{resume} --set precision=float32`")
    return error("E0730", message, note=notes, help=ways)
