"""A smaller model drafts, and the text is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.decoding.sampling import Sampling
from attndsl.diagnostics import AttnError
from attndsl.generation import Run, generate, generate_each, load_run
from attndsl.generation.continuing import Reading, opening
from attndsl.generation.writing import AT_ONCE, TokenChoice, Told, written
from attndsl.records import replace
from attndsl.training import train
from attndsl.training.console import Silent
from tests.generation.conftest import A_TEXT, SPEC, stirred
from tests.generation.test_states import LOSS, RECURRENT

WINDOWED = SPEC.replace("mask=causal", "mask=causal & window(4)").replace(
    " + embedding(range(T), context, width) as wpe", ""
)
SPECS = {
    "large": SPEC.replace("depth=1", "depth=2").replace("width=16", "width=24"),
    "long": SPEC.replace("context=12", "context=60"),
    "a smaller context": SPEC.replace("context=12", "context=7"),
    "a window": WINDOWED,
    "a recurrence": RECURRENT + LOSS,
    "sums": SPEC.replace("  repeat", "  x += cumsum(x, over=T) / (range(T) + 1)\n  repeat"),
}


@pytest.fixture
def run(make_run: Callable[[str], Run]) -> Run:
    return make_run("chars")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    made: dict[str, Run] = {}

    def run(name: str, tokenizer: str = "chars") -> Run:
        if (name + tokenizer) not in made:
            folder = tmp_path_factory.mktemp("drafts")
            (folder / "m.attn").write_text(SPECS[name])
            settings = {"tokenizer": tokenizer, "steps": 10, "lr": 1e-2, "length": 7}
            out = folder / "run"
            train(str(folder / "m.attn"), A_TEXT, out, settings=settings, backend="numpy", console=Silent())
            made[name + tokenizer] = stirred(load_run(out), 0.3)
        return made[name + tokenizer]

    return run


def stirred_a_little(run: Run) -> Run:
    other = stirred(run)
    return replace(run, weights={name: array + 0.1 * other.weights[name] for name, array in run.weights.items()})


OPTIONS = [{"temperature": 0}, {"seed": 4, "top_k": 5, "temperature": 1.5}]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(
    ("writes", "drafts"),
    [
        ("large", "itself"),
        ("large", "nearly itself"),
        ("large", "a smaller context"),
        ("a window", "nearly itself"),
        ("a window", "tiny"),
    ],
)
def test_the_text_is_the_one_without_a_draft(
    runs: Callable[..., Run], run: Run, writes: str, drafts: str, options: dict[str, Any]
) -> None:
    """Past both contexts too."""
    large = runs(writes)
    draft = {"itself": large, "tiny": run, "nearly itself": stirred_a_little(large)}.get(drafts) or runs(drafts)
    heard: list[str] = []
    found = "".join(generate(large, "If t", 30, backend="numpy", draft=draft, say=heard.append, **options))
    assert found == "".join(generate(large, "If t", 30, backend="numpy", **options))
    assert heard[-1].startswith("30 tokens in ")
    if drafts == "itself":
        assert "(100%)" in heard[-1]


def test_fewer_passes_are_made(runs: Callable[..., Run]) -> None:
    heard: list[str] = []
    run = runs("large")
    "".join(generate(run, "I", 11, temperature=0, backend="numpy", draft=run, say=heard.append))
    assert heard == ["11 tokens in 3 passes of the model: 8 of 8 drafted tokens were taken (100%)"]


@pytest.mark.parametrize("sampling", [Sampling(0), Sampling(1.0, seed=3)])
def test_every_draft_goes_on_with_the_text_as_it_is(runs: Callable[..., Run], sampling: Sampling) -> None:
    """What is taken is as much as a draft that always reads the whole text gets right."""
    run = runs("long")
    draft = stirred_a_little(run)
    prompt, length = [1, 2, 3], 50
    choice = TokenChoice(sampling, run.tokenizer.vocab)
    reading, drafting = (opening(each, "logits", 60, backend="numpy").begin() for each in (run, draft))
    told = Told()
    text = [token for _, token in written(reading, [prompt], length, choice, drafting=drafting, told=told)]
    logits = draft.program("numpy").run({"tokens": np.array([[*prompt, *text]])}, ["logits"])["logits"][0]
    right = [choice.next(logits[len(prompt) - 1 + at], at, 0) == token for at, token in enumerate(text)]
    place, expected = 1, Told(length, 1)
    while place < length:
        count = min(AT_ONCE, length - place - 1)
        taken = (*right[place : place + count], False).index(False)
        expected.passes, expected.drafted = expected.passes + 1, expected.drafted + count
        expected.taken, place = expected.taken + taken, place + taken + 1
    assert told == expected
    assert 0.2 < told.taken / told.drafted < 0.95


@pytest.mark.torch
def test_several_texts_are_drafted_together(runs: Callable[..., Run]) -> None:
    """Of which each takes another share of its draft."""
    prompts = ["If", "Now is the time for all", "T", "The worl"]
    run = runs("large")
    for backend in ("numpy", "torch"):
        found = generate_each(run, prompts, 16, seed=3, backend=backend, draft=stirred_a_little(run))
        assert found == generate_each(run, prompts, 16, seed=3, backend=backend)


class Chance(Reading):
    """A model of three tokens that says the same of what comes next whatever has been said, or something of its own
    after each token."""

    def __init__(self, shares: Sequence[Sequence[float]]) -> None:
        self.logits = np.log(np.array(shares))
        self.texts: list[list[int]] = []

    def after(self, tokens: Sequence[Sequence[int]]) -> Any:
        return self.each([new[-1:] for new in tokens])[:, -1]

    def each(self, tokens: Sequence[Sequence[int]]) -> Any:
        return self.logits[np.array(tokens) % len(self.logits)]

    def room(self) -> int:
        return 9

    def go_back(self, counts: Sequence[int]) -> None:
        assert all(count < 9 for count in counts)

    def choose(self, rows: Sequence[int]) -> None:
        pass


def test_what_is_sampled_is_distributed_as_the_model_says_whatever_drafts() -> None:
    """Pairs of tokens one after the other: 9 kinds, in 6,000 draws; chi-squared of 6 degrees below its 0.999
    quantile."""
    model, draft = Chance([[0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.3, 0.4, 0.3]]), Chance([[0.2, 0.5, 0.3]])
    told = Told()
    choice = TokenChoice(Sampling(seed=1), 3)
    rows, length = 200, 31
    texts = written_texts(written(model, [[0]] * rows, length, choice, drafting=draft, told=told), rows)
    assert 0.4 < told.taken / told.drafted < 0.7
    assert texts == written_texts(written(model, [[0]] * rows, length, choice), rows)
    shares = np.exp(model.logits)
    counts = np.zeros((3, 3))
    for text in texts:
        for one, other in pairwise(text):
            counts[one, other] += 1
    expected = counts.sum(axis=1, keepdims=True) * shares
    assert ((counts - expected) ** 2 / expected).sum() < 22.5


def written_texts(found: Iterator[tuple[int, int]], rows: int) -> list[list[int]]:
    texts: list[list[int]] = [[] for _ in range(rows)]
    for row, token in found:
        texts[row].append(token)
    return texts


@pytest.mark.parametrize(
    ("writes", "drafts", "said"),
    [
        ("large", "a recurrence", "`last` does not go back"),
        ("a recurrence", "large", "`last` does not go back"),
        ("sums", "large", "`sum` does not go back"),
    ],
)
def test_what_cannot_go_back_says_so(runs: Callable[..., Run], writes: str, drafts: str, said: str) -> None:
    with pytest.raises(AttnError, match="E0762") as problem:
        generate(runs(writes), "If", 4, backend="numpy", draft=runs(drafts))
    assert said in problem.value.diagnostics[0].notes[0]


def test_other_tokens_are_refused(runs: Callable[..., Run], run_of: Callable[[str], Run]) -> None:
    with pytest.raises(AttnError, match="E0762") as problem:
        generate(runs("large"), "If", 4, backend="numpy", draft=runs("a window", "bytes"))
    assert "`bytes`" in problem.value.diagnostics[0].notes[0]
    with pytest.raises(AttnError, match="E0744"):
        generate(runs("large"), "If", 4, backend="numpy", draft=run_of("classify"))


def test_the_command_line_drafts(attndsl: Any, runs: Callable[..., Run], run: Run, tmp_path: Path) -> None:
    argv = ("generate", runs("large").folder, "--prompt", "If t", "--tokens", 9, "--seed", 2, "--backend", "numpy")
    plain, drafted = attndsl(*argv), attndsl(*argv, "--draft", run.folder)
    assert (plain.code, drafted.code, plain.out) == (0, 0, drafted.out)
    assert "note: 9 tokens in " in drafted.err
