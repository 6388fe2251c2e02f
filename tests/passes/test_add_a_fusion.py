"""The page "Add a fusion" does what it says: its fusion fires, explains its near misses, and is right."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from attndsl.elaborate import load
from attndsl.passes import PIPELINE, Pass, explain, optimize
from attndsl.passes.expand import Expand
from tests.docs.contributing import PAGES, read_page

PAGE = read_page("add-a-fusion.md")
TOLERANCE = 1e-12


@pytest.fixture
def softplus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    for name, text in PAGE.files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield importlib.import_module("softplus")
    del sys.modules["softplus"]


def passes(softplus: ModuleType) -> tuple[Pass, ...]:
    behind = [step.name for step in PIPELINE].index("fuse-attention") + 1
    return (*PIPELINE[:behind], softplus.FuseSoftplus(), *PIPELINE[behind:])


def test_spellings_become_the_operator(softplus: ModuleType, difference: Callable[..., float]) -> None:
    before = load("spellings.attn")
    after, reports = optimize(before, passes=passes(softplus))
    kinds = [node.op.name for node in after.body.walk()]
    assert kinds.count("softplus") == len(after.outputs) - 1, "two of them are equal, and so one"
    assert not {"log", "exp"} & set(kinds)
    assert explain(reports).count("softplus: `softplus`") == len(after.outputs)
    assert difference(before, after) < TOLERANCE
    apart, _ = Expand().run(after)
    assert "softplus" not in {node.op.name for node in apart.body.walk()}
    assert difference(after, apart) < TOLERANCE


def test_near_misses_stay_and_say_why(softplus: ModuleType, difference: Callable[..., float]) -> None:
    before = load("misses.attn")
    after, reports = optimize(before, passes=passes(softplus))
    assert "softplus" not in {node.op.name for node in after.body.walk()}
    assert difference(before, after) < TOLERANCE
    (said,) = re.findall(r"^```text\n(.*?)^```", (PAGES / "add-a-fusion.md").read_text("utf-8"), re.M | re.S)
    assert explain(reports).startswith(said)


def test_a_backend_without_it_computes_its_parts(softplus: ModuleType) -> None:
    torch = pytest.importorskip("torch")
    from attndsl.backends.pytorch import TorchProgram

    graph, _ = optimize(load("spellings.attn"), passes=passes(softplus))
    x = np.linspace(-3, 3, 8).reshape(2, 4)
    found = TorchProgram(graph, dtype="float64", passes=False).run({"x": x})["usual"]
    np.testing.assert_allclose(found, torch.nn.functional.softplus(torch.from_numpy(x)).numpy(), rtol=TOLERANCE)


def test_the_script_runs(softplus: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    (script,) = PAGE.scripts
    exec(compile(script, "add-a-fusion.md", "exec"), {})
    assert "softplus: `softplus`" in capsys.readouterr().out


def test_it_stands_behind_what_it_needs(softplus: ModuleType) -> None:
    with pytest.raises(ValueError, match="`fuse-softplus` needs constant-folding, canonicalise before it"):
        optimize(load("spellings.attn"), passes=(softplus.FuseSoftplus(),))
