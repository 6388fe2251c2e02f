"""Attention through `F.scaled_dot_product_attention`: which of its forms says the same, and how to write it.

Torch takes q [batch, heads, L, E], k [batch, heads, S, E], v [batch, heads, S, Ev]; the language any axes by name. The
plan finds which axis plays which part; what it cannot express (a value without or with several axes of its own, a score
contracted over two axes, …) is left to the decomposition into primitives.

`is_causal=True` makes torch align the diagonal at the top left, whatever the lengths are, so it stands for a mask only
where that mask is exactly "not after the query" between axes of one length and origin. Rows in which a mask allows
nothing are zeros in the language; torch's kernels disagree on them (zeros, or NaN in the gradient), so a mask that may
have such rows goes through the helper `attend`.
"""

from __future__ import annotations

import math

from attndsl import ops
from attndsl.backends.pytorch.expressions import Expr, function, index, number, permuted
from attndsl.backends.pytorch.site import Site
from attndsl.graph import BOOL, FLOAT, FLOAT32, Axis, Type
from attndsl.ops.base import Op


class Sdpa(Op):
    """Attention with its axes sorted by their part. `batch` are the axes that precede [L, S], heads last; `groups` are
    the queries that share a key's head, if there are several; `queries` is None for a single query."""

    name = "torch.sdpa"
    operands = ("q", "k", "v", "where?", "bias?", "sink?")
    contract: Axis
    keys: Axis
    values: Axis
    queries: Axis | None
    batch: tuple[Axis, ...]
    groups: Axis | None
    scale: float
    head: int | None  # the length of `contract` where it is known: torch's own scale is one over its root
    causal: bool
    masked: bool
    biased: bool
    empty_rows: bool  # whether mask and bias may leave a query nothing to attend to
    dropout: float
    cap: float = 0.0
    sunk: bool = False
    blocks: bool = False  # whether the mask is one by blocks of queries (`blocks.BlockMask`)
    flex: bool = False  # and FlexAttention's
    # Where q's heads were taken apart into (key's head, group) and the result's put together again: the axes that they
    # are in q and in the result.
    split: Axis | None = None
    joined: Axis | None = None


class MaskedBias(Op):
    """The bias where the mask is True, else minus infinity."""

    name = "torch.masked_bias"
    noun = "bias"
    operands = ("where", "bias")


def lower_masked_bias(site: Site) -> Expr:
    minus = f"-{site.function.math()}.inf"
    mask, bias = site.tensor(site.align(0), BOOL), site.tensor(site.floating(1, site.align(1)), FLOAT)
    return function("torch.where", mask.text, bias.text, minus)


def plan(
    op: ops.Attention,
    q: Type,
    k: Type,
    v: Type,
    where: Type | None,
    bias: Type | None,
    *,
    head: int | None,
    low: bool,
) -> Sdpa | str:
    """The call that says what `op` says, or why there is none. `head` is the contracted axis's length, if known; `low`
    says that the bias may be -inf."""
    if len(op.contract) != 1:
        return "the score is contracted over several axes"
    dtypes = {q.dtype, k.dtype, v.dtype}
    if FLOAT32 in dtypes or (bias is not None and bias.dtype == FLOAT32):
        return "a query, key, value or bias is float32, which autocast would not leave to torch's call"
    if dtypes != {FLOAT}:
        return "a query, key or value is not of floats"
    (contract,) = op.contract
    # A value's own axis may go by the name of the one that is contracted: by then that is gone.
    shared = {*q.axes, *k.axes} - {contract}
    own = [axis for axis in v.axes if axis != op.over and axis not in shared]
    if len(own) != 1:
        return "the values do not have one axis of their own"
    query_only = [axis for axis in q.axes if axis not in (contract, *k.axes, *v.axes)]
    batch = [axis for axis in q.axes if axis != contract and axis not in query_only]
    batch += [axis for axis in k.axes if axis not in (contract, op.over) and axis not in batch]
    batch += [axis for axis in v.axes if axis not in (op.over, own[0]) and axis not in batch]
    queries = _query_axis(query_only, where, bias)
    groups = None
    others = [axis for axis in query_only if axis != queries]
    if len(others) == 1 and batch and all(batch[-1] in t.axes for t in (q, k, v)):
        groups = others[0]
    else:
        batch += others
    bare = bias is None and not op.cap and not op.sunk
    causal = op.mask.causal and op.mask.queries == queries and bare
    return Sdpa(
        contract,
        op.over,
        own[0],
        queries,
        tuple(batch),
        groups,
        op.scale,
        head,
        causal,
        where is not None and not causal,
        bias is not None,
        low or (where is not None and op.mask.may_be_empty),
        op.dropout,
        op.cap,
        op.sunk,
    )


def fits_flex(op: Sdpa) -> bool:
    """Whether FlexAttention can compute an attention in blocks: it has no dropout, and no kernel for narrow heads."""
    return not (op.dropout or op.biased or op.cap or op.sunk) and op.head is not None and op.head >= 16


def _query_axis(query_only: list[Axis], where: Type | None, bias: Type | None) -> Axis | None:
    """Of the axes that only the query has, the one along which queries differ in what they see."""
    for type in (where, bias):
        if type is not None:
            for axis in reversed(query_only):
                if axis in type.axes:
                    return axis
    return query_only[-1] if query_only else None


def lower_sdpa(site: Site) -> Expr:
    op = site.op
    outer, shared = heads(op)
    own = (*shared, op.groups) if op.groups else shared
    row = (op.queries,) if op.queries else ()
    q = _arranged(site, 0, (outer, (op.split,) if op.split else own, row, (op.contract,)))
    k = _arranged(site, 1, (outer, shared, (op.keys,), (op.contract,)))
    v = _arranged(site, 2, (outer, shared, (op.keys,), (op.values,)))
    slots = (outer, own, row, (op.keys,))
    first = 3 + op.blocks
    rest = [_arranged(site, i, slots, broadcast=True) for i in range(first, len(site.arguments))]
    where = rest.pop(0) if op.masked and not op.blocks else None
    bias = rest.pop(0) if op.biased else None
    sink = _arranged(site, len(site.arguments) - 1, (outer, own, row, ()), broadcast=True) if op.sunk else None

    keywords = []
    if op.causal:
        keywords.append("is_causal=True")
    if op.dropout:
        keywords.append(f"dropout_p={number(op.dropout)} if self.training else 0.0")
    if op.head is None or op.scale != 1 / math.sqrt(op.head):
        keywords.append(f"scale={number(op.scale)}")
    if op.groups:
        keywords.append("enable_gqa=True")
    operands = [q.text, k.text, v.text]
    torchs = "F.scaled_dot_product_attention"
    if op.flex:
        name, operands = site.function.helper("flex_attend"), [*operands, site.arguments[3].text]
    elif op.blocks:
        name = site.function.helper("attend_in_blocks")
        whole = op.biased or op.empty_rows
        one = "score_attention" if op.cap or op.sunk else "attend" if whole else ""
        operands = [site.function.helper(one) if one else torchs, *operands, site.arguments[3].text]
        keywords += [f"cap={number(op.cap)}"] if op.cap else []
        keywords += [f"sink={sink}"] if sink is not None else []
        keywords = ([f"bias={bias}"] if bias is not None else []) + keywords
    elif op.empty_rows and not op.causal:
        name = site.function.helper("attend")
        operands += [where.text] if where is not None else []
        keywords = ([f"bias={bias}"] if bias is not None else []) + keywords
    else:
        name = torchs
        if where is not None or bias is not None:
            keywords.insert(0, f"attn_mask={where or bias}")
    attended = function(name, *operands, *keywords)
    return _restored(site, attended, (outer, (op.joined,) if op.joined else own, row, (op.values,)))


Slots = tuple[tuple[Axis, ...], ...]  # the axes that each of torch's four stands for


def heads(op: Sdpa) -> tuple[tuple[Axis, ...], tuple[Axis, ...]]:
    """Torch's kernels want [batch, heads] before [length, width]: which axes become the one, and which the other."""
    if op.groups is None and len(op.batch) == 1:
        return op.batch, ()
    return op.batch[:-1], op.batch[-1:]


def _arranged(site: Site, i: int, slots: Slots, *, broadcast: bool = False) -> Expr:
    """Operand i with one axis for each slot. What it lacks is expanded, or left to broadcasting where that will do."""
    axes, dtype = site.types[i].axes, site.types[i].dtype
    x = site.tensor(site.arguments[i] if dtype == BOOL else site.floating(i), dtype)
    x = permuted(x, axes, [axis for slot in slots for axis in slot if axis in axes])
    marks: list[str] = []
    lengths: list[str] = []
    merged: list[tuple[int, int]] = []
    for slot in slots:
        if not slot or (broadcast and not any(axis in axes for axis in slot)):
            marks.append("None")
            lengths.append("-1")
            continue
        if len(slot) > 1:
            merged.append((len(marks), len(marks) + len(slot) - 1))
        for axis in slot:
            there = axis in axes or (broadcast and len(slot) == 1)
            marks.append(":" if axis in axes else "None")
            lengths.append("-1" if there else site.function.size(axis.size).text)
    if broadcast and not merged:
        while len(marks) > 2 and marks[0] == "None":  # a mask has rows and columns, if of length 1
            marks.pop(0)
            lengths.pop(0)
    x = index(x, marks) if marks else x
    if any(length != "-1" for length in lengths):
        x = x.call("expand", *lengths)
    for start, end in reversed(merged):
        x = x.call("flatten", str(start), str(end))
    return x


def _restored(site: Site, x: Expr, slots: Slots) -> Expr:
    """[batch, heads, L, Ev] in the layout that the language gives the result."""
    for at, slot in reversed(list(enumerate(slots))):
        if len(slot) > 1:
            x = x.call("unflatten", str(at), site.shape(slot))
    marks = [mark for slot in slots for mark in ([":"] * len(slot) or ["0"])]
    return permuted(index(x, marks), [axis for slot in slots for axis in slot], site.output.axes)
