"""From a graph to one that torch says shortly: operators that torch has in one call, layers that are objects with their
parameters, and nothing that is not needed. Values stay the same objects; only nodes change."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from attndsl.backends.pytorch.attention import MaskedBias
from attndsl.backends.pytorch.blocks import BlockMask
from attndsl.backends.pytorch.calls import Layer, call_layers
from attndsl.backends.pytorch.epilogues import epilogues
from attndsl.backends.pytorch.memories import SlotIndex, in_place
from attndsl.backends.pytorch.recurrent_kernels import with_kernels
from attndsl.backends.pytorch.rules import RULES, TRACED, by_blocks
from attndsl.backends.pytorch.widening import widened
from attndsl.graph import Graph, Node, Region, Value
from attndsl.passes.ahead import compute_ahead
from attndsl.passes.dce import drop_dead
from attndsl.passes.expand import Expand
from attndsl.passes.hoist import hoist
from attndsl.passes.rewrite import Rewriter
from attndsl.passes.rules import apply
from attndsl.records import dataclass, replace


@dataclass(eq=False)
class Specialized:
    """A graph's body for torch. `layers` has the class of each layer that is called as one (`helpers.LAYERS`), and the
    arguments that it takes besides its parameters."""

    body: Region
    layers: dict[str, Layer]
    wide: frozenset[Value]


def specialize(
    graph: Graph,
    taps: Collection[Value] = (),
    *,
    exact: bool = False,
    device: str = "cpu",
    block: int | None = None,
    plain: bool = False,
    traced: bool = False,
) -> Specialized:
    """The body of `graph`, rewritten for that kind of device. Values in `taps` are still made. If `exact`, it gives
    what its operators mean for infinities and NaN too, and no fused operator is left. `block` is the queries in a block
    of attention, if not as many as suit the device. If `plain`, activations are not parts of products, if `traced`, the
    rules are those of `rules.TRACED`."""
    if exact:
        graph, _ = Expand().run(graph)
    else:
        graph = replace(graph, body=with_kernels(graph.body, taps))
    rewriter = Rewriter(graph, kept=taps)
    if not exact:
        compute_ahead(rewriter, taps)
    apply(rewriter, TRACED if traced else RULES)
    by_blocks(rewriter, block, flex=device == "cuda")
    hoist(rewriter, (MaskedBias, BlockMask, SlotIndex))
    drop_dead(rewriter)
    layers = call_layers(rewriter)
    rewritten = rewriter.finish(named=False)
    body, wide = widened(rewritten.body)
    narrowed = Rewriter(replace(rewritten, body=body), kept=taps)
    if not exact and not plain:
        apply(narrowed, epilogues(wide))
    drop_dead(narrowed)
    finished = narrowed.finish(named=False).body
    return Specialized(finished if exact or taps else in_place(graph, finished), layers, wide)


def any_op(node: Node) -> Any:
    """The node's operator, where its class has been found out already."""
    return node.op
