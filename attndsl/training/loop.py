"""Training: steps, evaluations, checkpoints, and the ways in which a run ends."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from attndsl.diagnostics import error, listening
from attndsl.elaborate import Spec
from attndsl.elaborate.settings import Setting
from attndsl.lazy import np
from attndsl.objectives.metrics import Metric
from attndsl.records import Frozen, dataclass, field
from attndsl.runs.checkpoint import save_checkpoint, save_tensors
from attndsl.runs.curve import loss_curve
from attndsl.runs.lock import locked
from attndsl.runs.log import Line, LogForm, NoLog, RunLog
from attndsl.runs.record import CURVE, WEIGHTS, open_record, write_record
from attndsl.storage.whole import write_text
from attndsl.training.console import Console, Plain, Silent
from attndsl.training.divergence import became, diverged, drop_unproved
from attndsl.training.logs import LOGS
from attndsl.training.measuring import Evaluation, evaluate, measure
from attndsl.training.session import Session, begin, go_on
from attndsl.training.signals import StopRequest, asked_to_stop
from attndsl.training.together import require_same, together
from attndsl.training.work import TrainingWork

MOST_POINTS = 20_000  # of a curve that is drawn at each evaluation, while all wait


class Outcome(Frozen):
    """How a run ended. `held_out` is None where nothing was held out; `unigram_entropy` is that of the held-out text,
    in nats per byte (None where there is no text); `weights` is None where the run was interrupted. `metrics` are those
    of the final weights on the held-out data, and `objective` what they were trained for."""

    run: Path
    step: int
    loss: float | None
    held_out: Evaluation | None
    unigram_entropy: float | None
    weights: Path | None
    interrupted: bool
    metrics: tuple[Metric, ...] = ()
    objective: str = "next_token"
    is_first: bool = True  # of the processes that trained it


def train(
    spec: str | Spec | None = None,
    data: Any = None,
    out: str | Path | None = None,
    *,
    weights: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Setting] | None = None,
    backend: str | None = None,
    device: str | None = None,
    resume: str | Path | None = None,
    compile: bool | None = None,
    log: Sequence[str] = (),
    console: Console | None = None,
    layout: str | None = None,
) -> Outcome:
    """Train `spec`, a name or an opened one, on `data` into the new folder `out`, or go on with the run `resume`.

    `data` are what the spec's objective learns from: paths of text or of tables (one, or several), `example:NAME`, or
    what Python has of rows (`attndsl.data.table`). `weights` is a body to start from: a run's folder, a published one,
    or a file. `settings` are the model's hyperparameters and the recipe's keys by name (`{"depth": 4, "batch": 16,
    "lr": 1e-3, "steps": 500, "tokenizer": "bpe:1024"}`). The backend is PyTorch where it is installed, the device CUDA
    where there is one, unless given. `log` has further forms in which the log is written, `csv` and `tensorboard`.
    Of several processes each has its part by the `layout` (`attndsl.layouts.choose_layout`), or its share of rows and
    parameters.
    Ctrl-C or SIGTERM ends the run after the step at hand, with a checkpoint; a second Ctrl-C at once, without one.

    Raises `AttnError`: what checking the spec raises, what reading weights raises, and E07xx (see `attndsl explain`).
    """
    given = dict(settings or {})
    if resume is None and (spec is None or data is None):
        missing = "a spec" if spec is None else "data"
        raise error(
            "E0701",
            f"there is no {missing} to train on",
            help="`attndsl train SPEC --data PATH`, or `--resume RUN`",
        )
    with together() as processes, ExitStack() as held:
        listener = console or Plain()
        if not processes.is_first:
            listener = Silent()
            held.enter_context(listening(lambda found: None))

        def ready() -> tuple[Session, Callable[[], None]]:
            if resume is not None:
                if processes.is_first:
                    held.enter_context(locked(Path(resume), listener.warn))
                taken = go_on(Path(resume), given, data, backend, device, compile, listener, log, processes, layout)
                return taken, lambda: None
            assert spec is not None
            folder = Path(out) if out is not None else _folder_of(spec)
            return begin(
                spec, data, folder, given, backend, device, bool(compile), listener, weights, log, processes, layout
            )

        session, write = processes.agree(ready)
        require_same(session)
        with ExitStack() as steps:
            asked = steps.enter_context(asked_to_stop())  # a run that has begun can be resumed
            write()
            if resume is None and processes.is_first:
                held.enter_context(locked(session.run, listener.warn))
            return run_session(session, listener, asked, steps)


def _folder_of(spec: str | Spec) -> Path:
    """Where a run of that spec lies that is given no place."""
    name = spec if isinstance(spec, str) else spec.name
    return Path("runs") / name.replace(":", "-").rpartition("/")[2].removesuffix(".attn")


@dataclass(slots=True)
class _Progress:
    """What the loop accumulates; the curve is drawn from it. Of many steps only every second, fourth, … is kept."""

    loss: float | None = None
    held_out: Evaluation | None = None
    training: list[tuple[float, float]] = field(default_factory=list)
    every: int = 1
    evaluations: list[tuple[float, float]] = field(default_factory=list)
    seconds: float = 0.0
    positions: int = 0
    flops: int = 0

    @staticmethod
    def of(lines: Sequence[Line]) -> _Progress:
        progress = _Progress()
        for line in lines:
            if "loss" in line:
                progress.add(line["step"], line["loss"])
                progress.seconds = line["seconds"]
                progress.positions, progress.flops = line.get("tokens", 0), line.get("flops", 0)
            elif "held_out" in line:
                progress.evaluations.append((line["step"], line["held_out"]))
        return progress

    def add(self, step: int, loss: float) -> None:
        """The loss of a step."""
        self.loss = loss
        if step % self.every == 0:
            self.training.append((step, loss))
        if len(self.training) > MOST_POINTS:
            self.every *= 2
            self.training = [point for point in self.training if point[0] % self.every == 0]


def run_session(session: Session, console: Console, asked: StopRequest, steps: ExitStack) -> Outcome:
    """Take the steps that are left, and write log, curve, checkpoints, final weights and metrics. It may be `asked` to
    stop as long as there are `steps` to take."""
    recipe, trainer, objective = session.recipe, session.trainer, session.objective
    processes, writes = session.processes, session.processes.is_first
    progress = _Progress.of(session.lines)
    step, interrupted = session.step, False
    log: RunLog | NoLog = (
        RunLog(session.run, [LOGS[kind](session.run, session.lines) for kind in session.logs]) if writes else NoLog()
    )
    console.start(step, recipe.steps, objective.unit)
    begun = time.monotonic() - progress.seconds
    speed, work = _Speed(), TrainingWork(session.graph)
    scored = session.scored
    unasked = {scored.name} if scored.name is not None and not scored.costs_nothing else ()
    if step < recipe.steps and processes.size > 1:
        processes.from_first(trainer.peak)  # it is measured before anybody computes
    try:
        with steps:
            while step < recipe.steps:
                lr = recipe.rate(step)
                quantities = recipe.quantities(step)
                given = {name: np.asarray(value) for name, value in quantities.items()}
                parts = [objective.training(session.train, step, part) | given for part in range(recipe.accumulate)]
                on = objective.goes_on(session.train, step)
                result = trainer.step(parts, step, goes_on=on, without=unasked)
                if not math.isfinite(result.loss) or not (math.isfinite(result.grad_norm) or result.skipped):
                    if writes:
                        drop_unproved(session, step)
                    what = (
                        "the gradient is not finite" if math.isfinite(result.loss) else became("the loss", result.loss)
                    )
                    raise diverged(session, f"{what} at step {step + 1:,}", step, lr)
                step += 1
                worked = sum(objective.positions(batch) for batch in parts)
                progress.positions += worked
                spent = sum(work.of(batch) for batch in parts)
                progress.flops += spent
                progress.add(step, result.loss)
                line: Line = {"step": step, "loss": result.loss, "lr": lr}
                line["grad_norm"] = result.grad_norm if math.isfinite(result.grad_norm) else None
                if scored.name is not None and scored.name in result.scalars:
                    line["cross_entropy"] = result.scalars[scored.name]
                line |= {"scalars": shown} if (shown := _others(session, result.scalars)) else {}
                line |= {"scheduled": quantities} if quantities else {}
                line |= {"tokens": progress.positions, "flops": progress.flops}
                line["seconds"] = round(time.monotonic() - begun, 3)
                log.write({**line, "skipped": True} if result.skipped else line)
                console.step(step, result.loss, speed.after_step(worked, spent))
                last, stop = step == recipe.steps, processes.any(asked())
                if last or stop or (recipe.evaluate and step % recipe.evaluate == 0):
                    if last or not stop:
                        _evaluate(session, step, progress, log, console, speed)
                        if last and progress.held_out is None:  # nothing else looks at what the last step made
                            last_batch = {name: array for name, array in parts[-1].items() if name not in given}
                            _require_sound(session, "the loss", trainer.evaluate([last_batch])[recipe.minimize], step)
                        speed.pause()
                    if writes:
                        write_text(session.run / CURVE, _curve(session, progress))
                if last or stop or (recipe.checkpoint and step % recipe.checkpoint == 0):
                    _require_finite(session, step)
                    log.sync()
                    save_checkpoint(session.run, step, trainer.state(), processes=processes)
                    speed.pause()
                if stop and not last:
                    interrupted = True
                    break
    finally:
        console.stop()
        log.close()
    entropy = session.data.known.entropy
    if interrupted:
        console.say(f"stopped after {step:,} steps; resume with `attndsl train --resume {session.run}`")
        return Outcome(
            session.run, step, progress.loss, progress.held_out, entropy, None, True, (), objective.choice.kind, writes
        )
    if progress.held_out is None:  # resumed at the end, when nothing was left to do, or nothing is held out
        progress.held_out = evaluate(session)
        if progress.held_out is not None:
            _require_sound(session, "the loss on held-out data", progress.held_out.loss, step)
    _require_finite(session, step)
    weights, about = session.run / WEIGHTS, {"format": "attndsl weights", "step": step, "model": session.graph.name}
    save_tensors(weights, trainer.parameters(), processes, **about)
    metrics = measure(session, progress.held_out)
    if writes:
        named = [metric.to_json() for metric in metrics]
        write_record(session.run, {**open_record(session.run).facts, "metrics": named})
    return Outcome(
        session.run,
        step,
        progress.loss,
        progress.held_out,
        entropy,
        weights,
        False,
        metrics,
        objective.choice.kind,
        writes,
    )


def _evaluate(session: Session, step: int, progress: _Progress, log: LogForm, console: Console, speed: _Speed) -> None:
    usage = _usage(session, speed)
    found = evaluate(session)
    if found is None:
        if usage:
            log.write({"step": step, **usage})
        return
    _require_sound(session, "the loss on held-out data", found.loss, step)
    progress.held_out = found
    progress.evaluations.append((step, found.loss))
    line: Line = {"step": step, "held_out": found.loss}
    if found.cross_entropy is not None:
        line["held_out_cross_entropy"] = found.cross_entropy
    if others := _others(session, found.scalars):
        line["held_out_scalars"] = others
    if found.per_byte is not None:
        line["held_out_per_byte"] = found.per_byte
    log.write({**line, **usage})
    per_byte = f", {found.per_byte:.4f} per byte" if found.per_byte is not None else ""
    counted = "nats per token" if found.per_byte is not None else "nats"
    scalars = "".join(f", {name} {value:.4f}" for name, value in others.items())
    console.say(f"step {step:,}: held out {found.per_token:.4f} {counted}{per_byte}{scalars}")


def _usage(session: Session, speed: _Speed) -> dict[str, float]:
    """What it takes several processes to train together, and how fast they are."""
    usage = session.processes.usage(session.trainer.memory)
    if not usage or not session.processes.is_first:
        return usage
    usage["tokens_per_second"] = round(speed.positions, 1)
    peak = session.trainer.peak() * session.processes.size
    return {**usage, "mfu": float(f"{speed.flops / peak:.3g}")} if peak else usage


def _others(session: Session, scalars: Mapping[str, float]) -> dict[str, float]:
    """The scalar outputs beside the one that is minimised."""
    hidden = (session.recipe.minimize, session.scored.name)
    return {name: value for name, value in scalars.items() if name not in hidden and math.isfinite(value)}


def _curve(session: Session, progress: _Progress) -> str:
    size = f"{session.graph.parameter_count:,} parameters"
    return loss_curve(f"{session.graph.name}, {size}", progress.training, progress.evaluations)


def _require_sound(session: Session, what: str, loss: float, step: int) -> None:
    """That a loss of the weights after `step` steps is a number (E0730)."""
    if not math.isfinite(loss):
        raise diverged(session, f"{became(what, loss)} at step {step:,}", step, session.recipe.rate(max(step - 1, 0)))


def _require_finite(session: Session, step: int) -> None:
    """That the weights after `step` steps are numbers, before they are kept (E0730)."""
    if not session.trainer.finite():
        rate = session.recipe.rate(max(step - 1, 0))
        raise diverged(session, f"the weights are no longer finite at step {step:,}", step, rate)


class _Speed:
    """Positions and FLOPs per second over the last few steps, evaluations and checkpoints left out."""

    def __init__(self) -> None:
        self.last = time.monotonic()
        self.recent: list[tuple[int, int, float]] = []

    def after_step(self, positions: int, flops: int) -> float:
        now = time.monotonic()
        self.recent = [*self.recent[-19:], (positions, flops, now - self.last)]
        self.last = now
        return self.positions

    @property
    def positions(self) -> float:
        return sum(positions for positions, _, _ in self.recent) / self._seconds

    @property
    def flops(self) -> float:
        return sum(flops for _, flops, _ in self.recent) / self._seconds

    @property
    def _seconds(self) -> float:
        return max(sum(seconds for _, _, seconds in self.recent), 1e-9)

    def pause(self) -> None:
        self.last = time.monotonic()
