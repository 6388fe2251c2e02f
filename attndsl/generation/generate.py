"""Text from a trained run, piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from attndsl.data.tokenizers import Tokenizer
from attndsl.decoding.sampling import Sampling
from attndsl.diagnostics import error
from attndsl.generation.continuing import Reading, keeps_rows, open_reading
from attndsl.generation.fits import require_fit
from attndsl.graph import Graph, OutputInfo
from attndsl.graph.limits import most
from attndsl.objectives.base import Use
from attndsl.objectives.predictions import prediction_output
from attndsl.runs.run import Run


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
    cache: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[str]:
    """What follows `prompt`: at most `tokens` tokens, as text that is whole (a character whose bytes are not all there
    yet is held back), until the model ends the text. An empty prompt stands for the beginning of a text.

    The prompt is read once, and then each token by itself (`attndsl.generation.continuing`). A model of which that is
    not possible reads the whole text anew for each token, and so does any if there is to be no `cache`. A prompt longer
    than its context is cut to its end, and past the context the oldest tokens fall away; `say` is told each once.
    Raises E0740 (values), E0741 (a prompt that is not text, logits that are not numbers), E0742, E0744 (the run does
    not go on with a text).
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
    if context is not None and len(window) > context and not keeps_rows(run.graph):
        say(f"the prompt has {len(window):,} tokens, and the model sees {context:,}: only its end is used")
        window = window[-context:]
    reading = open_reading(run, output.name, len(window) + tokens, backend=backend, device=device, cache=cache, say=say)
    return _pieces(tokenizer, reading, window, tokens, sampling)


def _pieces(
    tokenizer: Tokenizer, reading: Reading, prompt: Sequence[int], tokens: int, sampling: Sampling
) -> Iterator[str]:
    streamer, new = tokenizer.streamer(prompt), prompt
    end = tokenizer.separator  # where it is not a character that texts are full of
    if tokenizer.kind in ("bytes", "chars") and end not in tokenizer.special.values():
        end = None
    for index in range(tokens):
        # A model's table may be larger than the tokenizer (padding): the further numbers mean nothing.
        token = sampling.choose(reading.after([new])[0, : tokenizer.vocab], index)
        if token == end:
            break
        new = [token]
        if piece := streamer.push(token):
            yield piece
    if piece := streamer.finish():
        yield piece


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
