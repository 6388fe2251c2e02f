"""Pictures from files: their values, their classes, and that they agree in size and mode."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.data.images import read_image
from attndsl.data.table import read_table
from attndsl.diagnostics import AttnError, Diagnostic

Image = pytest.importorskip("PIL.Image")


def save(path: Path, values: Any, mode: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(np.asarray(values, dtype=np.uint8))
    (picture.convert(mode) if mode else picture).save(path)
    return path


def refused(data: Any) -> Diagnostic:
    with pytest.raises(AttnError) as problem:
        read_table(data)
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.helps, "no way out is given"
    return diagnostic


RAMP = np.arange(4 * 6 * 3).reshape(4, 6, 3)


def test_folders_are_classes(tmp_path: Path) -> None:
    for number, name in enumerate(["dogs/a.png", "cats/deep/b.png", "cats/c.bmp"]):
        save(tmp_path / name, RAMP + number)
    (tmp_path / "cats" / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden").mkdir()
    save(tmp_path / ".hidden" / "x.png", np.zeros((9, 9)))
    table = read_table(str(tmp_path))
    assert list(table.columns["label"]) == ["cats", "cats", "dogs"]
    assert table.columns["image"].dtype == np.uint8  # type: ignore[union-attr]
    assert table.place(0) == str(tmp_path / "cats" / "c.bmp")
    images = table.images("image")
    assert images.shape == (3, 3, 4, 6)
    np.testing.assert_array_equal(images[0], ((RAMP + 2) / 255).transpose(2, 0, 1).astype(np.float32))


def test_a_glob_takes_the_nearest_folder(tmp_path: Path) -> None:
    for name in ("x/dogs/a.png", "x/cats/b.png"):
        save(tmp_path / name, RAMP)
    assert list(read_table(str(tmp_path / "x" / "*" / "*.png")).columns["label"]) == ["cats", "dogs"]


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4), ("1", 1), ("P", 3)])
def test_modes_are_numbers_of_channels(tmp_path: Path, mode: str, channels: int) -> None:
    path = save(tmp_path / "a.png", np.full((4, 6, 3), 255), mode)
    found = read_image(path)
    assert (found.shape, found.dtype) == ((channels, 4, 6), np.uint8)
    assert found.min() == 255
    assert read_image(path, "L").shape == (1, 4, 6)
    assert read_image(path, "RGB").shape == (3, 4, 6)


@pytest.mark.parametrize("other", [np.zeros((4, 7, 3)), np.zeros((6, 4, 3)), np.zeros((4, 6)), np.zeros((4, 6, 4))])
def test_another_size_or_mode_is_refused_with_both_files(tmp_path: Path, other: Any) -> None:
    save(tmp_path / "cats" / "a.png", RAMP)
    save(tmp_path / "cats" / "b.png", other)
    problem = refused(str(tmp_path))
    assert problem.code == "E0715"
    assert "a.png" in problem.message
    assert "b.png" in problem.message
    assert "6×4 RGB" in problem.message
    assert "resize '6x4!'" in problem.helps[0]


def test_other_depths_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    Image.fromarray(np.zeros((4, 6), dtype=np.uint16)).save(tmp_path / "cats" / "a.png")
    problem = refused(str(tmp_path))
    assert problem.code == "E0715"
    assert "I;16" in problem.message


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n\0\0"])
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "a.png").write_bytes(content)
    assert refused(str(tmp_path)).code == "E0718"


def test_half_a_picture_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "cats" / "a.png", np.random.default_rng(0).integers(0, 255, (40, 40, 3)))
    path.write_bytes(path.read_bytes()[:1000])
    assert refused(str(tmp_path)).code == "E0718"


def test_pictures_without_a_class_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", RAMP)
    problem = refused(str(tmp_path))
    assert problem.code == "E0718"
    assert "does not belong to a class" in problem.message
    assert refused(str(path)).code == "E0718"


def test_sizes_of_archives_must_agree(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=np.zeros((2, 1, 8, 8), np.uint8))
    np.savez(tmp_path / "b.npz", image=np.zeros((2, 1, 9, 8), np.uint8))
    problem = refused([str(tmp_path / "a.npz"), str(tmp_path / "b.npz")])
    assert problem.code == "E0715"
    assert "[1, 8, 8]" in problem.message
    assert "[1, 9, 8]" in problem.message


def test_a_missing_package_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "cats" / "a.png", RAMP)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    monkeypatch.setitem(sys.modules, "PIL", None)
    problem = refused(str(tmp_path))
    assert problem.code == "E0708"
    assert "attndsl[images]" in problem.helps[0]


# How a picture that is stored with each EXIF orientation is turned back (Exif 2.32, tag 0x0112).
TURNS = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda stored: np.rot90(stored),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
def test_pictures_are_turned_the_right_way_up(tmp_path: Path, orientation: int, ending: str) -> None:
    stored = np.kron(np.arange(6 * 3).reshape(2, 3, 3) * 12, np.ones((8, 8, 1))).astype(np.uint8)  # 16 x 24
    picture = Image.fromarray(stored)
    exif = picture.getexif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{ending}"
    how: dict[str, Any] = {"jpg": {"quality": 95}, "webp": {"lossless": True}}.get(ending, {})
    picture.save(path, exif=exif, **how)
    found = read_image(path)
    expected = np.moveaxis(TURNS[orientation](stored), -1, 0)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= (12 if ending == "jpg" else 0)
    assert (read_image(path, "L").shape[1:]) == expected.shape[1:]
