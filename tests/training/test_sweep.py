"""Sweeps: what is planned, what is told before the first run starts, how runs are stopped and go on, what they say."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from attndsl.diagnostics import AttnError
from attndsl.runs.history import History, read_history
from attndsl.runs.lock import locked
from attndsl.runs.record import RECORD, open_record, write_record
from attndsl.runs.spread import Spread, by_settings, verdict
from attndsl.training import sweeping
from attndsl.training.console import Silent
from attndsl.training.grid import combinations, split_values
from attndsl.training.settings_file import read_settings
from attndsl.training.sweep import open_sweep
from tests.costs import less_than
from tests.terminal import as_in_a_terminal
from tests.training.conftest import A_TEXT, TINY
from tests.training.reading import losses

QUICK = ("--set", "evaluate_batches=1", "--backend", "numpy")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec and a finished sweep `swept`: two learning rates, two seeds."""
    from attndsl.cli import main

    folder = tmp_path_factory.mktemp("sweeps")
    (folder / "tiny.attn").write_text(TINY)
    argv = ["sweep", str(folder / "tiny.attn"), "--data", A_TEXT, "--set", "lr=1e-2,1e-4", "--set", "steps=3",
            "--seeds", "2", "--jobs", "2", "--out", str(folder / "swept"), *QUICK]  # fmt: skip
    assert main(argv) == 0
    return folder


@pytest.fixture(autouse=True)
def _inside(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)


# ---------------------------------------------------------------- the plan


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1e-3,3e-4", ["1e-3", "3e-4"]),
        ("[0.9, 0.95], [0.9,0.999]", ["[0.9, 0.95]", "[0.9,0.999]"]),
        ("adamw(lr=1,decay=0),sgd", ["adamw(lr=1,decay=0)", "sgd"]),
        ('"a,b",c', ['"a,b"', "c"]),
        ("log(1e-4,1e-2)", ["log(1e-4,1e-2)"]),
        ("one", ["one"]),
    ],
)
def test_values_are_split_at_commas_of_their_own(text: str, values: list[str]) -> None:
    assert split_values(text) == values


def test_a_grid_has_every_combination_and_draws_are_among_them() -> None:
    values = {"lr": ["1", "2"], "norm": ["a", "b", "c"]}
    grid = combinations(values, None)
    assert len({tuple(each.items()) for each in grid}) == 6
    drawn = combinations(values, 4)
    assert len({tuple(each.items()) for each in drawn}) == 4
    assert all(each in grid for each in drawn)
    assert drawn == combinations(values, 4)
    assert len(combinations(values, 50)) == 6
    ranged = [float(each["lr"]) for each in combinations({"lr": ["log(1e-4, 1e-2)"]}, 200)]
    assert all(1e-4 <= lr <= 1e-2 for lr in ranged)
    assert 60 < sum(lr < 1e-3 for lr in ranged) < 140
    for wrong, tries in (
        ({"lr": ["log(1e-4, 1e-2)"]}, None),
        ({"lr": ["log(0, 1)"]}, 2),
        ({"lr": ["uniform(2, 1)"]}, 2),
    ):
        with pytest.raises(AttnError, match="E0726"):
            combinations(wrong, tries)


def test_every_mistake_is_told_before_the_first_run(attndsl) -> None:
    with less_than(2):
        done = attndsl("sweep", "tiny.attn", "--data", A_TEXT, "--out", "wrong", "--set", "lrr=1,2", "--set",
                       "heads=2,3", "--set", "depth=1,1.5", *QUICK)  # fmt: skip
    assert done.code == 1
    assert set(re.findall(r"error\[(E\d+)\]", done.err)) == {"E0720", "E0212", "E0401"}
    assert "did you mean `lr`" in done.err
    assert "with lrr=1, heads=3, depth=1 and 1 of the other 7 combinations" in done.err
    assert not Path("wrong").exists()
    for words, code in ((("--data", "nowhere.txt"), "E0701"), (("--data", A_TEXT, "--out", "swept"), "E0731")):
        done = attndsl("sweep", "tiny.attn", "--set", "lr=1,2", "--out", "wrong", *words)
        assert (done.code, f"error[{code}]" in done.err) == (1, True), done.err
        assert not Path("wrong").exists()
    for words, said in (
        (("--set", "lr=1e-2,1e-3,1e-2"), "`lr` has the value `1e-2` twice"),
        (("--set", "lr=lgo(1e-4,1e-2)", "--random", "3"), "did you mean `log`?"),
        (("--set", "nomr=1,2"), "`nomr` is neither a hyperparameter of the model nor a setting of its training"),
        (("--set", "learning_rate=1,2"), "it is called `lr` here"),
        (("--set", "n_layer=1,2"), "it is called `depth` here"),
        (("--set", "optimizer=adma,sgd"), "did you mean `adam`?"),
        (("--set", "lr=1e-2,1e-3", "--weights", "nowhere"), "there are no weights at"),
        (("--set", "lr=1e-2,1e-3", "--out", "swept"), "resume it: `attndsl sweep --resume swept`"),
    ):
        done = attndsl("sweep", "tiny.attn", "--data", A_TEXT, "--out", "wrong", *words)
        assert (done.code, said in done.err) == (1, True), done.err
        assert not Path("wrong").exists()
    assert attndsl("sweep", "tiny.attn", "--set", "lr=1,2").code == 2
    assert attndsl("sweep", "--resume", "swept", "--set", "lr=1").code == 2
    assert "E0732" in attndsl("sweep", "--resume", "nowhere").err


# ---------------------------------------------------------------- its runs


def test_a_sweep_ends_with_means_spreads_and_a_verdict(attndsl) -> None:
    done = attndsl("sweep", "--resume", "swept")
    assert done.code == 0, done.err
    runs = [read_history(Path("swept") / run.name) for run in open_sweep(Path("swept")).runs]
    assert [(run.settings["lr"], run.settings["seed"]) for run in runs] == [(1e-2, 0), (1e-2, 1), (1e-4, 0), (1e-4, 1)]
    heading, *rows = [re.split(r"  +", line) for line in done.out.splitlines()[1:4]]
    assert heading[:2] == ["lr", "runs"]
    spread = Spread.of([run.last or 0.0 for run in runs[:2]])
    assert rows[0][:2] == ["0.01", "2"]
    assert rows[0][-1] == f"{spread.mean:.4f} ± {spread.deviation:.4f}"
    assert done.out.splitlines()[-1].startswith("Lowest on held-out data: lr=0.01 (")
    plain = json.loads(attndsl("sweep", "--resume", "swept", "--json").out)
    assert plain["combinations"][0]["numbers"]["last"]["mean"] == spread.mean
    assert plain["verdict"] == done.out.splitlines()[-1]


def test_a_difference_is_one_when_it_exceeds_the_spread(attndsl) -> None:
    runs = [read_history(Path("swept") / run.name) for run in open_sweep(Path("swept")).runs]
    groups = by_settings(runs)
    last = {run.folder.name: run.last for run in runs}
    low, high = ([last[run.folder.name] for run in group.runs] for group in groups)
    a, b = Spread.of(low), Spread.of(high)
    assert a.deviation is not None
    assert b.deviation is not None
    apart = b.mean - a.mean > a.deviation + b.deviation
    assert ("Above it by more than the spread over seeds: lr=0.0001" in verdict(groups)) == apart
    assert ("Within the spread over seeds: lr=0.0001" in verdict(groups)) == (not apart)
    single = by_settings(runs[::2])
    assert "`--seeds 3` does" in verdict(single)
    assert verdict(groups[:1]) == ""


def test_runs_of_a_sweep_are_those_of_single_trainings(attndsl) -> None:
    done = attndsl("train", "tiny.attn", "--data", A_TEXT, "--out", "alone", "--set", "lr=1e-2", "--set", "steps=3",
                   "--set", "seed=1", *QUICK)  # fmt: skip
    assert done.code == 0, done.err
    of_sweep = Path("swept") / "lr=1e-2_seed=1"
    assert losses(of_sweep) == losses(Path("alone"))


INTERRUPTED = """
import os, signal, sys, time
from attndsl.backends.numpy_reference.trainer import NumpyTrainer
original, steps = NumpyTrainer.step, []
def step(*given, **named):
    steps.append(None)
    if len(steps) == 4 and "train" in sys.orig_argv:
        asked = signal.getsignal(signal.SIGINT).__self__
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getppid(), signal.SIGINT)
        for _ in range(3000):
            if asked.by_hand:
                break
            time.sleep(0.01)
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(0.2)
    return original(*given, **named)
NumpyTrainer.step = step
"""
"""Imported as Python begins: in its fourth step a run interrupts the sweep, and goes on once it is asked to stop. Both
are sent SIGTERM beside, as all processes of a job are."""


def test_a_sweep_that_is_stopped_goes_on_as_if_it_had_not_been(attndsl, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED)
    argv = [sys.executable, "-m", "attndsl", "sweep", "tiny.attn", "--data", A_TEXT, "--set", "lr=1e-2,1e-4", "--set",
            "steps=60", "--set", "checkpoint=5", "--set", "warmup=2", "--out", "stopped", *QUICK]  # fmt: skip
    places = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    sweep = subprocess.Popen(
        argv, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": places}, preexec_fn=as_in_a_terminal
    )
    first = Path("stopped") / "lr=1e-2"
    try:
        out, _ = sweep.communicate(timeout=120)
    finally:
        sweep.kill()
    assert sweep.returncode == 130, out
    assert "attndsl sweep --resume stopped" in out
    assert read_history(first).state == "stopped"
    assert len(losses(first)) == 4
    assert not (Path("stopped") / "lr=1e-4").exists()
    done = attndsl("sweep", "--resume", "stopped", "--jobs", "2")
    assert done.code == 0, done.err
    alone = attndsl("train", "tiny.attn", "--data", A_TEXT, "--out", "whole", "--set", "lr=1e-2", "--set", "steps=60",
                    "--set", "warmup=2", *QUICK)  # fmt: skip
    assert alone.code == 0, alone.err
    assert losses(first) == losses(Path("whole"))


def test_a_run_that_somebody_else_trains_is_waited_for(attndsl) -> None:
    """As those are that go on after the sweep itself was killed."""
    argv = ["sweep", "tiny.attn", "--data", A_TEXT, "--set", "lr=1e-2", "--set", "steps=40", "--out", "orphan", *QUICK]
    sweep = subprocess.Popen([sys.executable, "-m", "attndsl", *argv], stdout=subprocess.DEVNULL)
    run = Path("orphan") / "run"
    for _ in range(1200):
        if losses(run):
            break
        time.sleep(0.05)
    sweep.kill()
    sweep.wait()
    assert attndsl("sweep", "--resume", "orphan").code == 0
    assert read_history(run).state == "finished"
    assert json.loads((run / "run.json").read_text())["resumed"] == []


def test_a_run_that_another_was_faster_to_take_up_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own process ends of it; and as long as the other trains it, its log is not read at all."""
    shutil.copytree("swept", "raced")
    sweep, run = open_sweep(Path("raced")), Path("raced") / "lr=1e-2_seed=0"
    record = (run / RECORD).read_bytes()
    write_record(run, {name: fact for name, fact in open_record(run).facts.items() if name != "metrics"})  # stopped
    start, read, waited, end = sweeping._start, list[Path](), list[float](), time.monotonic() + 60
    with contextlib.ExitStack() as held:

        def start_later(*given: Any) -> subprocess.Popen[bytes]:
            held.enter_context(locked(run))
            return start(*given)

        def sleep(seconds: float) -> None:
            assert time.monotonic() < end
            if seconds <= sweeping.PAUSE:
                time.sleep(seconds)
                return
            waited.append(seconds)
            if len(waited) == 3:
                (run / RECORD).write_bytes(record)
                held.close()

        def reading(folder: Path) -> History:
            read.append(folder)
            return read_history(folder)

        monkeypatch.setattr(sweeping, "_start", start_later)
        monkeypatch.setattr(sweeping, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
        monkeypatch.setattr(sweeping, "read_history", reading)
        progress = sweeping.run_sweep(sweep, 1, Silent())
    assert "E0739" in (Path("raced") / "output" / f"{run.name}.txt").read_text()
    assert (progress.failed, len(progress.finished), len(waited)) == ({}, 4, 3)
    assert read.count(run) == 2  # before, and once it is over


def test_a_run_that_fails_is_named_and_the_others_go_on(attndsl) -> None:
    done = attndsl("sweep", "tiny.attn", "--data", A_TEXT, "--set", "lr=1e-2,1e30", "--set", "steps=3", "--set",
                   "warmup=0", "--out", "failing", *QUICK)  # fmt: skip
    assert done.code == 1
    assert "warning: lr=1e30 failed: error[E0730]" in done.out
    assert "1 of 2 runs failed; to try them again: attndsl sweep --resume failing" in done.err
    assert "held out" in done.out


# ---------------------------------------------------------------- files


def test_a_file_says_what_the_command_line_does_not(attndsl) -> None:
    Path("sweep.toml").write_text(
        f'spec = "tiny.attn"\ndata = "{A_TEXT}"\nout = "from-file"\nseeds = 1\nbackend = "numpy"\n'
        "[set]\nsteps = 1\nlr = [1e-2, 1e-3]\nbetas = [[0.9, 0.95]]\nbatches.segments = false\n"
    )
    done = attndsl("sweep", "sweep.toml", "--set", "lr=1e-4")
    assert done.code == 0, done.err
    sweep = open_sweep(Path("from-file"))
    assert sweep.common == {"steps": "1", "lr": "1e-4", "betas": "[0.9, 0.95]", "batches.segments": "false"}
    assert read_history(Path("from-file") / "run").settings["betas"] == [0.9, 0.95]
    for text, said in (("spec = 1", "is a text in quotes"), ("seds = 1", "did you mean"), ("x", "is not TOML"),
                       ('data = "a"', "does not say which spec"),
                       ('spec = "a"\n[set]\nlr = 1979-05-27', "is no setting"),
                       ('spec = "a"\nseeds = 0', "at least 1")):  # fmt: skip
        Path("wrong.toml").write_text(text)
        done = attndsl("sweep", "wrong.toml", "--data", A_TEXT)
        assert (done.code, "error[E0725]" in done.err, said in done.err) == (1, True, True), done.err


def test_settings_come_from_a_file_or_from_a_run(attndsl) -> None:
    Path("given.toml").write_text("lr = 3e-3\nsteps = 2\nheads = 1\n[batches]\nsegments = false\n")
    words = ("--data", A_TEXT, "--backend", "numpy")
    done = attndsl("train", "tiny.attn", *words, "--settings", "given.toml", "--set", "heads=2", "--out", "given")
    assert done.code == 0, done.err
    first = read_history(Path("given"))
    assert (first.settings["lr"], first.settings["heads"], first.planned) == (3e-3, 2, 2)
    for number, origin in enumerate(("given", "given/run.json")):
        done = attndsl("train", "tiny.attn", *words, "--settings", origin, "--out", f"again{number}")
        assert done.code == 0, done.err
        again = read_history(Path(f"again{number}"))
        assert again.settings == first.settings
        assert losses(again.folder) == losses(first.folder)
    assert read_settings("given")["heads"] == "2"
    Path("wrong.toml").write_text("lr: 3")
    for wrong in ("wrong.toml", "."):
        assert "error[E0725]" in attndsl("train", "tiny.attn", *words, "--settings", wrong, "--out", "no").err


# ---------------------------------------------------------------- from Python


def test_python_has_the_sweep_of_the_command_line(attndsl) -> None:
    import attndsl as package

    swept = package.open_sweep("swept")
    plain = json.loads(attndsl("sweep", "--resume", "swept", "--json").out)
    assert swept["lr"].tolist() == [1e-2, 1e-4]
    assert swept["runs"].tolist() == [2, 2]
    assert {len(array) for array in swept.values()} == {2}
    for place, combination in enumerate(plain["combinations"]):
        for name, its in combination["numbers"].items():
            assert (swept[name][place], swept[f"{name}.deviation"][place]) == (its["mean"], its["deviation"])
    assert swept.verdict == plain["verdict"]
    assert swept.verdict in str(swept)
    assert swept.is_finished
    best = swept.best()
    assert best is not None
    assert best.history.record.last == min(run.history.record.last for run in swept.runs())
    shown = swept._repr_html_()
    assert shown.count("<tr>") == 3
    assert swept.verdict in shown
    with pytest.raises(AttnError, match="E0732"):
        package.open_sweep("nowhere")


def test_a_model_is_swept_and_goes_on_from_python() -> None:
    import attndsl as package

    model = package.parse(TINY, heads=1)
    given = {"steps": 2, "evaluate_batches": 1, "betas": [[0.9, 0.95]], "batches.segments": False}
    swept = model.sweep(A_TEXT, "python", given, backend="numpy", quiet=True, lr=[1e-2, 1e-3])
    assert open_sweep(Path("python")).common == {
        "heads": "1", "steps": "2", "evaluate_batches": "1", "betas": "[0.9, 0.95]", "batches.segments": "false"
    }  # fmt: skip
    assert swept["lr"].tolist() == [1e-2, 1e-3]
    assert all(each != each for each in swept["last.deviation"])  # one seed says nothing of it
    assert swept.histories[0].settings["heads"] == 1
    assert not swept.failed
    with pytest.raises(AttnError, match="E0726"):
        model.sweep([("a", "b")], "none", lr=[1, 2])
    with pytest.raises(AttnError, match="did you mean `lr`"):
        model.sweep(A_TEXT, "none", lrr=[1, 2])
    assert not Path("none").exists()
