"""Every shipped spec in ONNX Runtime gives what NumPy gives, as a whole and token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from attndsl.backends.numpy_reference.evaluator import NumpyProgram
from attndsl.comparison import locate, tolerance
from attndsl.comparison.sides import Sides, distance, greatest, largest
from attndsl.diagnostics import AttnError
from attndsl.elaborate import load
from attndsl.graph import Graph
from attndsl.onnx_export import to_onnx
from attndsl.passes.incremental import Derived, derived_by_each
from attndsl.verification.case import Case
from attndsl.verification.reading_on import texts_of
from attndsl.verification.texts import Heard, Texts
from tests.acceptance.test_shipped_specs import NAMES, REDUCED, SIZES, compare, inputs_of, reduced, weights_of
from tests.onnx_export.runtime import OnnxProgram

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

OPEN = {"gpt1": {"head": '"none"'}, "phi3": {"scaling": '"none"'}}
"""What is set otherwise where texts are read on."""


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """`compare` judges ONNX Runtime, whatever backend it is told to."""

    def program(self: Sides, graph: Graph, arrays: dict[str, Any]) -> OnnxProgram:
        return OnnxProgram(graph, dtype="float32", parameters=arrays)

    monkeypatch.setattr(Sides, "judged", program)
    monkeypatch.setattr(locate, "locate", lambda *given: None)  # a file gives nothing but its outputs


@pytest.mark.usefixtures("judged")
@pytest.mark.parametrize("sizes", ["usual", "a single token"])
@pytest.mark.parametrize("name", NAMES)
def test_a_spec_gives_what_it_gives_on_numpy(name: str, sizes: str) -> None:
    graph = reduced(name, 2)
    weights, given = weights_of(graph), inputs_of(graph, SIZES[sizes])
    found = compare(graph, candidate="numpy", dtype="float32", weights=weights, inputs=given)
    assert found.ok, [(row.name, row.absolute, row.tolerance) for row in found.rows if not row.ok]


def kinds(name: str, **options: Any) -> list[str]:
    graph = reduced(name, 2)
    return [node.op_type for node in to_onnx(graph, weights_of(graph), **options).graph.node]


@pytest.mark.parametrize(
    ("name", "kind", "times"),
    [
        ("gpt2", "Attention", 2),  # causal
        ("llama", "Attention", 2),  # in groups
        ("llama", "RMSNormalization", 5),
        ("mistral", "Attention", 2),  # with a mask
        ("t5", "Attention", 6),  # with a bias; none of the source is hidden
        ("gpt2", "LayerNormalization", 5),
        ("gpt2", "Gelu", 2),
        ("dvae", "Conv", 39),
        ("mixtral", "Loop", 6),  # an expert after the other
        ("rnn_lm", "Loop", 2),
    ],
)
def test_what_onnx_has_an_operator_for_is_written_with_it(name: str, kind: str, times: int) -> None:
    assert kinds(name).count(kind) == times


def test_an_older_opset_says_the_same_by_parts() -> None:
    graph = reduced("llama", 2)
    given = {"tokens": inputs_of(graph, SIZES["usual"])["tokens"]}
    older = OnnxProgram(graph, dtype="float32", parameters=weights_of(graph))
    older.opset = 18
    right = OnnxProgram(graph, dtype="float32", parameters=weights_of(graph)).run(given)["logits"]
    np.testing.assert_allclose(older.run(given)["logits"], right, rtol=1e-4, atol=1e-5)
    assert not {"Attention", "RMSNormalization"} & set(kinds("llama", opset=18))


def test_a_file_says_what_its_axes_and_constants_are() -> None:
    graph = reduced("gpt2", 2)
    model = to_onnx(graph, weights_of(graph))
    (tokens,), (logits,) = model.graph.input, model.graph.output
    assert [d.dim_param or d.dim_value for d in tokens.type.tensor_type.shape.dim] == ["B", "T"]
    assert [d.dim_param or d.dim_value for d in logits.type.tensor_type.shape.dim] == ["B", "T", 32]
    names = {tensor.name for tensor in model.graph.initializer}
    assert names >= {address for info in graph.parameters for address in info.addresses()}
    outputs = {name for node in model.graph.node for name in node.output}
    assert {"h.0.attn", "h.1.mlp", "ln_f"} <= outputs


# ---------------------------------------------------------------- token by token


def read_in_pieces(kind: type[NumpyProgram], case: Case, made: Derived, texts: Texts, expected: Any) -> list[Heard]:
    weights = {address: array.astype("float32") for address, array in case.weights.items()}
    source = kind(made.sources, parameters=weights) if made.sources else None
    reader = texts.reader(kind(made.graph, parameters=weights), source, 5)
    return [heard for call in texts.read(reader, expected, np.random.default_rng(0)) for heard in call]


def gap(heard: Sequence[Heard]) -> float:
    return max(distance(each.expected, each.found) for each in heard)


NO_DECODERS = {"bert", "clip", "dalle", "dvae", "elmo", "rnn_tagger", "roberta", "vit"}
OWN_STATES = {"rnn_lm", "transformer_xl"}  # as they are they read a text on, and are compared above


@pytest.mark.parametrize("name", [name for name in REDUCED if name not in OWN_STATES])
def test_a_text_is_read_on(name: str) -> None:
    """In random pieces, row by row, forwards and back; what float32 costs is measured on NumPy."""
    graph = load(name, {**REDUCED[name], **OPEN.get(name, {}), "depth": 2})
    if name in NO_DECODERS:
        with pytest.raises(AttnError) as told:
            derived_by_each(graph)
        assert told.value.diagnostics[0].code == "E0761"
        return
    case = Case(graph)
    for made in derived_by_each(graph):
        assert made.graph is not graph
        texts = texts_of(case, made)
        expected = texts.whole(case.program(graph))
        cost = gap(read_in_pieces(NumpyProgram, case, made, texts, expected))
        heard = read_in_pieces(OnnxProgram, case, made, texts, expected)
        size, around = max(largest(each.expected) for each in heard), greatest(case.weights.values())
        allowed = tolerance.for_output("float32", size, cost, max(around, size), case.work(case.double.sizes))
        assert gap(heard) <= allowed
