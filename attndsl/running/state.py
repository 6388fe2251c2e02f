"""The layout of a training state, the same on every backend: a run may even go on on another one.

    parameters/ADDRESS            the parameter
    optimizer/NAME/ADDRESS        what the optimizer keeps beside it, as `Optimizer.keeps` names it
    updates                       how often the optimizer has moved the parameters
    states/PART/ADDRESS           a state of the rows of that part of a step (`attndsl.running.carrying`)
    scale                         of the loss in float16, and how many steps it has held: [scale, steps]

`scale` is there in float16 only; the optimizer keeps nothing for parameters that are frozen. A state that all rows
share is kept as a parameter is, from the first step on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from attndsl.lazy import Array
from attndsl.optimizers import Optimizer
from attndsl.storage.deferred import Deferred, stated

Shapes = Mapping[str, tuple[int, ...]]

_PARAMETERS = "parameters/"


def kept_shapes(optimizer: Optimizer, shapes: Shapes, frozen: Collection[str] = ()) -> dict[str, Shapes]:
    """The shapes of what the optimizer keeps beside the parameters that are trained, by address and name."""
    return {address: optimizer.keeps(shape) for address, shape in shapes.items() if address not in frozen}


def whole_state(
    parameters: Mapping[str, Array],
    kept: Mapping[str, Mapping[str, Array]],
    make: Callable[[str, str], Array],
    rows: Mapping[str, Array],
    **others: Array,
) -> Deferred:
    """A state of these `parameters`; `make` makes what is `kept` beside that of an address, by its name, and `rows` are
    what `CarriedStates.row_arrays` gives."""
    places = {f"optimizer/{name}/{address}": (address, name) for address, some in kept.items() for name in some}
    known = {place: kept[address][name] for place, (address, name) in places.items()}
    own = {_PARAMETERS + address: array for address, array in stated(parameters).items()}
    return Deferred.joined(
        Deferred(own, lambda name: parameters[name.removeprefix(_PARAMETERS)]),
        Deferred(known, lambda place: make(*places[place])),
        rows,
        others,
    )


def parameters_in(state: Mapping[str, Array]) -> Deferred:
    """The parameters by address, and the states that all rows share."""
    own = {n.removeprefix(_PARAMETERS): array for n, array in stated(state).items() if n.startswith(_PARAMETERS)}
    return Deferred(own, lambda address: state[_PARAMETERS + address])


def check_state(
    state: Mapping[str, Array], shapes: Shapes, kept: Mapping[str, Shapes], shared: Shapes | None = None
) -> None:
    """That a state has every array in its shape, the parameters' and those `kept` beside them: `KeyError` or
    `ValueError` with what does not fit. `shared` are the states that all rows share; there may be none yet."""
    state = stated(state)
    wanted = {"updates": ()} | {_PARAMETERS + address: shape for address, shape in shapes.items()}
    for address, arrays in kept.items():
        wanted |= {f"optimizer/{name}/{address}": shape for name, shape in arrays.items()}
    later = {_PARAMETERS + address: shape for address, shape in (shared or {}).items()}
    if any(name in state for name in later):
        wanted |= later
    for name, shape in wanted.items():
        if name not in state:
            raise KeyError(f"it lacks `{name}`")
        if tuple(state[name].shape) != tuple(shape):
            raise ValueError(f"`{name}` has the shape {list(state[name].shape)} instead of {list(shape)}")
    left = [name for name in state if name not in wanted and name != "scale" and not name.startswith("states/")]
    if left:
        raise ValueError(f"it has `{left[0]}`, which the run does not have")
