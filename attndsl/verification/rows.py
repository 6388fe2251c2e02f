"""Claims about what else stands in a row with a text, and must not change what a model says of it: padding behind or
before it, other documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attndsl.graph import INT, Graph, Value
from attndsl.lazy import Array, np
from attndsl.masks.formulas import index_of, mask_formula
from attndsl.masks.ranges import key_ranges
from attndsl.ops import Attention, Given
from attndsl.ops.movement import Moved
from attndsl.verification.calls import PartialCall, cut_inputs, needed_inputs, told_apart, told_outputs
from attndsl.verification.case import Case
from attndsl.verification.findings import Finding, claimed
from attndsl.verification.order import counts_from_the_first, in_use

PADDING, PACKED = "left = right padding", "packed = separate documents"


@claimed(PADDING)
def padding(case: Case) -> Iterator[Finding]:
    """What stands where an input says that nothing does changes nothing, behind a text or before it."""
    graph, trial = case.double.graph, case.double
    if not case.padding:
        yield Finding(PADDING, "", reason="no input says what is padding")
    for name in case.padding:
        if reason := _fixed(graph, name):
            yield Finding(PADDING, "", reason=reason)
            continue
        rows, time = _axes(graph, name)
        length, count = trial.sizes[time], trial.sizes[rows]
        type = next(info.value.type for info in graph.inputs if info.name == name)
        inputs = {n: array for n, array in trial.inputs.items() if n in needed_inputs(graph)}
        inputs[name] = np.ones(type.shape(trial.sizes), bool)
        lengths = [max(1, length - (length // 2) * i // max(count - 1, 1)) for i in range(count)]
        outputs = told_outputs(case, inputs, (rows, time))
        if not outputs:
            yield Finding(PADDING, f"`{name}`", reason=f"no output has the axis `{rows}`")
            continue
        yield _padded(case, name, inputs, (rows, time), lengths, outputs, "behind")
        if reason := counts_from_the_first(graph, name, outputs, flags=True):
            yield Finding(PADDING, f"padding before texts, `{name}`", reason=reason)
        else:
            yield _padded(case, name, inputs, (rows, time), lengths, outputs, "before")


def _padded(
    case: Case,
    name: str,
    inputs: dict[str, Array],
    sizes: tuple[str, str],
    lengths: Sequence[int],
    outputs: Sequence[str],
    side: str,
) -> Finding:
    graph, (rows, time) = case.double.graph, sizes
    total = case.double.sizes[time]
    whole = {**inputs, name: inputs[name].copy()}
    parts = []
    for row, length in enumerate(lengths):
        real = slice(0, length) if side == "behind" else slice(total - length, total)
        whole[name][row] = False
        whole[name][row, real] = True
        cut = {rows: slice(row, row + 1), time: real}
        parts.append(PartialCall(cut_inputs(graph, inputs, cut), cut, {}))
    how = f"{case.right.title} float64, `{name}`, texts of {' and '.join(map(str, lengths))}, padding {side} them"
    return told_apart(PADDING, how, case, graph, whole, parts, outputs)


# ---------------------------------------------------------------- documents


@claimed(PACKED)
def packed(case: Case) -> Iterator[Finding]:
    """Documents that are packed into one row are what they are in rows of their own."""
    graph = case.double.graph
    names = document_inputs(graph)
    if not names:
        yield Finding(PACKED, "", reason="no mask of an attention tells documents apart by an input")
    for name in names:
        yield _packed(case, graph, name)


def _packed(case: Case, graph: Graph, name: str) -> Finding:
    """Rows of a batch, cut at other places each, and their documents by themselves."""
    if reason := _fixed(graph, name):
        return Finding(PACKED, "", reason=reason)
    rows, time = _axes(graph, name)
    trial = case.double
    inputs = {n: array for n, array in trial.inputs.items() if n in needed_inputs(graph) | {name}}
    outputs = told_outputs(case, inputs, (rows, time))
    if not outputs:
        return Finding(PACKED, "", reason=f"no output has the axis `{rows}`")
    if reason := counts_from_the_first(graph, name, outputs, flags=False):
        return Finding(PACKED, f"`{name}`", reason=reason)
    numbers, parts = packed_documents(inputs[name], case.seed), []
    whole = {**inputs, name: numbers}
    for row, number in enumerate(numbers):
        for document in np.unique(number):
            (own,) = np.nonzero(number == document)
            cut = {rows: slice(row, row + 1), time: slice(int(own[0]), int(own[-1]) + 1)}
            parts.append(PartialCall(cut_inputs(graph, whole, cut), cut, {}))
    how = f"{case.right.title} float64, `{name}`, {len(parts)} documents in {len(numbers)} rows"
    return told_apart(PACKED, how, case, graph, whole, parts, outputs)


def packed_documents(numbers: Array, seed: int) -> Array:
    """For an array of documents' numbers, `[rows, time]`, another of two to four documents in each row, one behind the
    other, of any lengths: numbers as these, ascending."""
    draw = np.random.default_rng(seed)
    ends = max(int(numbers.max(initial=0)), 1) + 1
    found = np.zeros_like(numbers)
    for row in range(len(numbers)):
        length = numbers.shape[1]
        count = min(int(draw.integers(2, 5)), ends, max(length, 1))
        cuts = draw.choice(np.arange(1, max(length, 2)), min(count - 1, max(length - 1, 0)), replace=False)
        which = np.sort(draw.choice(ends, len(cuts) + 1, replace=False))
        found[row] = which[np.searchsorted(np.sort(cuts), np.arange(length), side="right")]
    return found


def document_inputs(graph: Graph) -> tuple[str, ...]:
    """The inputs of ints, `[rows, time]`, by which masks of attentions let a query see keys of its own document
    alone."""
    plain = in_use(graph, [info.name for info in graph.own_outputs])
    makers = {value: node for node in plain.body.walk() for value in node.outputs}
    found: set[Value] = set()
    for node in plain.body.walk():
        op = node.op
        if not isinstance(op, Attention) or not op.masked or op.mask.queries is None or op.mask.keys_only:
            continue
        where = op.extra(*node.inputs[3:])[0]
        assert where is not None
        query, key = (index_of(n, axis, plain.sizes) for n, axis in (("q", op.mask.queries), ("k", op.over)))
        formula = mask_formula(where, makers, op.mask.queries, op.over, sizes=plain.sizes)
        for value in key_ranges(formula, query, key, plain.sizes).same:
            while value in makers and isinstance(makers[value].op, (Moved, Given)):
                value = makers[value].inputs[0]
            found.add(value)
    infos = [info for info in plain.own_inputs if info.value in found]
    return tuple(info.name for info in infos if info.value.type.dtype == INT and info.value.type.rank == 2)


def _fixed(graph: Graph, name: str) -> str:
    """Why the texts of an input of rows and time are of one length, if they are."""
    type = next(info.value.type for info in graph.inputs if info.name == name)
    free = {*_axes(graph, name)} <= {*graph.free_sizes}
    return "" if free else f"`{name}` is of a fixed length, {type.axes[-1].size}"


def _axes(graph: Graph, name: str) -> tuple[str, str]:
    rows, time = (str(axis.size) for axis in next(i.value.type.axes for i in graph.inputs if i.name == name))
    return rows, time
