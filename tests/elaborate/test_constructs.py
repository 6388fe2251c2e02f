"""What whole families of models are made of, beyond one construct at a time: layers collected and picked from, stacks
in scopes of their own, heads that a hyperparameter chooses, one position for each element of a batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.diagnostics import AttnError
from attndsl.elaborate import load
from attndsl.graph import Graph
from attndsl.running.inputs import example_inputs
from tests.std.meaning import Array, drawn

FEATURES = """
model Features(depth=4, last=2, width=6) {
  input x: [B, T, width]
  layers = repeat layer in depth {
    x = tanh(linear(x, width)) as step
    emit x
  }
  kept = layers[depth=depth - last:depth -> last]
  output every = layers
  output total = sum(kept, over=last)
  output joined = rearrange(kept, [last, width] -> [last * width])
  output second = layers[depth=depth - 2]
}
"""


def graph(text: str, folder: Path, name: str = "model.attn", **settings: str) -> Graph:
    (folder / "model.attn").write_text(text, encoding="utf-8")
    return load(str(folder / name), settings)


def test_features_of_the_last_layers(tmp_path: Path) -> None:
    """Sum and concatenation of the last layers' outputs, each computed by hand from all of them."""
    program = NumpyProgram(graph(FEATURES, tmp_path), dtype="float64")
    found = program.run({"x": drawn(2, 3, 6)})
    every = found["every"]
    assert every.shape == (2, 3, 4, 6)
    assert np.array_equal(found["total"], every[:, :, 2] + every[:, :, 3])
    assert np.array_equal(found["joined"], np.concatenate([every[:, :, 2], every[:, :, 3]], -1))
    assert np.array_equal(found["second"], every[:, :, 2])


@pytest.mark.parametrize(("depth", "last", "wrong"), [("1", "2", "depth-last"), ("0", "1", "depth-last")])
def test_more_layers_than_there_are(depth: str, last: str, wrong: str, tmp_path: Path) -> None:
    with pytest.raises(AttnError) as caught:
        graph(FEATURES, tmp_path, depth=depth, last=last)
    first = caught.value.diagnostics[0]
    assert first.code == "E0209"
    assert f"`{wrong}`" in first.message


@pytest.mark.torch
def test_no_layers_emit_an_empty_axis(tmp_path: Path) -> None:
    from attndsl.comparison import compare

    text = """
model None_(depth=0, width=6) {
  input x: [B, T, width]
  layers = repeat layer in depth {
    x += mlp(x, 8) as mlp
    emit x
  }
  output y = x
  output z = 2 * layers
}
"""
    g = graph(text, tmp_path)
    assert NumpyProgram(g).run({"x": drawn(2, 3, 6)})["z"].shape == (2, 3, 0, 6)
    assert compare(g, gradients=True).ok


ENCODER_DECODER = """
model Pair(vocab=11, depth=2, width=8, heads=2) {
  input source: int[B, S] where source < vocab
  input target: int[B, T] where target < vocab
  input source_valid: bool[B, S]
  layer shared = embedding(vocab, width)
  memory = scope encoder {
    x = shared(source)
    near = bucketed(heads, 8, 16) as distance
    repeat layer in depth {
      x += attention(x, heads, mask=keys(source_valid), position=near) as attn
    }
    return x
  }
  y = scope decoder {
    x = shared(target)
    near = bucketed(heads, 8, 16, bidirectional=false) as distance
    repeat layer in depth + 1 {
      x += attention(x, heads, mask=causal, position=near) as attn
      x += attention(x, memory, heads, mask=keys(source_valid)) as cross
    }
    return x
  }
  output logits = dot(y, shared.table, over=width)
}
"""


def test_two_stacks_share_nothing_but_the_embedding(tmp_path: Path) -> None:
    g = graph(ENCODER_DECODER, tmp_path)
    addresses = [a for info in g.parameters for a in info.addresses()]
    assert [a for a in addresses if a.endswith("table")] == [
        "shared.table",
        "encoder.distance.table",  # one for all layers of a stack
        "decoder.distance.table",
    ]
    assert [a for a in addresses if a.endswith("q.weight")] == [
        "encoder.layer.0.attn.q.weight",
        "encoder.layer.1.attn.q.weight",
        *(f"decoder.layer.{i}.{part}.q.weight" for part in ("attn", "cross") for i in range(3)),
    ]


def test_padding_of_the_source_changes_nothing(tmp_path: Path) -> None:
    """What is not a valid key is not seen, in the encoder or across."""
    program = NumpyProgram(graph(ENCODER_DECODER, tmp_path), dtype="float64")
    rng = np.random.default_rng(0)
    source, target = rng.integers(0, 11, (2, 5)), rng.integers(0, 11, (2, 4))
    short = program.run({"source": source[:, :3], "target": target, "source_valid": np.ones((2, 3), bool)})["logits"]
    valid = np.arange(5) < 3
    padded = {"source": source, "target": target, "source_valid": np.stack([valid, valid])}
    np.testing.assert_allclose(program.run(padded)["logits"], short, atol=1e-12)


def test_causal_and_valid_together(tmp_path: Path) -> None:
    """`causal & keys(valid)`: position t sees the valid ones up to t, compared with NumPy's own mask."""
    text = """
model M(width=4) {
  input x: [B, T, width]
  input valid: bool[B, T]
  output y = uniform_attention(x, valid)
}
block uniform_attention(x: [*, T, D], valid: bool[*, T], memory: [*, S, D] = x) -> [*, T, D] {
  seen = (causal & keys(valid))[q=T, k=S]
  weight = softmax(0 * dot(x, memory, over=D), over=S, where=seen)
  return dot(weight, memory, over=S)
}
"""
    x = drawn(2, 5, 4)
    valid = np.array([[True, True, False, True, True], [False, True, True, True, False]])
    found = NumpyProgram(graph(text, tmp_path), dtype="float64").run({"x": x, "valid": valid})["y"]
    seen = np.tril(np.ones((5, 5), bool)) & valid[:, None, :]
    meant = np.einsum("bts,bsd->btd", seen / np.maximum(seen.sum(-1, keepdims=True), 1), x)
    np.testing.assert_allclose(found, meant, atol=1e-12)


HEADS = """
model Body(vocab=9, width=6, labels=3, head="none", weight=0.5, norm=layer_norm) {
  input tokens: int[B, T] where tokens < vocab
  x = embedding(tokens, vocab, width) |> norm as norm
  output hidden = x
  if head == "classify" {
    input last: int[B] where last < T
    input label: int[B] optional where label < labels
    input targets: int[B, T] optional where targets >= -100, targets < vocab
    logits = linear(x[T=last], labels) as classifier
    output logits = logits
    output same = linear(take(x, last, over=T), labels) as again
    output label_loss = cross_entropy(logits, label, over=labels)
    said = cross_entropy(linear(x, vocab) as lm, targets, over=vocab)
    output token_loss = said
    output loss = said + weight * cross_entropy(logits, label, over=labels)
  } else if head == "tag" {
    input targets: int[B, T] optional where targets >= -100, targets < labels
    output logits = linear(x, labels) as tagger
    output loss = cross_entropy(logits, targets, over=labels)
  } else {
    require head == "none"
  }
}

variant Body:classifier { head="classify", norm=rms_norm(eps=1e-5) }
variant Body:tagger { head="tag" }
"""


def test_a_variant_chooses_the_head(tmp_path: Path) -> None:
    body = graph(HEADS, tmp_path)
    assert [o.name for o in body.outputs] == ["hidden"]
    classifier = graph(HEADS, tmp_path, "model.attn:classifier")
    assert [i.name for i in classifier.inputs] == ["tokens", "last", "label", "targets"]
    needs = {o.name: set(o.needs) for o in classifier.outputs}
    assert needs["logits"] == set()
    assert needs["label_loss"] == {"label"}
    assert needs["loss"] == {"label", "targets"}
    assert "norm.shift" not in {p.address for p in classifier.parameters}  # the other norm, given as text
    tagger = graph(HEADS, tmp_path, "model.attn:tagger")
    assert [o.name for o in tagger.outputs] == ["hidden", "logits", "loss"]
    with pytest.raises(AttnError) as caught:
        graph(HEADS, tmp_path, head='"other"')
    assert [d.code for d in caught.value.diagnostics] == ["E0210"]


def test_one_position_for_each_element_of_the_batch(tmp_path: Path) -> None:
    """`x[T=last]` and `take(x, last, over=T)` are one gather, and two losses add up."""
    g = graph(HEADS, tmp_path, "model.attn:classifier")
    program = NumpyProgram(g, dtype="float64")
    parameters = {info.address: drawn(*_shape(g, info.address), seed=i) for i, info in enumerate(g.parameters)}
    for part in ("weight", "bias"):
        parameters[f"again.{part}"] = parameters[f"classifier.{part}"]
    program.load(parameters)
    rng = np.random.default_rng(1)
    last = np.array([0, 3, 2])
    given = {
        "tokens": rng.integers(0, 9, (3, 4)),
        "last": last,
        "label": np.array([2, 0, 1]),
        "targets": rng.integers(0, 9, (3, 4)),
    }
    found = program.run(given)
    picked = found["hidden"][np.arange(3), last]
    logits = picked @ parameters["classifier.weight"] + parameters["classifier.bias"]
    np.testing.assert_allclose(found["logits"], logits, atol=1e-12)
    np.testing.assert_allclose(found["same"], logits, atol=1e-12)
    shifted = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    np.testing.assert_allclose(found["label_loss"], -shifted[np.arange(3), given["label"]].mean(), atol=1e-12)
    np.testing.assert_allclose(found["loss"], found["token_loss"] + 0.5 * found["label_loss"], atol=1e-12)


def _shape(g: Graph, address: str) -> tuple[int, ...]:
    (info,) = (p for p in g.parameters if p.address == address)
    return tuple(axis.size.value(g.sizes) for axis in info.type.axes)


def test_an_index_beyond_the_axis_is_refused(tmp_path: Path) -> None:
    program = NumpyProgram(graph(HEADS, tmp_path, "model.attn:classifier"))
    tokens: Array = np.zeros((2, 4), np.int64)
    with pytest.raises(AttnError) as caught:
        program.run({"tokens": tokens, "last": np.array([1, 4])})
    assert [d.code for d in caught.value.diagnostics] == ["E0801"]


def test_other_variants_are_held_against_the_defaults(tmp_path: Path) -> None:
    """What is chosen for a hyperparameter without a kind of its own (`none`) binds no variant."""
    text = """
model M(width=4, seen=none, size=2) {
  input x: [B, width]
  output y = x * size
}
variant M:sparse { seen=3 }
variant M:full { seen=causal }
"""
    for chosen in ("causal", "3", "none"):
        assert graph(text, tmp_path, seen=chosen).hyperparameters["width"] == 4
    with pytest.raises(AttnError, match="E0401"):
        graph(text + "variant M:bad { size=causal }\n", tmp_path, seen="3")


LENGTHS = """
model M(width=4, context=4) {
  input x: [B, T, width] where T <= context
  input w: [K]
  past: [B, K - 1, width] = 0.0
  rest: [B, context - T, width] = 1.0
  param extra: [width - 4] = ones
  output joined = concat(past, x, over=[K - 1, T] -> N)
  output filled = concat(x, rest, over=[T, context - T] -> W)
  output total = sum(extra, over=width - 4) + sum(past, over=[B, K - 1, width])
  output behind = x[T=2:]
}
"""


@pytest.mark.torch
@pytest.mark.parametrize("sizes", [{"T": 2, "K": 1}, {"T": 4, "K": 1}, {"T": 4, "K": 3}, {"B": 0, "T": 3, "K": 1}])
def test_a_calculated_length_may_be_nothing(sizes: dict[str, int], tmp_path: Path) -> None:
    from attndsl.comparison import compare

    g = graph(LENGTHS, tmp_path)
    found = NumpyProgram(g).run(example_inputs(g, sizes))
    assert found["joined"].shape[1] == sizes["K"] - 1 + sizes["T"]
    assert found["behind"].shape[1] == sizes["T"] - 2
    assert compare(g, sizes=sizes, gradients=True).ok


@pytest.mark.parametrize(
    ("sizes", "code", "said"),
    [
        ({"T": 1, "K": 1}, "E0211", "2 must be at most `T` (1)"),
        ({"T": 2, "K": 0}, "E0209", "`K-1` (-1) must be at least 0"),
    ],
)
def test_no_length_is_negative(sizes: dict[str, int], code: str, said: str, tmp_path: Path) -> None:
    g = graph(LENGTHS, tmp_path)
    with pytest.raises(AttnError) as caught:
        example_inputs(g, sizes)
    assert [(d.code, d.message) for d in caught.value.diagnostics] == [(code, said)]


JOINED = """
model Joined(width=4, dirs=2) {
  input a: [X, width]
  input b: [Y, width]
  output both: [X, Y, 2 * width] = concat(a, b, over=[width, width] -> 2 * width)
  output pair = concat(a, 2 * a, over=[1, 1] -> dirs)
  output parts = concat(a, 2 * a, over=[1, 1] -> part=2)
  joined = concat(a, b, over=[X, Y] -> K=X + Y)
  output spots: [K, width] = positions(K) + 0 * joined
}
"""


@pytest.mark.torch
def test_a_written_type_lets_concat_combine_every_pair(tmp_path: Path) -> None:
    from attndsl.comparison import compare

    g, a, b = graph(JOINED, tmp_path), drawn(2, 4), drawn(3, 4, seed=1)
    found = NumpyProgram(g, dtype="float64").run({"a": a, "b": b})
    wide = [np.broadcast_to(each, (2, 3, 4)) for each in (a[:, None], b)]
    assert np.array_equal(found["both"], np.concatenate(wide, -1))
    assert found["pair"].shape == (2, 4, 2)
    assert np.array_equal(found["pair"], np.stack([a, 2 * a], -1))
    assert np.array_equal(found["parts"], found["pair"])
    assert np.array_equal(found["spots"][:, 0], [-2, -1, 0, 1, 2])  # as of a name whose size is not written
    assert compare(g, inputs={"a": a, "b": b}, gradients=True).ok
    with pytest.raises(AttnError) as caught:
        graph(JOINED.replace(": [X, Y, 2 * width]", ""), tmp_path)
    assert [d.code for d in caught.value.diagnostics] == ["E0203"]
    with pytest.raises(AttnError) as caught:
        graph(JOINED, tmp_path, dirs="3")
    assert [d.code for d in caught.value.diagnostics] == ["E0206"]


WALKED = """
model Walked(width=4) {
  input first: [T, B, width]
  output a = scan t in T with h: [B, heads=2, width] = 0.0 {
    h = tanh(h + first[T=t])
    emit h
  }
  input second: [B, T, width]
  b, c = scan t in T with h: [B, heads=2, width] = 0.0 {
    h = tanh(h + second[T=t])
    emit h, mean(h, over=B)
  }
  output b = b
  output c = c
  output d = scan t in T { emit second[B=0, T=t] * t }
}
"""


@pytest.mark.torch
def test_what_a_scan_emits_has_its_axis_where_the_sliced_one_stood(tmp_path: Path) -> None:
    from attndsl.comparison import compare

    g, first, second = graph(WALKED, tmp_path), drawn(5, 3, 4), drawn(3, 5, 4, seed=1)
    assert {o.name: str(o.value.type) for o in g.outputs} == {
        "a": "float[T, B, heads=2, width]", "b": "float[B, T, heads=2, width]",
        "c": "float[T, heads=2, width]", "d": "float[T, width]",
    }  # fmt: skip
    found = NumpyProgram(g, dtype="float64").run({"first": first, "second": second})
    h, k = np.zeros((3, 4)), np.zeros((3, 4))
    for t in range(5):
        h, k = np.tanh(h + first[t]), np.tanh(k + second[:, t])
        np.testing.assert_allclose(found["a"][t, :, 1], h)
        np.testing.assert_allclose(found["b"][:, t, 0], k)
        np.testing.assert_allclose(found["c"][t, 0], k.mean(0))
        np.testing.assert_allclose(found["d"][t], second[0, t] * t)
    assert compare(g, inputs={"first": first, "second": second}, gradients=True).ok


def test_a_sum_over_no_layers_is_zero(tmp_path: Path) -> None:
    text = FEATURES.replace("  output total = sum(kept, over=last)\n", "  output total = sum(layers, over=depth)\n")
    text = "\n".join(line for line in text.splitlines() if "kept" not in line and "second" not in line)
    program = NumpyProgram(graph(text.replace(", last=2", ""), tmp_path, depth="0"))
    assert not program.run({"x": drawn(2, 3, 6)})["total"].any()


def test_a_rate_that_depends_on_an_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(AttnError) as caught:
        graph("model M { input x: [B, T]\n output y = dropout(x, 1 / T) }", tmp_path)
    (told,) = caught.value.diagnostics
    assert told.code == "E0404"
    assert "`1 / T` depends on the size of an input" in told.message
