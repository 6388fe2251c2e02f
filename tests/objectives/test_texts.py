"""Where documents and sentences are in running text."""

from __future__ import annotations

import tracemalloc

import numpy as np

from attndsl.data.special import SpecialTokens
from attndsl.data.tokenizers import Bytes
from attndsl.objectives.texts import BLOCK, TokenText


def test_a_long_text_is_looked_at_piece_by_piece() -> None:
    """Tokens are mapped files: what is computed of each of them would not fit into memory."""
    tokenizer = Bytes(SpecialTokens(end="</s>"))
    tokens = np.full(8 * BLOCK, ord("a"), dtype=np.uint16)
    ends, sentences = [2 * BLOCK - 1, 3 * BLOCK], [BLOCK - 1, BLOCK, 5 * BLOCK + 7]
    tokens[ends], tokens[sentences] = tokenizer.separator, ord(".")
    tracemalloc.start()
    try:
        text = TokenText.of(tokens, tokenizer)
        assert tracemalloc.get_traced_memory()[1] < len(tokens) // 2
    finally:
        tracemalloc.stop()
    assert text.stops.tolist() == [*ends, 8 * BLOCK]
    assert text.starts.tolist() == [0, 2 * BLOCK, 3 * BLOCK + 1]
    assert text.sentences.tolist() == [0, BLOCK + 1, 2 * BLOCK, 3 * BLOCK + 1, 5 * BLOCK + 8]
