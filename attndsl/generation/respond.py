"""Texts from encoder-decoders: to each source what the model says to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attndsl.diagnostics import error
from attndsl.generation.fits import ANSWERING, batches, objective_of, require_examples, require_fit
from attndsl.generation.sampling import Sampling
from attndsl.generation.sequences import Beam, Hypothesis, Logits, beam_search, sample
from attndsl.lazy import np

if TYPE_CHECKING:
    import numpy

    from attndsl.objectives.base import Objective
    from attndsl.running.program import Program
    from attndsl.runs.run import Run

    Array = numpy.ndarray[Any, Any]

AT_ONCE = 32  # sources


def respond(
    run: Run,
    sources: Sequence[Any],
    tokens: int = 256,
    *,
    beam: Beam | None = None,
    sampling: Sampling | None = None,
    backend: str | None = None,
    device: str | None = None,
) -> list[str]:
    """What the model says to each of `sources` (texts, or rows with the column for them): by beam search with `beam`,
    else as `sampling` chooses (None: the likeliest token each time), in at most `tokens` tokens, and no more than the
    model takes.

    Raises E0744 where the run is of no encoder-decoder, E0749 (no source), E0740 (values), E0741 (a source that is no
    text, logits that are no numbers), E0752 (a source that is longer than the model takes), E0753 (no output says the
    next token).
    """
    require_fit(run, "generate", ANSWERING)
    if tokens < 0:
        raise error("E0740", f"`tokens` cannot be {tokens}", help="say how many tokens to say at most, 0 or more")
    objective = objective_of(run)
    require_examples(objective, sources)
    program = run.program(backend, device)
    sampling = sampling or Sampling(temperature=0)
    most = min(tokens, objective.limit("target") or tokens)
    start, end = [objective.token("start")], objective.special("end")
    said: list[Hypothesis] = []
    for piece in batches(objective, len(sources), AT_ONCE):
        given = objective.inputs([sources[place] for place in piece])
        logits = next_logits(objective, program, given)
        if beam is not None:
            said += [found[0] for found in beam_search(logits, len(piece), start, end, most, beam)]
        else:
            said += sample(logits, len(piece), start, end, most, sampling, first=piece.start)
    return [text_of(objective, hypothesis.tokens) for hypothesis in said]


def next_logits(objective: Objective, program: Program, given: dict[str, Array]) -> Logits:
    """The function that `attndsl.generation.sequences` asks: the model is run anew for every token, on the sources of
    the rows that are still being written."""
    from attndsl.objectives.predictions import require_output

    target, vocab = objective.name("target"), objective.tokenizer.vocab
    sources = {
        name: array for name, array in given.items() if name not in (target, objective.choice.roles.get("targets"))
    }
    output = require_output(objective.graph, target, vocab, {*sources, target})
    axes = next(info.value.type.axes for info in objective.graph.inputs if info.name == target)
    places = [output.value.type.index(axis) for axis in axes]

    def logits(prefixes: Array, rows: Array) -> Array:
        batch = {name: array[rows] for name, array in sources.items()} | {target: prefixes}
        found = np.moveaxis(program.run(batch, [output.name])[output.name], places, (0, 1))
        # A model's table may be larger than the tokenizer (padding): the further numbers mean nothing.
        last: Array = found[:, -1, :vocab]
        return last

    return logits


def text_of(objective: Objective, tokens: Sequence[int]) -> str:
    """The text of tokens without those that stand for no text; sentinels say what was filled in where, and stay."""
    hidden = {*objective.tokenizer.special.values()} - {*objective.tokenizer.sentinels}
    return objective.tokenizer.decode([token for token in tokens if token not in hidden]).strip()
