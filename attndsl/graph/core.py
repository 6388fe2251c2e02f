"""The graph: values, nodes, regions, and the `Graph` that holds them together with its declarations.

A graph is in static single assignment form. A value is made once, by a node or as a parameter of a region; a body may
read values of the regions around it. `repeat` and `scan` are nodes with bodies. Nodes and values are immutable:
a pass builds new ones (`attndsl.passes.rewrite`) and never edits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING

from attndsl.addresses import Box, addresses_in, rounds
from attndsl.diagnostics import Span
from attndsl.records import Frozen, field, replace
from attndsl.sizes import Constraint, Size
from attndsl.types import Type

if TYPE_CHECKING:
    import networkx

    from attndsl.graph.initial import Initializer
    from attndsl.ops.base import Op


class Value(Frozen, eq=False):
    """One tensor (or scalar: no axes). Compared by identity. `names` are the addresses under which an author can ask
    for it: `h.*.attn` (the result of that call) or `h.*.attn.score` (a variable of its block)."""

    type: Type
    names: tuple[str, ...] = ()


class Node(Frozen, eq=False):
    """An operation applied: `op` holds its attributes, `inputs` its operands in order. `scope` is the path of the
    layer in which it stands (`h.*.attn.q`; empty at the top), `span` what an author wrote for it (the innermost place
    in a spec, a standard block's file included) and `site` the place in the user's own file that led to it."""

    op: Op
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    regions: tuple[Region, ...] = ()
    scope: str = ""
    span: Span | None = None
    site: Span | None = None

    @property
    def output(self) -> Value:
        """The only output (`ValueError` where there are several)."""
        (value,) = self.outputs
        return value

    @property
    def starts(self) -> tuple[Value, ...]:
        """Of a repeat or a scan: what is carried first, as its bodies take it after the index."""
        carried: int = getattr(self.op, "carried", 0)
        return self.inputs[:carried]

    @property
    def active(self) -> tuple[Value, ...]:
        """Of a repeat or a scan: what says whether it is active, if anything does."""
        return self.inputs[len(self.starts) :] if self.regions else ()

    @property
    def at(self) -> Span | None:
        """Where to point a user: the place in his own file if known."""
        return self.site or self.span


class Region(Frozen, eq=False):
    """A body: what it is given, what it does in order, what it gives back. For `repeat`: parameters are the index (an
    int scalar) and the carried values; results are the carried values' next ones, then what is emitted."""

    parameters: tuple[Value, ...]
    nodes: tuple[Node, ...]
    results: tuple[Value, ...]

    def walk(self) -> Iterator[Node]:
        """Every node, each before the nodes of its own bodies, bodies once."""
        for node in self.nodes:
            yield node
            for region in node.regions:
                yield from region.walk()


class ParameterInfo(Frozen):
    """A parameter of the model. In `address` each `*` stands for the index of a repeat in which it is declared
    (`h.*.ln_1.scale`, see `attndsl.addresses`); `layers` has, for each `*`, the indices at which it exists:
    `range(depth)`, or fewer where the body branches. Where its rounds fill no such box, or differ in type or
    initialiser, there are several of one address, which have no rounds in common.

    Its first axes, one for each of `stacks`, count layers among which an index chooses, each with such a parameter; the
    number says after how many parts of the address a single one of them has its index (`h.*.experts.*.up.weight`)."""

    address: str
    type: Type
    initializer: Initializer
    layers: Box = ()
    span: Span | None = None
    stacks: tuple[int, ...] = ()

    @property
    def stacked(self) -> int:
        """How many of its axes, in front, count layers."""
        return len(self.stacks)

    @property
    def copies(self) -> int:
        return rounds(self.layers)

    def addresses(self) -> Iterator[str]:
        """The addresses in files, `h.0.ln_1.scale` first."""
        return addresses_in(self.address, self.layers)

    def indices(self) -> Iterator[tuple[int, ...]]:
        """The indices of its loops, for each of the addresses."""
        return product(*self.layers)


class Bound(Frozen):
    """The values of an input must satisfy `value RELATION limit`: `tokens < vocab`. That they are not negative is part
    of an upper bound, unless a lower one is written too (`targets >= -100`)."""

    relation: str
    limit: Size
    span: Span


class InputInfo(Frozen):
    """`value` is what the call gives. `default` is the text of what stands for it where an optional input is left out
    (None: nothing does, and the outputs that need it are not computed); a `given` node in the body chooses."""

    name: str
    value: Value
    optional: bool = False
    bounds: tuple[Bound, ...] = ()
    doc: str | None = None
    span: Span | None = None
    default: str | None = None


class OutputInfo(Frozen):
    """`needs` names the optional inputs without which it cannot be computed: those that have no default."""

    name: str
    value: Value
    needs: frozenset[str] = frozenset()
    doc: str | None = None
    span: Span | None = None


class StateInfo(Frozen):
    """A value that is kept from one call to the next. The graph takes it as the optional input `name`, whose default is
    its initial value, and gives the next one as the output of the same name; both hold all layers, stacked in front of
    the last axis of `type`, the innermost loop's first. `address`, `layers` are as with a parameter; where layers of
    one address differ in type or initial value there are several states, each with an input of its own."""

    address: str
    type: Type
    name: str
    layers: Box = ()
    span: Span | None = None

    def addresses(self) -> Iterator[str]:
        """The addresses in files, `h.0.memory` first."""
        return addresses_in(self.address, self.layers)

    def indices(self) -> Iterator[tuple[int, ...]]:
        """The indices of its loops, for each of the addresses."""
        return product(*self.layers)


class ScopeInfo(Frozen):
    """A layer as the author sees it: the path, the block (or `scope`, `repeat`) that it is a call of, its place."""

    path: str
    kind: str
    span: Span | None = None
    labelled: bool = False
    doc: str | None = None


class Graph(Frozen, eq=False):
    """A checked model at given hyperparameters. `hyperparameters` holds every compile-time value by name as shown to a
    user (numbers, and texts for blocks and masks); `sizes` the integer ones that occur in sizes. Sizes that are not in
    `sizes` are bound by the inputs at the call. `body.parameters` are the inputs' values, `body.results` the outputs'.
    The graph has no effects: what it keeps from call to call (`states`) are inputs and outputs too.
    """

    name: str
    hyperparameters: Mapping[str, object]
    sizes: Mapping[str, int]
    inputs: tuple[InputInfo, ...]
    outputs: tuple[OutputInfo, ...]
    parameters: tuple[ParameterInfo, ...]
    constraints: tuple[Constraint, ...]
    scopes: Mapping[str, ScopeInfo]
    body: Region
    variant: str | None = None
    doc: str | None = None
    span: Span | None = None
    origin: str = field(default="")  # the name of the file that the model was read from
    kinds: Mapping[str, str] = field(default_factory=dict)  # what `kind(x)` says of hyperparameters, and of `depths[0]`
    states: tuple[StateInfo, ...] = ()

    @property
    def parameter_count(self) -> int:
        return sum(info.copies * info.type.count(self.sizes) for info in self.parameters)

    @property
    def state_names(self) -> tuple[str, ...]:
        """The inputs, which are the outputs too, that are states."""
        return tuple(dict.fromkeys(info.name for info in self.states))

    @property
    def shared_states(self) -> tuple[StateInfo, ...]:
        """The states of which no axis is a size of inputs: all rows of all calls share them (running averages). They
        belong to the model as parameters do; the others belong to the rows of a call."""
        return tuple(info for info in self.states if all(a.size.symbols <= self.sizes.keys() for a in info.type.axes))

    @property
    def own_inputs(self) -> tuple[InputInfo, ...]:
        """The inputs that are no states."""
        states = self.state_names
        return tuple(info for info in self.inputs if info.name not in states)

    @property
    def title(self) -> str:
        """Its name, with the variant's: `GPT2:medium`."""
        return self.name + (f":{self.variant}" if self.variant else "")

    @property
    def own_outputs(self) -> tuple[OutputInfo, ...]:
        """The outputs that are no states."""
        states = self.state_names
        return tuple(info for info in self.outputs if info.name not in states)

    @property
    def free_sizes(self) -> tuple[str, ...]:
        """The sizes that the inputs bind, in the order in which they first occur."""
        axes = (axis for info in self.inputs for axis in info.value.type.axes)
        return tuple(dict.fromkeys(name for axis in axes for name in sorted(axis.size.symbols - self.sizes.keys())))

    def giving(self, names: Collection[str]) -> Graph:
        """The graph with these of its own outputs alone, and its states. What only the others need is dead code."""
        kept = {*names, *self.state_names}
        pairs = [pair for pair in zip(self.outputs, self.body.results, strict=True) if pair[0].name in kept]
        if len(pairs) == len(self.outputs):
            return self
        body = replace(self.body, results=tuple(value for _, value in pairs))
        return replace(self, outputs=tuple(info for info, _ in pairs), body=body)

    def to_networkx(self) -> networkx.MultiDiGraph:
        """What flows from where to where, as a graph of networkx: see `attndsl.graph.flow.to_networkx`."""
        from attndsl.graph.flow import to_networkx

        return to_networkx(self)


def captured(region: Region) -> tuple[Value, ...]:
    """The values that a body reads from around it, in the order of first use."""
    made: set[Value] = set(region.parameters)
    found: dict[Value, None] = {}

    def read(value: Value) -> None:
        if value not in made:
            found.setdefault(value)

    for node in region.nodes:
        for value in node.inputs:
            read(value)
        for inner in node.regions:
            for value in captured(inner):
                read(value)
        made.update(node.outputs)
    for value in region.results:
        read(value)
    return tuple(found)
