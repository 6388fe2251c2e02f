"""The functions for attention in blocks that a written file may need."""

from __future__ import annotations

BLOCK = 256  # queries or keys: with more, more is computed that need not be; with fewer, calls cost more than products

BLOCK_FUNCTIONS: dict[str, str] = {
    "block_mask": f'''
def block_mask(
    seen, near, shape, *data: Tensor, stride: int = 1, by_data: bool = False, size: int = {BLOCK}, device=None
) -> tuple:
    """The mask `seen`, of `shape` [batch, heads, queries, keys], in blocks of neighbours: for each block of
    queries, which blocks of keys it sees, and the mask between them. `near` has ranges that hold all keys that
    the queries from one to another see. Where a query sees every n-th key alone (`stride`), neighbours are n
    apart. In front are the orders of queries and keys, if they have one, and how many keys each block has. With
    `by_data`, blocks in which nothing is seen are left out.
    """
    batch, heads, queries, keys = shape
    b = torch.arange(batch, device=device)[:, None, None, None]
    h = torch.arange(heads, device=device)[:, None, None]
    q, k = torch.arange(queries, device=device), torch.arange(keys, device=device)
    if queries <= size:
        return None, None, [keys], [([0], seen(*data, b, h, q[:, None], k))]
    stride = stride if queries >= size * stride else 1  # else a block would have fewer queries than is worth it
    orders = [torch.cat([x[start::stride] for start in range(stride)]) if stride > 1 else None for x in (q, k)]
    lengths, blocks, step = [], [], size * stride
    for start in range(stride):
        places = k[start::stride].split(size)
        for low in range(start, queries, step):
            spans = [
                range(max(span.start - start, 0), min(span.stop, keys) - start)
                for span in near(low, min(low + step, queries) - 1, keys)
            ]
            found = {{n for span in spans if span for n in range(span[0] // step, span[-1] // step + 1)}}
            numbers = sorted(found) or [0]
            rows = q[low : low + step : stride, None]
            mask = seen(*data, b, h, rows, torch.cat([places[n] for n in numbers]))
            if by_data and not torch.compiler.is_compiling():
                parts = mask.split([len(places[n]) for n in numbers], -1)
                kept = [i for i, part in enumerate(parts) if part.any()] or [0]
                numbers, mask = [numbers[i] for i in kept], torch.cat([parts[i] for i in kept], -1)
            blocks.append(([len(lengths) + n for n in numbers], mask))
        lengths += map(len, places)
    return *orders, lengths, blocks
''',
    "flex_mask": '''
def flex_mask(seen, shape, *data: Tensor, device=None) -> BlockMask:
    """The mask `seen`, of `shape` [batch, heads, queries, keys], in blocks: FlexAttention leaves out the empty ones."""
    return create_block_mask(lambda b, h, q, k: seen(*data, b, h, q, k), *shape, device=device)
''',
    "flex_attend": '''
@torch.compile(dynamic=False)
def flex_attend(q: Tensor, k: Tensor, v: Tensor, mask: BlockMask, **options) -> Tensor:
    """FlexAttention, with a kernel that is made for the mask."""
    if torch.is_autocast_enabled(q.device.type):
        q, k, v = (x.to(torch.get_autocast_dtype(q.device.type)) for x in (q, k, v))
    return flex_attention(q, k, v, block_mask=mask, **options)
''',
    "score_attention": '''
def score_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor, *, sink: Tensor | None = None, **options
) -> Tensor:
    """Attention with a soft cap, or with a sink in each softmax. The scores are not kept for the backward pass."""
    if torch.is_grad_enabled():
        return checkpoint(from_scores, q, k, v, mask, sink, use_reentrant=False, **options)
    return from_scores(q, k, v, mask, sink, **options)


def from_scores(q, k, v, mask, sink, bias=None, dropout_p=0.0, scale=None, cap=None, enable_gqa=False) -> Tensor:
    if enable_gqa:
        k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
    scores = q @ k.transpose(-2, -1) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if cap is not None:
        scores = cap * torch.tanh(scores / cap)
    if bias is not None:
        scores = scores + bias
    if sink is None:
        weights = softmax(scores, -1, where=mask)
    else:
        weights = sunk_softmax(scores, sink.expand(*scores.shape[:-1], 1), -1, where=mask)
    return F.dropout(weights, dropout_p) @ v
''',
    "attend_in_blocks": '''
def attend_in_blocks(
    attention, q: Tensor, k: Tensor, v: Tensor, mask: tuple, bias: Tensor | None = None, **options
) -> Tensor:
    """`attention` for one block of queries after the other (`block_mask`), each with the keys that it sees."""
    order, key_order, lengths, blocks = mask
    rows = [seen.shape[-2] for _, seen in blocks]
    if bias is not None:
        bias = bias.expand(*bias.shape[:-2], q.shape[-2], k.shape[-2])
    if order is not None:
        q, k, v = q[..., order, :], k[..., key_order, :], v[..., key_order, :]
        bias = None if bias is None else bias[..., order, :][..., key_order]
    biases = [None] * len(rows) if bias is None else bias.split(rows, -2)
    starts = [sum(lengths[:n]) for n in range(len(lengths) + 1)]
    k_blocks, v_blocks = k.split(lengths, -2), v.split(lengths, -2)
    parts = []
    for queries, (near, seen), row in zip(q.split(rows, -2), blocks, biases):
        first, last = near[0], near[-1]
        if last - first < len(near) and (len(near) > 4 or not torch.is_grad_enabled()):
            keys, values = (x[..., starts[first] : starts[last + 1], :] for x in (k, v))
        else:  # few: the gradient of a part of k is as long as k, those of blocks put together are not
            keys, values = (torch.cat([x[n] for n in near], -2) for x in (k_blocks, v_blocks))
        if row is not None:
            row = row.split(lengths, -1)
            options["bias"] = torch.cat([row[n] for n in near], -1)
        parts.append(attention(queries, keys, values, seen, **options))
    y = torch.cat(parts, -2)
    return y if order is None else y[..., order.argsort(), :]
''',
}
