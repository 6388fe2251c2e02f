"""Writing whole: links stay, pipes are written into, a failure leaves what was there."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from attndsl.data.files import write_text
from attndsl.writing import replacing


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as stream:
            stream.write(b"new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with replacing(link) as stream:
        stream.write(b"new")
    write_text(link, "newer")
    assert link.is_symlink()
    assert target.read_text() == "newer"


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
    reader.join(5)
    assert read == [b"text"]
    assert pipe.is_fifo()
