"""The harness finds what it is there to find: a spec with one slip in it does not agree with its oracle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attndsl.elaborate import shipped
from attndsl.graph import FLOAT, Initializer, ParameterInfo, Type
from attndsl.weights.forms import Joined, Leaf, Pointwise, Rearranged, Scaled
from tests.parity.gradients import pulled
from tests.parity.harness import ALLOWED, Trial, families, largest_difference

FAMILIES = {family.name: family for family in families()}

# family, configuration, what stands in the spec, what stands there instead
SLIPS = [
    ("gpt2", "three heads", "mask=causal", "mask=full"),
    ("gpt2", "three heads", "act=gelu_tanh", "act=gelu"),
    ("gpt2", "other settings", "layer_norm(eps) as ln_f", "layer_norm as ln_f"),
    ("gpt2", "square, where a transposition hides", '"wpe.weight": [context, width]', '"wpe.weight": [width, context]'),
    ("gpt2", "square, where a transposition hides", "at.q.weight, at.k", "at.k.weight, at.q"),
    ("gpt3", "banded by three", "h % 2 == 0", "h % 2 == 1"),
    ("gpt3", "banded by three", "window(band)", "window(band + 1)"),
    ("llama", "longer as Llama 3", "llama3_rope(factor, low, high", "llama3_rope(factor, low, 2 * high"),
    ("llama", "five heads of two, shared keys", "norm_2 |> gated_mlp(hidden, act", "norm_2 |> gated_mlp(hidden, silu"),
    ("mistral", "four heads, three seen", "window(band)", "window(band + 1)"),
    ("phi3", "two contexts", "longrope(short, long, original", "longrope(long, short, original"),
    ("gemma3", "three heads, every third sees all", '== "sliding_attention"', '!= "sliding_attention"'),
    ("gemma3", "longer", "rotary(near_base) if near else far", "far"),
    ("gpt_neox", "three heads, a quarter turned", "rotary(base, share)", "rotary(base, 2 * share)"),
    ("gpt_neox", "one sublayer after the other", "x if parallel else x + seen", "x"),
    ("roberta", "no layers, padded with the fourth token", "at = pad + cumsum", "at = cumsum"),
    ("marian", "three heads", "mask=keys(valid), init=xavier) as cross", "init=xavier) as cross"),
    ("marian", "three heads", "halves = true", "halves = false"),
    ("marian", "three heads", "scores += bias", "scores += 2 * bias"),
    ("torch.nn.Transformer", "three heads", "sqrt(width) if scaled", "1 if scaled"),
    ("torch.nn.Transformer", "three heads", "smoothing=smoothing)", "smoothing=2 * smoothing)"),
]


@pytest.mark.torch
@pytest.mark.oracle
@pytest.mark.parametrize(("name", "config", "right", "wrong"), SLIPS)
def test_a_slip_is_found(tmp_path: Path, name: str, config: str, right: str, wrong: str) -> None:
    family = FAMILIES[name]
    text = shipped()[family.spec].read_text(encoding="utf-8")
    assert right in text
    spec = tmp_path / "slip.attn"
    spec.write_text(text.replace(right, wrong), encoding="utf-8")
    trial = Trial(replace(family, spec=str(spec)), family.configs[config], tmp_path)
    for dtype in ALLOWED:
        assert trial.differences("numpy", dtype).beyond(ALLOWED[dtype]), dtype


def test_differences_count_where_they_are_counted() -> None:
    ours, theirs = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.5], [9.0, 4.0]])
    assert largest_difference(ours, theirs) == 6
    assert largest_difference(ours, theirs, np.array([True, False])) == 0.5
    assert largest_difference(ours, theirs[:1]) == np.inf
    assert not largest_difference(ours, np.full((2, 2), np.nan)) <= 1


def test_gradients_go_through_every_form() -> None:
    """Against differences of a function of the published tensor, which is a form of two parameters."""
    info = ParameterInfo("p", Type(FLOAT), Initializer("zeros"))
    rng = np.random.default_rng(0)
    arrays = {name: rng.uniform(0.5, 1.5, (2, 6)) for name in "ab"}
    a, b = (Leaf((), (2, 6), name, info) for name in "ab")
    turned = Rearranged((), (3, 2, 2), a, (2, 2, 3), (2, 0, 1))
    log = Pointwise((), (2, 6), b, "log")
    other = Rearranged((), (3, 2, 2), Scaled((), (2, 6), log, 3.0, 1.0), (2, 2, 3), (2, 1, 0))
    form = Joined((), (3, 4, 2), (turned, other), ((0, 1, 2), (0, 2, 1)), 1, (2, 2), False)
    weight = rng.normal(size=(3, 4, 2))

    def function() -> float:
        return float((form.evaluate(arrays.__getitem__) ** 2 * weight).sum())

    by_value = 2 * form.evaluate(arrays.__getitem__) * weight
    found = dict(pulled(form, by_value, arrays))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        for place in np.ndindex(array.shape):
            kept, step = array[place], 1e-6
            array[place] = kept + step
            above = function()
            array[place] = kept - step
            below = function()
            array[place] = kept
            assert found[name][place] == pytest.approx((above - below) / (2 * step), rel=1e-6, abs=1e-8)
