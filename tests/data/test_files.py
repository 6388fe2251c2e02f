"""Files that are old or new, and never in between."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from attndsl.data.files import file_errors, remove_partial, write_json, write_text, write_whole
from attndsl.diagnostics import AttnError
from attndsl.writing import PARTIAL


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_text(path, "größer")
    write_json(path, {"ä": 1})
    assert path.read_text(encoding="utf-8") == '{\n  "ä": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "problem", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), ValueError()]
)
def test_a_failure_leaves_the_old_one(tmp_path: Path, problem: BaseException) -> None:
    path = tmp_path / "f"
    write_text(path, "old")

    def fail(partial: Path) -> None:
        partial.write_text("ne")
        raise problem

    with pytest.raises(AttnError if isinstance(problem, OSError) else type(problem)):
        write_whole(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO])
def test_the_system_says_no(number: int) -> None:
    with pytest.raises(AttnError) as problem, file_errors("write", "a/b"):
        raise OSError(number, os.strerror(number))
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == "E0705"
    assert diagnostic.message == f"cannot write `a/b`: {os.strerror(number)}"
    assert diagnostic.helps


def test_what_was_begun_is_swept_up(tmp_path: Path) -> None:
    (tmp_path / f".x{PARTIAL}").write_text("")
    (tmp_path / "x").write_text("")
    remove_partial(tmp_path)
    remove_partial(tmp_path / "nowhere")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
