"""Training in several processes: the same numbers as in one, whatever happens to one of them."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.cli import main
from attndsl.elaborate import elaborate, open_spec
from attndsl.planning.request import plan_on_paper
from attndsl.runs.checkpoint import checkpoint_path, read_tensors
from attndsl.runs.log import FILE, read_log
from attndsl.runs.record import WEIGHTS, open_record
from attndsl.storage.safetensors import TensorFile
from attndsl.training import train
from attndsl.training.console import Silent
from tests.training.conftest import TINY
from tests.training.several import (
    SETTINGS,
    Together,
    alone,
    stop_after_three,
    words,
)
from tests.training.test_states import ELMAN

pytestmark = [pytest.mark.torch, pytest.mark.skipif(os.name != "posix", reason="needs fork")]

NEAR = {"float64": 1e-10, "float32": 2e-4}
"""How far losses and weights may be from those of one process: sums are added up in another order, and Adam's first
steps divide a gradient by its own size."""


@pytest.fixture
def spec(tmp_path: Path) -> str:
    """Without the one parameter that the loss does not depend on (all scores of a query move together), since Lion and
    Adafactor make whole steps of the rounding that its gradient consists of."""
    path = tmp_path / "tiny.attn"
    path.write_text(TINY.replace("mask=causal,", "mask=causal, k_bias=false,"))
    return str(path)


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
    assert all(line["memory"] > 0 and 0 < line["collectives"] < 1 for line in usage), usage
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


LARGER = {"precision": "float32", "steps": 1, "batch": 8, "context": 128, "width": 128, "depth": 2, "heads": 4}


@pytest.mark.parametrize("layout", ["data=2; B on data", "model=2; heads, 4*width, vocab on model"])
def test_memory_is_what_is_predicted(spec: str, text: str, tmp_path: Path, layout: str) -> None:
    """Without held-out data, so that only the processes themselves have something to say after the last step."""
    run = tmp_path / "run"
    given = words(spec, "--data", text, "--out", run, "--layout", layout, "--log", "csv", **LARGER, held_out=0)
    ended = Together(2, tmp_path, given).end()
    assert ended.codes == (0, 0), ended.messages
    step, usage = read_log(run)
    assert "loss" in step
    assert usage.keys() == {"step", "memory", "collectives", "tokens_per_second", "mfu"}
    assert (run / "processes.csv").read_text().splitlines()[0] == ",".join(usage)
    assert not (run / "held_out.csv").exists()
    opened = open_spec(spec)
    graph = elaborate(opened, {name: LARGER[name] for name in ("context", "width", "depth", "heads")} | {"p": 0})
    rows = 4 if layout.startswith("data") else 8
    found: Any = plan_on_paper(
        opened, graph, machine_name="a100-80x8", nodes=None, layout=layout, sizes={"B": 8, "T": 128},
        choices=f"precision=fp32,kernels=eager,loss=chunked,micro_batch={rows}",
    )  # fmt: skip
    assert usage["memory"] == pytest.approx(found.memory.total, rel=0.1)


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


def test_no_step_is_taken_beside_a_second_model(
    spec: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been there for an evaluation."""
    from attndsl.backends.pytorch.trainer import TorchTrainer

    evaluate, backward, there = TorchTrainer.evaluate, TorchTrainer._backward, list[object]()

    def evaluates(self: Any, *given: Any, **named: Any) -> Any:
        self._opened = self.program
        return evaluate(self, *given, **named)

    def goes_back(self: Any, loss: Any) -> None:
        there.append(self._opened)
        backward(self, loss)

    monkeypatch.setattr(TorchTrainer, "evaluate", evaluates)
    monkeypatch.setattr(TorchTrainer, "_backward", goes_back)
    alone(spec, text, tmp_path / "run", steps=3, evaluate=1)
    assert there == [None] * 3


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
    begun = [read_tensors(checkpoint_path(tmp_path / name, 0), "the checkpoint")[0] for name in ("run", "whole")]
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


def small_messages(rank: int) -> None:
    """What processes tell one another has no log in it."""
    from attndsl.backends.pytorch.processes import TorchProcesses

    gather = TorchProcesses.gather

    def gathers(self: Any, value: Any) -> Any:
        assert len(pickle.dumps(value)) < 10_000
        return gather(self, value)

    TorchProcesses.gather = gathers  # type: ignore[method-assign]


def test_the_log_stays_with_who_writes_it(spec: str, text: str, tmp_path: Path) -> None:
    """Where nothing is left to do, all measure the weights all the same."""
    run = tmp_path / "run"
    alone(spec, text, run, steps=2)
    log = (run / FILE).read_text()
    (run / FILE).write_text(log + json.dumps({"step": 2, "note": "x" * 20_000}) + "\n")
    measured = open_record(run).facts["metrics"]
    ended = Together(2, tmp_path, ["train", "--resume", run], before=small_messages).end()
    assert ended.codes == (0, 0), ended.messages
    assert read_log(run)[-1]["note"]
    assert len(open_record(run).facts["metrics"]) == len(measured) > 0


def reading_once(rank: int) -> None:
    """And drawing nothing."""
    from attndsl.running import initial
    from attndsl.storage.safetensors import TensorFile

    read, known = TensorFile.read, set[object]()

    def reads(self: Any, name: str) -> Any:
        assert (self.path, name) not in known or name == "updates"
        known.add((self.path, name))
        return read(self, name)

    TensorFile.read = reads  # type: ignore[method-assign]
    initial.initial_value = None  # type: ignore[assignment]


def test_a_damaged_checkpoint_gives_way_in_all(spec: str, text: str, tmp_path: Path) -> None:
    """Also where only one of them reads what is damaged. None verifies a checkpoint apart from reading it."""
    run, whole = tmp_path / "run", tmp_path / "whole"
    alone(spec, text, whole, precision="float64", depth=2, checkpoint=1)
    shutil.copytree(whole, run)
    (run / WEIGHTS).unlink()
    newest = checkpoint_path(run, SETTINGS["steps"])
    with TensorFile(newest) as file:
        place = file.entries["optimizer/second/h.1.mlp.up.weight"].start
    data = bytearray(newest.read_bytes())
    data[place] ^= 1
    newest.write_bytes(data)
    ended = Together(2, tmp_path, ["train", "--resume", run, "--layout", STAGES], before=reading_once).end()
    assert ended.codes == (0, 0), ended.messages
    assert "".join(ended.out).count(f"the checkpoint `{newest}` is damaged: ") == 1
    assert "this is so for process 1 of 2" in " ".join(ended.out[0].split())
    assert f"resuming `{run}` after {SETTINGS['steps'] - 1} steps" in ended.out[0]
    require_near(run, whole, NEAR["float64"])


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


def test_what_lies_nowhere_is_told_by_one(spec: str, text: str, tmp_path: Path) -> None:
    given = words(spec, "--data", text, "--out", tmp_path / "run", "--layout", "rows=2", steps=1)
    ended = Together(2, tmp_path, given).end()
    assert ended.codes == (0, 0), ended.messages
    (message,) = ended.messages
    assert message.startswith("warning[W1002]: nothing lies on `rows`: its 2 devices compute the same")
    assert message.count("warning[") == 1


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
