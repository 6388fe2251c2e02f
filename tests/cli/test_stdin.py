"""`check -` reads a text from stdin; its JSON says what a fix writes and where."""

from __future__ import annotations

import json
import subprocess
import sys

WRONG = "model M() {\n  input x: [B, D]\n  output y = lnear(x, D)\n}\n"


def check(text: bytes, *options: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "attndsl", "check", "-", *options]
    done = subprocess.run(argv, input=text, capture_output=True, check=False)
    return subprocess.CompletedProcess(argv, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_a_text_is_checked_that_is_in_no_file() -> None:
    done = check(WRONG.replace("lnear(x, D)", "linear(x, 3)").encode())
    assert (done.returncode, done.stdout) == (1, ""), "a size of the inputs is no size of a parameter"
    assert "--> <stdin>:3:" in done.stderr
    done = check(WRONG.replace("lnear(x, D)", "gelu(x)").encode())
    assert (done.returncode, done.stdout) == (0, "-: ok · M · 0 parameters\n")


def test_its_json_has_what_a_program_can_mend() -> None:
    found = json.loads(check(WRONG.encode(), "--json").stdout)["results"][0]["diagnostics"]
    (fix,) = found[0]["fixes"]
    assert fix["help"] == "did you mean `linear`?"
    place = fix["place"]
    assert WRONG[place["start"]["offset"] : place["end"]["offset"]] == "lnear"
    assert fix["write"] == "linear"


def test_what_is_no_text_is_told_as_such() -> None:
    done = check(b"model M() {\n  \xff\n}\n")
    assert done.returncode == 1
    assert "error[E0002]: `<stdin>` is not UTF-8 text" in done.stderr


def test_what_is_no_spec_is_told_once() -> None:
    done = check(b"import torch\n\nclass Net:\n    pass\n" * 20)
    assert done.returncode == 1
    assert done.stderr.count("error[") == 1
    assert "error[E0006]: `<stdin>` is not a spec, but Python" in done.stderr
