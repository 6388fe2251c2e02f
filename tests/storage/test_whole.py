"""Writing whole: links stay, pipes are written into, a failure leaves what was there."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from attndsl.diagnostics import AttnError
from attndsl.storage import whose
from attndsl.storage.whole import PARTIAL, new_folder, remove_partial, replacing, write_json, write_text


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_text(path, "größer")
    write_json(path, {"ä": 1})
    assert path.read_text(encoding="utf-8") == '{\n  "ä": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("problem", [OSError(errno.ENOSPC, "no space"), KeyboardInterrupt(), RuntimeError()])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, problem: BaseException) -> None:
    path = tmp_path / "x"
    write_text(path, "old")

    def fail() -> None:
        with replacing(path) as stream:
            stream.write(b"ne")
            raise problem

    with pytest.raises(type(problem)):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_refusal_is_told(tmp_path: Path) -> None:
    with pytest.raises(AttnError) as caught:
        write_text(tmp_path / "no" / "x", "text")
    assert caught.value.diagnostics[0].code == "E0705"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with replacing(link) as stream:
        stream.write(b"new")
    write_text(link, "newer")
    assert link.is_symlink()
    assert target.read_text() == "newer"


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "f"

    def fail() -> None:
        with new_folder(target) as partial:
            write_text(partial / "x", "half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []
    target.mkdir()  # empty, it is in nobody's way
    with new_folder(target) as partial:
        write_text(partial / "x", "whole")
        assert list(target.iterdir()) == []
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["f", "f/x"]
    with pytest.raises(OSError, match="not empty"), new_folder(target):
        pass
    assert (target / "x").read_text() == "whole"


@pytest.mark.skipif(os.name != "posix", reason="asks the system for processes")
def test_what_a_killed_process_had_begun_is_dropped(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here, others = whose.numbering(), []
    for process in (f"{here}.{os.getppid()}", f"{here}.x.{gone.pid}", f"0.{gone.pid}", f"0.{os.getpid()}"):
        others.append(f".f.{process}{PARTIAL}")
        (tmp_path / others[-1]).mkdir()
    for dead in (gone.pid, os.getpid()):  # the number of one is this process's now, as in a container that began again
        (tmp_path / f".f.{here}.{dead}{PARTIAL}").mkdir()
    with new_folder(tmp_path / "f"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {*others, "f"}


def test_what_is_there_is_not_dropped_by_whoever_cannot_begin(tmp_path: Path) -> None:
    with new_folder(tmp_path / "f") as partial:
        (partial / "x").touch()
        with pytest.raises(FileExistsError), new_folder(tmp_path / "f"):
            pass
    assert (tmp_path / "f" / "x").is_file()


def test_machines_and_containers_do_not_write_into_one_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their processes may have one number, in a folder that they share."""

    def begun() -> str:
        with replacing(tmp_path / "f"):
            (partial,) = tmp_path.glob(f"*{PARTIAL}")
            return partial.name

    def moved(what: str) -> str:
        whose.numbering.cache_clear()
        monkeypatch.setattr(whose, what, lambda: "another")
        return begun()

    names = {begun(), moved("machine"), moved("number_space")}
    whose.numbering.cache_clear()
    assert len(names) == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("way", ["replacing", "write_text"])
def test_a_pipe_is_written_into(tmp_path: Path, way: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    if way == "replacing":
        with replacing(pipe) as stream:
            stream.write(b"text")
    else:
        write_text(pipe, "text")
    reader.join(60)
    assert read == [b"text"]
    assert pipe.is_fifo()


def test_what_was_begun_is_swept_up(tmp_path: Path) -> None:
    (tmp_path / f".x{PARTIAL}").write_text("")
    (tmp_path / "x").write_text("")
    remove_partial(tmp_path)
    remove_partial(tmp_path / "nowhere")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "日" * 85])
def test_names_as_long_as_they_may_be(tmp_path: Path, name: str) -> None:
    """The partial one has a name too, and it is longer than the target's where that is short."""
    path = tmp_path / name
    for content in (b"one", b"two"):
        with replacing(path) as stream:
            stream.write(content)
        assert path.read_bytes() == content
    path.unlink()
    with new_folder(path) as folder:
        (folder / "a").write_text("a")
    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert (path / "a").read_text() == "a"
