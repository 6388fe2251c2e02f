"""What boxes say of their layers: of attention, of feed-forward layers, of patches and tokens that are learned."""

from __future__ import annotations

import pytest

from attndsl.drawing.output import scene_of
from attndsl.drawing.scene import Box, Scene
from attndsl.elaborate import elaborate, load, open_text
from attndsl.graph import Graph


def graph(expression: str) -> Graph:
    return elaborate(open_text(f"model M(width=8) {{\n  input x: [B, T, width]\n  output y = {expression}\n}}"), {})


def box(scene: Scene, path: str) -> Box:
    (found,) = [b for b in scene.boxes if b.path == path]
    return found


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ("", ()),
        (", mask=causal", ("mask: causal",)),
        (", mask=window(3)", ("mask: window · 3 keys",)),
        (", mask=local(3)", ("mask: local · 5 keys",)),
        (", cap=50", ("cap 50",)),
        (", sink=true", ("sink",)),
        (", cap=30, sink=true, mask=causal", ("cap 30 · sink", "mask: causal")),
        (", q_norm=rms_norm, k_norm=rms_norm", ("norm: q_norm, k_norm",)),
        (", kv_heads=1, position=alibi(2)", ("position: alibi",)),
    ],
)
def test_attention_says_what_is_special_of_it(options: str, lines: tuple[str, ...]) -> None:
    found = box(scene_of(graph(f"attention(x, 2{options}) as attn")), "attn").lines
    assert found[1].startswith("attention · 2 heads")
    assert found[2:] == lines


def test_a_tanh_elsewhere_is_no_cap() -> None:
    assert box(scene_of(graph("attention(3 * tanh(x), 2) as attn")), "attn").lines[2:] == ()


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        ("mlp(32, act=gelu)", "32 wide · gelu"),
        ("gated_mlp(24)", "24 wide · silu"),
        ("mlp(8, act=relu_squared)", "8 wide · relu squared"),
        ("highway", "relu"),  # nothing in it is wider than what comes in
    ],
)
def test_a_feed_forward_layer_says_how_wide_it_is_and_what_bends_it(layer: str, line: str) -> None:
    assert box(scene_of(graph(f"x |> {layer} as f")), "f").lines[-1] == line


def test_attention_to_own_projections_is_attention_and_a_block_with_a_sublayer_is_not() -> None:
    own = """block looks(heads)(x: [*, T, D]) -> [*, T, D] {
      q = linear(x, D) as q
      k = rearrange(linear(x, D) as k, [T] -> [S=T])
      return attend(q, k, k, mask=causal) |> linear(D) as out
    }
    block both(x: [*, T, D]) -> [*, T, D] { return x |> attention(2) as attn |> mlp(8) as mlp }
    model M(width=8) {
      input x: [B, T, width]
      output y = x |> looks(2) as own |> both as both
    }"""
    scene = scene_of(elaborate(open_text(own), {}))
    assert box(scene, "own").kind == "attention"
    assert box(scene, "both").kind == "block"
    latent = scene_of(load("deepseek_v3", {}))
    assert {b.kind for b in latent.boxes if b.path == "layer.*.attn"} == {"attention"}


def test_a_stack_in_a_layer_is_open() -> None:
    titles = [frame.title for frame in scene_of(load("clip", {})).frames]
    assert titles.count("layer × 12") == 2


def test_a_picture_is_cut_into_patches_and_joined_by_a_token() -> None:
    scene = scene_of(load("vit", {}))
    (patches,) = [b for b in scene.boxes if b.lines[:1] == ("patches of 16 × 16",)]
    (token,) = [b for b in scene.boxes if b.lines[-1:] == ("learned",)]
    (joined,) = [b for b in scene.boxes if b.lines[:1] == ("concat to T",)]
    ends = {(a.tail.id, a.head.id) for a in scene.arrows}
    assert {("input image", patches.id), (patches.id, "embed"), (token.id, joined.id)} <= ends
    assert token.lines == ("cls, place", "learned")
    heads = graph("x |> attention(2, kv_heads=1) as attn")  # taken apart and joined as well, but no picture
    assert not [b for b in scene_of(heads, depth=2).boxes if b.lines and b.lines[0].startswith("patches")]


def test_pooling_is_no_activation() -> None:
    scene = scene_of(load("dvae", {}))
    assert {b.kind for b in scene.boxes if b.path.endswith("max_pool2d")} == {"block"}
