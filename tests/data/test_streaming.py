"""Text as it comes is, all in all, the text: for every tokenizer, every text, and any tokens in any order."""

from __future__ import annotations

import itertools
import json
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attndsl.data.special import SpecialTokens
from attndsl.data.tokenizers import Tokenizer, TokenizerChoice, make_tokenizer
from attndsl.data.tokenizers.published import Published

TEXT = (
    "It doesn't rain, he said: naïve café — the “rain” of 2024! 日本語のテキスト、日本。 日本語 🙂🙃👩‍👩‍👧 ёжик\n"
    "  two  spaces\tand a tab; it 's \ufffd odd.\n"
) * 8
SPECIAL = SpecialTokens.of({"pad": "<pad>", "unknown": "<unk>", "end": "</s>"})
KINDS = (
    "bytes",
    "bytes special",
    "chars",
    "bpe:300",
    "bpe:420",
    "wordpiece:200",
    "wordpiece:200:lower",
    "unigram:200",
    "fallback",
)


@lru_cache
def tokenizer_of(kind: str) -> Tokenizer:
    if kind == "fallback":
        return fallback()
    kind, _, special = kind.partition(" ")
    choice = TokenizerChoice.parse(kind, SPECIAL if special or kind.startswith(("wordpiece", "unigram")) else None)
    return make_tokenizer(choice, [TEXT])


def fallback() -> Published:
    """As Llama's: pieces with `▁` for spaces, and bytes for what they do not have, of which runs are decoded whole."""
    tokenizers = pytest.importorskip("tokenizers")
    names = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abcdefgh", "日"]
    model = tokenizers.models.BPE({name: n for n, name in enumerate(names)}, [], unk_token="<unk>", byte_fallback=True)
    made = tokenizers.Tokenizer(model)
    made.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.Prepend("▁"), tokenizers.normalizers.Replace(" ", "▁")]
    )
    steps = tokenizers.decoders
    made.decoder = steps.Sequence([steps.Replace("▁", " "), steps.ByteFallback(), steps.Fuse(), steps.Strip(" ", 1, 0)])
    return Published(json.dumps(json.loads(made.to_str())), "file")


def streamed(tokenizer: Tokenizer, tokens: list[int]) -> tuple[list[str], str]:
    streamer = tokenizer.streamer()
    return [streamer.push(token) for token in tokens], streamer.finish()


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=60)
def test_the_pieces_are_the_text(kind: str, data: Any) -> None:
    pytest.importorskip("tokenizers")
    tokenizer = tokenizer_of(kind)
    texts = st.text(st.sampled_from(sorted(set(TEXT))) | st.characters(codec="utf-8"), max_size=60)
    tokens = data.draw(
        texts.map(lambda text: tokenizer.encode(text).tolist())
        | st.lists(st.integers(0, tokenizer.vocab - 1), max_size=60)
    )
    pieces, rest = streamed(tokenizer, tokens)
    assert "".join(pieces) + rest == tokenizer.decode(tokens)


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_text_comes_as_it_is_written(kind: str) -> None:
    """Windows move on, and little is held back: what was pushed is given, but for a few characters at the end."""
    pytest.importorskip("tokenizers")
    tokenizer = tokenizer_of(kind)
    tokens = tokenizer.encode(TEXT).tolist()
    pieces, rest = streamed(tokenizer, tokens)
    assert "".join(pieces) + rest == tokenizer.decode(tokens)
    assert len(rest) <= (2 if kind == "fallback" else 1)
    if kind not in ("fallback", "unigram:200"):
        empty = max((len(list(run)) for gone, run in itertools.groupby(pieces, bool) if not gone), default=0)
        assert empty <= 4


def test_characters_whose_bytes_lie_in_several_tokens() -> None:
    """Merges go across characters: what a token ends in may only begin."""
    pytest.importorskip("tokenizers")
    tokenizer = tokenizer_of("bpe:300")
    for text in ("日本語", "日本語" * 20, "🙂🙃" * 10):
        pieces, rest = streamed(tokenizer, tokenizer.encode(text).tolist())
        assert "".join(pieces) + rest == text
        assert "\ufffd" not in "".join(pieces)
