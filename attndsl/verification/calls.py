"""What a call says of several things at once must be what calls say of each by itself: how that is tried, and the claim
about the rows of a batch (`rows` has those about what else stands in a row)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attndsl.comparison import tolerance
from attndsl.comparison.expose import exposed, places
from attndsl.comparison.locate import first_value
from attndsl.comparison.report import Divergence
from attndsl.comparison.sides import distance, greatest, largest
from attndsl.graph import Graph, Type
from attndsl.lazy import Array, np
from attndsl.records import Frozen, replace
from attndsl.running.inputs import check_inputs
from attndsl.verification.case import Case
from attndsl.verification.findings import OK, Finding, claimed, worst
from attndsl.verification.order import takes_rows_together

BATCH = "batch = singles"

Arrays = Mapping[str, Array]
Cut = Mapping[str, slice]
"""Which part of the axes that a size counts, by the name of the size."""


class PartialCall(Frozen):
    """A call that says a part of what another one says: what that one says at `inside`, and it itself at `own`."""

    inputs: Arrays
    inside: Cut
    own: Cut


def part_of(array: Array, type: Type, cut: Cut) -> Array | None:
    """The part of an array of this type; None where one of the sizes counts something else along one of its axes."""
    index: list[slice] = []
    for axis in type.axes:
        names = axis.size.symbols & cut.keys()
        if names and str(axis.size) not in cut:
            return None
        index.append(cut[str(axis.size)] if names else slice(None))
    return array[tuple(index)]


def cut_inputs(graph: Graph, inputs: Arrays, cut: Cut) -> dict[str, Array]:
    """The part of all inputs."""
    types = {info.name: info.value.type for info in graph.inputs}
    found = {name: part_of(array, types[name], cut) for name, array in inputs.items()}
    return {name: array for name, array in found.items() if array is not None}


def told_apart(
    claim: str, how: str, case: Case, graph: Graph, whole: Arrays, parts: Sequence[PartialCall], outputs: Sequence[str]
) -> Finding:
    """Whether `whole` says what the `parts` say, of these outputs."""
    sizes = check_inputs(graph, whole)
    work, around = case.work(sizes), greatest((*whole.values(), *case.weights.values()))
    program = case.program(graph)
    types = {info.name: info.value.type for info in graph.outputs}
    found = program.run(whole, outputs)
    calls = [program.run(part.inputs, outputs) for part in parts]
    rows = []
    for name in outputs:
        for part, said in zip(parts, calls, strict=True):
            inside, own = part_of(found[name], types[name], part.inside), part_of(said[name], types[name], part.own)
            assert inside is not None
            assert own is not None
            size = largest(own)
            allowed = (
                tolerance.for_output("float64", size, 0.0, max(around, size), work) if types[name].is_float else 0.0
            )
            rows.append(Finding(claim, how, distance(own, inside), allowed, "", f"output {name}"))
    result = worst(rows)
    if result.status == OK:
        return result
    return replace(result, divergence=_first(case, graph, whole, parts, sizes, around))


def _first(
    case: Case, graph: Graph, whole: Arrays, parts: Sequence[PartialCall], sizes: Mapping[str, int], around: float
) -> Divergence | None:
    """The first value of the graph of which a part is not what it is by itself."""
    shown = exposed(graph)
    program = case.program(shown)
    last = {place.address: place for place in places(shown, whole, sizes)}
    wanted = [place for place in last.values() if _is_told(place.value.type, parts)]

    def look(addresses: tuple[str, ...]) -> Iterator[tuple[Array, Array, Array]]:
        types = {place.address: place.value.type for place in wanted}
        found = program.run(whole, (), dump=addresses)
        said = [program.run(part.inputs, (), dump=addresses) for part in parts]
        for address in addresses:
            type = types[address]
            inside = [part_of(found[address], type, part.inside) for part in parts]
            own = [part_of(each[address], type, part.own) for each, part in zip(said, parts, strict=True)]
            joined = np.concatenate([np.ravel(each) for each in own if each is not None])
            yield joined, joined, np.concatenate([np.ravel(each) for each in inside if each is not None])

    found = first_value(wanted, sizes, look, "float64", around, case.work(sizes))
    return found.divergence if found is not None else None


def _is_told(type: Type, parts: Sequence[PartialCall]) -> bool:
    """Whether a part of a value of this type can be told by itself."""
    cuts = [part.inside for part in parts] + [part.own for part in parts]
    return all(part_of(np.zeros((0,) * type.rank), type, cut) is not None for cut in cuts)


# ---------------------------------------------------------------- rows


@claimed(BATCH)
def batch(case: Case) -> Iterator[Finding]:
    """Each row of a batch is what it is alone."""
    sizes = rows_of(case.double.graph)
    if not sizes:
        yield Finding(BATCH, "", reason="its inputs have no axis of rows")
    for rows in sizes:
        yield _one_by_one(case, rows)


def _one_by_one(case: Case, rows: str) -> Finding:
    trial, graph, count = case.double, case.double.graph, case.double.sizes[rows]
    counting = {info.name for info in graph.inputs if any(rows in bound.limit.symbols for bound in info.bounds)}
    inputs = {name: array for name, array in trial.inputs.items() if name not in counting}
    if missing := sorted(counting & needed_inputs(graph)):
        return Finding(BATCH, "", reason=f"`{missing[0]}` counts the rows along `{rows}`")
    outputs = told_outputs(case, inputs, (rows,))
    if not outputs or count < 2:
        reason = f"no output has the axis `{rows}`" if count > 1 else f"`{rows}` is {count}"
        return Finding(BATCH, "", reason=reason)
    if reason := takes_rows_together(graph, rows, outputs):
        return Finding(BATCH, "", reason=reason)
    cuts = [{rows: slice(i, i + 1)} for i in range(count)]
    parts = [PartialCall(cut_inputs(graph, inputs, cut), cut, {}) for cut in cuts]
    how = f"{case.right.title} float64, {count} rows along {rows}"
    return told_apart(BATCH, how, case, graph, inputs, parts, outputs)


def rows_of(graph: Graph) -> tuple[str, ...]:
    """The sizes that count rows of inputs: of texts, of pictures."""
    firsts = (str(info.value.type.axes[0].size) for info in graph.own_inputs if info.value.type.rank > 1)
    return tuple(dict.fromkeys(size for size in firsts if size in graph.free_sizes))


def told_outputs(case: Case, inputs: Arrays, sizes: Sequence[str]) -> list[str]:
    """The outputs that have an axis of the first of these sizes, and none of another that they are in."""
    graph = case.double.graph
    cut = dict.fromkeys(sizes, slice(0, 1))
    return [
        info.name
        for info in graph.own_outputs
        if info.needs <= inputs.keys()
        and sizes[0] in map(str, (axis.size for axis in info.value.type.axes))
        and part_of(np.zeros((0,) * info.value.type.rank), info.value.type, cut) is not None
    ]


def needed_inputs(graph: Graph) -> set[str]:
    """Those that are not optional."""
    return {info.name for info in graph.own_inputs if not info.optional}
