"""The loss of a `LinearCrossEntropy` and its gradients, one chunk of rows after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from attndsl.lazy import Array
from attndsl.ops.arrays import as_float, collect, places, spread
from attndsl.ops.base import Call

if TYPE_CHECKING:
    from attndsl.ops.products import LinearCrossEntropy

IN_ONE_CHUNK = 1 << 24
"""Logits that are in memory at a time (64 MB of float32): those of as many rows as have no more."""
IN_ONE_SUM = 1 << 12  # classes for which the gradient of the matrix is added to at a time


class Walk:
    """One walk over the rows: x [rows, in], matrix [in, classes], and what there is by row. The gradients are those
    where that of the loss is 1, for the operands that need one."""

    def __init__(self, op: LinearCrossEntropy, call: Call, arrays: Sequence[Array]) -> None:
        self.op, self.call, self.count = op, call, len(arrays)
        self.at = dict(zip(("bias", "share", "counted"), op.extra(*range(3, len(arrays))), strict=True))
        self.order = places(call.inputs[0].axes, (*op.along, op.contract))
        x = as_float(call, arrays[0]).transpose(self.order)
        self.shape = x.shape
        self.x = x.reshape(-1, x.shape[-1])
        self.turned = call.inputs[1].axes[0] == op.over
        matrix = as_float(call, arrays[1])
        self.matrix = matrix.T if self.turned else matrix
        self.target = self._by_row(arrays, 2)
        bias, share, counted = self.at.values()
        self.bias = None if bias is None else as_float(call, arrays[bias])
        self.share = None if share is None else as_float(call, self._by_row(arrays, share))
        self.which = None if counted is None else np.flatnonzero(self._by_row(arrays, counted))
        self.lost = np.zeros(len(self.x), self.x.dtype)
        self.of_x = np.zeros_like(self.x) if call.needs(0) else None
        self.of_matrix = np.zeros(matrix.shape, self.x.dtype) if call.needs(1) else None
        self.of_bias = np.zeros(self.matrix.shape[1], self.x.dtype) if bias is not None and call.needs(bias) else None
        number = len(self.x) if self.which is None else len(self.which)
        step = call.block or max(IN_ONE_CHUNK // max(self.matrix.shape[1], 1), 1)
        for start in range(0, number, step):
            some = slice(start, min(start + step, number))
            self._chunk(some if self.which is None else self.which[some])

    def _by_row(self, arrays: Sequence[Array], place: int) -> Array:
        """An operand as one with an element for each row."""
        shape = self.shape[:-1]
        return np.broadcast_to(spread(arrays[place], self.call.inputs[place].axes, self.op.along), shape).reshape(-1)

    # ------------------------------------------------------------ a chunk

    def _chunk(self, rows: slice | Array) -> None:
        op, x, right = self.op, self.x[rows], self.target[rows]
        z, slope = self._logits(x)
        at, share = np.arange(len(right)), op.smoothing
        z -= z.max(axis=1, keepdims=True)
        likely = z[at, right]
        if share:
            likely = (1 - share) * likely + share * z.mean(1)
        np.exp(z, out=z)
        total = z.sum(1, keepdims=True)
        self.lost[rows] = np.log(total[:, 0]) - likely
        if self.of_x is None and self.of_matrix is None and self.of_bias is None:
            return
        z[at, right] -= (1 - share) * total[:, 0]  # z becomes the gradient of the logits times `total`
        if share:
            z -= total * (share / z.shape[1])
        if slope is not None:
            z *= slope
        scale = (1 if self.share is None else self.share[rows][:, None]) / total
        if self.of_x is not None:
            self.of_x[rows] = (z @ self.matrix.T) * scale
        if self.of_matrix is not None:
            self._add(self.of_matrix, x * scale, z)
        if self.of_bias is not None:
            self.of_bias += scale[:, 0] @ z

    def _logits(self, x: Array) -> tuple[Array, Array | None]:
        """The logits of some rows, and how fast each grows with what the soft cap is put on."""
        z: Array = x @ self.matrix
        if self.bias is not None:
            z += self.bias
        if not self.op.cap:
            return z, None
        z /= self.op.cap
        np.tanh(z, out=z)
        slope = 1 - z * z
        z *= self.op.cap
        return z, slope

    def _add(self, total: Array, x: Array, z: Array) -> None:
        """Add x.T @ z to the gradient of the matrix, some classes at a time: the product is never there as a whole."""
        for start in range(0, z.shape[1], IN_ONE_SUM):
            some = slice(start, start + IN_ONE_SUM)
            if self.turned:
                total[some] += z[:, some].T @ x
            else:
                total[:, some] += x.T @ z[:, some]

    # ------------------------------------------------------------ results

    def loss(self) -> Array:
        lost = self.lost if self.share is None else self.lost * self.share
        return np.asarray((lost if self.which is None else lost[self.which]).sum(), self.lost.dtype)

    def gradients(self, upstream: Array) -> tuple[Array | None, ...]:
        """For each operand, where the gradient of the loss is `upstream`. They are scaled in place."""
        found: list[Array | None] = [None] * self.count
        bias, share, _ = self.at.values()
        if self.of_x is not None:
            self.of_x *= upstream
            found[0] = self.of_x.reshape(self.shape).transpose(np.argsort(self.order))
        if self.of_matrix is not None:
            self.of_matrix *= upstream
            found[1] = self.of_matrix
        if bias is not None and self.of_bias is not None:
            found[bias] = self.of_bias * upstream
        if share is not None and self.call.needs(share):
            by_row = (self.lost * upstream).reshape(self.shape[:-1])  # 0 where a row is not counted
            found[share] = collect(by_row, self.op.along, self.call.inputs[share].axes)
        return tuple(found)
