"""The command itself: its table of verbs, its help, and what becomes of a slip and of every kind of failure."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from attndsl.cli.failures import diagnostics_of, guarded
from attndsl.cli.verbs import VERBS
from attndsl.diagnostics import error


def test_the_overview_has_a_line_and_an_example_for_every_verb(attndsl):
    done = attndsl("--help")
    assert done.code == 0
    for verb in VERBS.values():
        assert f"  {verb.name:<9} {verb.summary}\n" in done.out
        assert f"attndsl {verb.example}\n" in done.out
    assert all(len(line) <= 100 for line in done.out.splitlines())


def test_without_a_verb_the_overview_is_shown_and_the_exit_code_says_usage(attndsl):
    done = attndsl()
    assert done.code == 2
    assert done.out == attndsl("--help").out


@pytest.mark.parametrize("name", VERBS)
def test_a_verbs_help_says_what_it_does_and_shows_an_example(attndsl, name):
    done = attndsl(name, "--help")
    assert done.code == 0
    assert done.out.startswith(f"usage: attndsl {name}")
    assert f"example:\n  attndsl {VERBS[name].example}" in done.out
    assert attndsl("help", name).out == done.out


@pytest.mark.parametrize("name", VERBS)
def test_every_option_is_explained(attndsl, name):
    from attndsl.cli.arguments import Parser

    parser = Parser(name)
    VERBS[name].module.configure(parser)
    for action in parser._actions:
        assert action.help, f"{name} {action.option_strings or action.dest}"


def test_version(attndsl):
    import attndsl as package

    assert attndsl("--version").out == f"attndsl {package.__version__}\n"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["chek", "gpt2"], ["no verb `chek`", "did you mean `check`?"]),
        (["--halp"], ["no option `--halp`", "did you mean `--help`?"]),
        (["list", "--jsn"], ["unknown option `--jsn`", "did you mean `--json`?"]),
        (["check"], ["SPEC"]),
        (["check", "gpt2", "--set", "depth"], ["--set name=value"]),
        (["check", "gpt2", "--set", "depth=1", "--set", "depth=2"], ["`--set depth` is given twice"]),
        (["inspect", "gpt2", "--size", "B=two"], ["`--size B=two`", "--size B=2,T=128"]),
        (["show", "gpt2", "extra"], ["unexpected argument `extra`"]),
        (["explain", "E9999"], ["there is no code `E9999`"]),
        (["inspect", "gpt2", "--size", "B=" + "9" * 5000], ["`--size B`", "longer than 4,611,686,018,427,387,903"]),
        (["run", "gpt2", "--size", "B=1", "--inputs", "in.npz"], ["`--size` is for example inputs"]),
        (["run", "gpt_nano", "--backend", "nump"], ["--backend: invalid choice: 'nump'"]),
        (["render", "gpt2"], ["-o"]),
        (["compile", "gpt2", "--emit", "pyhton"], ["pyhton"]),
        (
            ["compile", "gpt2", "--emit", "python", "--backend", "numpy"],
            ["give `--backend torch`, or `--emit graph`"],
        ),
        (["train", "gpt_nano"], ["`--data` is missing"]),
        (["train", "--data", "x.txt"], ["give a SPEC to train"]),
        (["train", "gpt_nano", "--resume", "runs/x"], ["give a SPEC to train"]),
        (["train", "gpt_nano", "--data", "x", "--steps", "3", "--set", "steps=4"], ["contradict each other"]),
        (["generate", "runs/x", "--temperature", "warm"], ["`warm` is not a number"]),
        (["generate", "runs/x", "--tokens", "-1"], ["a whole number of at least 0"]),
    ],
)
def test_a_command_line_that_makes_no_sense(attndsl, argv, said):
    done = attndsl(*argv)
    assert done.code == 2
    assert not done.out
    for text in said:
        assert text in done.err


def _raising(problem: BaseException):
    def action() -> int:
        raise problem

    return action


@pytest.mark.parametrize(
    ("problem", "code", "said"),
    [
        (error("E0501", "there is no spec `x`"), 1, "error[E0501]: there is no spec `x`"),
        (OSError(errno.ENOSPC, "No space left on device", "out.npz"), 1, "`out.npz`: no space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "/root/x"), 1, "check its permissions"),
        (MemoryError("Unable to allocate 4.00 TiB"), 1, "there is not enough memory"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 4 TiB"),
            1,
            "not enough memory",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
        (ZeroDivisionError("division by zero"), 1, "this is a bug in attndsl: ZeroDivisionError: division by zero"),
        (RecursionError("maximum recursion depth exceeded"), 1, "this is a bug in attndsl"),
    ],
)
def test_every_failure_is_a_message_and_an_exit_code(capsys, monkeypatch, problem, code, said):
    monkeypatch.delenv("ATTNDSL_TRACEBACK", raising=False)
    assert guarded(_raising(problem)) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert "Traceback" not in captured.err
    assert not captured.out


def test_a_traceback_is_shown_where_it_is_asked_for(monkeypatch):
    monkeypatch.setenv("ATTNDSL_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        guarded(_raising(ZeroDivisionError()))


def test_torchs_own_memory_error_is_known_by_its_name():
    class OutOfMemoryError(RuntimeError):
        pass

    found = diagnostics_of(OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore"))
    assert found is not None
    assert found[0].code == "E0890"
    assert found[0].notes == ("CUDA out of memory. Tried to allocate 2 GiB",)


@pytest.mark.parametrize("shape", [(2**40, 2**40), (2**70,)])
def test_more_bytes_than_can_be_counted_are_too_many(shape):
    with pytest.raises(ValueError, match=r"too big|Maximum") as caught:
        np.empty(shape)
    found = diagnostics_of(caught.value)
    assert found is not None
    assert found[0].code == "E0890"


def test_a_reader_that_leaves_is_no_failure():
    script = f"{sys.executable} -m attndsl explain | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode in (0, 141)


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [(">&-", 0, ""), ("2>&-", 0, ""), ("> /dev/full", 1, "error[E0590]: no space left on device")],
)
@pytest.mark.parametrize("environment", [None, {}], ids=["as we are", "an empty environment"])
def test_an_output_that_cannot_be_written_to(redirection, code, said, environment):
    script = f"{sys.executable} -m attndsl list {redirection}"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_a_terminal_without_unicode_is_served_too():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "attndsl", "check", "gpt2"], capture_output=True, env=environment, check=False
    )
    assert done.returncode == 0
    assert done.stdout == b"gpt2: ok ? GPT2 ? 124,439,808 parameters\n"
