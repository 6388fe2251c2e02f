"""Where a run ends since a loss or a weight is not finite: what is said, what is kept, and how it goes on."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from attndsl.diagnostics import AttnError, Diagnostic
from attndsl.runs.checkpoint import list_checkpoints, save_checkpoint
from attndsl.training import Outcome, loop, train
from attndsl.training.console import Silent
from tests.training.reading import losses, refused

Train = Callable[..., Outcome]


def diverged(act: Callable[[], Outcome]) -> Diagnostic:
    with pytest.raises(AttnError) as problem:
        act()
    assert refused(problem) == "E0730"
    (diagnostic,) = problem.value.diagnostics
    assert re.search(r"step \d", diagnostic.message)
    return diagnostic


def test_a_loss_that_is_no_number_ends_the_run(trained: Train, tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained(steps=4, checkpoint=1)
    told = diverged(lambda: trained(resume=run, steps=20, lr=1e30, clip=0, warmup=0))
    step, path = list_checkpoints(run)[-1]
    assert any(str(path) in note for note in told.notes)
    assert any("--set lr=" in way for way in told.helps)
    assert all(np.isfinite(array).all() for array in load_file(path).values())
    assert len(losses(run)) == step + 1, "the checkpoint of the weights that failed was not dropped"
    assert trained(resume=run, steps=20, lr=1e-3).step == 20
    assert np.isfinite(losses(run)).all()
    assert len(losses(run)) == 20


def test_a_run_that_diverges_at_once_starts_again(trained: Train, tmp_path: Path) -> None:
    told = diverged(lambda: trained(lr=1e30, clip=0, checkpoint=1, warmup=0))
    assert list_checkpoints(tmp_path / "run") == []
    assert any("start again" in note for note in told.notes)
    assert trained(resume=tmp_path / "run", lr=1e-3).step == 12
    assert losses(tmp_path / "run")[0] == pytest.approx(math.log(256), abs=0.2)


def test_a_checkpoint_that_is_being_dropped_is_no_good_one(
    trained: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several processes the first deletes it, and another may be the one that speaks."""
    monkeypatch.setattr(loop, "drop_unproved", lambda *given: None)
    told = diverged(lambda: trained(lr=1e30, clip=0, checkpoint=1, warmup=0))
    assert [step for step, _ in list_checkpoints(tmp_path / "run")] == [1]
    assert any("start again" in note for note in told.notes)


@pytest.mark.parametrize(("lr", "evaluated"), [(1e39, 0), (1e30, 0), (1e39, 0.05), (1e30, 0.05)])
def test_ruined_weights_are_not_kept(trained: Train, tmp_path: Path, lr: float, evaluated: float) -> None:
    """No later step looks at what the last one made: infinite numbers, or finite ones that give no loss."""
    diverged(lambda: trained(steps=1, lr=lr, clip=0, warmup=0, held_out=evaluated))
    assert list_checkpoints(tmp_path / "run") == []
    assert not (tmp_path / "run" / "weights.safetensors").exists()


def spoil(run: Path, number: float) -> Path:
    """Make a run's newest checkpoint one that cannot be gone on from."""
    step, path = list_checkpoints(run)[-1]
    state = load_file(path)
    state["parameters/wte.table"][:] = number
    save_checkpoint(run, step, state)
    return path


@pytest.mark.parametrize("number", [math.nan, math.inf])
@pytest.mark.parametrize("lr", [1e-2, 0.0])
def test_a_ruined_checkpoint_is_named_and_can_be_gone_back_from(
    trained: Train, tmp_path: Path, number: float, lr: float
) -> None:
    run = tmp_path / "run"
    trained("whole", steps=20)
    trained(steps=8)
    newest = spoil(run, number)
    told = diverged(lambda: trained(resume=run, steps=20, lr=lr))
    assert newest.exists()
    assert any(str(newest) in note for note in told.notes)
    assert any(f"delete `{newest}`" in way and "step-000004" in way for way in told.helps)
    assert not any("lr=0`" in way or "clip" in way for way in told.helps)
    newest.unlink()
    assert trained(resume=run, steps=20, lr=1e-3).step == 20


def test_a_run_whose_only_checkpoint_is_ruined(trained: Train, tmp_path: Path) -> None:
    trained(steps=1)
    spoil(tmp_path / "run", math.nan)
    for steps in (1, 5):  # nothing left to do, and something
        told = diverged(lambda steps=steps: trained(resume=tmp_path / "run", steps=steps))  # type: ignore[misc]
        assert any("another `--out`" in way for way in told.helps)


def test_a_model_that_gives_no_number_at_once(spec: str, text: str, tmp_path: Path) -> None:
    """The training's settings are not to blame, and none is suggested."""
    path = tmp_path / "tiny.attn"
    path.write_text(path.read_text().replace("x = dropout(x, p)", "x = sqrt(dropout(x, p) - 9.0)"))
    told = diverged(lambda: train(str(path), text, tmp_path / "run", backend="numpy", console=Silent()))
    assert not any("--set" in way for way in told.helps)
