"""Rules for fused operators: by the one that ONNX has, where that means the same, else by their parts.

ONNX's `RotaryEmbedding` has no rule: rotation is no operator here, but what a spec says of it.
"""

from __future__ import annotations

import math

from attndsl import ops
from attndsl.graph import Axis
from attndsl.onnx_export.pointwise import Rule
from attndsl.onnx_export.site import OnnxSite, in_order, length_of
from attndsl.records import Frozen
from attndsl.types import BOOL, FLOAT


def by_parts(site: OnnxSite) -> str:
    return site.expanded()


def norm(kind: str) -> Rule:
    """`LayerNormalization`, `RMSNormalization`: over the last axes, with a scale along all of these."""

    def rule(site: OnnxSite) -> str:
        op, x = site.op, site.inputs[0]
        over = x.axes[x.type.rank - len(op.over) :]
        affine = site.inputs[1:]
        fits = op.scaled and set(over) == set(op.over) and all(set(each.axes) == set(over) for each in affine)
        if not fits or not site.writer.can(kind):
            return site.expanded()
        given = [in_order(site, site.as_(1 + i, FLOAT), each.axes, over) for i, each in enumerate(affine)]
        return site.emit(kind, site.floating(), *given, axis=-len(over), epsilon=op.eps)

    return rule


def gelu(site: OnnxSite) -> str:
    if not site.writer.can("Gelu"):
        return site.expanded()
    return site.emit("Gelu", site.floating(), approximate="tanh" if site.op.approximate else "none")


# ---------------------------------------------------------------- attention


def attention(site: OnnxSite) -> str:
    """`Attention` of opset 23. It has no sink, puts its soft cap on what is masked too, and does not say what a query
    with nothing to attend to gets: with one of these, attention is written by its parts."""
    op: ops.Attention = site.op
    sides = _Sides.of(site)
    where, bias, sink = op.extra(*range(3, len(site.inputs)))
    plain = sink is None and not op.cap and not (where is not None and op.mask.may_be_empty)
    causal = op.mask.causal and bias is None
    extra = [] if causal else [i for i in (where, bias) if i is not None]
    if not (plain and sides is not None and site.writer.can("Attention") and sides.take(site, extra)):
        return site.expanded()
    operands = [_four(site, i, parts) for i, parts in enumerate(sides.operands)]
    mask = [_laid(site, i, sides.scores) for i in extra]
    if len(mask) == 2:
        mask = [site.emit("Where", *mask, site.constant(-math.inf))]
    found = site.emit("Attention", *operands, *mask, scale=op.scale, is_causal=int(causal))
    axes = [axis for part in sides.result for axis in part]
    return in_order(site, _apart(site, found, sides.result), axes, site.output.axes)


class _Sides(Frozen):
    """The axes of an attention as ONNX counts them: a batch, heads, queries or keys, and what is summed over. Queries
    that share keys and values in groups are heads of one kind."""

    batch: tuple[Axis, ...]
    heads: tuple[Axis, ...]  # of keys and values
    groups: tuple[Axis, ...]  # of queries, for each of these
    queries: tuple[Axis, ...]
    keys: Axis
    contract: tuple[Axis, ...]
    values: tuple[Axis, ...]

    @staticmethod
    def of(site: OnnxSite) -> _Sides | None:
        """None where the operands are not laid out so: keys have an axis that queries or values lack."""
        op: ops.Attention = site.op
        q, k, v = (tensor.axes for tensor in site.inputs[:3])
        shared = [axis for axis in k if axis not in op.contract and axis != op.over]
        own = [axis for axis in q if axis not in shared and axis not in op.contract]
        queries = op.mask.queries if op.mask.queries in own else own[-1] if own else None
        if not all(axis in q and axis in v for axis in shared) or any(axis in q for axis in v if axis not in shared):
            return None
        return _Sides(
            tuple(shared[:-1]),
            tuple(shared[-1:]),
            tuple(axis for axis in own if axis != queries),
            () if queries is None else (queries,),
            op.over,
            op.contract,
            tuple(axis for axis in v if axis not in shared and axis != op.over),
        )

    @property
    def operands(self) -> tuple[tuple[tuple[Axis, ...], ...], ...]:
        """The four axes of q, of k and of v, each made of some."""
        q = (self.batch, (*self.heads, *self.groups), self.queries, self.contract)
        return (q, *((self.batch, self.heads, (self.keys,), last) for last in (self.contract, self.values)))

    @property
    def result(self) -> tuple[tuple[Axis, ...], ...]:
        return (*self.operands[0][:3], self.values)

    @property
    def scores(self) -> tuple[tuple[Axis, ...], ...]:
        """The four axes of the scores."""
        return (self.batch, (*self.heads, *self.groups), self.queries, (self.keys,))

    def take(self, site: OnnxSite, extra: list[int]) -> bool:
        """Whether what is said of scores has none of the axes that are made of several; and, as ONNX Runtime wants it,
        those of queries and keys."""
        alone = [part[0] for part in self.scores if len(part) == 1]
        said = {axis for i in extra for axis in site.inputs[i].axes}
        return not extra or {*self.queries, self.keys} <= said <= {*alone}


def _four(site: OnnxSite, at: int, parts: tuple[tuple[Axis, ...], ...]) -> str:
    """An operand with four axes, each made of some."""
    name = in_order(site, site.floating(at), site.inputs[at].axes, [axis for part in parts for axis in part])
    if all(len(part) == 1 for part in parts):
        return name
    return site.reshaped(name, [length_of(part) for part in parts])


def _apart(site: OnnxSite, name: str, parts: tuple[tuple[Axis, ...], ...]) -> str:
    """What has four axes, each made of some, with all of these."""
    return name if all(len(part) == 1 for part in parts) else site.reshaped(name, [a for part in parts for a in part])


def _laid(site: OnnxSite, at: int, scores: tuple[tuple[Axis, ...], ...]) -> str:
    """A mask or a bias with as many axes as the scores have."""
    tensor = site.inputs[at]
    name = tensor.name if tensor.type.dtype == BOOL else site.floating(at)
    there = [bool(set(part) & set(tensor.axes)) for part in scores]
    name = in_order(site, name, tensor.axes, [part[0] for part, has in zip(scores, there, strict=True) if has])
    return name if all(there) else site.emit("Unsqueeze", name, site.axes(*[i for i in range(4) if not there[i]]))


RULES: dict[type[ops.Op], Rule] = {
    ops.Attention: attention,
    ops.LayerNorm: norm("LayerNormalization"),
    ops.RMSNorm: norm("RMSNormalization"),
    ops.Gelu: gelu,
    ops.Silu: by_parts,
    ops.TransposedConvolution: by_parts,
    ops.LinearCrossEntropy: by_parts,
}
