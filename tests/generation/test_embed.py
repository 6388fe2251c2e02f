"""Vectors: the mean leaves padding out, and nothing depends on what else is in the batch."""

from __future__ import annotations

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
from attndsl.generation.embed import embed, embed_places, similarities

TEXTS = ["1 apples", "apples and more", "3", ""]


def hidden_of(run, text):
    special = run.tokenizer.special
    row = [special["begin"], *run.tokenizer.encode(text).tolist(), special["end"]]
    return run.program("numpy").run({"tokens": np.array([row])}, ["hidden"])["hidden"][0]


@pytest.mark.parametrize("kind", ["classify", "masked_tokens", "tag"])
@pytest.mark.parametrize(
    ("pool", "pooled"), [("mean", lambda h: h.mean(0)), ("first", lambda h: h[0]), ("last", lambda h: h[-1])]
)
def test_padding_is_left_out(run_of, kind, pool, pooled):
    run = run_of(kind)
    vectors = embed(run, TEXTS, pool, backend="numpy")
    assert vectors.shape == (4, 16)
    assert vectors.dtype == np.float32
    expected = [pooled(hidden_of(run, text)) for text in TEXTS]
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    np.testing.assert_allclose(embed(run, TEXTS[:1], pool, backend="numpy"), vectors[:1], atol=1e-5)


def test_an_output_with_one_vector_is_taken_as_it_is(run_of):
    run = run_of("classify")
    np.testing.assert_allclose(
        embed(run, TEXTS, output="pooled", backend="numpy"), embed(run, TEXTS, "first", backend="numpy"), atol=1e-5
    )


def test_an_encoders_memory_is_taken_without_a_target(run_of):
    run = run_of("sequence_to_sequence")
    row = [*run.tokenizer.encode("12").tolist(), run.tokenizer.special["end"]]
    inputs = {"source": np.array([row]), "target": np.array([[run.tokenizer.special["start"]]])}
    memory = run.program("numpy").run(inputs, ["memory"])["memory"][0]
    vectors = embed(run, ["12", "1 apples"], backend="numpy")
    np.testing.assert_allclose(vectors[0], memory.mean(0), atol=1e-5)


def test_words_are_read_letter_by_letter(run_of):
    """A text's vector is the mean over its words, however many words the others have."""
    run = run_of("both_directions")
    special = run.tokenizer.special
    row = [
        [special["begin"], *run.tokenizer.encode(word).tolist(), special["end"], *[special["pad"]] * (6 - len(word))]
        for word in ("as", "ever", ",")
    ]
    hidden = run.program("numpy").run({"characters": np.array([row])}, ["hidden"])["hidden"][0]
    vectors = embed(run, ["as ever,", "a longer text than the other one", "as"], backend="numpy")
    np.testing.assert_allclose(vectors[0], hidden.mean(0), atol=1e-5)
    np.testing.assert_allclose(embed(run, ["as ever,"], "first", backend="numpy")[0], hidden[0], atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "text", "pieces"),
    [
        ("both_directions", "as ever, as", ("as", "ever", ",", "as")),
        ("masked_tokens", "ab", ("[CLS]", "a", "b", "[SEP]")),
    ],
)
def test_each_place_may_have_a_vector(run_of, kind, text, pieces):
    """Whose mean is the vector of the text; they are those of the same text alone."""
    run = run_of(kind)
    found = embed_places(run, [text, "a bc"], backend="numpy")
    assert found[0][0] == pieces
    assert [len(places) for places, _ in found] == [len(rows) for _, rows in found]
    np.testing.assert_allclose(
        [rows.mean(0) for _, rows in found], embed(run, [text, "a bc"], backend="numpy"), atol=1e-5
    )
    np.testing.assert_allclose(found[0][1], embed_places(run, [text], backend="numpy")[0][1], atol=1e-5)


@pytest.mark.parametrize(("kind", "output"), [("classify", "pooled"), ("classify_images", None)])
def test_where_there_are_no_places(run_of, kind, output):
    examples = TEXTS[:1] if output else [np.zeros((8, 8), np.float32)]
    with pytest.raises(AttnError, match="E0746") as raised:
        embed_places(run_of(kind), examples, output, backend="numpy")
    assert raised.value.diagnostics[0].helps


def test_pictures_have_vectors(run_of):
    run = run_of("classify_images")
    images = np.random.default_rng(0).random((3, 8, 8), np.float32)
    hidden = run.program("numpy").run({"image": (images[:, None] - 0.5) / 0.5}, ["hidden"])["hidden"]
    np.testing.assert_allclose(embed(run, list(images), backend="numpy"), hidden.mean(1), atol=1e-5)
    np.testing.assert_allclose(embed(run, list(images), "first", backend="numpy"), hidden[:, 0], atol=1e-5)


@pytest.mark.torch
def test_both_backends_give_the_same_vectors(run_of):
    ours, theirs = (embed(run_of("classify"), TEXTS, backend=backend) for backend in ("numpy", "torch"))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_similarities_are_cosines():
    vectors = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0], [-1.0, -1.0], [0.0, 0.0]])
    root = 1 / np.sqrt(2)
    expected = [
        [1, 1, 0, -root, 0], [1, 1, 0, -root, 0], [0, 0, 1, -root, 0], [-root, -root, -root, 1, 0], [0, 0, 0, 0, 0],
    ]  # fmt: skip
    np.testing.assert_allclose(similarities(vectors), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "values", "code"),
    [
        ("classify", {"output": "hiden"}, "E0746"),
        ("classify", {"output": "loss"}, "E0746"),
        ("classify", {"pool": "max"}, "E0746"),
        ("next_token", {}, "E0746"),
        ("classify", {"examples": ["x" * 31]}, "E0752"),
        ("both_directions", {"examples": ["all is well", "but a word is tooooolong"]}, "E0767"),
    ],
)
def test_what_has_no_vectors_is_told(run_of, kind, values, code):
    with pytest.raises(AttnError, match=code) as problem:
        embed(run_of(kind), values.pop("examples", TEXTS), backend="numpy", **values)
    assert problem.value.diagnostics[0].helps
