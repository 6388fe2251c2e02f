"""The primitives of the language, one class each, and the operators that passes fuse them into.

An op is given the types of its operands and gives that of its result; given their arrays it gives the result's, and the
gradients. `OPS` holds them all by name: every class with a `name` in the modules below. A new one is defined in one of
them, and nowhere listed (docs/contributing/add-a-primitive.md).
"""

from types import ModuleType

from attndsl.ops import (
    along,
    arithmetic,
    collectives,
    comparison,
    contraction,
    control,
    convolution,
    elementwise,
    fused,
    generators,
    movement,
    pieces,
    products,
    reductions,
)
from attndsl.ops.along import *
from attndsl.ops.arithmetic import *
from attndsl.ops.base import OUTPUT as OUTPUT
from attndsl.ops.base import Call as Call
from attndsl.ops.base import Mismatch as Mismatch
from attndsl.ops.base import Op as Op
from attndsl.ops.collectives import *
from attndsl.ops.comparison import *
from attndsl.ops.contraction import *
from attndsl.ops.control import *
from attndsl.ops.convolution import *
from attndsl.ops.elementwise import *
from attndsl.ops.fused import *
from attndsl.ops.generators import *
from attndsl.ops.movement import *
from attndsl.ops.pieces import *
from attndsl.ops.products import *
from attndsl.ops.reductions import *

MODULES: tuple[ModuleType, ...] = (
    elementwise, arithmetic, comparison, reductions, along, contraction, movement, pieces, generators, control, fused,
    products, convolution, collectives,
)  # fmt: skip


def _defined(module: ModuleType) -> dict[str, type[Op]]:
    found = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, Op)]
    return {op.name: op for op in found if op.__module__ == module.__name__ and "name" in vars(op)}


OPS: dict[str, type[Op]] = {name: op for module in MODULES for name, op in _defined(module).items()}
SYMBOLS: dict[str, type[Op]] = {op.symbol: op for op in OPS.values() if op.symbol}


def written(word: str) -> type[Op]:
    """The op that a spec writes as `word`: a sign (`+`, `and`) or a name. Raises `KeyError` where there is none."""
    return SYMBOLS.get(word) or OPS[word]
