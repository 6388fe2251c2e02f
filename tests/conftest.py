"""What all tests share: which of them can run here, and the command in this process."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["NO_COLOR"] = "1"
os.environ.setdefault("ATTNDSL_KERNELS", "onednn")  # what is computed in tests is not to depend on timings

# Bytecode is kept, whatever the machine says: hundreds of processes start, each of which would compile the package.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A busy machine is not a mistake of the code, and a run of the suite says the same of the same code.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("suite", settings.get_profile("explore"), derandomize=True)
settings.load_profile("suite")


def _cuda() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out, with the reason, what needs something that is not here."""
    needs = {
        "torch": (lambda: importlib.util.find_spec("torch") is not None, "PyTorch is not installed"),
        "oracle": (lambda: importlib.util.find_spec("transformers") is not None, "transformers is not installed"),
        "cuda": (_cuda, "there is no CUDA device"),
    }
    for mark, (available, reason) in needs.items():
        marked = [item for item in items if item.get_closest_marker(mark)]
        if marked and not available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish() -> None:
    """Tests make many objects, and few that refer to one another in circles: the collector is to look for these less
    often, and never through all tests that were collected."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 20)


MUCH = 2**29


def _resident() -> int:
    """Bytes of memory that this process has; 0 where the system is not Linux."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


@pytest.fixture(scope="session")
def _kept_memory() -> list[int]:
    """The memory that this process had when it last gave some back."""
    return [_resident()]


@pytest.fixture(autouse=True)
def _give_back_memory(_kept_memory: list[int]) -> Iterator[None]:
    """Tests with large models leave gigabytes to the C library, which keeps them from the tests beside it. To look for
    them takes a second or more, through all that is there."""
    yield
    if _resident() - _kept_memory[0] > MUCH:
        gc.collect()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
        if trim is not None:
            trim(0)
        _kept_memory[0] = _resident()


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def attndsl(capsys: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """The command, run in this process: `attndsl("check", "gpt2")`."""
    from attndsl.cli import main

    def run(*argv: object) -> Finished:
        capsys.readouterr()
        code = main([str(argument) for argument in argv])
        captured = capsys.readouterr()
        return Finished(code, captured.out, captured.err)

    return run
