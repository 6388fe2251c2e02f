"""Text to tokens and back, also piece by piece."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attndsl.data.tokenizers import (
    Bytes,
    Characters,
    Published,
    Tokenizer,
    TokenizerChoice,
    load_tokenizer,
    make_tokenizer,
)
from attndsl.diagnostics import AttnError

TEXT = Path(__file__).read_text(encoding="utf-8") + "größer, 語, 🙂\n"
texts = st.text(st.characters(exclude_categories=("Cs",)))
needs_tokenizers = pytest.mark.skipif(
    importlib.util.find_spec("tokenizers") is None, reason="tokenizers is not installed"
)


@pytest.fixture(scope="module")
def pairs() -> Published:
    pytest.importorskip("tokenizers")
    found = make_tokenizer(TokenizerChoice.parse("bpe:400"), iter([TEXT]))
    assert isinstance(found, Published)
    return found


def streamed(tokenizer: Tokenizer, tokens: list[int]) -> list[str]:
    streamer = tokenizer.streamer()
    return [*(streamer.push(token) for token in tokens), streamer.finish()]


@given(texts)
def test_bytes_come_back(text: str) -> None:
    tokens = Bytes().encode(text)
    assert Bytes().decode(tokens.tolist()) == text
    assert "".join(streamed(Bytes(), tokens.tolist())) == text


@given(text=texts)
@needs_tokenizers
def test_pairs_come_back(pairs: Published, text: str) -> None:
    tokens = pairs.encode(text)
    assert pairs.decode(tokens.tolist()) == text
    assert ((tokens >= 0) & (tokens < pairs.vocab)).all()


@given(text=st.text(st.sampled_from("aß語🙂 \n"), max_size=30))
@needs_tokenizers
def test_pairs_stream_whole_characters(pairs: Published, text: str) -> None:
    pieces = streamed(pairs, pairs.encode(text).tolist())
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_broken_characters_are_held_back_and_given_up_at_the_end() -> None:
    half = list("語".encode())[:2]
    assert streamed(Bytes(), [65, *half]) == ["A", "", "", "\ufffd"]


def test_characters_come_back_and_others_are_one_token() -> None:
    tokenizer = Characters("hello wörld\n")
    assert tokenizer.vocab == len(set("hello wörld\n")) + 1
    assert tokenizer.decode(tokenizer.encode("world, wörld").tolist()) == "world\ufffd wörld"
    assert tokenizer.begin == tokenizer.encode("\n")[0]


def test_without_any_character_all_are_unknown() -> None:
    assert Characters("").encode("ab").tolist() == [0, 0]


@pytest.mark.parametrize("kind", ["bytes", "chars", pytest.param("bpe:300", marks=needs_tokenizers)])
def test_what_was_saved_is_the_same(tmp_path: Path, kind: str) -> None:
    made = make_tokenizer(TokenizerChoice.parse(kind), iter([TEXT]))
    made.save(tmp_path)
    read = load_tokenizer(made.kind, tmp_path)
    assert (read.kind, read.vocab, read.fingerprint) == (made.kind, made.vocab, made.fingerprint)
    assert read.encode(TEXT).tolist() == made.encode(TEXT).tolist()


def test_training_pairs_twice_gives_the_same(pairs: Published) -> None:
    again = make_tokenizer(TokenizerChoice.parse("bpe:400"), iter([TEXT]))
    assert again.fingerprint == pairs.fingerprint


def test_a_file_is_a_tokenizer(tmp_path: Path, pairs: Published) -> None:
    pairs.save(tmp_path)
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        choice = TokenizerChoice.parse(str(path))
        assert choice.kind == "file"
        assert make_tokenizer(choice, iter(())).fingerprint == pairs.fingerprint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("byte", "did you mean `bytes`?"),
        ("bpe", "bpe:1024"),
        ("bpe:12", "257"),
        ("bpe:x", "bpe:1024"),
        ("a/b.json", "bytes"),
    ],
)
def test_unknown_tokenizers(text: str, expected: str) -> None:
    with pytest.raises(AttnError) as problem:
        TokenizerChoice.parse(text)
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == "E0706"
    assert expected in diagnostic.helps[0]


@needs_tokenizers
@pytest.mark.parametrize("content", [b"{}", b"no json", b"\xff\xfe", b""])
def test_foreign_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(AttnError) as problem:
        load_tokenizer("file", tmp_path)
    assert problem.value.diagnostics[0].code == "E0707"


@pytest.mark.parametrize("content", ["[]", "{", '{"characters": 3}'])
def test_damaged_characters(tmp_path: Path, content: str) -> None:
    (tmp_path / "characters.json").write_text(content)
    with pytest.raises(AttnError) as problem:
        load_tokenizer("chars", tmp_path)
    assert problem.value.diagnostics[0].code == "E0707"


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(AttnError) as problem:
        make_tokenizer(TokenizerChoice.parse("bpe:300"), iter([TEXT]))
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == "E0708"
    assert "attndsl[text]" in diagnostic.helps[0]
