"""The claim about texts that are read on: every way of splitting them into calls gives what one call gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from attndsl.comparison import tolerance
from attndsl.comparison.sides import distance, greatest, largest
from attndsl.diagnostics import AttnError
from attndsl.generation.continuing import reason
from attndsl.graph import Graph
from attndsl.graph.limits import most
from attndsl.lazy import Array, np
from attndsl.passes.incremental import Derived, derived_by_each
from attndsl.records import replace
from attndsl.running.inputs import example_inputs
from attndsl.running.reader import BLOCK
from attndsl.running.slots import slots
from attndsl.verification.case import Case
from attndsl.verification.findings import Finding, claimed, worst
from attndsl.verification.past_context import CLAIM, past_context
from attndsl.verification.texts import Heard, Texts

if TYPE_CHECKING:
    from attndsl.comparison.tolerance import Work
    from attndsl.running.backends import Backend

LONGEST = BLOCK + 16  # tokens of a text: memories are read in more than one block
SEGMENT = 12  # tokens that a call takes


@claimed(CLAIM)
def read_on(case: Case) -> Iterator[Finding]:
    """Texts read in pieces, on every backend."""
    graph = case.graph
    try:
        found = derived_by_each(graph)
    except AttnError as problem:
        yield Finding(CLAIM, "", reason=reason(problem))
        return
    if found[0].graph is graph:
        yield Finding(CLAIM, "", reason="it keeps states of its rows by itself, from call to call")
        return
    for made in found:
        texts = texts_of(case, made)
        expected = texts.whole(case.program(graph))
        for backend in case.readers:
            yield held(case, texts, expected, backend)
        yield from past_context(case, texts)


def texts_of(case: Case, made: Derived) -> Texts:
    """Examples of texts, some as short as a token, others as long as `LONGEST`, or as the context."""
    tokens = made.tokens
    longest = min(most(case.graph, tokens) or LONGEST, LONGEST)
    lengths = sorted({1, 2, max(longest // 3, 1), max(longest - 3, 1), longest})
    rows, time = next(info.value.type.axes for info in case.graph.inputs if info.name == tokens)
    sizes = {**case.asked, str(rows.size): len(lengths), str(time.size): longest}
    return Texts(case.graph, made, example_inputs(case.graph, sizes, case.seed), lengths)


def held(case: Case, texts: Texts, expected: Sequence[Mapping[str, Array]], backend: Backend) -> Finding:
    """Whether texts that are read in random pieces say what they say as a whole, at every position."""
    made = texts.made
    source = case.program(made.sources, backend) if made.sources else None
    reader = texts.reader(case.program(made.graph, backend), source, SEGMENT)
    sizes = {**case.double.sizes, texts.rows: len(texts.lengths), texts.time: max(texts.lengths)}
    work, calls = case.work(sizes), list(texts.read(reader, expected, np.random.default_rng(case.seed)))
    around = greatest(case.weights.values())
    found = worst(_finding(texts, expected, work, around, heard) for call in calls for heard in call)
    how = f"{backend.title} float64, texts of {', '.join(map(str, texts.lengths))} tokens in {len(calls)} calls"
    window = window_of(made.graph, texts)
    how += f", no longer than its window of {window}" if window > max(texts.lengths) else ""
    return replace(found, how=how)


def _finding(texts: Texts, expected: Sequence[Mapping[str, Array]], work: Work, around: float, heard: Heard) -> Finding:
    size = largest(expected[heard.text][heard.output])
    exact = heard.expected.dtype.kind != "f"
    allowed = 0.0 if exact else tolerance.for_output("float64", size, 0.0, max(around, size), work)
    where = f"output {heard.output} of a text of {texts.lengths[heard.text]} tokens, read up to the {heard.end}th"
    return Finding(CLAIM, "", distance(heard.expected, heard.found), allowed, "", where)


def window_of(graph: Graph, texts: Texts) -> int:
    """How many positions the longest window of an incremental graph sees; 0 without any."""
    return max(slots(graph, {texts.time: 1}).values(), default=0)


__all__ = ["CLAIM", "read_on", "texts_of"]
