"""How long one device computes: products, attention, and the bytes of what only passes through memory."""

from __future__ import annotations

from attndsl.planning.machines import MachineModel
from attndsl.planning.plan import MASTER
from attndsl.planning.share import Share
from attndsl.planning.work import INNER, TOKENS, Attending, Passing, Product


def between_tokens(product: Product) -> bool:
    """Whether it makes scores: something for each pair of a query and a key."""
    kinds = [kind for _, kind in (*product.rows, *product.columns)]
    return kinds.count(TOKENS) > 1


def product_seconds(share: Share, product: Product, machine: MachineModel, way: str) -> float:
    """Seconds forwards, or of the gradient of the inputs or of the weights (of the other operand)."""
    key = (id(product), way)
    if key not in share.products:
        share.products[key] = _seconds(share, product, machine, way)
    return share.products[key]


def _seconds(share: Share, product: Product, machine: MachineModel, way: str) -> float:
    plan = share.plan
    extents = (product.rows, product.columns, product.summed, product.batch)
    inner = any(kind == INNER for extent in extents for _, kind in extent)
    batch = share.count(product.batch, whole_tokens=True)
    rows = share.count(product.rows, whole_tokens=inner)
    columns, summed = share.count(product.columns, whole_tokens=True), share.count(product.summed, whole_tokens=True)
    if between_tokens(product):
        columns *= plan.context
    elif any(kind == TOKENS for _, kind in product.summed):
        summed *= plan.context
    if product.grouped:
        rows /= batch
    elements = batch * (rows * summed + summed * columns + rows * columns)
    if product.sliding:
        elements = batch * summed * columns + sum(share.count(each, whole_tokens=True) for each in product.sliding)
    if way == "inputs":
        columns, summed = summed, columns
    elif way == "weights":
        rows, columns, summed = summed, columns, rows
    low = product.weight and plan.precision == "fp8"
    moved = elements * plan.float_bytes
    if product.weight and way == "weights":
        moved += batch * rows * columns * ((2 if plan.micro_batches > 1 else 1) * MASTER - plan.float_bytes)
    seconds = machine.product(batch, rows, columns, summed, "fp8" if low else plan.arithmetic, moved)
    if low:  # an operand is read in bfloat16 for its largest element, read once more, and written in float8
        seconds += machine.passing(batch * rows * summed * (2 * plan.float_bytes + 1))
    return seconds * share.count(product.times)


def product_flops(share: Share, product: Product) -> float:
    """The operations of a product forwards; rows that experts share are there once for all of them."""
    batch = () if product.grouped else product.batch
    return 2 * share.count(batch, product.rows, product.columns, product.summed, product.times, whole_tokens=True)


def attention_seconds(share: Share, each: Attending, machine: MachineModel, times: float) -> float:
    whole, hidden = attended(share, each)
    return machine.attending((whole - hidden) * times, share.plan.attention, share.plan.arithmetic)


def attended(share: Share, each: Attending) -> tuple[float, float]:
    """The operations of an attention forwards, and those of them between queries and keys that its mask hides from each
    other."""
    keys = share.count(each.keys, whole_tokens=True) * share.plan.context
    shown = 1.0 if each.visible == "all" else 0.5
    if each.window is not None:
        window = min(share.length(each.window), keys)
        shown = window / keys * (1 - window / keys / 2)
    numbers = share.count(each.head, whole_tokens=True) + share.count(each.value, whole_tokens=True)
    whole = 2 * share.count(each.queries, whole_tokens=True) * keys * numbers
    return whole, whole * (1 - shown)


def passing_bytes(share: Share, passing: Passing, *, backward: bool) -> float:
    """Bytes that an operation reads and writes. Backwards it reads its result's gradient and what it read, and writes
    the gradients of what it read."""
    fused = share.plan.kernels != "eager"
    read = sum(
        share.held(extent) for extent, inside in zip(passing.read, passing.inside_read, strict=True)
        if not (fused and inside)
    )  # fmt: skip
    written = 0.0 if fused and passing.inside_written else sum(share.held(extent) for extent in passing.written)
    return (MASTER if passing.loss else share.plan.float_bytes) * (2 * read + written if backward else read + written)
