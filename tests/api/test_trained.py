"""Training from Python, on paths and on what Python has, and what trained models can be asked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import attndsl
from attndsl import AttnError

SORTER = """
/// Says which of several kinds a text is of.
model Sorter(vocab=256, labels=2, context=32, width=16) {
  input tokens: int[B, T] where T <= context, tokens < vocab
  input valid: bool[B, T] optional = true
  x = embedding(tokens, vocab, width) as word
  x += attention(x, 2, mask=keys(valid)) as attn
  output hidden = x
  output logits = linear(x[T=0], labels) as head
  input label: int[B] optional where label < labels
  output loss = cross_entropy(logits, label, over=labels)
}

train Sorter {
  batches   = classify(tokens, label, valid=valid)
  minimize  = loss
  tokenizer = bytes
  special   = tokens(pad="[PAD]", unknown="[UNK]", begin="[CLS]", end="[SEP]")
  optimizer = adamw(lr=1e-2)
  batch  = 8
  length = 32
  steps  = 40
}
"""
WRITER = """
model Writer(vocab=256, context=16, width=16) {
  input tokens: int[B, T] where T <= context, tokens < vocab
  output logits = embedding(tokens, vocab, width) |> mlp(32) as mlp |> linear(vocab) as out
  input targets: int[B, T] optional where targets >= -100, targets < vocab
  output loss = cross_entropy(logits, targets, over=vocab)
}

train Writer {
  batches = next_token(tokens, targets)
  minimize = loss
  tokenizer = bytes
  batch = 2
  length = 8
  steps = 2
}
"""
ROWS = [
    {"text": f"{word} {number}", "label": label}
    for number in range(40)
    for word, label in (("up", "yes"), ("down", "no"))
]


@pytest.fixture(scope="module")
def sorter(tmp_path_factory: pytest.TempPathFactory) -> attndsl.TrainedModel:
    out = tmp_path_factory.mktemp("api") / "sorter"
    return attndsl.parse(SORTER).train(ROWS, out, quiet=True, backend="numpy")


def test_a_spec_as_a_text_is_trained_on_rows_that_python_has(sorter):
    assert sorter.step == 40
    assert sorter.labels == ("no", "yes")
    assert sorter.metrics["accuracy"] == 1.0
    assert sorter.outcome is not None
    assert not sorter.outcome.interrupted
    assert repr(sorter) == f"<attndsl.TrainedModel {sorter.folder} · Sorter after 40 steps>"
    record = json.loads((sorter.folder / "run.json").read_text(encoding="utf-8"))
    assert (sorter.folder / "spec" / record["spec"]["file"]).read_text(encoding="utf-8") == SORTER


def test_it_predicts_for_one_and_for_many(sorter):
    (alone,) = sorter.predict("up 3", top=2)
    assert [likely.name for likely in alone.choices] == ["yes", "no"]
    assert sum(likely.probability for likely in alone.choices) == pytest.approx(1)
    many = sorter.predict(["down 4", "up 5"], 1)
    assert [found[0].choices[0].name for found in many] == ["no", "yes"]
    assert sorter.embed(["up", "down", "up"]).shape == (3, 16)
    np.testing.assert_allclose(sorter.embed("up"), sorter.embed(["down", "up"])[1], atol=1e-6)


def test_what_it_attends_to_is_drawn(sorter, tmp_path):
    drawing = sorter.attend("up 3")
    drawing.save(tmp_path / "a.html")
    drawing.save(tmp_path / "a.svg")
    drawing.save(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == drawing._repr_html_()
    assert "<svg" in drawing._repr_html_()
    assert "<html" in (tmp_path / "a.html").read_text(encoding="utf-8")
    with pytest.raises(AttnError, match="E0902"):
        drawing.save(tmp_path / "a.jpg")


def test_a_run_is_opened_again_and_is_a_model(sorter):
    again = attndsl.open_run(sorter.folder)
    assert again.outcome is None
    assert again.metrics == sorter.metrics
    assert again.predict("up 3") == sorter.predict("up 3")
    model = again.model
    assert model.hyperparameters == again.graph.hyperparameters
    for address, array in model.numpy().parameters().items():
        np.testing.assert_array_equal(array, sorter.weights[address])
    assert attndsl.parse(SORTER, weights=sorter.folder).hyperparameters == model.hyperparameters


@pytest.mark.parametrize(
    "rows", [lambda: ((row["text"], row["label"]) for row in ROWS), lambda: iter(ROWS)], ids=["pairs", "dicts"]
)
def test_any_iterable_of_rows_will_do(sorter, rows, tmp_path):
    found = attndsl.parse(SORTER).train(rows(), tmp_path / "run", quiet=True, backend="numpy", steps=1)
    assert found.labels == sorter.labels
    assert found.step == 1


def test_settings_change_the_recipe_and_the_model(tmp_path, capsys):
    path = tmp_path / "text.txt"
    path.write_text("to be or not to be, that is the question. " * 40, encoding="utf-8")
    found = attndsl.parse(WRITER, width=8).train(
        str(path), tmp_path / "run", {"batch": 3}, lr=0.5, steps=3, context=12, backend="numpy"
    )
    assert (found.graph.hyperparameters["width"], found.graph.hyperparameters["context"]) == (8, 12)
    recipe = found.run.recipe
    assert (recipe.batch, recipe.steps, recipe.optimizer["lr"]) == (3, 3, 0.5)
    assert "step 3/3" in capsys.readouterr().out
    longer = attndsl.resume(found.folder, steps=4, quiet=True)
    assert longer.step == 4
    assert not capsys.readouterr().out
    first = longer.generate("to be", 5, seed=1, temperature=0.9)
    assert first == "".join(longer.stream("to be", 5, seed=1, temperature=0.9))
    assert longer.generate(["to be"], 5, seed=1, temperature=0.9) == [first]


def test_training_starts_from_the_weights_of_the_model(sorter, tmp_path):
    model = attndsl.parse(SORTER, weights=sorter.folder)
    again = model.train(ROWS, tmp_path / "run", quiet=True, backend="numpy", steps=1, lr=1e-9)
    for address, array in again.weights.items():
        np.testing.assert_allclose(array, sorter.weights[address], atol=1e-7)


@pytest.mark.parametrize(
    ("use", "code", "says"),
    [
        (lambda run, _: run.generate("up"), "E07", ""),
        (lambda run, _: run.embed("up", pool="meen"), "E0746", "did you mean `mean`?"),
        (lambda run, out: attndsl.parse(SORTER).train(ROWS, out, steps="many"), "E07", "steps"),
        (lambda run, out: attndsl.parse(SORTER).train(ROWS, out, stepps=3), "E0", "did you mean `steps`?"),
        (lambda run, out: attndsl.parse(SORTER).train([{"txt": "a", "label": "b"}] * 9, out), "E07", "text"),
        (lambda run, out: attndsl.parse(SORTER).train(ROWS, run.folder), "E0731", "already holds a training run"),
        (lambda run, out: attndsl.resume(out), "E0732", "no such folder"),
        (lambda run, out: attndsl.open_run(run.folder / "spec"), "E0732", "run.json"),
    ],
)  # fmt: skip
def test_every_mistake_is_told(sorter, use, code, says, tmp_path):
    with pytest.raises(AttnError) as caught:
        use(sorter, Path(tmp_path / "new"))
    assert caught.value.diagnostics[0].code.startswith(code)
    assert says in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_a_writer_takes_no_beams(tmp_path):
    found = attndsl.parse(WRITER).train(__file__, tmp_path / "run", quiet=True, backend="numpy")
    for options, says in (({"beams": 4}, "no `beams`"), ({"temprature": 0.5}, "did you mean `temperature`?")):
        with pytest.raises(AttnError, match="E0797") as caught:
            found.generate("a", 3, **options)
        assert says in str(caught.value)


VIEWER = """
model Viewer(size=4, labels=2) {
  input image: float[B, 1, size, across=size]
  output logits = linear(rearrange(image, [1, size, across] -> [1 * size * across]), labels)
  input label: int[B] optional where label < labels
  output loss = cross_entropy(logits, label, over=labels)
}

train Viewer {
  batches = classify_images(image, label)
  minimize = loss
  batch = 2
  steps = 2
}
"""


def test_one_picture_or_its_path_is_an_example(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pictures = np.zeros((8, 4, 4), np.uint8)
    pictures[::2, :2] = 255
    rows = {"image": pictures, "label": np.arange(8) % 2}
    run = attndsl.parse(VIEWER).train(rows, tmp_path / "run", backend="numpy", quiet=True)
    first = run.predict(pictures[0])
    assert first == run.predict(pictures[:1])[0]
    image.fromarray(pictures[0]).save(tmp_path / "one.png")
    assert run.predict(tmp_path / "one.png") == first
    assert run.predict([str(tmp_path / "one.png")]) == [first]


@pytest.mark.parametrize("example", [None, 3, np.float64(2)])
def test_what_is_no_example_is_told(sorter, example):
    with pytest.raises(AttnError) as problem:
        sorter.predict(example)
    assert problem.value.diagnostics[0].code == "E0749"
