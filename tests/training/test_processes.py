"""Training in several processes: the same numbers as in one, whatever happens to one of them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from attndsl.backends.pytorch.processes import TimedCollectives
from attndsl.cli import main
from attndsl.diagnostics import AttnError
from attndsl.elaborate import open_spec
from attndsl.running import backends, initial
from attndsl.running.processes import Processes
from attndsl.runs.checkpoint import checkpoint_path, load_checkpoint, read_tensors
from attndsl.runs.log import read_log
from attndsl.runs.record import WEIGHTS, open_record, write_record
from attndsl.training import train
from attndsl.training.bounds import configure
from attndsl.training.console import Silent
from attndsl.training.place import require_room
from tests.scripts import script
from tests.training.conftest import TINY
from tests.training.several import Ended, Together, another_version, no_larger_files
from tests.training.test_states import ELMAN

pytestmark = [pytest.mark.torch, pytest.mark.skipif(os.name != "posix", reason="needs fork")]

NEAR = {"float64": 1e-10, "float32": 2e-4}
"""How far losses and weights may be from those of one process: sums are added up in another order, and Adam's first
steps divide a gradient by its own size."""

SETTINGS: dict[str, Any] = {"steps": 10, "batch": 6, "p": 0, "evaluate_batches": 2, "checkpoint": 4}


@pytest.fixture
def spec(tmp_path: Path) -> str:
    """Without the one parameter that the loss does not depend on (all scores of a query move together), since Lion and
    Adafactor make whole steps of the rounding that its gradient consists of."""
    path = tmp_path / "tiny.attn"
    path.write_text(TINY.replace("mask=causal,", "mask=causal, k_bias=false,"))
    return str(path)


def words(*more: object, **settings: object) -> list[object]:
    chosen = SETTINGS | settings
    return ["train", *more, *(word for name, value in chosen.items() for word in ("--set", f"{name}={value}"))]


def alone(spec: str, text: str, run: Path, **settings: Any) -> None:
    chosen = SETTINGS | settings
    train(spec, text, run, settings=chosen, backend="torch", device="cpu", console=Silent())


def told(run: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The log's numbers by their names, and the weights by their addresses."""
    lines = read_log(run)
    found = {
        name: np.array([line[name] for line in lines if name in line])
        for name in ("loss", "held_out", "grad_norm", "tokens", "flops")
    }
    return {**found, **read_tensors(run / WEIGHTS, "the weights")[0]}


def require_near(run: Path, whole: Path, bound: float) -> None:
    found, wanted = told(run), told(whole)
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=bound, atol=bound, err_msg=name)


MASKED = {
    "batches": "masked_tokens(tokens, targets, whole_words=true)",
    "special": 'tokens(pad="[PAD]", begin="[CLS]", end="[SEP]", mask="[MASK]")',
}


def as_one(spec: str, text: str, folder: Path, count: int, more: dict[str, Any], layout: str | None = None) -> None:
    """That so many processes come to what one comes to."""
    alone(spec, text, folder / "whole", **more)
    laid = ["--layout", layout] if layout is not None else []
    ended = Together(count, folder, words(spec, "--data", text, "--out", folder / "run", *laid, **more)).end()
    assert ended.codes == (0,) * count, ended.messages
    assert [bool(said) for said in ended.out] == [True] + [False] * (count - 1)
    assert not [said for said in ended.messages if "warning[" not in said]
    require_near(folder / "run", folder / "whole", NEAR[more["precision"]])
    usage = [line for line in read_log(folder / "run") if "held_out" in line]
    own = 16 * open_record(folder / "run").facts["parameters"] / count  # weights, gradients and two states of Adam
    assert all(own / 2 < line["memory"] < 40 * own and 0 < line["collectives"] < 1 for line in usage), usage
    assert all(0 < line["mfu"] < 1 and line["tokens_per_second"] > 0 for line in usage), usage


@pytest.mark.parametrize(
    ("count", "more"),
    [
        (2, {"precision": "float64", "clip": 0.5, "p": 0.1}),
        (3, {"precision": "float64", "accumulate": 2, **MASKED}),
        (2, {"precision": "float32"}),
        pytest.param(2, {"precision": "float64", "optimizer": "adafactor(lr=1e-2)"}, marks=pytest.mark.slow),
        pytest.param(3, {"precision": "float64", "optimizer": "lion(lr=1e-3)"}, marks=pytest.mark.slow),
        pytest.param(3, {"precision": "float64", "optimizer": "sgd(lr=0.1)"}, marks=pytest.mark.slow),
    ],
)
def test_as_one_process(spec: str, text: str, tmp_path: Path, count: int, more: dict[str, Any]) -> None:
    """Targets that do not count are not as many in each process, so that a mean of means would be another loss; what
    dropout drops depends on its place; what is held out does not divide evenly."""
    as_one(spec, text, tmp_path, count, more)


LAYOUTS = {
    "whole parameters": (2, "data=2; B on data; parameters whole"),
    "model": (2, "model=2; heads, 4*width, vocab on model"),
    "data and model": (4, "data=2, model=2; B on data; heads, 4*width, vocab on model"),
    "sequence": (4, "data=2, model=2; B on data; heads, 4*width, vocab on model; T on model"),
}


@pytest.mark.parametrize(
    "name", [*list(LAYOUTS)[:2], *(pytest.param(n, marks=pytest.mark.slow) for n in list(LAYOUTS)[2:])]
)
@pytest.mark.parametrize("optimizer", ["adamw(lr=1e-2)", pytest.param("adafactor(lr=1e-2)", marks=pytest.mark.slow)])
def test_layouts_do_not_affect_results(spec: str, text: str, tmp_path: Path, name: str, optimizer: str) -> None:
    count, layout = LAYOUTS[name]
    as_one(spec, text, tmp_path, count, {"precision": "float64", "optimizer": optimizer, "p": 0.1}, layout)


STAGES = "stages=2; h on stages in 3 microbatches; vocab on stages"


@pytest.mark.parametrize("optimizer", ["adamw(lr=1e-2)", pytest.param("adafactor(lr=1e-2)", marks=pytest.mark.slow)])
def test_layers_in_stages(spec: str, text: str, tmp_path: Path, optimizer: str) -> None:
    """What dropout drops is what one process drops, though each has some of the layers."""
    as_one(spec, text, tmp_path, 2, {"precision": "float64", "optimizer": optimizer, "p": 0.1, "depth": 2}, STAGES)


def test_stages_are_resumed_by_one(spec: str, text: str, tmp_path: Path) -> None:
    """A checkpoint has all layers under their own names. Of two that stand at one place of two stages, one is frozen:
    its process sends gradients back all the same."""
    more = {"precision": "float64", "checkpoint": 1, "depth": 2, "freeze": "wte.*|wpe.*|h.0.*"}
    alone(spec, text, tmp_path / "whole", **more)
    run = tmp_path / "run"
    laid = words(spec, "--data", text, "--out", run, "--layout", STAGES, **more)
    assert Together(2, tmp_path, laid, before=stop_after_three).end().codes == (130,) * 2
    assert len(read_log(run)) == 3
    train(resume=run, layout=STAGES.replace("stages=2", "stages=1"), console=Silent())
    require_near(run, tmp_path / "whole", NEAR["float64"])


def with_a_known_peak(rank: int) -> None:
    """It is measured by the first process alone, before any step."""
    from attndsl.backends.pytorch import trainer

    stepped, step = list[None](), trainer.TorchTrainer.step

    def noted(*arguments: Any, **named: Any) -> Any:
        stepped.append(None)
        return step(*arguments, **named)

    def peak(*where: Any) -> float:
        assert rank == 0
        assert not stepped
        return 1e9

    trainer.TorchTrainer.step = noted  # type: ignore[method-assign]
    trainer.peak = peak


def test_utilisation_is_of_the_peak_of_all(spec: str, text: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    given = words(spec, "--data", text, "--out", run, steps=2, evaluate_batches=1)
    ended = Together(2, tmp_path, given, before=with_a_known_peak).end()
    assert ended.codes == (0, 0), ended.messages
    *_, step, usage = read_log(run)
    per_token = step["flops"] / step["tokens"]
    assert usage["mfu"] == pytest.approx(usage["tokens_per_second"] * per_token / 2e9, rel=0.01)


def test_from_a_body(spec: str, text: str, tmp_path: Path) -> None:
    """Each keeps its part of given weights, and what they begin with is written from all parts."""
    more = {"precision": "float64", "steps": 2, "evaluate_batches": 1}
    alone(spec, text, tmp_path / "body", **more)
    given = [spec, "--data", text, "--weights", tmp_path / "body"]
    assert main([str(word) for word in words(*given, "--out", tmp_path / "whole", "--device", "cpu", **more)]) == 0
    ended = Together(2, tmp_path, words(*given, "--out", tmp_path / "run", **more)).end()
    assert ended.codes == (0, 0), ended.messages
    require_near(tmp_path / "run", tmp_path / "whole", NEAR["float64"])
    begun = [load_checkpoint(checkpoint_path(tmp_path / name, 0), 0).state for name in ("run", "whole")]
    assert begun[0].keys() == begun[1].keys()
    assert all(np.array_equal(array, begun[1][name]) for name, array in begun[0].items())


def test_resumed_with_another_number(spec: str, text: str, tmp_path: Path) -> None:
    """Three processes, then two, then one."""
    more = {"precision": "float64", "checkpoint": 1}
    alone(spec, text, tmp_path / "whole", **more)
    run = tmp_path / "run"
    started = Together(3, tmp_path, words(spec, "--data", text, "--out", run, **more), before=stop_after_three)
    assert started.end().codes == (130,) * 3
    assert len(read_log(run)) == 3
    ended = Together(2, tmp_path, ["train", "--resume", run], before=stop_after_three).end()
    assert ended.codes == (130, 130), ended.messages
    train(resume=run, console=Silent())
    require_near(run, tmp_path / "whole", NEAR["float64"])


def test_states_of_rows(text: str, tmp_path: Path) -> None:
    """They stay with the process whose rows they are, and are those of one process in a checkpoint; so are those that
    all rows share, which are made of the rows of all."""
    spec, run = tmp_path / "elman.attn", tmp_path / "run"
    spec.write_text(ELMAN)
    more = {"precision": "float64", "steps": 6, "batch": 6, "checkpoint": 1}
    train(str(spec), text, tmp_path / "whole", settings=more, backend="torch", device="cpu", console=Silent())
    given = ["train", spec, "--data", text, "--out", run]
    given += [word for name, value in more.items() for word in ("--set", f"{name}={value}")]
    assert Together(3, tmp_path, given, before=stop_after_three).end().codes == (130,) * 3
    ended = Together(2, tmp_path, ["train", "--resume", run]).end()
    assert ended.codes == (0, 0), ended.messages
    require_near(run, tmp_path / "whole", NEAR["float64"])


def test_states_that_rows_share_are_resumed_in_parts(text: str, tmp_path: Path) -> None:
    """Along an axis that a layout divides, each process has its part of a running average, and a file the whole."""
    spec, run = tmp_path / "elman.attn", tmp_path / "run"
    spec.write_text(ELMAN)
    more = {"precision": "float64", "steps": 6, "batch": 6, "checkpoint": 1}
    train(str(spec), text, tmp_path / "whole", settings=more, backend="torch", device="cpu", console=Silent())
    given = ["train", spec, "--data", text, "--out", run, "--layout", "model=2; width on model"]
    given += [word for name, value in more.items() for word in ("--set", f"{name}={value}")]
    assert Together(2, tmp_path, given, before=stop_after_three).end().codes == (130,) * 2
    ended = Together(2, tmp_path, ["train", "--resume", run]).end()
    assert ended.codes == (0, 0), ended.messages
    require_near(run, tmp_path / "whole", NEAR["float64"])


def stop_after_three(rank: int) -> None:
    """One process is asked to stop in its third step, and none of the others: all of them do."""
    if rank == 1:
        in_third_step(lambda: os.kill(os.getpid(), signal.SIGTERM))


# ---------------------------------------------------------------- what may go wrong


def require_one_message(ended: Ended, code: str, *said: str) -> str:
    """That all failed, and one said why."""
    assert 0 not in ended.codes
    (message,) = ended.messages
    assert message.startswith(f"error[{code}]"), message
    assert message.count("error[") == 1
    for each in said:
        assert each in message
    return message


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
    write_record(run, {name: value for name, value in facts.items() if name != "format"} | {"layout": laid_out[1]})
    assert main(["train", "--resume", str(run)]) == 0
    assert main(["train", "--resume", str(run), "--layout", "model=2; heads on model"]) == 0
    assert started == [4, 3, 4, 2]
    assert main([*new, "--layout", "tensor(data=2)"]) == 1
    assert "has no layout `tensor`" in capfd.readouterr().err
    assert main(["train", "--resume", str(run), "--layout", "data=4096; B on data"]) == 1
    assert "the layout has 4,096 devices, (data=4096), and this machine may have" in capfd.readouterr().err
    assert started == [4, 3, 4, 2]
    assert main(["train", "--resume", str(run), "--layout", "data=4096; B on data", "--processes", "5"]) == 0
    assert started == [4, 3, 4, 2, 5]


def test_a_layout_goes_with_the_number_of_processes(spec: str, text: str, tmp_path: Path) -> None:
    """Whoever resumes a run with more or fewer of them is told that it has no layout any more."""
    more = {"precision": "float64", "checkpoint": 1}
    alone(spec, text, tmp_path / "whole", **more)
    run, layout = tmp_path / "run", "data=3; B on data; parameters whole"
    given = words(spec, "--data", text, "--out", run, "--layout", layout, **more)
    assert Together(3, tmp_path, given, before=stop_after_three).end().codes == (130,) * 3
    assert open_record(run).facts["layout"] == layout
    ended = Together(2, tmp_path, ["train", "--resume", run, "--processes", 2]).end()
    assert ended.codes == (0, 0), ended.messages
    assert f"the run goes on without its layout, {layout!r}: it has 3 devices, for 2 processes" in ended.out[0]
    assert open_record(run).facts["layout"] is None
    require_near(run, tmp_path / "whole", NEAR["float64"])


def test_a_run_that_is_resumed_on_too_small_a_machine(
    spec: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    alone(spec, text, run, steps=1)
    monkeypatch.setattr(initial, "BOOKKEEPING", 0)
    monkeypatch.setattr(initial, "machine_bytes", lambda: 8 * open_record(run).facts["parameters"])
    with pytest.raises(AttnError, match="E0806"):
        train(resume=run, settings={"steps": 2}, console=Silent())


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


def test_a_port_in_use(spec: str, text: str, tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("localhost", 0))
        held.listen()
        started = Together(
            2, tmp_path, words(spec, "--data", text, "--out", tmp_path / "run"), port=held.getsockname()[1]
        )
        started.processes[0].join(30)
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

        heartbeats.socket = SimpleNamespace(create_connection=refused, gethostname=socket.gethostname)  # type: ignore


def test_one_that_does_not_reach_the_first(spec: str, text: str, tmp_path: Path) -> None:
    """It says so, and the first does not wait for it."""
    given = words(spec, "--data", text, "--out", tmp_path / "run")
    ended = Together(3, tmp_path, given, before=behind_a_firewall).end()
    require_one_message(ended, "E0770", "process 1, on ", "does not reach the first at ", "Connection refused")


# ---------------------------------------------------------------- whoever is gone, and whoever is not


def in_third_step(action: Callable[[], None]) -> None:
    """Do something when this process begins its third step."""
    from attndsl.backends.pytorch.trainer import TorchTrainer

    original, calls = TorchTrainer.step, list[None]()

    def step(self: TorchTrainer, *arguments: Any, **named: Any) -> Any:
        calls.append(None)
        if len(calls) == 3:
            action()
        return original(self, *arguments, **named)

    TorchTrainer.step = step  # type: ignore[method-assign]


def impatient(rank: int) -> None:
    """Who says nothing for two seconds is lost; groups wait for three."""
    from attndsl.backends.pytorch import processes
    from attndsl.running import heartbeats

    heartbeats.SILENT = processes.SILENT = 2.0
    processes._JOIN = timedelta(seconds=3)


def one_is_stopped(rank: int) -> None:
    impatient(rank)
    if rank == 1:
        in_third_step(lambda: os.kill(os.getpid(), signal.SIGSTOP))


def the_first_is_stopped(rank: int) -> None:
    impatient(rank)
    if rank == 0:
        in_third_step(lambda: os.kill(os.getpid(), signal.SIGSTOP))


def one_is_killed_while_another_is_busy(rank: int) -> None:
    if rank == 1:
        in_third_step(lambda: os.kill(os.getpid(), signal.SIGKILL))
    elif rank == 2:
        in_third_step(lambda: time.sleep(100))


def one_is_busy(rank: int) -> None:
    impatient(rank)
    if rank == 0:
        in_third_step(lambda: time.sleep(4))


@pytest.mark.parametrize(
    ("before", "who", "became"),
    [
        (one_is_stopped, 1, "has not answered for 2 seconds"),
        pytest.param(the_first_is_stopped, 0, "has not answered for 2 seconds", marks=pytest.mark.slow),
        (one_is_killed_while_another_is_busy, 1, "has ended without a word"),
    ],
)
def test_a_process_that_is_lost(
    spec: str, text: str, tmp_path: Path, before: Callable[[int], None], who: int, became: str
) -> None:
    """The others end, also one that is in the middle of something, and a launcher is not left with one that is
    stopped."""
    given = words(spec, "--data", text, "--out", tmp_path / "run")
    ended = Together(3, tmp_path, given, before=before).end()
    require_one_message(ended, "E0771", f"process {who} of 3, on ", became)
    assert ended.codes[who] == -signal.SIGKILL


def all_wait_out_of_sight(rank: int) -> None:
    """As in the queues of GPUs that wait for one another, from the third step."""
    from attndsl.backends.pytorch.trainer import TIMED, TorchTrainer
    from attndsl.running import heartbeats

    heartbeats.STUCK = 1.0
    original, calls = TorchTrainer._backward, list[None]()

    def backward(self: TorchTrainer, loss: Any) -> None:
        calls.append(None)
        if len(calls) == 3:
            time.sleep(100)
        original(self, loss)

    TorchTrainer._backward = backward  # type: ignore[method-assign]
    TorchTrainer._waiting = lambda self, training=True: TIMED.waiting()  # type: ignore[method-assign]


def test_all_wait_for_one_another(spec: str, text: str, tmp_path: Path) -> None:
    given = words(spec, "--data", text, "--out", tmp_path / "run")
    ended = Together(2, tmp_path, given, before=all_wait_out_of_sight).end()
    require_one_message(ended, "E0771", "the 2 processes have waited for one another")


@pytest.mark.parametrize(
    ("device", "compiles", "has_stepped", "waits"),
    [
        ("cpu", False, True, {"training": False, "evaluation": False}),  # there each collective says so itself
        ("cuda", False, False, {"training": True, "evaluation": True}),
        ("cuda", True, False, {"training": False, "evaluation": False}),  # it is being compiled
        ("cuda", True, True, {"training": True, "evaluation": False}),
        ("cpu", True, True, {"training": True, "evaluation": False}),
    ],
)
def test_where_waits_are_out_of_sight(device: str, compiles: bool, has_stepped: bool, waits: dict[str, bool]) -> None:
    from attndsl.backends.pytorch.trainer import TIMED, TorchTrainer

    program = SimpleNamespace(device=SimpleNamespace(type=device))
    trainer: Any = SimpleNamespace(program=program, _compiles=compiles, _has_stepped=has_stepped)
    for what, expected in waits.items():
        with TorchTrainer._waiting(trainer, what == "training"):
            assert bool(TIMED.waits) == expected, what


def test_what_counts_as_a_wait() -> None:
    """Each is another one, and what was waited for before goes on after one within it."""
    timed = TimedCollectives()
    seen = []
    with timed.waiting():
        seen.append(timed.waits)
        assert timed.timed(lambda: timed.waits)() == 2
        assert timed.seconds > 0
        seen.append(timed.waits)
    assert (seen, timed.waits) == ([1, 1], 0)


def test_a_process_that_is_busy_is_not_lost(spec: str, text: str, tmp_path: Path) -> None:
    """The others wait for it, longer than they waited for it to come, and than anybody may be silent."""
    given = words(spec, "--data", text, "--out", tmp_path / "run")
    ended = Together(2, tmp_path, given, before=one_is_busy).end()
    assert ended.codes == (0, 0), ended.messages


LAUNCHER = """
import subprocess, sys, time
child = "from attndsl.backends.pytorch import processes; processes._end_with_the_launcher(); print('up', flush=True)"
subprocess.Popen([sys.executable, "-c", child + "; import time; time.sleep(100)"])
time.sleep(100)
"""


def test_the_launcher_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", LAUNCHER], stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == "up\n"
        launcher.kill()
        began = time.monotonic()
        assert launcher.stdout.read() == ""  # until whoever could still say something has ended
        assert time.monotonic() - began < 10


def test_a_backend_that_trains_in_one_process(spec: str, text: str, tmp_path: Path) -> None:
    given = words(spec, "--data", text, "--out", tmp_path / "run", "--backend", "numpy")
    require_one_message(Together(2, tmp_path, given).end(), "E0812", "trains in one process")


def test_words_that_make_no_sense(tmp_path: Path) -> None:
    ended = Together(2, tmp_path, ["train", "--data", "x"]).end()
    assert ended.codes == (2, 2)
    assert len(ended.messages) == 1


# ---------------------------------------------------------------- as a user starts them


@pytest.mark.slow
def test_the_short_form_survives_kills(tmp_path: Path) -> None:
    """`python scripts/kills.py` tries it more often."""
    script("kills").try_kills(1, int.from_bytes(os.urandom(4)), tmp_path)
