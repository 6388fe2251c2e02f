"""A repeat that is active in some steps alone, as in a layout with stages: who reads it, and who cannot."""

from __future__ import annotations

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_text
from attndsl.graph import Graph, Region
from attndsl.graph.flow import to_networkx
from attndsl.graph.verify import verify
from attndsl.inspection import inspect
from attndsl.ops import Repeat
from attndsl.passes.incremental import derived
from attndsl.records import replace
from attndsl.running import backends

TEXT = """model M(width=4, depth=2, vocab=7) {
  input tokens: int[B, T]
  input on: bool
  x = embedding(tokens, vocab, width) as wte
  repeat h in depth {
    x = 2 * x
  }
  output y = x
}"""


@pytest.fixture
def graph() -> Graph:
    whole = elaborate(open_text(TEXT), {})
    on = next(info.value for info in whole.inputs if info.name == "on")
    nodes = [replace(n, inputs=(*n.inputs, on)) if isinstance(n.op, Repeat) else n for n in whole.body.nodes]
    found = replace(whole, body=Region(whole.body.parameters, tuple(nodes), whole.body.results))
    verify(found)
    return found


def test_its_rounds_run_where_it_is_active(graph: Graph) -> None:
    program = backends.reference().program(graph, dtype="float64", parameters={"wte.table": np.ones((7, 4))})
    tokens = np.zeros((1, 1), np.int64)
    for on, right in ((True, 4), (False, 1)):
        np.testing.assert_array_equal(
            program.run({"tokens": tokens, "on": np.array(on)})["y"], np.full((1, 1, 4), right)
        )


def test_it_is_drawn_with_what_says_whether_it_is_active(graph: Graph) -> None:
    flow = to_networkx(graph)
    (number,) = (number for number, kind in flow.nodes(data="kind") if kind == "repeat")
    assert {each["names"] for _, _, each in flow.in_edges(number, data=True)} >= {("on",)}


def test_who_cannot_say_what_it_does_refuses_it(graph: Graph) -> None:
    with pytest.raises(NotImplementedError, match="active"):
        inspect(graph)
    with pytest.raises(AttnError, match="active in some steps alone"):
        derived(graph, "tokens")


def test_onnx_has_none(graph: Graph) -> None:
    pytest.importorskip("onnx")
    from attndsl.onnx_export import to_onnx

    with pytest.raises(NotImplementedError, match="active"):
        to_onnx(graph, {"wte.table": np.ones((7, 4), np.float32)})
