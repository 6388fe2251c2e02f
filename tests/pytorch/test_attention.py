"""Which forms of attention go to torch's own, how they are written, and that all of them mean what NumPy says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from attndsl import ops
from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.backends.pytorch.backend import BACKEND, SDPA
from attndsl.graph import Axis, Graph, InputInfo, OutputInfo, Type, Value
from attndsl.graph.builder import Builder
from attndsl.masks import Mask, mask_facts
from attndsl.running.inputs import example_inputs
from attndsl.sizes import Size
from tests.samples.devices import ROUNDING, on_each_device
from tests.samples.ops import axes, axis, typed

pytestmark = pytest.mark.torch

Q, K, V = "float B T H D", "float B S=T H D", "float B S=T H D"


@dataclass(frozen=True)
class Form:
    """An attention: its operands, the mask as `key RELATION query + offset` if there is one, and what the source must
    and must not say."""

    name: str
    q: str = Q
    k: str = K
    v: str = V
    mask: tuple[str, int] | None = None
    where: str = ""
    bias: str = ""
    says: tuple[str, ...] = ()
    not_says: tuple[str, ...] = ()
    origin: int = 0

    @property
    def is_torchs_own(self) -> bool:
        """Whether it goes to `F.scaled_dot_product_attention` itself, whatever the kernels."""
        return self.where == self.bias == "" and any("is_causal=" in t or "scaled" in t for t in self.says)


FORMS = [
    Form("plain", says=("scaled_dot_product_attention(", ".transpose(1, 2)"), not_says=("attn_mask", "is_causal")),
    Form("causal", mask=("<=", 0), says=("is_causal=True",), not_says=("attn_mask", "arange", "attend")),
    Form("causal, written the other way", mask=(">=", 0), says=("is_causal=True",), not_says=("attn_mask",)),
    Form("causal but for itself", mask=("<", 0), says=("attend",), not_says=("is_causal",)),
    Form(
        "one step ahead",
        mask=("<=", 1),
        says=("attend_in_blocks(", "F.scaled"),
        not_says=("is_causal", "attn_mask", "attend,"),
    ),
    Form("one step behind", mask=("<=", -1), says=("attend",), not_says=("is_causal",)),
    Form("keys of another length", k="float B S H D", v="float B S H D", mask=("<=", 0), not_says=("is_causal",)),
    Form("keys that start earlier", mask=("<=", 0), origin=-2, not_says=("is_causal",)),
    Form("causal with a bias", mask=("<=", 0), bias="float H T S=T", says=("attend_in_blocks(", "bias=x3")),
    Form("bias over all", bias="float B H T S=T", says=("attend(", "bias=x3")),
    Form("mask from data", where="bool B S=T", says=("attend(", "[:, None, None]")),
    Form("mask from data with a bias", where="bool B S=T", bias="float S=T T", says=("attend(",)),
    Form("mask that is the same everywhere", where="bool", says=("attend(",)),
    Form("mask by the query alone", where="bool T", says=("attend(",)),
    Form("mask by the key alone", where="bool S=T", bias="float", says=("attend(",)),
    Form("mask that differs by head", where="bool H T S=T", says=("attend(",)),
    Form("one head", q="float B T D", k="float B S=T D", v="float B S=T D", says=("[:, None]", "[:, 0]")),
    Form("nothing but positions", q="float T D", k="float S=T D", v="float S=T D", mask=("<=", 0), says=("is_causal",)),
    Form("two batch axes", q="float A B T H D", k="float A B S=T H D", v="float A B S=T H D", says=(".flatten(0, 1)",)),
    Form("grouped queries", q="float B T H G D", mask=("<=", 0), says=("enable_gqa=True", "is_causal=True")),
    Form(
        "grouped queries, mask by group", q="float B T H G D", where="bool G T S=T", says=("enable_gqa=True", "expand")
    ),
    Form("multi-query", k="float B S=T D", v="float B S=T D", says=("scaled_dot_product_attention(",)),
    Form("one query", q="float B H D", says=("scaled_dot_product_attention(",)),
    Form("one query with a mask", q="float B H D", where="bool B S=T", says=("attend(",)),
    Form("queries without a batch", q="float T H D", says=("expand",)),
    Form("values of two axes", v="float B S=T H D R", says=("einsum",), not_says=("scaled_dot",)),
    Form("values of another width", v="float B S=T H R", says=("scaled_dot_product_attention(",)),
]


def _graph(form: Form) -> Graph:
    builder = Builder()
    inputs: list[InputInfo] = []

    def given(type: Type) -> Value:
        value = Value(type)
        inputs.append(InputInfo(f"x{len(inputs)}", value))
        return value

    keys = next(a for a in typed(form.k).axes if a.name == "S")
    queries = next((a for a in typed(form.q).axes if a.name == "T"), axis("T"))
    q, k, v = given(typed(form.q)), given(typed(form.k)), given(typed(form.v))
    if form.origin:
        moved = Axis(keys.name, keys.size, Size.of(form.origin))
        k, v = (builder.emit(ops.Rename(keys, moved), x) for x in (k, v))
        keys = moved
    where = given(typed(form.where)) if form.where else None
    if form.mask is not None:
        relation, offset = form.mask
        key = builder.emit(ops.Range(keys))
        if form.origin:
            key = builder.emit(ops.Add(), key, builder.emit(ops.Constant(form.origin)))
        query = builder.emit(ops.Add(), builder.emit(ops.Range(queries)), builder.emit(ops.Constant(offset)))
        if relation == ">=":
            where = builder.emit(ops.Ge(), query, key)
        else:
            where = builder.emit({"<=": ops.Le, "<": ops.Lt}[relation](), key, query)
    bias = given(typed(form.bias)) if form.bias else None
    facts = ops.MaskFacts()
    if where is not None:
        producers = {value: node for node in builder.nodes for value in node.outputs}
        facts = mask_facts([Mask(where)], producers, [queries], keys)[1]
    op = ops.Attention(axes("D"), keys, 0.3, masked=where is not None, biased=bias is not None, mask=facts)
    result = builder.emit(op, q, k, v, *(x for x in (where, bias) if x is not None))
    values = tuple(info.value for info in inputs)
    sizes = {"H": 2, "D": 4, "G": 3, "R": 5, "A": 2}
    return Graph(
        "Form", {}, sizes, tuple(inputs), (OutputInfo("y", result),), (), (), {}, builder.region(values, (result,))
    )


def _inputs(graph: Graph) -> dict[str, np.ndarray]:
    """Examples in which some rows of a mask allow nothing."""
    inputs = example_inputs(graph, {"S": 7} if "S" in graph.free_sizes else {})
    for array in inputs.values():
        if array.dtype == bool:
            array[0 if array.ndim else ...] = False
    return inputs


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_form(form: Form) -> None:
    from attndsl.backends.pytorch import TorchProgram

    graph = _graph(form)
    inputs = _inputs(graph)
    mine = TorchProgram(graph, dtype="float64")
    forward = mine.source[mine.source.index("def forward") :]
    for text in form.says:
        assert text in forward, forward
    for text in form.not_says:
        assert text not in forward, forward
    meant = NumpyProgram(graph, dtype="float64")
    wanted = meant.run(inputs)["y"]
    np.testing.assert_allclose(mine.run(inputs)["y"], wanted, rtol=1e-12, atol=1e-12)
    upstream = {"y": np.random.default_rng(3).standard_normal(wanted.shape)}
    for name, gradient in meant.gradients(inputs, upstream)[2].items():
        np.testing.assert_allclose(mine.gradients(inputs, upstream)[2][name], gradient, rtol=1e-10, atol=1e-12)


KERNELS = [
    pytest.param(*on.values, name, id=f"{on.id}-{name}", marks=on.marks)
    for on in on_each_device(BACKEND)
    for name in SDPA[on.id]
]


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize(("device", "kernel"), KERNELS)
@pytest.mark.parametrize("form", [form for form in FORMS if form.is_torchs_own], ids=lambda form: form.name)
def test_a_kernel_computes_a_form(form: Form, device: str, kernel: str, dtype: str) -> None:
    """Outputs and gradients, in each dtype, by each kernel of torch; by the plain one where one has no such form."""
    import torch

    from attndsl.backends.pytorch import TorchProgram

    graph = _graph(form)
    mine, meant = TorchProgram(graph, dtype=dtype, device=device, sdpa=kernel), NumpyProgram(graph, dtype="float64")
    inputs = {name: torch.tensor(array).to(mine.torch_dtype).double().numpy() for name, array in _inputs(graph).items()}
    upstream = {"y": np.random.default_rng(3).integers(-2, 3, meant.run(inputs)["y"].shape).astype("float64")}
    outputs, _, gradients = mine.gradients(inputs, upstream)
    wanted, _, slopes = meant.gradients(inputs, upstream)
    for found, right in ((outputs, wanted), (gradients, slopes)):
        for name, array in right.items():
            largest = max(1.0, np.abs(array).max())
            np.testing.assert_allclose(found[name], array, rtol=0, atol=8 * ROUNDING[dtype] * largest, err_msg=name)


def _plain(**options: object) -> Graph:
    q, k = Value(typed(Q)), Value(typed(K))
    builder = Builder()
    result = builder.emit(ops.Attention(axes("D"), axis("S=T"), **options), q, k, k)  # type: ignore[arg-type]
    inputs = (InputInfo("q", q), InputInfo("k", k))
    return Graph(
        "G", {}, {"H": 2, "D": 4}, inputs, (OutputInfo("y", result),), (), (), {}, builder.region((q, k), (result,))
    )


@pytest.mark.parametrize(("scale", "said"), [(0.5, False), (0.25, True)])
def test_scale_is_left_out_where_it_is_torchs_own(scale: float, said: bool) -> None:
    from attndsl.backends.pytorch import generate_source

    assert ("scale=" in generate_source(_plain(scale=scale))) is said


def test_weights_are_dropped_in_training_only() -> None:
    from attndsl.backends.pytorch import TorchProgram

    graph = _plain(scale=0.5, dropout=0.5, site="here")
    program, inputs = TorchProgram(graph), example_inputs(graph)
    quiet = program.run(inputs)["y"]
    np.testing.assert_array_equal(program.run(inputs, seed=1)["y"], quiet)
    first = program.run(inputs, training=True, seed=1, step=3)["y"]
    assert not np.array_equal(first, quiet)
    np.testing.assert_array_equal(program.run(inputs, training=True, seed=1, step=3)["y"], first)
    assert not np.array_equal(program.run(inputs, training=True, seed=1, step=4)["y"], first)


def test_it_is_told_what_torch_has_no_call_for(attndsl, tmp_path) -> None:
    (tmp_path / "m.attn").write_text(
        "model M(width=8) {\n  input x: [B, T, width]\n  output y = attention(x, 2, cap=5)\n"
        "  output z = attention(x, 2, sink=true)\n  output w = attention(x, 2)\n}\n"
    )
    done = attndsl("compile", str(tmp_path / "m.attn"), "--explain")
    told = done.out[done.out.index("computed by its parts on PyTorch") :].splitlines()[1:3]
    assert [line.partition(".attn")[2] for line in told] == [
        ":3 in attention: attention: `F.scaled_dot_product_attention` has no soft cap, and there are no blocks: "
        "there is no mask",
        ":4 in attention_2: attention: `F.scaled_dot_product_attention` has no sink, and there are no blocks: "
        "there is no mask",
    ]
