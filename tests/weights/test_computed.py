"""Tensors of a file that hold what the spec computes, and no parameter: masks, positions, tables of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_text
from attndsl.storage.safetensors import write_tensors
from attndsl.weights import adapt_weights, check_section, load_weights
from tests.weights.models import codes

SPEC = """\
model M(context=5, width=4, halves=true) {
  input x: [B, T, width] where T <= context
  output y = layer_norm(x) as norm
}
weights M from x {
  prefix "m." optional {
  "norm.weight" <-> norm.scale
  "norm.bias" <-> norm.shift
  %s
  }
}
"""
LINES = """"h.{i}.bias": [1, 1, q=context, k=context] <- causal
  "near": [q=context, k=context] <- causal & window(2)
  "ids": [1, context] <- range(context)
  "table": [context, width] <- sinusoidal(broadcast(0.0, [context, width]), halves=halves)
  "turned": [width, context] <- broadcast(range(context) / 2, [width])"""

PLACES = np.arange(5)
ANGLES = PLACES[:, None] / 10000 ** (np.arange(2) / 2)
GOOD = {
    "norm.weight": np.ones(4, np.float32),
    "norm.bias": np.zeros(4, np.float32),
    "h.0.bias": np.tril(np.ones((1, 1, 5, 5), np.float32)),
    "h.7.bias": np.tril(np.ones((1, 1, 5, 5), np.uint8)),
    "near": (PLACES[:, None] >= PLACES) & (PLACES[:, None] - PLACES < 2),
    "ids": PLACES[None],
    "table": np.concatenate([np.sin(ANGLES), np.cos(ANGLES)], 1).astype(np.float32),
    "turned": np.broadcast_to(PLACES / 2, (4, 5)),
}


def with_(name: str, at: tuple[int, ...], value: float) -> np.ndarray:
    changed = GOOD[name].copy()
    changed[at] = value
    return changed


@pytest.mark.parametrize("prefix", ["", "m."])
def test_what_the_spec_computes_is_compared(tmp_path: Path, prefix: str) -> None:
    spec = open_text(SPEC % LINES)
    graph = elaborate(spec, {})
    assert check_section(spec.weights[0], graph, spec) == []
    write_tensors(tmp_path / "w", {prefix + name: array for name, array in GOOD.items()})
    assert load_weights(tmp_path / "w", graph, spec.weights).keys() == {"norm.scale", "norm.shift"}
    assert adapt_weights(tmp_path / "w", graph, spec.weights).unused == ()


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({"h.7.bias": with_("h.7.bias", (0, 0, 1, 3), 1)}, "E0610", "at [0, 0, 1, 3] it has 1, and the spec 0"),
        ({"near": with_("near", (4, 2), True)}, "E0610", "at [4, 2]"),
        ({"ids": GOOD["ids"] + 2}, "E0610", "at [0, 0] it has 2, and the spec 0"),
        ({"table": with_("table", (3, 1), 0.5)}, "E0610", "at [3, 1] it has 0.5"),
        ({"table": with_("table", (3, 1), np.nan)}, "E0610", "at [3, 1] it has nan"),
        ({"table": GOOD["table"] + 1e-7}, None, ""),
        ({"ids": np.arange(6)[None]}, "E0607", "[1, 6]"),
        ({"h.7.bias": np.ones((1, 1, 4, 4), np.float32)}, "E0607", "[1, 1, 4, 4]"),
    ],
)
def test_a_difference_is_told(tmp_path: Path, change: dict[str, np.ndarray], code: str | None, told: str) -> None:
    spec = open_text(SPEC % LINES)
    write_tensors(tmp_path / "w", {**GOOD, **change})
    if code is None:
        load_weights(tmp_path / "w", elaborate(spec, {}), spec.weights)
        return
    with pytest.raises(AttnError) as raised:
        load_weights(tmp_path / "w", elaborate(spec, {}), spec.weights)
    (found,) = raised.value.diagnostics
    assert found.code == code
    assert told in " ".join([found.message, *found.notes])


def test_a_file_may_lack_them(tmp_path: Path) -> None:
    spec = open_text(SPEC % LINES)
    write_tensors(tmp_path / "w", {name: GOOD[name] for name in ("norm.weight", "norm.bias")})
    assert len(load_weights(tmp_path / "w", elaborate(spec, {}), spec.weights)) == 2


@pytest.mark.parametrize(
    ("line", "code", "at"),
    [
        ('"a": [context] <- rnage(context)', "E0101", "rnage"),
        ('"a": [context, width] <- range(context)', "E0624", "width"),
        ('"a": [1] <- range(context)', "E0624", "[1]"),
        ('"a": [q=context] <- causal', "E0303", "causal"),
        ('"a" <- mlp(broadcast(1.0, [width]), 3)', "E0625", "mlp(broadcast(1.0, [width]), 3)"),
        ('"a": [width] <- tanh(norm.scale)', "E0625", "tanh(norm.scale)"),
        ('"a": [context] <-> range(context)', "E0625", "range(context)"),
    ],
)
def test_what_is_wrong_with_one_is_said_in_checking(line: str, code: str, at: str) -> None:
    spec = open_text(SPEC % line)
    found = check_section(spec.weights[0], elaborate(spec, {}), spec)
    assert [d.code for d in found] == [code]
    assert found[0].primary is not None
    assert found[0].primary.span.text == at


def test_causal_masks_in_gpt2_are_looked_at(tmp_path: Path) -> None:
    from attndsl.elaborate import open_spec

    spec = open_spec("gpt2")
    graph = elaborate(spec, {"vocab": 7, "context": 4, "depth": 1, "width": 4, "heads": 1})
    from attndsl.weights.mapping import WeightMap

    tensors = {item.full_name(True): np.zeros(item.form.shape) for item in WeightMap(spec.weights[0], graph).items()}
    tensors["transformer.h.0.attn.bias"] = np.tril(np.ones((1, 1, 4, 4), np.float32))
    write_tensors(tmp_path / "w", tensors)
    load_weights(tmp_path / "w", graph, spec.weights)
    tensors["transformer.h.0.attn.bias"] = np.ones((1, 1, 4, 4), np.float32)
    write_tensors(tmp_path / "w", tensors)
    with pytest.raises(AttnError) as raised:
        load_weights(tmp_path / "w", graph, spec.weights)
    assert codes(raised.value) == ["E0610"]
