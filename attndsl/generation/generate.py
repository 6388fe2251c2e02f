"""Text from a trained run, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypedDict, Unpack

from attndsl.data.tokenizers import Tokenizer
from attndsl.decoding.sampling import Sampling
from attndsl.decoding.sequences import chunks
from attndsl.diagnostics import error
from attndsl.generation.continuing import Say, keeps_rows, opening
from attndsl.generation.fits import require_fit
from attndsl.generation.writing import TokenChoice, Told, written
from attndsl.graph import Graph, OutputInfo
from attndsl.objectives.base import Use
from attndsl.objectives.predictions import prediction_output
from attndsl.runs.run import Run

PROMPTS = 32  # are read at once


class Options(TypedDict, total=False):
    """How a run goes on with texts, besides how many tokens: how they are chosen (`Sampling`), where it computes,
    whether there is a `cache` of what has been read, a smaller model for a `draft`, and who is told (`say`) what is not
    as one may expect."""

    temperature: float
    top_k: int | None
    top_p: float | None
    seed: int
    backend: str | None
    device: str | None
    cache: bool
    draft: Run | None
    say: Say


def generate(run: Run, prompt: str = "", tokens: int = 256, **options: Unpack[Options]) -> Iterator[str]:
    """What follows `prompt`: at most `tokens` tokens, as text that is whole (a character whose bytes are not all there
    yet is held back), until the model ends the text. An empty prompt stands for the beginning of a text.

    The prompt is read once, and then each token by itself (`attndsl.generation.continuing`). A model of which that is
    not possible reads the whole text anew for each token, and so does any if there is to be no `cache`. Past the
    model's context the older part of the text falls away. With a smaller model for a `draft`, several tokens are read
    in one pass, and the text stays the same (`attndsl.generation.writing`). `say` is told each of these once.
    Raises E0740 (values), E0741 (a prompt that is not text, logits that are not numbers), E0742, E0744 (the run does
    not go on with a text), E0762 (a draft that does not fit).
    """
    return _Writer(run, [prompt], tokens, **options).pieces()


def generate_each(run: Run, prompts: Sequence[str], tokens: int = 256, **options: Unpack[Options]) -> list[str]:
    """What follows each of `prompts`, as `generate` writes it; they are read as one batch, nothing is padded, and each
    draws from random numbers of its own, the first from those of a single text. Raises what `generate` raises."""
    writer = _Writer(run, prompts, tokens, **options)
    size = 1 if keeps_rows(run.graph) else PROMPTS
    return [text for piece in chunks(len(prompts), size) for text in writer.texts(piece)]


class _Writer:
    """How a run goes on with texts."""

    def __init__(
        self,
        run: Run,
        prompts: Sequence[str],
        tokens: int,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
        backend: str | None = None,
        device: str | None = None,
        cache: bool = True,
        draft: Run | None = None,
        say: Say = lambda text: None,
    ) -> None:
        sampling = Sampling(temperature, top_k, top_p, seed)
        require_fit(run, "generate", Use.CONTINUE)
        if tokens < 0:
            raise error("E0740", f"`tokens` cannot be {tokens}", help="give the number of tokens to add, 0 or more")
        assert run.tokenizer is not None  # as with every objective of texts
        self.tokenizer, self.tokens, self.say = run.tokenizer, tokens, say
        end = self.tokenizer.separator  # where it is not a character that texts are full of
        if self.tokenizer.kind in ("bytes", "chars") and end not in self.tokenizer.special.values():
            end = None
        self.choice, self.told = TokenChoice(sampling, self.tokenizer.vocab, end), Told()
        self.prompts = [encode_prompt(self.tokenizer, prompt) for prompt in prompts]
        lengths = [len(prompt) for prompt in self.prompts]
        read = max(lengths, default=0) + max(tokens - 1, 0)  # the last token is not
        place: dict[str, Any] = {"backend": backend, "device": device, "cache": cache}
        self.opening = opening(run, self._logits(run), read, say=say, **place)
        self.opening.announce(lengths, say)
        self.drafting = None
        if draft is not None:
            require_draft(run, draft)
            self.drafting = opening(draft, self._logits(draft), read, **place)
            for each, name in ((self.opening, run.folder), (self.drafting, draft.folder)):
                if each.stays:
                    raise error("E0762", f"`{name}` cannot take back what it has read", note=each.stays, help=_LEAVE)

    def _logits(self, run: Run) -> str:
        return next_token_logits(run.graph, run.recipe.objective.roles["tokens"], self.choice.vocab).name

    def pieces(self) -> Iterator[str]:
        """The text behind the first prompt, piece by piece."""
        streamer = self.tokenizer.streamer(self.prompts[0])
        for _, token in self._written(range(1)):
            if piece := streamer.push(token):
                yield piece
        if piece := streamer.finish():
            yield piece
        self._tell()

    def texts(self, those: range) -> list[str]:
        """The texts behind some of the prompts."""
        streamers = [self.tokenizer.streamer(self.prompts[place]) for place in those]
        found = ["" for _ in those]
        for row, token in self._written(those):
            found[row] += streamers[row].push(token)
        if those.stop == len(self.prompts):
            self._tell()
        return [text + streamer.finish() for text, streamer in zip(found, streamers, strict=True)]

    def _written(self, those: range) -> Iterator[tuple[int, int]]:
        drafting = self.drafting.begin() if self.drafting else None
        prompts = [self.prompts[place] for place in those]
        return written(
            self.opening.begin(), prompts, self.tokens, self.choice, drafting=drafting, first=those.start,
            told=self.told,
        )  # fmt: skip

    def _tell(self) -> None:
        if self.drafting:
            self.say(str(self.told))


_LEAVE = "leave `--draft` out"


def require_draft(run: Run, draft: Run) -> None:
    """That `draft` goes on with texts, and in the same tokens (E0744, E0762)."""
    require_fit(draft, "generate", Use.CONTINUE)
    mine, other = run.tokenizer, draft.tokenizer
    assert mine is not None
    assert other is not None
    if mine.fingerprint != other.fingerprint or mine.vocab != other.vocab:
        raise error(
            "E0762", f"`{draft.folder}` does not draft for `{run.folder}`: their tokens are not the same",
            note=f"the one has {other.vocab:,} tokens (`{other.kind}`), the other {mine.vocab:,} (`{mine.kind}`)",
            help="train both with one tokenizer: `--set tokenizer=bytes`",
        )  # fmt: skip


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
