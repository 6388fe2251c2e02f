"""The incremental graph of a graph that is causal along time: one that reads a text on.

Given a graph and its input of tokens; gives the graph of a call that is given new tokens and what former calls left,
and gives what the whole text would give at the new positions, however a text is split into calls.

**What it is.** A graph like any other, with states: `past`, how many positions of each row have been read, and
memories of what later positions need of earlier ones. It has an axis of its own for the slots of a memory (`C`, and `W`
for a window), whose length the call that begins a text chooses. Rows may be of different lengths: the input `new` says
how many of the tokens given are real in each row; all further places repeat the last real one, so that the last place
is always that of the next token. Going back, to drop what was read last, is a lower `past`.

**How it is found.** Time is the last axis of the tokens, and every axis of that length. `demands` goes backwards from
the outputs and finds of each value whether it is asked for at the new positions or at all so far; `clock` and `routes`
know what a node does along time, and `attndsl.masks.reach` how far back a mask lets a query see. What is computed from
positions alone (masks, rotations, biases) is computed anew for the slots. What is computed from tokens is computed for
the new positions, and written into a memory as late as possible: keys after their projection and rotation. `emission`
writes the nodes and `memories` the states. What it cannot do is said with the line and the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from attndsl.diagnostics import AttnError, error
from attndsl.graph import INT, Graph, InputInfo, OutputInfo, Region, Type, Value
from attndsl.graph.builder import Builder
from attndsl.passes.cse import CommonSubexpressions
from attndsl.passes.dce import DeadCode
from attndsl.passes.decide import Decide
from attndsl.passes.hoist import Hoist
from attndsl.passes.incremental.clock import Clock, NotCausal
from attndsl.passes.incremental.demands import NEW, Demands
from attndsl.passes.incremental.emission import BodyWriter
from attndsl.passes.incremental.latent import AttendToLatent
from attndsl.passes.incremental.memories import Memories
from attndsl.passes.incremental.positions import NEW_TOKENS, PAST, Positions
from attndsl.passes.incremental.sliding import sliding
from attndsl.passes.incremental.sources import source_graph
from attndsl.passes.pipeline import RECOGNISED, optimize
from attndsl.records import Frozen, replace


class Derived(Frozen):
    """`graph` reads a text of the input `tokens` on. Where the model has other inputs too, `sources` makes of them,
    once for each, what `graph` takes of it as states: its outputs by their names."""

    graph: Graph
    tokens: str
    sources: Graph | None = None


def incremental(graph: Graph, tokens: str | None = None, outputs: Sequence[str] | None = None) -> Graph:
    """The graph of `derived`, alone."""
    return derived(graph, tokens, outputs).graph


def derived(graph: Graph, tokens: str | None = None, outputs: Sequence[str] | None = None) -> Derived:
    """The graph that reads on a text of the input `tokens`, in use (not in training), for these outputs; if None, for
    all that have the axes of the tokens and need no optional input. Without `tokens` it is the one input of ints by
    which the model is causal, the last one that could be where it is by none. A model that keeps states of its rows
    reads on already, and is given back. Raises E0761 where the model is not causal, with the place and the reason."""
    if tokens is None:
        return _by_any(graph, outputs)
    if graph.states and len(graph.shared_states) < len(graph.states):
        return Derived(graph, tokens)  # it reads on by states of its own
    passes = (Decide(), *RECOGNISED)
    plain, _ = optimize(graph, passes=passes)
    try:
        clock = Clock.of(plain, tokens)
        plain, _ = optimize(plain, passes=(AttendToLatent(clock), DeadCode()))
        wanted = [info for info in plain.own_outputs if _is_wanted(info, clock, outputs)]
        if not wanted:
            raise NotCausal(f"no output has the axes of `{tokens}`")
        made, sources = _made(plain, clock, wanted)
    except NotCausal as problem:
        raise _refusal(graph, problem) from None
    tidy = (CommonSubexpressions(), Hoist(), CommonSubexpressions(), DeadCode())
    kept = None if sources is None else optimize(sources, passes=tidy)[0]
    return Derived(optimize(made, passes=tidy)[0], tokens, kept)


def _by_any(graph: Graph, outputs: Sequence[str] | None) -> Derived:
    found = derived_by_each(graph, outputs)
    if len(found) > 1 and any(made.graph is not graph for made in found):
        names = ", ".join(made.tokens for made in found)
        raise _refusal(graph, NotCausal(f"it is causal by several inputs: {names}"))
    return found[0]


def derived_by_each(graph: Graph, outputs: Sequence[str] | None = None) -> list[Derived]:
    """What `derived` gives of each input by which the model is causal, of those that it reads. Raises E0761 where it is
    by none."""
    names = [info.name for info in graph.own_inputs if info.value.type.dtype == INT and not info.optional]
    if not names:
        raise _refusal(graph, NotCausal("it has no input of tokens, `int[B, T]`"))
    found: list[Derived] = []
    problems: list[AttnError] = []
    for name in names:
        try:
            found.append(derived(graph, name, outputs))
        except AttnError as problem:
            problems.append(problem)
    if not found:
        raise problems[-1]
    read = [made for made in found if made.tokens in {info.name for info in made.graph.inputs}]
    return read or found


def kept(graph: Graph) -> list[str]:
    """What a graph keeps from call to call, a line for each state, with its type."""
    found: dict[tuple[str, Type], list[int]] = {}
    for info in graph.states:
        counts = [len(indices) for indices in info.layers]
        known = found.setdefault((info.address, info.type), [])
        known[:] = [a + b for a, b in zip(known, counts, strict=True)] if known else counts
    return [
        f"{address}: {type}" + (" in " + ", ".join(f"{count} layers" for count in counts) if counts else "")
        for (address, type), counts in found.items()
    ]


def _is_wanted(info: OutputInfo, clock: Clock, outputs: Sequence[str] | None) -> bool:
    if outputs is not None:
        return info.name in outputs
    return not info.needs and {clock.time, *clock.rows} <= {*info.value.type.axes}


def _made(graph: Graph, clock: Clock, wanted: Sequence[OutputInfo]) -> tuple[Graph, Graph | None]:
    shared = [info for info in graph.outputs if info.name in graph.state_names]
    demands = Demands(graph, clock, [info.value for info in (*wanted, *shared)])
    builder = Builder()
    memories = Memories(graph, Positions(graph, clock, builder))
    writer = BodyWriter(demands, demands.top, memories, builder)
    inputs = [info for info in graph.inputs if info.value in demands.top.needs or info.name in graph.state_names]
    taken = [_taken(info, writer) for info in inputs]
    writer.write(graph.body.nodes)
    results = [replace(info, value=writer.laid(writer.value(info.value), info.value.type)) for info in wanted]
    results += [replace(info, value=writer.value(info.value)) for info in shared]
    for memory, value in writer.written.items():
        memory.end = value
    taken += [_taken(info, writer) for info in _lengths(graph, writer, taken)]
    taken += memories.inputs()
    results += memories.outputs()
    body = builder.region(tuple(info.value for info in taken), tuple(info.value for info in results))
    made = replace(
        graph,
        inputs=tuple(taken),
        outputs=tuple(results),
        states=(*graph.states, *memories.states()),
        constraints=tuple(memories.constraints()),
        body=body,
    )
    return made, source_graph(graph, memories.sources)


def _lengths(graph: Graph, writer: BodyWriter, taken: Sequence[InputInfo]) -> Iterator[InputInfo]:
    """Inputs that say how long something is, where nobody reads their elements: those along time are given, to be
    taken; the smallest of others are kept as sources."""
    memories = writer.memories
    types = [value.type for node in Region((), tuple(writer.builder.nodes), ()).walk() for value in node.outputs]
    types += [memory.type for memory in memories.memories.values()]
    known = {*graph.sizes, *memories.positions.capacities.values(), *_sizes(info.value.type for info in taken)}
    for info in sorted(graph.own_inputs, key=lambda info: info.value.type.rank):
        known |= _sizes(memory.type for memory in memories.sources.values())
        own = _sizes([info.value.type])
        if not own & (_sizes(types) - known):
            continue
        if writer.clock.time in info.value.type.axes:
            known |= own
            yield info
        else:
            writer.source(info.value)


def _sizes(types: Iterable[Type]) -> set[str]:
    return {name for type in types for axis in type.axes for name in axis.size.symbols}


def _taken(info: InputInfo, writer: BodyWriter) -> InputInfo:
    """An input of the incremental graph."""
    value = Value(info.value.type, info.value.names)
    whole = info.default is not None or writer.clock.time not in value.type.axes  # `given` takes it else
    real = value if whole else writer.positions.real(value, writer.clock.time)
    writer.values[info.value, NEW] = real
    return replace(info, value=value)


def _refusal(graph: Graph, problem: NotCausal) -> AttnError:
    node = problem.node
    what = problem.reason if node is None else f"`{node.op.name}` stands in the way: {problem.reason}"
    return error(
        "E0761", f"{graph.name} cannot read a text on, position by position", node.at if node else graph.span,
        note=what, help="a position may depend on itself and those before it alone: `mask=causal`",
    )  # fmt: skip


__all__ = ["NEW_TOKENS", "PAST", "Derived", "derived", "derived_by_each", "incremental", "kept", "sliding"]
