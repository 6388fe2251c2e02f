"""What is shown while a model trains."""

from __future__ import annotations

import io

import pytest

from attndsl.training.console import Plain, Terminal, console_for


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_stream_decides() -> None:
    assert isinstance(console_for(io.StringIO()), Plain)
    assert isinstance(console_for(Screen()), Terminal)


def test_a_bar_shows_loss_speed_and_time() -> None:
    screen = Screen()
    console = Terminal(screen, width=100)
    console.say("before [bold]")
    console.start(0, 10)
    for step in range(1, 11):
        console.step(step, 3.25, 1234.5)
    console.warn("careful")
    console.stop()
    console.stop()
    shown = screen.getvalue()
    for part in ("before [bold]", "10/10", "loss 3.2500", "1,234 tokens/s", "left", "warning: ", "careful"):
        assert part in shown, part


@pytest.mark.parametrize(("seconds", "lines"), [(0, 5), (1000, 2)])
def test_lines_come_now_and_then(seconds: float, lines: int) -> None:
    stream = io.StringIO()
    console = Plain(stream, seconds)
    console.start(0, 5)
    for step in range(1, 6):
        console.step(step, 1.0, 10.0)
    console.stop()
    found = stream.getvalue().splitlines()
    assert len(found) == lines
    assert found[-1] == "step 5/5  loss 1.0000  10 tokens/s  0:00 left"
