"""Which files are text, in which order, and what is said where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from attndsl.data.sources import BLOCK, find_text, pieces
from attndsl.diagnostics import AttnError


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def code(problem: pytest.ExceptionInfo[AttnError]) -> str:
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.helps, "no way out is given"
    return diagnostic.code


FILES = {
    "b.txt": b"second",
    "a/deep/c.py": "größer".encode(),
    "a/binary.bin": b"text\0more",
    "a/latin.txt": b"gr\xf6\xdfer",
    "empty.txt": b"",
    ".hidden": b"not this",
    ".git/config": b"nor this",
}


def test_a_folder_gives_its_text_files_sorted_by_name(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    corpus = find_text(str(tmp_path))
    assert [document.name for document in corpus.documents] == ["a/deep/c.py", "b.txt"]
    assert corpus.size == len(FILES["b.txt"]) + len(FILES["a/deep/c.py"])
    assert corpus.skipped == (("a/binary.bin", "not text"), ("a/latin.txt", "not text"), ("empty.txt", "empty"))


def test_a_glob_gives_the_files_that_match(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    corpus = find_text(str(tmp_path / "**" / "*.py"))
    assert [document.path.name for document in corpus.documents] == ["c.py"]


def test_the_same_file_counts_once(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    assert len(find_text([str(tmp_path), str(tmp_path / "b.txt")]).documents) == 2


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("missing.txt", "E0701"),
        ("missing/*.txt", "E0701"),
        ("empty.txt", "E0702"),
        ("nothing", "E0702"),
        ("a/latin.txt", "E0703"),
        ("a/binary.bin", "E0703"),
        ("cut.txt", "E0703"),
    ],
)
def test_what_is_no_text_is_an_error(tmp_path: Path, path: str, expected: str) -> None:
    write(tmp_path, {**FILES, "cut.txt": "größe".encode()[:3], "nothing/empty": b""})
    with pytest.raises(AttnError) as problem:
        find_text(str(tmp_path / path))
    assert code(problem) == expected


def test_an_empty_path_is_not_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, FILES)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AttnError, match="empty") as problem:
        find_text(["b.txt", ""])
    assert code(problem) == "E0701"


def test_a_near_name_is_suggested(tmp_path: Path) -> None:
    write(tmp_path, {"shakespeare.txt": b"x"})
    with pytest.raises(AttnError) as problem:
        find_text(str(tmp_path / "shakespear.txt"))
    assert "shakespeare.txt" in problem.value.diagnostics[0].helps[0]


@pytest.mark.parametrize("line", ["größer\n", "ü" * (BLOCK // 2 + 3)])
@pytest.mark.parametrize("start", [0, 8])
def test_pieces_are_whole_characters_and_lose_nothing(tmp_path: Path, line: str, start: int) -> None:
    text = (line * (2 * BLOCK // len(line.encode()) + 2)).encode()
    (tmp_path / "t").write_bytes(text)
    found = list(pieces(tmp_path / "t", start, len(text)))
    assert b"".join(found) == text[start:]
    assert len(found) >= 2
    assert all(piece.decode("utf-8") for piece in found)
