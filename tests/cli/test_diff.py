"""`attndsl diff`: its sides, its exit codes, what it prints and draws."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from attndsl.cli import main

MODEL = "model M(width=4, p=0.1) {\n  input x: [B, width]\n  output y = x |> linear(width) as up |> dropout(p)\n}\n"
ROOT = Path(__file__).resolve().parents[2]


def git(folder: Path, *words: str) -> None:
    own = ["-c", "user.name=n", "-c", "user.email=e"]
    subprocess.run(["git", *own, *words], cwd=folder, check=True, capture_output=True)


def test_a_file_and_what_it_was(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.attn"
    path.write_text(MODEL)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    path.write_text(MODEL.replace("output y = x", "output y   =   x"))
    assert main(["diff", "HEAD:a.attn", "a.attn"]) == 0
    assert capsys.readouterr().out == "HEAD:a.attn and a.attn mean the same\n"
    path.write_text(MODEL.replace("|> dropout", "|> tanh |> dropout"))
    assert main(["diff", "HEAD:a.attn", "a.attn"]) == 1
    assert "tanh" in capsys.readouterr().out
    assert main(["diff", "HEAD:a.attn", "a.attn", "--fail-on", "weights"]) == 0
    assert main(["diff", "HEAD:b.attn", "a.attn"]) == 2
    assert "git has no `HEAD:b.attn`" in capsys.readouterr().err
    assert main(["diff", "no-such-branch:a.attn", "a.attn"]) == 2


def test_what_has_no_effect_fails_only_where_that_is_asked(tmp_path, capsys):
    one, other = tmp_path / "one.attn", tmp_path / "other.attn"
    one.write_text(MODEL)
    other.write_text(MODEL.replace("model M", "model N"))
    assert main(["diff", str(one), str(other)]) == 0
    assert "equal up to renaming" in capsys.readouterr().out
    assert main(["diff", str(one), str(other), "--fail-on", "cosmetic"]) == 1


def test_variants_as_data_and_as_a_drawing(tmp_path, capsys):
    drawing = tmp_path / "diff.dot"
    assert main(["diff", "gpt_nano", "gpt_nano", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changes"] == []
    assert main(["diff", "gpt2", "gpt2:medium", "--json", "-o", str(drawing)]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["schema"] == "attndsl.diff/1"
    assert said["after"]["parameters"] == 354_823_168
    assert {"class": "weights", "what": "hyperparameter", "where": "width", "text": "width = 768 → 1024"} in said[
        "changes"
    ]
    assert "gpt2 → gpt2:medium" in drawing.read_text()


def test_a_side_that_cannot_be_read_is_an_error_of_its_own(tmp_path, capsys):
    wrong = tmp_path / "wrong.attn"
    wrong.write_text("model M {\n  output y = z\n}\n")
    assert main(["diff", "gpt2", str(wrong)]) == 2
    assert "wrong.attn:2" in capsys.readouterr().err
    assert main(["diff", "gpt2", "gpt2:medium", "-o", str(tmp_path / "no" / "a.svg")]) == 2
    assert "E0905" in capsys.readouterr().err


def test_it_loads_no_torch():
    script = (
        "import sys\nfrom attndsl.cli import main\ncode = main(['diff', 'gpt2', 'gpt2'])\n"
        "print([name for name in ('torch',) if name in sys.modules])\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["gpt2 and gpt2 mean the same", "[]"])
