"""Special tokens: their numbers, their roles, and that text never turns into them by chance."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from attndsl.data.special import SpecialTokens, sentinel
from attndsl.data.tokenizers import (
    Published,
    Tokenizer,
    TokenizerChoice,
    load_tokenizer,
    make_tokenizer,
    read_published,
)
from attndsl.diagnostics import AttnError

needs_tokenizers = pytest.mark.skipif(
    importlib.util.find_spec("tokenizers") is None, reason="tokenizers is not installed"
)
TRAINED = [pytest.param(kind, marks=needs_tokenizers) for kind in ("bpe:330", "wordpiece:300", "unigram:300")]
KINDS = ["bytes", "chars", *TRAINED]

SPECIAL = SpecialTokens.of(
    {"pad": "[PAD]", "unknown": "[UNK]", "mask": "[MASK]", "begin": "[CLS]", "end": "[SEP]", "sentinels": 3}
)
# Some text about anything, and their own names over and over.
TEXTS = [(Path(__file__).parent / "test_sources.py").read_text(encoding="utf-8").replace("語", "x")]
TEXTS.append("The größte cat sat. On the mat!\nWho is that? <extra_id_0> [MASK] [UNK]\n" * 9)


def made(kind: str, special: SpecialTokens | None = SPECIAL) -> Tokenizer:
    return make_tokenizer(TokenizerChoice.parse(kind, special), TEXTS)


def code(problem: pytest.ExceptionInfo[AttnError]) -> str:
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.helps, "no way out is given"
    return diagnostic.code


def test_they_keep_the_order_of_writing() -> None:
    special = SpecialTokens.of({"mask": "<m>", "sentinels": 2, "pad": "<p>", "start": "<p>"})
    assert special.order == ("mask", "pad", "start")
    assert special.names == ("<m>", "<p>")
    assert special.last == ("<extra_id_1>", "<extra_id_0>")
    assert SpecialTokens.from_json(json.loads(json.dumps(special.to_json()))) == special
    assert SpecialTokens(end="</s>", pad="<p>").order == ("pad", "end")
    assert not SpecialTokens()
    assert SpecialTokens(sentinels=1)


@pytest.mark.parametrize("kind", TRAINED)
def test_trained_ones_have_them_first_and_sentinels_last(kind: str) -> None:
    tokenizer = made(kind)
    assert tokenizer.vocab == int(kind.partition(":")[2])
    assert tokenizer.special == {"pad": 0, "unknown": 1, "mask": 2, "begin": 3, "end": 4}
    assert list(tokenizer.special) == ["pad", "unknown", "mask", "begin", "end"]
    assert tokenizer.sentinels == (tokenizer.vocab - 1, tokenizer.vocab - 2, tokenizer.vocab - 3)
    assert (tokenizer.begin, tokenizer.separator) == (3, 4)


def test_bytes_have_them_behind_their_own() -> None:
    tokenizer = made("bytes")
    assert tokenizer.vocab == 256 + 5 + 3
    assert tokenizer.special == {"pad": 256, "unknown": 257, "mask": 258, "begin": 259, "end": 260}
    assert tokenizer.sentinels == (263, 262, 261)
    assert made("bytes", None).vocab == 256


def test_for_characters_the_unknown_one_is_the_one_they_have() -> None:
    plain, tokenizer = made("chars", None), made("chars")
    assert tokenizer.vocab == plain.vocab + 4 + 3
    assert tokenizer.special["unknown"] == 0
    assert tokenizer.special["pad"] == plain.vocab
    assert tokenizer.encode("語").tolist() == [0]


@needs_tokenizers
@pytest.mark.parametrize("special", [SPECIAL, None], ids=["special tokens", "none"])
@pytest.mark.parametrize("kind", ["bytes", "chars", "bpe:330"])
def test_as_a_file_they_are_the_same(kind: str, special: SpecialTokens | None) -> None:
    tokenizer = made(kind, special)
    file = Published(tokenizer.to_file(), special=special)
    assert (file.vocab, file.special, file.sentinels) == (tokenizer.vocab, tokenizer.special, tokenizer.sentinels)
    for text in (*TEXTS, "", "  two\tspaces \r\n", "語é[MASK] \ufffd <extra_id_0>", "["):
        for whole in (False, True):
            tokens = tokenizer.encode(text, special=whole)
            np.testing.assert_array_equal(file.encode(text, special=whole), tokens)
        assert file.decode(tokens.tolist()) == tokenizer.decode(tokens.tolist())


def test_two_roles_can_share_a_token() -> None:
    tokenizer = made("bytes", SpecialTokens.of({"begin": "<s>", "start": "</s>", "end": "</s>"}))
    assert tokenizer.special == {"begin": 256, "start": 257, "end": 257}
    assert tokenizer.vocab == 258


@pytest.mark.parametrize("kind", KINDS)
def test_text_with_their_names_is_text(kind: str) -> None:
    tokenizer = made(kind)
    text = "The [MASK] sat. <extra_id_0>[SEP]"
    reserved = {*tokenizer.special.values(), *tokenizer.sentinels} - {tokenizer.special["unknown"]}
    plain = tokenizer.encode(text)
    assert not reserved & {*plain.tolist()}
    assert plain.tolist() == tokenizer.encode_batch(["x", text])[1].tolist()
    meant = tokenizer.encode(text, special=True).tolist()
    wanted = [tokenizer.special["mask"], tokenizer.sentinels[0], tokenizer.special["end"]]
    assert [token for token in meant if token in reserved] == wanted
    assert tokenizer.decode(plain.tolist()).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_left_out_of_text_but_for_the_unknown(kind: str) -> None:
    tokenizer = made(kind)
    special = tokenizer.special
    tokens = [special["begin"], *tokenizer.encode("The cat").tolist(), tokenizer.sentinels[1], special["end"]]
    assert tokenizer.decode(tokens, skip_special=True) == "The cat"
    shown = tokenizer.decode(tokens)
    assert all(name in shown for name in ("[CLS]", "[SEP]", sentinel(1)))
    assert tokenizer.decode([special["pad"], special["unknown"]], skip_special=True) in ("[UNK]", "\ufffd")


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_streamed(kind: str) -> None:
    tokenizer = made(kind)
    tokens = [tokenizer.special["begin"], *tokenizer.encode("The größte cat").tolist(), tokenizer.special["end"]]
    streamer = tokenizer.streamer()
    assert "".join(map(streamer.push, tokens)) + streamer.finish() == tokenizer.decode(tokens)


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_kept_with_the_tokenizer(tmp_path: Path, kind: str) -> None:
    tokenizer = made(kind)
    tokenizer.save(tmp_path)
    again = load_tokenizer(tokenizer.kind, tmp_path)
    assert again.special == tokenizer.special
    assert (again.sentinels, again.vocab, again.kind) == (tokenizer.sentinels, tokenizer.vocab, tokenizer.kind)
    assert again.fingerprint == tokenizer.fingerprint != made(kind, None).fingerprint


@pytest.mark.parametrize("content", ["[]", "{", '{"pad": 3}', '{"sentinels": "many"}', "3"])
def test_damaged_ones_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "special_tokens.json").write_text(content)
    with pytest.raises(AttnError) as problem:
        load_tokenizer("bytes", tmp_path)
    assert code(problem) == "E0707"


@pytest.mark.parametrize("kind", KINDS)
def test_beginnings_of_words_and_ends_of_sentences(kind: str) -> None:
    tokenizer = made(kind)
    starts, ends = tokenizer.word_starts(), tokenizer.sentence_ends()
    assert starts.shape == ends.shape == (tokenizer.vocab,)
    assert starts.dtype == ends.dtype == bool
    special = [*tokenizer.special.values(), *tokenizer.sentinels]
    assert starts[[token for token in special if kind != "chars" or token]].all()
    assert not ends[special].any()
    tokens = tokenizer.encode("The unbelievable that is.")
    assert ends[tokens].tolist() == [False] * (len(tokens) - 1) + [True]
    # Taken apart at the beginnings, the tokens are the words.
    words: list[list[int]] = []
    for place, token in enumerate(tokens.tolist()):
        if place == 0 or starts[token]:
            words.append([])
        words[-1].append(token)
    texts = [tokenizer.decode(word).strip().replace(" ", "").replace("##", "") for word in words]
    assert [text for text in texts if text] == ["The", "unbelievable", "that", "is", "."]


@needs_tokenizers
def test_a_file_is_searched_for_well_known_names(tmp_path: Path) -> None:
    made("wordpiece:300").save(tmp_path)
    (tmp_path / "special_tokens.json").unlink()
    found = load_tokenizer("file", tmp_path)
    assert found.special == {"pad": 0, "unknown": 1, "mask": 2, "begin": 3, "end": 4}
    assert found.sentinels == (299, 298, 297)


@needs_tokenizers
def test_a_name_that_a_file_lacks_is_an_error(tmp_path: Path) -> None:
    made("unigram:300").save(tmp_path)
    path = tmp_path / "tokenizer.json"
    given = SpecialTokens.of({"pad": "[PAD]", "mask": "[SEP]"})
    assert read_published(path, special=given).special == {"pad": 0, "mask": 4}
    for wrong in ({"mask": "[MSK]"}, {"sentinels": 4}):
        with pytest.raises(AttnError) as problem:
            read_published(path, special=SpecialTokens.of(wrong))
        assert code(problem) == "E0717"
        if "mask" in wrong:
            assert problem.value.diagnostics[0].helps[0] == "did you mean `[MASK]`?"


@needs_tokenizers
def test_a_piece_of_text_in_a_file_never_is_a_special_token(tmp_path: Path) -> None:
    # As in T5's file, where `</s>` is a piece as likely as can be.
    pieces = [["<unk>", 0.0], ["</s>", 0.0], ["▁", -2.0], ["a", -3.0]]
    file = {
        "version": "1.0",
        "added_tokens": [
            {"id": i, "content": c, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
             "special": True} for i, c in enumerate(("<unk>", "</s>"))
        ],
        "normalizer": None, "post_processor": None, "truncation": None, "padding": None,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
        "model": {"type": "Unigram", "unk_id": 0, "vocab": pieces, "byte_fallback": False},
    }  # fmt: skip
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(file))
    found = read_published(path)
    assert found.special == {"unknown": 0, "end": 1}
    assert found.encode("a</s>").tolist() == [2, 3, 0]
    assert found.encode("a</s>", special=True).tolist() == [2, 3, 1]


@needs_tokenizers
@pytest.mark.parametrize("kind", ["wordpiece:300", "unigram:300"])
def test_what_is_unknown_has_a_token_in_any_case(tmp_path: Path, kind: str) -> None:
    tokenizer = made(kind, SpecialTokens(pad="<pad>"))
    assert tokenizer.special == {"pad": 0, "unknown": 1}
    assert np.isin(1, tokenizer.encode("a 語 b"))
    tokenizer.save(tmp_path)
    assert load_tokenizer(kind, tmp_path).fingerprint == tokenizer.fingerprint


@needs_tokenizers
def test_a_word_is_no_name() -> None:
    with pytest.raises(AttnError) as problem:
        made("wordpiece:300", SpecialTokens(mask="mask"))
    assert code(problem) == "E0724"
    assert "`[MASK]`" in problem.value.diagnostics[0].helps[0]
