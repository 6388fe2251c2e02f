"""A large model made small: the same operations in the same order, at sizes that a moment suffices for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import TYPE_CHECKING, Any

from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate
from attndsl.graph import Graph, Region, Type
from attndsl.ops import Repeat, Scan
from attndsl.running.inputs import example_sizes

if TYPE_CHECKING:
    from attndsl.elaborate.settings import Setting
    from attndsl.elaborate.spec import Spec

ENOUGH = 100_000
"""A model of so many parameters is small."""

NARROW, SHORT = 8, 12
"""What is larger is made no smaller than this: where it counts parameters, and where it does not (windows, buckets)."""

FEWEST = 2
"""What is smaller, and how often a loop repeats, is made no smaller than this: one head is not like several."""

FEW_ROUNDS = 4
"""A loop that repeats more often is made shorter though there are few parameters: each round takes time."""

LONGEST_TEXT = 80
"""A context is not made shorter than this: texts are to cross windows, and blocks of what is remembered."""

FEW_ELEMENTS = 2048
"""So many elements of an input are enough."""

Changes = dict[str, tuple[object, object]]
"""What a hyperparameter was and is."""


def reduced(spec: Spec, settings: Mapping[str, Setting], enough: int = ENOUGH) -> tuple[Graph, Changes]:
    """The graph of a spec at these settings, whose largest hyperparameter is halved again and again as long as it
    consists of the same operations, until it has `enough` parameters, windows and loops are short, and heads are few.
    What `settings` say stays. A small model is left as it is."""
    graph = elaborate(spec, settings)
    before, shape, limits = counts(graph), structure(graph), contexts(graph)
    free, now = {name for name in before if name not in settings}, graph
    chosen: dict[str, Setting] = dict(settings)
    repeats = {str(node.op.count) for node in graph.body.walk() if isinstance(node.op, Repeat)}
    inner = _inner(graph) - repeats
    waiting: set[str] = set()  # what could not be smaller yet: a context, before the window in it is
    waited: set[str] = set()
    tried: dict[str, Graph | None] = {}
    while graph.parameter_count > enough and (free or waiting):
        if not free:
            free, waiting = waiting, set()
        values = counts(now)
        name = max(free, key=lambda each: (largest(values[each]), each))
        least = FEWEST if name in repeats or largest(before[name]) <= 2 * NARROW else NARROW
        is_long, is_refused = name in repeats and largest(values[name]) > FEW_ROUNDS, False
        for value in _divisors(values[name]) if name in inner else _smaller(values[name], least):
            if now.parameter_count <= enough and largest(value) < SHORT and not is_long and name not in inner:
                continue  # whether it counts parameters or not
            wished = {**chosen, name: value}
            key = str(sorted(wished.items()))
            if key not in tried:
                tried[key] = _made(spec, wished, shape, limits)
            made = tried[key]
            counted = made is not None and made.parameter_count < now.parameter_count
            wanted = now.parameter_count > enough if counted else largest(value) >= SHORT
            if made is not None and (wanted or is_long or name in inner):
                chosen[name], now = value, made
                break
            is_refused |= made is None
        else:
            free.remove(name)
            if is_refused and name not in waited:
                waiting.add(name)
                waited.add(name)
    return now, {name: (before[name], value) for name, value in counts(now).items() if value != before[name]}


def _inner(graph: Graph) -> set[str]:
    """The hyperparameters that are axes of what is computed alone, and not of an input or a parameter: heads, of which
    many compute what a few do."""

    def symbols(types: Iterable[Type]) -> set[str]:
        return {name for type in types for axis in type.axes for name in axis.size.symbols}

    given = symbols(info.value.type for info in graph.inputs) | symbols(info.type for info in graph.parameters)
    return symbols(output.type for node in graph.body.walk() for output in node.outputs) - given


def _divisors(value: Any) -> Iterator[int]:
    """What to try in place of a hyperparameter that counts what is computed alone, where that is much."""
    if type(value) is int and value > SHORT:
        yield from (part for part in range(FEWEST, value // 2 + 1) if value % part == 0)


def few_places(graph: Graph, asked: Mapping[str, int]) -> dict[str, int]:
    """Sizes of example inputs, as the model allows them: those that are `asked`, and for others small ones, so that an
    input of pictures has few elements."""
    sizes = example_sizes(graph, asked)
    chosen = dict(asked)
    for info in graph.own_inputs:
        names = [name for axis in info.value.type.axes for name in axis.size.symbols if name in graph.free_sizes]
        while info.value.type.rank > 2 and prod(info.value.type.shape(sizes)) > FEW_ELEMENTS:
            name = max((n for n in names if n not in asked), key=lambda n: sizes[n], default=None)
            if name is None or sizes[name] <= 2:
                break
            try:
                sizes = example_sizes(graph, {**chosen, name: sizes[name] // 2})
            except AttnError:
                break
            chosen[name] = sizes[name]
    return chosen


def counts(graph: Graph) -> dict[str, Any]:
    """The hyperparameters that are whole numbers, or lists of such."""
    return {name: value for name, value in graph.hyperparameters.items() if _is_count(value)}


def _is_count(value: object) -> bool:
    return type(value) is int or (isinstance(value, tuple) and bool(value) and all(map(_is_count, value)))


def largest(value: Any) -> int:
    """The largest number in a hyperparameter."""
    return int(value) if isinstance(value, int) else max(map(largest, value))


def _smaller(value: Any, least: int) -> Iterator[Any]:
    """What to try in place of a hyperparameter, the smallest first; in a list what is small already stays."""
    for part in (part for part, above in ((16, 1024), (8, 256), (4, 64), (2, 0)) if largest(value) > above):
        if largest(value) // part >= least:
            yield _divided(value, part, least)


def _divided(value: Any, part: int, least: int) -> Any:
    if isinstance(value, tuple):
        return tuple(_divided(each, part, least) for each in value)
    return value // part if value // part >= least else min(value, least)


def contexts(graph: Graph) -> list[int]:
    """How long inputs may be, by the constraints that say so."""
    limits = [rule.right.known(graph.sizes) for rule in graph.constraints if rule.relation in ("<", "<=")]
    return [limit for limit in limits if limit is not None]


def _made(spec: Spec, settings: Mapping[str, Setting], shape: tuple[object, ...], limits: list[int]) -> Graph | None:
    """The graph at these settings, where it is there, has this structure and takes as long texts, or long ones."""
    try:
        graph = elaborate(spec, settings)
    except AttnError:
        return None
    fits = all(now >= min(before, LONGEST_TEXT) for now, before in zip(contexts(graph), limits, strict=False))
    return graph if fits and structure(graph) == shape else None


def structure(graph: Graph) -> tuple[object, ...]:
    """What is the same of two models that differ in sizes alone: operations, what they read, inputs and outputs; loops
    by the bodies that they have and which of these turn up."""
    return (
        tuple((info.name, str(info.value.type.dtype), info.value.type.rank) for info in graph.inputs),
        tuple(info.name for info in graph.outputs),
        _body(graph.body),
    )


def _body(region: Region) -> tuple[object, ...]:
    found: list[object] = []
    for node in region.nodes:
        found.append(node.op.name)
        if isinstance(node.op, Repeat):
            found.append((frozenset(node.op.cases or (0,)), len(node.regions)))
        if isinstance(node.op, Repeat | Scan):
            found += [_body(inner) for inner in node.regions]
    return tuple(found)
