"""The page "Add a backend" does what it says: its files make a backend that every command knows, and that is right."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import attndsl as package
from attndsl.comparison import compare
from attndsl.diagnostics import AttnError
from attndsl.elaborate import load
from attndsl.inspection import inspect
from attndsl.running import backends
from attndsl.running.inputs import example_inputs
from attndsl.values import hyperparameters_of
from tests.conftest import Finished
from tests.docs.contributing import Shown, read_page

PAGE = read_page("add-a-backend.md")
VERBS = ("run", "compare", "compile", "train", "generate", "predict", "embed", "attend")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as an installation of the page's package leaves it, and a text to train on."""
    folder = tmp_path_factory.mktemp("site")
    for name, text in PAGE.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    project = tomllib.loads(PAGE.files["pyproject.toml"])["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", encoding="utf-8"
    )
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    (folder / "book.txt").write_text("a cat sat on a mat, and a rat sat on a cat. " * 40, encoding="utf-8")
    return folder


def command(site: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own that finds the packages in `site`."""
    root = str(Path(package.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-m", "attndsl", *arguments], cwd=site, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(site), root))},
    )  # fmt: skip


@pytest.mark.parametrize("shown", PAGE.commands, ids=lambda shown: " ".join(shown.arguments[:2]))
def test_every_command_of_the_page_does_what_is_shown(site: Path, shown: Shown) -> None:
    done = command(site, shown.arguments)
    assert done.returncode == 0, done.stderr
    printed = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    assert [line for line in shown.lines if line not in printed] == []
    assert any(line.startswith("tracing: ") for line in printed), "it was another backend that computed"


def test_a_run_that_it_trained_is_used_without_it(site: Path, attndsl: Callable[..., Finished]) -> None:
    """Where the package is not installed, the default takes its place; to train on, it is needed."""
    assert command(site, ["train", "--resume", "run", "--steps", "3"]).returncode == 0
    assert attndsl("generate", site / "run", "--prompt", "a", "--tokens", "2").code == 0
    done = attndsl("train", "--resume", site / "run", "--steps", "4")
    assert (done.code, "error[E0723]: there is no backend `tracing`" in done.err) == (1, True)


@pytest.fixture
def tracing(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The page's file as a module, its backend registered by the page's script."""
    spec = importlib.util.spec_from_file_location("tracing", site / "tracing.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "tracing", module)
    monkeypatch.setattr("atexit.register", lambda function: function)
    spec.loader.exec_module(module)
    (script,) = PAGE.scripts
    exec(script, {})
    yield module
    backends.unregister("tracing")


def test_it_counts_what_inspect_counts(tracing: ModuleType) -> None:
    graph = load("gpt_nano", {"depth": 2, "width": 32, "heads": 2, "vocab": 64})
    sizes = {"B": 2, "T": 8}
    backends.find("flops").program(graph).run(example_inputs(graph, sizes))
    assert tracing.FLOPS.total() == inspect(graph, sizes).totals.flops


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_offers_it(tracing: ModuleType, verb: str, attndsl: Callable[..., Finished]) -> None:
    assert "{numpy,torch,tracing" in attndsl(verb, "--help").out


def test_any_two_are_compared(tracing: ModuleType) -> None:
    graph = load("gpt_nano", {"depth": 1, "width": 32, "heads": 2, "vocab": 64})
    for right, judged in (("tracing", "numpy"), ("numpy", "tracing"), ("tracing", "passes")):
        found = compare(graph, candidate=judged, reference=right, gradients=True)
        assert found.ok, str(found)
        assert found.reference == f"{backends.find(right).title} float64"


def test_what_parts_is_found_on_it_too(tracing: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong result of one operation is named, with its place."""
    graph = load("gpt_nano", {"depth": 1, "width": 32, "heads": 2, "vocab": 64})
    right = tracing.TracingProgram.evaluate

    def wrong(self, node, call, arrays):
        found = right(self, node, call, arrays)
        return found * 1.001 if node.op.name == "rsqrt" else found

    monkeypatch.setattr(tracing.TracingProgram, "evaluate", wrong)
    found = compare(graph, candidate="tracing")
    assert not found.ok
    assert found.divergence is not None
    assert (found.divergence.operation, found.divergence.differs_by_itself) == ("rsqrt", True)


def test_it_takes_the_steps_that_numpy_takes(tracing: ModuleType) -> None:
    from attndsl.recipe.recipe import read_recipe

    graph = load("gpt_nano", {"depth": 1, "width": 16, "heads": 2, "vocab": 32})
    recipe = read_recipe(None, hyperparameters_of(graph))
    batch = example_inputs(graph, {"B": 2, "T": 8})
    states = []
    for name in ("numpy", "tracing"):
        trainer = backends.find(name).trainer(graph, recipe)
        trainer.step([batch], 0)
        states.append(trainer.state())
    assert states[0].keys() == states[1].keys()
    assert all(np.array_equal(array, states[1][key]) for key, array in states[0].items())


def test_its_limits_are_told_without_a_line_of_its_own(tracing: ModuleType) -> None:
    graph = load("gpt_nano", {"depth": 1, "width": 16, "heads": 2, "vocab": 32})
    backend = backends.find("tracing")
    for asked, code, said in (
        ({"dtype": "bfloat16"}, "E0812", "the Tracing backend has no precision `bfloat16`"),
        ({"device": "cuda"}, "E0811", "the Tracing backend has no device `cuda`"),
        ({"compile": True}, "E0811", "the Tracing backend does not compile"),
    ):
        with pytest.raises(AttnError) as caught:
            backend.program(graph, **asked)
        diagnostic = caught.value.diagnostics[0]
        assert diagnostic.code == code
        assert said in diagnostic.message
        assert diagnostic.helps[0] == "use a backend that can: `torch`"
