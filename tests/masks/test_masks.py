"""What the analysis says of a mask, and that the formula and the facts are the mask's: element by element."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from attndsl.backends.numpy_reference.evaluator import NumpyProgram
from attndsl.elaborate import load
from attndsl.graph import Axis, Graph, Node
from attndsl.graph.builder import Builder
from attndsl.masks import Mask, mask_facts
from attndsl.masks.index import Every, Formula, Function, Holds, Index, LinearSum, Negated, Read, Some, Truth
from attndsl.masks.sampled import ALLOWED, FROM_DATA, SampledMask, sampled
from attndsl.ops import Add, Constant, Le, MaskFacts, Range, Softmax
from attndsl.passes import optimize
from attndsl.passes.rewrite import Rewriter
from attndsl.sizes import Size
from tests.costs import less_than

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
mask shifted(c)(q, k) = k <= q + c
mask apart(n, c)(q, k) = (q - k) % n == 0 or abs(q - k) > c
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
    "prefix(2)": ("k < 2 or k <= q", {"rows", "prefix 2"}),
    "global(1)": ("k < 1 or q < 1", {"rows"}),
    "row(2)": ("k // 2 == q // 2", {"rows", "block 2"}),
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


def described(graph: Graph) -> tuple[Formula, MaskFacts, Node, Axis]:
    (softmax,) = [node for node in graph.body.walk() if isinstance(node.op, Softmax)]
    assert isinstance(softmax.op, Softmax)
    producers = Rewriter(graph).producers
    queries = [axis for axis in softmax.output.type.axes if axis.name == "T"]
    formula, facts = mask_facts([Mask(softmax.inputs[1])], producers, queries, softmax.op.over[0], graph.sizes)
    return formula, facts, softmax, queries[0]


def held(facts: MaskFacts) -> set[str]:
    found = {name for name, holds in (
        ("causal", facts.causal), ("keys", facts.keys_only), ("rows", not facts.may_be_empty), ("data", facts.data),
        (f"band {facts.before} {facts.after}", facts.banded), (f"window {facts.window}", facts.window is not None),
        (f"prefix {facts.prefix}", facts.prefix is not None), (f"block {facts.block}", facts.block is not None),
    ) if holds}  # fmt: skip
    return found


@pytest.mark.parametrize("mask", MASKS)
def test_description(mask, tmp_path):
    text, facts = MASKS[mask]
    formula, found, _, _ = described(graph_of(tmp_path, mask))
    shown = str(formula)
    assert (set(shown.split(" and ")) if "or" not in shown else shown) == (
        set(text.split(" and ")) if "or" not in text else text
    )
    assert held(found) == facts


def value_of(item: Formula | LinearSum, at: dict[str, int], data: dict[str, np.ndarray]) -> int:
    """A formula at one place, worked out by the meaning of its parts."""
    if isinstance(item, LinearSum):
        total = item.constant.value({})
        for atom, coefficient in item.terms:
            total += coefficient.value({}) * atom_of(atom, at, data)
        return total
    if isinstance(item, Truth):
        return item.value
    if isinstance(item, (Every, Some)):
        return (all if isinstance(item, Every) else any)(value_of(part, at, data) for part in item.parts)
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
    formula, found, softmax, _ = described(graph)
    check(formula, found, dense_mask(graph, softmax, length), length)


def check(formula: Formula, facts: MaskFacts, dense: np.ndarray, length: int) -> None:
    """That the formula and every fact hold of the mask as [B, T, S], with `length` queries."""
    data = data_of(length)
    for b, q, k in itertools.product(*map(range, dense.shape)):
        assert bool(value_of(formula, {"B": b, "q": q, "k": k}, data)) == bool(dense[b, q, k])
    q, k = np.arange(dense.shape[1])[:, None], np.arange(dense.shape[2])
    if not facts.may_be_empty:
        assert dense.any(axis=-1).all()
    if facts.keys_only:
        assert (dense == dense[:, :1]).all()
    if facts.banded:
        early = True if facts.before is None else q - k <= facts.before.value({})
        late = True if facts.after is None else k - q <= facts.after.value({})
        assert (dense == np.logical_and(early, late)).all()
    if facts.causal:
        assert (dense == (k <= q)).all()
        assert dense.shape[1] == dense.shape[2]
    if facts.prefix is not None:
        assert (dense == ((k < facts.prefix.value({})) | (k <= q))).all()
    if facts.block is not None:
        assert (dense == (q // facts.block.value({}) == k // facts.block.value({}))).all()
    if not facts.data:
        assert (dense == dense[:1]).all()


def check_picture(picture: SampledMask, facts: MaskFacts, dense: np.ndarray) -> None:
    """That each sign of a picture is what the mask [B, T, S] says there, in all rows of a batch alike where it is not
    left to data."""
    assert len(picture.rows) == (1 if facts.queries is None else dense.shape[1])
    for q, row in enumerate(picture.rows):
        assert len(row) == dense.shape[2]
        for k, sign in enumerate(row):
            if sign == FROM_DATA:
                assert facts.data
            else:
                assert (dense[:, q, k] == (sign == ALLOWED)).all()


def test_of_a_long_text_some_places_are_shown(tmp_path):
    graph = graph_of(tmp_path, "window(30)")
    _, _, softmax, queries = described(graph)
    assert isinstance(softmax.op, Softmax)
    sizes = {**graph.sizes, "B": 1, "T": 120, "U": 1}
    picture = sampled(softmax.inputs[1], Rewriter(graph).producers, [queries], softmax.op.over[0], graph.sizes, sizes)
    assert (picture.formula, picture.steps) == ("k <= q and q - k < 30", (3, 3))
    expected = ["".join("01"[k <= q < k + 30] for k in range(0, 120, 3)) for q in range(0, 120, 3)]
    assert list(picture.rows) == expected


class Masks:
    """Random masks, as text."""

    ATOMS = (
        "causal", "full", "window({n})", "local({n})", "prefix({n})", "global({n})", "strided({n})", "keys(valid)",
        "document(doc)", "other_document(doc)", "row({n})", "near({n})", "shifted({c})", "last({n})", "strict", "never",
        "apart({n}, {c})",
    )  # fmt: skip

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def text(self, depth: int = 2) -> str:
        kind = self.random.integers(4)
        if depth == 0 or kind == 0:
            atom = self.ATOMS[self.random.integers(len(self.ATOMS))]
            return atom.format(n=self.random.integers(1, 5), c=self.random.integers(-2, 3))
        if kind == 1:
            return f"(not {self.text(depth - 1)})"
        return f"({self.text(depth - 1)} {'&|'[kind % 2]} {self.text(depth - 1)})"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("memory", ["x", "memory"])
def test_random_masks(seed, memory, tmp_path):
    """Forty masks, between a sequence and itself or another: whatever is said of one is true of its dense form."""
    masks = Masks(seed)
    keyed = {"keys(valid)", "document(doc)", "other_document(doc)"} if memory == "memory" else set()
    texts = [text for text in (masks.text() for _ in range(40)) if not any(each in text for each in keyed)]
    calls = "\n".join(f"  output y{i} = score(x, {memory}, mask={text})" for i, text in enumerate(texts))
    path = tmp_path / "spec.attn"
    path.write_text(SPEC.replace("  output y = CALL", calls))
    graph = load(str(path))
    producers = Rewriter(graph).producers
    known = 0
    for softmax in [node for node in graph.body.walk() if isinstance(node.op, Softmax)]:
        assert isinstance(softmax.op, Softmax)
        queries = [axis for axis in softmax.output.type.axes if axis.name == "T"]
        formula, facts = mask_facts([Mask(softmax.inputs[1])], producers, queries, softmax.op.over[0], graph.sizes)
        dense = dense_mask(graph, softmax, 5)
        check(formula, facts, dense, 5)
        sizes = {**graph.sizes, "B": 2, "T": 5, "U": 3}
        check_picture(
            sampled(softmax.inputs[1], producers, queries, softmax.op.over[0], graph.sizes, sizes), facts, dense
        )
        known += len(held(facts) - {"data"}) > 0
    assert known > 5, "some of them are simple enough for something to be known"


def data_of(length: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(length)
    return {"doc": random.integers(0, 2, (2, length)), "valid": random.random((2, length)) < 0.5}


def dense_mask(graph: Graph, softmax: Node, length: int) -> np.ndarray:
    """The mask as [B, T, S], computed by the reference backend."""
    from dataclasses import replace

    from attndsl.graph import OutputInfo

    value = softmax.inputs[1]
    assert isinstance(softmax.op, Softmax)
    body = replace(graph.body, results=(value,))
    only = replace(graph, outputs=(OutputInfo("mask", value),), body=body)
    inputs = {**data_of(length), "x": np.zeros((2, length, 4)), "memory": np.zeros((2, 3, 4))}
    dense = NumpyProgram(only, dtype="float64").run(inputs)["mask"]
    names = [axis.name for axis in value.type.axes]
    places = [names.index(name) if name in names else None for name in ("B", "T", softmax.op.over[0].name)]
    order = [place for place in places if place is not None]
    dense = dense.transpose(order)
    for i, place in enumerate(places):
        if place is None:
            dense = np.expand_dims(dense, i)
    keys = softmax.op.over[0].size.value({"T": length, "U": 3})
    return np.broadcast_to(dense, (2, length, keys))


def test_other_lengths_are_not_causal(tmp_path):
    """With more keys than queries `k <= q` is the formula, and no flag that aligns the two ends may be set."""
    formula, found, softmax, q = described(graph_of(tmp_path, "causal", "score(x, memory, mask=MASK)"))
    assert q.size != softmax.op.over[0].size  # type: ignore[attr-defined]
    assert str(formula) == "k <= q"
    assert found.banded
    assert not found.causal
    assert not found.may_be_empty, "the first key is seen by all"
    _, windowed, _, _ = described(graph_of(tmp_path, "window(2)", "score(x, memory, mask=MASK)"))
    assert windowed.window is None
    assert windowed.may_be_empty, "a query may lie behind every key"
    _, strict, _, _ = described(graph_of(tmp_path, "strict", "score(x, memory, mask=MASK)"))
    assert strict.may_be_empty


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
    formula, found, softmax, q = described(load(str(path)))
    assert (str(q.origin), str(softmax.op.over[0].origin)) == ("0", "-M")  # type: ignore[attr-defined]
    assert str(formula) == "k <= q"
    assert not found.causal
    assert not found.may_be_empty


def test_equal_lengths_from_other_origins_are_not_aligned():
    builder = Builder()
    queries, keys = Axis("T", Size.symbol("T")), Axis("S", Size.symbol("T"), Size.of(-2))
    k = builder.emit(Add(), builder.emit(Range(keys)), builder.emit(Constant(-2)))
    mask = builder.emit(Le(), k, builder.emit(Range(queries)))
    producers = {value: node for node in builder.nodes for value in node.outputs}
    formula, found = mask_facts([Mask(mask)], producers, [queries], keys)
    assert str(formula) == "k <= q"
    assert found.banded
    assert not found.aligned
    assert not found.causal


def test_what_nobody_would_write_is_read_as_data(tmp_path):
    """A parity over and over doubles with each step, and a long chain is deep: neither is taken apart."""
    chain = "\n".join(f"mask m{i + 1}(q, k) = m{i}(q, k) != (k <= q + {i})" for i in range(40))
    deep = "mask deep(q, k) = k <= q" + "".join(f" and k != q + {i}" for i in range(300))
    path = tmp_path / "spec.attn"
    text = f"mask m0(q, k) = k < q\n{chain}\n{deep}\n{SPEC}"
    path.write_text(text.replace("CALL", "score(x, mask=m40) + score(x, mask=deep)"))
    with less_than(2):
        optimize(load(str(path)))


def test_comparisons_of_floats_are_not_turned_round(tmp_path):
    """Where one side is NaN neither `a <= b` nor `a > b` holds, so a mask of both may leave a row empty."""
    split = "mask split(s: [B, T])(b in B, q, k) = s[b, k] <= s[b, q] or s[b, k] > s[b, q]\n"
    text = split + SPEC
    path = tmp_path / "spec.attn"
    path.write_text(text.replace("CALL", "score(x, mask=split(mean(x, over=width)))"))
    _, found, _, _ = described(load(str(path)))
    assert found.may_be_empty
