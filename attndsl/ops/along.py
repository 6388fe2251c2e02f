"""Primitives that run along one axis and keep it: running sums and products, orders."""

from __future__ import annotations

from attndsl.lazy import Array, np
from attndsl.ops import rules
from attndsl.ops.base import OUTPUT, Call, Single
from attndsl.sizes import Size
from attndsl.types import BOOL, INT, Axis, Type


class Along(Single):
    """Works along the axis `over` of one operand, and keeps it."""

    called = True
    over: Axis

    def infer(self, x: Type) -> Type:
        rules.has(x, (self.over,), 0, self.name)
        return x.with_dtype(self.result(x))

    def result(self, x: Type) -> str:
        """The result's dtype: bools count as 0 and 1."""
        return INT if x.dtype == BOOL else x.dtype

    def place(self, call: Call) -> int:
        """Where the axis stands in the operand."""
        return call.inputs[0].index(self.over)

    def flops(self, output: Type, *inputs: Type) -> Size:
        return output.elements if output.is_float else Size.of(0)


class CumSum(Along):
    """The running sum along `over`, each element included; bools count."""

    name = "cumsum"
    linear = ((0,),)
    keeps = ()

    def forward(self, call: Call, x: Array) -> Array:
        return x.cumsum(self.place(call), dtype=call.dtype(call.output.dtype))

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        at = self.place(call)
        return np.flip(np.flip(upstream, at).cumsum(at), at)


class CumProd(Along):
    """The running product along `over`, each element included; bools count as 0 and 1."""

    name = "cumprod"
    keeps = (0, OUTPUT)

    def forward(self, call: Call, x: Array) -> Array:
        return x.cumprod(self.place(call), dtype=call.dtype(call.output.dtype))

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        """Backwards from the last place, so that nothing is divided by an element, which may be 0."""
        at = self.place(call)
        x, y, coming = (np.moveaxis(array, at, 0) for array in (x, y, upstream))
        result = np.empty(x.shape, upstream.dtype)
        later = np.zeros(x.shape[1:], upstream.dtype)  # what the product up to here is worth to all later places
        for i in reversed(range(len(x))):
            later = later + coming[i]
            result[i] = later * y[i - 1] if i else later
            later = later * x[i]
        return np.moveaxis(result, 0, at)


class ArgSort(Along):
    """The places of the elements along `over` in ascending order, or in descending order if `descending`; of equal ones
    the lowest comes first. NaN counts as larger than every number."""

    name = "argsort"
    differentiable = False
    noun = "order"
    descending: bool = False

    def result(self, x: Type) -> str:
        rules.number(x, 0, self.name)
        return INT

    def forward(self, call: Call, x: Array) -> Array:
        at = self.place(call)
        if not self.descending:
            return np.argsort(x, at, kind="stable")
        turned = np.flip(np.argsort(np.flip(x, at), at, kind="stable"), at)  # equal ones keep their order
        found: Array = x.shape[at] - 1 - turned
        return found
