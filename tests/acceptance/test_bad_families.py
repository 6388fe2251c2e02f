"""What is given to models of texts and pictures and does not fit: a message with a way out, and no new file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attndsl.cli import main
from tests.acceptance.conftest import assert_told, everything

SMALL = ("--set", "depth=1", "--set", "width=16", "--set", "heads=2")
QUICK = ("--backend", "numpy", "--steps", "1", "--set", "batch=4", "--set", "evaluate_batches=1")
TEXTS = ("train", "bert:nano-classifier", *SMALL, "--set", "tokenizer=wordpiece:300", *QUICK)
PICTURES = ("train", "vit:nano", *SMALL, *QUICK)


def pictures(path: Path, channels: int, side: int) -> None:
    rng = np.random.default_rng(0)
    np.savez(path, image=rng.random((24, channels, side, side), np.float32), label=rng.integers(0, 3, 24))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`texts.tsv`, `digits.npz`, and a run on each: `classes` and `vit`."""
    folder = tmp_path_factory.mktemp("families")
    (folder / "texts.tsv").write_text(
        "text\tlabel\n" + "".join(f"this is text {i} of many\t{'xy'[i % 2]}\n" for i in range(60))
    )
    pictures(folder / "digits.npz", 1, 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*TEXTS, "--data", "texts.tsv", "--out", "classes"]) == 0
        assert main([*PICTURES, "--data", "digits.npz", "--out", "vit"]) == 0
    return folder


@pytest.fixture
def refused(attndsl: Callable, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`refused((…the command…), "E0711", "what is said")`: it fails, says that, and leaves nothing behind."""

    def check(command: tuple[object, ...], *said: str) -> None:
        monkeypatch.chdir(trained)
        before = everything(trained)
        done = attndsl(*command)
        assert done.code == 1
        assert_told(done.err, *said)
        assert everything(trained) == before

    return check


NEW = ("--out", "new")


@pytest.mark.parametrize(
    ("channels", "side", "said", "differs"),
    [(1, 9, "9 × 9 with 1 channel", "patch"), (3, 8, "8 × 8 with 3 channels", "channels")],
)
def test_pictures_of_another_size_or_mode(
    refused: Callable, trained: Path, channels: int, side: int, said: str, differs: str
) -> None:
    pictures(trained / "others.npz", channels, side)
    change = f"make the model for that size: `--set {differs}=…`"
    refused((*PICTURES, "--data", "others.npz", *NEW), "E0756", said, change, "or convert the pictures")
    refused(("predict", "vit", "--image", "others.npz"), "E0756", said)


def test_pictures_that_differ_among_themselves(refused: Callable, trained: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for name, mode, side in (("a", "L", 8), ("b", "L", 8), ("c", "RGB", 8)):
        (trained / "folder" / name).mkdir(parents=True, exist_ok=True)
        for number in range(3):
            image.new(mode, (side, side)).save(trained / "folder" / name / f"{number}.png")
    refused((*PICTURES, "--data", "folder", *NEW), "E0715", "8×8 RGB", "8×8 L", "bring them to one first")


def test_a_label_outside_the_set(refused: Callable) -> None:
    refused(
        (*PICTURES, "--data", "digits.npz", "--set", "labels=2", *NEW), "E0757", "3 classes", "leave `--set labels=…`"
    )


def test_a_column_that_does_not_exist(refused: Callable) -> None:
    refused(
        (*TEXTS, "--data", "texts.tsv", "--set", "batches.text=txt", *NEW),
        "E0711", "no column `txt`", "did you mean `text`",
    )  # fmt: skip


def test_a_line_that_is_not_json(refused: Callable, trained: Path) -> None:
    (trained / "bad.jsonl").write_text('{"text": "a", "label": "x"}\n{"text": oops}\n')
    refused((*TEXTS, "--data", "bad.jsonl", *NEW), "E0712", "bad.jsonl:2 is not JSON", '{"text": oops}')


def test_a_text_longer_than_the_model_takes(refused: Callable) -> None:
    refused(("predict", "classes", "--text", "word " * 300), "E0752", "302 tokens", "BERT takes 128", "shorten it")


def test_an_unknown_special_token(refused: Callable) -> None:
    own = ("train", "bert:nano-classifier", *SMALL, *QUICK, "--data", "texts.tsv", *NEW)
    refused((*own, "--set", 'special=tokens(bos="x")'), "E0720", "no special token `bos`", "begin")
    refused(
        (*own, "--set", "tokenizer=classes/tokenizer.json", "--set", "special.mask=[MASKED]"),
        "E0717", "[MASKED]", "[MASK]",
    )  # fmt: skip


def test_a_checkpoint_of_another_family(refused: Callable) -> None:
    refused(
        ("run", "vit:nano", "--weights", "classes"), "E0609", "another model than", "`BERT`", "bert:nano-classifier"
    )
    refused(
        (*TEXTS, "--data", "texts.tsv", "--weights", "vit", *NEW),
        "E0609",
        "`ViT`, not `BERT`",
        "published weights",
    )


@pytest.mark.torch
@pytest.mark.oracle
def test_a_head_that_the_weights_lack(refused: Callable, trained: Path) -> None:
    import transformers

    config = transformers.BertConfig(
        num_hidden_layers=1, hidden_size=16, num_attention_heads=2, vocab_size=300, intermediate_size=64
    )
    transformers.BertModel(config).save_pretrained(trained / "body")
    refused(
        ("run", "bert:classifier", "--weights", "body"),
        "E0605", "no `classifier`", "the layer is made here", "train it on top of them",
    )  # fmt: skip
    refused(("run", "vit", "--weights", "body"), "E0614", "for another kind of model", "'bert'")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("generate", "classes", "--prompt", "x"), "attndsl predict classes"),
        (("generate", "vit"), "attndsl predict vit"),
        (("predict", "vit", "--text", "x"), "pictures, not texts"),
    ],
)
def test_a_verb_that_does_not_fit(refused: Callable, command: tuple[str, ...], said: str) -> None:
    refused(command, said)
