"""What a diagram says: which layers are boxes, what stands in which frame, which arrows run where."""

from __future__ import annotations

from pathlib import Path

import pytest

from attndsl.diagnostics import AttnError
from attndsl.drawing.kinds import LOOKS
from attndsl.drawing.output import scene_of
from attndsl.drawing.scene import Arrow, Box, Scene
from attndsl.elaborate import elaborate, load, open_text
from attndsl.graph import Graph

SPECS = Path(__file__).parent / "specs"


def graph(name: str, **settings: str) -> Graph:
    path = SPECS / f"{name}.attn"
    return load(str(path) if path.exists() else name, settings)


def box(scene: Scene, id: str) -> Box:
    (found,) = [b for b in scene.boxes if b.id == id]
    return found


def arrows(scene: Scene, kind: str) -> set[tuple[str, str]]:
    return {(a.tail.id, a.head.id) for a in scene.arrows if a.kind == kind}


def frames(scene: Scene) -> list[tuple[str, str]]:
    return [(frame.kind, frame.title) for frame in scene.frames[1:]]


def test_gpt2_is_drawn_as_in_the_papers() -> None:
    scene = scene_of(graph("gpt2"))
    assert {b.id: (b.kind, b.lines) for b in scene.boxes if b.path} == {
        "wte": ("embedding", ("wte", "embedding")),
        "wpe": ("embedding", ("wpe", "embedding")),
        "h.*.ln_1": ("norm", ("ln_1", "layer norm")),
        "h.*.attn": ("attention", ("attn", "attention · 12 heads", "mask: causal")),
        "h.*.ln_2": ("norm", ("ln_2", "layer norm")),
        "h.*.mlp": ("feed-forward", ("mlp", "3,072 wide · gelu tanh")),
        "ln_f": ("norm", ("ln_f", "layer norm")),
        "cross_entropy": ("loss", ("cross entropy",)),
    }
    assert frames(scene) == [("repeat", "h × 12")]
    sums = [b for b in scene.boxes if b.kind == "add"]
    assert [b.frame.kind for b in sums] == ["root", "repeat", "repeat"]
    assert arrows(scene, "skip") == {("h entry", "add #2"), ("add #2", "add #3")}
    assert arrows(scene, "tie") == {("wte", "dot")}
    assert {a.label for a in scene.arrows if a.kind == "tie"} == {"wte.table"}
    assert scene.title == "GPT2 · 124.4 M parameters"
    assert "dropout not drawn" in scene.notes


def test_variants_and_settings_change_the_title_and_the_frame() -> None:
    scene = scene_of(graph("gpt2:medium"))
    assert scene.title == "GPT2 medium · 354.8 M parameters"
    assert frames(scene) == [("repeat", "h × 24")]
    assert frames(scene_of(graph("gpt2", depth="1"))) == [("repeat", "h × 1")]


def test_the_main_way_is_one_line_from_input_to_output() -> None:
    scene = scene_of(graph("gpt2"))
    spine = [b.id for b in scene.boxes if b.spine == "spine 0"]
    assert {"input tokens", "wte", "add", "h entry", "h.*.attn", "ln_f", "dot", "output logits"} <= set(spine)


def test_encoder_and_decoder_stand_side_by_side() -> None:
    scene = scene_of(graph("transformer"))
    assert {(f.id, f.kind, f.title, f.parent.id if f.parent else "") for f in scene.frames[1:]} == {
        ("encoder", "scope", "encoder", "root"),
        ("encoder.layer", "repeat", "layer × 6", "encoder"),
        ("decoder", "scope", "decoder", "root"),
        ("decoder.layer", "repeat", "layer × 6", "decoder"),
    }
    assert [b.id for b in scene.heads] == ["input source", "input target"]
    memory = [a for a in scene.arrows if a.kind == "memory"]
    assert [(a.tail.id, a.head.id, a.label) for a in memory] == [
        ("encoder.layer exit", "decoder.layer.*.cross", "[B, S, width]")
    ]
    assert box(scene, "encoder.layer exit").frame.title == "encoder"  # the last layer's result, below all layers
    assert ("encoder.layer.*.norm_2", "encoder.layer exit") in arrows(scene, "flow")
    assert box(scene, "shared").frame.title == "encoder"  # made outside, called in both
    assert box(scene, "shared #2").frame.title == "decoder"
    assert arrows(scene, "tie") == {("shared", "shared #2"), ("shared #2", "dot")}


def test_a_mask_from_an_input_stands_beside_its_readers() -> None:
    scene = scene_of(graph("transformer"))
    assert arrows(scene, "mask") == {
        ("input valid", "encoder.layer.*.attn"),
        ("input valid #2", "decoder.layer.*.cross"),
    }
    assert box(scene, "input valid").frame.title == "encoder"
    assert box(scene, "input valid #2").frame.title == "decoder"


def test_a_sum_of_three_is_one_circle() -> None:
    scene = scene_of(graph("encoder"))
    assert {tail for tail, head in arrows(scene, "flow") if head == "add"} == {"word", "place", "kind"}


def test_bodies_that_differ_and_scans_have_frames_of_their_own() -> None:
    scene = scene_of(graph("alternating"))
    assert frames(scene) == [
        ("repeat", "h × 8"),
        ("case", "h = 0, 2, 4, 6"),
        ("case", "h = 1, 3, 5, 7"),
        ("scan", "t over T"),
    ]
    assert box(scene, "h.*.attn").lines == (
        "attn",
        "attention · 4 heads",
        "mask: causal, window · 16 keys",
        "position: alibi",
    )
    assert arrows(scene, "state") == {("t.tanh", "t state s")}
    assert box(scene, "h.*.gate").lines == (
        "gate",
        "gate (feed-forward)",
        "64 wide · sigmoid",
    )  # the kind is said, not only coloured


def test_heads_are_counted_and_groups_of_them() -> None:
    text = """model M(width=32, heads=8, shared=2) {{
      input x: [B, T, width]
      input memory: [B, S, width]
      output y = attention(x, memory, heads{}) as attn
    }}"""

    def line(settings: str) -> str:
        scene = scene_of(elaborate(open_text(text.format(settings)), {}))
        return box(scene, "attn").lines[1]

    assert line("") == "attention · 8 heads"
    assert line(", kv_heads=shared") == "attention · 8 heads in 2 groups"
    assert line(", kv_heads=1") == "attention · 8 heads in 1 group"
    assert line("=1, head=7") == "attention · 1 head"


def test_layers_of_two_cases_share_nothing() -> None:
    """Each iteration has parameters of its own; a layer from around the body is the same in both."""
    text = """model M(width=8, depth=4) {
      input x: [B, width]
      layer again = linear(width)
      repeat h in depth {
        if h % 2 == 0 { x += tanh(linear(x, width) as up) } else { x += linear(x, width) as up }
        if h % 2 == 0 { x = again(x) } else { x = tanh(again(x)) }
      }
      output y = x
    }"""
    scene = scene_of(elaborate(open_text(text), {}))
    assert [b.id for b in scene.boxes if b.path == "h.*.up"] == ["h.*.up", "h.*.up #2"]
    assert arrows(scene, "tie") == {("again", "again #2")}


def test_what_several_read_leaves_the_body_once() -> None:
    text = """model M(width=8, depth=3) {
      input x: [B, T, width]
      repeat i in depth { x += linear(x, width) as step }
      output all = x
      output first = x[T=0] |> linear(2) as head
    }"""
    scene = scene_of(elaborate(open_text(text), {}))
    assert [b.frame.kind for b in scene.boxes if b.id == "i exit"] == ["root"]
    assert {head for tail, head in arrows(scene, "flow") if tail == "i exit"} == {"output all", "select"}
    assert box(scene, "select").lines == ("T = 0",)
    assert frames(scene) == [("repeat", "× 3")]


def test_a_layer_from_around_a_body_stands_outside() -> None:
    text = """model M(width=8, heads=2, depth=3) {
      input x: [B, T, width]
      near = bucketed(heads) as near
      repeat layer in depth {
        own = bucketed(heads) as own
        x += attention(x, heads, position=near) as first
        x += attention(x, heads, position=own) as second
      }
      output y = 1 * x + 0
    }"""
    scene = scene_of(elaborate(open_text(text), {}))
    near, own = box(scene, "near"), box(scene, "layer.*.own")
    assert (near.kind, near.lines, near.frame.kind) == ("position", ("near", "bucketed"), "root")
    assert own.frame.title == "layer × 3"
    assert arrows(scene, "memory") == {("near", "layer.*.first")}
    assert ("layer.*.own", "layer.*.second") in arrows(scene, "flow")
    assert not [b for b in scene.boxes if b.kind == "operation"]  # nothing is multiplied by 1, nor 0 added


def test_an_input_that_may_be_left_out_says_what_it_is_then() -> None:
    text = """model M(width=8) {
      input x: [B, width]
      input valid: bool[B] optional = true
      input other: [B, width] optional
      output y = x * valid
      output z = x + other
    }"""
    scene = scene_of(elaborate(open_text(text), {}))
    assert box(scene, "input valid").lines == ("valid", "bool[B]", "optional = true")
    assert box(scene, "input other").lines == ("other", "[B, width]", "optional")
    assert box(scene, "input x").lines == ("x", "[B, width]")


def test_depth_opens_layers_that_have_layers() -> None:
    scene = scene_of(graph("gpt2"), depth=1)
    assert frames(scene) == [("repeat", "h × 12"), ("layer", "attn · attention"), ("layer", "mlp")]
    assert box(scene, "h.*.attn.softmax").lines == ("softmax over S", "mask: causal")
    assert box(scene, "h.*.attn.q").kind == "linear"
    assert box(scene, "h.*.ln_1").kind == "norm"
    assert sum(b.kind == "dropout" for b in scene.boxes) == 4


@pytest.mark.parametrize("path", ["h.attn", "h.*.attn", "h.3.attn", "h[3].attn"])
def test_expand_opens_one_layer(path: str) -> None:
    scene = scene_of(graph("gpt2"), expand=path)
    assert frames(scene) == [("repeat", "h × 12"), ("layer", "attn · attention")]
    assert box(scene, "h.*.mlp").kind == "feed-forward"


def test_expand_opens_a_layer_of_operations_too() -> None:
    scene = scene_of(graph("gpt2"), expand=["h.ln_1", "h.mlp"])
    assert frames(scene) == [("repeat", "h × 12"), ("layer", "ln_1 · layer norm"), ("layer", "mlp")]
    assert {"mean over width", "rsqrt"} <= {b.lines[0] for b in scene.boxes if b.lines}


def test_sizes_turn_shapes_into_numbers() -> None:
    scene = scene_of(graph("gpt2"), sizes={"B": 2, "T": 16})
    assert box(scene, "input tokens").lines == ("tokens", "int[2, 16]")
    assert "[2, 16, 768]" in {a.label for a in scene.arrows}


@pytest.mark.parametrize(
    ("options", "code", "help"),
    [
        ({"expand": "h.atn"}, "E0903", "did you mean `h.attn`?"),
        ({"expand": ["h.attn", "nothing.like.it"]}, "E0903", None),
        ({"depth": -1}, "E0904", "0 opens no layer"),
        ({"sizes": {"T": 4096}}, "E0211", None),
        ({"sizes": {"width": 3}}, "E0803", "`width` is a hyperparameter: use `--set width=3`"),
    ],
)
def test_what_cannot_be_drawn_is_said(options: dict[str, object], code: str, help: str | None) -> None:
    with pytest.raises(AttnError) as caught:
        scene_of(graph("gpt2"), **options)  # type: ignore[arg-type]
    (problem,) = caught.value.diagnostics
    assert problem.code == code
    assert help is None or help in problem.helps


@pytest.mark.parametrize("name", ["gpt2", "gpt3:175b", "gpt_nano", "transformer", "encoder", "alternating"])
@pytest.mark.parametrize("depth", [0, 1, 9])
def test_every_scene_holds_together(name: str, depth: int) -> None:
    spec = graph(name)
    scene = scene_of(spec, depth=depth)
    ids = [b.id for b in scene.boxes]
    assert len(ids) == len(set(ids))
    assert all(a.tail in scene.boxes and a.head in scene.boxes for a in scene.arrows)
    assert {i.name for i in spec.inputs} <= {b.lines[0] for b in scene.boxes if b.kind == "input"}
    assert [o.name for o in spec.outputs] == [b.lines[0] for b in scene.boxes if b.kind == "output"]
    _every_box_leads_somewhere(scene)
    for b in scene.boxes:
        assert b.kind in LOOKS or b.kind == "fork" or len(b.lines[0]) == 1


def _every_box_leads_somewhere(scene: Scene) -> None:
    def leads(b: Box, arrows: list[Arrow]) -> bool:
        return b.kind == "output" or any(a.tail is b and a.kind != "tie" for a in arrows)

    assert all(leads(b, scene.arrows) for b in scene.boxes)


def test_an_optimised_graph_can_be_drawn_too() -> None:
    from attndsl.passes.pipeline import optimize

    scene = scene_of(optimize(graph("gpt2"))[0], depth=1)
    assert box(scene, "h.*.attn.attention").lines == ("attention over S", "mask: causal")
    flows = arrows(scene, "flow")
    assert {(f"h.*.attn.{name}", "h.*.attn.attention") for name in "qkv"} <= flows
    assert {("h.*.ln_1", f"h.*.attn.{name}") for name in "qkv"} <= flows


def test_a_deep_stack_costs_what_a_shallow_one_does() -> None:
    shallow, deep = scene_of(graph("gpt2")), scene_of(graph("gpt2", depth=str(10**9)))
    assert len(deep.boxes) == len(shallow.boxes)
    assert frames(deep) == [("repeat", "h × 1,000,000,000")]


def kinds(text: str) -> dict[str, str]:
    scene = scene_of(elaborate(open_text(text), {}))
    return {b.path: b.kind for b in scene.boxes if b.path}


def test_a_layer_is_recurrent_where_a_state_goes_through_its_gates() -> None:
    gated = """block gated(x: [*, D]) -> [*, D] {
      return linear(silu(x), D) as a |> gelu_tanh |> linear(D) as b
    }
    """
    assert kinds(gated + "model M(width=4) {\n input x: [B, width]\n output y = x |> gated as f\n}") == {
        "f": "feed-forward"
    }
    cell = """block cell(x: [*, D], s: [*, D]) -> [*, D] {
      return tanh((linear(x, D) as input) + (linear(s, D) as state))
    }
    model M(width=4) {
      input x: [B, T, width]
      states = scan t in T with s: [B, width] = x[T=0] {
        seen = gated(x[T=t]) as before
        s = cell(seen, s) as step
        emit s
      }
      output y = states
    }"""
    assert kinds(gated + cell) == {"t.before": "feed-forward", "t.step": "recurrent"}


def test_a_mixture_is_no_attention() -> None:
    mixture = """block mixture(experts)(x: [*, D]) -> [*, D] {
      param into: [experts, before=D, D]
      gate = softmax(linear(x, experts) as gate, over=experts)
      return dot(dot(rearrange(x, [D] -> [before=D]), into, over=before), gate, over=experts)
    }
    model M(width=4, experts=3) {
      input x: [B, T, width]
      x += x |> mixture(experts) as moe
      output y = attention(x, 2) as attn
    }"""
    found = kinds(mixture)
    assert found["moe"] == "feed-forward"
    assert found["attn"] == "attention"


def test_a_body_that_is_only_a_call_of_an_outer_layer_keeps_its_frame() -> None:
    scene = scene_of(
        elaborate(
            open_text(
                "model M(width=8, depth=2) {\n  input x: [B, T, width]\n  layer f = mlp(16)\n"
                "  repeat h in depth { x = f(x) }\n  output y = x\n}\n"
            ),
            {},
        )
    )
    assert frames(scene) == [("repeat", "h × 2 · shared")]
    assert box(scene, "f").frame.title == "h × 2 · shared"
    assert arrows(scene, "flow") == {("input x", "f"), ("f", "output y")}
    assert not arrows(scene, "memory")


def test_a_layer_that_reads_only_what_is_outside_stands_outside_of_the_body_that_calls_it() -> None:
    scene = scene_of(
        elaborate(
            open_text(
                "model M(vocab=64, width=24) {\n"
                "  input source: int[B, S] where source < vocab\n  input target: int[B, T] where target < vocab\n"
                "  layer embed = embedding(vocab, width)\n  x = embed(source)\n"
                "  output logits = scan t in T with h: [B, width] = x[S=0] {\n"
                "    h = tanh(linear(embed(target[T=t]), width) as enter + h)\n    emit h\n  }\n}\n"
            ),
            {},
        )
    )
    assert {b.id: b.frame.kind for b in scene.boxes if b.path} == {
        "embed": "root",
        "embed #2": "root",
        "t.enter": "scan",
    }
    assert arrows(scene, "memory") == {("embed #2", "t.enter")}
    assert ("input target", "embed #2") in arrows(scene, "flow")
    assert arrows(scene, "tie") == {("embed", "embed #2")}


def test_a_layer_that_is_applied_to_what_was_made_of_its_result_is_two_boxes() -> None:
    text = (
        "model M(width=8) {\n  input x: [B, width]\n  layer f = linear(width)\n"
        "  y = concat(f(x), x, over=[B, B] -> C)\n  output z = f(y)\n}\n"
    )
    scene = scene_of(elaborate(open_text(text), {}))
    assert arrows(scene, "flow") == {
        ("input x", "f"), ("f", "concat"), ("input x", "concat"), ("concat", "f #2"), ("f #2", "output z"),
    }  # fmt: skip
    assert arrows(scene, "tie") == {("f", "f #2")}


MEMORY = """
block delayed(x: [*, D]) -> [*, D] {
  state last: [*, D] = zeros
  last <- x
  return linear(x + last, D)
}
model M(width=4, depth=2, M=3) {
  input x: [B, T, width]
  state total: [B, width] = zeros
  total <- total + mean(x, over=T)
  repeat h in depth {
    state memory: [B, M, width] = zeros
    past = concat(memory, x, over=[M, T] -> K)
    x += attention(x, past, 2, mask=causal) as attn
    memory <- past[K=T:]
    x += x |> delayed as del
  }
  output y = x + total
}
"""


def test_a_state_stands_where_it_is_read_with_its_way_back() -> None:
    scene = scene_of(elaborate(open_text(MEMORY), {}))
    assert {b.id: b.lines for b in scene.boxes if b.kind == "state"} == {
        "total": ("total", "[B, width]"),
        "h.*.memory": ("memory", "[B, M, width]"),
        "h.*.del.last": ("last", "[B, T, width]"),
    }
    assert [b.frame.kind for b in scene.boxes if b.kind == "state"] == ["root", "repeat", "repeat"]
    assert arrows(scene, "state") == {
        ("add", "total"),
        ("h.*.slice", "h.*.memory"),
        ("add #2", "h.*.del.last"),
    }
    assert {a.label for a in scene.arrows if a.kind == "state"} == {"next call"}
    assert {("h.*.memory", "h.*.concat"), ("h.*.del.last", "h.*.del")} <= arrows(scene, "flow")
    assert not [b for b in scene.boxes if b.kind in ("input", "output") and b.lines[0] not in ("x", "y")]


def test_a_mixture_of_experts_shows_its_router_and_how_many_there_are() -> None:
    scene = scene_of(graph("mixtral"))
    found = {b.id.removeprefix("layer.*."): (b.kind, b.lines) for b in scene.boxes if b.path.startswith("layer.")}
    assert found["router"] == ("linear", ("router",))
    assert found["experts"] == ("experts", ("experts", "routed · 2 of 8 experts", "14,336 wide · silu"))
    assert {("layer.*.router", "layer.*.experts"), ("layer.*.norm_2", "layer.*.experts")} <= arrows(scene, "flow")
    opened = scene_of(graph("mixtral"), expand="layer.experts")
    inside = {b.id: b.kind for b in opened.boxes if b.path.startswith("layer.*.experts.")}
    assert inside == {
        "layer.*.experts.gate": "linear",
        "layer.*.experts.silu": "activation",
        "layer.*.experts.up": "linear",
        "layer.*.experts.down": "linear",
    }
    (balance,) = [b for b in scene.boxes if b.lines == ("balance loss",)]
    assert balance.kind == "block"
    together = scene_of(open_graph("x |> experts(4, 2, mlp(8), shared=mlp(8)) as moe"))
    (whole,) = [b for b in together.boxes if b.path == "moe"]
    assert (whole.kind, whole.lines) == ("experts", ("moe", "experts", "8 wide · relu"))


def open_graph(expression: str) -> Graph:
    text = f"model M(width=8) {{\n  input x: [B, T, width]\n  output y = {expression}\n}}"
    return elaborate(open_text(text), {})
