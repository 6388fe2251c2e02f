"""What a written file may need to work together with others: functions on `torch.distributed`, and their gradients."""

COLLECTIVE_FUNCTIONS: dict[str, str] = {
    "group_along": '''
# The devices that the model lies on, to be set before it runs, by the names of their dimensions:
# `init_device_mesh("cuda", (2, 4), mesh_dim_names=("data", "model"))`.
MESH: DeviceMesh | None = None


def group_along(on: str) -> dist.ProcessGroup:
    """Those along a dimension, this one among them."""
    return MESH.get_group(on)
''',
    "rank_along": '''
def rank_along(on: str) -> int:
    """The place of this device along a dimension."""
    return group_along(on).rank()
''',
    "reduced_by_all": '''
def reduced_by_all(x: Tensor, on: str, kind: str = "sum") -> Tensor:
    """The sum (the "max", the "min") of what the devices have, without a gradient."""
    total = x.detach().contiguous().clone()
    total = total.to(torch.uint8) if x.dtype == torch.bool else total
    dist.all_reduce(total, getattr(dist.ReduceOp, kind.upper()), group_along(on))
    return total.to(x.dtype)
''',
    "summed_part": '''
def summed_part(x: Tensor, on: str, dim: int) -> Tensor:
    """This device's part of the sum of what the devices have, without a gradient."""
    parts = torch.stack(x.detach().chunk(group_along(on).size(), dim)).contiguous()
    if x.is_cuda:
        total = torch.empty_like(parts[0])
        dist.reduce_scatter(total, list(parts), group=group_along(on))
        return total
    found = torch.empty_like(parts)  # gloo would send the sums of all parts to all
    dist.all_to_all_single(found, parts, group=group_along(on))
    return found.sum(0, dtype=x.dtype)
''',
    "gathered_from_all": '''
def gathered_from_all(x: Tensor, on: str, dim: int) -> Tensor:
    """The parts of all devices one behind the other, without a gradient."""
    parts = x.new_empty((group_along(on).size(), *x.shape))
    dist.all_gather(list(parts), x.detach().contiguous(), group_along(on))
    return parts.flatten(0, 1) if dim == 0 else torch.cat(parts.unbind(), dim)
''',
    "own_part": '''
def own_part(x: Tensor, on: str, dim: int) -> Tensor:
    """This device's part of x."""
    return x.chunk(group_along(on).size(), dim)[rank_along(on)]
''',
    "exchanged_by_all": '''
def exchanged_by_all(x: Tensor, on: str, dim: int, cut: int) -> Tensor:
    """All parts along `dim` of this device's part along `cut`, without a gradient."""
    given = torch.stack(x.detach().chunk(group_along(on).size(), cut)).contiguous()
    found = torch.empty_like(given)
    dist.all_to_all_single(found, given, group=group_along(on))
    return torch.cat(found.unbind(), dim)
''',
    "handed_on": '''
def handed_on(x: Tensor, on: str, by: int = 1) -> Tensor:
    """What the device so many places before this one has of x, without a gradient; before the first is the last."""
    group, given = group_along(on), x.detach().contiguous().flatten()
    found, devices = torch.empty_like(given), range(group.size())
    ahead, behind = ((group.rank() + step) % group.size() for step in (by, -by))
    to, of = ([len(given) if device == other else 0 for device in devices] for other in (ahead, behind))
    dist.all_to_all_single(found, given, of, to, group)
    return found.view(x.shape)
''',
    "together": '''
class Together(torch.autograd.Function):
    """What devices make of x together, and of its gradient on the way back."""

    @staticmethod
    def forward(ctx, x: Tensor, there, back) -> Tensor:
        ctx.back = back
        return there(x)

    @staticmethod
    def backward(ctx, upstream: Tensor) -> tuple[Tensor | None, ...]:
        return ctx.back(upstream), None, None


def together(x: Tensor, there, back) -> Tensor:
    return Together.apply(x, there, back)
''',
    "all_reduce": '''
def all_reduce(x: Tensor, on: str) -> Tensor:
    """The sum of what the devices have, on each of them; each summand gets the gradient as it is."""
    return together(x, lambda x: reduced_by_all(x, on), lambda upstream: upstream)
''',
    "vary": '''
class Vary(torch.autograd.Function):
    """x, the same on all devices, for what differs between them: the gradients that they send back are added up."""

    @staticmethod
    def forward(ctx, x: Tensor, on: str) -> Tensor:
        ctx.on = on
        return x.view_as(x)

    @staticmethod
    def backward(ctx, upstream: Tensor) -> tuple[Tensor | None, ...]:
        return reduced_by_all(upstream, ctx.on), None


def vary(x: Tensor, on: str) -> Tensor:
    return Vary.apply(x, on)
''',
    "Gathered": '''
class Gathered:
    """What has been gathered from all. Gradients do not keep it, unless it is a vector: those that read it gather it
    again, once for all."""

    def __init__(self, part: Tensor, on: str, dim: int) -> None:
        self.part, self.place = part, (on, dim)
        self.readers = self.waiting = 0
        self.whole: Tensor | None = None

    def again(self) -> Tensor:
        """The whole, for one of its readers."""
        if self.whole is None:
            self.whole, self.waiting = gathered_from_all(self.part, *self.place), self.readers
        whole, self.waiting = self.whole, self.waiting - 1
        if self.waiting == 0:
            self.whole = None
        return whole


# What autograd calls copies in another precision, and views that are as large.
COPIES = ("ToCopyBackward0", "TBackward0", "TransposeBackward0", "ViewBackward0", "UnsafeViewBackward0", "VaryBackward")


def kept_part(x: Tensor) -> Tensor | tuple:
    """What is kept of x for a gradient that reads it: all of it, unless it was gathered, or is a copy of that."""
    gathered, node = getattr(x.untyped_storage(), "gathered", None), x.grad_fn
    while node is not None and node.name() in COPIES:
        node = node.next_functions[0][0]
    gathered = gathered or getattr(node, "gathered", None)
    if gathered is None:
        return x
    gathered.readers += 1
    return gathered, x.dtype, (x.size(), x.stride(), x.storage_offset())


def gathered_again(kept: Tensor | tuple) -> Tensor:
    """The x of which this was kept."""
    if isinstance(kept, Tensor):
        return kept
    gathered, dtype, view = kept
    return gathered.again().as_strided(*view).to(dtype)
''',
    "all_gather": '''
class AllGather(torch.autograd.Function):
    """The parts of all devices along `dim`; each gets the gradient of its own. Where the devices use the whole
    differently (`varying`), their gradients are added up before they are cut."""

    @staticmethod
    def forward(ctx, x: Tensor, on: str, dim: int, varying: bool) -> Tensor:
        ctx.place, ctx.varying = (on, dim), varying
        return gathered_from_all(x, on, dim)

    @staticmethod
    def backward(ctx, upstream: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.varying:
            return summed_part(upstream, *ctx.place), None, None, None
        return own_part(upstream, *ctx.place).clone(), None, None, None


def all_gather(x: Tensor, on: str, dim: int, varying: bool = False) -> Tensor:
    whole = AllGather.apply(x, on, dim, varying)
    if whole.dim() > 1 and torch.is_grad_enabled() and not torch.compiler.is_compiling():
        whole.untyped_storage().gathered = gathered = Gathered(x.detach(), on, dim)
        if whole.grad_fn is not None:
            whole.grad_fn.gathered = gathered
    return whole
''',
    "reduce_scatter": '''
def reduce_scatter(x: Tensor, on: str, dim: int) -> Tensor:
    """The sum of what the devices have, of which each keeps its part along `dim`."""
    return together(x, lambda x: summed_part(x, on, dim), lambda upstream: gathered_from_all(upstream, on, dim))
''',
    "shard": '''
def shard(x: Tensor, on: str, dim: int) -> Tensor:
    """This device's part along `dim` of what all have."""
    return together(x, lambda x: own_part(x, on, dim), lambda upstream: gathered_from_all(upstream, on, dim))
''',
    "shift": '''
def shift(x: Tensor, on: str) -> Tensor:
    """What the device before this one has of x; the gradients go back the other way."""
    return together(x, lambda x: handed_on(x, on), lambda upstream: handed_on(upstream, on, -1))
''',
    "joined": '''
LEAF = torch.empty(0, requires_grad=True)  # it never gets a gradient


class Joined(torch.autograd.Function):
    """x, with a way back to `others` on which no gradient flows."""

    @staticmethod
    def forward(ctx, x: Tensor, *others: Tensor) -> Tensor:
        ctx.others = len(others)
        ctx.set_materialize_grads(False)
        return x.view_as(x)

    @staticmethod
    def backward(ctx, upstream: Tensor | None) -> tuple[Tensor | None, ...]:
        return upstream, *[None] * ctx.others


def joined(x: Tensor, *others: Tensor) -> Tensor:
    """x, made of `others` on some devices and not on all: what they do together on the way back, all of them do, since
    it has a gradient on all."""
    return Joined.apply(x, LEAF, *[other.view_as(other) for other in others])  # torch.compile takes no tensor twice
''',
    "narrowest": '''
def narrowest(dtype: torch.dtype, device: torch.device | None) -> torch.dtype:
    """The narrowest floats that are computed where `dtype` is: what these are stacked with decides then."""
    kind = (device or torch.get_default_device()).type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else dtype
''',
    "all_to_all": '''
def all_to_all(x: Tensor, on: str, dim: int, cut: int) -> Tensor:
    """Cut along `cut` instead of `dim`: each device sends every other one what that has of its part."""
    return together(
        x, lambda x: exchanged_by_all(x, on, dim, cut), lambda upstream: exchanged_by_all(upstream, on, cut, dim)
    )
''',
}
"""Those whose name is an op's are called by its lowering; the others by them."""
