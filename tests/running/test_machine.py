"""What is measured on a machine: the fastest is taken, it is kept, and nothing depends on the file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from attndsl.diagnostics import AttnError
from attndsl.running import machine
from attndsl.running.machine import Machine, check_pin

FAST, SLOW = 1 / 1024, 1 / 512  # seconds


@pytest.fixture(autouse=True)
def _not_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(machine.PIN)
    monkeypatch.setattr(machine, "busy", lambda: False)


class Clock:
    """Time that passes only in what is timed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.runs = 0.0, 0
        monkeypatch.setattr(machine.time, "perf_counter", lambda: self.now)

    def kernels(self, **seconds: float) -> Callable[[], Mapping[str, Callable[[], object]]]:
        def lasting(length: float) -> Callable[[], object]:
            def run() -> None:
                self.runs += 1
                self.now += length

            return run

        return lambda: {name: lasting(length) for name, length in seconds.items()}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize(
    ("seconds", "expected"), [((3.0, 2.0), "b"), ((2.0, 3.0), "a"), ((2.0, 2.0), "a"), ((2.04, 2.0), "a")], ids=str
)
def test_another_than_the_first_has_to_be_faster(
    tmp_path: Path, clock: Clock, seconds: tuple[float, float], expected: str
) -> None:
    kernels = clock.kernels(a=seconds[0] / 1000, b=seconds[1] / 1000)
    assert Machine(file=tmp_path / "measured").fastest("kind", ("a", "b"), kernels) == expected


def test_kept_by_machine_and_kind(tmp_path: Path, clock: Clock) -> None:
    file, fast, slow = tmp_path / "new" / "measured", clock.kernels(a=SLOW, b=FAST), clock.kernels(a=FAST, b=SLOW)
    assert Machine("one", file=file).fastest("kind", ("a", "b"), fast) == "b"
    runs = clock.runs
    assert Machine("one", file=file).fastest("kind", ("a", "b"), slow) == "b"
    assert clock.runs == runs
    assert Machine("one", file=file).fastest("other", ("a", "b"), slow) == "a"
    assert Machine("two", file=file).fastest("kind", ("a", "b"), slow) == "a"
    assert Machine("one", file=file).fastest("kind", ("a", "b"), slow) == "b"
    assert Machine("one", file=file).fastest("kind", ("a", "c"), clock.kernels(a=SLOW, c=FAST)) == "c"


def test_nothing_is_kept_while_more_waits_than_there_are_processors(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "busy", lambda: True)
    file = tmp_path / "measured"
    assert Machine(file=file).fastest("kind", ("a", "b"), clock.kernels(a=SLOW, b=FAST)) == "b"
    assert not file.exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"x": 1}', '{"x": {"kind": {"a": "fast"}}}', "\xff", "[" * 9999]
)
def test_a_file_of_another_kind_is_measured_anew(tmp_path: Path, clock: Clock, text: str) -> None:
    file = tmp_path / "measured"
    file.write_bytes(text.encode("latin-1"))
    for _ in range(2):
        assert Machine(file=file).fastest("kind", ("a", "b"), clock.kernels(a=SLOW, b=FAST)) == "b"
    assert list(json.loads(file.read_text()).values()) == [{"kind": {"a": SLOW, "b": FAST}}]


def test_a_folder_that_cannot_be_written_to_is_done_without(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").write_text("")
    asked = Machine(file=tmp_path / "file" / "measured")
    kernels = clock.kernels(a=SLOW, b=FAST)
    assert asked.fastest("kind", ("a", "b"), kernels) == "b"
    runs = clock.runs
    assert asked.fastest("kind", ("a", "b"), kernels) == "b"
    assert clock.runs == runs


def test_what_a_busy_machine_says_serves_once(tmp_path: Path, clock: Clock) -> None:
    """The least time decides, though none is met twice, and the next process asks again."""
    runs = 0

    def unsteady() -> Mapping[str, Callable[[], object]]:
        def lasting(least: float) -> Callable[[], object]:
            def run() -> None:
                nonlocal runs
                runs += 1
                clock.now += least * 1.2**runs

            return run

        return {"a": lasting(0.004), "b": lasting(0.002)}

    file = tmp_path / "measured"
    asked = Machine(file=file)
    assert asked.fastest("kind", ("a", "b"), unsteady) == "b"
    assert runs < 40, "it takes its time"
    assert asked.fastest("kind", ("a", "b"), clock.kernels(a=FAST, b=SLOW)) == "b"
    assert Machine(file=file).fastest("kind", ("a", "b"), clock.kernels(a=FAST, b=SLOW)) == "a"


def test_pinned(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, kernels = Machine(file=tmp_path / "measured"), clock.kernels(a=SLOW, b=FAST)
    for pin, expected in (("a", "a"), ("b", "b"), ("of another kind", "a")):
        monkeypatch.setenv(machine.PIN, pin)
        assert asked.fastest("kind", ("a", "b"), kernels) == expected
    assert clock.runs == 0
    assert not asked.file.exists()


def test_unknown_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    check_pin(["plain", "onednn"])
    monkeypatch.setenv(machine.PIN, "onednm")
    with pytest.raises(AttnError) as found:
        check_pin(["plain", "onednn"])
    (problem,) = found.value.diagnostics
    assert problem.code == "E0816"
    assert "did you mean `onednn`?" in problem.helps[0]
