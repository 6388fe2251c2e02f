"""Primitives that make values: constants, indices, parameters, and what is random."""

from __future__ import annotations

from attndsl.diagnostics import error
from attndsl.lazy import Array, np
from attndsl.ops import rules
from attndsl.ops.arrays import as_float, generator
from attndsl.ops.base import Call, Mismatch, Op
from attndsl.ops.pieces import in_range
from attndsl.sizes import Size
from attndsl.types import BOOL, FLOAT, INT, Axis, Type


class Constant(Op):
    """A scalar written in the program or computed from the hyperparameters. 1, 1.0 and true are different constants. A
    float beyond the range of the run's dtype is infinite there, as any result beyond it is."""

    name = "constant"
    operands = ()
    free = True
    role = "none"
    value: float | int | bool

    def _key(self) -> tuple[bool, bool, str]:
        return isinstance(self.value, bool), isinstance(self.value, int), repr(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def infer(self) -> Type:
        if isinstance(self.value, bool):
            return Type(BOOL)
        return Type(INT if isinstance(self.value, int) else FLOAT)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.asarray(self.value, call.dtype(call.output.dtype))


class Element(Op):
    """The number at an index of a list that is written in the program, of booleans, of whole numbers or of floats.
    An index out of range is an error."""

    name = "element"
    fails = True
    operands = ("index",)
    role = "none"
    noun = "number"
    differentiable = False
    values: tuple[float | int | bool, ...]

    def _key(self) -> tuple[str, str]:
        return type(self.values[0]).__name__, repr(self.values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Element) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def infer(self, index: Type) -> Type:
        rules.integer(index, 0, self.name)
        kinds = {bool: BOOL, int: INT, float: FLOAT}
        return index.with_dtype(kinds[type(self.values[0])])

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        in_range(arrays[0], len(self.values), Axis.of(Size.of(len(self.values))))
        with np.errstate(over="ignore"):
            found: Array = np.asarray(self.values, call.dtype(call.output.dtype))[arrays[0]]
        return found


class Range(Op):
    """0, 1, 2, … along an axis."""

    name = "range"
    operands = ()
    role = "none"
    noun = "places"
    axis: Axis

    def infer(self) -> Type:
        return Type(INT, (self.axis,))

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return np.arange(call.length(self.axis.size), dtype=np.int64)


class SizeOf(Op):
    """The value of a size, as an int."""

    name = "size_of"
    operands = ()
    free = True
    role = "none"
    size: Size

    def infer(self) -> Type:
        return Type(INT)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        try:
            return np.asarray(call.length(self.size), np.int64)
        except ZeroDivisionError:
            raise error("E0805", "an int is divided by zero") from None


class OneHot(Op):
    """1.0 at the index along the new last axis, else 0.0. An index out of range is an error."""

    name = "one_hot"
    fails = True
    operands = ("index",)
    role = "none"
    differentiable = False
    axis: Axis

    def infer(self, index: Type) -> Type:
        rules.integer(index, 0, self.name)
        return rules.unique(FLOAT, (*index.axes, self.axis), self.name)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        length = call.length(self.axis.size)
        in_range(arrays[0], length, self.axis)
        found: Array = (arrays[0][..., None] == np.arange(length)).astype(call.float_dtype)
        return found


class Parameter(Op):
    """A parameter. Each `*` in the address is the index of a repeat around it, outermost first."""

    name = "parameter"
    operands = ()
    reads_parameters = True
    free = True
    address: str
    type: Type

    def infer(self) -> Type:
        return self.type


class Uniform(Op):
    """Random numbers, uniform in [0, 1), drawn by (seed, step, site)."""

    name = "uniform"
    operands = ()
    draws = True
    noun = "noise"
    axes: tuple[Axis, ...]
    site: str

    def infer(self) -> Type:
        return rules.unique(FLOAT, self.axes, self.name, ())

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        draw = generator(call.seed, call.step, self.site, call.indices)
        return draw.random(call.shape(call.output), np.float32).astype(call.float_dtype, copy=False)


class Dropout(Op):
    """In training each element is kept with probability 1 - p and then divided by it, else 0 (Srivastava et al., 2014);
    outside training x itself. Where `p` is None, a second operand is the probability, a scalar; it gets no gradient,
    and nothing is left of x at 1 or more. Along the `shared` axes there is one draw for all elements (Gal and
    Ghahramani, 2016)."""

    name = "dropout"
    operands = ("x", "rate?")
    keeps = (1,)  # and which elements it dropped: one byte each
    draws = True
    role = "dropout"
    p: float | None
    site: str
    shared: tuple[Axis, ...] = ()

    def rows(self, output: Type, *, training: bool) -> tuple[Axis, ...]:
        """All of them where nothing is drawn."""
        return () if training else output.axes

    def infer(self, x: Type, *rate: Type) -> Type:
        rules.number(x, 0, self.name)
        rules.has(x, self.shared, 0, self.name)
        if rate != (() if self.p is not None else (Type(FLOAT),)):
            raise Mismatch("E0204", "the probability of `dropout` is one float, a number or a tensor", (1,))
        if self.p is not None and not 0 <= self.p < 1:
            raise Mismatch("E0206", f"the probability of `dropout` is at least 0 and below 1, not {self.p}", (0,))
        return x.floating()

    def factors(self, call: Call, type: Type, *rate: Array) -> Array | None:
        """What elements of `type` are multiplied with: 0 or 1 / (1 - p); None where nothing is dropped. It depends on
        the run's seed and step, the site and the indices of the loops around it, so it need not be remembered."""
        p = float(rate[0]) if self.p is None else self.p
        if not call.training or p == 0:
            return None
        draw = generator(call.seed, call.step, self.site, call.indices)
        shape = call.shape(type)
        drawn = [1 if axis in self.shared else length for axis, length in zip(type.axes, shape, strict=True)]
        keep = np.broadcast_to(draw.random(drawn, np.float32) >= np.float32(p), shape)
        found: Array = keep * np.array(1 / (1 - p) if p < 1 else 0, call.float_dtype)
        return found

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        x, kept = as_float(call, arrays[0]), self.factors(call, call.output, *arrays[1:])
        return x if kept is None else x * kept

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        rest = (None,) * len(arrays[1:])
        if not call.needs(0):
            return (None, *rest)
        kept = self.factors(call, call.output, *arrays[1:])
        return (upstream if kept is None else upstream * kept, *rest)
