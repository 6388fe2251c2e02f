"""Predictions are the softmax of the model's own logits, under the names that were trained on."""

from __future__ import annotations

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
from attndsl.generation.examples import pictures, read_examples, typed_examples
from attndsl.generation.fits import objective_of
from attndsl.generation.predict import predict

TEXTS = ["1 apples", "apples and more", "3", ""]


def softmax(logits):
    shares = np.exp(np.float64(logits) - np.max(logits))
    return shares / shares.sum()


def of(run, inputs):
    return run.program("numpy").run(inputs, ["logits"])["logits"]


def test_a_class_has_its_share(run_of):
    run = run_of("classify")
    found = predict(run, TEXTS, 3, backend="numpy")
    special = run.tokenizer.special
    for text, (prediction,) in zip(TEXTS, found, strict=True):
        row = [special["begin"], *run.tokenizer.encode(text).tolist(), special["end"]]
        expected = softmax(of(run, {"tokens": np.array([row])})[0])
        assert {it.name for it in prediction.choices} == {"a", "b", "c"}
        for it in prediction.choices:
            assert it.probability == pytest.approx(expected["abc".index(it.name)], abs=1e-6)
        shares = [it.probability for it in prediction.choices]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1)


def test_as_many_as_asked_for(run_of):
    assert [len(it.choices) for (it,) in predict(run_of("classify"), TEXTS, 2, backend="numpy")] == [2] * 4
    assert [len(it.choices) for (it,) in predict(run_of("classify"), TEXTS, 99, backend="numpy")] == [3] * 4


def test_a_pair_has_two_segments(run_of):
    run = run_of("pairs")
    ((prediction,),) = predict(run, [("1 app", "les")], 2, backend="numpy")
    special = run.tokenizer.special
    first, second = (run.tokenizer.encode(text).tolist() for text in ("1 app", "les"))
    row = [special["begin"], *first, special["end"], *second, special["end"]]
    segment = [0] * (len(first) + 2) + [1] * (len(second) + 1)
    expected = softmax(of(run, {"tokens": np.array([row]), "segment": np.array([segment])})[0])
    assert {it.name: it.probability for it in prediction.choices} == pytest.approx(
        dict(zip("ny", expected, strict=True)), abs=1e-6
    )


def test_pairs_and_single_texts_are_not_mixed(run_of):
    objective = objective_of(run_of("pairs"))
    for examples in (["1 app", ("1 app", "les")], [("1 app", "les"), "1 app"]):
        with pytest.raises(AttnError, match="E0749"):
            objective.inputs(examples)


def test_each_word_has_its_tag(run_of):
    run = run_of("tag")
    found = predict(run, ["12 apples", ["x", "yz", "1"]], 1, backend="numpy")
    assert [[it.place for it in words] for words in found] == [["12", "apples"], ["x", "yz", "1"]]
    row = [run.tokenizer.special["begin"], *run.tokenizer.encode("12 apples").tolist(), run.tokenizer.special["end"]]
    said = of(run, {"tokens": np.array([row])})[0]
    for place, word in ((1, 0), (3, 1)):  # the first token of a word but the first is the space before it
        expected = softmax(said[place, :2])
        (choice,) = found[0][word].choices
        assert choice.name == ("NOUN", "NUM")[int(expected.argmax())]
        assert choice.probability == pytest.approx(expected.max(), abs=1e-6)


def test_each_mask_has_its_tokens(run_of):
    run = run_of("masked_tokens")
    ((first, second),) = predict(run, ["Now [MASK]s be[MASK]ter"], 4, backend="numpy")
    assert (first.place, second.place) == ("1", "2")
    special = run.tokenizer.special
    pieces = [run.tokenizer.encode(text).tolist() for text in ("Now ", "s be", "ter")]
    row = [special["begin"], *pieces[0], special["mask"], *pieces[1], special["mask"], *pieces[2], special["end"]]
    said = of(run, {"tokens": np.array([row])})[0]
    for prediction, at in ((first, 5), (second, 10)):
        expected = softmax(said[at, : run.tokenizer.vocab])
        order = np.argsort(-expected)[:4]
        assert [it.name for it in prediction.choices] == [run.tokenizer.decode([token]) for token in order]
        np.testing.assert_allclose([it.probability for it in prediction.choices], expected[order], atol=1e-6)


def test_a_picture_is_shown_as_in_training(run_of, tmp_path):
    run = run_of("classify_images")
    image = np.random.default_rng(5).random((8, 8), np.float32)
    ((prediction,),) = predict(run, [image], 10, backend="numpy")
    expected = softmax(of(run, {"image": ((image - 0.5) / 0.5)[None, None]})[0])
    for it in prediction.choices:
        assert it.probability == pytest.approx(expected[int(it.name)], abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "examples", "code", "said"),
    [
        ("next_token", ["x"], "E0744", "attndsl generate"),
        ("sequence_to_sequence", ["x"], "E0744", "attndsl generate"),
        ("masked_tokens", ["no mask"], "E0749", "[MASK]"),
        ("classify", ["x" * 31], "E0752", "shorten"),
        ("classify", ["\ud800"], "E0741", "UTF-8"),
        ("classify_images", [np.zeros((9, 9), np.float32)], "E0756", "convert"),
    ],
)
def test_what_cannot_be_predicted_is_told(run_of, kind, examples, code, said):
    with pytest.raises(AttnError, match=code) as problem:
        predict(run_of(kind), examples, backend="numpy")
    assert said in " ".join(problem.value.diagnostics[0].helps)


# ---------------------------------------------------------------------------------------------- examples from files


def test_examples_come_from_files(run_of, tmp_path):
    (tmp_path / "lines.txt").write_text("one\n\n two \r\nthree", encoding="utf-8")
    (tmp_path / "rows.csv").write_text('text,other,label\none,"1, 2",y\ntwo,3,n\n', encoding="utf-8")
    (tmp_path / "s2s.tsv").write_text("source\ttarget\na b\tc\n", encoding="utf-8")
    (tmp_path / "tags.jsonl").write_text('{"tokens": ["a", "b"]}\n{"tokens": "c d"}\n', encoding="utf-8")
    at = str(tmp_path) + "/"
    assert read_examples(run_of("classify"), at + "lines.txt") == ["one", " two ", "three"]
    assert read_examples(run_of("classify"), at + "rows.csv") == ["one", "two"]
    assert read_examples(run_of("pairs"), at + "rows.csv") == [("one", "1, 2"), ("two", "3")]
    assert read_examples(run_of("sequence_to_sequence"), at + "s2s.tsv") == ["a b"]
    assert read_examples(run_of("tag"), at + "tags.jsonl") == [["a", "b"], ["c", "d"]]


def test_pictures_come_from_archives_and_files(run_of, tmp_path):
    run, image = run_of("classify_images"), np.random.default_rng(0).random((3, 8, 8), np.float32)
    for name, array, count in (("all", image, 3), ("one", image[0], 1), ("channel", image[:1], 1)):
        np.savez(tmp_path / f"{name}.npz", image=array)
        assert len(pictures(run, [tmp_path / f"{name}.npz"])) == count
    np.savez(tmp_path / "labelled.npz", image=image[0], label=3)
    (single,) = pictures(run, [tmp_path / "labelled.npz"])
    np.testing.assert_array_equal(np.squeeze(single), image[0])
    assert len(read_examples(run, str(tmp_path / "all.npz"))) == 3
    pillow = pytest.importorskip("PIL.Image")
    grey = (image[0] * 255).astype(np.uint8)
    pillow.fromarray(np.stack([grey] * 3, axis=-1)).save(tmp_path / "colour.png")
    (picture,) = pictures(run, [tmp_path / "colour.png"])  # brought to the model's one channel
    np.testing.assert_array_equal(picture, grey[None])
    inputs = objective_of(run).inputs([picture])["image"]
    np.testing.assert_allclose(inputs, ((grey / 255 - 0.5) / 0.5)[None, None], atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "name", "content", "code"),
    [
        ("classify", "none.txt", None, "E0701"),
        ("classify", "empty.txt", "\n \n", "E0702"),
        ("classify", "bytes.txt", b"\xff\xfe", "E0703"),
        ("classify", "rows.csv", "txt,label\nx,y\n", "E0711"),
        ("classify", "rows.jsonl", "{text: 1}\n", "E0712"),
    ],
)
def test_what_cannot_be_read_is_told(run_of, tmp_path, kind, name, content, code):
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(AttnError, match=code):
        read_examples(run_of(kind), str(tmp_path / name))


def test_a_model_is_given_what_it_takes(run_of):
    with pytest.raises(AttnError, match="E0749"):
        typed_examples(run_of("classify_images"), ["x"])
    with pytest.raises(AttnError, match="E0749"):
        pictures(run_of("classify"), ["x.png"])
    with pytest.raises(AttnError, match="E0749"):
        typed_examples(run_of("tag"), ["x"], "y")
    with pytest.raises(AttnError, match="E0749"):
        typed_examples(run_of("pairs"), ["x", "y"], "z")
    assert typed_examples(run_of("pairs"), ["x"], "z") == [("x", "z")]


@pytest.mark.parametrize(
    ("kind", "examples"),
    [
        ("classify", [3]),
        ("classify", [("a", "b", "c")]),
        ("pairs", [("a", "b"), "c"]),
        ("classify", [np.zeros((8, 8))]),
        ("classify", [{"txt": "a"}]),
        ("masked_tokens", [{"text": "a"}]),
        ("tag", [["a", 3]]),
        ("classify_images", ["a.png"]),
        ("classify_images", [np.zeros(64, np.float32)]),
    ],
)
def test_what_is_no_example_is_told(run_of, kind, examples):
    with pytest.raises(AttnError, match="E0749") as problem:
        predict(run_of(kind), examples, backend="numpy")
    assert problem.value.diagnostics[0].helps


def test_rows_are_examples_too(run_of):
    for kind, row, same in (
        ("classify", {"text": "1 app", "more": 3}, "1 app"),
        ("pairs", {"text": "1", "other": "app"}, ("1", "app")),
        ("tag", {"tokens": "1 app"}, ["1", "app"]),
    ):
        assert predict(run_of(kind), [row], backend="numpy") == predict(run_of(kind), [same], backend="numpy")
