"""How each operator is written in torch: one table, at the end, that reads top to bottom.

A lowering takes a `Site` and gives an expression. Axes are numbers here, by the layouts of the operands' types. Torch's
own promotion is relied on only where it agrees with the language: a Python float next to a tensor of ints would give
torch's default float instead of the module's, so ints are converted first.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from attndsl import ops
from attndsl.backends.pytorch import (
    attention,
    blocks,
    collectives,
    convolution,
    memories,
    movement,
    recurrent_kernels,
    special,
)
from attndsl.backends.pytorch.expressions import (
    BIT_AND,
    BIT_OR,
    CHOICE,
    COMPARE,
    NOT,
    POWER,
    PRODUCT,
    SUM,
    Expr,
    aligned,
    binary,
    dim,
    dims,
    function,
    number,
    permuted,
)
from attndsl.backends.pytorch.site import Site, inverted, negated
from attndsl.graph import BOOL, FLOAT, INT, Axis
from attndsl.ops.base import Op
from attndsl.ops.collectives import Vary
from attndsl.values import NumberOfSizes

Lowering = Callable[[Site], Expr]


# ---------------------------------------------------------------------------------------------------------- elementwise


def unary(method: str, host: str | None = None) -> Lowering:
    """A method of tensors of floats; `host` does the same to a Python number."""

    def lower(site: Site) -> Expr:
        if site.host and host is not None:
            if host.startswith("math."):
                site.function.math()
            return function(host, site.arguments[0].text, host=True)
        return site.floating(0).call(method)

    return lower


def keeping(method: str) -> Lowering:
    """A method of tensors of any numbers."""
    return lambda site: site.tensor(site.arguments[0], site.types[0].dtype).call(method)


def operator(symbol: str, level: int) -> Lowering:
    """A Python operator between two operands."""

    def lower(site: Site) -> Expr:
        left, right = site.align(0), site.align(1)
        if site.output.is_float and not site.has_float_tensor:
            # A tensor of ints with a Python float, or ints where a float is asked for.
            if not left.host:
                left = site.cast(left, FLOAT)
            elif not right.host:
                right = site.cast(right, FLOAT)
        return binary(left, symbol, right, level)

    return lower


def lower_mul(site: Site) -> Expr:
    if site.output.dtype == INT and {t.dtype for t in site.types} == {BOOL} and not site.host:
        return binary(site.cast(site.align(0), INT), "*", site.align(1), PRODUCT)
    return operator("*", PRODUCT)(site)


def lower_pow(site: Site) -> Expr:
    """Torch gives 0 for a negative power of an int, or complains in words of its own."""
    exponent = site.arguments[1]
    if site.output.dtype == INT and not (site.host or exponent.text.isdigit()):
        power = site.function.helper("int_power")
        return function(power, site.tensor(site.align(0), INT).text, site.tensor(site.align(1), INT).text)
    return operator("**", POWER)(site)


def lower_floor_div(site: Site) -> Expr:
    if site.output.dtype == INT or site.host:
        return operator("//", PRODUCT)(site)
    left, right = site.align(0), site.align(1)  # `//` of floats has no gradient in torch, not even zero
    return function("torch.div", site.tensor(left, FLOAT).text, right.text, 'rounding_mode="floor"')


def extreme(name: str) -> Lowering:
    """maximum, minimum: equal elements share the gradient."""

    def lower(site: Site) -> Expr:
        if site.host:
            return function({"maximum": "max", "minimum": "min"}[name], *(a.text for a in site.arguments), host=True)
        parts = []
        if site.output.dtype == INT:
            for x, limit in (site.arguments, site.arguments[::-1]):
                if limit.host:
                    return x.call("clamp", f"{'min' if name == 'maximum' else 'max'}={limit}")
        for i in (0, 1):
            part = site.tensor(site.align(i), site.output.dtype)
            mixed = site.output.is_float and site.types[i].dtype == INT and not site.arguments[i].host
            parts.append(site.cast(part, FLOAT) if mixed else part)
        return function(f"torch.{name}", *(part.text for part in parts))

    return lower


def comparison(site: Site) -> Expr:
    """A comparison, with a Python number on its right."""
    left, right = site.align(0), site.align(1)
    if left.host and not right.host:
        return binary(right, site.op.mirrored().symbol, left, COMPARE)
    return binary(left, site.op.symbol, right, COMPARE)


def logical(symbol: str, level: int) -> Lowering:
    return lambda site: binary(site.align(0), symbol, site.align(1), level)


def lower_where(site: Site) -> Expr:
    condition, left, right = site.align(0), site.align(1), site.align(2)
    if condition.host:
        if site.host:
            return Expr(f"{left.at(NOT)} if {condition.at(NOT)} else {right.at(CHOICE)}", CHOICE, True)
        condition = site.tensor(condition, BOOL)
    if left.host and right.host and site.output.is_float:
        left = site.tensor(left, FLOAT)
    elif site.output.is_float:
        left, right = (
            site.cast(x, FLOAT) if not x.host and site.types[i].dtype == INT else x for i, x in ((1, left), (2, right))
        )
    is_zero = right.host and right.text in ("0", "0.0", "False")
    if is_zero and not left.host and site.types[1].axes == site.output.axes:
        return left.call("masked_fill", inverted(condition).text, right.text)
    return function("torch.where", condition.text, left.text, right.text)


def lower_cast(site: Site) -> Expr:
    x = site.arguments[0]
    return x if site.types[0].dtype == site.output.dtype else site.cast(x, site.output.dtype)


def lower_stop_gradient(site: Site) -> Expr:
    x = site.arguments[0]
    return x if x.host or not site.output.is_float else x.call("detach")


# ----------------------------------------------------------------------------------------------------------- reductions


def reduction(method: str) -> Lowering:
    def lower(site: Site) -> Expr:
        over = site.op.over
        if not over:
            return site.arguments[0]
        x = site.floating(0) if site.output.is_float else site.tensor(site.arguments[0], site.types[0].dtype)
        return x.call(method, *filter(None, [dims(site.types[0].axes, over)]))

    return lower


def lower_prod(site: Site) -> Expr:
    """Torch takes one axis at a time."""
    x, axes = site.arguments[0] if site.output.dtype == INT else site.floating(0), list(site.types[0].axes)
    for axis in site.op.over:
        x = x.call("prod", dim(axes, axis))
        axes.remove(axis)
    return x


def along(method: str) -> Lowering:
    """A method that takes one axis."""

    def lower(site: Site) -> Expr:
        x = site.floating(0) if site.output.is_float else site.arguments[0]
        return x.call(method, dim(site.types[0].axes, *site.op.goes_over))

    return lower


def lower_argsort(site: Site) -> Expr:
    order = ["descending=True"] if site.op.descending else []
    return site.arguments[0].call("argsort", f"dim={dim(site.types[0].axes, site.op.over)}", *order, "stable=True")


def lower_softmax(site: Site) -> Expr:
    axes, over = site.types[0].axes, site.op.over
    operands = [site.floating(0).text, f"dim={dim(axes, *over)}"]
    where, sink = site.op.parts(*range(1, len(site.arguments)))
    if sink is not None:
        at = axes.index(*over)
        row = aligned(site.tensor(site.floating(sink), FLOAT), site.types[sink].axes, axes, full_rank=True)
        operands.insert(1, row.call("expand", *("1" if i == at else n for i, n in enumerate(site.sizes(axes)))).text)
    if where is not None:
        operands.append(f"where={site.tensor(aligned(site.arguments[where], site.types[where].axes, axes), BOOL)}")
    return function(site.function.helper("softmax" if sink is None else "sunk_softmax"), *operands)


def lower_logsumexp(site: Site) -> Expr:
    x = site.floating(0).text
    return function(site.function.helper("logsumexp"), x, f"dim={dim(site.types[0].axes, *site.op.over)}")


def lower_dot(site: Site) -> Expr:
    over: tuple[Axis, ...] = site.op.over
    left, right = (t.axes for t in site.types)
    if site.output.dtype == INT:  # cuBLAS has no integer products
        everything = (*site.output.axes, *over)
        product = binary(site.align(0, everything), "*", site.align(1, everything), PRODUCT)
        return product.call("sum", dims(everything, over))
    if site.node.output in site.function.wide:
        return special.wide_product(site)
    x, y = site.floating(0), site.floating(1)
    if right == over and left[-len(over) :] == over and len(over) == 1:
        return binary(x, "@", y, PRODUCT)
    return function("torch.einsum", special.equation(site), x.text, y.text)


def lower_solve_triangular(site: Site) -> Expr:
    op, (left, right) = site.op, site.types
    batch = tuple(axis for axis in right.axes if axis in left.axes and axis != op.over)
    columns = tuple(axis for axis in right.axes if axis not in left.axes)
    order = (*batch, op.over, *columns)
    matrix = permuted(site.floating(0), left.axes, (*batch, op.over, op.earlier))
    x = permuted(site.floating(1), right.axes, order)
    if len(columns) != 1:
        x = x.call("flatten", str(len(batch) + 1)) if columns else x.call("unsqueeze", "-1")
    x = function("torch.linalg.solve_triangular", matrix.text, x.text, "upper=False", "unitriangular=True")
    if len(columns) != 1:
        x = x.call("unflatten", "-1", site.shape(columns)) if columns else x.call("squeeze", "-1")
    return permuted(x, order, right.axes)


# ----------------------------------------------------------------------------------------------------------- generators


_LARGEST = 3.4028234663852886e38  # of float32


def lower_constant(site: Site) -> Expr:
    if isinstance(site.op.value, NumberOfSizes) and (said := site.function.computed(site.op.value)) is not None:
        return said
    value = number(site.op.value)
    if site.output.is_float and _LARGEST < abs(site.op.value) < math.inf:
        # `torch.where` and `torch.full` refuse a number that float32 cannot hold; a conversion makes it infinite.
        double = function("torch.full", "()", value.text, "dtype=torch.float64", f"device={site.function.device()}")
        return double.call("to", site.float_dtype())
    if value.text.lstrip("-").startswith("math."):
        site.function.math()
    return value


def lower_range(site: Site) -> Expr:
    return function("torch.arange", site.function.size(site.op.axis.size).text, f"device={site.function.device()}")


def lower_element(site: Site) -> Expr:
    """One of some numbers: Python's, where the index is."""
    values, index = site.op.values, site.arguments[0]
    listed = ", ".join(number(value).text for value in values)
    if index.host:
        return Expr(f"({listed}{',' if len(values) == 1 else ''})[{index.text}]", host=True)
    dtype = site.torch_dtype(site.output.dtype)
    table = function("torch.tensor", f"[{listed}]", f"dtype={dtype}", f"device={site.function.device()}")
    if site.types[0].rank:
        return Expr(f"{table.text}[{index.text}]")
    return table.call("index_select", "0", index.text).call("squeeze", "0")  # `table[i]` would ask for the value of `i`


def lower_one_hot(site: Site) -> Expr:
    length = site.function.size(site.op.axis.size).text
    at = site.tensor(site.arguments[0], INT)
    return function("F.one_hot", at.text, length).call("to", site.float_dtype())


def lower_uniform(site: Site) -> Expr:
    shape = site.shape(site.op.axes) if site.op.axes else "()"
    return function("torch.rand", shape, f"dtype={site.float_dtype()}", f"device={site.function.device()}")


def lower_dropout(site: Site) -> Expr:
    x, p = site.floating(0), site.op.p
    if p is None or site.op.shared:
        rate = site.floating(1).text if p is None else number(p).text
        dims = tuple(site.node.output.type.axes.index(axis) for axis in site.op.shared)
        along = [f"shared={dims}"] if dims else []
        return function(site.function.helper("dropout"), x.text, rate, "self.training", *along)
    return function("F.dropout", x.text, number(p).text, "self.training") if p else x


def lower_in_training(site: Site) -> Expr:
    """One of two Python numbers; what is made of tensors is a statement (`choices.py`)."""
    first, second = (argument.at(CHOICE + 1) for argument in site.arguments)
    return Expr(f"{first} if self.training else {second}", CHOICE, host=True)


# ------------------------------------------------------------------------------------------------------------ the table

LOWERINGS: dict[type[Op], Lowering] = {
    ops.Exp: unary("exp", "math.exp"),
    ops.Log: unary("log"),
    ops.Sqrt: unary("sqrt", "math.sqrt"),
    ops.Rsqrt: unary("rsqrt"),
    ops.Tanh: unary("tanh", "math.tanh"),
    ops.Erf: unary("erf", "math.erf"),
    ops.Sigmoid: unary("sigmoid"),
    ops.Sin: unary("sin", "math.sin"),
    ops.Cos: unary("cos", "math.cos"),
    ops.Floor: unary("floor"),
    ops.Ceil: unary("ceil"),
    ops.Round: unary("round"),
    ops.Neg: lambda site: negated(site.arguments[0]),
    ops.Abs: keeping("abs"),
    ops.Sign: keeping("sign"),
    ops.Not: lambda site: inverted(site.arguments[0]),
    ops.Cast: lower_cast,
    ops.StopGradient: lower_stop_gradient,
    ops.Add: operator("+", SUM),
    ops.Sub: operator("-", SUM),
    ops.Mul: lower_mul,
    ops.Div: operator("/", PRODUCT),
    ops.FloorDiv: lower_floor_div,
    ops.Mod: operator("%", PRODUCT),
    ops.Pow: lower_pow,
    ops.Maximum: extreme("maximum"),
    ops.Minimum: extreme("minimum"),
    ops.Eq: comparison,
    ops.Ne: comparison,
    ops.Lt: comparison,
    ops.Le: comparison,
    ops.Gt: comparison,
    ops.Ge: comparison,
    ops.And: logical("&", BIT_AND),
    ops.Or: logical("|", BIT_OR),
    ops.Where: lower_where,
    ops.Sum: reduction("sum"),
    ops.Mean: reduction("mean"),
    ops.Max: reduction("amax"),
    ops.Min: reduction("amin"),
    ops.Prod: lower_prod,
    ops.Any: reduction("any"),
    ops.All: reduction("all"),
    ops.ArgMax: along("argmax"),
    ops.CumSum: along("cumsum"),
    ops.CumProd: along("cumprod"),
    ops.ArgSort: lower_argsort,
    ops.Softmax: lower_softmax,
    ops.LogSoftmax: along("log_softmax"),
    ops.LogSumExp: lower_logsumexp,
    ops.Dot: lower_dot,
    ops.SolveTriangular: lower_solve_triangular,
    ops.Rename: lambda site: site.arguments[0],
    ops.Unflatten: movement.lower_unflatten,
    ops.Flatten: movement.lower_flatten,
    ops.Transpose: lambda site: permuted(site.arguments[0], site.types[0].axes, site.output.axes),
    ops.Broadcast: movement.lower_broadcast,
    ops.Concat: movement.lower_concat,
    ops.Slice: movement.lower_slice,
    ops.Select: movement.lower_select,
    ops.Take: movement.lower_take,
    ops.ScatterAdd: movement.lower_scatter_add,
    ops.Write: movement.writing("scatter"),
    ops.Windows: movement.lower_windows,
    ops.Flip: movement.lower_flip,
    ops.Constant: lower_constant,
    ops.Range: lower_range,
    ops.SizeOf: lambda site: site.function.size(site.op.size),
    ops.Element: lower_element,
    ops.OneHot: lower_one_hot,
    ops.Parameter: lambda site: Expr(site.function.parameter(site.op.address)),
    ops.Uniform: lower_uniform,
    ops.Dropout: lower_dropout,
    ops.InTraining: lower_in_training,
    ops.Rank: collectives.lower_rank,
    Vary: collectives.lower_vary,
    ops.AllReduce: collectives.lower_all_reduce,
    ops.AllGather: collectives.lower_all_gather,
    ops.ReduceScatter: collectives.along(lambda site: site.op.whole),
    ops.Shard: collectives.along(lambda site: site.op.whole),
    ops.AllToAll: collectives.lower_all_to_all,
    ops.Shift: collectives.lower_shift,
    ops.LayerNorm: special.lower_layer_norm,
    ops.RMSNorm: special.lower_rms_norm,
    ops.Gelu: special.lower_gelu,
    ops.Silu: special.lower_silu,
    ops.LinearCrossEntropy: special.lower_cross_entropy,
    # What the rules in `attndsl.backends.pytorch.rules` make of several of these.
    attention.Sdpa: attention.lower_sdpa,
    attention.MaskedBias: attention.lower_masked_bias,
    blocks.BlockMask: blocks.lower_block_mask,
    convolution.Conv: convolution.lower_convolution,
    memories.SlotIndex: movement.lower_slot_index,
    memories.WriteInPlace: movement.writing("scatter_"),
    special.Linear: special.lower_linear,
    special.Embedding: special.lower_embedding,
    special.GroupedLinear: special.lower_grouped_linear,
    recurrent_kernels.RecurrentKernel: recurrent_kernels.lower_kernel,
    recurrent_kernels.KernelOutput: recurrent_kernels.lower_output,
    special.Relu: special.lower_relu,
    special.LayerCall: special.lower_layer_call,
    special.Narrow: special.lower_narrow,
}

# Operators that have no expression of their own: what becomes of them.
WITHOUT_LOWERING: dict[type[Op], str] = {
    ops.Repeat: "a loop over an nn.ModuleList (`functions.py`)",
    ops.Scan: "a Python loop over the axis (`functions.py`)",
    ops.Given: "an `if … is None:` (`choices.py`)",
    ops.GroupedDot: "rewritten to `GroupedLinear` (`rules.py`)",
    ops.Attention: "rewritten to `Sdpa` or expanded into primitives (`rules.py`)",
    ops.Convolution: "rewritten to `Conv` or expanded into primitives (`rules.py`)",
    ops.TransposedConvolution: "rewritten to `Conv` or expanded into primitives (`rules.py`)",
}
