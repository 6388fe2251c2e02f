"""Matrices that a module multiplies with, kept in fewer bits (`attndsl.running.weights_as`).

They stand where a module has its parameters, and are no tensors: torch asks them what a function does that is given one
(`__torch_function__`). A product of rows and the lookup of rows in a table have kernels that read them as they are;
whatever else is asked makes a matrix of float32 of them, which stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from attndsl.backends.pytorch.arrays import to_tensor
from attndsl.lazy import Array, np
from attndsl.running.weights_as import BFLOAT16, INT8, int8

FEW_ROWS = 32  # torch's kernel for int8 takes as long for two rows as twice for one: it is for few of them
LANES = 16  # and reads so many numbers at once, with no rest


class Matrix:
    """A matrix [out, in] that rows of `in` numbers are multiplied with; or, `flipped`, [in, out]."""

    dtype: ClassVar[torch.dtype]

    def __init__(self, flipped: bool) -> None:
        self.flipped = flipped
        self._dense: Tensor | None = None
        self._turned: Matrix | None = None

    def t(self) -> Matrix:
        """The same, transposed: not a copy."""
        if self._turned is None:
            turned: Matrix = object.__new__(type(self))
            turned.__dict__.update(self.__dict__)
            turned.flipped, turned._turned, turned._dense = not self.flipped, self, None
            self._turned = turned
        return self._turned

    def product(self, rows: Tensor) -> Tensor:
        """rows [N, in] @ matrix.T, in bfloat16: [N, out]."""
        raise NotImplementedError(type(self).__name__)

    def unpacked(self) -> Tensor:
        """The matrix [out, in] in float32."""
        raise NotImplementedError(type(self).__name__)

    def picked(self, index: Tensor) -> Tensor:
        """Its rows of these numbers, in float32."""
        raise NotImplementedError(type(self).__name__)

    def dense(self) -> Tensor:
        """The matrix in float32, as it stands. Made once."""
        if self._dense is None:
            found = self.unpacked()
            self._dense = found.t() if self.flipped else found
        return self._dense

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.dense(), name)

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kernel = _KERNELS.get(function)
        if kernel is not None:
            found = kernel(*args, **kwargs or {})
            if found is not NotImplemented:
                return found
        return function(*map(_plain, args), **{name: _plain(value) for name, value in (kwargs or {}).items()})


class BFloat16(Matrix):
    """A matrix in bfloat16, laid out as oneDNN reads it."""

    dtype = torch.bfloat16

    def __init__(self, values: Tensor, flipped: bool) -> None:
        super().__init__(flipped)
        values = values.bfloat16()
        self.shape, self.onednn = values.shape, values.device.type == "cpu" and packs()
        self.values = torch.ops.mkldnn._reorder_linear_weight(values.contiguous(), 16) if self.onednn else values
        self._table: Tensor | None = None

    def product(self, rows: Tensor) -> Tensor:
        if self.onednn:
            found: Tensor = torch.ops.mkldnn._linear_pointwise(rows, self.values, None, "none", [], "")
            return found
        return F.linear(rows, self.values)

    def unpacked(self) -> Tensor:
        return (self.values.to_dense() if self.onednn else self.values).float()

    def picked(self, index: Tensor) -> Tensor:
        if self._table is None:
            self._table = self.values.to_dense() if self.onednn else self.values
        return F.embedding(index, self._table).float()


class Int8(Matrix):
    """A matrix of whole numbers from -127 to 127, with a scale for each row."""

    dtype = torch.int8

    def __init__(self, values: Tensor, scale: Tensor, flipped: bool) -> None:
        super().__init__(flipped)
        self.shape, self.values, self.scale = values.shape, values, scale.bfloat16()

    def product(self, rows: Tensor) -> Tensor:
        if rows.shape[0] <= FEW_ROWS and rows.shape[1] % LANES == 0 and rows.device.type == "cpu":
            return torch._weight_int8pack_mm(rows, self.values, self.scale)
        return F.linear(rows, self.values.bfloat16()) * self.scale

    def unpacked(self) -> Tensor:
        return self.values.float() * self.scale.float()[:, None]

    def picked(self, index: Tensor) -> Tensor:
        return self.values[index].float() * self.scale.float()[index][..., None]


def stored(kind: str, array: Array, summed: tuple[int, ...], device: torch.device) -> Matrix | None:
    """A matrix that products sum over its axis `summed` of, kept as `kind`; None for what cannot be kept so: several
    matrices in one, and what is not finite."""
    if array.ndim != 2 or len(summed) != 1 or not np.isfinite(array).all():
        return None
    flipped = summed == (0,)
    turned = array.T if flipped else array
    if kind == BFLOAT16:
        return BFloat16(to_tensor(turned, torch.float32, device), flipped)
    assert kind == INT8, kind
    whole, scale = int8(turned, (1,))
    return Int8(to_tensor(whole, torch.int8, device), to_tensor(scale[:, 0], torch.float32, device), flipped)


def packs() -> bool:
    """Whether torch has oneDNN's products with packed matrices of bfloat16 here."""
    ops = torch.ops.mkldnn
    return (
        torch.backends.mkldnn.is_available()
        and all(
            hasattr(ops, name) for name in ("_linear_pointwise", "_reorder_linear_weight", "_is_mkldnn_bf16_supported")
        )
        and bool(ops._is_mkldnn_bf16_supported())
    )


def _linear(x: Tensor, weight: Any, bias: Tensor | None = None) -> Any:
    if not isinstance(weight, Matrix) or weight.flipped:
        return NotImplemented
    found = weight.product(x.reshape(-1, x.shape[-1]).bfloat16()).view(*x.shape[:-1], -1)
    return found.to(x.dtype) if bias is None else torch.add(bias, found)


def _embedding(index: Tensor, weight: Any, padding_idx: Any = None, max_norm: Any = None, *_: Any, **__: Any) -> Any:
    return NotImplemented if max_norm is not None or weight.flipped else weight.picked(index)


def _plain(value: Any) -> Any:
    if isinstance(value, Matrix):
        return value.dense()
    return type(value)(map(_plain, value)) if isinstance(value, (list, tuple)) else value


_KERNELS: dict[Any, Callable[..., Any]] = {F.linear: _linear, F.embedding: _embedding}


__all__ = ["Matrix", "stored"]
