"""Classes that are named when they are asked for: the text most like a picture, and vectors of both."""

from __future__ import annotations

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
from attndsl.generation.embed import embed
from attndsl.generation.predict import predict
from attndsl.runs.run import Run

IMAGES = list(np.random.default_rng(1).random((5, 6, 6), np.float32))


def tokens_of(run, text):
    special = run.tokenizer.special
    return [special["begin"], *run.tokenizer.encode(text).tolist(), special["end"]]


def vector_of(run, text):
    row = tokens_of(run, text)
    inputs = {"tokens": np.array([row]), "last": np.array([len(row) - 1])}
    return run.program("numpy").run(inputs, ["text_embeds"])["text_embeds"][0]


def pictured(run):
    return run.program("numpy").run({"image": (np.stack(IMAGES)[:, None] - 0.5) / 0.5}, ["image_embeds"])[
        "image_embeds"
    ]


@pytest.mark.parametrize("backend", ["numpy", pytest.param("torch", marks=pytest.mark.torch)])
def test_the_class_is_the_text_that_is_most_like_the_picture(run_of, backend):
    run = run_of("contrast")
    for labels, template, texts in (
        (None, None, ["a a", "a b", "a c"]),
        (["b", "a long a"], None, ["a b", "a a long a"]),
        (["b", "a", "one c"], "{}", ["b", "a", "one c"]),
    ):
        names = labels or ["a", "b", "c"]
        scores = pictured(run) @ np.stack([vector_of(run, text) for text in texts]).T
        shares = np.exp(scores - scores.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        found = predict(run, IMAGES, 9, labels=labels, template=template, backend=backend)
        for row, (prediction,) in zip(shares, found, strict=True):
            said = {it.name: it.probability for it in prediction.choices}
            assert said == pytest.approx(dict(zip(names, row, strict=True)), abs=1e-4)
            assert prediction.choices[0].name == names[int(row.argmax())]


def test_the_texts_are_encoded_once(run_of, monkeypatch):
    run, asked, program = run_of("contrast"), [], Run.program

    def counted(self, *where):
        found = program(self, *where)
        run_it = found.run
        found.run = lambda given, outputs: asked.append(set(given)) or run_it(given, outputs)
        return found

    monkeypatch.setattr(Run, "program", counted)
    few = predict(run, IMAGES, 9, backend="numpy")
    del asked[:]
    many = predict(run, IMAGES * 20, 9, backend="numpy")
    assert [len([given for given in asked if name in given]) for name in ("tokens", "image")] == [1, 4]
    for (one,), (other,) in zip(many[-5:], few, strict=True):
        assert [it.probability for it in one.choices] == pytest.approx([it.probability for it in other.choices])


def test_both_towers_embed(run_of):
    run = run_of("contrast")
    np.testing.assert_allclose(embed(run, IMAGES, backend="numpy"), pictured(run), atol=1e-5)
    texts = ["a a", "one longer c", "b"]
    expected = [vector_of(run, text) for text in texts]
    np.testing.assert_allclose(embed(run, texts, backend="numpy"), expected, atol=1e-5)
    with pytest.raises(AttnError, match="some of the examples are pictures"):
        embed(run, ["a", IMAGES[0]], backend="numpy")


@pytest.mark.parametrize(
    ("labels", "template", "code", "says"),
    [
        (["a"], None, "E0759", "there is one label, `a`"),
        ([], None, "E0759", "there are no labels"),
        (["a", "b", "a"], None, "E0759", "`a` is given twice"),
        (["a", " "], None, "E0759", "a label is empty"),
        (["a", "b"], "a letter", "E0759", "does not say where the name"),
        (["a", "b"], "{} {}", "E0759", "does not say where the name"),
        (["a", "b" * 30], None, "E0752", "text 2 has 34 tokens, and Towers takes 16"),
    ],
)
def test_labels_that_do_not_fit(run_of, labels, template, code, says):
    with pytest.raises(AttnError) as problem:
        predict(run_of("contrast"), IMAGES, labels=labels, template=template, backend="numpy")
    (told,) = problem.value.diagnostics
    assert (told.code, says in told.message) == (code, True), told.message
    assert told.helps


def test_what_a_class_is_not_asked_of(run_of):
    with pytest.raises(AttnError, match="for pictures, not for texts"):
        predict(run_of("contrast"), ["a text"], backend="numpy")
    with pytest.raises(AttnError, match="E0759"):
        predict(run_of("classify"), ["a text"], labels=["a", "b"], backend="numpy")
    with pytest.raises(AttnError, match="E0759"):
        predict(run_of("classify_images"), [np.zeros((8, 8))], template="a {}", backend="numpy")
    with pytest.raises(AttnError, match="E0756"):
        predict(run_of("contrast"), [np.zeros((7, 6))], backend="numpy")


def test_the_tower_that_is_given_something_is_looked_into(run_of):
    """The text alone: the attention of its tower, with the tokens as labels."""
    from attndsl.attention_maps.run import attend

    run = run_of("contrast")
    maps = attend(run, "a b", backend="numpy")
    (group,) = maps.groups
    (layer,) = group.layers
    assert layer.weights.shape == (2, 5, 5)
    assert maps.picture is None
    with pytest.raises(AttnError, match="E0748"):  # this one's other tower is a linear map
        attend(run, IMAGES[0], backend="numpy")
