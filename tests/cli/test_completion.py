"""What a shell is told at the Tab key: words that can stand there, fast, in each shell that there is a script for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from attndsl.cli.completing import words
from attndsl.cli.completion import SCRIPTS
from attndsl.cli.verbs import VERBS
from attndsl.elaborate import open_spec, shipped

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("line", "offered", "left_out"),
    [
        ("ch", "check", "train --help"),
        ("--", "--help --version", "check"),
        ("check gp", "gpt2 gpt_nano", "bert gpt2:small"),
        ("check gpt2:", "gpt2:small gpt2:xl", "gpt2"),
        ("check gpt2 be", "bert", "gpt2"),  # it takes several
        ("render gpt2 ", "", "bert gpt2"),  # and this one does not
        ("inspect gpt2 --s", "--set --size --strict", "--json"),
        ("inspect gpt2 --strict --st", "", "--strict"),
        ("inspect gpt2 --set depth=2 --se", "--set", ""),  # it may be repeated
        ("inspect gpt2 --set ", "vocab= heads= eps=", "x= kv_heads="),
        ("inspect gpt2:medium --set he", "heads=", "vocab="),
        ("compile gpt2 --emit t", "tree", "graph"),
        ("run gpt2 --backend ", "numpy torch", "gpt2"),
        ("explain E02", "E0203", "W0101"),
        ("completion ", "bash zsh fish", ""),
        ("nothing ", "", "gpt2 check"),
        ("check nothing:", "", "gpt2"),
    ],
)
def test_what_can_stand_there_is_offered(line: str, offered: str, left_out: str) -> None:
    found = [word for word, _ in words(line.split(" "))]
    assert [word for word in offered.split() if word not in found] == []
    assert [word for word in left_out.split() if word in found] == []


def test_every_verb_option_and_spec_is_known() -> None:
    assert {word for word, _ in words([""])} == {*VERBS, "--help", "--version"}
    for verb in VERBS.values():
        assert "--help" in {word for word, _ in words([verb.name, "-"])}
    for name in shipped():
        spec = open_spec(name)
        given = [word.removesuffix("=") for word, _ in words(["check", name, "--set", ""])]
        assert given == [parameter.name.text for parameter in spec.model.hyperparameters], name
        variants = [word.partition(":")[2] for word, _ in words(["check", f"{name}:"])]
        assert variants == list(dict.fromkeys(variant.name.text for variant in spec.variants)), name


def test_files_and_runs_are_those_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.attn").write_text("model M(wide=3) {\n  input x: [B]\n  output y = x\n}\nvariant M:big { wide=9 }\n")
    for folder in ("one", "runs/two", "other"):
        Path(folder).mkdir(parents=True)
    for run in ("one", "runs/two"):
        Path(run, "run.json").write_text("{}")
    assert [word for word, _ in words(["check", "m"])] == ["mistral", "mixtral", "mine.attn"]
    assert list(words(["check", "mine.attn:"])) == [("mine.attn:big", "wide=9")]
    assert list(words(["check", "mine.attn", "--set", ""])) == [("wide=", "default 3")]
    assert [word for word, _ in words(["evaluate", ""])] == ["one", "runs/two"]


def test_no_spec_is_parsed_for_it() -> None:
    script = (
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom attndsl.cli import main\n"
        "main(['completion', 'words', 'inspect', 'gpt2', '--set', ''])\n"
        "print([name for name in ('attndsl.syntax.parser', 'attndsl.ops', 'numpy', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "heads=\tdefault 12" in done.stdout


@pytest.fixture
def on_path(tmp_path: Path) -> dict[str, str]:
    """An environment in which `attndsl` is this one."""
    command = tmp_path / "bin" / "attndsl"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m attndsl "$@"\n')
    command.chmod(0o755)
    return {**os.environ, "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}


LINES = (("attndsl ch", "check"), ("attndsl check gpt2:m", "medium"), ("attndsl inspect gpt2 --set de", "depth="))


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes(on_path: dict[str, str]) -> None:
    asked = 'COMP_LINE="{0}"; COMP_POINT=${{#COMP_LINE}}; COMPREPLY=(); _attndsl; echo "${{COMPREPLY[*]}}"\n'
    script = 'eval "$(attndsl completion bash)"\ncompopt() { :; }\n' + "".join(asked.format(line) for line, _ in LINES)
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=on_path, check=True)
    assert done.stdout.splitlines() == [word for _, word in LINES]


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes(on_path: dict[str, str]) -> None:
    script = "attndsl completion fish | source\n" + "".join(f'complete -C "{line}"\n' for line, _ in LINES)
    done = subprocess.run(["fish", "-c", script], capture_output=True, text=True, env=on_path, check=True)
    assert [line.split("\t")[0].split(":")[-1] for line in done.stdout.splitlines()] == [word for _, word in LINES]


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_scripts_are_valid_where_their_shell_is(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n"], input=SCRIPTS[shell], text=True, check=True)
