"""Training in several processes that cannot be: one message says why, and nothing is half written."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from attndsl.cli import main
from attndsl.diagnostics import AttnError
from attndsl.elaborate import open_spec
from attndsl.running import backends, initial
from attndsl.running.processes import Processes
from attndsl.runs.record import open_record, write_record
from attndsl.training import session, train
from attndsl.training.bounds import configure
from attndsl.training.console import Silent
from attndsl.training.data import CACHE
from attndsl.training.place import require_room
from tests.training.several import (
    LONGEST,
    Together,
    alone,
    another_version,
    no_larger_files,
    require_one_message,
    words,
)

pytestmark = [pytest.mark.torch, pytest.mark.skipif(os.name != "posix", reason="needs fork")]


def test_a_batch_that_cannot_be_dealt(spec: str, text: str, tmp_path: Path) -> None:
    ended = Together(2, tmp_path, words(spec, "--data", text, "--out", tmp_path / "run", batch=5)).end()
    require_one_message(ended, "E1004", "is 5 long along `B`, which 2 devices share", "a multiple of 2")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("layout", "code", "said"),
    [
        ("data=4; B on data", "E0772", "has 4 devices, (data=4), and there are 2 processes"),
        ("data=1; B on data", "E0772", "has 1 device, (data=1), and there are 2 processes"),
        ("model=2; 3 on model", "E1002", "`Tiny` has no axis `3`"),
        ("model=2; experts on model", "E1002", "`Tiny` has no axis `experts`"),
        ("tensor", "E1001", "`Tiny` has no layout `tensor`"),
    ],
)
def test_a_layout_that_does_not_fit(spec: str, text: str, tmp_path: Path, layout: str, code: str, said: str) -> None:
    given = words(spec, "--data", text, "--out", tmp_path / "run", "--layout", layout)
    require_one_message(Together(2, tmp_path, given).end(), code, said)
    assert not (tmp_path / "run").exists()


def test_axes_that_do_not_divide(spec: str, text: str, tmp_path: Path) -> None:
    given = words(spec, "--data", text, "--out", tmp_path / "run", "--layout", "model=3; vocab on model")
    require_one_message(
        Together(3, tmp_path, given).end(), "E1004", "`vocab` (256) cannot be divided over the 3 devices"
    )
    assert not (tmp_path / "run").exists()


def test_as_many_are_started_as_a_layout_has_devices(
    spec: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of a new run and of one that is resumed, unless the launcher, or `--processes`, says how many."""
    started: list[int] = []
    backend = backends.find("torch")
    monkeypatch.setattr(type(backend), "launch", lambda self, count, words: started.append(count) or 0)
    laid_out, run = ["--layout", "data=2, model=2; B on data; heads on model"], tmp_path / "run"
    new = ["train", spec, "--data", text, "--out", str(run)]
    assert main([*new, *laid_out]) == 0
    assert main([*new, *laid_out, "--processes", "3"]) == 0  # who will say that it does not fit
    alone(spec, text, run, steps=1)
    facts = dict(open_record(run).facts)
    write_record(run, facts | {"layout": laid_out[1]})
    assert main(["train", "--resume", str(run)]) == 0
    assert main(["train", "--resume", str(run), "--layout", "model=2; heads on model"]) == 0
    assert started == [4, 3, 4, 2]
    assert main([*new, "--layout", "tensor(data=2)"]) == 1
    assert "has no layout `tensor`" in capfd.readouterr().err
    assert main(["train", "--resume", str(run), "--layout", "data=4096; B on data"]) == 1
    assert "the layout has 4,096 devices, (data=4096), and this machine may have" in capfd.readouterr().err
    for machine, usable, said in ((64, 64, "it has 64 processors\n"), (64, 4, ", of which this process may use 4\n")):
        monkeypatch.setattr(os, "cpu_count", lambda machine=machine: machine)
        monkeypatch.setattr(session, "processors", lambda usable=usable: usable)
        assert main(["train", "--resume", str(run), "--layout", "data=4096; B on data"]) == 1
        assert said in capfd.readouterr().err
    assert started == [4, 3, 4, 2]
    assert main(["train", "--resume", str(run), "--layout", "data=4096; B on data", "--processes", "5"]) == 0
    assert started == [4, 3, 4, 2, 5]


def test_a_run_that_is_resumed_on_too_small_a_machine(
    spec: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    alone(spec, text, run, steps=1)
    monkeypatch.setattr(initial, "BOOKKEEPING", 0)
    monkeypatch.setattr(initial, "machine_bytes", lambda: 8 * open_record(run).facts["parameters"])
    shutil.rmtree(tmp_path / CACHE)
    with pytest.raises(AttnError, match="E0806"):
        train(resume=run, settings={"steps": 2}, console=Silent())
    assert not (tmp_path / CACHE).exists()  # it is told before anything is made


@pytest.mark.parametrize(("local_size", "fits"), [(1, True), (4, False), (8, False)])
def test_processes_of_one_machine_share_its_memory(
    spec: str, local_size: int, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = configure(open_spec(spec), {})
    processes = Processes()
    processes.size, processes.local_size = 8, local_size
    whole = 16 * made.graph.parameter_count  # weights, gradients and two states of Adam
    monkeypatch.setattr(initial, "BOOKKEEPING", 0)
    monkeypatch.setattr(initial, "machine_bytes", lambda: whole // 3)
    with contextlib.nullcontext() if fits else pytest.raises(AttnError, match="E0806"):
        require_room(made.graph, made.recipe, "cpu", processes)


def test_without_the_data_on_one_of_them(spec: str, text: str, tmp_path: Path) -> None:
    away = words(spec, "--data", tmp_path / "away.txt", "--out", tmp_path / "run")
    given = words(spec, "--data", text, "--out", tmp_path / "run")
    ended = Together(2, tmp_path, given, others={1: away}).end()
    require_one_message(ended, "E0701", "away.txt", "process 1 of 2")
    assert not (tmp_path / "run").exists()


def test_with_other_data_on_one_of_them(spec: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text(Path(text).read_text() + "\nMore.\n")
    given = words(spec, "--data", text, "--out", tmp_path / "run")
    other = words(spec, "--data", tmp_path / "other.txt", "--out", tmp_path / "run")
    require_one_message(Together(2, tmp_path, given, others={1: other}).end(), "E0773", "differ in the data")


def test_unequal_versions(spec: str, text: str, tmp_path: Path) -> None:
    given = words(spec, "--data", text, "--out", tmp_path / "run")
    ended = Together(2, tmp_path, given, before=another_version).end()
    require_one_message(ended, "E0773", "differ in the version of attndsl", "process 1 0.0.1")
    assert not (tmp_path / "run").exists()


def test_a_full_disk(spec: str, text: str, tmp_path: Path) -> None:
    """No file of the first process gets as large as a checkpoint."""
    given = words(spec, "--data", text, "--out", tmp_path / "run")
    ended = Together(2, tmp_path, given, before=no_larger_files).end()
    require_one_message(ended, "E0705", "step-000004.safetensors")
    assert not [*(tmp_path / "run").rglob("*.partial")]
    assert not [*(tmp_path / "run").rglob("*.safetensors")]


def test_a_full_disk_where_a_run_begins_from_weights(spec: str, text: str, tmp_path: Path) -> None:
    alone(spec, text, tmp_path / "body", steps=1)
    given = words(spec, "--data", text, "--weights", tmp_path / "body", "--out", tmp_path / "run")
    ended = Together(2, tmp_path, given, before=no_larger_files).end()
    require_one_message(ended, "E0705", "step-000000.safetensors")
    assert not [*tmp_path.glob("run"), *tmp_path.glob(".run*")]


def test_a_port_in_use(spec: str, text: str, tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("localhost", 0))
        held.listen()
        started = Together(
            2, tmp_path, words(spec, "--data", text, "--out", tmp_path / "run"), port=held.getsockname()[1]
        )
        started.processes[0].join(LONGEST)
        started.processes[1].kill()  # as a launcher does when one has failed
        require_one_message(started.end(), "E0770", "the port is in use")


def by_another_address(rank: int) -> None:
    """The others know the first by an address that is not its own name's."""
    os.environ["MASTER_ADDR"] = "127.0.0.2" if rank else "localhost"


@pytest.mark.skipif(sys.platform != "linux", reason="needs a second loopback address")
def test_a_first_process_that_knows_itself_by_another_name(spec: str, text: str, tmp_path: Path) -> None:
    given = words(spec, "--data", text, "--out", tmp_path / "run", steps=1, evaluate_batches=1)
    ended = Together(2, tmp_path, given, before=by_another_address).end()
    assert ended.codes == (0, 0), ended.messages


def behind_a_firewall(rank: int) -> None:
    if rank == 1:
        from attndsl.running import heartbeats

        def refused(*arguments: Any, **named: Any) -> Any:
            raise ConnectionRefusedError(111, "Connection refused")

        heartbeats.socket = SimpleNamespace(create_connection=refused)  # type: ignore


def behind_a_firewall_and_another_late(rank: int) -> None:
    """Who comes when the first has given up does not find it any more, nor hear that it was said why."""
    behind_a_firewall(rank)
    if rank == 2:
        from attndsl.backends.pytorch import processes

        original = processes.reach

        def late(*given: Any) -> Any:
            time.sleep(1)
            return original(*given)

        processes.reach = late


@pytest.mark.parametrize("before", [behind_a_firewall, behind_a_firewall_and_another_late])
def test_one_that_does_not_reach_the_first(spec: str, text: str, tmp_path: Path, before: Callable[[int], None]) -> None:
    """It says so, and the first does not wait for it."""
    given = words(spec, "--data", text, "--out", tmp_path / "run")
    ended = Together(3, tmp_path, given, before=before).end()
    require_one_message(ended, "E0770", "process 1, on ", "does not reach the first at ", "Connection refused")


def test_torch_says_nothing_besides() -> None:
    """Its sockets would, wherever one process finds another gone. It reads whether it may when it is imported."""
    looks = (
        "import os, sys, attndsl.backends.pytorch\nprint('torch' in sys.modules, os.environ.get('TORCH_CPP_LOG_LEVEL'))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TORCH_CPP_LOG_LEVEL"}
    for size, level in (("1", None), ("2", "ERROR")):
        given = environment | {"RANK": "0", "WORLD_SIZE": size}
        done = subprocess.run([sys.executable, "-c", looks], env=given, stdout=subprocess.PIPE, text=True, check=True)
        assert done.stdout == f"False {level}\n"


def test_a_backend_that_trains_in_one_process(spec: str, text: str, tmp_path: Path) -> None:
    given = words(spec, "--data", text, "--out", tmp_path / "run", "--backend", "numpy")
    require_one_message(Together(2, tmp_path, given).end(), "E0812", "trains in one process")


def test_words_that_make_no_sense(tmp_path: Path) -> None:
    ended = Together(2, tmp_path, ["train", "--data", "x"]).end()
    assert ended.codes == (2, 2)
    assert len(ended.messages) == 1
