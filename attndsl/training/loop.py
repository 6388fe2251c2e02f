"""Training: steps, evaluations, checkpoints, and the ways in which a run ends."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from attndsl.data.batches import NextToken
from attndsl.data.files import file_errors, write_text
from attndsl.diagnostics import AttnError, error
from attndsl.elaborate.settings import Setting
from attndsl.training.checkpoint import checkpoint_path, list_checkpoints, save_checkpoint, save_tensors
from attndsl.training.console import Console, Plain
from attndsl.training.curve import loss_curve
from attndsl.training.log import Line, Log
from attndsl.training.record import CURVE, WEIGHTS
from attndsl.training.session import Session, begin, go_on


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The mean loss over windows of the held-out text."""

    per_token: float
    per_byte: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `held_out` is None where no text was held out; `unigram_entropy` is that of the held-out text,
    in nats per byte; `weights` is None where the run was interrupted."""

    run: Path
    step: int
    loss: float | None
    held_out: Evaluation | None
    unigram_entropy: float
    weights: Path | None
    interrupted: bool


def train(
    spec: str | None = None,
    data: str | Sequence[str] | None = None,
    out: str | Path | None = None,
    *,
    settings: Mapping[str, Setting] | None = None,
    backend: str | None = None,
    device: str | None = None,
    resume: str | Path | None = None,
    compile: bool | None = None,
    console: Console | None = None,
) -> Outcome:
    """Train the spec called `spec` on the text at `data` into the new folder `out`, or go on with the run `resume`.

    `settings` are the model's hyperparameters and the recipe's keys by name (`{"depth": 4, "batch": 16, "lr": 1e-3,
    "steps": 500, "tokenizer": "bpe:1024"}`). The backend is PyTorch where it is installed, the device CUDA where there
    is one, unless given. A first Ctrl-C ends the run after the step at hand, with a checkpoint.

    Raises `AttnError`: what checking the spec raises, and E0701 to E0734 (see `attndsl explain`).
    """
    console = console or Plain()
    given = dict(settings or {})
    if resume is not None:
        session = go_on(Path(resume), given, data, backend, device, compile, console)
    else:
        if spec is None or data is None:
            missing = "a spec" if spec is None else "text"
            raise error(
                "E0701",
                f"there is no {missing} to train on",
                help="`attndsl train SPEC --data PATH`, or `--resume RUN`",
            )
        folder = (
            Path(out)
            if out is not None
            else Path("runs") / spec.replace(":", "-").rpartition("/")[2].removesuffix(".attn")
        )
        session = begin(spec, data, folder, given, backend, device, bool(compile), console)
    return run_session(session, console)


@dataclass(slots=True)
class _Progress:
    """What the loop accumulates; the curve is drawn from it."""

    loss: float | None = None
    held_out: Evaluation | None = None
    training: list[tuple[float, float]] = field(default_factory=list)
    evaluations: list[tuple[float, float]] = field(default_factory=list)
    seconds: float = 0.0

    @staticmethod
    def of(lines: Sequence[Line]) -> _Progress:
        progress = _Progress()
        for line in lines:
            if "loss" in line:
                progress.training.append((line["step"], line["loss"]))
                progress.loss, progress.seconds = line["loss"], line["seconds"]
            elif "held_out" in line:
                progress.evaluations.append((line["step"], line["held_out"]))
        return progress


def run_session(session: Session, console: Console) -> Outcome:
    """Take the steps that are left, and write log, curve, checkpoints and final weights."""
    recipe, trainer, dataset = session.recipe, session.trainer, session.dataset
    batches = NextToken(recipe.inputs, recipe.batch, recipe.length, recipe.seed)
    progress = _Progress.of(session.lines)
    step, interrupted = session.step, False
    log = Log(session.run)
    console.start(step, recipe.steps)
    begun = time.monotonic() - progress.seconds
    speed = _Speed(recipe.tokens_per_step)
    try:
        with _asked_to_stop() as asked:
            while step < recipe.steps:
                lr = recipe.rate(step)
                parts = [batches.training(dataset.train.tokens, step, part) for part in range(recipe.accumulate)]
                result = trainer.step(parts, step)
                if not math.isfinite(result.loss) or not (math.isfinite(result.grad_norm) or result.skipped):
                    _drop_unproved(session, step)
                    what = (
                        "the gradient is not finite" if math.isfinite(result.loss) else _became("the loss", result.loss)
                    )
                    raise _diverged(session, f"{what} at step {step + 1:,}", step, lr)
                step += 1
                progress.loss = result.loss
                progress.training.append((step, result.loss))
                line: Line = {"step": step, "loss": result.loss, "lr": lr}
                line["grad_norm"] = result.grad_norm if math.isfinite(result.grad_norm) else None
                line |= {"tokens": step * recipe.tokens_per_step, "seconds": round(time.monotonic() - begun, 3)}
                log.write({**line, "skipped": True} if result.skipped else line)
                console.step(step, result.loss, speed.after_step())
                last = step == recipe.steps
                if last or asked() or (recipe.evaluate and step % recipe.evaluate == 0):
                    if last or not asked():
                        _evaluate(session, batches, step, progress, log, console)
                        if last and progress.held_out is None:  # nothing else looks at what the last step made
                            _require_sound(session, "the loss", trainer.evaluate(parts[-1]), step)
                        speed.pause()
                    write_text(session.run / CURVE, _curve(session, progress))
                if last or asked() or (recipe.checkpoint and step % recipe.checkpoint == 0):
                    _require_finite(session, step)
                    save_checkpoint(session.run, step, trainer.state())
                    speed.pause()
                if asked() and not last:
                    interrupted = True
                    break
    finally:
        console.stop()
        log.close()
    if interrupted:
        console.say(f"stopped after {step:,} steps; go on with `attndsl train --resume {session.run}`")
        return Outcome(session.run, step, progress.loss, progress.held_out, dataset.unigram_entropy, None, True)
    if progress.held_out is None and progress.evaluations:  # resumed at the end: nothing was left to do
        progress.held_out = evaluate(session, batches)
        if progress.held_out is not None:
            _require_sound(session, "the loss on held-out text", progress.held_out.per_token, step)
    _require_finite(session, step)
    weights = session.run / WEIGHTS
    save_tensors(weights, trainer.parameters(), format="attndsl weights", step=step, model=session.graph.name)
    return Outcome(session.run, step, progress.loss, progress.held_out, dataset.unigram_entropy, weights, False)


def evaluate(session: Session, batches: NextToken) -> Evaluation | None:
    """The mean loss over up to `evaluate_batches` batches of the held-out text, always the same ones; None where there
    is too little text."""
    held_out, inputs = session.dataset.held_out, session.recipe.inputs
    total, tokens = 0.0, 0
    for batch in batches.evaluation(held_out.tokens, session.recipe.evaluate_batches):
        total += session.trainer.evaluate(batch) * batch[inputs[0]].size
        tokens += batch[inputs[0]].size
    if not tokens:
        return None
    return Evaluation(total / tokens, total / tokens / held_out.bytes_per_token, tokens)


def _evaluate(session: Session, batches: NextToken, step: int, progress: _Progress, log: Log, console: Console) -> None:
    found = evaluate(session, batches)
    if found is None:
        return
    _require_sound(session, "the loss on held-out text", found.per_token, step)
    progress.held_out = found
    progress.evaluations.append((step, found.per_token))
    log.write({"step": step, "held_out": found.per_token, "held_out_per_byte": found.per_byte})
    console.say(f"step {step:,}: held out {found.per_token:.4f} nats per token, {found.per_byte:.4f} per byte")


def _curve(session: Session, progress: _Progress) -> str:
    size = f"{session.graph.parameter_count:,} parameters"
    return loss_curve(f"{session.graph.name}, {size}", progress.training, progress.evaluations)


def _require_sound(session: Session, what: str, loss: float, step: int) -> None:
    """That a loss of the weights after `step` steps is a number (E0730)."""
    if not math.isfinite(loss):
        raise _diverged(session, f"{_became(what, loss)} at step {step:,}", step, session.recipe.rate(max(step - 1, 0)))


def _require_finite(session: Session, step: int) -> None:
    """That the weights after `step` steps are numbers, before they are kept (E0730)."""
    if not session.trainer.finite():
        rate = session.recipe.rate(max(step - 1, 0))
        raise _diverged(session, f"the weights are no longer finite at step {step:,}", step, rate)


def _drop_unproved(session: Session, step: int) -> None:
    """Delete the checkpoint of the weights that have just failed, so that the run goes on from the one before, whose
    next step was sound. One that the run went on from stays: other settings may be to blame, such as the precision."""
    if step > session.step:
        path = checkpoint_path(session.run, step)
        with file_errors("delete the checkpoint", path):
            path.unlink(missing_ok=True)


def _became(what: str, loss: float) -> str:
    return f"{what} became {'NaN' if math.isnan(loss) else 'infinite'}"


def _diverged(session: Session, message: str, step: int, lr: float) -> AttnError:
    """E0730, with what a user can do from here; `step` is the number of steps that made the failing weights."""
    recipe, resume = session.recipe, f"attndsl train --resume {session.run}"
    kept = [path for number, path in list_checkpoints(session.run) if number <= step]
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
        ways.append(f"more exact numbers: `{resume} --set precision=float32`")
    return error("E0730", message, note=notes, help=ways)


class _Speed:
    """Tokens per second over the last few steps, evaluations and checkpoints left out."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.last = time.monotonic()
        self.recent: list[float] = []

    def after_step(self) -> float:
        now = time.monotonic()
        self.recent = [*self.recent[-19:], now - self.last]
        self.last = now
        return self.tokens * len(self.recent) / max(sum(self.recent), 1e-9)

    def pause(self) -> None:
        self.last = time.monotonic()


@contextmanager
def _asked_to_stop() -> Iterator[_Asked]:
    """While it lasts, a first Ctrl-C (or SIGTERM) is only remembered; a second one interrupts as ever."""
    asked = _Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, asked.receive)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Asked:
    def __init__(self) -> None:
        self.to_stop = False

    def __call__(self) -> bool:
        return self.to_stop

    def receive(self, number: int, frame: FrameType | None) -> None:
        if self.to_stop:
            raise KeyboardInterrupt
        self.to_stop = True
