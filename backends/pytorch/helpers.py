"""What a written file may need above its modules: small classes and functions, each written only where it is used."""

from __future__ import annotations

import re

from attndsl.backends.pytorch.block_helpers import BLOCK_FUNCTIONS
from attndsl.backends.pytorch.collective_helpers import COLLECTIVE_FUNCTIONS


def _recurrent(kernel: str, module: str) -> str:
    """A function that calls one of torch's kernels with a single state, as `nn.MODULE` does."""
    return f'''
def {kernel}(x: Tensor, h: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
    """A layer of `nn.{module}`, batch first, and its last state, in float32 at least."""
    if 0 in x.shape[:2]:
        return x.new_zeros((*x.shape[:2], h.shape[-1])), h
    dtype, train = weights[0].dtype, torch.is_grad_enabled()
    x, h, *wide = (value.to(torch.promote_types(dtype, torch.float32)) for value in (x, h, *weights))
    with torch.autocast(x.device.type, enabled=False):
        y, h = torch.{kernel}(x, h[None], wide, len(wide) == 4, 1, 0.0, train, False, True)
    return y.to(dtype), h[0].to(dtype)
'''


def _along_one_axis(name: str) -> str:
    """A function that is `F.NAME1d`."""
    return f'''
def {name}1d(x: Tensor, kernel: Tensor, bias: Tensor | None = None, **options) -> Tensor:
    """`F.{name}1d` over pictures one high: an x whose channels lie last in memory is read as it is, and not copied."""
    pads = {{name: (0, options.pop(name)) for name in ("padding", "output_padding") if name in options}}
    return F.{name}2d(x.unsqueeze(-2), kernel.unsqueeze(-2).contiguous(), bias, **options, **pads).squeeze(-2)
'''


# Functions by name. Texts, not code: the file that uses one must stand without attndsl.
FUNCTIONS: dict[str, str] = {
    "torch_operator": '''
def torch_operator(function, shaped, backward=None, keep=None):
    """`function` as an operator of torch, which compilers leave whole: `shaped` gives results for tensors without
    values, `backward` gradients. (`torch.library.custom_op` loads the compiler when its operator is first called.)"""
    space, name = __name__.replace(".", "_"), function.__name__
    while hasattr(getattr(torch.ops, space), name):  # this file has been run before
        name += "_"
    whole = f"{space}::{name}"
    schema = torch.library.infer_schema(function, mutates_args=())
    torch.library.define(whole, schema, tags=torch.Tag.pt2_compliant_tag)
    torch.library.impl(whole, "CompositeExplicitAutograd", function)
    torch.library.impl(whole, "Meta", shaped)
    torch.library.register_autograd(whole, backward, setup_context=keep)
    return getattr(getattr(torch.ops, space), name).default
''',
    "linear": '''
# Which kernel is the fastest for a product of float32 matrices, by how much is multiplied: "plain" is the one that
# torch calls by itself. It depends on the machine; attndsl times them and sets it.
KERNELS = {"small product": "plain", "one row": "plain", "few rows": "plain", "many rows": "plain"}


# What may be computed of a product as it is written: what oneDNN calls it, and the same afterwards.
ACTIVATIONS = {
    "none": ("none", "", lambda x: x),
    "relu": ("relu", "", F.relu),
    "silu": ("swish", "", F.silu),
    "gelu": ("gelu", "none", F.gelu),
    "gelu_tanh": ("gelu", "tanh", lambda x: F.gelu(x, approximate="tanh")),
}


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, act: str = "none") -> Tensor:
    """`F.linear` and an activation, by oneDNN where that is the faster one."""
    rows, work = x.numel() // max(x.shape[-1], 1), x.numel() * len(weight)
    kind = "small product" if work < 2**19 else "one row" if rows == 1 else "few rows" if rows <= 16 else "many rows"
    fits = x.dtype == weight.dtype == torch.float32 and x.device.type == "cpu" and work
    fits = fits and (weight.is_contiguous() or weight.t().is_contiguous())  # a part of a larger one takes oneDNN long
    name, form, afterwards = ACTIVATIONS[act]
    if KERNELS[kind] == "plain" or not fits or torch.is_autocast_enabled("cpu"):
        return afterwards(F.linear(x, weight, bias))
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return afterwards(product(x, weight, bias))
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, name, [], form)


def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """oneDNN's product, as an operator that has a gradient and can be compiled."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def gradients_of_product(ctx, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    x, weight = ctx.saved_tensors
    x, rows = x.reshape(-1, x.shape[-1]).contiguous(), upstream.reshape(-1, upstream.shape[-1]).contiguous()
    for_x = for_weight = None
    if ctx.needs_input_grad[0]:
        for_x = product(upstream, weight.t(), None)
    if ctx.needs_input_grad[1]:  # laid out like the weight
        for_weight = product(rows.t(), x.t(), None) if weight.is_contiguous() else product(x.t(), rows.t(), None).t()
    return for_x, for_weight, rows.sum(0) if ctx.needs_input_grad[2] else None


product = torch_operator(
    product, F.linear, gradients_of_product, lambda ctx, inputs, output: ctx.save_for_backward(*inputs[:2])
)
''',
    "linear_layer": '''
def linear_layer(weight: nn.Parameter, bias: nn.Parameter | None = None) -> nn.Linear:
    """`nn.Linear` that begins with these values; the weight is [in, out] here."""
    layer = nn.Linear(*weight.shape, bias=bias is not None, device="meta")
    layer.weight, layer.bias = nn.Parameter(weight.detach().t().contiguous()), bias
    return layer
''',
    "in_files": '''
def in_files(model: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a state dict as attndsl's files have them, and the other way round: what is [out, in] in
    `nn.Linear` is [in, out] there."""
    turned = {f"{name}.weight" for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    return {name: tensor.t().contiguous() if name in turned else tensor for name, tensor in tensors.items()}
''',
    "grouped_product": '''
def grouped_product(x: Tensor, table: Tensor, index: Tensor) -> Tensor:
    """Each row of x times the matrix of `table` that `index` names, by one product for each matrix."""
    order = index.argsort(stable=True)
    counts = (index[:, None] == torch.arange(len(table), device=x.device)).sum(0).tolist()
    product = torch.cat([rows @ matrix for rows, matrix in zip(x[order].split(counts), table)])
    return product[order.argsort()]
''',
    "softmax": '''
def softmax(x: Tensor, dim: int, where: Tensor | None = None) -> Tensor:
    """Softmax over the entries that `where` allows; zeros in a row that has none but -inf."""
    if where is not None:
        x = x.masked_fill(~where, -math.inf)
    nothing = (x == -math.inf).all(dim, keepdim=True)
    weight = x.masked_fill(nothing, 0.0).softmax(dim)
    return weight.masked_fill(nothing if where is None else nothing | ~where, 0.0)
''',
    "sunk_softmax": '''
def sunk_softmax(x: Tensor, sink: Tensor, dim: int, where: Tensor | None = None) -> Tensor:
    """Softmax over the entries that `where` allows and a further one, `sink`, which gets no place in the result."""
    if where is not None:
        x = x.masked_fill(~where, -math.inf)
    x = torch.cat([x, sink], dim)
    nothing = (x == -math.inf).all(dim, keepdim=True)
    weight = x.masked_fill(nothing, 0.0).softmax(dim).masked_fill(nothing, 0.0).narrow(dim, 0, x.shape[dim] - 1)
    return weight if where is None else weight.masked_fill(~where, 0.0)
''',
    "logsumexp": '''
def logsumexp(x: Tensor, dim: int) -> Tensor:
    """log(sum(e ** x)); -inf, and no gradient, in a row that has none but -inf."""
    nothing = (x == -math.inf).all(dim)
    return x.masked_fill(nothing.unsqueeze(dim), 0.0).logsumexp(dim).masked_fill(nothing, -math.inf)
''',
    "attend": '''
def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, bias: Tensor | None = None, **options
) -> Tensor:
    """Scaled dot-product attention in which a query that may attend to nothing gets zeros from every kernel."""
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
    if bias is None and q.device.type == "cpu" and not traced and mask.all():
        return F.scaled_dot_product_attention(q, k, v, **options)
    if bias is None:
        nothing = ~mask.any(-1, keepdim=True)
        seen = mask | nothing  # a row of nothing but -inf is NaN to some kernels, if only in the gradient
    else:
        seen = bias if mask is None else torch.where(mask, bias, -math.inf)
        nothing = (seen == -math.inf).all(-1, keepdim=True)
        seen = seen.masked_fill(nothing, 0.0)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen, **options).masked_fill(nothing, 0.0)
''',
    **BLOCK_FUNCTIONS,
    **COLLECTIVE_FUNCTIONS,
    "dropout": '''
def dropout(x: Tensor, rate: Tensor | float, training: bool, shared: tuple[int, ...] = ()) -> Tensor:
    """Dropout at a rate that may be a tensor, with one draw along the dimensions that are shared."""
    if not training:
        return x
    shape = [1 if at in shared else length for at, length in enumerate(x.shape)]
    kept = torch.rand(shape, device=x.device) >= rate
    scale = torch.as_tensor(1 / (1 - rate), dtype=x.dtype, device=x.device).detach()
    return x * torch.where(kept, scale, 0.0)
''',
    "lstm": '''
def lstm(x: Tensor, h: Tensor, c: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A layer of `nn.LSTM`, batch first, and its last states, in float32 at least."""
    if 0 in x.shape[:2]:
        return x.new_zeros((*x.shape[:2], h.shape[-1])), h, c
    dtype, train = weights[0].dtype, torch.is_grad_enabled()
    x, h, c, *wide = (value.to(torch.promote_types(dtype, torch.float32)) for value in (x, h, c, *weights))
    with torch.autocast(x.device.type, enabled=False):
        y, h, c = torch.lstm(x, [h[None], c[None]], wide, len(wide) == 4, 1, 0.0, train, False, True)
    return y.to(dtype), h[0].to(dtype), c[0].to(dtype)
''',
    "padded": '''
def padded(layer, x: Tensor, valid: Tensor, h: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
    """A recurrent layer whose states stay as they are where `valid` is false, and which gives zeros there: the other
    steps are put in front of these, and back in their places. With what it gives, the last h."""
    if 0 in x.shape[:2]:
        return layer(x, h, *others)[0], h
    order = (~valid).long().argsort(stable=True, dim=1)
    moved = x.masked_fill(~valid[..., None], 0.0).gather(1, order[..., None].expand(x.shape))
    y = layer(moved, h, *others)[0]
    count = valid.sum(1)[:, None]
    last = y.gather(1, (count - 1).clamp(min=0)[..., None].expand(-1, 1, y.shape[-1])).squeeze(1)
    back = order.argsort(1)[..., None].expand(y.shape)
    return y.gather(1, back).masked_fill(~valid[..., None], 0.0), torch.where(count > 0, last, h)
''',
    "gru": _recurrent("gru", "GRU"),
    "rnn_tanh": _recurrent("rnn_tanh", "RNN"),
    "rnn_relu": _recurrent("rnn_relu", "RNN"),
    "turned": '''
def turned(matrix: nn.Parameter) -> nn.Parameter:
    """The same with its columns together in memory, as a kernel reads it that would else copy it in every call."""
    return nn.Parameter(matrix.detach().mT.contiguous().mT)
''',
    "int_power": '''
def int_power(base: Tensor, exponent: Tensor) -> Tensor:
    """A power of whole numbers, which a negative one is not."""
    if not torch.compiler.is_compiling() and exponent.numel() and (lowest := int(exponent.min())) < 0:
        raise ArithmeticError(f"an int to the power of {lowest} is not an int")
    return base ** exponent.clamp(min=0) // (exponent >= 0).long()  # a compiled module stops at the zero
''',
    "wide_einsum": '''
def wide_einsum(equation: str, x: Tensor, y: Tensor) -> Tensor:
    """A product that autocast leaves in its operands' precision."""
    with torch.autocast(x.device.type, enabled=False):
        return torch.einsum(equation, x, y)
''',
    "grouped_linear": '''
def rows_by_group(x: Tensor, table: Tensor, index: Tensor, partial: bool) -> Tensor:
    """Rows of x times the matrices of `table` that the ascending `index` names; 0 where it names none (`partial`)."""
    product = x.new_zeros(len(x), table.shape[2]) if partial else x.new_empty(len(x), table.shape[2])
    for matrix, rows in zip(table, rows_of(index, len(table), partial), strict=True):
        torch.mm(x[rows], matrix, out=product[rows])
    return product


def sums_by_group(x: Tensor, y: Tensor, index: Tensor, groups: int, partial: bool) -> Tensor:
    """The gradient of `rows_by_group` for its table, where y is that for its result."""
    table = x.new_empty(groups, x.shape[1], y.shape[1])
    for matrix, rows in zip(table, rows_of(index, groups, partial), strict=True):
        torch.mm(x[rows].t(), y[rows], out=matrix)
    return table


def rows_of(index: Tensor, groups: int, partial: bool) -> list[slice]:
    """Which rows go with each group, where the index ascends."""
    ends = torch.searchsorted(index, torch.arange(groups + 1, device=index.device)).tolist()
    if not partial and (ends[0] or ends[-1] < len(index)):
        raise IndexError(f"the index {int(index[0 if ends[0] else -1])} is out of range: there are {groups} groups")
    return [slice(start, end) for start, end in zip(ends, ends[1:])]


def keep_groups(ctx, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:3])
    ctx.partial = inputs[3]


def gradients_by_group(ctx, upstream: Tensor) -> tuple[Tensor | None, ...]:
    x, table, index = ctx.saved_tensors
    for_x = rows_by_group(upstream, table.transpose(1, 2), index, ctx.partial) if ctx.needs_input_grad[0] else None
    for_table = sums_by_group(x, upstream, index, len(table), ctx.partial) if ctx.needs_input_grad[1] else None
    return for_x, for_table, None, None


rows_by_group = torch_operator(
    rows_by_group, lambda x, table, index, partial: x.new_empty(x.shape[0], table.shape[2]),
    gradients_by_group, keep_groups,
)
sums_by_group = torch_operator(
    sums_by_group, lambda x, y, index, groups, partial: x.new_empty(groups, x.shape[1], y.shape[1])
)


def grouped_linear(
    x: Tensor, table: Tensor, index: Tensor, ordered: bool = False, partial: bool = False
) -> Tensor:
    """Each row of x times the matrix of `table` that `index` names; nothing is copied for each row."""
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, table = x.to(dtype), table.to(dtype)
    if ordered:
        return rows_by_group(x, table, index, partial)
    order = index.argsort(stable=True)
    return rows_by_group(x[order], table, index[order], partial)[order.argsort()]
''',
    "linear_cross_entropy": '''
LOGITS = 2**24  # that are in memory at a time


def chunked_cross_entropy(
    x: Tensor, matrix: Tensor, target: Tensor, bias: Tensor | None, share: Tensor | None, counted: Tensor | None,
    smoothing: float, cap: float, dtype: torch.dtype, for_x: bool, for_matrix: bool, for_bias: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The loss, that of each row, and the gradients for x [rows, in], matrix [in, classes] and bias, of what is asked
    for. A chunk of rows goes through all of it before the next: its logits are all that there are at a time."""
    rows, classes, wide = len(x), matrix.shape[1], torch.promote_types(dtype, torch.float32)
    if rows and not 0 <= int(target.min()) <= int(target.max()) < classes:
        raise IndexError(f"a target is out of range: there are {classes} classes")
    lost = x.new_zeros(rows, dtype=wide)
    of_x = torch.zeros_like(x) if for_x else x.new_empty(0)
    of_matrix = torch.zeros_like(matrix, dtype=wide) if for_matrix else x.new_empty(0)
    of_bias = x.new_zeros(classes, dtype=wide) if for_bias else x.new_empty(0)
    narrow = matrix.to(dtype)
    which = torch.arange(rows, device=x.device) if counted is None else counted.nonzero().squeeze(1)
    for some in which.split(max(LOGITS // max(classes, 1), 1)):
        part, right = x[some].to(dtype), target[some].unsqueeze(1)
        z = linear(part, narrow.t(), None if bias is None else bias.to(dtype)).to(wide)
        if cap:
            slope = 1 - z.div_(cap).tanh_().square()
            z.mul_(cap)
        torch.log_softmax(z, 1, out=z)
        likely = z.gather(1, right).squeeze(1)
        if smoothing:
            likely = (1 - smoothing) * likely + smoothing * z.mean(1)
        lost[some] = -likely
        if not (for_x or for_matrix or for_bias):
            continue
        z.exp_().scatter_add_(1, right, z.new_full(right.shape, smoothing - 1))  # the gradient of the logits
        if smoothing:
            z.sub_(smoothing / classes)
        if cap:
            z.mul_(slope)
        z = z.to(dtype)
        scale = None if share is None else share[some].to(dtype).unsqueeze(1)
        if for_x:
            back = linear(z, narrow)
            of_x[some] = (back if scale is None else back.mul_(scale)).to(x.dtype)
        part = part if scale is None else part * scale
        if for_matrix and KERNELS["many rows"] != "plain" and x.device.type == "cpu" and dtype == torch.float32:
            add_product(of_matrix, part, z)
        elif for_matrix and dtype == wide:
            of_matrix.addmm_(part.t(), z)
        elif for_matrix:
            of_matrix.add_(part.t() @ z)
        if for_bias:
            of_bias.add_((z if scale is None else z * scale).sum(0))
    loss = lost.sum() if share is None else (lost[which] * share[which]).sum()
    return loss, lost, of_x, of_matrix.to(matrix.dtype), of_bias if bias is None else of_bias.to(bias.dtype)


def add_product(total: Tensor, x: Tensor, y: Tensor) -> None:
    """total += x.T @ y, for a few rows of the total after others: their product is small, and takes no new memory."""
    if not total.is_contiguous():
        total, x, y = total.t(), y, x
    step = max(2**22 // max(total.shape[1], 1), 1)
    for part, columns in zip(total.split(step), x.split(step, 1), strict=True):
        part.add_(linear(columns.t(), y.t()))


def kept_gradients(ctx, inputs, output) -> None:
    ctx.save_for_backward(*inputs[:6])
    ctx.share, ctx.options, ctx.gradients = inputs[4], inputs[6:], output[1:]


def scaled_gradients(ctx, upstream: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    gradients, ctx.gradients = ctx.gradients, None
    if gradients is None:  # backward once more: what there was belongs to those who asked first
        gradients = chunked_cross_entropy(*ctx.saved_tensors, *ctx.options)[1:]
    lost, *found = gradients
    of_x, of_matrix, of_bias = (
        each.mul_(upstream) if wanted else None for each, wanted in zip(found, ctx.options[3:], strict=True)
    )
    of_share = (lost * upstream).to(ctx.share.dtype) if ctx.needs_input_grad[4] else None
    return of_x, of_matrix, None, of_bias, of_share, None, *[None] * len(ctx.options)


def shapes_of_gradients(x, matrix, target, bias, share, counted, smoothing, cap, dtype, for_x, for_matrix, for_bias):
    wide, nothing = torch.promote_types(dtype, torch.float32), x.new_empty(0)
    of_bias = bias.new_empty(bias.shape) if for_bias else nothing
    return (
        x.new_empty((), dtype=wide), x.new_empty(len(x), dtype=wide), torch.empty_like(x) if for_x else nothing,
        torch.empty_like(matrix) if for_matrix else nothing, of_bias,
    )


chunked_cross_entropy = torch_operator(chunked_cross_entropy, shapes_of_gradients, scaled_gradients, kept_gradients)


def linear_cross_entropy(
    x: Tensor,
    matrix: Tensor,
    target: Tensor,
    bias: Tensor | None = None,
    share: Tensor | None = None,
    counted: Tensor | None = None,
    smoothing: float = 0.0,
    cap: float = 0.0,
) -> Tensor:
    """The cross entropy of `target` [...], added up, where the logits are x [..., in] @ matrix [in, classes], which are
    never made for all rows at once (Hsu et al., 2024; Wijmans et al., 2024). It has no second derivative."""
    autocast, dtype = torch.is_autocast_enabled(x.device.type), x.dtype
    if autocast and dtype != torch.float64:
        dtype = torch.get_autocast_dtype(x.device.type)
    wanted = (torch.is_grad_enabled() and value is not None and value.requires_grad for value in (x, matrix, bias))
    share, counted = (None if v is None else v.expand(target.shape).reshape(-1) for v in (share, counted))
    loss, *_ = chunked_cross_entropy(
        x.reshape(-1, x.shape[-1]), matrix, target.reshape(-1), bias, share, counted, smoothing, cap, dtype, *wanted
    )
    return loss if autocast else loss.to(x.dtype)
''',
    "conv1d": _along_one_axis("conv"),
    "conv_transpose1d": _along_one_axis("conv_transpose"),
    "wide_call": '''
def wide_call(function, x: Tensor, *operands: Tensor, **options) -> Tensor:
    """A sum of products that autocast leaves in its operands' precision."""
    with torch.autocast(x.device.type, enabled=False):
        return function(x, *operands, **options)
''',
    "inside": '''
def inside(at: int) -> int:
    """A place along an axis; one before the first is refused, and not counted from the end."""
    if at < 0:
        raise IndexError(f"the index {at} is out of range")
    return at
''',
    "record": '''
recorded: dict[str, list[Tensor]] = {}


def record(name: str, value: Tensor) -> None:
    """Keep a value that was asked for."""
    recorded.setdefault(name, []).append(value)
''',
    "restart": '''
def restart(counts: dict[str, int]) -> None:
    """Forget what the step of a scan before this one recorded; `counts` has how much there was before the scan."""
    for name, values in recorded.items():
        del values[counts.get(name, 0) :]
''',
    "normal": """
def normal(*shape: int, std: float) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).normal_(std=std))
""",
    "uniform": """
def uniform(*shape: int, low: float, high: float) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).uniform_(low, high))
""",
    "truncated": '''
def truncated(*shape: int, std: float) -> nn.Parameter:
    """Normal, drawn again where it lands more than two deviations out."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(shape), std=std, a=-2 * std, b=2 * std))
''',
    "constant": """
def constant(*shape: int, value: float) -> nn.Parameter:
    return nn.Parameter(torch.full(shape, float(value)))
""",
    "zeros": """
def zeros(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape))
""",
    "ones": """
def ones(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.ones(shape))
""",
    "identity": """
def identity(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.eye(*shape[-2:]).expand(shape).clone())
""",
}

# Initial values are made in the order of a table's reading, the drawn ones first.
INITIALIZERS = ("normal", "truncated", "uniform", "constant", "zeros", "ones", "identity")

# Classes of layers by kind, with the names of the parameters that one must have exactly, and may have.
LAYERS: dict[str, str] = {
    "Layer": '''
class Layer(nn.Module):
    """Parameters and further layers, by name."""

    def __init__(self, **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        for name, part in parts.items():
            (self._modules if isinstance(part, nn.Module) else self._parameters)[name] = part
''',
    "Linear": '''
class Linear(nn.Module):
    """x @ weight + bias, where the weight is [in, out], and an activation of that."""

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter | None = None) -> None:
        super().__init__()
        self.weight = turned(weight)
        self.bias = bias

    def forward(self, x: Tensor, act: str = "none") -> Tensor:
        return linear(x, self.weight.t(), self.bias, act)
''',
    "Embedding": '''
class Embedding(nn.Module):
    """The rows of a table."""

    def __init__(self, table: nn.Parameter) -> None:
        super().__init__()
        self.table = table

    def forward(self, index: Tensor) -> Tensor:
        return F.embedding(index, self.table)
''',
    "LayerNorm": '''
class LayerNorm(nn.Module):
    """(x - mean) / sqrt(variance + eps) * scale + shift, over the last axis."""

    def __init__(self, scale: nn.Parameter, shift: nn.Parameter | None = None, *, eps: float) -> None:
        super().__init__()
        self.scale = scale
        self.shift = shift
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.scale.shape, self.scale, self.shift, self.eps)
''',
    "RMSNorm": '''
class RMSNorm(nn.Module):
    """x / sqrt(mean(x ** 2) + eps) * scale, over the last axis."""

    def __init__(self, scale: nn.Parameter, *, eps: float) -> None:
        super().__init__()
        self.scale = scale
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.scale.shape, self.scale, self.eps)
''',
}

# What any of these texts defines at its top: names that nothing else in a file may have.
DEFINED = frozenset(
    name for text in (*FUNCTIONS.values(), *LAYERS.values())
    for name in re.findall(r"^(?:def |class )?(\w+)", text, re.MULTILINE)
)  # fmt: skip


def called_by(name: str) -> frozenset[str]:
    """The functions that another one, or a layer of this class, calls, and those that they call."""
    text = LAYERS[name] if name in LAYERS else FUNCTIONS[name]
    own = frozenset(re.findall(r"(?<![.\w])(\w+)\(", text)) & FUNCTIONS.keys() - {name}
    return own.union(*map(called_by, own))
