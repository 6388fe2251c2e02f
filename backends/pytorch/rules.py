"""What torch says in one call, as rules: each finds nodes that an operator of `special.py` (or `Sdpa`) stands for."""

from __future__ import annotations

from collections.abc import Iterator

from attndsl import ops
from attndsl.backends.pytorch import attention, convolution, recurrent_kernels
from attndsl.backends.pytorch.blocks import BlockMask, block_mask, in_words, tensors
from attndsl.backends.pytorch.lowerings import LOWERINGS
from attndsl.backends.pytorch.memories import SlotIndex, slot_index
from attndsl.backends.pytorch.special import Embedding, GroupedLinear, Linear, Relu
from attndsl.graph import BOOL, FLOAT, Axis, Graph, Node, Type, Value
from attndsl.graph.builder import Builder
from attndsl.ops.base import Op
from attndsl.ops.convolution import Sliding
from attndsl.passes.algebra import Algebra
from attndsl.passes.base import Miss, Refusal, Rewrite, rewritten
from attndsl.passes.expand import expanded
from attndsl.passes.rewrite import Rewriter
from attndsl.passes.rules import Found, Match, Put, Rule, simple
from attndsl.records import replace


def only_use(algebra: Algebra, value: Value, *kinds: type[Op]) -> Node | None:
    """The node that makes `value`, if it is of these kinds and nothing reads it but what is looked at; renames between
    them are passed over."""
    node = algebra.producers.get(value)
    while node is not None and isinstance(node.op, ops.Rename) and algebra.rewriter.used_once(value):
        value = node.inputs[0]
        node = algebra.producers.get(value)
    return node if node is not None and isinstance(node.op, kinds) and algebra.rewriter.used_once(value) else None


def _untransposed(algebra: Algebra, value: Value) -> Value:
    node = algebra.made_by(value, ops.Transpose)
    return value if node is None else node.inputs[0]


def _linear(algebra: Algebra, node: Node) -> Found:
    """dot(x, matrix) over x's last axis."""
    match node:
        case Node(op=ops.Dot((over,)), inputs=(x, Value(Type("float", (_, _) as axes)))) if over in axes:
            (out,) = (axis for axis in axes if axis != over)
            if x.type.dtype == FLOAT and x.type.axes[-1:] == (over,) and out not in x.type.axes:
                return Put(Linear(out_first=axes[0] == out), node.inputs, inferred=False)
    return None


def _biased(algebra: Algebra, node: Node) -> Found:
    """A linear layer plus a vector along what it gives."""
    for product, bias in (node.inputs, node.inputs[::-1]):
        match only_use(algebra, product, Linear):
            case Node(op=linear, inputs=(x, weight), scope=scope) if (
                bias.type == Type(FLOAT, product.type.axes[-1:]) and node.output.type == product.type
            ):
                return Put(linear, (x, weight, bias), inferred=False, scope=scope)
    return None


def _embedding(algebra: Algebra, node: Node) -> Found:
    """Rows of a matrix."""
    match node:
        case Node(op=ops.Take(over), inputs=(Value(Type("float", (first, second))), at)) if first == over:
            return None if second in at.type.axes else Put(Embedding(), node.inputs, inferred=False)
    return None


def _grouped(algebra: Algebra, node: Node, *, traced: bool = False) -> Found:
    """Products by group, with the axes that are alike made one: rows, what is summed over, and what a matrix gives."""
    op, (x, table, index) = node.op, node.inputs
    assert isinstance(op, ops.GroupedDot)
    rows, out = x.type.without(*op.over).axes, table.type.without(op.group, *op.over).axes
    row, outside = _as_one(rows), _as_one(out)
    ordered = op.ordered and rows[:1] == index.type.axes

    def laid_out(builder: Builder, value: Value, *groups: tuple[Axis, ...]) -> Value:
        axes = tuple(axis for group in groups for axis in group)
        if value.type.axes != axes:
            value = builder.emit(ops.Transpose(axes), value)
        for group in groups:
            value = builder.emit(ops.Flatten(group, _as_one(group)), value) if len(group) > 1 else value
        return value

    def rewrite(builder: Builder) -> Value:
        at = index if set(index.type.axes) == set(rows) else builder.emit(ops.Broadcast(rows), index)
        operands = (
            laid_out(builder, x, rows, op.over),
            laid_out(builder, table, (op.group,), op.over, out),
            laid_out(builder, at, rows),
        )
        value = builder.emit(GroupedLinear(ordered, op.partial, traced), *operands, type=Type(FLOAT, (row, outside)))
        for group, axis in ((rows, row), (out, outside)):
            value = builder.emit(ops.Unflatten(axis, group), value) if len(group) > 1 else value
        return value

    return Match("rows times matrices by group", rewrite)


def _as_one(axes: tuple[Axis, ...]) -> Axis:
    """Several axes as one, and one as it is."""
    if len(axes) == 1:
        return axes[0]
    size = axes[0].size
    for axis in axes[1:]:
        size = size * axis.size
    return Axis("*".join(axis.name for axis in axes) + "'", size)


def _relu(algebra: Algebra, node: Node) -> Found:
    """where(x <= 0, 0, x): NaN stays NaN, as in torch (`where(x > 0, x, 0)` makes it 0)."""
    condition, zero, x = node.inputs
    match algebra.producers.get(condition):
        case Node(op=ops.Le(), inputs=(left, right)) | Node(op=ops.Ge(), inputs=(right, left)) if left is x:
            if x.type.dtype == FLOAT and algebra.constant(zero) == algebra.constant(right) == 0:
                return Put(Relu(), (x,), inferred=False)
    return None


def _reordered(algebra: Algebra, node: Node) -> Found:
    """Axes merged and then moved: moved first, they are neighbours where they come to stand."""
    match algebra.producers.get(node.inputs[0]):
        case Node(op=ops.Flatten() as flatten, inputs=inputs) if algebra.rewriter.used_once(node.inputs[0]):
            return Put(flatten, inputs, inferred=False)
    return None


def _heads_joined(algebra: Algebra, node: Node) -> Found:
    """Grouped queries whose heads are taken apart for attention and put together behind it: torch takes them whole."""
    made = algebra.producers.get(node.inputs[0])
    if made is None or not algebra.rewriter.used_once(node.inputs[0]):
        return None
    match node.op, made.op, algebra.producers.get(made.inputs[0] if made.inputs else node.inputs[0]):
        case ops.Flatten(parts, joined), attention.Sdpa(groups=groups) as sdpa, Node(
            op=ops.Unflatten(split, into)
        ) as q:
            if groups is not None and parts == into == (sdpa.batch[-1], groups):
                whole = _untransposed(algebra, q.inputs[0])
                op = replace(sdpa, split=split, joined=joined)
                return Put(op, (whole, *made.inputs[1:]), inferred=False, scope=made.scope)
    return None


def _norm(algebra: Algebra, node: Node) -> Found:
    """Torch's norms are over the last axes, with parameters of exactly those axes, in order; others are taken apart."""
    assert isinstance(node.op, (ops.LayerNorm, ops.RMSNorm))
    (x, *affine), over = node.inputs, node.op.over
    last = x.type.axes[len(x.type.axes) - len(over) :]
    fits = set(last) == set(over) and all(value.type.is_float and value.type.axes == last for value in affine)
    return None if fits else expanded(node)


def _over_one_axis(algebra: Algebra, node: Node) -> Found:
    """Torch's softmax and its kin take one axis: several are made one first."""
    op, over = node.op, node.op.goes_over
    if len(over) < 2:
        return None
    assert isinstance(op, (ops.Softmax, ops.LogSoftmax, ops.LogSumExp))
    joined = _as_one(over)

    def flat(out: Builder, value: Value) -> Value:
        rest = [axis for axis in value.type.axes if axis not in over]
        if len(rest) == value.type.rank:
            return value  # a mask or a sink that is the same along all of them
        return out.emit(ops.Flatten(over, joined), out.emit(ops.Broadcast((*rest, *over)), value))

    def rewrite(out: Builder) -> Value:
        value = out.emit(replace(op, over=(joined,)), *(flat(out, each) for each in node.inputs))
        return value if isinstance(op, ops.LogSumExp) else out.emit(ops.Unflatten(joined, over), value)

    return Match("several axes as one", rewrite)


def _planned(algebra: Algebra, node: Node, *, blocks: bool = True) -> attention.Sdpa | str:
    """The call of torch's that says what an attention says, or why there is none; without `blocks`, its mask is taken
    whole."""
    op = node.op
    assert isinstance(op, ops.Attention)
    where, bias, sink = op.extra(*node.inputs[3:])
    # Axes are found by name, so an order that only attention asked for need not be made.
    q, k, v = (_untransposed(algebra, value).type for value in node.inputs[:3])
    planned = attention.plan(
        op,
        q,
        k,
        v,
        where.type if where else None,
        bias.type if bias else None,
        head=op.contract[0].size.known(algebra.sizes),
        low=bias is not None and _may_be_low(algebra, bias),
    )
    if isinstance(planned, str) or not (op.cap or op.sunk):
        return planned
    lacking = f"`F.scaled_dot_product_attention` has no {'soft cap' if op.cap else 'sink'}"
    if sink is not None and (planned.queries in sink.type.axes or sink.type.dtype != FLOAT):
        return lacking
    mask = _in_blocks(algebra, node, planned) if blocks else "they hang on the length of a text"
    return planned if isinstance(mask, BlockMask) else f"{lacking}, and there are no blocks: {mask}"


def taken_apart(graph: Graph) -> list[Miss]:
    """The attentions, convolutions and recurrent layers of an optimised graph for which torch has no call, and why."""
    algebra, found = Algebra(Rewriter(graph)), list[Miss]()
    for node in graph.body.walk():
        planned: object = None
        if isinstance(node.op, ops.Attention):
            planned = _planned(algebra, node)
        elif isinstance(node.op, Sliding):
            planned = convolution.plan(node.op, node.inputs[0].type, node.inputs[1].type, algebra.sizes)
        if isinstance(planned, str):
            found.append(Refusal(planned).miss(node.op.name.replace("_", " "), node))
    return [*found, *recurrent_kernels.misses(graph.body)]


def attention_forms(graph: Graph) -> list[Rewrite]:
    """How each attention of an optimised graph is computed that torch has a call for, and why so."""
    found = list[Rewrite]()
    for node, planned, mask in _plans(graph):
        if not isinstance(planned, str):
            said = f"in one call: {mask}" if isinstance(mask, str) else in_words(mask, graph.sizes)
            said += "; on CUDA by FlexAttention" * (not isinstance(mask, str) and attention.fits_flex(planned))
            found.append(rewritten("attention", said, node))
    return found


def not_in_blocks(graph: Graph, *, flex: bool = False) -> str | None:
    """Why no attention of an optimised graph goes by blocks of queries; None where one does. With `flex`, by
    FlexAttention."""
    reason = "there is no attention in it"
    for _, planned, mask in _plans(graph):
        if isinstance(planned, str) or isinstance(mask, str):
            reason = str(mask)
        elif not flex or attention.fits_flex(planned):
            return None
        else:
            reason = "FlexAttention has no dropout, no bias, and no kernel for narrow heads"
    return reason


def _plans(graph: Graph) -> Iterator[tuple[Node, attention.Sdpa | str, BlockMask | str]]:
    """The attentions of an optimised graph, each with torch's call and its mask by blocks, or why there is none."""
    algebra = Algebra(Rewriter(graph))
    for node in graph.body.walk():
        if isinstance(node.op, ops.Attention):
            planned = _planned(algebra, node)
            yield node, planned, planned if isinstance(planned, str) else _in_blocks(algebra, node, planned)


def _attention(algebra: Algebra, node: Node, *, blocks: bool = True) -> Found:
    """Torch's attention where it says the same, else its parts."""
    op = node.op
    assert isinstance(op, ops.Attention)
    planned = _planned(algebra, node, blocks=blocks)
    if isinstance(planned, str):
        return expanded(node)
    where, bias, sink = op.extra(*node.inputs[3:])
    q, k, v = (_untransposed(algebra, value) for value in node.inputs[:3])
    mask = _in_blocks(algebra, node, planned) if blocks else None
    if isinstance(mask, BlockMask):
        more = tuple(value for value in (bias, sink) if value is not None)
        return _with_block_mask(planned, mask, (q, k, v), more, node.output.type)
    if where is None or bias is None or planned.empty_rows or not planned.masked:
        extra = [value for value in (where if planned.masked else None, bias) if value is not None]
        return Put(planned, (q, k, v, *extra), inferred=False)
    return _with_masked_bias(planned, (q, k, v), where, bias, node.output.type)


def _in_blocks(algebra: Algebra, node: Node, planned: attention.Sdpa) -> BlockMask | str:
    """The mask of an attention by blocks of queries, or why it is taken whole."""
    op = node.op
    assert isinstance(op, ops.Attention)
    where, _, _ = op.extra(*node.inputs[3:])
    if where is None or not planned.masked:
        return "torch's own causal form leaves out what is above the diagonal" if planned.causal else "there is no mask"
    outer, heads = attention.heads(planned)
    own = (*heads, planned.groups) if planned.groups else heads
    return block_mask(where, algebra.producers, op, planned.queries, outer, own, algebra.sizes)


def _with_block_mask(
    planned: attention.Sdpa, mask: BlockMask, operands: tuple[Value, ...], more: tuple[Value, ...], type: Type
) -> Match:
    """The mask of each block is made where the mask was, and the attention is computed block by block."""

    def rewrite(out: Builder) -> Value:
        blocks = out.emit(mask, *tensors(mask.formula), type=Type(BOOL))
        return out.emit(replace(planned, blocks=True), *operands, blocks, *more, type=type)

    return Match("attention in blocks", rewrite)


def by_blocks(rewriter: Rewriter, size: int | None, *, flex: bool) -> None:
    """Attention in blocks of `size` queries; if None, of as many as suit the device: by FlexAttention if there is such
    (`flex`) and it can say it, without dropout and biases, and with heads that are not too narrow for its kernel."""
    for place in list(rewriter.walk()):
        match place.node:
            case Node(op=BlockMask() as mask) as node if size is not None:
                rewriter.put(node, replace(node, op=replace(mask, size=size)))
            case Node(op=attention.Sdpa(blocks=True) as op, inputs=(_, _, _, where)) as node if (
                size is None and flex and attention.fits_flex(op)
            ):
                made = rewriter.producers[where]
                assert isinstance(made.op, BlockMask)
                rewriter.put(made, replace(made, op=replace(made.op, flex=True)))
                rewriter.put(node, replace(node, op=replace(op, flex=True)))


LOWEST = -65504.0  # of float16, the narrowest dtype that a module may have


def _may_be_low(algebra: Algebra, value: Value) -> bool:
    """Whether numbers of the model's data, or constants that mean minus infinity, go into a bias. Parameters and
    positions do not."""
    if value.type.dtype != FLOAT:
        return False
    node = algebra.producers.get(value)
    if node is None or node.regions or isinstance(node.op, ops.Log):
        return True
    if isinstance(node.op, ops.Constant):
        return not node.op.value >= LOWEST
    return any(_may_be_low(algebra, operand) for operand in node.inputs)


def _with_masked_bias(
    planned: attention.Sdpa, operands: tuple[Value, ...], where: Value, bias: Value, type: Type
) -> Match:
    """Torch takes one of the two: the bias, minus infinity where the mask is false."""
    laid_out = (*planned.batch, planned.groups, planned.queries, planned.keys)
    there = {*where.type.axes, *bias.type.axes}
    merged = Type(FLOAT, tuple(axis for axis in laid_out if axis is not None and axis in there))

    def rewrite(out: Builder) -> Value:
        value = out.emit(attention.MaskedBias(), where, bias, type=merged)
        return out.emit(replace(planned, masked=False), *operands, value, type=type)

    return Match("mask and bias in one", rewrite)


def _convolution(algebra: Algebra, node: Node) -> Found:
    """Torch's convolution where it says the same, else its parts."""
    assert isinstance(node.op, Sliding)
    planned = convolution.plan(node.op, node.inputs[0].type, node.inputs[1].type, algebra.sizes)
    if isinstance(planned, str) or node.output.type.dtype != FLOAT:
        return expanded(node)
    x, kernel = node.inputs
    match algebra.producers.get(x):
        case Node(op=ops.Unflatten(split, parts), inputs=(whole,)) if parts == planned.given:
            return Put(replace(planned, split=split), (whole, kernel), inferred=False)
    return Put(planned, (x, kernel), inferred=False)


def _channels_joined(algebra: Algebra, node: Node) -> Found:
    """Groups whose channels are put together behind a convolution: torch gives them so."""
    made = algebra.producers.get(node.inputs[0])
    if made is None or not algebra.rewriter.used_once(node.inputs[0]):
        return None
    match node.op, made.op:
        case ops.Flatten(parts, joined), convolution.Conv() as op if parts == op.taken and len(parts) > 1:
            return Put(replace(op, joined=joined), made.inputs, inferred=False, scope=made.scope)
    return None


def _channels_renamed(algebra: Algebra, node: Node) -> Found:
    """What a convolution gives goes by another name: it is given so."""
    made = algebra.producers.get(node.inputs[0])
    if made is None or not algebra.rewriter.used_once(node.inputs[0]):
        return None
    match node.op, made.op:
        case ops.Rename(old, new), convolution.Conv() as op if op.taken == (old,):
            return Put(replace(op, joined=new), made.inputs, inferred=False, scope=made.scope)
    return None


def _convolution_biased(algebra: Algebra, node: Node) -> Found:
    """A convolution plus a vector along its channels."""
    for y, bias in (node.inputs, node.inputs[::-1]):
        match only_use(algebra, y, convolution.Conv):
            case Node(op=convolution.Conv() as op, inputs=(x, kernel), output=made, scope=scope) if (
                bias.type.dtype == FLOAT and set(node.output.type.axes) == set(made.type.axes)
            ):
                if set(bias.type.axes) == set(op.taken) and op.taken:
                    return Put(op, (x, kernel, bias), inferred=False, scope=scope)
    return None


def _slots(algebra: Algebra, node: Node) -> Found:
    """A write whose index has an element for each number, made once for all layers that write at the same places."""
    assert isinstance(node.op, ops.Write)
    memory, values, index = node.inputs
    type = slot_index(memory.type, index.type, node.op.over)
    if set(type.axes) == set(index.type.axes):
        return None

    def rewrite(out: Builder) -> Value:
        return out.emit(node.op, memory, values, out.emit(SlotIndex(), index, type=type, names=("slots",)))

    return Match("an index for each number", rewrite)


def _without_a_lowering(algebra: Algebra, node: Node) -> Found:
    """A fused operator for which nothing is written here is computed by its parts."""
    return None if type(node.op) in LOWERINGS else expanded(node)


RULES: tuple[Rule, ...] = (
    simple("linear", (ops.Dot,), _linear),
    simple("linear", (ops.Add,), _biased),
    simple("embedding", (ops.Take,), _embedding),
    simple("grouped", (ops.GroupedDot,), _grouped),
    simple("relu", (ops.Where,), _relu),
    simple("reordered", (ops.Transpose,), _reordered),
    simple("heads-joined", (ops.Flatten,), _heads_joined),
    simple("norm", (ops.LayerNorm, ops.RMSNorm), _norm),
    simple("one-axis", (ops.Softmax, ops.LogSoftmax, ops.LogSumExp), _over_one_axis),
    simple("attention", (ops.Attention,), _attention),
    simple("convolution", (Sliding,), _convolution),
    simple("convolution", (ops.Flatten,), _channels_joined),
    simple("convolution", (ops.Rename,), _channels_renamed),
    simple("convolution", (ops.Add,), _convolution_biased),
    simple("slots", (ops.Write,), _slots),
    simple("expanded", (ops.Fused,), _without_a_lowering),
)

TRACED: tuple[Rule, ...] = (
    simple("grouped", (ops.GroupedDot,), lambda algebra, node: _grouped(algebra, node, traced=True)),
    simple("attention", (ops.Attention,), lambda algebra, node: _attention(algebra, node, blocks=False)),
    simple("loss", (ops.LinearCrossEntropy,), lambda algebra, node: expanded(node)),
    *(rule for rule in RULES if rule.name not in ("grouped", "attention")),
)
"""What `torch.export` can trace, with lengths that stay open, and what runs where this project is not: no operators of
a file's own, no blocks of queries."""
