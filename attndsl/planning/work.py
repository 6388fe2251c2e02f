"""What one forward and backward pass of a model consists of, before anything is said of devices: products, attention,
what only moves through memory, parameters, and what is kept for the backward pass; for the model's parts in order, a
repeat's body once with the number of its rounds.

Extents stay symbolic (`Extent`): a plan gives the sizes of a micro-batch, and how many devices share a dimension.
"""

from __future__ import annotations

from attndsl.diagnostics import error
from attndsl.graph import Graph
from attndsl.layouts.core import batch_axes
from attndsl.planning.axes import Dimensions
from attndsl.records import Frozen, dataclass, field
from attndsl.sizes import Size

INNER, EXPERTS, ROUTED, TOKENS, OTHER = "inner", "experts", "routed", "tokens", "other"
"""What a plan can do with a dimension: tensor parallelism divides inner ones, expert parallelism experts, sequence and
context parallelism the tokens of one text; routed are rows that go to experts. The batch
is divided by giving a device fewer rows."""

KERNELS = ("eager", "fused", "compiled")
"""How what is no product is computed: operator by operator; in chains, of which nothing inside is kept; or in chains
that are computed again rather than kept."""

Extent = tuple[tuple[Size, str], ...]
"""The axes of a value: how long, and what kind of dimension."""


class Product(Frozen):
    """`batch` products of matrices [rows, summed] and [summed, columns]. `weight`: one of them is a parameter.
    `column`: this makes a divided dimension of a whole one, `row` sums over a divided one (Shoeybi et al., 2019)."""

    batch: Extent
    rows: Extent
    columns: Extent
    summed: Extent
    weight: bool
    source: int  # the value it reads, after what only renames or reorders: two of one source need it only once
    grouped: bool = False  # `batch` are experts, which share the rows
    ends: bool = False  # its columns are those of what stands between layers
    times: Extent = ()  # how often, one after the other
    sliding: tuple[Extent, ...] = ()  # what a convolution reads and makes, where its windows overlap in one of them

    @property
    def column(self) -> bool:
        return self.weight and _has(self.columns, INNER) and not _has(self.summed, INNER)

    @property
    def row(self) -> bool:
        return self.weight and _has(self.summed, INNER)


class Attending(Frozen):
    """An attention that no score leaves: queries and keys of `head` numbers, values of `value` numbers."""

    queries: Extent  # the batch and the heads, and the queries
    keys: Extent  # how many
    head: Extent
    value: Extent
    visible: str  # "all", "causal", or "window"
    window: Size | None
    memory: tuple[Extent, Extent]  # keys and values, as context parallelism gathers them


class Passing(Frozen):
    """What only reads and writes memory: elements, as floats. Chains of such ops are one kernel where they are fused:
    `inside` are the elements that one of them writes and another reads."""

    read: tuple[Extent, ...]
    written: tuple[Extent, ...]
    inside_read: tuple[bool, ...]
    inside_written: bool
    scores: bool  # between queries and keys
    loss: bool  # after the last product: losses are computed in float32


class Keeping(Frozen):
    """A value that the backward pass reads; `maker` is "product", "attention" or "other"; `bytes` of an element, 4
    standing for a float of the model's precision."""

    extent: Extent
    bytes: int
    maker: str
    scores: bool
    loss: bool


class Backstep(Frozen):
    """An operation on the way back: gradients that it makes, and those that nobody needs after it; values that nobody
    reads after it, with the bytes of an element; parameters whose gradients it makes."""

    made: tuple[Extent, ...]
    done: tuple[Extent, ...]
    read: tuple[tuple[Extent, int], ...]
    parameters: tuple[Extent, ...]


@dataclass(slots=True, eq=False)
class Segment:
    """A part of a model that runs `times` times in a row, each time with parameters of its own."""

    name: str
    times: int
    products: list[Product] = field(default_factory=list)
    attentions: list[Attending] = field(default_factory=list)
    passings: list[Passing] = field(default_factory=list)
    kept: dict[str, list[Keeping]] = field(default_factory=lambda: {kernels: [] for kernels in KERNELS})
    weights: list[Extent] = field(default_factory=list)  # the parameters of one round
    others: list[Extent] = field(default_factory=list)  # parameters of a part before it that it reads as well
    lookups: list[Extent] = field(default_factory=list)  # results of embeddings whose table may be divided
    carried: list[Extent] = field(default_factory=list)
    ahead: list[Extent] = field(default_factory=list)  # gradients that its forward pass makes
    back: list[Backstep] = field(default_factory=list)  # operator by operator, in the order of the backward pass


class Workload(Frozen, eq=False):
    """The segments of a model in order, and what a plan may ask of the whole."""

    graph: Graph
    segments: tuple[Segment, ...]
    axes: Dimensions
    dimensions: dict[str, tuple[Size, ...]]  # the sizes of a kind of dimension, which a degree must divide

    @property
    def layers(self) -> int:
        return sum(segment.times for segment in self.segments if segment.carried)


def batch_axis(work: Workload) -> str:
    """The size that counts the rows of a batch. Raises E0953 for a model that fixes them."""
    free = set(work.graph.free_sizes)
    sizes = [axis.size for _, axis in batch_axes(work.graph)]
    symbols = [name for size in sizes for name in sorted(size.symbols & free)]
    found = next((name for name in symbols if name in map(str, sizes)), next(iter(symbols), None))
    if found is None:
        raise error(
            "E0953", "a plan says how many rows a batch has, and no input of the model leaves that open",
            work.graph.span, help="give the first axis of its inputs a name: `input x: [B, …]`",
        )  # fmt: skip
    return found


def has_other_rows(work: Workload) -> bool:
    """Whether inputs have rows of another count that no batch decides, as texts beside pictures. These are whole in
    each micro-batch, and a loss over all pairs of both needs the batch whole, too."""
    others = set(work.graph.free_sizes) - {batch_axis(work)}
    return any(axis.size.symbols & others for _, axis in batch_axes(work.graph))


def token_axis(work: Workload) -> str:
    """The length of a text; nothing where a model reads none."""
    free = set(work.graph.free_sizes)
    return next((str(size) for size in work.dimensions[TOKENS] if str(size) in free), "")


def _has(extent: Extent, kind: str) -> bool:
    return any(each == kind for _, each in extent)
