"""The graph that reads a text on: every way of splitting a text into calls gives what one call gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_spec, open_text
from attndsl.elaborate.spec import shipped as shipped_specs
from attndsl.graph import Graph
from attndsl.graph.reader import parse_text
from attndsl.graph.text import to_text
from attndsl.graph.verify import verify
from attndsl.passes.incremental import derived, incremental, kept, sliding
from attndsl.running import backends
from attndsl.running.reader import Reader
from attndsl.verification.case import Case, moved
from attndsl.verification.reading_on import read_on
from tests.passes.splits import Pair, at_every_position, gap, texts_of

SMALL = {"vocab": 11, "context": 24, "depth": 2, "width": 8}
DECODERS: dict[str, dict[str, Any]] = {
    "gpt1": {"heads": 2},
    "gpt2": {"heads": 2},
    "gpt3": {"heads": 2, "head": 4, "band": 3},
    "gpt_nano": {"heads": 2},
    "gpt_neox": {"width": 16, "heads": 2},
    "llama": {"heads": 4, "kv_heads": 2, "head": 4, "hidden": 12},
    "mistral": {"heads": 4, "kv_heads": 2, "head": 4, "hidden": 12, "band": 3},
    "mixtral": {"heads": 4, "kv_heads": 2, "head": 4, "hidden": 12, "n": 4},
    "phi3": {"width": 16, "heads": 4, "kv_heads": 4, "hidden": 12},
    "gemma3": {"depth": 3, "heads": 4, "kv_heads": 2, "head": 4, "hidden": 12, "band": 3, "pattern": 2, "scalar": 4},
    "deepseek_v3": {
        "depth": 2, "dense": 1, "heads": 2, "head": 4, "turned": 4, "value": 4, "query_rank": 6, "rank": 6,
        "hidden": 12, "expert_hidden": 6, "n": 8, "top": 2, "groups": 4, "top_groups": 2, "original": 8, "rate": 0.01,
    },
}  # fmt: skip


def shipped(name: str) -> Graph:
    known = elaborate(open_spec(name), {}).hyperparameters
    chosen = {**SMALL, **DECODERS[name]}
    return elaborate(open_spec(name), {key: value for key, value in chosen.items() if key in known})


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("name", DECODERS)
def test_shipped_decoders_read_texts_on(name: str, backend: str) -> None:
    pair = Pair(shipped(name), backend)
    verify(pair.incremental)
    assert gap(pair, (13, 20, 1, 9), seed=3) < 1e-9


# ---------------------------------------------------------------- what a model may do along time

MODEL = """
model Small(vocab=7, width=8, heads=2, context=32) {{
  input tokens: int[B, T] where T <= context, tokens < vocab
  {inputs}
  x = embedding(tokens, vocab, width, init=normal(0.5)) as word
  {body}
  output logits = linear(x, vocab, init=normal(0.5)) as head
}}
"""
SPELLED = """
  q = linear(x, width) as q
  k = linear(x, width) as k |> rearrange([T] -> [S])
  v = linear(x, width) as v |> rearrange([T] -> [S])
  score = dot(q, k, over=width) / sqrt(width)
  seen: bool[T, S] = range(S) <= range(T)
  weight = softmax(where(seen, score, -inf), over=S)
  x += dot(weight, v, over=S)
"""
LATENT = """
  c, turned = split(linear(x, 6, bias=false, init=normal(0.6)) as down, over=6 -> [rank=4, two=2])
  up = linear(c |> rms_norm as n, heads * 7, bias=false, init=normal(0.6)) as up
  up = rearrange(up, [T, heads * 7] -> [heads, T, both=7])
  k_plain, v = split(up, over=both -> [plain=3, value=4])
  q = linear(x, heads * 5, init=normal(0.6)) as q |> rearrange([T, heads * 5] -> [heads, T, both=5])
  q_plain, q_turned = split(q, over=both -> [plain=3, two=2])
  turn = TURN
  q = concat(q_plain, turn(q_turned), over=[plain, two] -> each)
  k = concat(k_plain, turn(turned), over=[plain, two] -> each)
  y = attend(q, rearrange(k, [T] -> [S]), rearrange(v, [T] -> [S]), mask=causal)
  x += linear(rearrange(y, [heads, T, value] -> [T, heads * value]), width, init=normal(0.5)) as out
"""
BODIES = {
    "causal": "x += attention(x, heads, mask=causal) as a",
    "spelled by hand": SPELLED,
    "a window": "repeat h in 2 {\n x += attention(x, heads, mask=causal & window(3)) as a\n }",
    "two windows": "x += attention(x, heads, mask=causal & window(2)) as a\n"
    "x += attention(x, heads, mask=causal & window(5)) as b",
    "alibi": "x += attention(x, heads, mask=causal, position=alibi(heads)) as a",
    "alibi in a window": "x += attention(x, heads, mask=causal & window(4), position=alibi(heads)) as a",
    "rotary": "x += attention(x, heads, mask=causal, position=rotary) as a",
    "nothing at all": "x += attention(x, heads, mask=causal & (not window(3)) & window(2)) as a",
    "buckets": "x += attention(x, heads, mask=causal, position=bucketed(heads)) as a",
    "a soft cap": "x += attention(x, heads, mask=causal, cap=3) as a",
    "a sink": "x += attention(x, heads, mask=causal, sink=true) as a",
    "documents": "ends = cumsum(int(tokens == 0), over=T)\nx += attention(x, heads, mask=causal & same(ends)) as a",
    "a head without positions": "x += attention(x, 1, bias=false, mask=causal & window(6), init=normal(0.5)) as a",
    "heads without biases": "x += attention(x, heads, bias=false, mask=causal, init=normal(0.5)) as a",
    "a latent": LATENT.replace("TURN", "rotary"),
    "a latent without a norm, turned in pairs": LATENT.replace(" |> rms_norm as n", "").replace(
        "TURN", "rotary(interleaved=true)"
    ),
    "a running mean": "count = range(T) + 1\n x += cumsum(x, over=T) / count",
    "a scan": "y = scan t in T with h: [B, width] = 0.5 {\n"
    "h = tanh(0.9 * h + linear(x[T=t], width) as step)\n emit h\n}\n x += y",
    "a scan that knows where it is": "y = scan t in T with h: [B, width] = 0.0 {\n"
    "h = 0.9 * h + x[T=t] / (1 + t)\n emit h\n}\n x += y",
    "lstm": "x += recurrent(lstm_cell(width))(x) as r",
    "gru below attention": "x = recurrent(gru_cell(width))(x) as r\n x += attention(x, heads, mask=causal) as a",
    "experts": "x += x |> experts(4, 2, mlp(8)) as e\n x += attention(x, heads, mask=causal) as a",
    "a place table": "x += embedding(range(T), context, width, init=normal(0.5)) as place\n"
    "x += attention(x, heads, mask=causal) as a",
    "a shared layer": "layer f = attention(heads, mask=causal)\n repeat h in 2 {\n x += f(x)\n }",
    "a layer twice": "layer f = attention(heads, mask=causal)\n x += f(x)\n x += f(x)",
    "repeats in repeats": "repeat g in 2 {\n repeat h in 3 {\n x += attention(x, heads, mask=causal) as a\n }\n }",
    "unrolled": "unrolled repeat h in 2 {\n x += attention(x, heads, mask=causal) as a\n }",
    "cases": "repeat h in 4 {\n x += attention(x, heads, mask=causal if h % 2 == 0 else causal & window(3)) as a\n }",
    "a convolution": "x += conv(x, width, 3, before=2, after=0) as c\n x += attention(x, heads, mask=causal) as a",
    "a dilated convolution": "x += depthwise(3, before=4, after=0, dilation=2)(x) as c",
    "windows": "x += mean(windows(x, over=T -> [T, R], size=3, before=2, after=0), over=R)",
    "dropout": "x = dropout(x, 0.5)\n x += attention(x, heads, mask=causal, dropout=0.5) as a",
}


def model(body: str, inputs: str = "") -> Graph:
    return elaborate(open_text(MODEL.format(body=body, inputs=inputs)), {})


RUNNING = {
    "documents", "a running mean", "a scan", "a scan that knows where it is", "lstm", "gru below attention",
    "a convolution", "a dilated convolution", "windows",
}  # fmt: skip
"""What keeps a sum, a state or the last positions only: that does not go back."""


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("what", BODIES)
def test_what_is_causal_is_read_on(what: str, backend: str) -> None:
    pair = Pair(model(BODIES[what]), backend)
    assert bool(pair.reader(1, 17).runs_on) == (what in RUNNING)
    assert gap(pair, (11, 17, 6), seed=5) < 1e-9


@given(st.integers(1, 14), st.data())
@settings(max_examples=25)
def test_every_position_is_as_in_one_call(length: int, data: st.DataObject) -> None:
    what = data.draw(st.sampled_from(["causal", "documents", "a scan", "cases", "a place table"]))
    pair = PAIRS.setdefault(what, Pair(model(BODIES[what])))
    cuts = sorted(data.draw(st.sets(st.integers(1, length), max_size=length)))
    (text,) = texts_of(pair.graph, (length,), seed=length)
    assert at_every_position(pair, text, cuts) < 1e-9


PAIRS: dict[str, Pair] = {}


def test_what_does_not_go_back_says_so() -> None:
    texts = texts_of(model(BODIES["causal"]), (9,), seed=1)
    for what, length in (("a scan", 8), ("a window", 4)):
        reader = Pair(model(BODIES[what])).reader(1, 9, segment=4)
        reader.read(texts)
        with pytest.raises(ValueError, match="go back"):
            reader.go_back([length])


def test_a_window_goes_back_by_less_than_a_call() -> None:
    """What the last token that is left saw is still there: a row that reads nothing new says the same again."""
    pair = Pair(model("x += attention(x, heads, mask=causal & window(2)) as a"))
    texts = texts_of(pair.graph, (6,), seed=1)
    for segment, length in ((3, 4), (2, 5)):
        reader = pair.reader(1, 9, segment=segment)
        said = reader.read([texts[0][:length]])
        reader.read([texts[0][length:]])
        reader.go_back([length])
        assert abs(reader.call([[]], ["logits"])["logits"][:, -1] - said).max() < 1e-9
    reader.read([[1, 2]])
    with pytest.raises(ValueError, match="by 1 tokens at most, and not 2"):
        reader.go_back([length])


def test_what_a_source_alone_says_the_length_of_is_made_with_it() -> None:
    """Numbers and positions along its axis, though nobody reads the source."""
    graph = model("x += 0.1 * sum(range(S) / (S + 1), over=S)", "input source: float[B, S, width]")
    made = derived(graph)
    assert made.sources is not None
    assert [info.name for info in made.sources.own_inputs] == ["source"]
    assert [info.name for info in made.graph.own_inputs] == ["tokens", "new"]


def test_beams_are_rows_in_another_order() -> None:
    pair = Pair(shipped("gemma3"))
    texts = texts_of(pair.graph, (9, 6, 7), seed=1)
    reader = pair.reader(3, 12, 4)
    reader.read(texts)
    reader.choose([2, 0, 2, 1])
    texts = [[*texts[row], token] for row, token in zip([2, 0, 2, 1], [1, 2, 3, 4], strict=True)]
    found = reader.read([text[-1:] for text in texts])
    assert reader.texts == texts
    assert max(abs(f - e[-1]).max() for f, e in zip(found, pair.said(texts), strict=True)) < 1e-9


# ---------------------------------------------------------------- what is kept


def test_what_is_kept_has_named_axes_and_its_layers() -> None:
    assert kept(incremental(elaborate(open_spec("gpt2"), {}))) == [
        "past: int[B]",
        "h.*.attn.keys: float[B, S=C, attn_heads=heads, attn_head=width/heads] in 12 layers",
        "h.*.attn.values: float[B, S=C, attn_heads=heads, attn_value=width/heads] in 12 layers",
    ]
    assert kept(incremental(elaborate(open_spec("deepseek_v3"), {})))[1:] == [
        "layer.*.attn.attend.keys: float[B, S=C, latent=rank+turned] in 61 layers",
    ]  # and not 128 times as many numbers for each head's keys and values
    lines = kept(incremental(shipped("gemma3")))
    assert [(line.partition("S=")[2][0], line.rpartition(" in ")[2]) for line in lines[1:]] == [
        ("W", "2 layers"), ("W", "2 layers"), ("C", "1 layers"), ("C", "1 layers"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "sizes"),
    [
        ("a latent", {"attend.keys": [6]}),
        ("a latent without a norm, turned in pairs", {"attend.keys": [6]}),
        ("a head without positions", {"a.keys": [8]}),
        ("heads without biases", {"a.keys": [2, 4], "a.values": [2, 4]}),  # half the memory, but twice the work
    ],
)
def test_the_narrowest_that_keys_and_values_are_made_of_is_kept(what: str, sizes: dict[str, list[int]]) -> None:
    """Where that makes a query's work no greater than it makes the memory smaller."""
    graph = incremental(model(BODIES[what]))
    found = {
        info.address: sorted(int(a.size.known(graph.sizes)) for a in info.type.axes if a.size.known(graph.sizes))
        for info in graph.states
        if info.address != "past"
    }
    assert found == sizes


def test_a_memory_for_a_window_is_as_long_as_the_window_and_a_call() -> None:
    pair = Pair(shipped("mistral"))
    shapes = {
        length: {name: stack.shape for name, stack in pair.reader(2, length, segment=4).stacks.items()}
        for length in (20, 2000)
    }
    assert shapes[20] == shapes[2000]
    assert shapes[20]["layer.*.attn.keys"][2] == 3 - 1 + 4  # [B, kv_heads, slots, layer, head]
    with pytest.raises(AttnError, match="E0211"):
        pair.part.run({"tokens": np.zeros((1, 5), int)}, states=pair.part.run({"tokens": np.zeros((1, 4), int)}).states)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_memory_for_a_window_is_as_long_as_a_short_text(backend: str) -> None:
    pair = Pair(model("x += attention(x, heads, mask=causal & window(20)) as a"), backend)
    (text,) = texts_of(pair.graph, (9,), seed=1)
    reader = pair.reader(1, 9, segment=4)
    assert sorted(np.asarray(reader.stacks["a.keys"]).shape) == [1, 2, 4, 9]
    for at, expected in enumerate(pair.said([text])[0]):
        assert abs(reader.read([text[at : at + 1]])[0] - expected).max() < 1e-9
    with pytest.raises(ValueError, match="up to 9 tokens"):
        reader.read([[1]])


def test_a_full_memory_takes_no_more() -> None:
    pair = Pair(model(BODIES["causal"]))
    reader = pair.reader(1, 4)
    reader.read([[1, 2, 3, 4]])
    with pytest.raises(AttnError, match="E0801"):
        reader.read([[5]])


def test_states_go_from_call_to_call_by_address() -> None:
    """As those of any model do."""
    graph = incremental(shipped("gpt2"))
    program = backends.find("numpy").program(graph, dtype="float64", seed=1)
    tokens = np.array([[1, 2, 3, 4, 5]])
    states = program.run({"tokens": tokens[:, :3]}).states
    assert sorted(states) == [
        "h.0.attn.keys", "h.0.attn.values", "h.1.attn.keys", "h.1.attn.values", "past",
    ]  # fmt: skip
    with pytest.raises(AttnError, match="E0801"):  # the memories of the first call hold what it read
        program.run({"tokens": tokens[:, 3:]}, states=states)


@pytest.mark.parametrize("name", ["gpt2", "gemma3", "deepseek_v3"])
def test_the_text_of_the_graph_can_be_read_back(name: str) -> None:
    graph = incremental(shipped(name))
    assert to_text(parse_text(to_text(graph))) == to_text(graph)


def test_a_model_that_keeps_states_of_its_rows_reads_on_already() -> None:
    graph = elaborate(open_spec("rnn_lm"), {})
    assert incremental(graph) is graph


# ---------------------------------------------------------------- past the context

BY_PLACES = {"gpt1", "gpt2", "gpt3", "gpt_nano"}
COUNTING = {"a place table", "a running mean", "a scan that knows where it is"}


@pytest.mark.parametrize("name", DECODERS)
def test_the_context_of_a_shipped_decoder_slides_unless_places_count(name: str) -> None:
    assert (sliding(shipped(name), "tokens", ("logits",), 24) is None) == (name in BY_PLACES)


@pytest.mark.parametrize("what", sorted(BODIES))
def test_a_context_slides_unless_places_count(what: str) -> None:
    graph = sliding(model(BODIES[what]), "tokens", ("logits",), 5)
    assert (graph is None) == (what in COUNTING)


ABSOLUTE = {
    "a sinusoid": "x = sinusoidal(x)\nx += attention(x, heads, mask=causal) as a",
    "the first position is seen by all": "x += attention(x, heads, mask=causal & (global(1) | window(3))) as a",
    "chunks": "x += attention(x, heads, mask=causal & blocks) as a",
    "a slope by place": "x += attention(x, heads, mask=causal, position=late) as a",
    "counted": "n = cumsum(1 + 0 * range(T), over=T)\nx += embedding(n, context, width, init=normal(0.5)) as place",
}


@pytest.mark.parametrize(
    "body",
    [
        "all: bool[T, S] = full[q=T, k=S]\n y: float[B, T, width, S] = where(all, x, x)\n x = mean(y, over=S)",
        "y: float[B, T, width, S] = where(seen, x, x)\n x = max(cumsum(y, over=T), over=S)",
    ],
)
def test_what_only_says_how_long_something_is_is_kept(body: str) -> None:
    """Nobody reads the elements of `seen`; how many there are, of which there must be one, is no length of a memory."""
    graph = model(body, "input more: float[B, S, width]\n  input seen: bool[B, S]")
    made = derived(graph)
    assert made.sources is not None
    assert [info.name for info in made.sources.own_inputs] == ["seen"]
    findings = list(read_on(Case(graph)))
    assert findings[0].status == findings[1].status == "OK", findings


OF_PLACES = """
bias late(q, k) = 0.1 * k * q
mask blocks(q, k) = q // 4 == k // 4
"""


@pytest.mark.parametrize("what", ABSOLUTE)
def test_a_context_does_not_slide_where_places_count(what: str) -> None:
    text = OF_PLACES + MODEL.format(body=ABSOLUTE[what], inputs="")
    assert sliding(elaborate(open_text(text), {}), "tokens", ("logits",), 5) is None


@pytest.mark.parametrize("what", ["rotary", "alibi", "buckets", "cases", "documents", "experts", "a latent", "a sink"])
def test_what_slides_sees_the_context_and_is_read_on(what: str) -> None:
    """What one layer says at a place is what it says of the last positions alone."""
    slid = sliding(model(BODIES[what]), "tokens", ("logits",), 5)
    assert slid is not None
    assert not [rule for rule in slid.constraints if "T" in rule.symbols]
    pair = Pair(slid)
    assert gap(pair, (23, 40, 6), seed=5) < 1e-9
    if what in ("rotary", "alibi", "buckets", "a latent", "a sink"):
        (text,) = texts_of(slid, (20,), seed=1)
        plain = Pair(model(BODIES[what]))
        assert abs(pair.said([text])[0][-1] - plain.said([text[-5:]])[0][-1]).max() < 1e-9


# ---------------------------------------------------------------- what is refused

REFUSED = {
    "x += attention(x, heads) as a": ("attention(x, heads)", "come after them"),
    "x += attention(x, heads, mask=local(2)) as a": ("attention(x, heads, mask=local(2))", "up to 1 behind them"),
    "x += attention(x, heads, mask=prefix(3)) as a": ("attention(x, heads, mask=prefix(3))", "come after them"),
    "x -= mean(x, over=T)": ("mean(x, over=T)", "takes positions together, along `T`"),
    "x = x * softmax(x, over=T)": ("softmax(x, over=T)", "takes positions together, along `T`"),
    "x = flip(x, over=T)": ("flip(x, over=T)", "takes positions together, along `T`"),
    "x = recurrent(gru_cell(width), reverse=true)(x)": ("recurrent(gru_cell(width), reverse=true)(x)", "along `T`"),
    "x += conv(x, width, 3, pad=1)": ("conv(x, width, 3, pad=1)", "takes positions together, along `T`"),
    "x -= mean(x, over=B)": ("mean(x, over=B)", "takes the rows of a batch together, along `B`"),
    "x = x / T": ("T", "how long the text is"),
    "x += x |> experts(4, 2, mlp(8), capacity=1.25) as e": ("experts(4, 2, mlp(8), capacity=1.25)", "where depends on"),
}  # fmt: skip


@pytest.mark.parametrize("body", REFUSED)
def test_what_is_not_causal_is_refused_with_its_line_and_the_reason(body: str) -> None:
    at, reason = REFUSED[body]
    with pytest.raises(AttnError) as problem:
        incremental(model(body))
    (found,) = problem.value.diagnostics
    assert found.code == "E0761"
    assert found.primary is not None
    assert at in found.primary.span.text
    assert found.primary.span.line == 6
    assert reason in found.notes[0]


def test_what_attends_to_positions_alone_is_refused() -> None:
    """No memory says how many there are."""
    body = "at = embedding(range(T), context, width)\n x += attend(at, at, at, mask=causal & window(2))"
    with pytest.raises(AttnError) as problem:
        incremental(model(body))
    assert "positions alone are attended to" in problem.value.diagnostics[0].notes[0]


def test_a_model_with_an_input_of_that_name_says_so() -> None:
    with pytest.raises(AttnError, match="E0761"):
        incremental(model("x += attention(x, heads, mask=causal) as a\n x += past", "input past: [B, T, width]"))


# ---------------------------------------------------------------- encoders and decoders

ANSWERING: dict[str, dict[str, Any]] = {
    "transformer": {"heads": 2, "hidden": 12},
    "bart": {"heads": 2, "hidden": 12},
    "t5": {"heads": 2, "head": 4, "hidden": 12},
    "seq2seq": {"source_vocab": 11, "hidden": 8},
}


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("name", ANSWERING)
def test_a_source_is_read_once(name: str, backend: str) -> None:
    known = elaborate(open_spec(name), {}).hyperparameters
    chosen = {**SMALL, "decoder_depth": 2, **ANSWERING[name]}
    source_is_read_once(
        elaborate(open_spec(name), {key: value for key, value in chosen.items() if key in known}), backend
    )


NORMED = """
model Normed(vocab=11, width=8, heads=2) {
  input source: int[B, S]
  input valid: bool[B, S]
  input target: int[B, T]
  memory = embedding(source, vocab, width, init=normal(0.5)) as read |> batch_norm
  y = embedding(target, vocab, width, init=normal(0.5)) as said
  repeat h in 2 {
    y += attention(y, heads, mask=causal) as attn |> batch_norm as norm_1
    y += attention(y, memory, heads, mask=keys(valid)) as cross |> batch_norm as norm_2
  }
  output logits = linear(y, vocab, init=normal(0.5)) as head
}
"""


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_what_all_texts_share_stays_what_training_made_of_it(backend: str) -> None:
    source_is_read_once(elaborate(open_text(NORMED), {}), backend)


def source_is_read_once(graph: Graph, backend: str) -> None:
    made = derived(graph, "target", ("logits",))
    assert made.sources is not None
    verify(made.sources)
    assert [info.name for info in made.sources.own_inputs] == ["source", "valid"]
    assert "source" not in [info.name for info in made.graph.inputs]
    draw, parameters = np.random.default_rng(2), moved(graph, 2)
    whole, step, source = (
        backends.find(name).program(each, dtype="float64", parameters=parameters)
        for name, each in (("numpy", graph), (backend, made.graph), (backend, made.sources))
    )
    given = {"source": draw.integers(0, 11, (3, 7)), "valid": np.arange(7) < np.array([[7], [4], [6]])}
    target = draw.integers(0, 11, (3, 9))
    expected = whole.run({**given, "target": target}, ["logits"])["logits"]
    reader = Reader(step, "target", "logits", 9, rows=3, segment=4, sources=source.run(given))
    read = np.zeros(3, int)
    for steps in ([1, 2, 3], [4, 0, 2], [0, 3, 1], [4, 4, 3]):
        found = reader.read([row[at : at + n].tolist() for row, at, n in zip(target, read, steps, strict=True)])
        read += steps
        np.testing.assert_allclose(found, expected[np.arange(3), read - 1], atol=1e-9)


NOT_READ_ON = {
    "bert": "its queries see positions along `S` that come after them",
    "clip": "it has no input of tokens",
    "dalle": "`picture` is always side^2 long, and a text that goes on is as long as a call says",
    "dvae": "it has no input of tokens",
    "elmo": "no output has the axes of `characters`",
    "rnn_tagger": "`flip` stands in the way: it takes positions together, along `T`",
    "roberta": "its queries see positions along `S` that come after them",
    "vit": "it has no input of tokens",
}
"""What no text goes on in; and `dalle`, whose captions and pictures have lengths of their own."""
READ_ON_ALREADY = {"rnn_lm", "transformer_xl"}


@pytest.mark.parametrize("name", sorted(shipped_specs()))
def test_every_shipped_spec_is_read_on_or_refused_for_a_reason(name: str) -> None:
    graph = elaborate(open_spec(name), {})
    if name in NOT_READ_ON:
        with pytest.raises(AttnError, match="E0761") as problem:
            derived(graph)
        assert NOT_READ_ON[name] in problem.value.diagnostics[0].notes[0]
    else:
        made = derived(graph)
        assert (made.graph is graph) == (name in READ_ON_ALREADY)
        assert (made.sources is not None) == (name in ANSWERING)
        assert name in {*DECODERS, *ANSWERING, *READ_ON_ALREADY}
