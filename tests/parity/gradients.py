"""The chain rule through a `weights` section: published tensors are functions of our parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from attndsl.weights.forms import Filled, Form, Joined, Leaf, Pointwise, Rearranged, Scaled, inverse_order

Array = np.ndarray[Any, Any]


def pulled(form: Form, gradient: Array, arrays: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """The gradients by a form's parameters from the one by its value."""
    match form:
        case Leaf():
            yield form.address, gradient
        case Filled():
            return
        case Joined():
            start = 0
            for part, order, length in zip(form.parts, form.orders, form.lengths, strict=True):
                taken = gradient.take(range(start, start + length), form.place)
                piece = taken.squeeze(form.place) if form.lacking else taken
                start += length
                yield from pulled(part, piece.transpose(inverse_order(order)), arrays)
        case Rearranged():
            apart = gradient.reshape(tuple(form.split[i] for i in form.order))
            whole = apart.transpose(inverse_order(form.order)).reshape(form.inner.shape)
            yield from pulled(form.inner, whole, arrays)
        case Scaled():
            yield from pulled(form.inner, gradient * form.factor, arrays)
        case Pointwise():
            value = form.inner.evaluate(arrays.__getitem__)
            slope = np.exp(value) if form.function == "exp" else 1 / value
            yield from pulled(form.inner, gradient * slope, arrays)
        case _:
            raise TypeError(f"no gradient is known of {type(form).__name__}")
