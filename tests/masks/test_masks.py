"""What the analysis says of a mask, and that the formula is the mask: element by element at several sizes."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from attndsl.backends.numpy_reference.evaluator import NumpyProgram
from attndsl.elaborate import load
from attndsl.graph import Axis, Graph, Node
from attndsl.masks import MaskDescription, describe_mask
from attndsl.masks.index import All, Formula, Function, Holds, Index, Linear, Negated, Read, Some, Truth
from attndsl.ops import Softmax
from attndsl.passes.rewrite import Rewriter

SPEC = """
mask strict(q, k) = k < q
mask not_later(q, k) = not (k > q)
mask row(side)(q, k) = q // side == k // side
mask near(n)(q, k) = abs(q - k) < n
mask band(n)(q, k) = q - k <= n - 1 and not (q < k)
mask document(doc: int[B, T])(b in B, q, k) = doc[b, q] == doc[b, k]
mask past_document(doc: int[B, T])(b in B, q, k) = doc[b, q] == doc[b, k] and k <= q
mask other_document(doc: int[B, T])(b in B, q, k) = doc[b, q] != doc[b, k]
mask last(n)(q, k) = k >= maximum(q - n, 0) and minimum(k, q) == k
mask never(q, k) = false
block score(mask)(x: [*, T, D], memory: [*, S, D] = x) -> [*, T, D] {
  return dot(softmax(dot(x, memory, over=D), over=S, where=mask[q=T, k=S]), memory, over=S)
}
model M(width=4) {
  input x: [B, T, width]
  input memory: [B, U, width]
  input doc: int[B, T]
  input valid: bool[B, T]
  output y = CALL
}
"""

# mask: (text, facts that hold)
MASKS: dict[str, tuple[str, set[str]]] = {
    "causal": ("k <= q", {"causal", "rows", "band None 0"}),
    "not_later": ("k <= q", {"causal", "rows", "band None 0"}),
    "strict": ("k < q", {"band None -1"}),
    "window(3)": ("k <= q and q - k < 3", {"window 3", "rows", "band 2 0"}),
    "band(3)": ("k <= q and q - k < 3", {"window 3", "rows", "band 2 0"}),
    "causal & window(3)": ("k <= q and q - k < 3", {"window 3", "rows", "band 2 0"}),
    "local(2)": ("k - q < 2 and q - k < 2", {"rows", "band 1 1"}),
    "near(2)": ("k - q < 2 and q - k < 2", {"rows", "band 1 1"}),
    "prefix(2)": ("k < 2 or k <= q", {"rows"}),
    "global(1)": ("k < 1 or q < 1", {"rows"}),
    "row(2)": ("k // 2 == q // 2", {"rows"}),
    "strided(2)": ("(q - k) % 2 == 0 and k <= q", {"rows"}),
    "causal & window(2) | global(1)": ("k < 1 or (k <= q and q - k < 2) or q < 1", {"rows"}),
    "full": ("true", {"rows", "keys"}),
    "never": ("false", {"keys"}),
    "keys(valid)": ("valid[B, k]", {"keys", "data"}),
    "keys(valid) & causal": ("k <= q and valid[B, k]", {"data"}),
    "keys(valid) | causal": ("k <= q or valid[B, k]", {"data", "rows"}),
    "document(doc)": ("doc[B, k] == doc[B, q]", {"data", "rows"}),
    "past_document(doc)": ("doc[B, k] == doc[B, q] and k <= q", {"data", "rows"}),
    "other_document(doc)": ("doc[B, k] != doc[B, q]", {"data"}),
    "last(1)": ("k == min(k, q) and max(0, q - 1) <= k", set()),
}


def graph_of(tmp_path: Path, mask: str, call: str = "score(x, mask=MASK)") -> Graph:
    path = tmp_path / "spec.attn"
    path.write_text(SPEC.replace("CALL", call).replace("MASK", mask))
    return load(str(path))


def described(graph: Graph) -> tuple[MaskDescription, Node, Axis, Axis]:
    facts = Rewriter(graph)
    (softmax,) = [node for node in graph.body.walk() if isinstance(node.op, Softmax)]
    k = softmax.op.over
    q = next(axis for axis in softmax.output.type.axes if axis.name == "T")
    return describe_mask(softmax.inputs[1], facts.producers, q, k, graph.sizes), softmax, q, k


@pytest.mark.parametrize("mask", MASKS)
def test_description(mask, tmp_path):
    text, facts = MASKS[mask]
    found, _, _, _ = described(graph_of(tmp_path, mask))
    held = {name for name, holds in (
        ("causal", found.causal), ("keys", found.keys_only), ("rows", found.rows_never_empty),
        ("data", found.depends_on == "data"),
    ) if holds}  # fmt: skip
    held |= {f"window {found.window}"} if found.window is not None else set()
    held |= {f"band {found.band[0]} {found.band[1]}"} if found.band is not None else set()
    assert (set(found.text.split(" and ")) if "or" not in found.text else found.text) == (
        set(text.split(" and ")) if "or" not in text else text
    )
    assert held == facts


def value_of(item: Formula | Linear, at: dict[str, int], data: dict[str, np.ndarray]) -> int:
    """A formula at one place, worked out by the meaning of its parts."""
    if isinstance(item, Linear):
        total = item.constant.value({})
        for atom, coefficient in item.terms:
            total += coefficient.value({}) * atom_of(atom, at, data)
        return total
    if isinstance(item, Truth):
        return item.value
    if isinstance(item, (All, Some)):
        return (all if isinstance(item, All) else any)(value_of(part, at, data) for part in item.parts)
    if isinstance(item, Negated):
        return not value_of(item.part, at, data)
    if isinstance(item, Holds):
        return atom_of(item.read, at, data)
    difference = value_of(item.difference, at, data)
    return {"<=": difference <= 0, "<": difference < 0, "==": difference == 0, "!=": difference != 0}[item.relation]


def atom_of(atom: Index | Function | Read, at: dict[str, int], data: dict[str, np.ndarray]) -> int:
    if isinstance(atom, Index):
        return at[atom.name]
    if isinstance(atom, Read):
        return data[atom.name][tuple(value_of(index, at, data) for index in atom.indices)]
    arguments = [value_of(argument, at, data) for argument in atom.arguments]
    return {
        "//": lambda a, b: a // b, "%": lambda a, b: a % b, "*": lambda a, b: a * b, "abs": abs, "min": min, "max": max,
        "if": int,
    }[atom.name](*arguments)  # fmt: skip


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("length", [1, 2, 5])
def test_the_formula_is_the_mask(mask, length, tmp_path):
    graph = graph_of(tmp_path, mask)
    found, softmax, _, _ = described(graph)
    dense = dense_mask(graph, softmax, length)
    random = np.random.default_rng(length)
    data = {"doc": random.integers(0, 2, (2, length)), "valid": random.random((2, length)) < 0.5}
    for b, q, k in itertools.product(range(2), range(length), range(length)):
        assert bool(value_of(found.formula, {"B": b, "q": q, "k": k}, data)) == bool(dense[b, q, k])
    if found.rows_never_empty:
        assert dense.any(axis=-1).all()
    if found.keys_only:
        assert (dense == dense[:, :1]).all()


def dense_mask(graph: Graph, softmax: Node, length: int) -> np.ndarray:
    """The mask as [B, T, S], computed by the reference backend."""
    from dataclasses import replace

    from attndsl.graph import OutputInfo

    value = softmax.inputs[1]
    body = replace(graph.body, results=(value,))
    only = replace(graph, outputs=(OutputInfo("mask", value),), body=body)
    random = np.random.default_rng(length)
    inputs = {
        "doc": random.integers(0, 2, (2, length)),
        "valid": random.random((2, length)) < 0.5,
        "x": np.zeros((2, length, 4)),
        "memory": np.zeros((2, 3, 4)),
    }
    dense = NumpyProgram(only, dtype="float64").run(inputs)["mask"]
    names = [axis.name for axis in value.type.axes]
    places = [names.index(name) if name in names else None for name in ("B", "T", "S")]
    order = [place for place in places if place is not None]
    dense = dense.transpose(order)
    for i, place in enumerate(places):
        if place is None:
            dense = np.expand_dims(dense, i)
    return np.broadcast_to(dense, (2, length, length))


def test_other_lengths_are_not_causal(tmp_path):
    """With more keys than queries `k <= q` is the formula, and no flag that aligns the two ends may be set."""
    found, _, q, k = described(graph_of(tmp_path, "causal", "score(x, memory, mask=MASK)"))
    assert q.size != k.size
    assert found.text == "k <= q"
    assert not found.causal
    assert found.rows_never_empty, "the first key is seen by all"
    windowed, _, _, _ = described(graph_of(tmp_path, "window(2)", "score(x, memory, mask=MASK)"))
    assert windowed.window is None
    assert not windowed.rows_never_empty, "a query may lie behind every key"
    strict, _, _, _ = described(graph_of(tmp_path, "strict", "score(x, memory, mask=MASK)"))
    assert not strict.rows_never_empty


MEMORY = """
model M(width=4, M=3) {
  input x: [B, T, width]
  input memory: [B, M, width]
  past = concat(memory, x, over=[M, T] -> S)
  weight = softmax(dot(x, past, over=width), over=S, where=causal[q=T, k=S])
  output y = dot(weight, past, over=S)
}
"""


def test_an_axis_that_starts_before_zero(tmp_path):
    path = tmp_path / "memory.attn"
    path.write_text(MEMORY)
    found, _, q, k = described(load(str(path)))
    assert (str(q.origin), str(k.origin)) == ("0", "-M")
    assert found.text == "k <= q"
    assert not found.causal
    assert found.rows_never_empty
