"""The page "Add an objective" does what it says: its one file makes an objective that everything knows."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attndsl as package
from attndsl.data.tokenizers import Bytes
from attndsl.elaborate import load
from attndsl.objectives import OBJECTIVES, make_objective
from attndsl.recipe.recipe import Recipe, read_recipe
from attndsl.running import backends
from attndsl.training import train
from attndsl.training.console import Silent
from attndsl.values import hyperparameters_of
from tests.docs.contributing import read_page

PAGE = read_page("add-an-objective.md")
TEXT = "a cat sat on a mat, and a rat sat on a cat. " * 40


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as an installation of the page's package leaves it, and a text to train on."""
    folder = tmp_path_factory.mktemp("site")
    for name, text in PAGE.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    project = tomllib.loads(PAGE.files["pyproject.toml"])["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    (folder / "book.txt").write_text(TEXT)
    return folder


def test_the_commands_of_the_page(site: Path) -> None:
    """Each in a process of its own, which finds the objective by its entry point."""
    root = str(Path(package.__file__).parents[1])
    for shown in PAGE.commands:
        done = subprocess.run(
            [sys.executable, "-m", "attndsl", *shown.arguments], cwd=site, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(site), root))},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert [line for line in shown.lines if line not in done.stdout.splitlines()] == []
    rows = [line.split()[-3:] for line in done.stdout.splitlines()]
    assert rows[0] == ["token", "verdict", "probability"]
    assert len(rows) == 1 + len("a cat")
    assert {row[-3] for row in rows[1:]} <= {"right", "replaced"}


@pytest.fixture
def registered(site: Path) -> Iterator[None]:
    """The page's file imported, as in a script."""
    spec = importlib.util.spec_from_file_location("replaced_tokens", site / "replaced_tokens.py")
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    yield
    OBJECTIVES.unregister("replaced_tokens")


def recipe_of(site: Path, **settings: object) -> tuple[Any, Recipe]:
    from attndsl.elaborate import open_spec

    spec = str(site / "detector.attn")
    graph = load(spec)
    return graph, read_recipe(open_spec(spec).train, hyperparameters_of(graph)).override(settings)


def test_its_batches_are_what_it_says(registered: None, site: Path) -> None:
    graph, recipe = recipe_of(site, length=16)
    objective = make_objective(recipe, graph, Bytes())
    text = np.frombuffer(TEXT.encode(), np.uint8)
    batch = objective.training(objective.prepare(text), 3)
    assert batch["tokens"].shape == batch["targets"].shape == batch["valid"].shape == (4, 16)
    assert set(np.unique(batch["targets"])) == {0, 1}
    for row, told in zip(batch["tokens"], batch["targets"], strict=True):
        windows = [text[at : at + 16] for at in range(len(text) - 15)]
        assert any(((window != row) == (told == 1)).all() for window in windows)
    assert objective.counted(batch) == 64


@pytest.mark.torch
def test_both_backends_train_alike_with_it(registered: None, site: Path) -> None:
    graph, recipe = recipe_of(site, precision="float64", accumulate=2)
    objective = make_objective(recipe, graph, Bytes())
    data = objective.prepare(np.frombuffer(TEXT.encode(), np.uint8))
    found = {}
    for backend in ("numpy", "torch"):
        trainer = backends.find(backend).trainer(graph, recipe)
        parts = [[objective.training(data, step, part) for part in (0, 1)] for step in range(6)]
        found[backend] = [trainer.step(batches, step).loss for step, batches in enumerate(parts)]
    np.testing.assert_allclose(found["numpy"], found["torch"], rtol=1e-9)
    assert found["numpy"][-1] < found["numpy"][0]


@pytest.mark.parametrize("backend", ["numpy", pytest.param("torch", marks=pytest.mark.torch)])
def test_it_is_trained_and_goes_on(registered: None, site: Path, tmp_path: Path, backend: str) -> None:
    def run(name: str, **settings: Any) -> Any:
        return train(
            str(site / "detector.attn"), str(site / "book.txt"), tmp_path / name, settings=settings, backend=backend,
            device="cpu", console=Silent(),
        )  # fmt: skip

    outcome = run("whole")
    assert outcome.objective == "replaced_tokens"
    assert {metric.name for metric in outcome.metrics} == {"loss", "tokens told", "macro F1"}
    run("stopped", steps=3)
    train(resume=tmp_path / "stopped", settings={"steps": 6}, console=Silent())
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "stopped")]
    assert weights[0] == weights[1]


def test_a_package_that_is_broken_is_told(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import nosuchmodule\n")
    (tmp_path / "broken-1.dist-info").mkdir()
    (tmp_path / "broken-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (tmp_path / "broken-1.dist-info" / "entry_points.txt").write_text("[attndsl.objectives]\nbroken = broken:It\n")
    (tmp_path / "m.attn").write_text(PAGE.files["detector.attn"].replace("replaced_tokens(", "broken("))
    done = subprocess.run(
        [sys.executable, "-m", "attndsl", "check", "m.attn"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(Path(package.__file__).parents[1])))},
    )  # fmt: skip
    assert done.returncode == 1
    assert "error[E0720]: the objective `broken` of the module `broken` cannot be loaded: No module" in done.stderr
