"""Every shipped spec, and models that use every construct of the language, give the same numbers on both backends.

The weights are larger than initial ones, so that softmax is not flat and a wrong mask or scale shows; one batch row of
each mask input hides everything, and some targets are left out.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from attndsl.comparison import Comparison, compare
from attndsl.comparison.sides import Sides
from attndsl.elaborate import load, shipped
from attndsl.graph import BOOL, Graph
from attndsl.passes import optimize
from attndsl.running.initial import initial_parameters
from attndsl.running.inputs import example_inputs
from attndsl.running.program import Program

pytestmark = pytest.mark.torch

TESTS = Path(__file__).parent.parent
Array = np.ndarray
Settings = dict[str, int | float | str]

REDUCED: dict[str, Settings] = {
    "bart": {"vocab": 32, "context": 8, "width": 12, "heads": 3, "hidden": 20},
    "bert": {"vocab": 32, "context": 8, "width": 12, "heads": 3, "hidden": 20, "head": '"pretraining"'},
    "clip": {
        "size": 6, "patch": 2, "width": 12, "heads": 3, "hidden": 20, "vocab": 32, "context": 8, "text_depth": 2,
        "text_width": 8, "text_heads": 2, "text_hidden": 12, "shared": 6,
    },
    "dalle": {"vocab": 32, "codes": 7, "text": 5, "side": 3, "square": 3, "width": 12, "heads": 3},
    "dvae": {"channels": 2, "codes": 7, "width": 8, "start": 6, "stages": 2, "kernel": 3},
    "deepseek_v3": {
        "vocab": 32,
        "context": 8,
        "width": 12,
        "dense": 1,
        "heads": 3,
        "head": 3,
        "turned": 2,
        "value": 5,
        "query_rank": 7,
        "rank": 4,
        "hidden": 10,
        "expert_hidden": 3,
        "n": 6,
        "top": 2,
        "groups": 3,
        "top_groups": 2,
    },
    "elmo": {
        "entries": 32, "longest": 6, "char_width": 3, "filters": "[[1, 2], [3, 4]]", "highways": 1, "hidden": 5,
        "width": 4, "clip": 0.2, "mixed": True, "vocab": 32,
    },
    "gemma3": {
        "vocab": 32,
        "context": 8,
        "width": 12,
        "heads": 3,
        "head": 4,
        "hidden": 20,
        "band": 3,
        "pattern": 2,
        "scalar": 3,
        "cap": 2.0,
        "scaling": '"linear"',
        "factor": 2.0,
    },
    "gpt1": {"vocab": 32, "context": 8, "width": 12, "heads": 3, "head": '"sequence"'},
    "gpt2": {"vocab": 32, "context": 8, "width": 12, "heads": 3},
    "gpt3": {"vocab": 32, "context": 8, "width": 12, "heads": 3, "head": 5},
    "gpt_neox": {"vocab": 32, "context": 8, "width": 24, "heads": 3, "hidden": 20},
    "gpt_nano": {"vocab": 32, "context": 8, "width": 12, "heads": 3},
    "mixtral": {"vocab": 32, "context": 8, "width": 12, "heads": 3, "kv_heads": 1, "hidden": 10, "n": 4},
    "rnn_lm": {"vocab": 32, "width": 12},
    "rnn_tagger": {"vocab": 32, "width": 12, "hidden": 8, "labels": 4},
    "llama": {
        "vocab": 32,
        "context": 8,
        "width": 12,
        "heads": 3,
        "head": 4,
        "kv_heads": 1,
        "hidden": 20,
        "scaling": '"llama3"',
        "factor": 2.0,
        "low": 1.0,
        "high": 4.0,
        "original": 4,
    },
    "mistral": {
        "vocab": 32,
        "context": 8,
        "width": 12,
        "heads": 3,
        "head": 4,
        "kv_heads": 1,
        "hidden": 20,
        "band": 3,
    },
    "phi3": {
        "vocab": 32,
        "context": 8,
        "width": 12,
        "heads": 3,
        "hidden": 20,
        "scaling": '"longrope"',
        "original": 8,
        "short": "[1, 2]",
        "long": "[1, 3]",
    },
    "roberta": {"vocab": 32, "context": 8, "width": 12, "heads": 3, "hidden": 20},
    "seq2seq": {
        "vocab": 32,
        "source_vocab": 32,
        "width": 5,
        "hidden": 6,
        "both": True,
        "score": "additive_score(7)",
        "ahead": True,
        "sampled": True,
    },
    "t5": {"vocab": 32, "width": 12, "heads": 3, "head": 5, "hidden": 20, "buckets": 8, "reach": 16},
    "transformer": {"vocab": 32, "context": 8, "width": 12, "heads": 3, "hidden": 20},
    "transformer_xl": {
        "vocab": 32,
        "cutoffs": "[6, 15]",
        "div": 2,
        "width": 12,
        "heads": 3,
        "head": 4,
        "hidden": 20,
        "memory": 3,
    },
    "vit": {"size": 6, "patch": 2, "width": 12, "heads": 3, "hidden": 20, "labels": 4},
}  # fmt: skip
OWN: dict[str, tuple[Path, Settings]] = {
    "features": (TESTS / "elaborate" / "features.attn", {"context": 8}),
    "alternating": (TESTS / "drawing" / "specs" / "alternating.attn", {"vocab": 32, "context": 8, "width": 12}),
    "encoder": (
        TESTS / "drawing" / "specs" / "encoder.attn",
        {"vocab": 32, "context": 8, "width": 12, "heads": 3, "hidden": 20},
    ),
    "encoder and decoder": (
        TESTS / "drawing" / "specs" / "transformer.attn",
        {"vocab": 32, "context": 8, "width": 12, "heads": 3, "hidden": 20},
    ),
}
DECODERS = {
    "bart": "target", "deepseek_v3": "tokens", "gemma3": "tokens", "gpt1": "tokens", "gpt2": "tokens",
    "gpt3": "tokens", "gpt_nano": "tokens", "gpt_neox": "tokens", "llama": "tokens", "mistral": "tokens",
    "mixtral": "tokens", "phi3": "tokens", "rnn_lm": "tokens", "seq2seq": "target", "t5": "target",
    "transformer": "target", "transformer_xl": "tokens",
}  # fmt: skip
"""The specs that say one token after the other, and the input that has those said so far."""

WITH_LAYERS = {"seq2seq"}
"""The specs that mean nothing without a layer: what a recurrent decoder begins with is the state of one."""

NAMES = [*REDUCED, *OWN]
# Everything not given here is small; T is the length that a model's `context` limits.
SIZES: dict[str, dict[str, int]] = {
    "usual": {"B": 2, "T": 5, "S": 4},
    "one row": {"B": 1, "T": 5, "S": 4},
    "one token": {"B": 2, "T": 1, "S": 1},
    "a single token": {"B": 1, "T": 1, "S": 1},
    "as long as the context": {"B": 2, "T": 8, "S": 3},
}


def test_every_shipped_spec_is_compared() -> None:
    assert set(REDUCED) == set(shipped())


@cache
def reduced(name: str, depth: int) -> Graph:
    path, settings = OWN[name] if name in OWN else (name, REDUCED[name])
    return load(str(path), {**settings, "depth": depth})


def weights_of(graph: Graph, seed: int = 1) -> dict[str, Array]:
    """Initial values with noise on top, so that nothing is zero, one, or nearly nothing."""
    random = np.random.default_rng(seed)
    return {a: v + 0.3 * random.standard_normal(v.shape).astype("float32") for a, v in initial_parameters(graph, seed)}


def inputs_of(graph: Graph, sizes: dict[str, int]) -> dict[str, Array]:
    arrays = example_inputs(graph, {name: sizes[name] for name in graph.free_sizes if name in sizes}, seed=2)
    for info in graph.inputs:
        if info.value.type.dtype == BOOL:
            arrays[info.name][-1] = False
    if "targets" in arrays:
        arrays["targets"][0, 0] = -100
    return arrays


def held(graph: Graph, sizes: str, candidate: str = "torch", dtype: str = "float64") -> Comparison:
    return compare(
        graph,
        candidate=candidate,
        dtype=dtype,
        gradients=True,
        weights=weights_of(graph),
        inputs=inputs_of(graph, SIZES[sizes]),
    )


def assert_equal(found: Comparison) -> None:
    wrong = [(row.kind, row.name, row.absolute, row.tolerance) for row in found.rows if not row.ok]
    assert found.ok, (found.sizes, wrong)
    assert {row.kind for row in found.rows} >= {"output", "gradient"}
    if found.dtype == "float64":
        for row in found.rows:
            # As promised, whatever the table of tolerances says; noise round an exact zero has no relative error.
            if row.kind == "output":
                assert row.absolute <= 1e-10 or (row.relative or 0) <= 1e-10, row
            else:
                assert row.relative is None or row.relative <= 1e-8, row


@pytest.mark.parametrize(
    ("name", "depth"), [(name, depth) for name in NAMES for depth in (0, 1, 2) if depth or name not in WITH_LAYERS]
)
def test_backends_agree_in_float64(name: str, depth: int) -> None:
    graph = reduced(name, depth)
    found = held(graph, "usual")
    assert_equal(found)
    gradients = {row.name for row in found.rows if row.kind == "gradient"}
    assert gradients == {address for info in graph.parameters for address in info.addresses()}


@pytest.mark.parametrize("name", NAMES)
def test_backends_agree_at_the_ends_of_every_range(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By one program for all sizes."""
    graph, judged = reduced(name, 1), Sides.judged
    programs: list[Program] = []

    def once(self: Sides, given: Graph, arrays: dict[str, Array]) -> Program:
        if not programs:
            programs.append(judged(self, given, arrays))
        return programs[0]

    monkeypatch.setattr(Sides, "judged", once)
    for sizes in SIZES:
        if sizes != "usual":
            assert_equal(held(graph, sizes))


@pytest.mark.parametrize("name", NAMES)
def test_backends_agree_in_float32(name: str) -> None:
    assert_equal(held(reduced(name, 2), "usual", dtype="float32"))


@pytest.mark.parametrize("sizes", ["usual", "a single token"])
@pytest.mark.parametrize("name", NAMES)
def test_the_passes_keep_what_numpy_gives(name: str, sizes: str) -> None:
    assert_equal(held(reduced(name, 2), sizes, candidate="passes"))


@pytest.mark.parametrize("name", NAMES)
def test_pytorch_needs_no_passes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every primitive that a model uses is lowered as it was written, before anything is fused."""
    from attndsl.backends.pytorch import TorchProgram

    def judged(self: Sides, graph: Graph, arrays: dict[str, Array]) -> TorchProgram:
        return TorchProgram(graph, dtype=self.dtype, parameters=arrays, passes=False)

    monkeypatch.setattr(Sides, "judged", judged)
    assert_equal(held(reduced(name, 2), "usual"))


@pytest.mark.parametrize("name", NAMES)
def test_backends_agree_on_what_the_passes_give(name: str) -> None:
    graph, _ = optimize(reduced(name, 2))
    assert_equal(held(graph, "usual"))


@pytest.mark.parametrize("name", REDUCED)
def test_no_batch_is_an_empty_answer(name: str) -> None:
    """Nothing in, nothing out, on both backends; the mean over nothing is said alike."""
    graph = reduced(name, 1)
    sizes = {"B": 0, **{name: 3 for name in ("T", "Y", "X") if name in graph.free_sizes}}
    found = compare(graph, dtype="float64", gradients=True, sizes=sizes)
    assert found.ok
    said = next(info for info in graph.outputs if info.name in ("logits", "image_embeds", "picture", "mix"))
    shape = tuple(axis.size.value({**graph.sizes, **sizes}) for axis in said.value.type.axes)
    assert {row.shape for row in found.rows if row.name == said.name} == {shape}
    assert shape[0] == 0


@pytest.mark.parametrize("name", DECODERS)
def test_a_token_changes_nothing_before_it(name: str) -> None:
    """The one property that every decoder here promises, on the module that runs."""
    from attndsl.backends.pytorch import TorchProgram

    graph = reduced(name, 2)
    program = TorchProgram(graph, dtype="float64", parameters=weights_of(graph))
    given = inputs_of(graph, SIZES["as long as the context"])
    tokens = given[DECODERS[name]]
    given = {info.name: given[info.name] for info in graph.inputs if not info.optional}

    def logits(said: Array) -> Array:
        return program.run({**given, DECODERS[name]: said}, ["logits"])["logits"]

    whole = logits(tokens)
    for length in (1, 3, 7):
        np.testing.assert_allclose(logits(tokens[:, :length]), whole[:, :length], rtol=0, atol=1e-12)
    changed = tokens.copy()
    changed[:, 5] = (changed[:, 5] + 1) % 32
    other = logits(changed)
    np.testing.assert_allclose(other[:, :5], whole[:, :5], rtol=0, atol=1e-12)
    assert np.abs(other[:, 5:] - whole[:, 5:]).max() > 1e-3
