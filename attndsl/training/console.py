"""What a training run says while it runs: a progress bar on a terminal, plain lines elsewhere, nothing in a test."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol, TextIO


class Console(Protocol):
    """Told by the loop what happens; shows as much of it as fits."""

    def say(self, text: str) -> None:
        """Something worth knowing once."""
        ...

    def warn(self, text: str) -> None:
        """Something that may not be what the user wanted."""
        ...

    def start(self, step: int, steps: int, unit: str = "tokens") -> None:
        """Training begins at `step` of `steps`; `unit` is what its speed is counted in."""
        ...

    def step(self, step: int, loss: float, tokens_per_second: float) -> None:
        """`step` steps are done, at so many units per second."""
        ...

    def stop(self) -> None:
        """No more steps; always called once after `start`."""
        ...


class Silent:
    """Says nothing and keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)

    def start(self, step: int, steps: int, unit: str = "tokens") -> None: ...

    def step(self, step: int, loss: float, tokens_per_second: float) -> None: ...

    def stop(self) -> None: ...


class Plain:
    """Lines, one every `seconds` at most, and one for the first and the last step."""

    def __init__(self, stream: TextIO | None = None, seconds: float = 10.0) -> None:
        self.stream = stream or sys.stdout
        self.seconds = seconds
        self.steps = self.first = 0
        self.unit = "tokens"
        self.begun = self.shown = -float("inf")

    def say(self, text: str) -> None:
        print(text, file=self.stream, flush=True)

    def warn(self, text: str) -> None:
        self.say(f"warning: {text}")

    def start(self, step: int, steps: int, unit: str = "tokens") -> None:
        self.first, self.steps, self.unit = step, steps, unit
        self.begun = time.monotonic()
        self.shown = -float("inf")

    def step(self, step: int, loss: float, tokens_per_second: float) -> None:
        now = time.monotonic()
        if now - self.shown < self.seconds and step < self.steps:
            return
        self.shown = now
        left = (now - self.begun) / max(1, step - self.first) * (self.steps - step)
        speed = f"{tokens_per_second:,.0f} {self.unit}/s"
        self.say(f"step {step:,}/{self.steps:,}  loss {loss:.4f}  {speed}  {duration(left)} left")

    def stop(self) -> None:
        self.stream.flush()


class Terminal:
    """A bar with the loss, tokens per second and the time that is left; what is said scrolls above it."""

    def __init__(self, stream: TextIO | None = None, width: int | None = None) -> None:
        from rich.console import Console as RichConsole

        self.rich = RichConsole(file=stream, width=width)
        self.bar: Any = None
        self.task: Any = None

    def say(self, text: str) -> None:
        self.rich.print(text, markup=False, highlight=False)

    def warn(self, text: str) -> None:
        from rich.text import Text

        self.rich.print(Text.assemble(("warning: ", "bold yellow"), text), highlight=False)

    def start(self, step: int, steps: int, unit: str = "tokens") -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("training"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TextColumn(f"{{task.fields[speed]}} {unit}/s"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self.rich,
            expand=True,
        )
        self.task = self.bar.add_task("training", total=steps, completed=step, loss="–", speed="–")
        self.bar.start()

    def step(self, step: int, loss: float, tokens_per_second: float) -> None:
        self.bar.update(self.task, completed=step, loss=f"{loss:.4f}", speed=f"{tokens_per_second:,.0f}")

    def stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def console_for(stream: TextIO) -> Console:
    """The bar where `stream` is a terminal, else lines."""
    return Terminal(stream) if stream.isatty() else Plain(stream)


def duration(seconds: float) -> str:
    """`0:07`, `12:30`, `3:02:11`."""
    total = max(0, round(seconds))
    hours, minutes = divmod(total // 60, 60)
    return f"{hours}:{minutes:02}:{total % 60:02}" if hours else f"{minutes}:{total % 60:02}"
