"""Repeats whose bodies are written out: over lists, and `unrolled` ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import attndsl
from attndsl.diagnostics import AttnError
from attndsl.diagnostics.report import render
from attndsl.elaborate import elaborate, open_text
from attndsl.graph import Graph
from attndsl.graph.reader import parse_text
from attndsl.graph.text import to_text
from tests.costs import steps
from tests.samples.anonymous import unlabelled

STAGES = """model M(depths=[1, 2], widths=[4, 6]) {
  input x: [B, T, in=3]
  repeat stage, depth in depths {
    C = widths[stage]
    x = linear(x, C) as grow
    repeat block in depth {
      x += x |> layer_norm as norm |> mlp(2 * C) as mlp
      x *= stage + block + 1
    }
  }
  output y = x
}
"""

BY_HAND = """model M() {
  input x: [B, T, in=3]
  scope a {
    x = linear(x, 4) as grow
    repeat block in 1 {
      x += x |> layer_norm as norm |> mlp(8) as mlp
      x *= block + 1
    }
  }
  scope b {
    x = linear(x, 6) as grow
    repeat block in 2 {
      x += x |> layer_norm as norm |> mlp(12) as mlp
      x *= block + 2
    }
  }
  output y = x
}
"""

WEIGHTS = """
weights M from torch {
  config { depths = depths, widths = hidden_sizes }
  "layers.{s}.grow.weight": [out, in]           <-> stage[s].grow.weight
  "layers.{s}.grow.bias"                        <-> stage[s].grow.bias
  "layers.{s}.blocks.{i}.norm.weight"           <-> stage[s].block[i].norm.scale
  "layers.{s}.blocks.{i}.norm.bias"             <-> stage[s].block[i].norm.shift
  "layers.{s}.blocks.{i}.up.weight": [out, in]  <-> stage[s].block[i].mlp.up.weight
  "layers.{s}.blocks.{i}.up.bias"               <-> stage[s].block[i].mlp.up.bias
  "layers.{s}.blocks.{i}.down.weight": [out, in] <-> stage[s].block[i].mlp.down.weight
  "layers.{s}.blocks.{i}.down.bias"             <-> stage[s].block[i].mlp.down.bias
}
"""


def graph(text: str, **settings: object) -> Graph:
    return elaborate(open_text(text), settings)  # type: ignore[arg-type]


def mistake(text: str) -> str:
    with pytest.raises(AttnError) as raised:
        graph(text)
    return render(raised.value.diagnostics, color=False)


def in_body(body: str, hyperparameters: str = "width=4") -> str:
    return f"model M({hyperparameters}) {{\n  input x: [B, T, width]\n  {body}\n  output y = x\n}}\n"


@pytest.mark.parametrize("backend", ["numpy", "pytorch"])
def test_stages_are_what_is_written_by_hand(backend: str) -> None:
    one, other = attndsl.parse(STAGES), attndsl.parse(BY_HAND)
    names = {"stage.0.": "a.", "stage.1.": "b."}
    rng = np.random.default_rng(0)
    weights = {
        address: rng.normal(size=[axis.size.value(one.graph.sizes) for axis in info.type.axes])
        for info in one.graph.parameters
        for address in info.addresses()
    }
    again = {next(new + name[len(old) :] for old, new in names.items() if name.startswith(old)): array
             for name, array in weights.items()}  # fmt: skip
    given = {"x": rng.normal(size=(2, 3, 3))}
    found = one.program(backend=backend, weights=weights, dtype="float64").run(given)["y"]
    expected = other.program(backend=backend, weights=again, dtype="float64").run(given)["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_addresses_count_on() -> None:
    found = {address: str(info.type) for info in graph(STAGES).parameters for address in info.addresses()}
    assert found["stage.0.grow.weight"] == "float[in=3, out=4]"
    assert found["stage.1.block.1.mlp.up.weight"] == "float[in=6, out=12]"
    assert not any(address.startswith("stage.0.block.1") for address in found)
    assert graph(STAGES, depths=[2, 0]).parameter_count < graph(STAGES, depths=[2, 2]).parameter_count


def test_a_graph_comes_back_from_its_text() -> None:
    text = to_text(graph(STAGES))
    assert to_text(parse_text(text)) == text


def test_weights_speak_of_stages_by_an_index(tmp_path: Path) -> None:
    """Shapes and the number of inner layers differ by stage."""
    from attndsl.running.initial import initial_parameters
    from attndsl.weights import export_huggingface

    model = attndsl.parse(STAGES + WEIGHTS)
    arrays = dict(initial_parameters(model.graph, 3))
    section = open_text(STAGES + WEIGHTS).weights[0]
    export_huggingface(tmp_path, model.graph, arrays, section)
    again = attndsl.parse(STAGES.replace("[1, 2]", "[1]").replace("[4, 6]", "[5]") + WEIGHTS, weights=tmp_path)
    assert again.hyperparameters == {"depths": (1, 2), "widths": (4, 6)}
    given = {"x": np.ones((1, 2, 3), np.float32)}
    expected = model.run(given, backend="numpy", weights=arrays)["y"]
    np.testing.assert_array_equal(again.run(given, backend="numpy")["y"], expected)


def test_a_stage_without_a_line_is_told() -> None:
    text = WEIGHTS.replace("blocks.{i}.norm.bias", "blocks.0.norm.bias").replace(
        "block[i].norm.shift", "block[0].norm.shift"
    )
    from attndsl.weights import check_section

    found = check_section(open_text(STAGES + text).weights[0], graph(STAGES))
    assert [d.code for d in found] == ["E0623"]


@pytest.mark.parametrize(
    ("body", "type"),
    [
        ("y2 = unrolled repeat k in 3 with s = x { s = linear(s, 2 ^ k) as lin }\n  output z = y2", "float[B, T, 4]"),
        ("s = repeat k in [] with s = x { s = linear(s, k) }\n  output z = s", "float[B, T, width]"),
        ("s = unrolled repeat k in n { emit x * k }\n  output z = s", "float[B, T, k=2, width]"),
        ("s = repeat f in [1, 2, 3] { emit mean(x, over=T) * f }\n  output z = s", "float[B, f=3, width]"),
        (
            "C = width\n  unrolled repeat k in 2 {\n    C *= 2\n    x = linear(x, C)\n  }\n  output z = x",
            "float[B, T, 4*width]",
        ),
        ("l = [x]\n  unrolled repeat k in 2 { l = l + [l[k] * 2] }\n  output z = l[2]", "float[B, T, width]"),
        ("repeat f in [gelu, tanh] { x = f(x) }\n  output z = x", "float[B, T, width]"),
        (
            "repeat h in 2 {\n    repeat k, c in [8, width] { x = linear(x, c) as lin }\n  }\n  output z = x",
            "float[B, T, width]",
        ),
        ("layer f = linear(width)\n  unrolled repeat k in 2 { x += f(x) }\n  output z = x", "float[B, T, width]"),
    ],
)
def test_what_it_gives_and_carries(body: str, type: str) -> None:
    model = attndsl.parse(in_body(body, "width=4, n=2"))
    assert str(model.graph.outputs[0].value.type) == type
    assert model.compare(sizes={"B": 2, "T": 3}, gradients=True).ok


@pytest.mark.parametrize(
    ("listed", "one_by_one"),
    [
        ("stack(l, over=part)", "stack(x, 2 * x, over=part)"),
        ("l |> stack(over=part)", "stack(x, 2 * x, over=part)"),
        ("concat(l, over=width -> 2 * width)", "concat(x, 2 * x, over=width -> 2 * width)"),
    ],
)
def test_a_list_stands_for_the_tensors_that_are_joined(listed: str, one_by_one: str) -> None:
    one = graph(in_body(f"l = [x, 2 * x]\n  y = {listed}"))
    other = graph(in_body(f"y = {one_by_one}"))
    text = unlabelled(one)
    assert "concat" in text
    assert text == unlabelled(other)


def test_what_counts_for_each_layer_around_it() -> None:
    """A list by the index of an ordinary repeat: a body for each."""
    text = in_body("repeat h in 2 { repeat c in [[8, width], [width]][h] { x = linear(x, c) as lin } }")
    found = {address: str(info.type) for info in graph(text).parameters for address in info.addresses()}
    assert found["h.0.c.0.lin.weight"] == "float[in=width, out=8]"
    assert found["h.1.c.0.lin.weight"] == "float[in=width, out=width]"
    assert "h.1.c.1.lin.weight" not in found


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("y = repeat c in [2, 3] { emit linear(x, c) }", "`c.0` emits float[B, T, 2] and `c.1` emits float[B, T, 3]"),
        ("repeat k, c in width { x *= 2 }", "only a list has elements, but this is the number"),
        ("unrolled repeat k in T { x *= 2 }", "`T` is not known at compile time"),
        ("repeat k in 2 { x = linear(x, 2 * width) }", "write `unrolled repeat k in …`"),
        ("l = []\n  repeat k in 2 { l = l + [x] }", "`l` is a compile-time list"),
        ("repeat k in [1, 2] {\n    x = linear(x, zz)\n  }", "nothing called `zz`"),
        ("unrolled repeat k in 9000 { x += x |> layer_norm |> mlp(8) }", "the body of `k` is written out 9,000 times"),
        ("unrolled repeat k in 10 ^ 9 { }", "the body of `k` is written out 1,000,000,000 times"),
        ("x *= sum([x])", "`sum` takes a list of numbers, but this one holds a tensor float[B, T, width]"),
        ("x = concat([], over=[T] -> S)", "`concat` takes 1 or more, and this is a list of 0 elements"),
        ("x = stack([], over=S)", "`stack` takes 1 or more, and this is a list of 0 elements"),
        ("y = repeat k in [] { emit x }", "nothing is emitted: the body of `k` is written out 0 times"),
        ("x *= max([relu])", "`max` takes a list of numbers, but this one holds the block `relu`"),
    ],
)
def test_what_is_refused(body: str, says: str) -> None:
    told = list[str]()
    assert steps(lambda: told.append(mistake(in_body(body)))) < 14_000_000  # a second or two
    assert says in told[0]


def test_it_is_drawn_with_a_frame_for_each_round() -> None:
    drawn = attndsl.parse(STAGES).draw(format="dot")
    assert "stage 0" in str(drawn)
    assert "stage 1" in str(drawn)
    assert "stage.1.block" in attndsl.parse(STAGES).source()


SHARED = """block pyramid(sizes)(x: [*, T, D]) -> [*, T, D] {
  unrolled repeat level, c in sizes {
    y = linear(x, c) as up
    repeat b in 2 { y += y |> mlp(c * 2) as mlp }
    x += linear(y, D) as down
  }
  return x
}

model M(width=8) {
  input x: [B, T, width]
  layer f = pyramid([4, 6])
  x = f(x)
  repeat h in 2 {
    x = f(x)
    x = pyramid([3, 5])(x) as own
    repeat g in 2 { x = f(x) / (g + 1) }
  }
  output y = x
}
"""


def test_inside_layers_that_are_shared_and_repeated() -> None:
    model = attndsl.parse(SHARED)
    addresses = [address for info in model.graph.parameters for address in info.addresses()]
    assert "f.level.1.b.0.mlp.up.weight" in addresses
    assert "h.1.own.level.0.b.1.mlp.up.weight" in addresses
    assert model.compare(sizes={"B": 2, "T": 3}, gradients=True).ok
    assert set(model.torch().state_dict()) == set(addresses)


def test_what_relies_on_what_was_required_says_nothing_further() -> None:
    text = """model M(depth=3, hidden=4) {
  require depth > 3 else "only the layers behind the third are joined"
  input x: [B, hidden]
  half = hidden / (depth - 3)
  parts = []
  unrolled repeat layer in half {
    parts = parts + [linear(x, hidden)]
  }
  output y = stack(parts, over=part)
  output z = x + range(B)
}
"""
    with pytest.raises(AttnError) as raised:
        elaborate(open_text(text), {"depth": 2})
    assert [each.code for each in raised.value.diagnostics] == ["E0210"]
    with pytest.raises(AttnError) as raised:
        elaborate(open_text(text.replace("range(B)", "missing")), {"depth": 2})
    assert [each.code for each in raised.value.diagnostics] == ["E0210", "E0101"], "what does not is still said"
