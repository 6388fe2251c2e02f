"""Token files: the split, the cache, and the batches that are cut from them."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from attndsl.data.batches import NextToken
from attndsl.data.counter import integers, words
from attndsl.data.dataset import byte_entropy, load_dataset, open_dataset, split_corpus, token_dtype
from attndsl.data.sources import find_text
from attndsl.data.tokenizers import TokenizerChoice
from attndsl.diagnostics import AttnError

BYTES = TokenizerChoice.parse("bytes")
CHARS = TokenizerChoice.parse("chars")


def many(folder: Path, count: int = 40, size: int = 100) -> str:
    for number in range(count):
        (folder / f"{number:02}.txt").write_text(f"file {number} ".ljust(size - 1, "x") + "\n")
    return str(folder)


def test_documents_are_held_out_whole_where_they_are_many(tmp_path: Path) -> None:
    corpus = find_text(many(tmp_path))
    train, held, how = split_corpus(corpus, 0.05)
    assert how == "documents"
    assert len(held) == 2
    assert len(train) == 38
    assert not {document for document, _, _ in train} & {document for document, _, _ in held}
    assert all((start, stop) == (0, document.size) for document, start, stop in train + held)


def test_the_tail_is_held_out_where_there_is_one_file(tmp_path: Path) -> None:
    text = "".join(f"line {number} größer\n" for number in range(200))
    (tmp_path / "one.txt").write_text(text, encoding="utf-8")
    (first,), (last,), how = split_corpus(find_text(str(tmp_path)), 0.1)
    assert how == "tail"
    assert first[2] == last[1]
    rest = text.encode()[last[1] :]
    assert rest.startswith(b"line")
    assert 0.05 < len(rest) / len(text.encode()) <= 0.1


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_a_text_of_one_line_is_cut_between_characters(tmp_path: Path, fraction: float) -> None:
    (tmp_path / "one.txt").write_text("語" * 101, encoding="utf-8")
    _, (last,), _ = split_corpus(find_text(str(tmp_path)), fraction)
    assert last[1] % 3 == 0


def test_the_parts_are_the_text(tmp_path: Path) -> None:
    text = "to be, or not to be\n" * 100
    (tmp_path / "a.txt").write_text(text)
    found = load_dataset(str(tmp_path / "a.txt"), BYTES, 0.05, tmp_path / "cache")
    assert bytes(found.train.tokens) + bytes(found.held_out.tokens) == text.encode()
    assert found.train.tokens.dtype == np.uint8
    assert found.train.bytes + found.held_out.bytes == len(text)
    assert found.held_out.bytes_per_token == 1.0
    assert found.unigram_entropy == pytest.approx(byte_entropy([bytes(found.held_out.tokens)]))


def test_documents_are_separated(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in "ab":
        (tmp_path / "data" / name).write_text(name * 3)
    found = load_dataset(str(tmp_path / "data"), BYTES, 0.0, tmp_path / "cache")
    assert bytes(found.train.tokens) == b"aaa\nbbb"
    assert len(found.held_out.tokens) == 0
    assert found.train.bytes == 6


def test_a_tokenizer_learns_from_the_training_part_alone(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("ab\n" * 300 + "z\n")
    found = load_dataset(str(tmp_path / "a.txt"), CHARS, 0.05, tmp_path / "cache")
    assert found.tokenizer.encode("z").tolist() == [0]
    assert found.tokenizer.vocab == 4


def test_the_cache_is_found_again_and_knows_its_contents(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("some text\n" * 50)
    said: list[str] = []
    first = load_dataset(str(path), CHARS, 0.1, tmp_path / "cache", said.append)
    again = load_dataset(str(path), CHARS, 0.1, tmp_path / "cache", said.append)
    assert (first.cached, again.cached, len(said)) == (False, True, 1)
    assert again.key == first.key
    assert again.train.tokens.tolist() == first.train.tokens.tolist()
    assert again.tokenizer.fingerprint == first.tokenizer.fingerprint
    assert load_dataset(str(path), CHARS, 0.2, tmp_path / "cache").key != first.key
    assert load_dataset(str(path), BYTES, 0.1, tmp_path / "cache").key != first.key
    path.write_text("some tExt\n" * 50)
    assert load_dataset(str(path), CHARS, 0.1, tmp_path / "cache").key != first.key
    assert not list((tmp_path / "cache").glob("*.partial"))


@pytest.mark.parametrize("name", ["train.bin", "held_out.bin", "meta.json", "characters.json"])
def test_damaged_token_files_are_made_anew(tmp_path: Path, name: str) -> None:
    """A bit that flipped is told, wherever it lies, and what is read is as it was."""
    (tmp_path / "a.txt").write_text("a text of some words\n" * 40)
    choice, cache = TokenizerChoice.parse("chars"), tmp_path / "cache"
    first = load_dataset(str(tmp_path / "a.txt"), choice, 0.1, cache)
    tokens = first.train.tokens.copy()
    path = cache / first.key / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert open_dataset(cache, first.key) is None
    said: list[str] = []
    again = load_dataset(str(tmp_path / "a.txt"), choice, 0.1, cache, said.append)
    assert not again.cached
    assert "made again" in said[0]
    assert (again.train.tokens == tokens).all()
    assert load_dataset(str(tmp_path / "a.txt"), choice, 0.1, cache, said.append).cached
    assert len(said) == 2


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe in the place of a token file, or of the cache itself."""
    (tmp_path / "a.txt").write_text("a text of some words\n" * 40)
    choice, cache = TokenizerChoice.parse("bytes"), tmp_path / "cache"
    first = load_dataset(str(tmp_path / "a.txt"), choice, 0.1, cache)
    (cache / first.key / "train.bin").unlink()
    os.mkfifo(cache / first.key / "train.bin")
    assert not load_dataset(str(tmp_path / "a.txt"), choice, 0.1, cache).cached
    (cache / first.key / "meta.json").unlink()
    os.mkfifo(cache / first.key / "meta.json")
    assert not load_dataset(str(tmp_path / "a.txt"), choice, 0.1, cache).cached
    shutil.rmtree(cache)
    os.mkfifo(cache)
    with pytest.raises(AttnError) as problem:
        load_dataset(str(tmp_path / "a.txt"), choice, 0.1, cache)
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == "E0705"
    assert str(cache) in diagnostic.message


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("some text\n" * 50)
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(AttnError) as problem:
        load_dataset(str(tmp_path / "a.txt"), BYTES, 0.1, tmp_path / "cache")
    assert problem.value.diagnostics[0].code == "E0705"


def test_short_data_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("12345678")
    found = load_dataset(str(tmp_path / "a.txt"), BYTES, 0.0, tmp_path / "cache")
    found.require(7)
    with pytest.raises(AttnError) as problem:
        found.require(8)
    assert problem.value.diagnostics[0].code == "E0704"


@pytest.mark.parametrize(("vocab", "dtype"), [(256, "uint8"), (257, "uint16"), (65536, "uint16"), (65537, "uint32")])
def test_token_files_are_as_narrow_as_the_vocabulary_allows(vocab: int, dtype: str) -> None:
    assert token_dtype(vocab) == dtype


def test_the_entropy_of_bytes() -> None:
    assert byte_entropy([b"aab", b"b"]) == pytest.approx(math.log(2))
    assert byte_entropy([bytes(range(256))]) == pytest.approx(math.log(256))
    assert byte_entropy([]) == 0.0


# ---------------------------------------------------------------------------------------------- batches

TOKENS = np.arange(1000, dtype=np.uint16)
BATCHES = NextToken(("tokens", "targets"), batch=4, length=16, seed=3)


def test_targets_are_the_tokens_one_further() -> None:
    batch = BATCHES.training(TOKENS, step=5)
    assert batch["tokens"].shape == (4, 16)
    assert batch["tokens"].dtype == np.int64
    assert (batch["targets"] == batch["tokens"] + 1).all()


def test_a_batch_depends_on_seed_step_and_part_alone() -> None:
    def at(seed: int, step: int, part: int) -> list[list[int]]:
        return NextToken(("a", "b"), 4, 16, seed).training(TOKENS, step, part)["a"].tolist()

    assert at(3, 5, 0) == at(3, 5, 0) == BATCHES.training(TOKENS, 5)["tokens"].tolist()
    assert len({str(at(*key)) for key in ((3, 5, 0), (4, 5, 0), (3, 6, 0), (3, 5, 1))}) == 4


def test_every_window_can_be_drawn() -> None:
    batches = NextToken(("tokens", "targets"), batch=200, length=7, seed=0)
    starts = batches.training(TOKENS[:10], 0)["tokens"][:, 0]
    assert set(starts.tolist()) == {0, 1, 2}


@pytest.mark.parametrize(
    ("size", "limit", "rows", "length"),
    [
        (1000, 100, [4] * 15, 16),
        (1000, 3, [4] * 3, 16),
        (65, 9, [4], 16),
        (40, 9, [2], 16),
        (10, 9, [1], 9),
        (1, 9, [], 0),
    ],
)
def test_evaluation_windows_lie_side_by_side(size: int, limit: int, rows: list[int], length: int) -> None:
    found = list(BATCHES.evaluation(TOKENS[:size], limit))
    assert [len(batch["tokens"]) for batch in found] == rows
    assert all(batch["tokens"].shape[1] == length for batch in found)
    seen = [token for batch in found for token in batch["targets"].ravel().tolist()]
    assert len(set(seen)) == len(seen)
    if size == 1000 and limit == 3:
        assert max(seen) > 900  # spread over all of the text


def test_the_counter_is_what_it_was() -> None:
    # Runs are resumed by it: another value here breaks every run that was ever begun.
    assert words(1, 2, count=3).tolist() == words(1, 2, count=5)[:3].tolist()
    assert integers(7, below=1000, count=4).tolist() == [221, 174, 827, 45]
    assert words(1, 2, 3, count=1)[0] >> np.uint64(11) == round(0.07166370763826013 * 2**53)
    numbers = np.array([int(words(0, index, count=1)[0]) for index in range(2000)]) / 2**64
    assert abs(numbers.mean() - 0.5) < 0.02
