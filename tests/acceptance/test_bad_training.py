"""What clumsy users give to `train`, `generate` and `export`: a message, no folder where none was, no run spoilt."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from attndsl.runs.log import read_log
from tests.acceptance.conftest import RECIPE, SMALL, TRAIN, assert_told, everything
from tests.terminal import as_in_a_terminal

Refused = Callable[..., str]
NEW = ("--out", "new", "--steps", "2")

# ---------------------------------------------------------------- text


def _folder(path: Path, name: str = "", data: bytes = b"") -> None:
    path.mkdir()
    if name:
        (path / name).write_bytes(data)


DATA: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "missing": (lambda p: None, "E0701", "there is no file or folder `text`"),
    "empty": (lambda p: p.write_bytes(b""), "E0702", "there is no text in `text`"),
    "an empty folder": (_folder, "E0702", "there is no text in `text`"),
    "a folder of pictures": (lambda p: _folder(p, "a.png", bytes(range(256))), "E0702", "there is no text in `text`"),
    "too short": (lambda p: p.write_bytes(b"hi"), "E0704", "a window takes 17"),
    "one token too short": (lambda p: p.write_bytes(b"x" * 16), "E0704", "is too short"),
    "binary": (lambda p: p.write_bytes(bytes(range(256)) * 50), "E0703", "is not a text file"),
    "zeros": (lambda p: p.write_bytes(b"\0" * 3000), "E0703", "is not a text file"),
    "Latin-1": (lambda p: p.write_bytes("größer als\n".encode("latin-1") * 100), "E0703", "near byte 2"),
    "UTF-16": (lambda p: p.write_bytes("hello\n".encode("utf-16") * 200), "E0703", "`text` is not"),
}


@pytest.mark.parametrize("name", DATA)
def test_text_that_is_none(refused: Refused, place: Path, name: str) -> None:
    write, code, said = DATA[name]
    write(place / "text")
    refused((*TRAIN, "--data", "text", *NEW), code, said)


def test_one_bad_file_among_good_ones(refused: Refused, place: Path) -> None:
    (place / "bad.txt").write_bytes(bytes(range(256)))
    refused((*TRAIN, "--data", "song.txt", "bad.txt", *NEW), "E0703", "`bad.txt`")
    refused((*TRAIN, "--data", "song.txt", "gone.txt", *NEW), "E0701", "`gone.txt`")
    refused((*TRAIN, "--data", "*.nothing", *NEW), "E0701", "no file matches `*.nothing`")


def test_options_that_numpy_has_not(refused: Refused) -> None:
    refused(
        (*TRAIN, "--data", "song.txt", *NEW, "--compile"), "E0811", "does not compile", "a backend that can: `torch`"
    )
    refused((*TRAIN, "--data", "song.txt", *NEW, "--device", "cuda"), "E0811", "no device `cuda`")
    refused(("generate", "run", "--device", "cuda"), "E0811", "the NumPy backend has no device `cuda`")


# ---------------------------------------------------------------- recipes


@pytest.mark.parametrize(
    ("setting", "code", "said"),
    [
        ("bach=3", "E0720", "did you mean `batch`?"),
        ("lr=abc", "E0721", "`lr` is a number"),
        ("lr=-1", "E0721", "at least 0"),
        ("lr=nan", "E0721", "`lr` cannot be `nan`"),
        ("accumulate=0", "E0721", "a whole number from 1"),
        ("length=0", "E0721", "`length` is a whole number from 1"),
        ("precision=int8", "E0721", "one of float32, float64, bfloat16, float16"),
        ("optimizer=adm", "E0720", "did you mean `adam`?"),
        ("schedule=foo", "E0720", "warmup_cosine"),
        ("clip=-1", "E0721", "at least 0"),
        ("betas=(2,3)", "E0721", "from 0 to 1"),
        ("held_out=0.99", "E0721", "from 0 to 0.5"),
        ("seed=-1", "E0721", "`seed` is a whole number"),
        ("minimize=logits", "E0722", "only a single number"),
        ("minimize=nope", "E0722", "no output `nope`"),
        ("batches=foo", "E0720", "next_token"),
        ("length=17", "E0211", "at most `context` (16)"),
        ("vocab=10", "E0709", "the tokenizer has 256 tokens, and `vocab` is 10"),
        ("eps=nan", "E0", "nan"),
    ],
)
def test_a_wrong_recipe(refused: Refused, attndsl: Callable, setting: str, code: str, said: str) -> None:
    argv = (*TRAIN, "--data", "song.txt", *NEW, "--set", setting)
    if len(code) < 5:
        done = attndsl(*argv)
        assert done.code == 1
        assert_told(done.err, said)
    else:
        refused(argv, code, said)


@pytest.mark.parametrize("steps", [("--steps", "0"), ("--set", "steps=0"), ("--set", "steps=-1"), ("--set", "steps=x")])
def test_no_steps(refused: Refused, steps: tuple[str, str]) -> None:
    refused((*TRAIN, "--data", "song.txt", "--out", "new", *steps), "E0721", "`steps` is a whole number from 1")


@pytest.mark.parametrize("tokenizer", ["foo", "bpe:10", "bpe:x", "none.json"])
def test_an_unknown_tokenizer(refused: Refused, tokenizer: str) -> None:
    argv = ("train", "gpt2", *SMALL, "--set", f"tokenizer={tokenizer}", "--backend", "numpy", "--data", "song.txt")
    refused((*argv, *NEW), "E0706", tokenizer, "bpe:1024")


def test_a_model_that_text_cannot_fill(refused: Refused) -> None:
    refused(("train", "tiny.attn", "--backend", "numpy", "--data", "song.txt", *NEW), "E0722", "its inputs: x")


def test_options_that_make_no_sense_together(refused: Refused) -> None:
    refused(("train",), 2, "give a SPEC to train")
    refused(("train", "gpt2"), 2, "`--data` is missing")
    refused(("train", "gpt2", "--resume", "run"), 2, "--resume RUN")
    refused(("train", "--resume", "run", "--out", "new"), 2, "leave `--out` out")
    refused((*TRAIN, "--data", "song.txt", "--steps", "3", "--set", "steps=2"), 2, "contradict each other")


# ---------------------------------------------------------------- folders


def test_a_run_is_never_written_over(refused: Refused, place: Path) -> None:
    refused((*TRAIN, "--data", "song.txt", "--out", "run"), "E0731", "attndsl train --resume run")
    refused((*TRAIN, "--data", "song.txt", "--out", "hf"), "E0731", "is not empty")
    refused((*TRAIN, "--data", "song.txt", "--out", "song.txt"), "E0731", "is a file")


def test_a_place_where_no_run_can_be(refused: Refused) -> None:
    refused((*TRAIN, "--data", "song.txt", "--out", "/proc/no/run"), "E0705", "cannot write")
    refused((*TRAIN, "--data", "song.txt", "--out", "song.txt/run"), "E0705", "cannot write")


@pytest.mark.parametrize("folder", ["nowhere", "hf", "song.txt", "."])
def test_what_is_no_run(refused: Refused, folder: str) -> None:
    for argv in (("train", "--resume", folder), ("generate", folder), ("export", folder, "--to", "huggingface", "out")):
        refused(argv, "E0732", f"`{folder}` is not a training run", "attndsl train SPEC --data PATH --out RUN")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}'])
def test_a_damaged_record(refused: Refused, place: Path, text: str) -> None:
    (place / "run" / "run.json").write_text(text)
    for argv in (("train", "--resume", "run"), ("generate", "run"), ("run", "gpt2", "--weights", "run")):
        refused(argv, "E0732", "run")


def test_what_a_run_cannot_change(refused: Refused) -> None:
    refused(("train", "--resume", "run", "--set", "width=32"), "E0734", "`width`")
    refused(("train", "--resume", "run", "--set", "tokenizer=chars"), "E0734", "`tokenizer`")
    refused(("train", "--resume", "run", "--set", "wdith=32"), "E0402", "did you mean `width`?")


def test_an_export_overwrites_nothing_else(refused: Refused, place: Path) -> None:
    refused(("export", "run", "--to", "huggingface", "song.txt"), "E0612", "is a file", bare=True)
    refused(("export", "run", "--to", "huggingface", "."), "E0612", "is not empty", "--force")
    refused(("export", "run", "--to", "safetensors", "no/such/x"), "E0883", "mkdir -p no/such")
    refused(("export", "run", "--to", "safetensors", "hf"), "E0883", "it is a folder")


# ---------------------------------------------------------------- losses that are not numbers


@pytest.mark.parametrize(
    ("backend", "settings"),
    [
        ("numpy", ("lr=1e30", "clip=0")),
        ("numpy", ("lr=1e6",)),
        pytest.param("torch", ("lr=1e6",), marks=pytest.mark.torch),
        pytest.param("torch", ("lr=1e4", "clip=0", "precision=float16"), marks=pytest.mark.torch),
        pytest.param("torch", ("lr=1e30", "clip=0", "precision=bfloat16"), marks=pytest.mark.torch),
    ],
)
def test_a_loss_that_becomes_nan_ends_the_run_and_names_the_ways_on(
    attndsl: Callable, place: Path, backend: str, settings: tuple[str, ...]
) -> None:
    argv = ("train", "gpt2", *SMALL, *RECIPE, "--backend", backend, "--device", "cpu", "--data", "song.txt")
    done = attndsl(*argv, "--out", "new", "--steps", "2", "--set", "checkpoint=10")
    assert done.code == 0, done.err
    flags = [part for setting in settings for part in ("--set", setting)]
    done = attndsl("train", "--resume", "new", "--steps", "9", *flags)
    assert done.code == 1
    assert_told(done.err, "error[E0730]", "at step ", "is `new/checkpoints/step-000002.safetensors`")
    assert "attndsl train --resume new --set lr=" in done.err
    assert ("--set precision=float32" in done.err) == ("16" in settings[-1])
    assert "NaN" not in (place / "new" / "log.jsonl").read_text()
    # The ways that are named work, all together.
    ways = ("--set", "lr=1e-3", "--set", "clip=0.5", "--set", "precision=float32")
    done = attndsl("train", "--resume", "new", "--steps", "9", *ways)
    assert done.code == 0, done.err
    assert [line["step"] for line in read_log(place / "new") if "loss" in line] == list(range(1, 10))


def test_a_checkpoint_that_is_called_good_can_be_gone_on_from(attndsl: Callable, place: Path) -> None:
    """The step that ruins the weights has a fine loss itself: what it leaves behind is not a good checkpoint."""
    argv = (*TRAIN, "--data", "song.txt", "--out", "new", "--set", "clip=0")
    assert attndsl(*argv, "--steps", "2", "--set", "checkpoint=1").code == 0
    done = attndsl("train", "--resume", "new", "--steps", "9", "--set", "lr=1e30")
    assert_told(done.err, "error[E0730]", "the last good checkpoint")
    done = attndsl("train", "--resume", "new", "--steps", "9", "--set", "lr=1e-3")
    assert done.code == 0, done.err


@pytest.mark.parametrize("lr", ["1e39", "1e30"])  # infinite weights, and finite ones that give no loss
def test_weights_that_are_no_numbers_are_not_passed_off_as_trained(attndsl: Callable, place: Path, lr: str) -> None:
    argv = (*TRAIN, "--data", "song.txt", "--out", "new", "--steps", "1", "--set", "held_out=0", "--set", "clip=0")
    done = attndsl(*argv, "--set", f"lr={lr}")
    assert done.code == 1
    assert_told(done.err, "error[E0730]")
    assert not (place / "new" / "weights.safetensors").exists()


# ---------------------------------------------------------------- generating


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("--temperature", "-1"), "E0740", "the temperature cannot be -1"),
        (("--temperature", "nan"), "E0740", "the temperature cannot be nan"),
        (("--temperature", "inf"), "E0740", "the temperature cannot be inf"),
        (("--temperature", "warm"), 2, "is not a number"),
        (("--top-p", "0"), "E0740", "more than 0, at most 1"),
        (("--top-p", "1.5"), "E0740", "more than 0, at most 1"),
        (("--top-p", "nan"), "E0740", "more than 0, at most 1"),
        (("--top-k", "0"), 2, "at least 1"),
        (("--tokens", "-1"), 2, "at least 0"),
        (("--seed", "-1"), 2, "at least 0"),
        (("--prompt", "\udcff"), "E0741", "not valid text"),
    ],
)
def test_what_cannot_be_generated(refused: Refused, argv: tuple[str, str], code: str | int, said: str) -> None:
    refused(("generate", "run", "--tokens", "3", *argv), code, said)


@pytest.mark.parametrize("argv", [("--temperature", "1e-30"), ("--temperature", "1e300"), ("--top-k", "99999")])
def test_extremes_that_can_be(attndsl: Callable, place: Path, argv: tuple[str, str]) -> None:
    done = attndsl("generate", "run", "--prompt", "ab", "--tokens", "3", *argv)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("ab")


def test_a_prompt_longer_than_the_context(attndsl: Callable, place: Path) -> None:
    done = attndsl("generate", "run", "--prompt", "x" * 40, "--tokens", "4", "--temperature", "0")
    assert done.code == 0
    assert done.out.startswith("x" * 40)
    assert "note: the prompt has 40 tokens, and the model sees 16: only its last 16 are used" in done.err
    short = attndsl("generate", "run", "--prompt", "x" * 16, "--tokens", "4", "--temperature", "0")
    assert done.out.removeprefix("x" * 24) == short.out


@pytest.mark.parametrize(("data", "code"), [(b"", 0), (b"\n", 0), (b"\xff\xfe\0", 1)])
def test_a_prompt_from_stdin(
    attndsl: Callable, place: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, code: int
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
    done = attndsl("generate", "run", "--prompt", "-", "--tokens", "3")
    assert done.code == code
    assert_told(done.err, *(["error[E0741]"] if code else []), bare=not code)


# ---------------------------------------------------------------- interruptions


PATIENCE = 120.0  # seconds for what a busy machine does in a few
COMMAND = "import sys; from attndsl.cli import main; print('begins', flush=True); sys.exit(main(sys.argv[1:]))"


def _process(*argv: str) -> subprocess.Popen[str]:
    """The command, which has begun: while Python itself begins, it ends in ways of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    child = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=as_in_a_terminal,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "begins\n"
    return child


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_to_go_on_and_goes_on(attndsl: Callable, place: Path, number: int) -> None:
    child = _process(*TRAIN, "--data", "song.txt", "--out", "new", "--steps", "100000")
    log = place / "new" / "log.jsonl"
    deadline = time.monotonic() + PATIENCE
    while not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(number)
    out, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 130, err
    assert "to resume: attndsl train --resume new" in out
    assert "Traceback" not in err
    assert not (place / "new" / "weights.safetensors").exists()
    step = read_log(place / "new")[-1]["step"]
    done = attndsl("train", "--resume", "new", "--steps", step + 2)
    assert done.code == 0, done.err
    assert [line["step"] for line in read_log(place / "new") if "loss" in line] == list(range(1, step + 3))
    assert (place / "new" / "weights.safetensors").is_file()


def interrupted(child: subprocess.Popen[str]) -> tuple[str, str]:
    """What it says. Python may lose an interruption between two imports."""
    for _ in range(5):
        child.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.communicate(timeout=PATIENCE / 5)
    raise AssertionError("it goes on")


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_an_interruption_before_the_first_step_leaves_no_run(place: Path) -> None:
    before = everything(place)
    child = _process(*TRAIN, "--data", "song.txt", "--out", "new", "--steps", "100000")
    time.sleep(0.12)
    try:
        out, err = interrupted(child)
    finally:
        child.kill()
    assert child.returncode in (130, -signal.SIGINT)
    assert "bug in attndsl" not in err
    if "to resume" not in out:
        assert everything(place) == before


def test_a_reader_that_leaves_early(place: Path) -> None:
    command = f"{sys.executable} -m attndsl generate run --tokens 4000 | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert done.returncode in (0, 141)
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


def test_a_log_is_json_lines(place: Path) -> None:
    lines = [json.loads(line) for line in (place / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2]
