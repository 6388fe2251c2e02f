"""The claim about attention: whichever kernel a backend takes for it, it gives what the dense mask gives."""

from __future__ import annotations

from collections.abc import Iterator

from attndsl.comparison.measure import Trial
from attndsl.comparison.sides import after_passes
from attndsl.diagnostics import AttnError
from attndsl.graph import Graph
from attndsl.ops import Attention
from attndsl.passes import optimize
from attndsl.running.inputs import example_inputs, example_sizes
from attndsl.running.ways import ATTENTION
from attndsl.verification.case import Case
from attndsl.verification.findings import Finding, claimed
from attndsl.verification.rows import document_inputs, packed_documents
from attndsl.verification.ways import by_ways, held

CLAIM = "every attention kernel = dense mask"
LENGTHS = (40, 24)
"""Of texts, the first that a model takes: so long that windows are left behind, and blocks of queries left out."""


@claimed(CLAIM)
def every_attention(case: Case) -> Iterator[Finding]:
    """Every kernel for attention gives what the dense mask gives, on texts that are longer than windows."""
    found = attentions(case.graph)
    if not found:
        yield Finding(CLAIM, "", reason="there is no attention in it")
        return
    trials = [trial(case, found, dtype) for dtype in ("float64", "float32")]
    yield held(CLAIM, trials[0], after_passes(case.right))
    yield from by_ways(CLAIM, case, ATTENTION, trials)


def attentions(graph: Graph) -> list[Attention]:
    """The attentions that are recognised in a graph."""
    return [node.op for node in optimize(graph)[0].body.walk() if isinstance(node.op, Attention)]


def trial(case: Case, found: list[Attention], dtype: str) -> Trial:
    """The model on texts that are long enough; where there are documents, a row has several."""
    graph = case.graph
    axes = [axis for op in found for axis in (op.mask.queries, op.over) if axis is not None]
    free = dict.fromkeys(name for axis in axes for name in axis.size.symbols if name in graph.free_sizes)
    sizes = dict(case.asked)
    for name in (name for name in free if name not in sizes):
        for length in LENGTHS:
            try:
                example_sizes(graph, {**sizes, name: length})
            except AttnError:
                continue
            sizes[name] = length
            break
    inputs = example_inputs(graph, sizes, case.seed)
    inputs |= {name: packed_documents(inputs[name], case.seed) for name in document_inputs(graph)}
    return Trial(graph, case.right, weights=case.weights, inputs=inputs, gradients=True, dtype=dtype, seed=case.seed)
