"""Quantities that follow the training: a class for each way in which a scheduled input moves over the steps."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from attndsl.choices import Kind, Option, Registry, unknown
from attndsl.diagnostics import error
from attndsl.recipe.reading import kind_from_json, read_kind, typed, written_alone
from attndsl.recipe.written import Written


class Ramp(Kind, ABC):
    """The value of an input over the steps of a training."""

    @abstractmethod
    def value(self, step: int, steps: int) -> float:
        """The value in `step` (from 0) of a training of so many `steps`."""


_ENDS: Mapping[str, Option] = {
    "start": Option("float", 1.0, "the value in the first step"),
    "end": Option("float", 0.0, "the value that it tends to"),
}


class ConstantRamp(Ramp):
    name = "constant"
    doc = "one value throughout the training"
    options: ClassVar = {"value": Option("float", None, "the value")}

    def value(self, step: int, steps: int) -> float:
        return self.number("value")


class FallingRamp(Ramp):
    """From `start` to `end`, by a share that falls from about 1 to 0."""

    options: ClassVar = _ENDS

    @abstractmethod
    def share(self, step: int, steps: int) -> float:
        """How much of the way is left in `step`."""

    def value(self, step: int, steps: int) -> float:
        start, end = self.number("start"), self.number("end")
        return end + (start - end) * self.share(step, steps)


class _TimedRamp(FallingRamp):
    """One that ends at a step of its own."""

    options: ClassVar = {
        **_ENDS,
        "end": Option("float", 0.0, "the value at `steps`, and after it"),
        "steps": Option("int", 0, "the step at which it ends (0: at the end of training)", 0),
    }

    def elapsed(self, step: int, steps: int) -> float:
        """How much of the way lies behind `step`."""
        return min(1.0, step / max(1.0, self.number("steps") or steps - 1))


class LinearRamp(_TimedRamp):
    """A straight line, then constant (Bengio et al., 2015, section 2.4: `max(end, start - c * step)`)."""

    name = "linear"
    doc = "a straight line from `start` to `end`, then constant"

    def share(self, step: int, steps: int) -> float:
        return 1.0 - self.elapsed(step, steps)


class CosineRamp(_TimedRamp):
    """Half a period of a cosine (Loshchilov and Hutter, 2017, equation 5), then constant."""

    name = "cosine"
    doc = "half a period of a cosine from `start` to `end`, then constant"

    def share(self, step: int, steps: int) -> float:
        return (1 + math.cos(math.pi * self.elapsed(step, steps))) / 2


class ExponentialRamp(FallingRamp):
    """`base^step` (Bengio et al., 2015, section 2.4)."""

    name = "exponential"
    doc = "`end + (start - end) * base^step`"
    options: ClassVar = {**_ENDS, "base": Option("float", 0.999, "by which the distance shrinks in a step", 0, 1)}

    def share(self, step: int, steps: int) -> float:
        return float(self.number("base") ** step)


class InverseSigmoidRamp(FallingRamp):
    """`k / (k + exp(step / k))` (Bengio et al., 2015, section 2.4)."""

    name = "inverse_sigmoid"
    doc = "`end + (start - end) * k / (k + exp(step / k))`: slow, then fast, then slow"
    options: ClassVar = {**_ENDS, "k": Option("float", 100.0, "how slowly: half is gone after `k * log(k)` steps", 1)}

    def share(self, step: int, steps: int) -> float:
        k = self.number("k")
        return k / (k + math.exp(min(step / k, 700.0)))


RAMPS: Registry[type[Ramp]] = Registry(
    "ramp",
    {
        cls.name: f"{__name__}:{cls.__name__}"
        for cls in (LinearRamp, CosineRamp, ExponentialRamp, InverseSigmoidRamp, ConstantRamp)
    },
)


def read_scheduled(written: Written) -> dict[str, Ramp]:
    """`inputs(rate=linear(start=1, end=0.25), …)`: a ramp for each input. Raises E0720, E0721."""
    if written.word != "inputs" or written.positional or not written.named:
        raise error(
            "E0721",
            "inputs that follow the training are given by their names",
            written.span,
            help=f"write `scheduled = inputs(rate=linear(start=1, end=0.25))`; there are {', '.join(RAMPS)}",
        )
    return {name: read_ramp(name, value) for name, value in written.named.items()}


def read_ramp(name: str, written: Written) -> Ramp:
    """One ramp; a number is a constant. Raises E0720, E0721."""
    if isinstance(written.value, (int, float)) and not isinstance(written.value, bool):
        return ConstantRamp({"value": written.value}, span=written.span)
    if not written.word:
        raise error(
            "E0721",
            f"`{name}` follows the training by a ramp, or is a number",
            written.span,
            help=f"write `{name}=linear(start=1, end=0)`; there are {', '.join(RAMPS)}",
        )
    return read_kind(RAMPS, written)


def with_ramp(scheduled: Mapping[str, Ramp], name: str, value: object) -> dict[str, Ramp]:
    """`scheduled` with one input's ramp replaced (`rate`), or one option of it (`rate.end`). Raises E0720, E0721."""
    name, dot, option = name.partition(".")
    given = typed(value)
    if not dot:
        alone = Written("", given) if not isinstance(given, str) else written_alone(name, value)
        return {**scheduled, name: read_ramp(name, alone)}
    if name not in scheduled:
        raise unknown(f"scheduled input `{name}`", name, scheduled)
    return {**scheduled, name: scheduled[name].replaced(**{option: given})}


def ramps_from_json(plain: Mapping[str, Any]) -> dict[str, Ramp]:
    """What was written with `Ramp.to_json`. Raises E0720, E0721."""
    return {name: kind_from_json(RAMPS, options) for name, options in plain.items()}
