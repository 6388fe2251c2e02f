"""Attention in blocks means what its mask means, at every length and size of blocks, and computes what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.backends.numpy_reference.evaluator import NumpyProgram
from attndsl.elaborate import load
from attndsl.graph import Graph
from attndsl.passes import optimize
from tests.masks.test_masks import SPEC, Masks

pytestmark = pytest.mark.torch


def graph_of(folder: Path, calls: list[str], spec: str = SPEC) -> Graph:
    path = folder / "spec.attn"
    path.write_text(spec.replace("  output y = CALL", "\n".join(f"  output y{i} = {x}" for i, x in enumerate(calls))))
    return load(str(path))


def inputs_of(graph: Graph, length: int, others: int = 7) -> dict[str, np.ndarray]:
    random = np.random.default_rng(length)
    shapes = {"T": length, "U": others, "B": 2, **graph.sizes}
    arrays = {}
    for info in graph.inputs:
        shape = [axis.size.value(shapes) for axis in info.value.type.axes]
        if info.value.type.dtype == "int":
            arrays[info.name] = np.sort(random.integers(0, 3, shape), -1)
        elif info.value.type.dtype == "bool":
            arrays[info.name] = random.random(shape) < 0.7
        else:
            arrays[info.name] = random.standard_normal(shape)
    return arrays


def agree(graph: Graph, inputs: dict[str, np.ndarray], block: int) -> str:
    """The source with blocks of so many queries, whose outputs and gradients are those of the reference."""
    from attndsl.backends.pytorch import TorchProgram

    mine, meant = TorchProgram(graph, dtype="float64", block=block), NumpyProgram(graph, dtype="float64")
    random = np.random.default_rng(1)
    wanted = meant.run(inputs)
    upstream = {name: random.standard_normal(wanted[name].shape) for name in wanted}
    for found, right in zip(mine.gradients(inputs, upstream), meant.gradients(inputs, upstream), strict=True):
        for name, array in right.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-9, atol=1e-11, err_msg=name)
    return mine.source


@pytest.mark.parametrize(("seed", "size", "length"), [(0, 4, 13), (1, 5, 20), (2, 3, 4), (3, 2, 11)])
@pytest.mark.parametrize("memory", ["x", "memory"])
def test_random_masks(seed, size, length, memory, tmp_path):
    keyed = ("keys(valid)", "document(doc)", "other_document(doc)") if memory == "memory" else ()
    masks = Masks(100 + seed)
    texts = [text for text in (masks.text() for _ in range(30)) if not any(each in text for each in keyed)]
    graph = graph_of(tmp_path, [f"score(x * {i}, {memory}, mask={text})" for i, text in enumerate(texts, 2)])
    source = agree(graph, inputs_of(graph, length), size)
    assert source.count("attend_in_blocks(") > 5


MASKS = [
    "window(3)", "local(4)", "causal & row(5)", "row(4)", "causal & strided(3)", "strided(2) & window(6)",
    "causal & (global(3) | window(4))", "window(4) | global(2)", "prefix(5)", "past_document(doc)", "document(doc)",
    "causal & keys(valid)", "document(doc) & window(4)", "shifted(2) & local(5)", "never | window(2)",
]  # fmt: skip


@pytest.mark.parametrize("size", [1, 4, 16])
def test_shapes_of_masks(size, tmp_path):
    """The masks that people use, with blocks that do not divide the length and one that holds it."""
    graph = graph_of(tmp_path, [f"score(x * {i}, mask={mask})" for i, mask in enumerate(MASKS, 2)])
    source = agree(graph, inputs_of(graph, 15), size)
    assert source.count("= attend_in_blocks(") == len(MASKS), source


@pytest.mark.parametrize("mask", ["window(9)", "causal & strided(4)", "past_document(doc)"])
def test_blocks_are_left_out(mask, tmp_path, monkeypatch):
    """The scores that are computed are counted: they are as few as `share` says, or as the documents."""
    import torch
    import torch.nn.functional as F

    from attndsl.backends.pytorch import TorchProgram

    graph = graph_of(tmp_path, [f"score(x, mask={mask})"])
    inputs = inputs_of(graph, 200)
    counted = []
    original = F.scaled_dot_product_attention

    def counting(q, k, *rest, **options):
        counted.append(q.shape[-2] * k.shape[-2])
        return original(q, k, *rest, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", counting)
    TorchProgram(graph, dtype="float64", block=8).run(inputs)
    monkeypatch.undo()
    most = {"window(9)": (8 + 2 * 8) * 200, "causal & strided(4)": 200 * 200 / 4, "past_document(doc)": 200 * 200 / 2.2}
    assert torch.tensor(counted).sum() <= most[mask] < 200 * 200


HEADS = """
mask past_document(doc: int[B, T])(b in B, q, k) = doc[b, q] == doc[b, k] and k <= q
model M(width=8, heads=4, kv=2) {
  input x: [B, T, width]
  input doc: int[B, T]
  output y = CALL
}
"""
CALLS = [
    "attention(x, heads, mask=window(3), kv_heads=kv)", "attention(x, heads, mask=past_document(doc), kv_heads=kv)",
    "attention(x, heads, mask=window(3), position=bucketed(heads, buckets=8, reach=6))",
    "attention(x, heads, mask=window(3), position=rotary())",
    "attention(x, heads, mask=window(3), cap=2, kv_heads=kv)", "attention(x, heads, mask=causal, sink=true)",
    "attention(x, heads, mask=past_document(doc), sink=true, cap=1.5, kv_heads=kv)",
    "attention(x, heads, mask=window(3), cap=2, position=bucketed(heads, buckets=8, reach=6), scale=0.3)",
    "attention(x, heads, mask=window(5) & strided(2), position=bucketed(heads, buckets=8, reach=6), kv_heads=kv)",
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_with_heads(call, tmp_path):
    graph = graph_of(tmp_path, [f"{call} as a"], HEADS)
    inputs = inputs_of(graph, 11)
    assert "attend_in_blocks(" in agree(graph, inputs, 4)


def test_documents_need_no_order(tmp_path):
    graph = graph_of(tmp_path, ["score(x, mask=document(doc))"])
    inputs = inputs_of(graph, 30)
    inputs["doc"] = np.random.default_rng(0).permuted(inputs["doc"], axis=1)
    agree(graph, inputs, 4)


def test_names_of_the_spec(tmp_path):
    """The functions of a mask are called as nothing in the spec is."""
    spec = """
    model M(width=4) {
      input attends: [B, T, width]
      input keys_near: [B, U, width]
      attends_2 = attends * 2
      near_2 = keys_near + 1
      output y = dot(softmax(dot(attends_2, near_2, over=width), over=U, where=window(3)[q=T, k=U]), near_2, over=U)
      output z = dot(softmax(dot(attends, near_2, over=width), over=U, where=local(2)[q=T, k=U]), near_2, over=U)
    }
    """
    graph = graph_of(tmp_path, [], spec)
    assert agree(graph, inputs_of(graph, 9), 4).count("= attend_in_blocks(") == 2


def test_compiled(tmp_path):
    """In one graph, at several lengths."""
    import torch

    from attndsl.backends.pytorch import TorchProgram

    graph = graph_of(tmp_path, ["score(x, mask=window(5))", "score(x * 2, mask=past_document(doc))"])
    program, meant = TorchProgram(graph, dtype="float64", block=8), NumpyProgram(graph, dtype="float64")
    compiled = torch.compile(program.module, fullgraph=True, backend="aot_eager")
    for length in (20, 27):
        inputs = inputs_of(graph, length)
        found = compiled(**program.tensors(inputs))
        for name, array in meant.run(inputs).items():
            np.testing.assert_allclose(found[name], array, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    "mask", ["window(3)", "causal & strided(3)", "past_document(doc)", "window(3) & (not local(1))"]
)
def test_flex_attention(mask, tmp_path):
    """What is written for CUDA, run by FlexAttention's reference on the CPU (which has no gradient)."""
    import torch

    from attndsl.backends.pytorch.source import write

    call = f"attention(x, heads, head=16, mask={mask}, kv_heads=kv) as a"
    graph, _ = optimize(graph_of(tmp_path, [call], HEADS))
    written = write(graph, device="cuda")
    assert "block_mask=mask" in written.source
    source = written.source.replace("@torch.compile(dynamic=False)\n", "")
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    module = namespace[written.model]().double()
    meant = NumpyProgram(graph, dtype="float64")
    module.load_state_dict({name: torch.from_numpy(array) for name, array in meant.parameters().items()})
    inputs = inputs_of(graph, 21)
    with torch.no_grad():
        found = module(**{name: torch.from_numpy(array) for name, array in inputs.items()})
    np.testing.assert_allclose(found["y0"], meant.run(inputs)["y0"], rtol=1e-9, atol=1e-11)


@pytest.mark.cuda
@pytest.mark.parametrize("mask", ["window(40)", "causal & strided(3)", "past_document(doc)"])
def test_on_cuda(mask, tmp_path):
    """Outputs and gradients by FlexAttention's kernels."""
    from attndsl.backends.pytorch import TorchProgram

    graph = graph_of(tmp_path, [f"attention(x, heads, head=16, mask={mask}, kv_heads=kv) as a"], HEADS)
    mine, meant = TorchProgram(graph, device="cuda"), NumpyProgram(graph)
    mine.load(meant.parameters())
    assert "flex_attention(" in mine.source
    inputs = inputs_of(graph, 300)
    upstream = {"y0": np.random.default_rng(1).standard_normal((2, 300, 8))}
    for found, right in zip(mine.gradients(inputs, upstream), meant.gradients(inputs, upstream), strict=True):
        for name, array in right.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-3, atol=1e-4, err_msg=name)
