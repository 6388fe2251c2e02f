"""What a program may be given as its parameters: the graph's, all of them and no others, each in its shape; and beside
them the states that all rows share, which a training has made as it has made the parameters."""

from __future__ import annotations

from collections.abc import Mapping

from attndsl.diagnostics import AttnError, Diagnostic, did_you_mean
from attndsl.graph import Graph
from attndsl.lazy import Array, np
from attndsl.storage.deferred import Deferred, stated


def parameter_shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    """The shapes of the parameters by concrete address, in the graph's order."""
    return {address: info.type.shape(graph.sizes) for info in graph.parameters for address in info.addresses()}


def shared_shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    """The same of the states that all rows share."""
    states = graph.shared_states
    return {address: info.type.shape(graph.sizes) for info in states for address in info.addresses()}


def zeros(graph: Graph) -> Deferred:
    """What parameters are before their values are loaded, float32 by address, of which nothing is drawn."""
    shapes = parameter_shapes(graph)
    return Deferred.of(shapes, np.float32, lambda address: np.zeros(shapes[address], np.float32))


def check_parameters(arrays: Mapping[str, Array], graph: Graph) -> None:
    """Raise E0807 with every address that is missing, unknown or of another shape."""
    shapes, kept = parameter_shapes(graph), shared_shapes(graph)
    mistakes = [Diagnostic("E0807", f"the parameter `{a}` is missing") for a in shapes if a not in arrays]
    if any(a in arrays for a in kept):
        mistakes += [Diagnostic("E0807", f"the state `{a}` is missing") for a in kept if a not in arrays]
    shapes |= kept
    for address, array in stated(arrays).items():
        if address not in shapes:
            helps = did_you_mean(address, shapes)
            mistakes.append(Diagnostic("E0807", f"there is no parameter `{address}`", helps=helps))
        elif np.shape(array) != shapes[address]:
            shape, wanted = list(np.shape(array)), list(shapes[address])
            mistakes.append(Diagnostic("E0807", f"the parameter `{address}` is {shape}, and must be {wanted}"))
    if mistakes:
        raise AttnError(*mistakes)
