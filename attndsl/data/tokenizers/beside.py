"""The tokenizer that was published beside weights: a `tokenizer.json`, or the older files that say the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attndsl.data.special import SpecialTokens
from attndsl.data.tokenizers.protocol import TOKENIZER_FILE
from attndsl.data.tokenizers.published import WELL_KNOWN, Published, byte_characters, package
from attndsl.diagnostics import AttnError, error
from attndsl.storage.refusals import file_errors

_PAIRS, _MERGES, _WORDS = "vocab.json", "merges.txt", "vocab.txt"
_SENTENCEPIECE = ("spiece.model", "tokenizer.model", "sentencepiece.bpe.model", "source.spm")


def tokenizer_beside(folder: Path, special: SpecialTokens | None = None) -> Published:
    """The tokenizer in a folder of published weights: `tokenizer.json`, the byte pairs of `vocab.json` and `merges.txt`
    (GPT-2, RoBERTa, BART), or the words of `vocab.txt` (BERT). Raises E0745 where there is none, or one that cannot be
    read, E0705, E0707, E0708, E0717."""
    if (folder / TOKENIZER_FILE).is_file():
        return Published(_read(folder / TOKENIZER_FILE), "file", str(folder / TOKENIZER_FILE), special)
    if (folder / _PAIRS).is_file() and (folder / _MERGES).is_file():
        return Published(_pairs(folder), "file", str(folder / _PAIRS), special)
    if (folder / _WORDS).is_file():
        return Published(_words(folder), "file", str(folder / _WORDS), special)
    raise _none(folder)


def _none(folder: Path) -> AttnError:
    unread = next((name for name in _SENTENCEPIECE if (folder / name).is_file()), None)
    convert = f"transformers.AutoTokenizer.from_pretrained('{folder}').save_pretrained('{folder}')"
    if unread is not None:
        return error(
            "E0745",
            f"the tokenizer beside the weights, `{folder / unread}`, is in SentencePiece's format, which is not read",
            help=f'write a `{TOKENIZER_FILE}` beside it: `python -c "import transformers; {convert}"`',
        )
    return error(
        "E0745", f"there is no tokenizer beside the weights: `{folder / TOKENIZER_FILE}`",
        note="texts are encoded by the tokenizer that the model was trained with",
        help=f"put the `{TOKENIZER_FILE}` that was published with the weights into `{folder}`",
    )  # fmt: skip


def _pairs(folder: Path) -> str:
    """Byte-level byte pair encoding (Radford et al., "Language models are unsupervised multitask learners", 2019,
    section 2.2) as a `tokenizer.json`."""
    tokenizers = package(f"the tokenizer `{folder / _PAIRS}`")
    vocab = _object(folder / _PAIRS)
    lines = _read(folder / _MERGES).splitlines()
    merges = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
    if not all(character in vocab for character in byte_characters()):
        raise error(
            "E0745",
            f"the tokenizer beside the weights, `{folder / _PAIRS}`, is not of bytes: its rules are not known",
            help=f"put a `{TOKENIZER_FILE}` into `{folder}`: `transformers` writes one with `save_pretrained`",
        )
    try:
        made = tokenizers.Tokenizer(tokenizers.models.BPE(vocab, merges))
    except Exception as problem:  # the package raises plain `Exception`
        raise _unreadable(folder / _MERGES, problem) from None
    prefix = bool(_object(folder / "tokenizer_config.json").get("add_prefix_space", False))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    made.decoder = tokenizers.decoders.ByteLevel()
    return _with_special(made, vocab)


def _words(folder: Path) -> str:
    """BERT's WordPiece as a `tokenizer.json`. It is of small letters where its configuration says so, or, without one,
    where none of its words has a capital."""
    tokenizers = package(f"the tokenizer `{folder / _WORDS}`")
    vocab = {line: number for number, line in enumerate(_read(folder / _WORDS).splitlines())}
    unknown = next((name for name in WELL_KNOWN["unknown"] if name in vocab), None)
    if unknown is None:
        raise error(
            "E0707",
            f"`{folder / _WORDS}` is not the vocabulary of a tokenizer: it has no unknown token",
            help="download it again, or put a `tokenizer.json` beside it",
        )
    special = {name for names in WELL_KNOWN.values() for name in names}
    small = not any(word != word.lower() for word in vocab.keys() - special)
    lowercase = _object(folder / "tokenizer_config.json").get("do_lower_case", small)
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocab, unk_token=unknown, max_input_chars_per_word=100))
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=bool(lowercase))
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.decoder = tokenizers.decoders.WordPiece()
    return _with_special(made, vocab)


def _with_special(made: Any, vocab: Mapping[str, int]) -> str:
    """The tokenizer as a text, those of its tokens with well-known names being special."""
    names = [name for names in WELL_KNOWN.values() for name in names if name in vocab]
    made.add_special_tokens(sorted(set(names), key=vocab.__getitem__))
    return str(made.to_str())


def _read(path: Path) -> str:
    with file_errors("read", path):
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as problem:
            raise _unreadable(path, problem) from None


def _object(path: Path) -> dict[str, Any]:
    """A JSON object; an empty one where there is no such file."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(_read(path))
    except ValueError as problem:
        raise _unreadable(path, problem) from None
    if not isinstance(found, dict):
        raise _unreadable(path, ValueError("it is not a JSON object"))
    return found


def _unreadable(path: Path, problem: Exception) -> AttnError:
    return error("E0707", f"`{path}` cannot be read", note=str(problem), help="download it again")
