"""Operators that torch has in one call and the language has not: made by the rules in `rules.py`, written out here."""

from __future__ import annotations

from attndsl.backends.pytorch.expressions import SUM, Expr, aligned, binary, function, letters, number, permuted
from attndsl.backends.pytorch.site import Site
from attndsl.graph import BOOL, INT
from attndsl.ops.base import Op


class Linear(Op):
    """x times a matrix along x's last axis, plus a bias if there is one. The matrix is [in, out], or [out, in] if
    `out_first` (a token table used as the last layer). `act` is the activation that follows (`epilogues.py`)."""

    name = "torch.linear"
    operands = ("x", "weight", "bias?")
    out_first: bool = False
    act: str = ""


class Embedding(Op):
    """Rows of a matrix."""

    name = "torch.embedding"
    operands = ("table", "index")


class GroupedLinear(Op):
    """Rows [rows, in], each times the matrix of a table [groups, in, out] that an index [rows] names; `ordered` if the
    index ascends; `partial` if it may name none of the table's, where the result is 0. If `traced`, by no operator of a
    file's own."""

    name = "torch.grouped_linear"
    operands = ("x", "table", "index")
    ordered: bool = False
    partial: bool = False
    traced: bool = False


class Relu(Op):
    """0 where x is at most 0 (and no gradient), else x."""

    name = "torch.relu"
    operands = ("x",)


class LayerCall(Op):
    """The layer at `path` applied to an operand: its class (`kind`, in `helpers.LAYERS`) has the parameters. `act` is
    the activation that follows (`epilogues.py`)."""

    name = "torch.layer"
    reads_parameters = True
    operands = ("x",)
    path: str
    kind: str
    act: str = ""


class Narrow(Op):
    """A value that was computed in float32 at least, by a `made_by`, in the module's dtype."""

    name = "torch.narrow"
    operands = ("x",)
    made_by: type[Op]


def equation(site: Site) -> str:
    """The first two operands' product over the axes that the output lacks, as einsum says it."""
    axes = (site.types[0].axes, site.types[1].axes, site.output.axes)
    letter = letters((*axes[0], *axes[1]))
    between = "" if max(map(len, letter.values())) == 1 else " "
    left, right, out = (between.join(letter[axis] for axis in each) for each in axes)
    return f'"{left}, {right} -> {out}"'


def wide_product(site: Site) -> Expr:
    """A product of the first two operands that autocast does not narrow."""
    operands = site.floating(0).text, site.floating(1).text
    return function(site.function.helper("wide_einsum"), equation(site), *operands)


def lower_linear(site: Site) -> Expr:
    x, weight, *bias = site.arguments
    op = site.op
    if site.node.output in site.function.wide:
        product = wide_product(site)
        return binary(product, "+", bias[0], SUM) if bias else product
    matrix = weight.text if op.out_first else weight.call("t").text
    kernel = "F.linear" if site.function.plain else site.function.helper("linear")
    return function(kernel, x.text, matrix, *(b.text for b in bias), *_activation(op.act))


def _activation(act: str) -> list[str]:
    return [f'act="{act}"'] if act else []


def lower_embedding(site: Site) -> Expr:
    table, at = site.arguments
    return function("F.embedding", site.tensor(at, "int").text, table.text)


def lower_grouped_linear(site: Site) -> Expr:
    x, table, index = site.floating(0).text, site.floating(1).text, site.arguments[2].text
    if site.op.traced:
        return function(site.function.helper("grouped_product"), x, table, index)
    keywords = [f"{name}=True" for name in ("ordered", "partial") if getattr(site.op, name)]
    return function(site.function.helper("grouped_linear"), x, table, index, *keywords)


def lower_narrow(site: Site) -> Expr:
    (x,) = site.arguments
    return x if x.host else x.call("to", site.function.dtype())


def lower_relu(site: Site) -> Expr:
    return site.floating(0).call("relu")


def lower_layer_call(site: Site) -> Expr:
    return function(site.function.layer(site.op.path), site.arguments[0].text, *_activation(site.op.act))


def _norm(site: Site, name: str, affine: tuple[str | None, ...]) -> Expr:
    op = site.op
    over = tuple(axis for axis in site.types[0].axes if axis in op.over)
    given = list(affine)
    while given and given[-1] is None:
        given.pop()
    texts = [part or "None" for part in given]
    return function(name, site.floating(0).text, site.shape(over), *texts, f"eps={number(op.eps)}")


def lower_layer_norm(site: Site) -> Expr:
    """Layer norm over the last axes, with parameters of exactly those axes (`rules._norm` sees to it)."""
    rest = iter(site.arguments[1:])
    scale = next(rest).text if site.op.scaled else None
    shift = next(rest).text if site.op.shifted else None
    return _norm(site, "F.layer_norm", (scale, shift))


def lower_rms_norm(site: Site) -> Expr:
    scale = site.arguments[1].text if site.op.scaled else None
    return _norm(site, "F.rms_norm", (scale,))


def lower_gelu(site: Site) -> Expr:
    keywords = ['approximate="tanh"'] if site.op.approximate else []
    return function("F.gelu", site.floating(0).text, *keywords)


def lower_silu(site: Site) -> Expr:
    return function("F.silu", site.floating(0).text)


def lower_cross_entropy(site: Site) -> Expr:
    op, axes = site.op, tuple(type.axes for type in site.types)
    operands = [
        permuted(site.floating(0), axes[0], (*op.along, op.contract)).text,
        permuted(site.floating(1), axes[1], (op.contract, op.over)).text,
        permuted(site.tensor(site.arguments[2], INT), axes[2], op.along).text,
    ]
    keywords = []
    for name, place in zip(("bias", "share", "counted"), op.extra(*range(3, len(axes))), strict=True):
        if place is not None:
            value = site.tensor(site.arguments[place], BOOL) if name == "counted" else site.floating(place)
            laid = value if name == "bias" else aligned(value, axes[place], op.along)
            keywords.append(f"{name}={laid}")
    keywords += [f"{name}={number(value)}" for name, value in (("smoothing", op.smoothing), ("cap", op.cap)) if value]
    return function(site.function.helper("linear_cross_entropy"), *operands, *keywords)
