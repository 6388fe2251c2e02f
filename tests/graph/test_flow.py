"""The graph as networkx sees it: every operation once, every operand an edge, and the questions that one asks of it."""

from __future__ import annotations

from pathlib import Path

import networkx
import pytest

from attndsl.elaborate import load, shipped
from attndsl.graph import Graph


def numbers(flow: networkx.MultiDiGraph, kind: str) -> list[int]:
    return [number for number, data in flow.nodes(data=True) if data["kind"] == kind]


@pytest.mark.parametrize("name", sorted(shipped())[:4])
def test_every_operation_and_every_operand_is_there(name: str) -> None:
    graph = load(name)
    flow = graph.to_networkx()
    assert networkx.is_directed_acyclic_graph(flow)
    nodes = list(graph.body.walk())
    operations = [data["kind"] for _, data in flow.nodes(data=True) if "attributes" in data]
    assert operations == [node.op.name for node in nodes]
    bodies = [region for node in nodes for region in node.regions]
    given = sum(len(region.parameters) for region in bodies)
    assert len(numbers(flow, "index")) + len(numbers(flow, "carried")) == given
    carried = given - len(bodies)
    results = sum(len(region.results) for region in bodies)
    operands = sum(len(node.inputs) for node in nodes)
    assert flow.number_of_edges() == operands + carried + results + len(graph.outputs)


def test_numbers_are_the_order_of_computation() -> None:
    flow = load("gpt_nano").to_networkx()
    inside = {number: data["body"] for number, data in flow.nodes(data=True)}
    for source, target in flow.edges():
        assert source < target or inside[source] == target, "only a body's results come after what it belongs to"


SPEC = """
model M(width=4, depth=3) {
  input x: [B, T, width]
  input unused: [B, width]
  repeat h in depth {
    if h % 2 == 0 { x += linear(x, width) } else { x += tanh(x) }
  }
  z = tanh(x)
  output y = z * z
  output s = sum(x, over=T)
}
"""


def graph_of(tmp_path: Path, text: str) -> Graph:
    path = tmp_path / "spec.attn"
    path.write_text(text, encoding="utf-8")
    return load(str(path))


def test_what_one_asks_of_it(tmp_path: Path) -> None:
    flow = graph_of(tmp_path, SPEC).to_networkx()
    named = {data["name"]: number for number, data in flow.nodes(data=True) if data["kind"] in ("input", "output")}
    assert set(named) == {"x", "unused", "y", "s"}
    assert networkx.has_path(flow, named["x"], named["y"])
    assert not networkx.descendants(flow, named["unused"]), "an input that nobody reads"
    (repeat,) = numbers(flow, "repeat")
    assert networkx.immediate_dominators(flow, named["x"])[named["y"]] != named["x"]
    assert {flow.nodes[parameter]["body"] for parameter in numbers(flow, "parameter")} == {repeat}
    cases = {flow.nodes[number]["case"] for number in flow if flow.nodes[number]["body"] == repeat}
    assert cases == {0, 1}


def test_a_value_that_is_read_twice_is_two_edges(tmp_path: Path) -> None:
    flow = graph_of(tmp_path, SPEC).to_networkx()
    square = next(iter(flow.predecessors(next(n for n in numbers(flow, "output") if flow.nodes[n]["name"] == "y"))))
    (tanh,) = flow.predecessors(square)
    assert sorted(data["operand"] for data in flow.get_edge_data(tanh, square).values()) == [0, 1]
    assert flow.get_edge_data(tanh, square)[0]["type"] == "float[B, T, width]"
    assert flow.nodes[square]["line"] == 9
