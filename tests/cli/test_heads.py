"""A variant with a head that the weights lack, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from attndsl.elaborate import elaborate, open_spec
from attndsl.weights import export_huggingface
from tests.weights.models import arrays_for
from tests.weights.test_adapting import SPEC


@pytest.fixture
def body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`m.attn`, and a published language model of it in `hf`."""
    monkeypatch.chdir(tmp_path)
    Path("m.attn").write_text(SPEC, encoding="utf-8")
    spec = open_spec("m.attn:lm")
    graph = elaborate(spec, {})
    export_huggingface("hf", graph, arrays_for(graph), spec.weights[0])


@pytest.mark.usefixtures("body")
@pytest.mark.parametrize("argv", [("m.attn:classifier",), ("m.attn", "--set", "head=classify")], ids=str)
def test_a_head_that_the_weights_lack_is_named_once_with_a_way_out(attndsl, argv):
    done = attndsl("run", *argv, "--weights", "hf", "--backend", "numpy")
    assert done.code == 1
    assert done.err.count("error[") == 1
    assert "error[E0605]: hf has no `classifier`" in done.err
    assert "attndsl train … --weights hf" in done.err


@pytest.mark.usefixtures("body")
@pytest.mark.parametrize("spec", ["m.attn", "m.attn:lm"])
def test_the_head_that_they_have_runs(attndsl, spec):
    done = attndsl("run", spec, "--weights", "hf", "--backend", "numpy")
    assert done.code == 0, done.err
    assert "said: float32 2×16×7" in done.out


@pytest.mark.usefixtures("body")
def test_every_variant_is_checked_with_its_own_lines(attndsl):
    for spec in ("m.attn", "m.attn:lm", "m.attn:classifier"):
        assert attndsl("check", spec).code == 0
    Path("m.attn").write_text(SPEC.replace('"classifier.bias" <-> classifier.bias', ""), encoding="utf-8")
    assert attndsl("check", "m.attn").code == 0
    done = attndsl("check", "m.attn:classifier", "--strict")
    assert done.code == 1
    assert "error[E0622]: the parameter `classifier.bias` is not filled from any published tensor" in done.err
