"""Every shipped spec, at a reduced size: both backends agree at every odd size. `verify` does the rest, in
tests/verification: other precisions, every pass, every kernel."""

from __future__ import annotations

from functools import cache

import pytest

from attndsl.comparison import compare, table
from attndsl.diagnostics import AttnError
from attndsl.elaborate import load, shipped
from attndsl.graph import Graph
from attndsl.sizes import Size

REDUCED = {
    "vocab": 61, "context": 12, "width": 32, "heads": 4, "kv_heads": 2, "head": 6, "hidden": 40,
    "codes": 31, "text": 6, "side": 4, "square": 3, "text_width": 24, "text_heads": 3, "text_hidden": 20, "shared": 10,
}  # fmt: skip
SPECS = tuple(shipped())
NEED_A_LAYER = {"seq2seq"}  # the others are something without layers too


@cache
def _small(spec: str, depth: int) -> Graph:
    """The spec with whatever it has of these hyperparameters reduced, where they are sizes."""
    known = load(spec).sizes
    return load(spec, {name: value for name, value in {**REDUCED, "depth": depth}.items() if name in known})


def _sizes(graph: Graph, batch: int, length: int) -> dict[str, int]:
    """The length for every axis that is not of the batch, or the least that is required of it."""
    least = [(each.left, each.right.value(graph.sizes)) for each in graph.constraints if each.relation == ">="]
    found = {}
    for name in graph.free_sizes:
        required = [limit for size, limit in least if size == Size.symbol(name)]
        found[name] = batch if name == "B" else max(length, *required, 0)
    return found


@pytest.mark.torch
@pytest.mark.parametrize(
    ("spec", "depth", "batch", "length"),
    [
        (spec, *numbers)
        for spec in SPECS
        for numbers in ((0, 2, 5), (1, 1, 1), (1, 1, 12), (3, 3, 1))
        if numbers[0] > 0 or spec not in NEED_A_LAYER
    ],
)
def test_pytorch_agrees_with_numpy(spec, depth, batch, length):
    graph = _small(spec, depth)
    found = compare(graph, gradients=True, dtype="float64", sizes=_sizes(graph, batch, length))
    assert found.ok, table(found)
    assert {row.kind for row in found.rows} >= {"output", "gradient"}


@pytest.mark.parametrize("spec", sorted(NEED_A_LAYER))
def test_what_needs_a_layer_says_so(spec):
    with pytest.raises(AttnError, match="needs a layer"):
        _small(spec, 0)


@pytest.mark.parametrize("spec", SPECS)
def test_every_variant_is_right(spec, attndsl):
    from attndsl.elaborate import open_spec

    names = [f"{spec}:{variant.name.text}" for variant in open_spec(spec).variants]
    done = attndsl("check", spec, *names)
    assert done.code == 0, done.err
    assert len(done.out.splitlines()) == 1 + len(names)
