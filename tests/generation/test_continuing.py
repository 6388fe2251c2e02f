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
from attndsl.generation import Run, generate, generate_each, load_run
from attndsl.generation.continuing import _slid, begins, opening
from attndsl.generation.respond import respond
from attndsl.training import train
from attndsl.training.console import Silent
from tests.generation.conftest import A_TEXT, KINDS, SPEC, stirred

SEES_ALL = SPEC.replace("mask=causal", "mask=full")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each call reads of a row."""
    found: list[int] = []

    def count(name: str) -> None:
        of_program = getattr(NumpyProgram, name)

        def counted(self: NumpyProgram, inputs: Mapping[str, Any], *rest: Any) -> Any:
            found.extend(inputs[name].shape[1] for name in ("tokens", "target") if name in inputs)
            return of_program(self, inputs, *rest)

        monkeypatch.setattr(NumpyProgram, name, counted)

    count("outputs")
    count("advance")
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


def test_past_the_context_the_older_half_is_dropped_and_the_other_read_again(run: Run, read: list[int]) -> None:
    list(generate(run, "If the w", 14, temperature=0, backend="numpy"))
    assert read == [8, 1, 1, 1, 1, 7, 1, 1, 1, 1, 1, 7, 1, 1]
    read.clear()
    list(generate(run, "If the world", 3, temperature=0, backend="numpy", cache=False))
    assert read == [12, 7, 8]


DISTANCES = SPEC.replace(" + embedding(range(T), context, width) as wpe", "").replace(
    "mask=causal", "mask=causal, position=rotary"
)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_context_slides_where_positions_count_by_their_distances(
    tmp_path: Path, read: list[int], backend: str
) -> None:
    (tmp_path / "rotary.attn").write_text(DISTANCES)
    options = {"settings": {"steps": 1, "tokenizer": "chars"}, "backend": "numpy", "console": Silent()}
    train(str(tmp_path / "rotary.attn"), A_TEXT, tmp_path / "run", **options)
    run = stirred(load_run(tmp_path / "run"))
    heard: list[str] = []
    read.clear()
    options = {"temperature": 1.5, "seed": 2, "backend": backend}
    text = "".join(generate(run, "If the w", 30, say=heard.append, **options))
    assert heard == ["the text may get longer than the model's context: each token sees the last 12"]
    if backend == "numpy":
        assert read == [8, *[1] * 29]
    assert text == "".join(generate(run, "If the w", 30, cache=False, **options))
    texts = [text[-20:], "To", "If the world is all"]
    alone = ["".join(generate(run, prompt, 20, temperature=0, backend=backend)) for prompt in texts]
    assert generate_each(run, texts, 20, temperature=0, backend=backend) == alone
    program, tokens = run.program(), run.tokenizer.encode(text).tolist()
    inside = program.run({"tokens": np.array([tokens[:12]])}, ["logits"])["logits"]
    slid, _ = _slid(run.graph, "tokens", "logits", 12)
    np.testing.assert_allclose(
        run.program(graph=slid).run({"tokens": np.array([tokens])})["logits"][:, :12], inside, atol=1e-4
    )


@pytest.mark.parametrize("context", [1, 2, 3, 7, 12])
def test_a_model_sees_at_least_half_of_its_context_and_never_more(context: int) -> None:
    for length in range(1, 5 * context):
        seen = length - begins(length, context)
        assert min(length, context // 2 + 1 if context > 1 else 1) <= seen <= context


PROMPTS = ["If", "Now is the time for all", "T", "The worl"]


@pytest.mark.parametrize("cache", [True, False])
def test_prompts_of_different_lengths_give_each_the_text_that_it_gives_alone(
    make_run: Callable[[str], Run], cache: bool
) -> None:
    """Past the context too, where each row drops what is too old when it is time for that."""
    options = {"temperature": 0, "backend": "numpy", "cache": cache}
    run = stirred(make_run("chars"))
    alone = ["".join(generate(run, prompt, 15, **options)) for prompt in PROMPTS]
    assert len(set(alone)) == 4
    assert generate_each(run, PROMPTS, 15, **options) == alone


def test_each_of_several_texts_draws_from_numbers_of_its_own(run: Run) -> None:
    found = generate_each(run, ["If"] * 3, 9, seed=5, backend="numpy")
    assert len(set(found)) == 3
    assert found == generate_each(run, ["If"] * 3, 9, seed=5, backend="numpy", cache=False)
    assert found[0] == "".join(generate(run, "If", 9, seed=5, backend="numpy"))


def test_texts_that_end_leave_the_others(make_run: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each text ends at a token of its own; those that go on are what they are alone."""
    run = stirred(make_run("chars"))
    options = {"temperature": 0, "backend": "numpy"}
    ends = int(run.tokenizer.encode(generate_each(run, PROMPTS, 15, **options)[0][3])[0])
    monkeypatch.setattr(run.tokenizer, "separator", ends)
    monkeypatch.setattr(run.tokenizer, "kind", "words")
    alone = ["".join(generate(run, prompt, 15, **options)) for prompt in PROMPTS]
    assert len(set(map(len, alone))) > 1
    assert generate_each(run, PROMPTS, 15, **options) == alone


def test_rows_of_different_lengths_are_read_together(run: Run) -> None:
    texts = [list(b"If"), list(b"Now is"), list(b"T")]
    readings = [opening(run, "logits", 10, backend="numpy", cache=cache).begin() for cache in (True, False)]
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


def test_answers_that_cannot_be_read_on_are_read_again_and_it_says_why(tmp_path: Path, read: list[int]) -> None:
    spec = tmp_path / "all.attn"
    spec.write_text(KINDS.read_text().replace("attention(heads, mask=causal, ", "attention(heads, "))
    options = {"settings": {"steps": 1}, "backend": "numpy", "console": Silent()}
    train(f"{spec}:Translator", [{"source": "1 a", "target": "001"}] * 8, tmp_path / "run", **options)
    heard: list[str] = []
    read.clear()
    assert len(respond(load_run(tmp_path / "run"), ["1 a"], 3, backend="numpy", say=heard.append)) == 1
    assert read == [1, 2, 3]
    assert len(heard) == 1
    assert heard[0].startswith("the source and the whole answer are read again for each token: `attention` stands in")
    assert "all.attn:128" in heard[0]
