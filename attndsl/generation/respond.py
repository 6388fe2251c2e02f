"""Texts from encoder-decoders: to each source what the model says to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attndsl.decoding.sampling import Sampling
from attndsl.decoding.sequences import Beam, Hypothesis, beam_search, sample
from attndsl.diagnostics import AttnError, error
from attndsl.generation.continuing import Say, reason
from attndsl.generation.fits import batches, objective_of, require_examples, require_fit
from attndsl.objectives.base import Use
from attndsl.objectives.predictions import require_output
from attndsl.objectives.sequences import next_logits
from attndsl.passes.incremental import derived
from attndsl.running.reader import Prefixes

if TYPE_CHECKING:
    import numpy

    from attndsl.decoding.sequences import Logits
    from attndsl.objectives.base import Objective
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
    cache: bool = True,
    say: Say = lambda text: None,
) -> list[str]:
    """What the model says to each of `sources` (texts, or rows with the column for them): by beam search with `beam`,
    else as `sampling` chooses (None: the most likely token each time), in at most `tokens` tokens, and no more than the
    model takes. Each source is read once, and each token of an answer, unless there is to be no `cache`; where a model
    does not allow that, `say` is told why.

    Raises E0744 where the run is not of an encoder-decoder, E0749 (no source), E0740 (values), E0741 (a source that is
    not text, logits that are not numbers), E0752 (a source that is longer than the model takes), E0753 (no output says
    the next token).
    """
    require_fit(run, "generate", Use.ANSWER)
    if tokens < 0:
        raise error(
            "E0740", f"`tokens` cannot be {tokens}", help="give the number of tokens to write at most, 0 or more"
        )
    objective = objective_of(run)
    require_examples(objective, sources)
    asked = _once_read(run, objective, backend, device, say) if cache else None
    program = run.program(backend, device) if asked is None else None
    sampling = sampling or Sampling(temperature=0)
    most = min(tokens, objective.limit("target") or tokens)
    start, end = [objective.token("start")], objective.special_token("end")
    said: list[Hypothesis] = []
    for piece in batches(objective, len(sources), AT_ONCE):
        given = objective.inputs([sources[place] for place in piece])
        if asked is not None:
            logits = asked(given, max(len(start) + most - 1, 1))  # the last token is not read
        else:
            assert program is not None
            logits = next_logits(objective, program.run, given)
        if beam is not None:
            said += [found[0] for found in beam_search(logits, len(piece), start, end, most, beam)]
        else:
            said += sample(logits, len(piece), start, end, most, sampling, first=piece.start)
    return [text_of(objective, hypothesis.tokens) for hypothesis in said]


def _once_read(
    run: Run, objective: Objective, backend: str | None, device: str | None, say: Say
) -> Callable[[Mapping[str, Array], int], Logits] | None:
    """What makes the function that is asked for logits, of the inputs of a batch and the length of its longest answer:
    by the incremental graph; None where there is none, and `say` is told why."""
    target, vocab = objective.input("target"), objective.tokenizer.vocab
    output = require_output(objective.graph, target, vocab, {info.name for info in objective.graph.inputs})
    try:
        made = derived(run.graph, target, (output.name,))
    except AttnError as problem:
        say(f"the source and the whole answer are read again for each token: {reason(problem)}")
        return None
    step = run.program(backend, device, made.graph)
    sources = run.program(backend, device, made.sources) if made.sources is not None else None

    def begin(given: Mapping[str, Array], length: int) -> Logits:
        read: Mapping[str, Array] = {}
        if sources is not None:
            taken = {info.name for info in sources.graph.inputs}
            read = sources.run({name: array for name, array in given.items() if name in taken})
        return Prefixes(step, target, output.name, length, read, vocab)

    return begin


def text_of(objective: Objective, tokens: Sequence[int]) -> str:
    """The text of tokens without those that stand for no text; sentinels say what was filled in where, and stay."""
    hidden = {*objective.tokenizer.special.values()} - {*objective.tokenizer.sentinels}
    return objective.tokenizer.decode([token for token in tokens if token not in hidden]).strip()
