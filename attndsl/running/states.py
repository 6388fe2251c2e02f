"""States by their addresses in files (`h.0.memory`), as the inputs and outputs of a graph that hold all layers, and
back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from attndsl.diagnostics import AttnError, Diagnostic, Label, did_you_mean, error
from attndsl.graph import Graph, StateInfo
from attndsl.lazy import np
from attndsl.ops.control import stacked_at
from attndsl.running.inputs import KINDS, check_shapes

if TYPE_CHECKING:
    from attndsl.running.program import Array


def with_states(graph: Graph, inputs: Mapping[str, Array], states: Mapping[str, Array] | None) -> Mapping[str, Array]:
    """The inputs of a call, and those that its states are. Raises E0815 for states that are missing, unknown, of
    another shape or dtype than the model and the inputs say."""
    if states is None:
        return inputs
    if not graph.states:
        raise error("E0815", f"`{graph.name}` has no states", help="leave the states out")
    check_states(graph, inputs, states)
    stacks: dict[str, Array] = {}
    for info in graph.states:
        for indices, address in zip(info.indices(), info.addresses(), strict=True):
            array = np.asarray(states[address])
            if info.name not in stacks:
                stacks[info.name] = np.zeros(_stacked_shape(graph, info, array.shape), array.dtype)
            stacks[info.name][_place(info, indices)] = array
    return {**inputs, **stacks}


def _stacked_shape(graph: Graph, info: StateInfo, shape: tuple[int, ...]) -> tuple[int, ...]:
    before = stacked_at(info.type)
    stack = next(given.value.type for given in graph.inputs if given.name == info.name)
    loops = stack.axes[before : stack.rank - info.type.rank + before]
    return (*shape[:before], *(axis.size.value(graph.sizes) for axis in loops), *shape[before:])


def _place(info: StateInfo, indices: tuple[int, ...]) -> tuple[slice | int, ...]:
    """Where the layer of these loop indices stands in the stack of all."""
    return (*(slice(None) for _ in range(stacked_at(info.type))), *reversed(indices))


def states_in(graph: Graph, results: Mapping[str, Array]) -> dict[str, Array]:
    """The states by address, out of the outputs that hold all their layers."""
    return {
        address: np.array(results[info.name][_place(info, indices)])
        for info in graph.states
        for indices, address in zip(info.indices(), info.addresses(), strict=True)
    }


def check_states(graph: Graph, inputs: Mapping[str, Array], states: Mapping[str, Array]) -> None:
    """Raise E0815 with everything that is wrong with the states of a call."""
    known = {address: info for info in graph.states for address in info.addresses()}
    mistakes = [
        Diagnostic("E0815", f"there is no state `{address}`", helps=did_you_mean(address, known))
        for address in states
        if address not in known
    ]
    mistakes += [
        Diagnostic("E0815", f"the state `{address}` is missing", _label(info), helps=(_ALL,))
        for address, info in known.items()
        if address not in states
    ]
    if not mistakes:
        sizes = check_shapes(graph, inputs)
        mistakes = [wrong for address, info in known.items() for wrong in _wrong(address, info, states[address], sizes)]
    if mistakes:
        raise AttnError(*mistakes)


_ALL = (
    "states are given together, as one call returned them, or not at all: the model begins with its initial ones then"
)


def _wrong(address: str, info: StateInfo, given: Array, sizes: Mapping[str, int]) -> Iterator[Diagnostic]:
    array, wanted = np.asarray(given), info.type.shape(sizes)
    if array.dtype.kind not in KINDS[info.type.dtype]:
        message = f"the state `{address}` holds {array.dtype}, but is declared as `{info.type}`"
        yield Diagnostic("E0815", message, _label(info), helps=("give the states that a call of this model returned",))
    elif array.shape != wanted:
        message = f"the state `{address}` is {list(array.shape)}, and must be {list(wanted)}"
        note = f"it is `{info.type}`"
        ways = "give states of this model, from a call with the same number of rows; or begin without states"
        yield Diagnostic("E0815", message, _label(info), notes=(note,), helps=(ways,))


def _label(info: StateInfo) -> Label | None:
    return Label(info.span, "declared here") if info.span else None


__all__ = ["check_states", "states_in", "with_states"]
