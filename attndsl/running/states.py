"""States by their addresses in files (`h.0.memory`), as the inputs and outputs of a graph that hold all layers, and
back; and what they begin with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from attndsl.diagnostics import AttnError, Diagnostic, Label, did_you_mean, error
from attndsl.graph import BOOL, FLOAT, INT, Graph, OutputInfo, Region, StateInfo, Type, Value
from attndsl.lazy import np
from attndsl.ops.control import Given, stacked_at
from attndsl.records import replace
from attndsl.running.inputs import KINDS, check_shapes
from attndsl.running.slots import slots
from attndsl.sizes import Size

if TYPE_CHECKING:
    from attndsl.running.program import Array


# ---------------------------------------------------------------- all layers in one array


def stacks_of(graph: Graph, states: Mapping[str, Array], infos: Iterable[StateInfo] | None = None) -> dict[str, Array]:
    """States by address (those of `infos`, if not all) as the inputs that hold all their layers."""
    stacks: dict[str, Array] = {}
    for info in graph.states if infos is None else infos:
        for indices, address in zip(info.indices(), info.addresses(), strict=True):
            array = np.asarray(states[address])
            if info.name not in stacks:
                stacks[info.name] = np.zeros(_stacked_shape(graph, info, array.shape), array.dtype)
            stacks[info.name][_place(info, indices)] = array
    return stacks


def shared_stacks(graph: Graph, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The stacks of the states that all rows share, where `arrays` has them beside the parameters."""
    infos = [info for info in graph.shared_states if all(address in arrays for address in info.addresses())]
    return stacks_of(graph, arrays, infos)


def states_in(graph: Graph, stacks: Mapping[str, Array]) -> dict[str, Array]:
    """The states by address, out of the arrays that hold all their layers; those of which there is none left out."""
    return {
        address: np.array(stacks[info.name][_place(info, indices)])
        for info in graph.states
        for indices, address in zip(info.indices(), info.addresses(), strict=True)
        if info.name in stacks
    }


def _stacked_shape(graph: Graph, info: StateInfo, shape: tuple[int, ...]) -> tuple[int, ...]:
    before = stacked_at(info.type)
    stack = _stack(graph, info.name)
    loops = stack.axes[before : stack.rank - info.type.rank + before]
    return (*shape[:before], *(axis.size.value(graph.sizes) for axis in loops), *shape[before:])


def _stack(graph: Graph, name: str) -> Type:
    return next(info.value.type for info in graph.inputs if info.name == name)


def _place(info: StateInfo, indices: tuple[int, ...]) -> tuple[slice | int, ...]:
    """Where the layer of these loop indices stands in the stack of all."""
    return (*(slice(None) for _ in range(stacked_at(info.type))), *reversed(indices))


# ---------------------------------------------------------------- what a call is given


def with_states(
    graph: Graph, inputs: Mapping[str, Array], states: Mapping[str, Array] | None, shared: Mapping[str, Array]
) -> Mapping[str, Array]:
    """The inputs of a call, and those that its states are; `shared` are the stacks of states that come with the
    parameters, for a call that is given none. Raises E0815 for states that are missing, unknown, of another shape or
    dtype than the model and the inputs say."""
    if states is None:
        return {**empty_stacks(graph, inputs), **shared, **inputs}
    if states and not graph.states:
        raise error("E0815", f"`{graph.name}` has no states", help="leave the states out")
    check_states(graph, inputs, states)
    return {**inputs, **stacks_of(graph, states)}


def refuse_as_inputs(graph: Graph, names: Iterable[str]) -> None:
    """Raise E0815 where somebody gives a state among the inputs."""
    for name in names:
        if name in graph.state_names:
            help = "give what a call returned: `run(inputs, states=results.states)`, or `--state-in FILE`"
            raise error("E0815", f"`{name}` is a state and no input", help=help)


def check_states(graph: Graph, inputs: Mapping[str, Array], states: Mapping[str, Array]) -> None:
    """Raise E0815 with everything that is wrong with the states of a call."""
    if not isinstance(states, Mapping) or hasattr(states, "states"):
        what = "states are arrays by their addresses, and this is something else"
        raise error("E0815", what, help="give those that a call returned: `states=results.states`")
    known = {address: info for info in graph.states for address in info.addresses()}
    mistakes = [
        Diagnostic("E0815", f"there is no state `{address}`", helps=did_you_mean(address, known) or (_SAME,))
        for address in states
        if address not in known
    ]
    mistakes += [
        Diagnostic("E0815", f"the state `{address}` is missing", _label(info), helps=(_ALL,))
        for address, info in known.items()
        if address not in states
    ]
    if not mistakes:
        sizes = _with_slots(check_shapes(graph, inputs), known, states)
        mistakes = [wrong for address, info in known.items() for wrong in _wrong(address, info, states[address], sizes)]
    if mistakes:
        raise AttnError(*mistakes)


_SAME = "give the states that a call of this model returned"
_ALL = (
    "states are given together, as one call returned them, or not at all: the model begins with its initial ones then"
)


def _wrong(address: str, info: StateInfo, given: Array, sizes: Mapping[str, int]) -> Iterator[Diagnostic]:
    array, wanted = np.asarray(given), info.type.shape(sizes)
    if array.dtype.kind not in KINDS[info.type.dtype]:
        message = f"the state `{address}` holds {array.dtype}, but is declared as `{info.type}`"
        yield Diagnostic("E0815", message, _label(info), helps=(_SAME,))
    elif array.shape != wanted:
        message = f"the state `{address}` is {list(array.shape)}, and must be {list(wanted)}"
        note = f"it is `{info.type}`"
        ways = "give states of this model, from a call with the same number of rows; or begin without states"
        yield Diagnostic("E0815", message, _label(info), notes=(note,), helps=(ways,))


def _with_slots(
    sizes: Mapping[str, int], known: Mapping[str, StateInfo], states: Mapping[str, Array]
) -> Mapping[str, int]:
    """The sizes, and those that only states have (how long memories are)."""
    found = dict(sizes)
    for address, info in known.items():
        for axis, length in zip(info.type.axes, np.asarray(states[address]).shape, strict=False):
            for name in axis.size.symbols - found.keys():
                if axis.size == Size.symbol(name):
                    found[name] = length
    return found


def _label(info: StateInfo) -> Label | None:
    return Label(info.span, "declared here") if info.span else None


# ---------------------------------------------------------------- what they begin with


def row_places(graph: Graph) -> dict[str, int]:
    """Where the rows stand in the states of an incremental graph, by name: along the first axis of the one that says
    how far each has been read. What is the same for all rows is left out."""
    infos = [info for info in graph.inputs if info.name in graph.state_names and not info.optional]
    rows = infos[0].value.type.axes[:1] if infos else ()
    return {
        info.name: info.value.type.axes.index(axis) for info in infos for axis in rows if axis in info.value.type.axes
    }


def empty_stacks(
    graph: Graph,
    inputs: Mapping[str, Array],
    lengths: Mapping[str, int] | None = None,
    dtype: str = "float32",
    known: Mapping[str, Array] | None = None,
) -> dict[str, Array]:
    """What states that have no initial value of their own begin with, for rows like those of `inputs`: zeros. Memories
    are as long as `lengths` say, or as this call needs. Those that are `known` are left out."""
    states = graph.state_names
    infos = [i for i in graph.inputs if i.name in states and not i.optional and i.name not in (known or {})]
    if not infos:
        return {}
    sizes = check_shapes(graph, {**inputs, **(known or {})})
    sizes = {**sizes, **slots(graph, sizes), **(lengths or {})}
    dtypes = {FLOAT: dtype, INT: "int64", BOOL: "bool"}
    return {i.name: np.zeros(i.value.type.shape(sizes), dtypes.get(i.value.type.dtype, "float32")) for i in infos}


def initial_stacks(graph: Graph, inputs: Mapping[str, Array], dtype: str = "float32") -> dict[str, Array]:
    """The initial values of all states, for rows like those of `inputs`: what a call without states begins with."""
    if not graph.states:
        return {}
    from attndsl.running import backends

    names = graph.state_names
    stacks = {info.value: info.name for info in graph.inputs if info.name in names}
    firsts: dict[str, Value] = {
        stacks[node.inputs[0]]: node.inputs[1]
        for node in graph.body.nodes
        if isinstance(node.op, Given) and node.inputs[0] in stacks
    }
    outputs = tuple(OutputInfo(f"initial {name}", firsts[name]) for name in names)
    body = Region(graph.body.parameters, graph.body.nodes, tuple(info.value for info in outputs))
    plain = replace(graph, outputs=outputs, parameters=(), states=(), body=body)
    found = backends.reference().program(plain, dtype=dtype).run(inputs)
    return {name: found[f"initial {name}"] for name in names}


__all__ = [
    "check_states", "empty_stacks", "initial_stacks", "refuse_as_inputs", "row_places", "shared_stacks", "stacks_of",
    "states_in", "with_states",
]  # fmt: skip
