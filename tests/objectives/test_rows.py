"""Rows of tables as batches: order, framing, classes, tags, pictures; and what is said of rows that do not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from attndsl.data.special import SpecialTokens
from attndsl.data.table import Table, read_table
from attndsl.data.tokenizers import Bytes
from attndsl.diagnostics import AttnError
from attndsl.objectives import Objective
from attndsl.objectives.pictures import shifted

Make = Callable[..., Objective]
SEQUENCES = "sequence_to_sequence(source, target, targets, valid=valid)"
CLASSES = "classify(tokens, label, valid=valid, segment=segment)"
PAIRS = 'classify(tokens, label, valid=valid, segment=segment, pair="second")'
FINAL = "classify(tokens, label, targets=targets, last=last)"
TAGS = "tag(tokens, tags, valid=valid)"
IMAGES = "classify_images(image, label)"


def table(**columns: Any) -> Table:
    return read_table(columns)


def refused(code: str, act: Callable[[], Any]) -> Any:
    with pytest.raises(AttnError) as problem:
        act()
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == code
    assert diagnostic.helps
    return diagnostic


# ---------------------------------------------------------------------------------------------- order


def test_every_pass_has_every_row_once_in_an_order_of_its_own(make: Make) -> None:
    data = table(text=[f"row {i}" for i in range(20)], label=[i % 2 for i in range(20)])
    objective = make(CLASSES, labels=("0", "1"), settings={"accumulate": 2, "batch": 4})
    prepared = objective.prepare(data)
    seen = []
    for step in range(5):
        for part in range(2):
            seen += [bytes(row[row < 256].tolist()) for row in objective.training(prepared, step, part)["tokens"]]
    one, two = seen[:20], seen[20:]
    assert sorted(one) == sorted(two) == sorted(f"row {i}".encode() for i in range(20))
    assert one != two
    assert one != sorted(one)


def test_a_batch_may_be_larger_than_the_data(make: Make) -> None:
    data = table(text=["a", "b", "c"], label=[0, 1, 1])
    objective = make(CLASSES, labels=("0", "1"))
    batch = objective.training(objective.prepare(data), 1)
    assert sorted(Counter(batch["tokens"][:, 1].tolist()).values()) == [2, 3, 3]


# ---------------------------------------------------------------------------------------------- sequence to sequence


def test_teacher_forcing(make: Make, tokenizer: Bytes) -> None:
    data = table(source=["abc", "de"], target=["x", "yz!"])
    objective = make(SEQUENCES, settings={"batch": 2})
    (batch,) = objective.evaluation(objective.prepare(data), 1)
    pad, begin, end, start = (tokenizer.special[role] for role in ("pad", "begin", "end", "start"))
    a, b, c, d, e, x, y, z, mark = b"abcdexyz!"
    assert batch["source"].tolist() == [[begin, a, b, c, end], [begin, d, e, end, pad]]
    assert batch["valid"].tolist() == [[True] * 5, [True] * 4 + [False]]
    assert batch["target"].tolist() == [[start, begin, x, pad, pad], [start, begin, y, z, mark]]
    assert batch["targets"].tolist() == [[begin, x, end, -100, -100], [begin, y, z, mark, end]]
    assert objective.counted(batch) == 8
    assert objective.positions(batch) == 20


@pytest.mark.parametrize(
    ("special", "shown", "said"),
    [
        (SpecialTokens(pad="<pad>", end="</s>"), ["pad", "x"], ["x", "end"]),
        (SpecialTokens(pad="<pad>", end="</s>", begin="<s>"), ["begin", "x"], ["x", "end"]),
        (SpecialTokens(pad="<pad>", end="</s>", start="</s>"), ["end", "x"], ["x", "end"]),
        (
            SpecialTokens(pad="<pad>", end="</s>", begin="<s>", start="</s>"),
            ["end", "begin", "x"],
            ["begin", "x", "end"],
        ),
    ],
)
def test_what_starts_a_target(make: Make, special: SpecialTokens, shown: list[str], said: list[str]) -> None:
    """T5 starts with padding, the Transformer with a token for it, BART with the one that ends texts."""
    objective = make(SEQUENCES, special=special)
    (batch,) = objective.evaluation(objective.prepare(table(source=["a"], target=["x"])), 1)

    def numbers(names: list[str]) -> list[int]:
        return [ord(name) if len(name) == 1 else objective.tokenizer.special[name] for name in names]

    assert batch["target"].tolist() == [numbers(shown)]
    assert batch["targets"].tolist() == [numbers(said)]


def test_the_same_source_in_use_as_in_training(make: Make) -> None:
    objective = make(SEQUENCES)
    (batch,) = objective.evaluation(objective.prepare(table(source=["abc"], target=["x"])), 1)
    for examples in (["abc"], [{"source": "abc"}]):
        given = objective.inputs(examples)
        assert set(given) == {"source", "valid"}
        assert (given["source"] == batch["source"]).all()


def test_long_rows_are_cut_and_counted(make: Make, tokenizer: Bytes) -> None:
    said: list[str] = []
    objective = make(SEQUENCES)
    prepared = objective.prepare(table(source=["a" * 100, "b"], target=["x", "y"]), said.append)
    batch = next(objective.evaluation(prepared, 1))
    assert batch["source"].shape[1] == 48
    assert batch["source"][0, -1] == tokenizer.special["end"]
    assert said == ["1 of 2 rows are longer than 48 tokens: their ends are cut off"]


def test_the_end_of_a_text_that_was_cut_is_not_learnt(make: Make, tokenizer: Bytes) -> None:
    """Neither of a target, nor by the language model beside a classifier."""
    end = tokenizer.special["end"]
    objective = make(SEQUENCES, settings={"length": 12})
    rows = table(source=["a", "b"], target=["y" * 50, "z"])
    (batch,) = objective.evaluation(objective.prepare(rows), 1)
    assert end not in batch["targets"][0]
    assert batch["targets"][1].tolist().count(end) == 1
    assert batch["target"][0, 1:].tolist() == batch["targets"][0, :-1].tolist()
    objective = make(FINAL, labels=("0", "1"), settings={"length": 12})
    (batch,) = objective.evaluation(objective.prepare(table(text=["y" * 50, "z"], label=[0, 1])), 1)
    assert (batch["tokens"][0, batch["last"][0]], batch["targets"][0].max()) == (end, ord("y"))
    assert batch["targets"][1].tolist()[:2] == [ord("z"), end]
    both = make(FINAL.replace(")", ", pair=second)"), labels=("0", "1"), settings={"length": 12})
    data = table(text=["x", "x" * 20, "x" * 20], second=["y" * 20, "y", "y" * 20], label=[0, 1, 0])
    (batch,) = both.evaluation(both.prepare(data), 1)
    ends = [(batch["tokens"][row] == end).sum() - (batch["targets"][row] == end).sum() for row in range(3)]
    assert ends == [1, 1, 2]


def test_long_texts_are_refused_in_use(make: Make) -> None:
    """The model takes 64, though the recipe trains on 48."""
    objective = make(SEQUENCES)
    assert objective.inputs(["a" * 62])["source"].shape == (1, 64)
    assert "65 tokens" in refused("E0752", lambda: objective.inputs(["a" * 63])).message
    assert "text 2" in refused("E0752", lambda: make(CLASSES, labels=("a",)).inputs(["a", "b" * 80])).message


# ---------------------------------------------------------------------------------------------- classes


def test_classes_of_texts(make: Make, tokenizer: Bytes) -> None:
    objective = make(CLASSES, labels=("bad", "good"))
    (batch,) = objective.evaluation(objective.prepare(table(text=["no", "yes"], label=["bad", "good"])), 1)
    begin, end, pad = (tokenizer.special[role] for role in ("begin", "end", "pad"))
    assert batch["tokens"].tolist() == [[begin, *b"no", end, pad], [begin, *b"yes", end]]
    assert batch["label"].tolist() == [0, 1]
    assert batch["segment"].sum() == 0
    assert objective.counted(batch) == 2
    diagnostic = refused("E0714", lambda: objective.prepare(table(text=["no", "yes"], label=["bad", "god"])))
    assert "did you mean `good`?" in diagnostic.helps


def test_classes_of_pairs(make: Make, tokenizer: Bytes) -> None:
    objective = make(PAIRS, labels=("0", "1"))
    data = table(text=["ab", "c"], second=["d", "e"], label=[0, 1])
    (batch,) = objective.evaluation(objective.prepare(data), 1)
    begin, end, pad = (tokenizer.special[role] for role in ("begin", "end", "pad"))
    a, b, c, d, e = b"abcde"
    assert batch["tokens"].tolist() == [[begin, a, b, end, d, end], [begin, c, end, e, end, pad]]
    assert batch["segment"].tolist() == [[0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 0]]
    given = objective.inputs([("ab", "d"), ("c", "e")])
    assert (given["tokens"] == batch["tokens"]).all()
    assert (given["segment"] == batch["segment"]).all()


@pytest.mark.parametrize(
    ("a", "b", "kept"), [(100, 2, (43, 2)), (2, 100, (2, 43)), (100, 100, (23, 22)), (20, 20, (20, 20))]
)
def test_of_a_pair_the_longer_text_is_cut(make: Make, a: int, b: int, kept: tuple[int, int]) -> None:
    objective = make(PAIRS, labels=("0",))
    (batch,) = objective.evaluation(objective.prepare(table(text=["a" * a], second=["b" * b], label=[0])), 1)
    assert ((batch["tokens"] == ord("a")).sum(), (batch["tokens"] == ord("b")).sum()) == kept
    assert batch["tokens"].shape[1] <= 48


def test_the_last_token_and_the_language_model_beside(make: Make, tokenizer: Bytes) -> None:
    objective = make(FINAL, labels=("0", "1"))
    (batch,) = objective.evaluation(objective.prepare(table(text=["ab", "c"], label=[0, 1])), 1)
    begin, end = tokenizer.special["begin"], tokenizer.special["end"]
    a, b, c = b"abc"
    assert batch["targets"].tolist() == [[a, b, end, -100], [c, end, -100, -100]]
    assert batch["last"].tolist() == [3, 2]
    assert batch["tokens"][[0, 1], batch["last"]].tolist() == [end, end]
    assert batch["tokens"][:, 0].tolist() == [begin, begin]
    assert "targets" in objective.inputs(["ab"])


# ---------------------------------------------------------------------------------------------- tags


def test_a_tag_stands_at_the_first_token_of_its_word(make: Make, tokenizer: Bytes) -> None:
    objective = make(TAGS, labels=("N", "V"))
    for words, tags in ((["ab", "c"], ["N", "V"]), ("ab c", "N V")):
        data = table(tokens=[words, "x"], tags=[tags, "N"])
        (batch,) = objective.evaluation(objective.prepare(data), 1)
        assert bytes(t for t in batch["tokens"][0].tolist() if t < 256) == b"ab c"
        # A word but the first carries the space before it.
        assert batch["tags"].tolist() == [[-100, 0, -100, 1, -100, -100], [-100, 0, -100, -100, -100, -100]]
        assert objective.counted(batch) == 3
    assert [starts.tolist() for starts in objective.starts(["ab c"])] == [[1, 3]]  # type: ignore[attr-defined]


def test_as_many_tags_as_words(make: Make) -> None:
    objective = make(TAGS, labels=("N", "V"))
    refused("E0755", lambda: objective.prepare(table(tokens=["a b", "c"], tags=["N", "V"])))


# ---------------------------------------------------------------------------------------------- pictures


def images(count: int = 3, size: int = 6) -> Any:
    return (np.arange(count * size * size, dtype=np.uint8).reshape(count, size, size) * 2).astype(np.uint8)


def test_pictures_lie_between_one_and_minus_one(make: Make) -> None:
    objective = make(IMAGES, labels=("0", "1", "2"))
    (batch,) = objective.evaluation(objective.prepare(table(image=images(), label=[0, 1, 2])), 1)
    assert batch["image"].shape == (3, 1, 6, 6)
    assert batch["image"].dtype == np.float32
    np.testing.assert_allclose(batch["image"][:, 0], images() / 255 * 2 - 1, atol=1e-6)
    np.testing.assert_array_equal(objective.inputs(list(images()))["image"], batch["image"])
    assert objective.positions(batch) == 3


def test_shifting_moves_by_at_most_so_many_pixels(make: Make) -> None:
    objective = make(IMAGES, labels=("0",), settings={"batches.shift": 2, "batch": 64})
    picture = np.zeros((1, 6, 6), dtype=np.uint8)
    picture[0, 2, 3] = 255
    prepared = objective.prepare(table(image=picture, label=[0]))
    places: Counter[tuple[int, int]] = Counter()
    for step in range(20):
        for image in objective.training(prepared, step)["image"]:
            ((y, x),) = np.argwhere(image[0] > 0)
            places[int(y) - 2, int(x) - 3] += 1
    assert set(places) == {(y, x) for y in range(-2, 3) for x in range(-2, 3)}
    assert max(abs(count - 1280 / 25) for count in places.values()) < 5 * (1280 / 25) ** 0.5


def test_what_comes_in_at_the_edge_is_dark() -> None:
    moved = shifted(np.ones((1, 1, 3, 3), dtype=np.float32), np.array([2]), np.array([0]), 1)
    assert moved[0, 0].tolist() == [[0, 0, 0], [1, 1, 0], [1, 1, 0]]


def test_pictures_of_another_size(make: Make) -> None:
    objective = make(IMAGES, labels=("0",))
    diagnostic = refused("E0756", lambda: objective.prepare(table(image=images(1, 8), label=[0])))
    assert "8 × 8 with 1 channel" in diagnostic.message
    assert "6 × 6 with 1 channel" in diagnostic.message
    assert "--set size=" in diagnostic.helps[0]
    refused("E0756", lambda: objective.inputs([np.zeros((3, 6, 6), dtype=np.uint8)]))
    refused("E0756", lambda: objective.inputs([np.zeros((6, 6)), np.zeros((5, 5))]))
