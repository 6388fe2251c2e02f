"""`attndsl fmt`: files, folders, stdin, what it refuses, and that it leaves alone what it must."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from attndsl.cli import main

UGLY, NEAT = "model M(a=1){\n output y=a\n}\n", "model M(a=1) {\n  output y = a\n}\n"
ROOT = Path(__file__).resolve().parents[2]


def test_files_and_folders_are_formatted(tmp_path, capsys):
    inner = tmp_path / "inner"
    inner.mkdir()
    for path in (tmp_path / "a.attn", inner / "b.attn"):
        path.write_text(UGLY)
    (tmp_path / "neat.attn").write_text(NEAT)
    (tmp_path / "notes.txt").write_text(UGLY)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "c.attn").write_text(UGLY)
    (tmp_path / "a.attn").chmod(0o640)
    before = (tmp_path / "neat.attn").stat().st_mtime_ns
    assert main(["fmt", str(tmp_path), str(tmp_path / "a.attn")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'a.attn'}: formatted",
        f"{inner / 'b.attn'}: formatted",
        "2 files formatted, 1 file unchanged",
    ]
    assert (tmp_path / "a.attn").read_text() == (inner / "b.attn").read_text() == NEAT
    assert (tmp_path / "notes.txt").read_text() == (tmp_path / ".hidden" / "c.attn").read_text() == UGLY
    assert stat.S_IMODE((tmp_path / "a.attn").stat().st_mode) == 0o640
    assert (tmp_path / "neat.attn").stat().st_mtime_ns == before


@pytest.mark.parametrize("option", ["--check", "--diff"])
def test_what_would_change_is_told_and_nothing_is_written(option, tmp_path, capsys):
    path = tmp_path / "a.attn"
    path.write_text(UGLY)
    assert main(["fmt", option, str(path)]) == 1
    said = capsys.readouterr()
    assert path.read_text() == UGLY
    assert ("\n-model M(a=1){\n- output y=a\n+model M(a=1) {\n" in said.out) == (option == "--diff")
    assert (said.out + said.err).endswith("1 file would change\n")
    path.write_text(NEAT)
    assert main(["fmt", option, str(path)]) == 0
    assert "".join(capsys.readouterr()) == "1 file unchanged\n"


def test_stdin_becomes_stdout(monkeypatch, capsysbinary):
    for text, options, code, said in (
        (UGLY, [], 0, NEAT),
        (NEAT, [], 0, NEAT),
        (UGLY, ["--check"], 1, ""),
        (NEAT, ["--check"], 0, ""),
        ("# é\nmodel M{}", [], 0, "# é\nmodel M { }\n"),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert main(["fmt", "-", *options]) == code
        assert capsysbinary.readouterr().out.decode() == said


def test_a_file_with_a_mistake_is_reported_and_left_alone_and_the_others_are_formatted(tmp_path, capsys):
    wrong, right = tmp_path / "wrong.attn", tmp_path / "right.attn"
    wrong.write_text("model M {\n  x = )\n}\n")
    right.write_text(UGLY)
    assert main(["fmt", str(wrong), str(right), str(tmp_path / "none.attn")]) == 1
    said = capsys.readouterr()
    assert "wrong.attn:2:7" in said.err
    assert "there is no file" in said.err
    assert wrong.read_text() == "model M {\n  x = )\n}\n"
    assert right.read_text() == NEAT


def test_a_folder_without_specs_and_bytes_that_are_no_text_are_refused(tmp_path, capsys):
    assert main(["fmt", str(tmp_path)]) == 1
    assert "there is no `.attn` file" in capsys.readouterr().err
    (tmp_path / "a.attn").write_bytes(b"\xff\xfe")
    assert main(["fmt", str(tmp_path)]) == 1
    assert "E0002" in capsys.readouterr().err
    assert (tmp_path / "a.attn").read_bytes() == b"\xff\xfe"


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to_is_an_error(tmp_path, capsys):
    path = tmp_path / "a.attn"
    path.write_text(UGLY)
    tmp_path.chmod(0o500)
    try:
        assert main(["fmt", str(path)]) == 1
    finally:
        tmp_path.chmod(0o700)
    assert "E0705" in capsys.readouterr().err
    assert path.read_text() == UGLY


def test_it_loads_neither_torch_nor_numpy():
    script = (
        "import sys\nfrom attndsl.cli import main\n"
        "code = main(['fmt', '--check', 'specs/gpt2.attn'])\n"
        "print([name for name in ('torch', 'numpy', 'networkx', 'lark') if name in sys.modules])\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["1 file unchanged", "[]"])
