"""What an export has beside the weights: the run's special tokens, its tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Runs = Callable[..., Path]
KINDS = Path(__file__).resolve().parents[1] / "generation" / "kinds.attn"
FILES = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
SMALL = ("--set", "batch=4", "--set", "width=16", "--set", "hidden=16", "--set", "head=4", "--backend", "numpy")


@pytest.fixture
def dates(attndsl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """`dates("run", …)` is a run of `t5:nano` that was trained for two steps."""
    monkeypatch.chdir(tmp_path)
    rows = [{"source": f"{day} of May", "target": f"05-{day}"} for day in range(10, 99)]
    (tmp_path / "dates.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def train(out: str, *more: str) -> Path:
        done = attndsl("train", "t5:nano", "--data", "dates.jsonl", "--out", out, "--steps", "2", *SMALL, *more)
        assert done.code == 0, done.err
        return tmp_path / out

    return train


def test_an_export_has_the_runs_special_tokens(attndsl: Any, dates: Runs) -> None:
    from attndsl.generation import load_run

    run = dates("run")
    assert attndsl("export", "run", "--to", "huggingface", "hf").code == 0
    config = json.loads(Path("hf/config.json").read_text(encoding="utf-8"))
    tokenizer = load_run(run).tokenizer
    assert tokenizer is not None
    special = tokenizer.special
    assert special["pad"] != 0  # what `transformers` would take
    assert config["pad_token_id"] == config["decoder_start_token_id"] == special["pad"]
    assert config["eos_token_id"] == special["end"]
    assert sorted(path.name for path in Path("hf").iterdir()) == FILES


@pytest.mark.skipif(not __import__("importlib.util").util.find_spec("tokenizers"), reason="tokenizers is not installed")
def test_an_export_has_the_runs_tokenizer(attndsl: Any, dates: Runs) -> None:
    run = dates("run", "--set", "tokenizer=bpe:270")
    for _ in range(2):  # an earlier export is replaced, its tokenizer with it
        assert attndsl("export", "run", "--to", "huggingface", "hf").code == 0
        assert Path("hf/tokenizer.json").read_bytes() == (run / "tokenizer.json").read_bytes()
    assert sorted(path.name for path in Path("hf").iterdir()) == FILES
    Path("hf/README.md").write_text("mine", encoding="utf-8")
    assert "error[E0612]" in attndsl("export", "run", "--to", "huggingface", "hf").err


@pytest.mark.oracle
@pytest.mark.torch
def test_an_exported_run_starts_with_its_own_token(attndsl: Any, dates: Runs) -> None:
    import torch
    from transformers import AutoModelForSeq2SeqLM

    from attndsl.generation import load_run
    from attndsl.generation.respond import respond

    run = load_run(dates("run"))
    assert run.tokenizer is not None
    assert attndsl("export", "run", "--to", "huggingface", "hf").code == 0
    model = AutoModelForSeq2SeqLM.from_pretrained("hf")
    row = [*run.tokenizer.encode("12 of May").tolist(), run.tokenizer.special["end"]]
    found = model.generate(input_ids=torch.tensor([row]), max_new_tokens=6, do_sample=False)[0].tolist()
    assert found[0] == run.tokenizer.special["start"]
    end = run.tokenizer.special["end"]
    said = found[1 : found.index(end)] if end in found else found[1:]
    (ours,) = respond(run, ["12 of May"], 6, backend="numpy")
    assert ours == run.tokenizer.decode(said, skip_special=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--to", "huggingface", "--shard-size", "big"), "`big` is not a size: 500MB and 2GB are"),
        (("--to", "huggingface", "--shard-size", "0GB"), "`0GB` is not a size"),
        (("--to", "huggingface", "--shard-size", "9" * 400), "is not a size"),
        (("--to", "onnx", "--shard-size", "2GB"), "`--shard-size` is for `--to huggingface` and `--to safetensors`"),
    ],
)
def test_shard_sizes_that_make_no_sense(attndsl: Any, words: tuple[str, ...], said: str) -> None:
    done = attndsl("export", "run", "out", *words)
    assert done.code != 0
    assert said in done.err


@pytest.mark.oracle
@pytest.mark.torch
@pytest.mark.parametrize("tokenizer", ["bytes", "bpe:270"])
def test_an_exported_run_of_gpt_nano_writes_what_the_run_writes(
    attndsl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: str
) -> None:
    """Text in, text out: by the folder's own tokenizer, whatever it was in the run."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.chdir(tmp_path)
    Path("book.txt").write_text("What is löng may be said in short words. " * 99, encoding="utf-8")
    sizes = [
        word for name in ("depth=1", "heads=2", "context=64", f"tokenizer={tokenizer}") for word in ("--set", name)
    ]
    done = attndsl(
        "train", "gpt_nano", "--data", "book.txt", "--out", "run", "--steps", "2", *sizes, *SMALL[:4], *SMALL[-2:]
    )
    assert done.code == 0, done.err
    assert attndsl("export", "run", "--to", "huggingface", "hf", "--shard-size", "10KB").code == 0
    assert len(list(Path("hf").glob("model-*.safetensors"))) > 2
    assert attndsl("export", "run", "--to", "safetensors", "own", "--shard-size", "10KB").code == 0
    assert attndsl("compare", "gpt_nano", "--weights", "own").code == 0
    model, reader = AutoModelForCausalLM.from_pretrained("hf"), AutoTokenizer.from_pretrained("hf")
    prompt = "löng words"
    row = torch.tensor([reader(prompt)["input_ids"]])
    written = model.generate(row, max_new_tokens=8, do_sample=False, attention_mask=torch.ones_like(row))[0]
    ours = attndsl("generate", "run", "--prompt", prompt, "--tokens", 8, "--temperature", 0, "--backend", "numpy")
    assert ours.out.strip("\n") == reader.decode(written.tolist()).strip("\n")


def test_training_with_masks_ends_with_how_to_fill_one(
    attndsl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("book.txt").write_text("What is long may be said in short words. " * 99, encoding="utf-8")
    argv = ("train", f"{KINDS}:Masked", "--data", "book.txt", "--out", "run", "--backend", "numpy")
    done = attndsl(*argv, "--set", "special.mask=<hidden>")
    assert done.code == 0, done.err
    assert 'attndsl predict run --text "… <hidden> …"' in done.out
