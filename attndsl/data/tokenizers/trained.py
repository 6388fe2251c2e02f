"""Tokenizers that are trained on the data: byte pairs, WordPiece, Unigram, words. Each is the text of a tokenizer.json.

The size that is asked for counts everything: special tokens come first in the order in which they are written, the
sentinels last. The same texts give the same file, on every machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from attndsl.data.special import SpecialTokens
from attndsl.data.tokenizers.published import END_OF_TEXT, package
from attndsl.data.tokenizers.unigram import WORDS, learn_pieces
from attndsl.data.tokenizers.words import WORD, most_frequent, words_of
from attndsl.diagnostics import error

CONTINUING = "##"
_UNLIKELY = -10_000.0  # the logarithm of a probability


def train_pairs(size: int, texts: Iterable[str], special: SpecialTokens) -> str:
    """Byte-pair encoding (Sennrich et al., 2016) over bytes as in GPT-2. Without special tokens there is one that ends
    a text."""
    tokenizers = package("byte-pair encoding")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size - special.sentinels,
        special_tokens=list(special.names) if special else [END_OF_TEXT],
        initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(iter(texts), trainer)
    return _written(tokenizer, special)


def train_wordpiece(size: int, texts: Iterable[str], special: SpecialTokens, lower: bool = False) -> str:
    """WordPiece (Schuster and Nakajima, 2012) as in BERT (Devlin et al., 2019): words are split at spaces and
    punctuation, the longest pieces that are in the vocabulary are taken from the left, `##` marks what goes on a word.

    The pieces are found by merging the most frequent pairs. A word with a character outside the alphabet is unknown;
    the alphabet has the most frequent characters, and takes at most half of the vocabulary. `texts` is read twice.
    """
    tokenizers = package("WordPiece")
    normalizer = tokenizers.normalizers.BertNormalizer(lowercase=lower)
    words = tokenizers.pre_tokenizers.BertPreTokenizer()
    alphabet = _alphabet((normalizer.normalize_str(text) for text in texts), (size - len(special.names)) // 4)
    learned = tokenizers.Tokenizer(tokenizers.models.BPE(continuing_subword_prefix=CONTINUING))
    learned.normalizer, learned.pre_tokenizer = normalizer, words
    # The trainer numbers the characters that go on a word as it comes across them, in no fixed order, and breaks ties
    # by number. Named beforehand, they have fixed ones.
    going_on = [CONTINUING + character for character in alphabet]
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size - special.sentinels,
        special_tokens=[*special.names, *alphabet, *going_on],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        continuing_subword_prefix=CONTINUING,
        show_progress=False,
    )
    learned.train_from_iterator(iter(texts), trainer)
    model = tokenizers.models.WordPiece(learned.get_vocab(), unk_token=special.unknown, max_input_chars_per_word=100)
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, words
    tokenizer.decoder = tokenizers.decoders.WordPiece(prefix=CONTINUING, cleanup=True)
    tokenizer.add_special_tokens(list(special.names))
    return _written(tokenizer, special)


def _alphabet(texts: Iterable[str], most: int) -> list[str]:
    """The `most` frequent characters that are not spaces, in their own order."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    found = sorted((-count, character) for character, count in counts.items() if not character.isspace())
    return sorted(character for _, character in found[: max(most, 1)])


def train_unigram(size: int, texts: Iterable[str], special: SpecialTokens) -> str:
    """A unigram language model over pieces (Kudo, 2018), as SentencePiece writes them: `▁` for a space, also before the
    first word. New lines and runs of spaces are kept. A character that is too rare is unknown."""
    tokenizers = package("a unigram tokenizer")
    # The model takes special tokens for pieces too, and is to prefer any other way of reading their names.
    first = [(name, _UNLIKELY) for name in special.names]
    pieces = learn_pieces(texts, size - len(first) - special.sentinels, (*special.names, *special.last))
    unknown = special.names.index(str(special.unknown))
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram([*first, *pieces], unk_id=unknown))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Split(tokenizers.Regex(WORDS), "isolated"),
            tokenizers.pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
        ]
    )
    tokenizer.decoder = tokenizers.decoders.Metaspace(prepend_scheme="first")
    tokenizer.add_special_tokens(list(special.names))
    return _written(tokenizer, special)


def train_words(size: int, texts: Iterable[str], special: SpecialTokens) -> str:
    """The most frequent words; all others are unknown."""
    tokenizers = package("a tokenizer of words")
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(words_of(text))
    names = list(special.names)
    known = most_frequent(counts, size - len(names) - special.sentinels)
    numbers = {word: number for number, word in enumerate([*names, *known])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(numbers, unk_token=special.unknown))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex(WORD), "removed", invert=True)
    tokenizer.add_special_tokens(names)
    return _written(tokenizer, special)


def _written(tokenizer: Any, special: SpecialTokens) -> str:
    """As text, with the sentinels behind all others. Raises E0724 where a special token's name reads like a word."""
    tokenizer.encode_special_tokens = True
    for name in special.names:
        if (
            name != special.unknown
            and tokenizer.token_to_id(name) in tokenizer.encode(name, add_special_tokens=False).ids
        ):
            raise error(
                "E0724",
                f"the special token `{name}` cannot be distinguished from the word `{name}`",
                help=f"give it a name that is not a word: `[{name.upper()}]`, `<{name.lower()}>`",
            )
    if special.last:
        tokenizer.add_special_tokens(list(special.last))
    return str(tokenizer.to_str(pretty=True))
