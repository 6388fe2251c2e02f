"""Every primitive and whole models, laid out over devices that are simulated: what they come to together is what one
comes to, gradients too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_text
from attndsl.graph import Graph
from attndsl.graph.reader import parse_text
from attndsl.graph.text import to_text
from attndsl.graph.verify import verify
from attndsl.layouts import AxisPattern, Layout, Mesh, PlacementRule, choose_layout
from attndsl.layouts.laid_out import LaidOut, lay_out
from attndsl.ops import OPS, Call, Dropout, GroupedDot
from attndsl.passes import optimize
from attndsl.running import backends
from attndsl.running.initial import initial_parameters
from attndsl.running.inputs import example_inputs
from attndsl.running.simulating import simulate
from tests.programs.laid_out import layout_differences
from tests.programs.reading import REFUSED
from tests.programs.writer import Program
from tests.samples.ops import SAMPLES, Sample
from tests.samples.staged import IN_STAGES, STAGED

Arrays = dict[str, np.ndarray]
CLOSE = 1e-10
"""Of the largest element: what another order of the same sums may change in float64."""


def same(found: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray]) -> None:
    assert found.keys() >= right.keys()
    for name, array in right.items():
        scale = float(np.abs(array[np.isfinite(array)]).max(initial=1.0)) if array.dtype.kind == "f" else 1.0
        np.testing.assert_allclose(found[name], array, rtol=CLOSE, atol=CLOSE * scale, err_msg=name)


def held(
    laid_out: LaidOut, inputs: Arrays, parameters: Arrays, *, graph: Graph | None = None, training: bool = True
) -> None:
    """The devices give what one gives, and its gradients."""
    whole = backends.reference().program(laid_out.whole, dtype="float64", parameters=parameters)
    told = {"training": training, "seed": 3, "step": 2}
    draw = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        right = whole.outputs(inputs, None, training, 3, 2)  # type: ignore[attr-defined]
        ups = {name: draw.standard_normal(array.shape) for name, array in right.items() if array.dtype.kind == "f"}
        outputs, by_parameter, by_input = whole.gradients(inputs, ups, tuple(right), **told)
    found = simulate(laid_out, inputs, parameters, ups, tuple(right), graph=graph, timeout=20, **told)
    same(found.outputs, outputs)
    same(found.gradients, by_parameter)
    same(found.by_input, by_input)


# ---------------------------------------------------------------- every primitive


def along_each_axis(sample: Sample) -> Iterator[tuple[str, Mesh]]:
    """The axes of a sample by name, with meshes of one dimension, and of two where these can divide it."""
    found = {axis.name: axis for type in (*sample.types, sample.output) for axis in type.axes}
    for name, axis in found.items():
        length = axis.size.value(sample.sizes)
        count = next((n for n in (2, 3, 5) if length % n == 0), 0)
        if count and length:
            yield name, Mesh((("d", count),))
            rest = next((n for n in (2, 3, 5) if length // count % n == 0), 0)
            if rest:
                yield name, Mesh((("d", count), ("e", rest)))


@pytest.mark.parametrize("name", [name for name, samples in SAMPLES.items() if samples])
def test_a_primitive_is_the_same_on_parts(name: str) -> None:
    """Along each axis of its operands and its result: what is declared of it decides how, and may not be wrong."""
    for sample in SAMPLES[name][: 3 if OPS[name].pointwise else None]:
        graph = sample.graph()
        arrays = {f"x{i}": array for i, array in enumerate(sample.arrays("float64"))}
        for axis, mesh in along_each_axis(sample):
            layout = Layout("l", mesh, tuple(PlacementRule((AxisPattern(axis),), on) for on in mesh.names))
            try:
                laid_out = lay_out(graph, layout)
            except AttnError as refused:  # of several axes that make up one, another cannot be divided so
                if {problem.code for problem in refused.diagnostics} != {"E1004"}:
                    raise
                continue
            verify(laid_out.graph)
            held(laid_out, arrays, {}, training=not isinstance(sample.op, Dropout) or sample.op.p is not None)


def test_combining_is_declared_of_what_goes_over_axes() -> None:
    """What is not said to combine is gathered; those that could combine say so."""
    assert {name for name, op in OPS.items() if op.combines} == {
        *("sum", "mean", "max", "min", "any", "all"), "dot", "scatter_add",
    }  # fmt: skip


# ---------------------------------------------------------------- models

MODEL = """model Tiny(vocab=12, width=8, heads=4, depth=2, p=0.1) {
  input tokens: int[B, T] where tokens < vocab
  layer wte = embedding(vocab, width)
  x = wte(tokens) + embedding(range(T), 16, width) as wpe
  repeat h in depth {
    x += x |> layer_norm as ln_1 |> attention(heads, mask=causal, dropout=p) as attn
    x += x |> layer_norm as ln_2 |> mlp(4 * width) as mlp |> dropout(p)
  }
  output logits = dot(layer_norm(x) as ln_f, wte.table, over=width)
  input targets: int[B, T] optional where targets >= -100, targets < vocab
  output loss = cross_entropy(logits, targets, over=vocab)
}
"""
LAYOUTS = {
    "data": "data=2; B on data; parameters whole",
    "parameters": "data=4; B on data",
    "model": "model=2; heads, 4*width, vocab on model",
    "both": "data=2, model=2; B on data; heads, 4*width, vocab on model",
    "sequence": "data=2, model=4; B on data; heads, 4*width, vocab on model; T on model",
    "context": "data=2, context=2; B on data; T on context",
    "three": "data=2, context=2, model=4; B on data; T on context; heads, 4*width, vocab on model",
    "replicas": "replica=2, data=2; B on replica; B on data; parameters on data",
    "parameters along tokens": "context=4; T on context; parameters on context",
    "rows in parts of rows": "a=2, b=2, model=2; B on b; B on a; heads, 4*width on model",
    "sequence in context": "context=2, model=2; T on context; heads, 4*width, vocab on model; T on model",
    "words on both": "a=2, b=2; vocab, 4*width on b; vocab, 4*width on a; T on a",
    "exchanged": "a=2, b=2; heads, 4*width on a; T on a; T on b",
    "stages": "stages=2; h on stages in 4 microbatches; vocab on stages",
    "replicas in stages": "stages=2, replica=2, data=2; h on stages in 1 microbatches; B on replica; B on data",
    "data in stages": "data=2, stages=2; h on stages; B on data",
    "model in stages": "stages=2, model=2; h on stages; heads, 4*width, vocab on model; T on model; B on stages",
}


def tiny(layout: str) -> LaidOut:
    spec = open_text(MODEL)
    graph = elaborate(spec, {})
    return lay_out(graph, choose_layout(layout, spec, graph))


def parameters_of(graph: Graph) -> Arrays:
    draw = np.random.default_rng(1)
    return {name: array + 0.1 * draw.standard_normal(array.shape) for name, array in initial_parameters(graph, 1)}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("optimised", [False, True], ids=["plain", "optimised"])
def test_a_model_is_the_same_on_many_devices(name: str, *, optimised: bool) -> None:
    """With dropout, whose draws are each device's part of those that one makes."""
    laid_out = tiny(LAYOUTS[name])
    verify(laid_out.graph)
    assert to_text(parse_text(to_text(laid_out.graph))) == to_text(laid_out.graph)
    graph = optimize(laid_out.graph)[0] if optimised else None
    inputs = example_inputs(laid_out.whole, {"B": 4, "T": 8}, seed=2)
    held(laid_out, inputs, parameters_of(laid_out.whole), graph=graph)


DEEP = """model Deep(width=6, depth=4) {
  input x: [B, T, width]
  layer shared = linear(width)
  start = mean(x, over=T)
  seen, load, last = repeat h in depth {
    noise = dropout(x, 0.2)
    at = scan t in T with state = start {
      state = 0.5 * state + noise[T=t] / (h + 1)
      emit state
    }
    x = layer_norm(x + shared(at)) as norm
    total = sum(abs(x), over=[B, T])
    emit max(x, over=T), dropout(linear(shared(total / mean(total, over=width)), 3) as probe, 0.5), mean(x, over=[B, T])
  }
  output y = x
  output peaks = seen
  output share = load
  output means = last
}
"""


@pytest.mark.parametrize(
    "layout", ["stages=2; h on stages in 4 microbatches", "data=2, stages=4; h on stages; B on data"]
)
def test_layers_in_stages_may_do_all_but_take_rows_together(layout: str) -> None:
    """A loop that begins with something from outside, parameters of all layers, the number of the layer, what is
    emitted for each row, as a sum over the rows, and made of such a sum, with parameters and
    with what is drawn."""
    spec = open_text(DEEP)
    graph = elaborate(spec, {})
    laid_out = lay_out(graph, choose_layout(layout, spec, graph))
    verify(laid_out.graph)
    inputs = example_inputs(graph, {"B": 8, "T": 3}, seed=2)
    held(laid_out, inputs, parameters_of(graph))
    held(laid_out, inputs, parameters_of(graph), graph=optimize(laid_out.graph)[0], training=False)


@pytest.mark.parametrize("layout", IN_STAGES)
@pytest.mark.parametrize("name", STAGED)
def test_stages_compute_their_layers_of_what_has_been_through_those_before(name: str, layout: str) -> None:
    """And where a device has nothing to compute, it still does what all devices do together."""
    spec = open_text(STAGED[name])
    graph = elaborate(spec, {})
    laid_out = lay_out(graph, choose_layout(layout, spec, graph))
    verify(laid_out.graph)
    inputs = example_inputs(graph, {"B": 8}, seed=2)
    held(laid_out, inputs, parameters_of(graph))
    held(laid_out, inputs, parameters_of(graph), graph=optimize(laid_out.graph)[0])


def test_what_layers_of_other_kinds_draw_is_the_same_in_stages() -> None:
    """By a probability that is made in them."""
    text = """model M(width=4, depth=4) {
      input x: [B, width]
      input rate: []
      repeat h in depth {
        x += dropout(x |> linear(width) as map, 0.5) if h % 2 == 0 else dropout(x |> mlp(8) as mlp, rate / 2)
      }
      output y = x
    }"""
    spec = open_text(text)
    graph = elaborate(spec, {})
    laid_out = lay_out(graph, choose_layout("stages=2; h on stages", spec, graph))
    inputs = {**example_inputs(graph, {"B": 4}, seed=2), "rate": np.array(0.8)}
    held(laid_out, inputs, parameters_of(graph))


MIXTURE = """model Mixture(width=8, n=4, top=2, hidden=12) {{
  input x: [B, T, width]
  output y = x + (layer_norm(x) |> experts(n, top, mlp(hidden), {capacity}) as moe)
}}
"""


@pytest.mark.parametrize("capacity", ["none", "1.25"])
@pytest.mark.parametrize(
    "layout", ["experts=2; expert on experts", "data=2, experts=4; B on data; expert on experts; T on experts"]
)
def test_experts_are_the_same_on_devices_of_their_own(capacity: str, layout: str) -> None:
    """What is sent of them are elements, never their matrices."""
    spec = open_text(MIXTURE.format(capacity=f"capacity={capacity}"))
    graph = elaborate(spec, {})
    laid_out = lay_out(graph, choose_layout(layout + "; parameters whole", spec, graph))
    matrices = {axis.name for axis in (a for info in graph.parameters for a in info.type.axes)} - {"width"}
    assert not [m for m in laid_out.moves if m.on == "experts" and {"in", "out"} & {a.name for a in m.type.axes}]
    assert {"in", "out"} <= matrices
    inputs = example_inputs(graph, {"B": 2, "T": 8}, seed=2)
    for local in (None, optimize(laid_out.graph)[0]):
        held(laid_out, inputs, parameters_of(graph), graph=local)


@pytest.mark.parametrize("rows", ["", "; B on experts"])
def test_experts_are_the_same_in_stages(rows: str) -> None:
    """The layers of each stage pick for themselves."""
    text = """model M(width=8, n=4, top=2, depth=2) {
      input x: [B, T, width]
      repeat h in depth { x += layer_norm(x) |> experts(n, top, mlp(12)) as moe }
      output y = x
    }"""
    spec = open_text(text)
    graph = elaborate(spec, {})
    laid_out = lay_out(graph, choose_layout(f"stages=2, experts=2; h on stages; expert on experts{rows}", spec, graph))
    inputs = example_inputs(graph, {"B": 4, "T": 3}, seed=2)
    held(laid_out, inputs, parameters_of(graph), graph=optimize(laid_out.graph)[0])


def test_each_device_computes_its_own_experts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the elements that are sent through an expert is multiplied with its matrices on one device."""
    spec = open_text(MIXTURE.format(capacity="capacity=none"))
    graph = elaborate(spec, {})
    laid_out = lay_out(graph, choose_layout("experts=2; expert on experts", spec, graph))
    local = optimize(laid_out.graph)[0]
    products = [node.op for node in local.body.walk() if isinstance(node.op, GroupedDot)]
    assert [op.partial and op.ordered for op in products] == [True] * 2
    groups, rows = GroupedDot._groups, list[int]()

    def counted(self: GroupedDot, call: Call, index: np.ndarray) -> Iterator[tuple[int, slice]]:
        for entry, chosen in groups(self, call, index):
            assert isinstance(chosen, slice)
            rows.append(chosen.stop - chosen.start)
            yield entry, chosen

    monkeypatch.setattr(GroupedDot, "_groups", counted)
    inputs = example_inputs(graph, {"B": 2, "T": 8}, seed=2)
    simulate(laid_out, inputs, parameters_of(graph), graph=local)
    assert sum(rows) == len(products) * 2 * 8 * 2  # B * T * top


@pytest.mark.parametrize("layout", ["data=4; B on data", "data=2, context=2; B on data; T on context"])
def test_elements_of_a_mixture_stay_where_they_are(layout: str) -> None:
    """Nothing but gradients is sent where rows and positions are divided: that they are sorted matters to none."""
    spec = open_text(MIXTURE.format(capacity="capacity=none"))
    graph = elaborate(spec, {})
    laid_out = lay_out(graph, choose_layout(layout + "; parameters whole", spec, graph))
    assert all(move.in_backward for move in laid_out.moves)
    assert not laid_out.warnings
    local = optimize(laid_out.graph)[0]
    assert sum(node.op.name == "grouped_dot" for node in local.body.walk()) == 2
    inputs = example_inputs(graph, {"B": 4, "T": 6}, seed=2)
    for each in (None, local):
        held(laid_out, inputs, parameters_of(graph), graph=each)


def test_positions_are_gathered_once_that_must_be_whole() -> None:
    """For hidden units that lie where they do: before each goes through several experts."""
    spec = open_text(MIXTURE.format(capacity="capacity=none"))
    graph = elaborate(spec, {})
    laid_out = lay_out(graph, choose_layout("model=2; hidden on model; T on model", spec, graph))
    gathered = [move.type for move in laid_out.moves if not move.in_backward and move.collective == "all_gather"]
    assert sum("width" in {axis.name for axis in type.axes} for type in gathered) == 1
    assert not any(axis.name == "top" for type in gathered for axis in type.axes if len(type.axes) > 3)
    held(laid_out, example_inputs(graph, {"B": 2, "T": 6}, seed=2), parameters_of(graph))


def test_where_the_order_of_rows_matters_they_are_sorted() -> None:
    """A running sum over sorted rows is of all of them."""
    text = """model Sorted(width=4) {
      input x: [B, T, width]
      rows = rearrange(x, [B, T] -> [row=B * T])
      order = argsort(sum(rows, over=width), over=row)
      output y = cumsum(take(rows, order, over=row), over=row)
    }"""
    spec = open_text(text)
    graph = elaborate(spec, {})
    laid_out = lay_out(graph, choose_layout("data=2; B on data", spec, graph))
    assert any(move.collective == "all_gather" for move in laid_out.moves)
    held(laid_out, example_inputs(graph, {"B": 2, "T": 3}, seed=2), {})


@pytest.mark.parametrize("first", range(0, 40, 20))
def test_random_programs_are_the_same_laid_out_at_random(first: int) -> None:
    """Or a reason is given why they cannot be. `python scripts/programs.py --layouts` runs more."""
    found = {seed: layout_differences(Program.random(seed)) for seed in range(first, first + 20)}
    wrong = {seed: what for seed, what in found.items() if what not in ([], [REFUSED])}
    assert not wrong, "\n".join(f"{seed}: {what[0]}" for seed, what in wrong.items())
    assert sum(what == [REFUSED] for what in found.values()) < 12
