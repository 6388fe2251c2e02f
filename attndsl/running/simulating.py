"""All devices of a mesh in one process, each with the reference program of the graph of one device: what they come to
together is what the whole graph does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attndsl.layouts.placements import Placement, indices
from attndsl.lazy import Array, np
from attndsl.records import Frozen
from attndsl.running import backends
from attndsl.running.ranks import TIMEOUT, Member, on_ranks
from attndsl.types import Type

if TYPE_CHECKING:
    from attndsl.graph import Graph
    from attndsl.layouts.laid_out import LaidOut


class Differ(Exception):
    """Devices have different arrays of what is the same on all of them."""


class Simulated(Frozen):
    """The outputs by name, and the gradients by parameter address and by float input, put together."""

    outputs: dict[str, Array]
    gradients: dict[str, Array]
    by_input: dict[str, Array]


Found = tuple[dict[str, Array], dict[str, Array], dict[str, Array]]


def simulate(
    laid_out: LaidOut,
    inputs: Mapping[str, Array],
    parameters: Mapping[str, Array],
    cotangents: Mapping[str, Array] | None = None,
    also: Sequence[str] = (),
    *,
    graph: Graph | None = None,
    dtype: str = "float64",
    training: bool = False,
    seed: int = 0,
    step: int = 0,
    timeout: float = TIMEOUT,
) -> Simulated:
    """Run the graph of one device (or `graph`, what passes made of it) on every rank, with the whole's inputs and
    parameters by address, and with `cotangents`, by output, its gradients
    (and the outputs in `also` besides). Raises `Differ` where devices do not agree
    on what they all have, `attndsl.running.ranks.Parted` where they do not meet."""
    local = graph or laid_out.graph
    reference = backends.reference()

    def run(rank: int, member: Member) -> Found:
        own = laid_out.local_parameters(parameters, rank)
        program: Any = reference.program(local, dtype=dtype, parameters=own)  # the reference alone takes a communicator
        program.communicator = member
        given = laid_out.local_inputs(inputs, rank)
        if cotangents is None:
            return dict(program.run(given, training=training, seed=seed, step=step)), {}, {}
        ups = local_cotangents(laid_out, cotangents, rank)
        found: Found = program.gradients(given, ups, also, training=training, seed=seed, step=step)
        return found

    return put_together(laid_out, on_ranks(laid_out.layout.mesh.dimensions, run, timeout=timeout))


def local_cotangents(laid_out: LaidOut, cotangents: Mapping[str, Array], rank: int) -> dict[str, Array]:
    """What one device has of the cotangents of outputs."""
    return {name: _cut(laid_out, name, np.asarray(array), rank) for name, array in cotangents.items()}


def put_together(laid_out: LaidOut, found: Sequence[Found]) -> Simulated:
    """The whole of what each rank has found: outputs by name, gradients by parameter, as the device calls it, and by
    input. Raises `Differ`."""
    whole = laid_out.whole
    found = [
        (outputs, {address: own[name] for address, name in laid_out.own_names(rank).items() if name in own}, by_input)
        for rank, (outputs, own, by_input) in enumerate(found)
    ]
    places = (
        {info.name: (info.value.type, laid_out.outputs[info.name]) for info in whole.outputs},
        {address: (type, placement) for address, type, placement in laid_out.of_parameters()},
        {info.name: (info.value.type, laid_out.inputs[info.name]) for info in whole.inputs},
    )

    def together(number: int) -> dict[str, Array]:
        parts = [each[number] for each in found]
        return {
            name: assembled(laid_out, [part.get(name) for part in parts], *places[number][name], name)
            for name in dict.fromkeys(name for part in parts for name in part)
        }

    return Simulated(together(0), together(1), together(2))


def _cut(laid_out: LaidOut, name: str, array: Array, rank: int) -> Array:
    type = next(info.value.type for info in laid_out.whole.outputs if info.name == name)
    places = indices(laid_out.outputs[name], type, laid_out.layout.mesh.coordinates(rank), array.shape)
    return array[places]


def assembled(laid_out: LaidOut, parts: list[Array | None], type: Type, placement: Placement, name: str) -> Array:
    """The whole array that the devices have parts of (None: a device has nothing of it). Raises `Differ`."""
    mesh, divided = laid_out.layout.mesh, placement.divided
    some = next(part for part in parts if part is not None)
    lengths = zip(type.axes, some.shape, strict=True)
    shape = tuple(length * mesh.count(divided.get(axis, ())) for axis, length in lengths)
    whole = np.zeros(shape, some.dtype)
    seen: dict[tuple[int, ...], Array] = {}
    for rank, part in enumerate(parts):
        if part is None:
            continue
        coordinates = mesh.coordinates(rank)
        place = tuple(coordinates[dimension] for on in divided.values() for dimension in on)
        first = seen.setdefault(place, part)
        if first is not part and not np.array_equal(first, part, equal_nan=part.dtype.kind == "f"):
            raise Differ(f"rank {rank} has another `{name}` than a rank that should have the same")
        whole[indices(placement, type, coordinates, shape)] = part
    return whole
