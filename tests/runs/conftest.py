"""Runs of a model that trains in a blink: two learning rates, and another text."""

from __future__ import annotations

from pathlib import Path

import pytest

from attndsl.training import train
from attndsl.training.console import Silent
from tests.training.conftest import A_TEXT, TINY

STEPS = 6


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`runs` with `high` and `low` (learning rates), `wide` (another text) and, deeper, `more/longer` (stopped)."""
    place = tmp_path_factory.mktemp("compared")
    text = TINY.replace("output loss", "output size = mean(logits, over=[B, T, vocab])\n  output loss")
    (place / "tiny.attn").write_text(text)
    made = {"high": {"lr": 1e-2}, "low": {"lr": 1e-3}, "wide": {"lr": 1e-2}, "more/longer": {"lr": 1e-2}}
    for name, settings in made.items():
        (place / "runs" / name).parent.mkdir(parents=True, exist_ok=True)
        if name == "wide":
            (place / "tiny.attn").write_text(text.replace("mlp(4 * width", "mlp(8 * width"))
        given = {**settings, "steps": STEPS, "evaluate": 3, "depth": 1}
        train(str(place / "tiny.attn"), A_TEXT, place / "runs" / name, settings=given, backend="numpy",
              console=Silent())  # fmt: skip
    longer = place / "runs" / "more" / "longer"
    record = (longer / "run.json").read_text()
    (longer / "run.json").write_text(record.replace(f'"steps": {STEPS}', f'"steps": {2 * STEPS}'))
    return place
