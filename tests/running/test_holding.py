"""What follows from inputs that stay the same is computed once, and the results are those of the whole graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from attndsl.elaborate import elaborate, load, open_spec
from attndsl.graph import Graph
from attndsl.graph.verify import verify
from attndsl.running import backends
from attndsl.running.holding import Holding, halves
from attndsl.running.parameters import parameter_shapes

SPEC = """
model Towers(width=4, depth=2) {
  input x: [B, S, width]
  input tokens: int[N, T] optional where T <= 7, tokens < 9
  input last: int[N] optional = T - 1 where last < T
  seen = x
  repeat a in depth { seen += attention(seen, 2) as attn }
  y = embedding(tokens, 9, width) as word + embedding(range(T), 7, width) as place
  repeat b in depth { y += attention(y, 2, mask=causal) as attn }
  param scale: [] = ones
  output scores: [B, N] = exp(scale) * dot(mean(seen, over=S), y[T=last], over=width)
  output shares = softmax(scores, over=N)
  output alone = mean(y, over=T)
  input match: int[B] optional where match < N
  output loss = cross_entropy(scores, match, over=N)
}
"""
HELD = ("tokens", "last")


@pytest.fixture
def graph(tmp_path: Any) -> Graph:
    (tmp_path / "towers.attn").write_text(SPEC)
    return elaborate(open_spec(str(tmp_path / "towers.attn")), {})


def given(rows: int, texts: int, length: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, 9, (texts, length))
    return {"x": rng.normal(size=(rows, 3, 4)).astype(np.float32), "tokens": tokens}


@pytest.mark.parametrize("backend", ["numpy", pytest.param("torch", marks=pytest.mark.torch)])
def test_it_gives_what_the_whole_gives(graph: Graph, backend: str) -> None:
    whole = backends.find(backend).program(graph, seed=3)
    ran: list[str] = []

    def made(part: Graph) -> Any:
        weights = {address: array for address, array in whole.parameters().items() if address in parameter_shapes(part)}
        program = backends.find(backend).program(part, parameters=weights)
        run = program.run
        program.run = lambda *those: ran.append(",".join(info.name for info in part.inputs)) or run(*those)
        return program

    holding, first = Holding(graph, HELD, made), given(2, 3, 5)
    for rows in (first, given(4, 3, 5, 1) | {"tokens": first["tokens"]}, given(1, 2, 4, 2)):
        expected = whole.run(rows, ["scores", "shares"])
        found = holding.run(rows, ["scores"])
        np.testing.assert_allclose(found["scores"], expected["scores"], atol=1e-5)
        np.testing.assert_allclose(holding.run(rows, ["shares"])["shares"], expected["shares"], atol=1e-5)
    assert ran.count("tokens,last") == 4  # for each output and each of two arrays of texts
    assert len(ran) == 10


def test_where_the_graph_is_cut(graph: Graph) -> None:
    before, behind = halves(graph, "scores", HELD)
    for part in (before, behind):
        verify(part)
    assert {info.address for info in before.parameters} == {a for a in parameters(graph) if a[0] in "bwp"}
    assert {info.address for info in behind.parameters} == {a for a in parameters(graph) if a[0] in "as"}
    (edge,) = before.outputs
    assert [info.name for info in behind.inputs] == ["x", "match", edge.name]
    assert str(edge.value.type) == "float[N, width]"
    assert [str(c.left) for c in before.constraints] == ["T"]
    assert not behind.constraints


def test_an_output_of_what_is_held_alone(graph: Graph) -> None:
    before, behind = halves(graph, "alone", HELD)
    assert (len(before.body.nodes) > 0, len(behind.body.nodes)) == (True, 0)


def test_the_towers_of_clip() -> None:
    before, behind = halves(load("clip:nano"), "logits_per_image", ("tokens", "last"))
    assert {info.address.split(".")[0] for info in before.parameters} == {"text"}
    assert {info.address.split(".")[0] for info in behind.parameters} == {"vision", "scale"}


def parameters(graph: Graph) -> set[str]:
    return {info.address for info in graph.parameters}
