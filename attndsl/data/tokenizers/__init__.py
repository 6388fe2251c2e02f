"""From text to token numbers and back: bytes, characters, pieces that are trained on the data, or a `tokenizer.json`.

Given what a recipe says of it and the texts to learn from; gives a `Tokenizer`, which is kept in the run's folder.
Bytes and characters need nothing installed; the others need the `tokenizers` package (`attndsl[text]`).
"""

from attndsl.data.special import SpecialTokens, sentinel
from attndsl.data.tokenizers.choice import TokenizerChoice, load_tokenizer, make_tokenizer
from attndsl.data.tokenizers.protocol import Streamer, Tokenizer
from attndsl.data.tokenizers.published import Published, read_published
from attndsl.data.tokenizers.simple import Bytes, Characters

__all__ = [
    "Bytes",
    "Characters",
    "Published",
    "SpecialTokens",
    "Streamer",
    "Tokenizer",
    "TokenizerChoice",
    "load_tokenizer",
    "make_tokenizer",
    "read_published",
    "sentinel",
]
