"""Sizes as arguments of a written model: another one gives what the spec says at that size; where it would not, the
size is no argument."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch

import attndsl
from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.diagnostics import AttnError
from tests.acceptance.test_shipped_specs import OWN, REDUCED, SIZES, inputs_of, weights_of
from tests.programs.written import outputs_of

pytestmark = pytest.mark.torch


def executed(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "written"}
    exec(text, names)
    return names


def arguments(kind: type) -> dict[str, int]:
    import inspect

    return {name: p.default for name, p in inspect.signature(kind).parameters.items()}


OPEN = {
    "gpt2": {"vocab", "context", "depth", "width", "heads"},  # the first values hang on the depth, by a formula
    "bert": {"vocab", "context", "segments", "depth", "width", "heads", "hidden"},
    "mistral": {"vocab", "context", "depth", "width", "heads", "kv_heads", "hidden"},
}
"""What has to be open."""

FAST = ("gpt2", "mistral")
SLOW = (*REDUCED, *OWN) if os.environ.get("ATTNDSL_SIZES") == "all" else ("bert", "t5", "mixtral")


@pytest.mark.parametrize("name", [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_another_size_is_the_spec_at_that_size(name: str) -> None:
    path, settings = OWN[name] if name in OWN else (name, REDUCED[name])
    context = {"context": 4096} if name == "deepseek_v3" else {}  # as long as the texts that its recipe asks for
    model = attndsl.load(str(path), {**settings, "depth": 2, **context})
    names = executed(model.source())
    kind = names[model.graph.name]
    sizes = arguments(kind)
    assert sizes == {size: model.graph.sizes[size] for size in sizes}
    tried = 0
    for size, value in sizes.items():
        for other in (2 * value, value + 1):
            try:
                changed = model.with_({**model.graph.sizes, size: other}).graph
            except AttnError:
                continue
            agree(names, kind(**{size: other}), changed)
            tried += 1
            break
    assert tried or not sizes


def test_a_size_that_only_a_loop_without_parameters_reads() -> None:
    """The constructor has nothing to make, and keeps it."""
    model = attndsl.parse("model M(depth=3) {\n  input x: [B]\n  repeat h in depth { x = sin(x) }\n  output y = x\n}")
    names = executed(model.source())
    for depth in (3, 5):
        agree(names, names["M"](depth=depth), model.with_({"depth": depth}).graph)


def agree(names: dict[str, Any], module: Any, graph: Any) -> None:
    weights, given = weights_of(graph), inputs_of(graph, SIZES["usual"])
    own = {name: array for name, array in given.items() if name not in graph.state_names}
    expected = NumpyProgram(graph, dtype="float64", parameters=weights).run(own)
    for output, value in outputs_of(names, module, graph, weights, own).items():
        np.testing.assert_allclose(value, expected[output], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", OPEN)
def test_what_is_open(name: str) -> None:
    model = attndsl.load(name)
    text = model.source()
    assert set(arguments(executed(text)[model.graph.name])) == OPEN[name]


def test_no_comment_tells_a_size() -> None:
    """The text of another size differs in the defaults of the arguments alone."""
    small, large = (attndsl.load("gpt2", depth=d, width=w).source().splitlines() for d, w in ((2, 24), (3, 48)))
    assert len(small) == len(large)
    (line,) = (i for i, (a, b) in enumerate(zip(small, large, strict=True)) if a != b)
    assert "depth: int = 2, width: int = 24" in small[line]


HANGING = """
model Hanging(width=8, band=3, wide=6, depth=2) {
  input x: [B, T, width]
  h = linear(x, wide) as up
  y = h * sqrt(width)
  z = y + attention(y, 2, mask=causal & window(band)) as attn
  output out = z if depth > 3 else z + 1
}
"""


def test_what_a_number_a_mask_or_a_choice_hangs_on_is_no_argument() -> None:
    model = attndsl.parse(HANGING)
    names = executed(model.source())
    assert set(arguments(names["Hanging"])) == {"wide"}


def test_a_text_beyond_the_context_is_told_in_words() -> None:
    model = attndsl.load("gpt2", depth=1, width=12, heads=3, vocab=32, context=8)
    module = executed(model.source())["GPT2"]()
    with pytest.raises(ValueError, match=r"`T` is 9, and may be at most 8 \(`context`\)"):
        module(torch.zeros((1, 9), dtype=torch.int64))
    assert executed(model.source())["GPT2"](context=9)(torch.zeros((1, 9), dtype=torch.int64))["logits"].shape[1] == 9
