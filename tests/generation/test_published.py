"""A published folder stands in for a run: the same text and the same maps, from its weights and its tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

A_TEXT = str(Path(__file__).parents[1] / "samples" / "prose.txt")

pytest.importorskip("tokenizers")

SMALL = {
    "depth": 1,
    "width": 16,
    "heads": 2,
    "context": 16,
    "batch": 2,
    "steps": 2,
    "warmup": 1,
    "tokenizer": "bpe:300",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, and beside it what is published of it."""
    from attndsl.cli import main
    from attndsl.training import train
    from attndsl.training.console import Silent

    place = tmp_path_factory.mktemp("published")
    train("gpt2", A_TEXT, place / "run", settings=SMALL, backend="numpy", console=Silent())
    assert main(["export", str(place / "run"), "--to", "huggingface", str(place / "hub")]) == 0
    shutil.copy(place / "run" / "tokenizer.json", place / "hub")
    return place


@pytest.fixture(autouse=True)
def _inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_a_published_folder_says_what_the_run_says(attndsl):
    more = ("--prompt", "Now is", "--tokens", 6, "--temperature", 0, "--backend", "numpy")
    ours, published = attndsl("generate", "run", *more), attndsl("generate", "gpt2", "--weights", "hub", *more)
    assert published.code == 0, published.err
    assert published.out == ours.out


def test_a_published_folder_is_attended_to_as_the_run(attndsl):
    more = ("--text", "Now is better", "--backend", "numpy", "-o")
    assert attndsl("attend", "run", *more, "run.svg").code == 0
    done = attndsl("attend", "gpt2", "--weights", "hub", *more, "hub.svg")
    assert done.code == 0, done.err
    assert Path("hub.svg").read_text() == Path("run.svg").read_text()


def test_what_cannot_stand_in_is_told(attndsl, folder):
    shutil.copytree("hub", "alone", dirs_exist_ok=True)
    Path("alone/tokenizer.json").unlink()
    done = attndsl("generate", "gpt2", "--weights", "alone", "--prompt", "x")
    assert (done.code, "error[E0745]" in done.err) == (1, True)
    done = attndsl("generate", "gpt2", "--weights", "run", "--prompt", "x")
    assert (done.code, "error[E0745]" in done.err) == (1, True)
    assert attndsl("generate", "run", "--weights", "hub", "--prompt", "x").code == 2
    done = attndsl("predict", "gpt2", "--weights", "hub", "--text", "x")
    assert (done.code, "error[E0744]" in done.err) == (1, True)
    assert "`attndsl generate gpt2 --weights hub --prompt" in done.err


def test_classes_have_their_published_names(tmp_path):
    from attndsl.elaborate import load, open_spec
    from attndsl.generation.published import _labels
    from attndsl.recipe.recipe import read_recipe
    from attndsl.values import hyperparameters_of

    kinds = Path(__file__).with_name("kinds.attn")
    recipe = read_recipe(open_spec(f"{kinds}:Classifier").train, hyperparameters_of(load(f"{kinds}:Classifier", {})))
    (tmp_path / "config.json").write_text(json.dumps({"id2label": {"10": "k", "2": "c", "0": "a"}}))
    assert _labels(tmp_path / "config.json", recipe) == ["a", "c", "k"]
    (tmp_path / "config.json").write_text("{}")
    assert _labels(tmp_path / "config.json", recipe) is None


# ---------------------------------------------------------------------------------------------- the published ones

WORDS = ["the end of the list is not the end of the world", "a list of the words in the world"] * 20
BERT = {"pad": "[PAD]", "unknown": "[UNK]", "begin": "[CLS]", "end": "[SEP]", "mask": "[MASK]"}
T5 = {"pad": "<pad>", "end": "</s>", "unknown": "<unk>", "sentinels": 100}


def published(place: Path, oracle: Any, config: Any, tokenizer: str, special: dict[str, Any]) -> tuple[Any, Any]:
    """A published folder of a random model with weights that say something, and a tokenizer made for it."""
    import torch

    from attndsl.data.tokenizers import SpecialTokens, TokenizerChoice, make_tokenizer

    made = make_tokenizer(TokenizerChoice.parse(tokenizer, SpecialTokens.of(special)), WORDS)
    torch.manual_seed(0)
    model = oracle(config(made.vocab)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.3)
    model.save_pretrained(place)
    made.save(place)
    return model, made


def opened(spec: str, place: Path) -> Any:
    from attndsl.generation.published import open_published

    return open_published(spec, str(place))


def bert(vocab: int) -> Any:
    from transformers import BertConfig

    return BertConfig(
        vocab_size=vocab, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=24, attn_implementation="eager", id2label={0: "good", 1: "bad", 2: "ugly"},
    )  # fmt: skip


@pytest.mark.oracle
@pytest.mark.torch
def test_hidden_tokens_are_found_as_published(tmp_path):
    import torch
    from transformers import BertForMaskedLM

    from attndsl.generation.predict import predict

    model, tokenizer = published(tmp_path, BertForMaskedLM, bert, "wordpiece:60", BERT)
    ((found,),) = predict(opened("bert", tmp_path), ["the [MASK] of the world"], 5, backend="numpy")
    row = torch.from_numpy(tokenizer.encode("[CLS]the [MASK] of the world[SEP]", special=True))[None]
    with torch.no_grad():
        said = model(input_ids=row).logits[0]
    shares, order = said[row[0] == tokenizer.special["mask"]][0].softmax(-1).topk(5)
    assert [it.name for it in found.choices] == [tokenizer.decode([token]) for token in order.tolist()]
    np.testing.assert_allclose([it.probability for it in found.choices], shares.numpy(), atol=1e-5)


@pytest.mark.oracle
@pytest.mark.torch
def test_pairs_are_classified_and_attended_to_as_published(tmp_path):
    import torch
    from transformers import BertForSequenceClassification

    from attndsl.attention_maps.run import attend
    from attndsl.generation.embed import embed
    from attndsl.generation.predict import predict

    model, tokenizer = published(tmp_path, BertForSequenceClassification, bert, "wordpiece:60", BERT)
    run, pair = opened("bert:classifier", tmp_path), ("the end of the list", "a world")
    row = torch.from_numpy(tokenizer.encode("[CLS]the end of the list[SEP]a world[SEP]", special=True))[None]
    first = int((row[0] == tokenizer.special["end"]).nonzero()[0])
    segment = (torch.arange(row.shape[1]) > first).long()[None]
    with torch.no_grad():
        said = model(input_ids=row, token_type_ids=segment, output_attentions=True, output_hidden_states=True)
    ((found,),) = predict(run, [pair], 3, backend="numpy")
    expected = dict(zip(("good", "bad", "ugly"), said.logits[0].softmax(-1).tolist(), strict=True))
    assert {it.name: it.probability for it in found.choices} == pytest.approx(expected, abs=1e-5)
    (group,) = attend(run, pair, backend="numpy").groups
    for layer, weights in zip(group.layers, said.attentions, strict=True):
        np.testing.assert_allclose(layer.weights, weights[0].numpy(), atol=1e-5)
    vectors = embed(run, [pair, ("a", "the list of words")], backend="numpy")
    np.testing.assert_allclose(vectors[0], said.hidden_states[-1][0].mean(0).numpy(), atol=1e-4)


@pytest.mark.oracle
@pytest.mark.torch
@pytest.mark.parametrize("beams", [1, 3])
def test_spans_are_filled_in_as_published(tmp_path, beams):
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    from attndsl.decoding.sequences import Beam
    from attndsl.generation.respond import respond

    def config(vocab: int) -> Any:
        return T5Config(
            vocab_size=vocab, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0
        )

    model, tokenizer = published(tmp_path, T5ForConditionalGeneration, config, "unigram:160", T5)
    sources = ["the <extra_id_0> of the world", "a list of <extra_id_0>"]
    run = opened("t5", tmp_path)
    answers = respond(run, sources, 6, beam=Beam(beams, 0), backend="numpy")
    assert respond(run, sources, 6, backend="numpy") == answers or beams > 1
    for source, answer in zip(sources, answers, strict=True):
        row = torch.from_numpy(tokenizer.encode(source + "</s>", special=True))[None]
        theirs = model.generate(
            input_ids=row, num_beams=beams, do_sample=False, max_new_tokens=6,
            **({"length_penalty": 0.0, "early_stopping": "never"} if beams > 1 else {}),
        )[0, 1:].tolist()  # fmt: skip
        said = theirs[: theirs.index(1)] if 1 in theirs else theirs
        assert answer == tokenizer.decode([token for token in said if token > 2]).strip()


def test_a_special_token_that_the_folder_lacks_has_a_way_out(attndsl):
    """`--set special.…` is for training; here only a spec of one's own can name another token."""
    shutil.copytree("hub", "bare", dirs_exist_ok=True)
    spec = attndsl("show", "gpt2").out.replace('  tokenizer = file("tokenizer.json")', "  tokenizer = bytes")
    assert "train GPT2 {" in spec
    Path("mine.attn").write_text(spec.replace("train GPT2 {", 'train GPT2 {\n  special = tokens(end="<finis>")', 1))
    done = attndsl("generate", "mine.attn", "--weights", "bare", "--prompt", "x")
    assert (done.code, "error[E0717]" in done.err) == (1, True)
    assert "--set" not in done.err
    assert "a spec of your own" in done.err
