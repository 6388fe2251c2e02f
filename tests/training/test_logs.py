"""The log in other forms, learning rates of groups of parameters, and what is said before a training starts."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
from attndsl.runs.checkpoint import furthest_parameters
from attndsl.runs.log import FILE, RunLog, numbers, read_log
from attndsl.training import Outcome, train
from attndsl.training.console import Silent
from attndsl.training.logs import CsvLog

Train = Callable[..., Outcome]


def rows(path: Path) -> list[dict[str, float]]:
    with open(path, encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def logged(run: Path, held_out: bool) -> list[dict[str, float]]:
    lines = [line for line in read_log(run) if ("held_out" in line) == held_out]
    return [{"step": line["step"], **dict(numbers(line))} for line in lines]


def test_csv_files_say_what_the_log_says_of_a_run_that_goes_on(spec: str, text: str, tmp_path: Path) -> None:
    train(spec, text, tmp_path / "run", settings={"steps": 6}, backend="numpy", log=["csv"], console=Silent())
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["log"] == ["csv"]
    train(resume=tmp_path / "run", settings={"steps": 11}, console=Silent())
    for name, held_out in (("training", False), ("held_out", True)):
        assert rows(tmp_path / "run" / f"{name}.csv") == logged(tmp_path / "run", held_out)
    assert [row["step"] for row in rows(tmp_path / "run" / "training.csv")] == list(range(1, 12))


STEP, USAGE = {"step": 1, "loss": 2.5, "grad_norm": None}, {"memory": 8, "collectives": 0.5}


def test_csv_files_have_nothing_of_what_a_run_does_not_go_on_from(tmp_path: Path) -> None:
    first = CsvLog(tmp_path, [])
    for line in (STEP, {"step": 1, "held_out": 2.0}, {"step": 1, **USAGE}):
        first.write(line)
    first.close()
    assert {path.name for path in tmp_path.iterdir()} == {"training.csv", "held_out.csv", "processes.csv"}
    CsvLog(tmp_path, [STEP]).close()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"training.csv": "step,loss\n1,2.5\n"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
@pytest.mark.parametrize(("form", "name"), [(RunLog, FILE), (CsvLog, "training.csv")])
def test_a_full_disk_is_told_with_the_file(tmp_path: Path, form: type[RunLog | CsvLog], name: str) -> None:
    """Also as the log is closed, when the rest of it is tried once more."""
    log = form(tmp_path, [])
    log.write(STEP)
    full = open("/dev/full", "a", encoding="utf-8")  # noqa: SIM115
    if isinstance(log, RunLog):
        log.file.close()
        log.file = full
    else:
        log.files["training"].close()
        log.files["training"] = full
    for act in (lambda: log.write(STEP), log.close):
        with pytest.raises(AttnError, match=f"E0705.*{name}"):
            act()


def test_csv_files_have_columns_for_what_comes_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a first step that was skipped does not have; what a run has once several processes go on with it."""
    log = CsvLog(tmp_path, [STEP, {"step": 1, "held_out": 2.0}])
    for line in (STEP | {"step": 2, "grad_norm": 0.25}, STEP | {"step": 3}, {"step": 3, "held_out": 1.5, **USAGE}):
        log.write(line)
    files = {"training.csv": "step,loss,grad_norm\n1,2.5,\n2,2.5,0.25\n3,2.5,\n",
             "held_out.csv": "step,held_out,memory,collectives\n1,2.0,,\n3,1.5,8,0.5\n"}  # fmt: skip
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files
    monkeypatch.setattr("os.replace", lambda *paths: (tmp_path / "none").unlink())
    with pytest.raises(AttnError, match="E0705"):
        log.write(STEP | {"step": 4, "cross_entropy": 0.5})
    log.close()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files


def test_tensorboard_is_told_of_every_number(spec: str, text: str, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    train(spec, text, tmp_path / "run", settings={"steps": 6}, backend="numpy", log=["tensorboard"], console=Silent())
    (file,) = (tmp_path / "run" / "tensorboard").iterdir()
    data, found, at = file.read_bytes(), dict[tuple[str, int], float](), 0
    while at < len(data):  # a record: its length, a checksum, the event, a checksum
        size = int.from_bytes(data[at : at + 8], "little")
        event = Event.FromString(data[at + 12 : at + 12 + size])
        found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
        at += 16 + size
    lines = read_log(tmp_path / "run")
    assert found[("training/loss", 6)] == pytest.approx(lines[-2]["loss"], rel=1e-6)
    assert found[("held_out/loss", 6)] == pytest.approx(lines[-1]["held_out"], rel=1e-6)
    assert found[("held_out/cross_entropy", 6)] == pytest.approx(lines[-1]["held_out_cross_entropy"], rel=1e-6)
    assert len([key for key in found if key[0] == "training/lr"]) == 6


def test_a_writer_that_is_not_there_is_named_before_anything_is_written(
    spec: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    for log, code in ((["tensorboard"], "E0708"), (["wandb"], "E0797")):
        with pytest.raises(AttnError, match=code):
            train(spec, text, tmp_path / "run", settings={"steps": 1}, backend="numpy", log=log, console=Silent())
    assert not (tmp_path / "run").exists()


def test_groups_of_parameters_learn_at_their_own_rates(trained: Train, tmp_path: Path) -> None:
    """With plain descent the first step is the rate times the gradient, whatever the backend."""
    same = {"optimizer": "sgd", "momentum": 0, "clip": 0, "steps": 1, "warmup": 0, "lr": 0.1, "p": 0}
    trained("start", **{**same, "lr": 0})
    trained("plain", **same)
    trained("groups", rates='groups("wte.*", 0, "h.0.attn.*", 0.25, "h.*", 2)', **same)
    start, plain, groups = (furthest_parameters(tmp_path / name)[0] for name in ("start", "plain", "groups"))
    for address, value in start.items():
        factor = (
            0.0 if address.startswith("wte.") else 0.25 if ".attn." in address else 2.0 if address[:2] == "h." else 1.0
        )
        np.testing.assert_allclose(groups[address] - value, factor * (plain[address] - value), atol=3e-7)
    assert any(np.abs(plain[address] - value).max() > 1e-5 for address, value in start.items())


def test_the_learning_rate_is_said_before_the_first_step(spec: str, text: str, tmp_path: Path, console: Silent) -> None:
    train(spec, text, tmp_path / "run", settings={"steps": 4, "rates.wte.*": 0.5}, backend="numpy", console=console)
    told = [line for line in console.said if line.startswith("learning rate ")]
    assert len(told) == 1
    assert "over 4 steps" in told[0]
    assert console.said.index(told[0]) < next(i for i, line in enumerate(console.said) if line.startswith("step "))
    assert "  times 0.5 for wte.table" in console.said
    assert any(line.startswith("the recipe is for 12 steps, and this training has 4") for line in console.warned)
    again = Silent()
    train(spec, text, tmp_path / "whole", backend="numpy", console=again)
    assert again.warned == []
    with pytest.raises(AttnError, match="E0736"):
        train(spec, text, tmp_path / "no", settings={"rates.nothing.*": 0.5}, backend="numpy", console=Silent())
