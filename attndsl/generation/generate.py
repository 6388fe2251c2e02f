"""Text from a trained run, piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from attndsl.data.tokenizers import Tokenizer
from attndsl.decoding.sampling import Sampling
from attndsl.diagnostics import error
from attndsl.generation.fits import require_fit
from attndsl.graph import Graph, OutputInfo
from attndsl.graph.limits import most
from attndsl.lazy import np
from attndsl.objectives.base import Use
from attndsl.objectives.predictions import prediction_output
from attndsl.running.program import Program
from attndsl.runs.run import Run

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]


def generate(
    run: Run,
    prompt: str = "",
    tokens: int = 256,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    backend: str | None = None,
    device: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[str]:
    """What follows `prompt`: at most `tokens` tokens, as text that is whole (a character whose bytes are not all there
    yet is held back), until the model ends the text. An empty prompt stands for the beginning of a text.

    A prompt longer than the model's context is cut to its end, and past the context the oldest tokens fall away; `say`
    is told either once. Raises E0740 (values), E0741 (a prompt that is not text, logits that are not numbers), E0742,
    E0744 (the run does not go on with a text).
    """
    require_fit(run, "generate", Use.CONTINUE)
    sampling = Sampling(temperature, top_k, top_p, seed)
    if tokens < 0:
        raise error("E0740", f"`tokens` cannot be {tokens}", help="give the number of tokens to add, 0 or more")
    tokenizer = run.tokenizer
    assert tokenizer is not None  # as with every objective of texts
    shown = run.recipe.objective.roles["tokens"]
    output = next_token_logits(run.graph, shown, tokenizer.vocab)
    context = most(run.graph, shown)
    window = encode_prompt(tokenizer, prompt)
    if context is not None and len(window) > context:
        say(f"the prompt has {len(window):,} tokens, and the model sees {context:,}: only its end is used")
        window = window[-context:]
    program = run.program(backend, device)
    return _pieces(run, tokenizer, program, output.name, window, context, tokens, sampling, say)


def _pieces(
    run: Run,
    tokenizer: Tokenizer,
    program: Program,
    output: str,
    window: list[int],
    context: int | None,
    tokens: int,
    sampling: Sampling,
    say: Callable[[str], None],
) -> Iterator[str]:
    streamer = tokenizer.streamer(window)
    end = tokenizer.separator  # where it is not a character that texts are full of
    if tokenizer.kind in ("bytes", "chars") and end not in tokenizer.special.values():
        end = None
    slid = False
    for index in range(tokens):
        if context is not None and len(window) > context:
            if not slid:
                say(f"the text is past the model's context of {context:,} tokens: the oldest are dropped from here on")
                slid = True
            window = window[-context:]
        # A model's table may be larger than the tokenizer (padding): the further numbers mean nothing.
        token = sampling.choose(_last_logits(run, program, output, window)[: tokenizer.vocab], index)
        if token == end:
            break
        window.append(token)
        if piece := streamer.push(token):
            yield piece
    if piece := streamer.finish():
        yield piece


def _last_logits(run: Run, program: Program, output: str, window: list[int]) -> Array:
    """The logits after the last token, `[vocab]`."""
    name = run.recipe.objective.roles["tokens"]
    logits = program.run({name: np.array([window], dtype=np.int64)}, [output])[output]
    info = next(info for info in run.graph.outputs if info.name == output)
    axes = next(i for i in run.graph.inputs if i.name == name).value.type.axes
    place = [*(info.value.type.index(axis) for axis in axes)]
    moved = np.moveaxis(logits, place, range(len(axes)))
    last: Array = moved[0, -1]
    return last


def next_token_logits(graph: Graph, tokens: str, vocab: int) -> OutputInfo:
    """The output that says the next token: float `[B, T, vocab]`, called `logits` where there are several. E0742."""
    found = prediction_output(graph, tokens, vocab, {tokens})
    if found is None:
        raise error(
            "E0742", f"{graph.name} has no output that predicts the next token",
            note=f"one needs the axes of `{tokens}` and one of the vocabulary, computed from `{tokens}` alone",
            help="`output logits = …`, of the type float[B, T, vocab]",
        )  # fmt: skip
    return found


def encode_prompt(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """The tokens of a prompt, at least one. Raises E0741 for a text that is not valid Unicode."""
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError:
        raise error("E0741", "the prompt is not valid text", help="give it as UTF-8") from None
    found = [int(token) for token in tokenizer.encode(prompt, special=True)]
    if found:
        return found
    if tokenizer.begin is not None:
        return [tokenizer.begin]
    return [int(token) for token in tokenizer.encode("\n")] or [0]
