"""Matrices kept in fewer bits than float32: for a text that is written token by token, reading them is what takes time.

What is meant is the same on every backend: a matrix is multiplied with as if its numbers were rounded, and everything
else stays as it is. `bfloat16` rounds to the nearest number of 8 bits of precision. `int8` takes a scale for each
channel of the product's output, and whole multiples of it from -127 to 127: `w = scale * q` (symmetric, per channel;
Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference", 2018). A
number is off by half a scale, which is about 1/254 of the largest number of its channel; in bfloat16 by 1/256 of itself
at most. Names and files of parameters do not change.
"""

from __future__ import annotations

from attndsl.diagnostics import did_you_mean, error
from attndsl.graph import FLOAT, FLOAT32, Axis, Graph, Region, Value
from attndsl.lazy import Array, np
from attndsl.ops import Dot, Take
from attndsl.ops.generators import Parameter
from attndsl.ops.products import GroupedDot

BFLOAT16, INT8 = "bfloat16", "int8"
WEIGHTS_AS = (FLOAT32, BFLOAT16, INT8)
_AT_ONCE = 2**20  # numbers


def require_known(kind: str) -> None:
    """Raise E0812 where weights are not kept as `kind`."""
    if kind not in WEIGHTS_AS:
        known = ", ".join(f"`{name}`" for name in WEIGHTS_AS)
        helps = did_you_mean(kind, WEIGHTS_AS) or (f"there are {known}",)
        raise error("E0812", f"weights cannot be kept as `{kind}`", help=helps)


def matrices(graph: Graph) -> dict[str, tuple[int, ...]]:
    """The parameters that are multiplied with as matrices, by their addresses in files (`h.0.attn.q.weight`), and which
    of their axes the products sum over. One that is summed over in several ways is none of them."""
    summed: dict[str, set[tuple[Axis, ...]]] = {}
    _products(graph.body, {}, summed)
    return {
        address: places
        for info in graph.parameters
        if info.type.dtype == FLOAT and len(ways := summed.get(info.address, ())) == 1
        if (places := tuple(info.type.axes.index(axis) for axis in next(iter(ways)) if axis in info.type.axes))
        for address in info.addresses()
    }


def _products(region: Region, held: dict[Value, str], summed: dict[str, set[tuple[Axis, ...]]]) -> None:
    """Note of each parameter what the products with it sum over; `held` are the values that parameters are."""
    for node in region.nodes:
        if isinstance(node.op, Parameter):
            held[node.output] = node.op.address
        elif isinstance(node.op, Take) and node.inputs[0] in held:
            held[node.output] = held[node.inputs[0]]  # one of several matrices, or rows of a table
        elif isinstance(node.op, (Dot, GroupedDot)):
            for value in node.inputs[:2]:
                if value in held:
                    summed.setdefault(held[value], set()).add(node.op.over)
        for inner in node.regions:
            _products(inner, held, summed)


def int8(array: Array, summed: tuple[int, ...]) -> tuple[Array, Array]:
    """Whole numbers, and the scale of each channel, as a bfloat16 holds it: int8 of the same shape, and float32 with
    axes of length 1 where the product sums. A channel of zeros, or next to
    zeros, has the scale 1."""
    array = np.asarray(array, np.float32)
    highest, lowest = (of(axis=summed, keepdims=True, initial=0) for of in (array.max, array.min))
    scale = bfloat16(np.maximum(highest, -lowest) / 127)
    scale[scale == 0] = 1
    found = np.empty(array.shape, np.int8)
    rows = max(1, _AT_ONCE // max(1, array[:1].size))
    for start in range(0, len(array), rows):  # nothing but the result is as large as the matrix
        part = slice(start, start + rows)
        found[part] = np.clip(np.rint(array[part] / (scale if len(scale) == 1 else scale[part])), -127, 127)
    return found, scale


def bfloat16(array: Array) -> Array:
    """The nearest numbers that a bfloat16 holds (of two, the even one), as float32."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded = bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32).reshape(np.shape(array))


def rounded(array: Array, summed: tuple[int, ...], kind: str) -> Array:
    """A matrix as it is multiplied with where it is kept as `kind`; as it is, where a number in it is not finite."""
    if kind == FLOAT32 or not np.isfinite(array).all():
        return array
    if kind == BFLOAT16:
        return bfloat16(array)
    whole, scale = int8(array, summed)
    return whole * scale


__all__ = ["BFLOAT16", "INT8", "WEIGHTS_AS", "bfloat16", "int8", "matrices", "require_known", "rounded"]
