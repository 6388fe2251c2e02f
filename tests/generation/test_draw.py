"""Pictures from trained models, on a discrete autoencoder and a model of captions that have learned next to nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attndsl
from attndsl.decoding.sampling import Sampling
from attndsl.diagnostics import AttnError
from attndsl.generation import Run, load_run
from attndsl.generation.draw import draw
from attndsl.training import train
from attndsl.training.console import Silent
from attndsl.training.evaluation import evaluate_run

IMAGES = np.random.default_rng(0).random((24, 8, 8), np.float32)
DATA = {"image": IMAGES, "caption": [f"a {'thick' if i % 2 else 'thin'} {i}" for i in range(24)]}
TINY = {"codes": 6, "width": 4, "start": 4, "steps": 3, "batch": 4}
SMALL = {"codes": 6, "depth": 2, "width": 8, "heads": 2, "text": 24, "steps": 3, "batch": 4, "tokenizer": "chars"}
NUMPY: dict[str, Any] = {"backend": "numpy", "console": Silent()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a run of each: `dvae` and `dalle`."""
    place = tmp_path_factory.mktemp("pictures")
    train("dvae:nano", DATA, place / "dvae", settings=TINY, **NUMPY)
    train("dalle:nano", DATA, place / "dalle", settings=SMALL | {"batches.codebook": str(place / "dvae")}, **NUMPY)
    return place


@pytest.fixture
def dvae(folder: Path) -> Run:
    return load_run(folder / "dvae")


@pytest.fixture
def dalle(folder: Path) -> Run:
    return load_run(folder / "dalle")


def test_a_picture_again(dvae: Run) -> None:
    found = draw(dvae, list(IMAGES[:3]), backend="numpy")
    assert found.shape == (3, 1, 8, 8)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    program = dvae.program("numpy")
    given = program.run({"image": IMAGES[:3, None]}, ["tokens", "picture"])
    np.testing.assert_array_equal(found, given["picture"])
    empty = {"image": np.zeros_like(IMAGES[:3, None]), "code": given["tokens"]}
    np.testing.assert_allclose(program.run(empty, ["picture"])["picture"], found, atol=1e-6)


def test_a_picture_from_a_caption(dalle: Run) -> None:
    one = draw(dalle, ["a thick 3", "a thin 2"], backend="numpy")
    assert one.shape == (2, 1, 8, 8)
    again = draw(dalle, [{"caption": "a thick 3"}], backend="numpy")
    np.testing.assert_allclose(again[0], one[0], atol=1e-5)


def test_every_caption_has_draws_of_its_own(dalle: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attndsl.generation.draw.AT_ONCE", 2)
    found = draw(dalle, ["a thick 3"] * 4, Sampling(temperature=3.0), backend="numpy")
    assert len({picture.tobytes() for picture in found}) == 4


def test_from_python(folder: Path) -> None:
    model = attndsl.open_run(folder / "dalle")
    picture = model.generate("a thin 4", temperature=0, backend="numpy")
    assert picture.shape == (1, 8, 8)
    assert len(model.generate(["a", "b"], backend="numpy")) == 2


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [("dalle", ["--prompt", "a thick 3", "--seed", "2"], 8), ("dvae", ["--image", "one.npz"], 8)],
)
def test_the_command_writes_a_png(
    folder: Path,
    attndsl: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    options: list[str],
    size: int,
) -> None:
    image = pytest.importorskip("PIL.Image")
    monkeypatch.chdir(tmp_path)
    np.savez("one.npz", image=IMAGES[0])
    done = attndsl("generate", folder / name, *options, "-o", "picture.png", "--backend", "numpy")
    assert done.code == 0, done.err
    assert done.out == "wrote picture.png\n"
    with image.open(tmp_path / "picture.png") as written:
        assert (written.size, written.mode) == ((size, size), "L")


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("dalle", ["--prompt", "x"], "say where to"),
        ("dalle", ["-o", "picture.png"], "give it one: `--prompt"),
        ("dvae", ["--prompt", "x", "-o", "picture.png"], "give it one: `--image"),
        ("dvae", ["--image", "three.npz", "-o", "picture.png"], "has 3 pictures, and one is drawn"),
        ("dvae", ["--image", "odd.npz", "-o", "picture.png"], "E0756"),
        ("dalle", ["--prompt", "x", "--beams", "3", "-o", "picture.png"], "this one draws pictures"),
        ("dalle", ["--prompt", "x", "-o", "picture.jpg"], "E0902"),
        ("dalle", ["--prompt", "x" * 99, "-o", "picture.png"], "E0752"),
        ("dalle", ["--prompt", "x", "-o", "nowhere/picture.png"], "E0883"),
    ],
)
def test_what_does_not_fit(
    folder: Path,
    attndsl: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    options: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("three.npz", image=IMAGES[:3])
    np.savez("odd.npz", image=IMAGES[0, :7])
    done = attndsl("generate", folder / name, *options, "--backend", "numpy")
    assert done.code != 0
    assert said in done.err
    assert "Traceback" not in done.err
    assert {path.name for path in tmp_path.iterdir()} == {"three.npz", "odd.npz"}


def refused(code: str, act: Callable[[], Any]) -> None:
    with pytest.raises(AttnError) as caught:
        act()
    assert [d.code for d in caught.value.diagnostics] == [code]
    assert caught.value.diagnostics[0].helps


def test_pictures_of_another_size(dvae: Run) -> None:
    refused("E0756", lambda: draw(dvae, [np.zeros((7, 8), np.float32)], backend="numpy"))


def test_a_run_that_writes_no_pictures(run_of: Callable[[str], Run]) -> None:
    refused("E0744", lambda: draw(run_of("classify_images"), [np.zeros((8, 8), np.float32)]))


def test_a_codebook_must_be_named(tmp_path: Path) -> None:
    refused("E0765", lambda: train("dalle:nano", DATA, tmp_path / "run", settings=SMALL, **NUMPY))
    assert not (tmp_path / "run").exists()


def test_a_codebook_must_be_one(tmp_path: Path, run_of: Callable[[str], Run]) -> None:
    other = SMALL | {"batches.codebook": str(run_of("classify_images").folder)}
    refused("E0765", lambda: train("dalle:nano", DATA, tmp_path / "run", settings=other, **NUMPY))


def test_a_run_draws_wherever_it_lies(folder: Path, tmp_path: Path) -> None:
    """It keeps the codebook as it was, so that neither of the two must stay where it is, or as it is."""
    before = draw(load_run(folder / "dalle"), ["a thick 3"], backend="numpy")
    shutil.copytree(folder / "dvae", tmp_path / "first")
    settings = SMALL | {"batches.codebook": str(tmp_path / "first")}
    train("dalle:nano", DATA, tmp_path / "second", settings=settings, **NUMPY)
    shutil.rmtree(tmp_path / "first")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "second").rename(tmp_path / "elsewhere" / "third")
    np.testing.assert_array_equal(
        draw(load_run(tmp_path / "elsewhere" / "third"), ["a thick 3"], backend="numpy"), before
    )
    train(resume=tmp_path / "elsewhere" / "third", data=DATA, settings={"steps": 4}, console=Silent())
    assert len(evaluate_run(tmp_path / "elsewhere" / "third", data=DATA)) > 1


def test_a_copy_that_is_gone(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "dalle", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "codebook")
    refused("E0732", lambda: draw(load_run(tmp_path / "run"), ["a"], backend="numpy"))


def test_a_codebook_that_is_gone(tmp_path: Path) -> None:
    other = SMALL | {"batches.codebook": str(tmp_path / "nothing")}
    refused("E0732", lambda: train("dalle:nano", DATA, tmp_path / "run", settings=other, **NUMPY))


@pytest.mark.parametrize("changed", [{"side": 3}, {"codes": 5}])
def test_a_codebook_that_does_not_fit(folder: Path, tmp_path: Path, changed: dict[str, Any]) -> None:
    settings = SMALL | {"batches.codebook": str(folder / "dvae")} | changed
    refused("E0766", lambda: train("dalle:nano", DATA, tmp_path / "run", settings=settings, **NUMPY))
