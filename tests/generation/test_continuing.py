"""What has been read is not read again, and the text is the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.decoding.sampling import Sampling
from attndsl.decoding.sequences import Beam
from attndsl.generation import Run, generate, load_run
from attndsl.generation.continuing import open_reading
from attndsl.generation.respond import respond
from attndsl.training import train
from attndsl.training.console import Silent
from tests.generation.conftest import A_TEXT, SPEC

SEES_ALL = SPEC.replace("mask=causal", "mask=full")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each call reads of a row."""
    found: list[int] = []
    outputs = NumpyProgram.outputs

    def counted(self: NumpyProgram, inputs: Mapping[str, Any], *rest: Any) -> Any:
        found.extend(inputs[name].shape[1] for name in ("tokens", "target") if name in inputs)
        return outputs(self, inputs, *rest)

    monkeypatch.setattr(NumpyProgram, "outputs", counted)
    return found


@pytest.mark.parametrize("options", [{"temperature": 0}, {"seed": 3}, {"seed": 4, "top_k": 5}])
def test_the_text_is_that_without_a_cache(run: Run, options: dict[str, Any]) -> None:
    texts = ["".join(generate(run, "If t", 14, backend="numpy", cache=cache, **options)) for cache in (True, False)]
    assert texts[0] == texts[1]
    assert len(texts[0]) > 8


def test_a_prompt_is_read_once_and_then_each_token(run: Run, read: list[int]) -> None:
    list(generate(run, "If t", 8, temperature=0, backend="numpy"))
    assert read == [4, 1, 1, 1, 1, 1, 1, 1]
    read.clear()
    list(generate(run, "If t", 4, temperature=0, backend="numpy", cache=False))
    assert read == [4, 5, 6, 7]


def test_past_the_context_all_that_it_holds_is_read_again(run: Run, read: list[int]) -> None:
    list(generate(run, "If the w", 8, temperature=0, backend="numpy"))
    assert read == [8, 1, 1, 1, 1, 12, 12, 12]


def test_rows_of_different_lengths_are_read_together(run: Run) -> None:
    texts = [list(b"If"), list(b"Now is"), list(b"T")]
    readings = [open_reading(run, "logits", 10, backend="numpy", cache=cache) for cache in (True, False)]
    for _ in range(4):
        found, expected = (reading.after(texts) for reading in readings)
        np.testing.assert_allclose(found, expected, atol=1e-4)
        texts = [[int(np.argmax(row))] for row in expected]


def test_what_cannot_be_read_on_is_read_again_and_it_says_why(tmp_path: Path, read: list[int]) -> None:
    (tmp_path / "all.attn").write_text(SEES_ALL)
    settings = {"steps": 1}
    train(str(tmp_path / "all.attn"), A_TEXT, tmp_path / "run", settings=settings, backend="numpy", console=Silent())
    heard: list[str] = []
    read.clear()
    list(generate(load_run(tmp_path / "run"), "If t", 4, backend="numpy", say=heard.append))
    assert read == [4, 5, 6, 7]
    assert len(heard) == 1
    assert "`attention` stands in the way: its queries see positions along `S` that come after them" in heard[0]
    assert "all.attn:7" in heard[0]


SOURCES = ["1 apples", "23", "9 apples 99", "", "apples"]


@pytest.mark.parametrize(
    "options", [{}, {"beam": Beam(3)}, {"beam": Beam(5, 0.0)}, {"sampling": Sampling(1.0, seed=4)}]
)
def test_answers_are_those_without_a_cache(
    run_of: Callable[..., Run], options: dict[str, Any], read: list[int]
) -> None:
    run = run_of("sequence_to_sequence")
    read.clear()
    found = respond(run, SOURCES, 9, backend="numpy", **options)
    assert set(read) == {1}
    assert found == respond(run, SOURCES, 9, backend="numpy", cache=False, **options)
    assert max(read) > 4
