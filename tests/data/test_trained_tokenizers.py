"""Tokenizers that learn from the data: the same every time, and right about what they count."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attndsl.data.tokenizers import Published, SpecialTokens, TokenizerChoice, make_tokenizer
from attndsl.data.tokenizers.unigram import SPACE, WORDS, _seed, _shares, learn_pieces
from attndsl.diagnostics import AttnError

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "attndsl" / "data" / "sources.py"
SPECIAL = SpecialTokens.of({"pad": "<pad>", "end": "</s>", "unknown": "<unk>", "sentinels": 2})


def trained(kind: str, *texts: str, special: SpecialTokens | None = None) -> Published:
    pytest.importorskip("tokenizers")
    found = make_tokenizer(TokenizerChoice.parse(kind, special), texts or (SOURCE.read_text(encoding="utf-8"),))
    assert isinstance(found, Published)
    return found


def pieces_of(tokenizer: Published, text: str) -> list[str]:
    return [str(tokenizer.inner.id_to_token(token)) for token in tokenizer.encode(text).tolist()]


@pytest.mark.parametrize("kind", ["bpe:400", "wordpiece:500", "unigram:400", "words:400"])
def test_another_process_trains_the_same(kind: str) -> None:
    program = (
        "import sys; from attndsl.data.tokenizers import TokenizerChoice, make_tokenizer\n"
        "text = open(sys.argv[2], encoding='utf-8').read()\n"
        "print(make_tokenizer(TokenizerChoice.parse(sys.argv[1]), iter([text])).fingerprint)"
    )
    here = trained(kind).fingerprint
    done = subprocess.run(
        [sys.executable, "-c", program, kind, str(SOURCE)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == here


# ---------------------------------------------------------------------------------------------- words


def test_words_are_the_most_frequent_ones() -> None:
    special = SpecialTokens.of({"pad": "[PAD]", "unknown": "[UNK]"})
    tokenizer = trained("words:12", "b b b, c_1 c_1 é é.\n(a) [UNK] x y z u v w", special=special)
    assert pieces_of(tokenizer, "b,c_1") == ["b", ",", "c_1"]
    assert pieces_of(tokenizer, "é b.b zebra") == ["é", "b", ".", "b", "[UNK]"]
    names = [tokenizer.inner.id_to_token(token) for token in range(tokenizer.vocab)]
    assert names == ["[PAD]", "[UNK]", "b", "c_1", "é", "(", ")", ",", ".", "UNK", "[", "]"]
    assert tokenizer.decode([2, 4, 1]) == "b é [UNK]"
    assert tokenizer.word_starts().all()
    assert np.flatnonzero(tokenizer.sentence_ends()).tolist() == [names.index(".")]
    assert tokenizer.vocab == 12


# ---------------------------------------------------------------------------------------------- WordPiece


def test_wordpiece_takes_the_longest_pieces_from_the_left() -> None:
    tokenizer = trained("wordpiece:60", "low lower lowest newer wider " * 30 + "un-do it!")
    known = set(tokenizer.inner.get_vocab())
    for word in ("lower", "newest", "wid"):
        pieces, rest, mark = [], word, ""
        while rest:
            longest = next(n for n in range(len(rest), 0, -1) if mark + rest[:n] in known)
            pieces.append(mark + rest[:longest])
            rest, mark = rest[longest:], "##"
        assert pieces_of(tokenizer, word) == pieces
    assert pieces_of(tokenizer, "low")[0] == "low"
    assert pieces_of(tokenizer, "low-low") == ["low", "-", "low"]


def test_wordpiece_knows_most_characters_and_no_others() -> None:
    tokenizer = trained("wordpiece:40", "aaaa bbbb cccc " * 20 + "z")
    assert pieces_of(tokenizer, "abé ab") == ["[UNK]", *pieces_of(tokenizer, "ab")]
    crowded = trained("wordpiece:30", " ".join(chr(0x4E00 + n) * (200 - n) for n in range(100)))
    assert crowded.vocab <= 30
    assert pieces_of(crowded, chr(0x4E00)) == [chr(0x4E00)]


def test_wordpiece_keeps_capitals_unless_told() -> None:
    text = "The Café. The café. " * 20
    assert "The" in pieces_of(trained("wordpiece:60", text), "The")
    lower = trained("wordpiece:60:lower", text)
    assert lower.kind == "wordpiece:60:lower"
    assert lower.encode("The CAFÉ").tolist() == lower.encode("the cafe").tolist()
    assert "[UNK]" not in pieces_of(lower, "THE CAFÉ.")


def test_wordpiece_reads_back_as_a_sentence() -> None:
    tokenizer = trained("wordpiece:500")
    text = "The names of files, and what is said of them."
    assert tokenizer.decode(tokenizer.encode(text).tolist()) == text


# ---------------------------------------------------------------------------------------------- Unigram


@given(st.text("ab c\n(", max_size=30).filter(lambda text: not text.startswith(" ")))
@settings(max_examples=60)
def test_unigram_comes_back(text: str) -> None:
    assert UNIGRAM.decode(UNIGRAM.encode(text).tolist()) == text


@pytest.fixture(scope="module", autouse=True)
def _unigram() -> None:
    global UNIGRAM
    pytest.importorskip("tokenizers")
    UNIGRAM = trained("unigram:40", "a b c (ab) abc  cab\n\n   bca\nab abc (abc) " * 10)


UNIGRAM: Published


def test_unigram_learns_from_the_words_that_it_splits_text_into() -> None:
    import re

    text = "One  two\n\n   three(four) \n five"
    split = [piece for piece, _ in trained("unigram:40").inner.pre_tokenizer.pre_tokenize_str(text)]
    ours = [word.replace(" ", SPACE) for word in re.findall(WORDS, text)]
    assert split == [SPACE + ours[0], *ours[1:]]


def segmentations(word: str, pieces: dict[str, int]) -> list[list[int]]:
    found = []
    for cuts in itertools.product((False, True), repeat=len(word) - 1):
        bounds = [0, *(place + 1 for place, cut in enumerate(cuts) if cut), len(word)]
        parts = [word[start:end] for start, end in itertools.pairwise(bounds)]
        if all(part in pieces for part in parts):
            found.append([pieces[part] for part in parts])
    return found


def test_counts_are_expectations_over_all_segmentations() -> None:
    words = {"abab": 3, "ba": 2, "abc": 1, "c": 5}
    seed = _seed(words, 100)
    pieces = {seed.piece(number): number for number in range(len(seed.first))}
    assert set(pieces) == {"a", "b", "c", "ab", "ba", "bab", "aba", "abab"}
    for piece, number in pieces.items():
        places = {word: sum(word.startswith(piece, at) for at in range(len(word))) for word in words}
        assert seed.counts[number] == sum(words[word] * places[word] for word in words)
    shares = _shares(np.arange(1.0, len(pieces) + 1))
    wanted = np.zeros(len(pieces))
    for word, count in words.items():
        ways = segmentations(word, pieces)
        weights = [math.prod(shares[piece] for piece in way) for way in ways]
        for way, weight in zip(ways, weights, strict=True):
            for piece in way:
                wanted[piece] += count * weight / sum(weights)
    np.testing.assert_allclose(seed.graph(words).expected(shares), wanted, rtol=1e-12)
    # And what a piece is worth is held against its segmentations into other pieces.
    inner = seed.inner().forward(shares)
    for piece, number in pieces.items():
        others = [way for way in segmentations(piece, pieces) if way != [number]]
        instead = sum(math.prod(shares[part] for part in way) for way in others)
        assert inner[number, len(piece)] == pytest.approx(instead)


def test_frequent_words_become_pieces_and_rare_ones_do_not() -> None:
    found = dict(learn_pieces(["the model of the model is the best " * 50 + "zigzag"], 30))
    assert len(found) == 30
    assert {f"{SPACE}the", f"{SPACE}model"} <= set(found)
    assert "zigzag" not in found
    assert set("themodlfisbzag") <= set(found)
    assert math.fsum(map(math.exp, found.values())) == pytest.approx(1, abs=0.2)


def test_a_special_name_is_no_piece_but_can_be_spelled() -> None:
    text = ["q\n<z>\n" * 50]
    assert "<z>" in dict(learn_pieces(text, 30))
    found = dict(learn_pieces(text, 30, ["<z>", "!"]))
    assert "<z>" not in found
    assert {"<", "z", ">", "!"} <= set(found)


@pytest.mark.parametrize("texts", [[], [""], [" "], ["\n"], ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]])
def test_unigram_learns_from_very_little(texts: list[str]) -> None:
    tokenizer = make_tokenizer(TokenizerChoice.parse("unigram:60", SPECIAL), texts)
    assert tokenizer.special == {"pad": 0, "end": 1, "unknown": 2}
    assert tokenizer.vocab <= 60
    for text in texts:
        assert tokenizer.decode(tokenizer.encode(text).tolist()).strip() == text.strip()


def test_a_rare_character_is_unknown_to_unigram() -> None:
    tokenizer = trained("unigram:300", "abc " * 300_000 + "é")
    assert pieces_of(tokenizer, "aé")[-1] == "<unk>"
    assert "<unk>" not in pieces_of(trained("unigram:300", "abc " * 200_000 + "é"), "aé")


# ---------------------------------------------------------------------------------------------- choosing


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wordpiec:100", "did you mean `wordpiece`?"),
        ("wordpiece", "wordpiece:2000"),
        ("wordpiece:12", "from 13"),
        ("unigram:2000:lower", "unigram:2000"),
        ("bpe:259", "from 261"),
        ("unigram:1_000", "unigram:2000"),
    ],
)
def test_unknown_choices(text: str, expected: str) -> None:
    with pytest.raises(AttnError) as problem:
        TokenizerChoice.parse(text, SPECIAL)
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == "E0706"
    assert expected in diagnostic.helps[0]


@pytest.mark.parametrize("text", ["bytes", "chars", "bpe:300", "wordpiece:50", "wordpiece:50:lower", "unigram:50"])
def test_a_choice_reads_as_it_is_written(text: str) -> None:
    choice = TokenizerChoice.parse(text, SPECIAL)
    assert str(choice) == text
    assert TokenizerChoice.parse(str(choice), SPECIAL) == choice
