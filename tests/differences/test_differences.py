"""A model, what is done to it, and what `diff` says. The golden text is written anew with `ATTNDSL_GOLDEN=write`."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path

import pytest

import attndsl
from attndsl.differences import CLASSES, Differences, differences, scene_of_both
from attndsl.differences.telling import told
from attndsl.formatting import format_text
from attndsl.graph import Graph
from tests.programs.writer import Program

GOLDEN = Path(__file__).with_name("golden.txt")

MODEL = """model M(vocab=64, context=16, depth=3, width=32, heads=2, p=0.1, eps=1e-5, flag=false) {
  input tokens: int[B, T] where T <= context, tokens < vocab
  layer wte = embedding(vocab, width)
  x = wte(tokens) + embedding(range(T), context, width) as wpe
  repeat h in depth {
    x += x |> layer_norm(eps) as ln_1 |> attention(heads, mask=causal) as attn |> dropout(p)
    x += x |> layer_norm(eps) as ln_2 |> mlp(64, act=relu) as mlp
  }
  y = tanh(x)
  z = sigmoid(x)
  scope end {
    x = y * z |> layer_norm(eps) as ln_f
  }
  output logits = dot(x, wte.table, over=width)
}
"""
POST = """  repeat h in depth {
    x += attention(x, heads, mask=causal) as attn |> dropout(p)
    x = layer_norm(x, eps) as ln_1
    x += mlp(x, 64, act=relu) as mlp
    x = layer_norm(x, eps) as ln_2
  }
"""


def put(old: str, new: str, text: str = MODEL) -> str:
    assert old in text
    return text.replace(old, new)


CASES: dict[str, str | dict[str, object]] = {
    "itself": MODEL,
    "in another layout, and statements in another order": put(
        "  y = tanh(x)\n  z = sigmoid(x)\n", "  # first this\n  z=sigmoid( x )\n  y=tanh( x )\n"
    ),
    "a variable of another name": re.sub(r"\by\b", "inner", MODEL),
    "one more norm": put("  y = tanh(x)", "  x = layer_norm(x, eps) as ln_x\n  y = tanh(x)"),
    "no last norm": put(" |> layer_norm(eps) as ln_f", ""),
    "post-norm": re.sub(r"  repeat h in depth \{.*?\n  \}\n", POST, MODEL, flags=re.DOTALL),
    "layer_norm to rms_norm": put("layer_norm(eps) as ln_1", "rms_norm(eps) as ln_1"),
    "relu to gelu": put("act=relu", "act=gelu"),
    "an operation": put("tanh(x)", "sin(x)"),
    "more heads": {"heads": 4},
    "deeper": {"depth": 4},
    "wider": {"width": 48},
    "a longer context": {"context": 32},
    "more dropout": {"p": 0.2},
    "another eps": {"eps": 1e-6},
    "a flag without effect": {"flag": True},
    "learned to rotary positions": put(
        " + embedding(range(T), context, width) as wpe", "", put("mask=causal", "mask=causal, position=rotary")
    ),
    "learned to ALiBi": put(
        " + embedding(range(T), context, width) as wpe", "", put("mask=causal", "mask=causal, position=alibi(heads)")
    ),
    "a window": put("mask=causal", "mask=window(4)"),
    "padding": put(
        "mask=causal", "mask=causal and keys(valid)", put("  layer wte", "  input valid: bool[B, T]\n  layer wte")
    ),
    "grouped queries": put("mask=causal", "mask=causal, kv_heads=1"),
    "a layer in another block": put(
        " |> layer_norm(eps) as ln_f", "", put("as mlp\n", "as mlp\n    x = layer_norm(x, eps) as ln_f\n")
    ),
    "a layer of another name": put("as attn", "as self_attention"),
    "a repeat of another name": put("repeat h in", "repeat block in"),
    "the hyperparameter of another name": re.sub(r"\beps\b", "epsilon", MODEL),
    "sizes of other names": re.sub(r"\bT\b", "N", re.sub(r"\bwidth\b", "dim", MODEL)),
    "the model of another name": put("model M", "model N"),
    "one more input and output": put(
        "  y = tanh(x)", "  input scale: [B] optional = 1.0\n  output middle = x * scale\n  y = tanh(x)"
    ),
    "a limit of an input": put("where T <= context, tokens < vocab", "where T <= context - 1, tokens < vocab"),
    "another first value": put("embedding(vocab, width)", "embedding(vocab, width, normal(0.5))"),
    "a state": put("  y = tanh(x)", "  state m: [B, width] = 0.0\n  m <- x[T=0]\n  y = tanh(x) + m"),
    "operands the other way round": put("y * z", "z * y ^ 1"),
    "what a layer reads": put("mlp(64, act=relu) as mlp", "mlp(64, act=relu) as mlp\n    x = x + wte(tokens)"),
}


@cache
def graph(text: str) -> Graph:
    return attndsl.parse(text).graph


def case(name: str) -> Differences:
    changed = CASES[name]
    after = graph(changed) if isinstance(changed, str) else attndsl.parse(MODEL, **changed).graph
    return differences(graph(MODEL), after)


def test_what_is_said_of_every_change():
    said = "\n\n".join(f"## {name}\n{told(case(name))}" for name in CASES) + "\n"
    if os.environ.get("ATTNDSL_GOLDEN") == "write":
        GOLDEN.write_text(said, encoding="utf-8")
    assert said == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", list(CASES)[:3])
def test_what_means_the_same_is_equal(name):
    assert case(name).changes == ()
    assert case(name).equal


def test_the_other_way_round_what_was_added_is_removed():
    there = case("one more norm")
    back = differences(graph(str(CASES["one more norm"])), graph(MODEL))
    assert {it.what for it in there.changes} - {it.what for it in back.changes} == {"added"}
    assert {it.what for it in back.changes} - {it.what for it in there.changes} == {"removed"}
    assert [it.where for it in back.changes if it.what == "removed"] == ["ln_x"]


@pytest.mark.parametrize("name", ["a layer of another name", "a layer in another block"])
def test_what_is_renamed_or_moved_is_neither_added_nor_removed(name):
    assert not {"added", "removed"} & {it.what for it in case(name).changes}


def test_changes_come_worst_first_and_reach_what_is_asked():
    found = case("learned to rotary positions")
    places = [CLASSES.index(it.kind) for it in found.changes]
    assert places == sorted(places)
    assert {it.kind for it in found.reaching("weights")} == {"weights"}
    assert found.reaching("cosmetic") == found.changes


@pytest.mark.parametrize("seed", range(6))
def test_a_random_program_is_equal_to_itself_and_to_no_other(seed):
    text = Program.random(seed).text
    assert differences(graph(text), graph(format_text(text, "random"))).changes == ()
    assert not differences(graph(text), graph(Program.random(seed + 1).text)).equal


def test_one_picture_has_what_is_kept_gone_and_new():
    before, after = graph(MODEL), graph(str(CASES["learned to rotary positions"]))
    scene = scene_of_both(before, after, differences(before, after).matching, ("old", "new"))
    marks = {box.lines[0]: box.mark for box in scene.boxes if box.lines and box.path}
    assert marks["wpe"] == "gone"
    assert marks["attn"] == "changed"
    assert marks["ln_1"] == marks["mlp"] == "kept"
    assert {arrow.mark for arrow in scene.arrows} == {"kept", "gone", "new"}
    same = scene_of_both(before, before, differences(before, before).matching, ("old", "old"))
    assert {it.mark for it in (*same.boxes, *same.arrows)} == {"kept"}
