"""Tokenizers that were published beside weights without a `tokenizer.json` are those that were meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attndsl.data.special import SpecialTokens
from attndsl.data.tokenizers import Published, TokenizerChoice, make_tokenizer
from attndsl.data.tokenizers.beside import tokenizer_beside
from attndsl.diagnostics import AttnError, Diagnostic

pytest.importorskip("tokenizers")
TEXT = "The café of the naïve, they said: is it Open? " * 20 + "日本語 don't"


def made(kind: str, special: SpecialTokens | None = None) -> Published:
    found = make_tokenizer(TokenizerChoice.parse(kind, special), [TEXT])
    assert isinstance(found, Published)
    return found


def unpacked(tokenizer: Published, folder: Path) -> Any:
    """The files that older folders have in the place of its `tokenizer.json`."""
    model = json.loads(tokenizer.text)["model"]
    folder.mkdir(exist_ok=True)
    if model["type"] == "BPE":
        vocab = tokenizer.inner.get_vocab(with_added_tokens=True)
        (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
        merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    else:
        vocab = sorted(tokenizer.inner.get_vocab(with_added_tokens=True).items(), key=lambda item: item[1])
        (folder / "vocab.txt").write_text("\n".join(name for name, _ in vocab) + "\n", encoding="utf-8")
    return model


def refused(folder: Path) -> Diagnostic:
    with pytest.raises(AttnError) as problem:
        tokenizer_beside(folder)
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.helps
    return diagnostic


def test_byte_pairs(tmp_path: Path) -> None:
    meant = made("bpe:320")
    unpacked(meant, tmp_path)
    found = tokenizer_beside(tmp_path)
    assert found.encode(TEXT).tolist() == meant.encode(TEXT).tolist()
    assert found.decode(found.encode(TEXT).tolist()) == TEXT
    assert found.separator == meant.separator
    (tmp_path / "tokenizer.json").write_text(meant.text, encoding="utf-8")
    assert tokenizer_beside(tmp_path).text == meant.text


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("told", [True, False])
def test_words(tmp_path: Path, small: bool, told: bool) -> None:
    """Of small letters where the configuration says so, or no word has a capital."""
    special = SpecialTokens.of({"pad": "[PAD]", "unknown": "[UNK]", "begin": "[CLS]", "end": "[SEP]", "mask": "[MASK]"})
    meant = made("wordpiece:200" + (":lower" if small else ""), special)
    unpacked(meant, tmp_path)
    if told:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": small}))
    found = tokenizer_beside(tmp_path)
    assert found.encode(TEXT).tolist() == meant.encode(TEXT).tolist()
    assert dict(found.special) == dict(meant.special)
    assert found.encode("the [MASK]", special=True).tolist()[-1] == meant.special["mask"]


def test_the_same_as_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    special = SpecialTokens.of({"pad": "[PAD]", "unknown": "[UNK]", "begin": "[CLS]", "end": "[SEP]", "mask": "[MASK]"})
    unpacked(made("wordpiece:200", special), tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}))
    theirs = transformers.BertTokenizerFast(str(tmp_path / "vocab.txt"), do_lower_case=False)
    assert tokenizer_beside(tmp_path).encode(TEXT).tolist() == theirs.encode(TEXT, add_special_tokens=False)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path).code == "E0745"
    (tmp_path / "spiece.model").write_bytes(b"\n\x0e\n\x05")
    told = refused(tmp_path)
    assert (told.code, "SentencePiece" in told.message) == ("E0745", True)
    assert any("save_pretrained" in way for way in told.helps)
    (tmp_path / "vocab.json").write_text('{"the</w>": 0}')
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    assert refused(tmp_path).code == "E0745"
    (tmp_path / "vocab.json").write_text("[]")
    assert refused(tmp_path).code == "E0707"
    (tmp_path / "vocab.json").unlink()
    (tmp_path / "vocab.txt").write_text("the\n")
    assert refused(tmp_path).code == "E0707"


def test_a_token_for_the_unknown_that_is_not_there(tmp_path: Path) -> None:
    special = SpecialTokens.of({"unknown": "[UNK]"})
    plain = json.loads(made("wordpiece:200", special).text)
    for change in ({"unk_token": "<nothing>"}, {"unk_token": "[UNK"}):
        (tmp_path / "tokenizer.json").write_text(json.dumps({**plain, "model": {**plain["model"], **change}}))
        told = refused(tmp_path)
        assert told.code == "E0707"
        assert f"`{change['unk_token']}`" in told.message
