"""What the devices of a mesh do together. No spec writes these: a layout puts them into the graph of one device
(`attndsl.layouts`), in which a value is either the same on all devices along a dimension of the mesh (whole), a part of
it, cut along an axis, or a summand of it (partial).

Each gradient follows from that: the gradient of a whole value is whole, of a part that part, and of a summand the
whole one. So a whole value that devices go on to use differently is read through `Vary`, which changes nothing on the
way and adds up the gradients on the way back; JAX's `shard_map` does the same with `pvary`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import ClassVar, Protocol

from attndsl.lazy import Array, np
from attndsl.ops import rules
from attndsl.ops.base import Call, Mismatch, Op, Single
from attndsl.types import INT, Axis, Type


class Communicator(Protocol):
    """What a device knows of the others while it runs."""

    def rank(self, on: str) -> int:
        """Its place along the mesh dimension `on`."""
        ...

    def exchange(self, on: str, array: Array) -> Sequence[Array]:
        """What each device along `on` gives here, in the order of their places. All of them must call it."""
        ...


class Collective(Single):
    """Done together by the `size` devices along the mesh dimension `on`, which all reach it."""

    keeps = ()
    across_devices = True
    sends: ClassVar[bool] = True  # in the forward pass
    sends_back: ClassVar[str] = ""  # the collective, by name, that a gradient takes part in
    on: str
    size: int

    def exchange(self, call: Call, array: Array) -> Sequence[Array]:
        """What each of the devices has; a device alone has it all."""
        if call.communicator is None:
            if self.size == 1:
                return [array]
            raise RuntimeError(f"`{self.name}` joins {self.size} devices along `{self.on}`, and this one runs alone")
        return call.communicator.exchange(self.on, array)

    def total(self, call: Call, array: Array) -> Array:
        """The sum over all devices, added in their order, so that each has the same bits."""
        found: Array = reduce(np.add, self.exchange(call, array))
        return found if self.size > 1 else found.copy()

    def joined(self, call: Call, array: Array, at: int) -> Array:
        """The parts of all devices one behind the other along the axis at place `at`."""
        return np.concatenate(self.exchange(call, array), at)

    def own(self, call: Call, array: Array, at: int) -> Array:
        """This device's part of what all have, cut along the axis at place `at`."""
        part = array.shape[at] // self.size
        start = place_along(call, self.on) * part
        return array[(slice(None),) * at + (slice(start, start + part),)]

    def cut(self, x: Type, whole: Axis, part: Axis, dtype: str | None = None) -> Type:
        """x with `part`, one of `size`, in the place of `whole`."""
        rules.has(x, (whole,), 0, self.name)
        message = f"`{part}` is not one of {self.size} parts of `{whole}`"
        rules.fits(part.size * self.size, whole.size, message)
        return rules.unique(dtype or x.dtype, rules.replaced(x.axes, whole, (part,)), self.name)

    def grown(self, x: Type, part: Axis, whole: Axis) -> Type:
        """x with `whole`, of which it has one of `size` parts, in the place of `part`."""
        rules.has(x, (part,), 0, self.name)
        message = f"`{part}` is not one of {self.size} parts of `{whole}`"
        rules.fits(part.size * self.size, whole.size, message)
        return rules.unique(x.dtype, rules.replaced(x.axes, part, (whole,)), self.name)


def place_along(call: Call, on: str) -> int:
    """The place of the device that runs along a mesh dimension: 0 for one that runs alone."""
    return call.communicator.rank(on) if call.communicator is not None else 0


class AllReduce(Collective):
    """The sum of what the devices have (or, by `kind`, the largest or smallest at each place), whole on each of
    them. Of a sum each summand gets the gradient as it is; the others have none."""

    name = "all_reduce"
    noun = "reduced"
    kind: str = "sum"  # or "max" (of bools: whether any is True) or "min" (whether all are)

    @property
    def differentiable(self) -> bool:
        return self.kind == "sum"

    def infer(self, x: Type) -> Type:
        if self.kind != "sum" and self.kind not in ("max", "min"):
            raise Mismatch("E0206", f"`{self.name}` gives a sum, max or min, not `{self.kind}`")
        if self.kind == "sum":
            rules.number(x, 0, self.name)
        return x

    def forward(self, call: Call, x: Array) -> Array:
        if self.kind == "sum":
            return self.total(call, x)
        found: Array = reduce(np.maximum if self.kind == "max" else np.minimum, self.exchange(call, x))
        return found.copy()

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        return upstream


class Vary(Collective):
    """x, the same on all devices, for computations that differ between them: the gradients that these send back are
    added up."""

    name = "vary"
    view = True
    sends = False
    sends_back = AllReduce.name

    def infer(self, x: Type) -> Type:
        return x

    def forward(self, call: Call, x: Array) -> Array:
        return x

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        return self.total(call, upstream)


class AllGather(Collective):
    """The parts of all devices one behind the other: `local` becomes `whole`. Each device gets the gradient of its own
    part. Where they use the result differently (`varying`, a `Vary` that follows), the gradients are added up before
    they are cut (a reduce-scatter). Backwards it is gathered again, so that nothing but the part is kept: of parameters
    this is what Rajbhandari et al. (2020, section 7.2.2) do, along a text Korthikanti et al. (2022, section 4.2.2)."""

    name = "all_gather"
    made_again = True
    noun = "gathered"
    local: Axis
    whole: Axis
    varying: bool = False

    @property
    def sends_back(self) -> str:
        return ReduceScatter.name if self.varying else ""

    def infer(self, x: Type) -> Type:
        return self.grown(x, self.local, self.whole)

    def forward(self, call: Call, x: Array) -> Array:
        return self.joined(call, x, call.inputs[0].index(self.local))

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        upstream = self.total(call, upstream) if self.varying else upstream
        return self.own(call, upstream, call.output.index(self.whole))


class ReduceScatter(Collective):
    """The sum of what the devices have, of which each keeps its part: `whole` becomes `local`. The gradients of the
    parts are gathered."""

    name = "reduce_scatter"
    sends_back = AllGather.name
    noun = "reduced"
    whole: Axis
    local: Axis

    def infer(self, x: Type) -> Type:
        rules.number(x, 0, self.name)
        return self.cut(x, self.whole, self.local)

    def forward(self, call: Call, x: Array) -> Array:
        return self.own(call, self.total(call, x), call.inputs[0].index(self.whole))

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        return self.joined(call, upstream, call.output.index(self.local))


class Shard(Collective):
    """Each device's part of what all have: `whole` becomes `local`. Nothing is sent but the gradients, which are
    gathered."""

    name = "shard"
    sends = False
    sends_back = AllGather.name
    noun = "part"
    whole: Axis
    local: Axis

    def infer(self, x: Type) -> Type:
        return self.cut(x, self.whole, self.local)

    def forward(self, call: Call, x: Array) -> Array:
        return self.own(call, x, call.inputs[0].index(self.whole))

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        return self.joined(call, upstream, call.output.index(self.local))


class AllToAll(Collective):
    """Cut along one axis instead of another: each device sends every other one what that has of its part. `local`
    becomes `whole`, and `divided` becomes `share`. The gradients go the other way."""

    name = "all_to_all"
    sends_back = name
    noun = "exchanged"
    local: Axis
    whole: Axis
    divided: Axis
    share: Axis

    def infer(self, x: Type) -> Type:
        return self.cut(self.grown(x, self.local, self.whole), self.divided, self.share)

    def forward(self, call: Call, x: Array) -> Array:
        joined = self.joined(call, x, call.inputs[0].index(self.local))
        return self.own(call, joined, call.inputs[0].index(self.divided))

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        joined = self.joined(call, upstream, call.output.index(self.share))
        return self.own(call, joined, call.output.index(self.whole))


class Shift(Collective):
    """What the device before this one has of x; the first has that of the last. Layers in stages hand on so what they
    make (Huang et al., 2019, GPipe, arXiv 1811.06965; Xu et al., 2021, GSPMD, arXiv 2105.04663, section 3.3). The
    gradients go the other way."""

    name = "shift"
    sends_back = name
    noun = "handed"

    def infer(self, x: Type) -> Type:
        return x

    def forward(self, call: Call, x: Array) -> Array:
        return self.exchange(call, x)[place_along(call, self.on) - 1].copy()

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        return self.exchange(call, upstream)[(place_along(call, self.on) + 1) % self.size].copy()


class Rank(Op):
    """The place of this device along the mesh dimension `on`, an int."""

    name = "rank"
    operands = ()
    free = True
    across_devices = True
    role = "none"
    on: str

    def infer(self) -> Type:
        return Type(INT)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return np.asarray(place_along(call, self.on), np.int64)
