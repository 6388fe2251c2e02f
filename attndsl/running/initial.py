"""The first values of parameters: the same bits for every backend, whatever else was drawn and in which order."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from attndsl.diagnostics import AttnError, error
from attndsl.graph import Graph, Region, Value
from attndsl.graph.initial import Draw, LoopIndex, written_out
from attndsl.lazy import Array, np
from attndsl.ops import Call
from attndsl.ops.arrays import generator
from attndsl.running.trainer import processor_threads
from attndsl.storage.arrays import machine_bytes
from attndsl.storage.deferred import Deferred

if TYPE_CHECKING:
    import numpy

BOOKKEEPING = 1024
"""Bytes that a parameter takes beside its values: its address, the array around it, a place in several tables."""

MANY = 1_000_000
"""Parameters that are worth several threads."""

BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


def initial_parameters(
    graph: Graph,
    seed: int = 0,
    part: Callable[[Array, str], Array] | None = None,
    only: Collection[str] | None = None,
) -> Iterator[tuple[str, Array]]:
    """Every parameter by concrete address (`h.0.ln_1.scale`), as float32, drawn by (seed, address) alone; of each the
    `part` alone, if that is given: then no more of them are whole at a time than there are threads, and two. `only` are
    the addresses of those that are drawn (None: all).

    Raises E0806 at once, before anything is drawn, where these parameters do not fit into this machine's memory, unless
    only parts of them are asked for.
    """
    if part is None:
        require_memory(graph, "float32")

    def draws() -> Iterator[tuple[str, Callable[[], Array]]]:
        for info in graph.parameters:
            start = written_out(info.initializer, info.type, info.stacked)
            for address, indices in zip(info.addresses(), info.indices(), strict=True):
                if only is not None and address not in only:
                    continue
                draw = generator("initial", seed, address)
                whole = partial(initial_value, start, graph.sizes, indices, draw)
                yield address, whole if part is None else partial(_part, whole, part, address)

    threads = processor_threads()
    if threads == 1 or graph.parameter_count < MANY:
        return ((address, draw()) for address, draw in draws())
    return _ahead(draws(), threads)


def _part(whole: Callable[[], Array], part: Callable[[Array, str], Array], address: str) -> Array:
    """A copy, so that the whole is there no longer."""
    return part(whole(), address).copy()


def drawn_parameters(graph: Graph, seed: int = 0) -> Deferred:
    """The same, each drawn when it is asked for."""
    of = {a: (info, at) for info in graph.parameters for a, at in zip(info.addresses(), info.indices(), strict=True)}

    def drawn_at(address: str) -> Array:
        info, indices = of[address]
        start = written_out(info.initializer, info.type, info.stacked)
        return initial_value(start, graph.sizes, indices, generator("initial", seed, address))

    return Deferred.of({a: info.type.shape(graph.sizes) for a, (info, _) in of.items()}, "float32", drawn_at)


def _ahead(draws: Iterator[tuple[str, Callable[[], Array]]], threads: int) -> Iterator[tuple[str, Array]]:
    """What is drawn, in order; while one is looked at, as many are being drawn as there are threads."""
    from concurrent.futures import Future, ThreadPoolExecutor

    begun: deque[tuple[str, Future[Array]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for address, draw in draws:
            begun.append((address, pool.submit(draw)))
            if len(begun) > threads:
                address, found = begun.popleft()
                yield address, found.result()
        for address, found in begun:
            yield address, found.result()


def initial_value(
    start: Region, sizes: Mapping[str, int], indices: Sequence[int], draw: numpy.random.Generator
) -> Array:
    """A float32 array: what the nodes of `start` (see `attndsl.graph.initial.written_out`) come to at `sizes`, and at
    the `indices` of the loops around the parameter. Draws take their numbers from `draw` one after the other; what is
    made of them is computed in float64."""
    arrays: dict[Value, Array] = {}
    with np.errstate(all="ignore"):
        for node in start.nodes:
            call = Call(tuple(v.type for v in node.inputs), node.output.type, sizes, "float64")
            given = [arrays[value] for value in node.inputs]
            if isinstance(node.op, Draw):
                found = drawn(
                    node.op.kind, [float(each) for each in given], call.shape(call.output), draw, node.op.stacked
                )
                found = found if node is start.nodes[-1] else found.astype(np.float64)
            elif isinstance(node.op, LoopIndex):
                found = np.asarray(indices[node.op.loop], np.int64)
            else:
                found = node.op.evaluate(call, *given)
            arrays[node.output] = found
        return np.require(arrays[start.results[0]], np.float32, ["C", "W"])


def drawn(
    kind: str, arguments: Sequence[float], shape: tuple[int, ...], draw: numpy.random.Generator, stacked: int = 0
) -> Array:
    """A float32 array. The last axis is the one that a layer gives, the others those that it takes, but for the first
    `stacked`, which count layers:

    - `normal(std)`, `uniform(low, high)`; `truncated(std)`: normal, redrawn outside two standard deviations;
    - `xavier`: uniform within sqrt(6 / (taken + given)) (Glorot and Bengio, 2010, equation 16);
    - `kaiming`: normal with standard deviation sqrt(2 / taken) (He et al., 2015, equation 10);
    - `zeros`, `ones`, `constant(value)`; `identity`: ones where the last two indices are equal.
    """
    if kind in ("xavier", "kaiming"):
        kind, arguments = by_fan(kind, shape[stacked:])
    if kind == "normal":
        return _normal(draw, shape, arguments[0])
    if kind == "uniform":
        return _uniform(draw, shape, arguments[0], arguments[1])
    if kind == "truncated":
        return _truncated(draw, shape, arguments[0])
    if kind == "identity":
        rows, columns = shape[-2:]
        return np.broadcast_to(np.eye(rows, columns, dtype=np.float32), shape).copy()
    constants = {"zeros": 0.0, "ones": 1.0}
    if kind == "constant" or kind in constants:
        return np.full(shape, arguments[0] if kind == "constant" else constants[kind], np.float32)
    raise ValueError(f"no initializer is called {kind!r}")


def by_fan(kind: str, shape: Sequence[int]) -> tuple[str, list[float]]:
    """`xavier` and `kaiming` as the draw that they are at a shape, with its arguments."""
    taken, given = math.prod(shape[:-1]), shape[-1] if shape else 1
    if kind == "xavier":
        limit = math.sqrt(6 / max(taken + given, 1))
        return "uniform", [-limit, limit]
    return "normal", [math.sqrt(2 / max(taken, 1))]


def _normal(draw: numpy.random.Generator, shape: tuple[int, ...], std: float) -> Array:
    return draw.standard_normal(shape, np.float32) * np.float32(std)


def _uniform(draw: numpy.random.Generator, shape: tuple[int, ...], low: float, high: float) -> Array:
    return draw.random(shape, np.float32) * np.float32(high - low) + np.float32(low)


def _truncated(draw: numpy.random.Generator, shape: tuple[int, ...], std: float) -> Array:
    values = draw.standard_normal(shape, np.float32)
    while (outside := np.abs(values) > 2).any():
        values[outside] = draw.standard_normal(int(outside.sum()), np.float32)
    return values * np.float32(std)


# ---------------------------------------------------------------- memory


def parameter_bytes(graph: Graph, dtype: str = "float32") -> int:
    """How much memory all parameters take, found without visiting them."""
    return graph.parameter_count * BYTES[dtype]


def require_memory(graph: Graph, dtype: str, copies: float = 1) -> None:
    """Raises E0806 where `copies` copies of the parameters (training needs gradients and moments too) cannot fit; with
    0, where not even their names can."""
    beside = BOOKKEEPING * sum(info.copies for info in graph.parameters)
    needed, there = int(parameter_bytes(graph, dtype) * copies + beside * max(copies, 1)), machine_bytes()
    if there is None or needed <= there:
        return
    raise does_not_fit(graph, dtype, needed, there, copies)


def does_not_fit(graph: Graph, dtype: str, needed: int, there: int, copies: float = 1) -> AttnError:
    times = f"{copies:.3g} × " if copies > 1 else ""
    return error(
        "E0806",
        f"the parameters of `{graph.name}` need {needed / 2**30:,.1f} GiB, and this machine has {there / 2**30:,.1f}",
        graph.span,
        note=f"{times}{graph.parameter_count:,} parameters of {BYTES[dtype]} bytes ({dtype}), "
        f"in {sum(info.copies for info in graph.parameters):,} tensors",
        help="choose a smaller variant, or make it smaller with `--set`",
    )
