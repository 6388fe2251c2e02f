"""Weights of one model for another that shares a part with it: a body under a new head, a head for other labels.

Nothing is guessed: a tensor goes to the parameter of its name or not at all. What the weights lack is left out (it
keeps its initial value), what they have too much is not read, and both are told.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence

from attndsl.graph import Axis, Graph, ParameterInfo, StateInfo
from attndsl.lazy import Array
from attndsl.records import Frozen
from attndsl.running.initial import require_memory
from attndsl.storage.deferred import stated
from attndsl.syntax import tree
from attndsl.weights.loading import (
    Mistakes,
    OwnNames,
    PublishedNames,
    dtype_mistake,
    held,
    is_real,
    not_real,
    of_another_model,
    parameters_of,
    raise_all,
    reader_of,
    tensors_of,
    wrong_shape,
)
from attndsl.weights.sources import WeightsSource

Shape = tuple[int, ...]


class Adapted(Frozen):
    """`arrays` are parameters by address, in the graph's order, read as they are asked for; `missing` the addresses of
    those that the weights lack or have at another size; `unused` the names of the tensors that the model has no use
    for."""

    arrays: Mapping[str, Array]
    missing: tuple[str, ...]
    unused: tuple[str, ...]


def adapt_weights(
    path: str | os.PathLike[str],
    graph: Graph,
    sections: Sequence[tree.Weights] = (),
    fresh: Collection[str] = frozenset(),
) -> Adapted:
    """What of the weights at `path` fits `graph`: a safetensors file or a published folder.

    Parameters whose shape differs along axes that speak of one of the sizes in `fresh` (such as `labels`), and along
    those alone, count as missing. Raises E0607 for any other difference of shape, E0609 where there is nothing in
    common, and for the rest what `load_weights` raises of files, dtypes and copies.
    """
    require_memory(graph, "float32", copies=0)
    source = WeightsSource(path)
    try:
        reader = reader_of(source, graph, sections)
        return _own(reader, fresh) if isinstance(reader, OwnNames) else _published(reader, fresh)
    except BaseException:
        source.close()
        raise


def adapt_arrays(
    arrays: Mapping[str, Array], graph: Graph, fresh: Collection[str] = frozenset(), *, origin: str = "these weights"
) -> Adapted:
    """What of `arrays`, by our addresses, fits `graph`; see `adapt_weights`. `origin` is what messages call them."""
    parameters, tensors = parameters_of(graph), tensors_of(graph)
    shapes = {name: tuple(array.shape) for name, array in stated(arrays).items()}
    kept = _fitting(shapes, tensors, graph, fresh, origin)
    for name in kept:
        if tensors[name].type.is_float and not is_real(stated(arrays)[name]):
            raise not_real(name, stated(arrays)[name], f" in {origin}")
    if not kept:
        raise of_another_model(origin, list(arrays), list(parameters), graph, mapped=False)
    unused = [name for name in arrays if name not in tensors]
    known = stated(arrays)
    return _adapted(held({name: known[name] for name in kept}, arrays.__getitem__, tensors), parameters, unused)


def _own(reader: OwnNames, fresh: Collection[str]) -> Adapted:
    source, graph, origin = reader.source, reader.graph, str(reader.source.path)
    shapes = {name: source.entry(name).shape for name in source.names}
    kept = _fitting(shapes, reader.tensors, graph, fresh, origin)
    wrong: Mistakes = []
    for name in kept:
        if reader.tensors[name].type.is_float and (problem := dtype_mistake(source.entry(name), source, None)):
            wrong.append((name, problem))
    raise_all(wrong)
    if not kept:
        raise of_another_model(origin, source.names, reader.expected(), graph, mapped=True)
    unused = [name for name in source.names if name not in reader.tensors]
    return _adapted(reader.reading(kept), reader.parameters, unused)


def _published(reader: PublishedNames, fresh: Collection[str]) -> Adapted:
    source = reader.source
    without: set[str] = set()
    wrong: Mistakes = []
    for item, name, present in zip(reader.items, reader.full, reader.present, strict=True):
        if not present or item.is_unshaped:
            continue
        entry = source.entry(name)
        if entry.shape != item.form.shape:
            if _differs_only(entry.shape, item.form.shape, item.form.axes, fresh):
                without.add(name)
            else:
                wrong.append((name, reader.wrong_shape(item, entry)))
        elif not item.line.is_fixed and (problem := dtype_mistake(entry, source, item.line.tree.span)):
            wrong.append((name, problem))
    raise_all(wrong)
    arrays = reader.read(without)
    if not arrays:
        raise of_another_model(str(source.path), source.names, reader.expected(), reader.graph, mapped=True)
    return _adapted(arrays, parameters_of(reader.graph), reader.left())


def _adapted(arrays: Mapping[str, Array], parameters: Mapping[str, ParameterInfo], unused: Sequence[str]) -> Adapted:
    missing = tuple(address for address in parameters if address not in arrays)
    return Adapted(arrays, missing, tuple(unused))


def _fitting(
    shapes: Mapping[str, Shape],
    parameters: Mapping[str, ParameterInfo | StateInfo],
    graph: Graph,
    fresh: Collection[str],
    origin: str,
) -> list[str]:
    """The parameters that are among `shapes` with their own; E0607 for those that differ in more than `fresh` axes."""
    kept: list[str] = []
    wrong: Mistakes = []
    for address, info in parameters.items():
        if address not in shapes:
            continue
        have, shape = shapes[address], info.type.shape(graph.sizes)
        if have == shape:
            kept.append(address)
        elif not _differs_only(have, shape, info.type.axes, fresh):
            wrong.append((address, wrong_shape(address, have, shape, origin, info.type, graph)))
    raise_all(wrong)
    return kept


def _differs_only(have: Shape, shape: Shape, axes: Sequence[Axis], fresh: Collection[str]) -> bool:
    """Whether two shapes differ along axes whose sizes speak of something `fresh`, and along no others."""
    return len(have) == len(shape) and all(
        a == b or not axis.size.symbols.isdisjoint(fresh) for a, b, axis in zip(have, shape, axes, strict=True)
    )
