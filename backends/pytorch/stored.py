"""Matrices that a module multiplies with, kept for use alone: in fewer bits (`attndsl.running.weights_as`), or laid out
as products read them the fastest.

They stand where a module has its parameters, and are no tensors: torch asks them what a function does that is given one
(`__torch_function__`). Those are products with rows, and lookups of rows (`attndsl.backends.pytorch.source.WrittenFile`
says which parameters are read so alone), and both read the matrix as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from attndsl.backends.pytorch.arrays import to_tensor
from attndsl.backends.pytorch.kernels import ONEDNN, products
from attndsl.graph import FLOAT32
from attndsl.lazy import Array, np
from attndsl.running.weights_as import BFLOAT16, INT8, int8

FEW_ROWS = 32  # torch's kernel for int8 takes as long for two rows as twice for one: it is for few of them,
LANES = 16  # and reads so many numbers at once, with no rest


class Matrix:
    """A matrix [out, in] that rows of `in` numbers are multiplied with; or, `flipped`, [in, out]. What is computed with
    it is float32."""

    dtype = torch.float32

    def __init__(self, shape: Sequence[int], flipped: bool) -> None:
        self.flipped = flipped
        self.shape = torch.Size(reversed(shape) if flipped else shape)

    def __len__(self) -> int:
        return self.shape[0]

    def is_contiguous(self) -> bool:
        """It is no part of a larger one."""
        return True

    def t(self) -> Matrix:
        """The same, transposed: not a copy."""
        turned: Matrix = object.__new__(type(self))
        turned.__dict__.update(self.__dict__, flipped=not self.flipped, shape=self.shape[::-1])
        return turned

    def linear(self, x: Tensor, bias: Tensor | None, after: str = "none", algorithm: str = "") -> Tensor:
        """x [..., in] @ matrix.T + bias, and what oneDNN is asked to do `after` that: [..., out]."""
        assert not self.flipped, "rows are multiplied with the transpose of a matrix [in, out]"
        found = self.product(x.reshape(-1, x.shape[-1]).bfloat16()).view(*x.shape[:-1], -1)
        found = found.to(x.dtype) if bias is None else torch.add(bias, found)
        match after:
            case "none":
                return found
            case "relu":
                return found.relu_()
            case "gelu":
                return F.gelu(found, approximate=algorithm)
            case "swish":
                return F.silu(found)
        raise NotImplementedError(f"a product and then {after}")

    def product(self, rows: Tensor) -> Tensor:
        """rows [N, in] @ matrix.T, in bfloat16: [N, out]."""
        raise NotImplementedError(type(self).__name__)

    def picked(self, index: Tensor) -> Tensor:
        """Its rows of these numbers, in float32."""
        raise NotImplementedError(type(self).__name__)

    def unpacked(self) -> Tensor:
        """The matrix [out, in] in float32."""
        raise NotImplementedError(type(self).__name__)

    def dense(self) -> Tensor:
        """The matrix in float32, as it stands, laid out as in a `Linear`."""
        return self.unpacked().t() if self.flipped else self.unpacked()

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kernel = _KERNELS.get(function)
        return NotImplemented if kernel is None else kernel(*args, **kwargs or {})


class Packed(Matrix):
    """A matrix in float32, in blocks as oneDNN reads it fastest, of however many rows a product is."""

    def __init__(self, values: Tensor, flipped: bool) -> None:
        super().__init__(values.shape, flipped)
        self.values = _blocks(values)

    def linear(self, x: Tensor, bias: Tensor | None, after: str = "none", algorithm: str = "") -> Tensor:
        assert not self.flipped, "rows are multiplied with the transpose of a matrix [in, out]"
        found: Tensor = torch.ops.mkldnn._linear_pointwise(x.float(), self.values, bias, after, [], algorithm)
        return found.to(x.dtype)

    def unpacked(self) -> Tensor:
        dense: Tensor = self.values.to_dense()
        return dense


class BFloat16(Matrix):
    """A matrix in bfloat16, laid out as oneDNN reads it."""

    def __init__(self, values: Tensor, flipped: bool) -> None:
        super().__init__(values.shape, flipped)
        values = values.bfloat16()
        self.packed = values.device.type == "cpu" and _packs()
        self.values = _blocks(values) if self.packed else values
        self._table: Tensor | None = None

    def product(self, rows: Tensor) -> Tensor:
        if self.packed:
            found: Tensor = torch.ops.mkldnn._linear_pointwise(rows, self.values, None, "none", [], "")
            return found
        return F.linear(rows, self.values)

    def picked(self, index: Tensor) -> Tensor:
        if self._table is None:  # a second copy, in which rows lie together
            self._table = self.values.to_dense() if self.packed else self.values
        return F.embedding(index, self._table).float()

    def unpacked(self) -> Tensor:
        return (self.values.to_dense() if self.packed else self.values).float()


class Int8(Matrix):
    """A matrix of whole numbers from -127 to 127, with a scale for each row."""

    def __init__(self, values: Tensor, scale: Tensor, flipped: bool) -> None:
        super().__init__(values.shape, flipped)
        self.values, self.scale = values, scale.bfloat16()
        self.few = FEW_ROWS if values.device.type == "cpu" and values.shape[1] % LANES == 0 else 0

    def product(self, rows: Tensor) -> Tensor:
        if len(rows) <= self.few:
            return torch._weight_int8pack_mm(rows, self.values, self.scale)
        return F.linear(rows, self.values.bfloat16()) * self.scale

    def picked(self, index: Tensor) -> Tensor:
        return self.values[index].float() * self.scale.float()[index][..., None]

    def unpacked(self) -> Tensor:
        return self.values.float() * self.scale.float()[:, None]


def stored(kind: str, array: Array, summed: tuple[int, ...], device: torch.device) -> Matrix | None:
    """A matrix that products sum over its axis `summed` of, kept as `kind`; None for what cannot be kept so: several
    matrices in one, and what is not finite."""
    if array.ndim != 2 or len(summed) != 1 or not np.isfinite(array).all():
        return None
    flipped = summed == (0,)
    turned = array.T if flipped else array
    if kind == FLOAT32:
        return Packed(to_tensor(turned, torch.float32, shared=True), flipped) if array.size else None
    if kind == BFLOAT16:
        return BFloat16(to_tensor(turned, torch.float32, device), flipped)
    assert kind == INT8, kind
    whole, scale = int8(turned, (1,))
    return Int8(to_tensor(whole, torch.int8, device), to_tensor(scale[:, 0], torch.float32, device), flipped)


def _packs() -> bool:
    """Whether oneDNN multiplies matrices of bfloat16 here."""
    return ONEDNN in products() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _blocks(values: Tensor) -> Tensor:
    """The same in blocks: as for 16 rows, which serve one row and a thousand as well."""
    blocks: Tensor = torch.ops.mkldnn._reorder_linear_weight(values.contiguous(), 16)
    return blocks


def _linear(x: Tensor, matrix: Matrix, bias: Tensor | None = None) -> Tensor:
    return matrix.linear(x, bias)


def _pointwise(x: Tensor, matrix: Matrix, bias: Tensor | None, after: str, numbers: Any, algorithm: str) -> Tensor:
    return matrix.linear(x, bias, after, algorithm)


def _embedding(index: Tensor, matrix: Matrix, **_: Any) -> Tensor:
    return matrix.picked(index)


_KERNELS: dict[Any, Callable[..., Tensor]] = {
    F.linear: _linear,
    torch.ops.mkldnn._linear_pointwise: _pointwise,
    F.embedding: _embedding,
}
