"""What decides what runs: nodes with bodies, and inputs that may be left out. Running them is the backend's; here are
their attributes, and what their bodies must look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attndsl.addresses import Indices, label_of
from attndsl.lazy import Array, np
from attndsl.ops.base import Call, Mismatch, Op
from attndsl.sizes import Size
from attndsl.types import BOOL, INT, Axis, Type

if TYPE_CHECKING:
    from attndsl.ops.base import Body


class OneOf(Op):
    """One of two operands of one type, by what is known before anything runs: only the one that is taken is computed,
    and the gradient flows to it alone."""

    view = True
    keeps = ()
    role = "none"

    def taken(self, *, given: bool, training: bool) -> int:
        """Which operand it is, where the first one is at hand (`given`; only an input may be missing)."""
        raise NotImplementedError(type(self).__name__)

    def infer(self, *inputs: Type) -> Type:
        if inputs[0] != inputs[1]:
            first, second = self.operands
            raise Mismatch("E0203", f"the {second} is `{inputs[1]}`, and the {first} is `{inputs[0]}`", (1, 0))
        return inputs[0]

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        """With both operands at hand. A backend computes the one that is taken."""
        return arrays[self.taken(given=True, training=call.training)]

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        at = self.taken(given=True, training=call.training)
        each = (upstream if i == at else np.zeros_like(upstream) for i in range(2))
        return tuple(found if call.needs(i) else None for i, found in enumerate(each))


class Given(OneOf):
    """An input of the model where the call gave it, else its default. The first operand is the input itself."""

    name = "given"
    operands = ("input", "default")

    def taken(self, *, given: bool, training: bool) -> int:
        return 0 if given else 1


class InTraining(OneOf):
    """The first operand in the steps of a training, else the second: `a if training else b`."""

    name = "in_training"
    operands = ("value in training", "other value")
    noun = "chosen"
    role = "operation"

    @property
    def caption(self) -> str:
        return "either, by training"

    def taken(self, *, given: bool, training: bool) -> int:
        return 0 if training else 1


def stacked_at(emitted: Type) -> int:
    """Where the axis of the steps stands in a stack of emissions: before the last axis of what is emitted."""
    return max(emitted.rank - 1, 0)


def stacked_types(emitted: Sequence[Type], over: Sequence[Axis]) -> tuple[Type, ...]:
    """The types of the stacks of emissions, each over its axis."""
    found = []
    for type, axis in zip(emitted, over, strict=False):
        at = stacked_at(type)
        found.append(Type(type.dtype, (*type.axes[:at], axis, *type.axes[at:])))
    return tuple(found)


class Repeat(Op):
    """A body applied `count` times. Iteration i runs region `cases[i]` (region 0 where there are no cases). `path` is
    the loop's address: what is declared in it has an address that begins with `path.*`.

    Each region takes (index, *carried) and gives (*carried, *emitted). The node's inputs are the first carried values;
    its outputs are the last ones, then every emission stacked over its axis in `stacked`.

    A last input may say whether it is `active`: where it is not, no round runs, what is carried stays, and stacks are
    zeros. Which it is may differ between devices. So that on their way back they still do together what they did
    together before it, every float that it gives has a gradient then, which reaches all floats that it is given (zeros,
    if nothing else does).
    """

    name = "repeat"
    operands = ("carried*", "active?")
    bodies = True
    keeps = ()  # what the nodes of its bodies keep is counted there
    path: str
    count: Size
    cases: tuple[int, ...] | None
    carried: int
    stacked: tuple[Axis, ...] = ()

    @property
    def label(self) -> str:
        return label_of(self.path)

    def rounds(self, case: int, sizes: Mapping[str, int]) -> Indices:
        """The iterations that run region `case`."""
        if self.cases is None:
            return range(self.count.value(sizes))
        return tuple(i for i, chosen in enumerate(self.cases) if chosen == case)

    def outputs(self, inputs: tuple[Type, ...], bodies: tuple[Body, ...] = ()) -> tuple[Type, ...]:
        if self.cases is not None and any(not 0 <= case < len(bodies) for case in self.cases):
            raise Mismatch("E0206", f"`repeat {self.label}` has {len(bodies)} bodies and selects another")
        if self.cases is None and len(bodies) != 1:
            raise Mismatch("E0206", f"`repeat {self.label}` without cases has {len(bodies)} bodies")
        carried, further = inputs[: self.carried], inputs[self.carried :]
        if further and further != (Type(BOOL),):
            raise Mismatch("E0206", f"whether `repeat {self.label}` is active is one bool", (self.carried,))
        return _outputs(f"repeat {self.label}", self.carried, self.stacked, carried, bodies)


class Scan(Op):
    """A body applied at every place of an axis, the first place first (the last if `reverse`). `path`, the region and
    the outputs are as with `Repeat`; parameters inside are shared by all steps, and their addresses have no `*` for
    them."""

    name = "scan"
    operands = ("carried*",)
    bodies = True
    keeps = ()  # what the nodes of its bodies keep is counted there
    path: str
    axis: Axis
    carried: int
    reverse: bool = False
    stacked: tuple[Axis, ...] = ()

    @property
    def label(self) -> str:
        return label_of(self.path)

    def outputs(self, inputs: tuple[Type, ...], bodies: tuple[Body, ...] = ()) -> tuple[Type, ...]:
        if len(bodies) != 1:
            raise Mismatch("E0206", f"`scan {self.label}` has {len(bodies)} bodies")
        return _outputs(f"scan {self.label}", self.carried, self.stacked, inputs, bodies)


def _outputs(
    what: str, carried: int, stacked: tuple[Axis, ...], inputs: tuple[Type, ...], bodies: tuple[Body, ...]
) -> tuple[Type, ...]:
    if len(inputs) != carried:
        raise Mismatch("E0206", f"`{what}` carries {carried} values and is given {len(inputs)}")
    emitted: tuple[Type, ...] | None = None
    for body in bodies:
        given = tuple(value.type for value in body.parameters)
        results = tuple(value.type for value in body.results)
        if given != (Type(INT), *inputs) or len(results) != carried + len(stacked):
            raise Mismatch("E0206", f"the body of `{what}` does not take or give what it should")
        for i, (before, after) in enumerate(zip(inputs, results, strict=False)):
            if before != after:
                raise Mismatch("E0203", f"`{what}` is given `{before}` and its body makes that `{after}`", (i,))
        if emitted is not None and results[carried:] != emitted:
            raise Mismatch("E0203", f"the cases of `{what}` emit different types")
        emitted = results[carried:]
    return (*inputs, *stacked_types(emitted or (), stacked))
