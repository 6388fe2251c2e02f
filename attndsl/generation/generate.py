"""Text from a trained run, piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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

    A model that keeps states of its rows reads the prompt once, in segments as long as in training, and then each token
    by itself: what came before is in the states, so that every token costs the same. Any other reads the whole text
    anew for each token: a prompt longer than its context is cut to its end, and past the context the oldest tokens fall
    away; `say` is told either once. Raises E0740 (values), E0741 (a prompt that is not text, logits that are not
    numbers), E0742, E0744 (the run does not go on with a text).
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
    program = run.program(backend, device)
    if len(run.graph.shared_states) < len(run.graph.states):
        reading: Reading = _InStates(run, program, output, min(run.recipe.length, context or run.recipe.length))
        return _pieces(tokenizer, reading, window, tokens, sampling)
    if context is not None and len(window) > context:
        say(f"the prompt has {len(window):,} tokens, and the model sees {context:,}: only its end is used")
        window = window[-context:]
    return _pieces(tokenizer, _InWindow(run, program, output, context, say), window, tokens, sampling)


def _pieces(
    tokenizer: Tokenizer, reading: Reading, prompt: Sequence[int], tokens: int, sampling: Sampling
) -> Iterator[str]:
    streamer, new = tokenizer.streamer(prompt), prompt
    end = tokenizer.separator  # where it is not a character that texts are full of
    if tokenizer.kind in ("bytes", "chars") and end not in tokenizer.special.values():
        end = None
    for index in range(tokens):
        # A model's table may be larger than the tokenizer (padding): the further numbers mean nothing.
        token = sampling.choose(reading.after(new)[: tokenizer.vocab], index)
        if token == end:
            break
        new = [token]
        if piece := streamer.push(token):
            yield piece
    if piece := streamer.finish():
        yield piece


class Reading:
    """A text as the model reads it on."""

    def __init__(self, run: Run, program: Program, output: OutputInfo) -> None:
        self.program, self.output = program, output.name
        self.input = run.recipe.objective.roles["tokens"]
        axes = next(i for i in run.graph.inputs if i.name == self.input).value.type.axes
        self.places = [output.value.type.index(axis) for axis in axes]

    def after(self, tokens: Sequence[int]) -> Array:
        """The logits after these further tokens, `[vocab]`."""
        raise NotImplementedError(type(self).__name__)

    def run(self, tokens: Sequence[int], states: Mapping[str, Array] | None = None) -> tuple[Array, dict[str, Array]]:
        """The logits after the last of the tokens, and the states."""
        results = self.program.run({self.input: np.array([tokens], dtype=np.int64)}, [self.output], states=states)
        last: Array = np.moveaxis(results[self.output], self.places, range(len(self.places)))[0, -1]
        return last, results.states


class _InWindow(Reading):
    """By a model without states of rows: all of the text that its `context` holds, for each token anew."""

    def __init__(
        self, run: Run, program: Program, output: OutputInfo, context: int | None, say: Callable[[str], None]
    ) -> None:
        super().__init__(run, program, output)
        self.context, self.say = context, say
        self.window: list[int] = []
        self.slid = False

    def after(self, tokens: Sequence[int]) -> Array:
        self.window += tokens
        if self.context is not None and len(self.window) > self.context:
            if not self.slid:
                what = f"the text is past the model's context of {self.context:,} tokens"
                self.say(f"{what}: the oldest are dropped from here on")
                self.slid = True
            self.window = self.window[-self.context :]
        return self.run(self.window)[0]


class _InStates(Reading):
    """By a model that keeps states: what is new, in segments of at most `segment` tokens."""

    def __init__(self, run: Run, program: Program, output: OutputInfo, segment: int) -> None:
        super().__init__(run, program, output)
        self.segment = segment
        self.states: dict[str, Array] | None = None

    def after(self, tokens: Sequence[int]) -> Array:
        for start in range(0, len(tokens), self.segment):
            logits, self.states = self.run(tokens[start : start + self.segment], self.states)
        return logits


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
