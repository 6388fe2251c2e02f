"""Weights into parameters: all is checked against headers first, then read tensor by tensor."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from attndsl.diagnostics import AttnError, Diagnostic, Label, Span, did_you_mean, error, nearest, quoted
from attndsl.graph import Graph, ParameterInfo, StateInfo, Type
from attndsl.lazy import Array, np
from attndsl.running.initial import require_memory
from attndsl.storage.deferred import Deferred, stated, stating
from attndsl.storage.safetensors import FLOATS, TensorEntry
from attndsl.syntax import tree
from attndsl.weights.check import require_config
from attndsl.weights.computing import difference
from attndsl.weights.filling import Filler, as_float, filled, owned
from attndsl.weights.lacking import LackingLayer, lacking_layers, no_repeated_layer, require_layers
from attndsl.weights.lines import MapLine
from attndsl.weights.mapping import Item, WeightMap
from attndsl.weights.not_finite import told_if_not_finite
from attndsl.weights.settings import check_settings
from attndsl.weights.sources import WeightsSource
from attndsl.weights.stacks import parts_of
from attndsl.weights.wording import several

Mistakes = list[tuple[str, AttnError]]


def open_weights(path: str | os.PathLike[str], graph: Graph, sections: Sequence[tree.Weights] = ()) -> Deferred:
    """Every parameter of `graph`, by address, from a safetensors file or a folder, read as it is asked for: a program
    that is made of them has a tensor beside itself in memory, and no second copy.

    The tensors may go by our addresses or by the published names of one of the `sections`; which, is told by the names.
    float16 and bfloat16 come as float32. Nothing is given before every name, shape and dtype fits: E0601 to E0604 and
    E0611 for the files, E0605 for tensors that are missing, E0606 for ones left over, E0607 for another shape, E0608
    for another dtype, E0609 where the names are of another model, E0610 where copies or constants differ, E0613 to
    E0617 for a `config.json` that does not fit, E062x where the section itself is wrong. E0806 for parameters that no
    memory here could hold. When all have been read, warns (W0602) of values that are not finite.
    """
    source = WeightsSource(path)
    try:
        require_memory(graph, "float32", copies=0)  # a `config.json` may ask for 10^9 parameters, which are named next
        reader = reader_of(source, graph, sections)
        reader.check()
        return told_if_not_finite(reader.read(), path)
    except BaseException:
        source.close()
        raise


def load_weights(path: str | os.PathLike[str], graph: Graph, sections: Sequence[tree.Weights] = ()) -> dict[str, Array]:
    """The same, all of them in memory; raises what `open_weights` raises."""
    require_memory(graph, "float32")
    opened = open_weights(path, graph, sections)
    found = dict(opened.items())
    return {address: found[address] for address in opened}


def parameters_of(graph: Graph) -> dict[str, ParameterInfo]:
    """The parameters by concrete address, in the graph's order."""
    return {address: info for info in graph.parameters for address in info.addresses()}


def tensors_of(graph: Graph) -> dict[str, ParameterInfo | StateInfo]:
    """What a file of ours holds: the parameters, and if a training made them the states that all rows share."""
    found: dict[str, ParameterInfo | StateInfo] = {**parameters_of(graph)}
    found.update((address, info) for info in graph.shared_states for address in info.addresses())
    return found


def reader_of(source: WeightsSource, graph: Graph, sections: Sequence[tree.Weights]) -> OwnNames | PublishedNames:
    """What reads these files: by our addresses, or by the published names of one of the `sections`, whichever more of
    the names are; E0609 where none is, and where most are of none, what is wrong with a section that does not fit."""
    own = OwnNames(source, graph, sections)
    if own.known() == len(source.names) and (source.names or not own.parameters):
        return own
    readers: list[OwnNames | PublishedNames] = [own]
    unfit: list[AttnError] = []
    for section in sections:
        try:
            readers.append(PublishedNames(source, graph, section, sections))
        except AttnError as raised:
            unfit.append(raised)
    known = [reader.known() for reader in readers]
    best = max(range(len(readers)), key=lambda i: (known[i], -i))
    if unfit and known[best] * 2 <= len(source.names):  # the files may well be those of a section that does not fit
        raise unfit[0]
    if known[best]:
        return readers[best]
    expected = [name for reader in readers for name in reader.expected()]
    raise of_another_model(str(source.path), source.names, expected, graph, mapped=bool(sections))


def of_another_model(
    origin: str, names: Sequence[str], expected: Sequence[str], graph: Graph, *, mapped: bool
) -> AttnError:
    """E0609 for weights without a name in common with `expected`; `mapped` where the spec has a `weights` section."""
    examples = []
    for name in names[:3]:
        near = nearest(name, expected)
        examples.append(quoted(name) + (f" (nearest: {quoted(near)})" if near else ""))
    return error(
        "E0609",
        f"{origin} holds weights of another model: none of its {len(names)} names is one of `{graph.name}`",
        note="it has " + ", ".join(examples) if examples else "it has no tensors at all",
        help="the names are mapped in a `weights` section of the spec" if not mapped else (),
    )


def dtype_mistake(entry: TensorEntry, source: WeightsSource, span: Span | None) -> AttnError | None:
    if entry.dtype in FLOATS:
        return None
    return error(
        "E0608",
        f"{quoted(entry.name)} in {source.path} has the dtype {entry.dtype}",
        span,
        "a parameter is made of real numbers" if span else "",
        help=f"the dtypes that can be read are {', '.join(FLOATS)}",
    )


def held(
    stored: Mapping[str, Array], read: Callable[[str], Array], infos: Mapping[str, ParameterInfo | StateInfo]
) -> Deferred:
    """Tensors of a file, which has them as `stored`, as a program holds them."""

    def as_held(name: str, array: Array) -> Array:
        return as_float(array) if infos[name].type.is_float else array

    known = {n: stating(array.shape, as_held(n, np.empty(0, array.dtype)).dtype) for n, array in stored.items()}
    return Deferred(known, lambda name: owned(as_held(name, read(name))))


def is_real(array: Array) -> bool:
    """Whether an array may be a parameter: of float64, float32 or float16, in either byte order."""
    return bool(array.dtype.kind == "f" and array.dtype.itemsize <= 8)


def not_real(name: str, array: Array, origin: str = "") -> AttnError:
    """E0608 for an array that may not be a parameter."""
    return error(
        "E0608",
        f"{quoted(name)}{origin} has the dtype {array.dtype.name}",
        help=f"the dtypes of parameters are {', '.join(FLOATS)}: convert it, for example with `.astype(numpy.float64)`",
    )


# ---------------------------------------------------------------- our names


class OwnNames:
    """Reads files whose tensors go by our addresses."""

    def __init__(self, source: WeightsSource, graph: Graph, sections: Sequence[tree.Weights] = ()) -> None:
        self.source, self.graph, self.sections = source, graph, sections
        self.parameters, self.tensors = parameters_of(graph), tensors_of(graph)

    def expected(self) -> list[str]:
        return list(self.parameters)

    def known(self) -> int:
        return sum(name in self.tensors for name in self.source.names)

    def check(self) -> None:
        names = set(self.source.names)
        left = [name for name in self.source.names if name not in self.tensors]
        lacking = [address for address in self.parameters if address not in names]
        layers = lacking_layers(lacking, self.parameters)
        require_layers(layers, str(self.source.path), self.graph, left)
        check_settings(self.source, self.graph, self.sections)
        missing = _missing_layers(layers, str(self.source.path))
        reported = {address for layer in layers for address in layer.parameters}
        missing += [(address, self._missing(address, left)) for address in lacking if address not in reported]
        shapes: Mistakes = []
        dtypes: Mistakes = []
        for address, info in self.tensors.items():
            if address not in names:
                continue
            entry, shape = self.source.entry(address), info.type.shape(self.graph.sizes)
            if entry.shape != shape:
                found = wrong_shape(address, entry.shape, shape, str(self.source.path), info.type, self.graph)
                shapes.append((address, found))
            elif info.type.is_float and (problem := dtype_mistake(entry, self.source, None)):
                dtypes.append((address, problem))
        over: Mistakes = [(name, self._left_over(name)) for name in left]
        raise_all(missing, over, shapes, dtypes)

    def _missing(self, address: str, left: list[str]) -> AttnError:
        message = f"the parameter {quoted(address)} is missing from {self.source.path}"
        return error("E0605", message, help=_instead(address, left))

    def _left_over(self, name: str) -> AttnError:
        message = f"{self.source.path} has {quoted(name)}, which is not a parameter of `{self.graph.name}`"
        return error("E0606", message, help=did_you_mean(name, self.parameters))

    def read(self) -> Deferred:
        names = set(self.source.names)
        return self.reading([address for address in self.tensors if address in names])

    def reading(self, addresses: Iterable[str]) -> Deferred:
        """The tensors of these names."""
        return held({name: self.source.stated(name) for name in addresses}, self.source.read, self.tensors)


# ---------------------------------------------------------------- published names


class PublishedNames:
    """Reads files whose tensors go by the published names of one section."""

    def __init__(
        self, source: WeightsSource, graph: Graph, section: tree.Weights, sections: Sequence[tree.Weights] = ()
    ) -> None:
        self.source, self.graph, self.section = source, graph, section
        self.sections = sections or (section,)
        require_config(section, graph)
        self.mapping = WeightMap(section, graph)
        self.parameters = {address: part.info for address, part in parts_of(graph).items()}
        self.items = [item for item in self.mapping.items() if item.line.takes]
        names = set(source.names)
        prefixed = {p: any(name.startswith(p) for name in names) for p in self.mapping.prefixes}
        self.full = [item.full_name(prefixed.get(item.line.prefix, False)) for item in self.items]
        self.present = [name in names for name in self.full]
        self.spoken = set(self.full)

    def expected(self) -> list[str]:
        return self.full

    def known(self) -> int:
        return sum(self.present)

    def check(self) -> None:
        left = self.left()
        lacking = self.lacking()
        layers = lacking_layers(lacking, self.parameters)
        require_layers(layers, str(self.source.path), self.graph, left)
        check_settings(self.source, self.graph, self.sections, self.section)
        over: Mistakes = [(name, self._left_over(name)) for name in left]
        shapes: Mistakes = []
        dtypes: Mistakes = []
        for item, name, present in zip(self.items, self.full, self.present, strict=True):
            if not present:
                continue
            entry, span = self.source.entry(name), item.line.tree.span
            if entry.shape != item.form.shape and not item.is_unshaped:
                shapes.append((name, self.wrong_shape(item, entry)))
            elif not item.line.is_fixed and (problem := dtype_mistake(entry, self.source, span)):
                dtypes.append((name, problem))
        missing = _missing_layers(layers, str(self.source.path))
        unreported = set(lacking) - {address for layer in layers for address in layer.parameters}
        for item, name, present in zip(self.items, self.full, self.present, strict=True):
            fills = [address for address, _ in item.form.leaves() if address in unreported]
            if not present and (fills or (item.line.is_fixed and item.line.two_way)):
                missing.append((name, self._missing(item, name, fills, left)))
                unreported.difference_update(fills)
        raise_all(missing, over, shapes, dtypes)

    def left(self) -> list[str]:
        """The tensors of which the section does not speak."""
        return [name for name in self.source.names if not self._is_used(name)]

    def lacking(self, without: Collection[str] = ()) -> list[str]:
        """The parameters that no tensor of the files fills, those of the names `without` not being read."""
        filled = {
            address
            for at, item in enumerate(self.items)
            if self._readable(at, without)
            for address, _ in item.form.leaves()
        }
        return [address for address in self.parameters if address not in filled]

    def _terms(self, at: int) -> range:
        """The items whose tensors are added up, of which item `at` is one."""
        item = self.items[at]
        first = at - item.names.index(item.name) if item.names else at
        return range(first, first + max(1, len(item.names)))

    def _readable(self, at: int, without: Collection[str]) -> bool:
        return all(self.present[term] and self.full[term] not in without for term in self._terms(at))

    def _is_used(self, name: str) -> bool:
        return name in self.spoken or any(family.matches(name) for family in self.mapping.families)

    def _missing(self, item: Item, name: str, lacking: list[str], left: list[str]) -> AttnError:
        fills = "it fills " + ", ".join(f"`{address}`" for address in lacking[:4]) if lacking else ""
        return error(
            "E0605",
            f"the tensor {quoted(name)} is missing from {self.source.path}",
            item.line.tree.span,
            fills,
            help=_instead(name, left),
        )

    def _left_over(self, name: str) -> AttnError:
        return error(
            "E0606",
            f"{self.source.path} has {quoted(name)}, which the spec does not mention",
            self.section.model.span,
            "every published tensor is mapped or ignored",
            help=did_you_mean(name, self.full) or f"if it is not a parameter of the model: `ignore {_as_text(name)}`",
        )

    def wrong_shape(self, item: Item, entry: TensorEntry) -> AttnError:
        type, span = Type("float", item.form.axes), item.line.tree.span
        return wrong_shape(entry.name, entry.shape, item.form.shape, str(self.source.path), type, self.graph, span)

    def read(self, without: Collection[str] = ()) -> Deferred:
        """The parameters by address, in the graph's order, and the states that are mapped; the tensors `without` are
        not looked at. What has to be equal to something is read at once (E0610)."""
        makers: dict[str, tuple[Filler, MapLine]] = {}
        differ: Mistakes = []
        order = sorted(range(len(self.items)), key=lambda i: not self.items[i].line.two_way)
        for i in order:
            item, name = self.items[i], self.full[i]
            if not item.is_first or not self._readable(i, without):
                continue
            if item.line.is_fixed:
                differ += self._differs_from(item, [name])
                continue
            filler = Filler(item.form, tuple(self.full[term] for term in self._terms(i)))
            again = set[str]()
            for address, _ in item.form.leaves():
                if address in makers:
                    again.add(address)
                makers.setdefault(address, (filler, item.line))
            differ += self._differ(name, item.line, filler, {address: makers[address] for address in again})
        for family in self.mapping.families:
            if family.item is not None:
                names = [n for n in self.source.names if family.matches(n) and n not in self.spoken]
                differ += self._differs_from(family.item, names)
        raise_all(differ)
        return filled(self.graph, self.source, {address: filler for address, (filler, _) in makers.items()})

    def _differ(
        self, name: str, line: MapLine, filler: Filler, makers: Mapping[str, tuple[Filler, MapLine]]
    ) -> Mistakes:
        """What is wrong with further copies of parameters that have these makers: E0610."""
        first: dict[str, Array] = {}
        for maker in dict.fromkeys(maker for maker, _ in makers.values()):
            for address, array in maker.read(self.source):
                if address in makers and makers[address][0] is maker:
                    first.setdefault(address, array)
        return [
            (name, self._differs(name, address, line, makers[address][1]))
            for address, array in (filler.read(self.source) if makers else ())
            if address in makers and not np.array_equal(first[address], array, equal_nan=True)
        ]

    def _differs_from(self, item: Item, names: Sequence[str]) -> Mistakes:
        """What is wrong with tensors that must all hold what a line computes: E0607, E0610."""
        differ: Mistakes = []
        expected = item.form.evaluate(_no_parameter) if names else None
        for name in names:
            assert expected is not None
            entry, line = self.source.entry(name), item.line
            if entry.shape != item.form.shape and not item.is_unshaped:
                differ.append((name, self.wrong_shape(item, entry)))
            elif mismatch := difference(self.source.read(name), expected, entry.dtype):
                message = f"{quoted(name)} in {self.source.path} is not `{line.tree.value.span.text}` everywhere"
                problem = error("E0610", message, line.tree.span, "the spec relies on it", note=mismatch)
                differ.append((name, problem))
        return differ

    def _differs(self, name: str, address: str, line: MapLine, maker: MapLine) -> AttnError:
        return error(
            "E0610",
            f"{quoted(name)} in {self.source.path} is not equal to `{address}`",
            line.tree.span,
            "a second copy of the same parameter",
            other=Label(maker.tree.span, "filled from here"),
        )


def _no_parameter(address: str) -> Array:
    raise AssertionError(f"{address} in what has no parameters")


def _instead(name: str, left: list[str]) -> str:
    """What to do about a tensor that is missing, of those that the file has too many."""
    if near := nearest(name, left):
        return f"the file has {quoted(near)}"
    return "take weights of this very model: another variant, or another `--set`, has other parameters"


def _as_text(name: str) -> str:
    return '"' + quoted(name)[1:-1] + '"'


def wrong_shape(
    name: str,
    have: tuple[int, ...],
    shape: tuple[int, ...],
    origin: str,
    type: Type,
    graph: Graph,
    span: Span | None = None,
) -> AttnError:
    """E0607: the tensor called `name` at `origin` has the shape `have` instead of `shape`."""
    symbols = sorted({s for axis in type.axes for s in axis.size.symbols if s in graph.sizes})
    axes = "[" + ", ".join(map(str, type.axes)) + "]"
    helps = []
    if len(shape) == 2 and have == shape[::-1] and span is not None:
        flipped = ", ".join(axis.name for axis in reversed(type.axes))
        helps.append(f"the axes fit the other way round: `[{flipped}]`")
    return error(
        "E0607",
        f"{quoted(name)} has the shape {list(have)} in {origin}, and {list(shape)} in `{graph.name}`",
        span,
        axes if span else "",
        note=([] if span else [f"the axes are {axes}"])
        + ([", ".join(f"{s} = {graph.sizes[s]}" for s in symbols)] if symbols else []),
        help=helps,
    )


def _missing_layers(layers: Sequence[LackingLayer], origin: str) -> Mistakes:
    return [(layer.path, no_repeated_layer(layer, origin)) for layer in layers]


def raise_all(*kinds: Mistakes) -> None:
    diagnostics: list[Diagnostic] = [d for kind in kinds for d in several(kind)]
    if diagnostics:
        raise AttnError(*diagnostics)


def check_arrays(arrays: Mapping[str, Array], graph: Graph) -> None:
    """That `arrays` are exactly the parameters of `graph`, with or without its states that all rows share: E0605,
    E0606, E0607, E0608 where they are not."""
    arrays, parameters, tensors = stated(arrays), parameters_of(graph), tensors_of(graph)
    over_names = [name for name in arrays if name not in tensors]
    missing: Mistakes = [
        (name, error("E0605", f"the parameter {quoted(name)} is missing", help=_instead(name, over_names)))
        for name in parameters
        if name not in arrays
    ]
    over: Mistakes = [
        (
            name,
            error("E0606", f"{quoted(name)} is not a parameter of `{graph.name}`", help=did_you_mean(name, parameters)),
        )
        for name in over_names
    ]
    shapes: Mistakes = []
    for name, info in tensors.items():
        shape = info.type.shape(graph.sizes)
        if name in arrays and tuple(arrays[name].shape) != shape:
            message = f"{quoted(name)} has the shape {list(arrays[name].shape)}, and {list(shape)} in `{graph.name}`"
            shapes.append((name, error("E0607", message, note=f"the axes are {info.type}")))
        elif name in arrays and info.type.is_float and not is_real(arrays[name]):
            shapes.append((name, not_real(name, arrays[name])))
    raise_all(missing, over, shapes)
