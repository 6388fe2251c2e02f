"""What clumsy and hostile users give to the commands that read specs and run models: each is told what is wrong and
what to do, nothing is computed for long, and no file is touched."""

from __future__ import annotations

import importlib.util
import json
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.acceptance.conftest import RUN, SMALL
from tests.costs import less_than

Refused = Callable[..., str]

# ---------------------------------------------------------------- specs and settings

ON_A_SPEC = {
    "check": (), "inspect": (), "compile": (), "show": (), "run": ("-o", "out.npz"), "compare": (),
    "render": ("-o", "out.svg"), "train": ("--data", "song.txt", "--out", "new"),
}  # fmt: skip
SETTABLE = [verb for verb in ON_A_SPEC if verb != "show"]
SIZED = ("inspect", "run", "compare", "render")


@pytest.mark.parametrize("verb", ON_A_SPEC)
def test_a_missing_spec(refused: Refused, verb: str) -> None:
    refused((verb, "gtp2", *ON_A_SPEC[verb]), "E0501", "did you mean `gpt2`?")
    refused((verb, "no/such.attn", *ON_A_SPEC[verb]), "E0001", "there is no file `no/such.attn`", "no folder `no`")
    refused((verb, "tinny.attn", *ON_A_SPEC[verb]), "E0001", "did you mean `tiny.attn`?")
    refused((verb, "other.attn", *ON_A_SPEC[verb]), "E0001", "there are `tiny.attn`")


@pytest.mark.parametrize("verb", SETTABLE)
def test_an_unknown_variant(refused: Refused, verb: str) -> None:
    refused((verb, "gpt2:hug", *ON_A_SPEC[verb]), "E0502", "small, medium, large, xl")


@pytest.mark.parametrize("verb", SETTABLE)
@pytest.mark.parametrize(
    ("setting", "code", "said"),
    [
        ("width=1.5", "E0401", "`width` is a whole number"),
        ("p=true", "E0401", "`p` is a number"),
        ("wdith=3", "E0402", "did you mean `width`?"),
        ("width=(1", "E0403", "`width=(1` cannot be read"),
        ("width=abc", "E0101", "\n 1 | width=abc\n"),
        ("width=heads*64", "E0101", "give a whole number: `--set width=768`"),
        ("width=0", "E0209", "another value than `--set width=0`"),
        ("depth=99999999999999999999", "E0403", "too large"),
        ("heads=5", "E0212", "not divisible by `heads` (5)"),
        ("width=-1", "E0209", "another value than `--set width=-1`"),
        ("p=2", "E0403", "another value than `--set p=2`"),
    ],
)
def test_a_wrong_setting(refused: Refused, verb: str, setting: str, code: str, said: str) -> None:
    refused((verb, "gpt2", "--set", setting, *ON_A_SPEC[verb]), code, said)


def test_a_name_that_no_setting_has_is_told_without_what_is_round_it(refused: Refused) -> None:
    err = refused(("check", "gpt2", "--set", "width=abc"), "E0101", "--> --set:1:7", "width=768")
    assert "variant" not in err
    assert "abs" not in err


@pytest.mark.parametrize(
    "argv",
    [
        ("check", ""), ("check", "gpt2", ""), ("inspect", ""), ("compile", ""), ("show", ""), ("run", ""),
        ("run", "gpt2", "-o", ""), ("run", "gpt2", "--weights", ""), ("run", "gpt2", "--inputs", ""),
        ("run", "gpt2", "--weights="), ("compare", "gpt2", "--weights", ""), ("compare", "gpt2", "--inputs", ""),
        ("compile", "gpt2", "-o", ""), ("render", "gpt2", "-o", ""), ("generate", ""), ("train", "--resume", ""),
        ("train", "", "--data", "song.txt"), ("train", "gpt2", "--data", ""),
        ("train", "gpt2", "--data", "song.txt", "--out", ""), ("export", "", "--to", "safetensors", "x"),
        ("export", "run", "--to", "safetensors", ""), ("export", "run", "--to", "huggingface", ""),
    ],
)  # fmt: skip
def test_an_empty_path(refused: Refused, argv: tuple[str, ...]) -> None:
    refused(argv, 2, "the path is empty")


@pytest.mark.parametrize("argv", [("--set", "width"), ("--set", "width="), ("--set", "=3"), ("--set",)])
def test_a_setting_that_is_none(refused: Refused, argv: tuple[str, ...]) -> None:
    refused(("check", "gpt2", *argv), 2, "--set")


def test_a_setting_given_twice(refused: Refused) -> None:
    refused(("check", "gpt2", "--set", "depth=1", "--set", "depth=2"), 2, "given twice: 1 and 2")


@pytest.mark.parametrize("verb", SIZED)
@pytest.mark.parametrize("size", ["B", "B=", "=3", "B=-1", "B=1.5", "B=x", "B=1,,T=2", "T=٣", "T=1e3", ""])
def test_a_size_that_is_none(refused: Refused, verb: str, size: str) -> None:
    refused((verb, "gpt2", "--size", size, *ON_A_SPEC[verb]), 2, "write sizes as whole numbers")


@pytest.mark.parametrize("verb", SIZED)
@pytest.mark.parametrize(
    ("size", "said"), [("Q=3", "`Q`"), ("width=3", "--set width=3"), ("T=2000", "at most `context`")]
)
def test_a_size_that_the_spec_does_not_have(refused: Refused, verb: str, size: str, said: str) -> None:
    argv = (verb, "gpt2", "--size", size, *ON_A_SPEC[verb])
    refused(argv, "E0211" if size == "T=2000" else "E0803", said)


@pytest.mark.parametrize("verb", SIZED)
@pytest.mark.parametrize("argv", [("--size", "B=1,B=2"), ("--size", "B=1", "--size", "B=2")])
def test_a_size_given_twice(refused: Refused, verb: str, argv: tuple[str, ...]) -> None:
    refused((verb, "gpt2", *argv, *ON_A_SPEC[verb]), 2, "`--size B` is given twice: 1 and 2")


# ---------------------------------------------------------------- too large

HUGE = ("--set", "depth=1000000000")


NARROW = ("--set", "depth=100000000", "--set", "width=1", "--set", "heads=1", "--set", "vocab=2")
"""Few numbers, which most memories hold, in a billion tensors, which none does."""


def test_a_billion_layers_are_counted_and_shown(attndsl: Callable) -> None:
    done = attndsl("check", "gpt2", *HUGE)
    assert (done.code, done.err) == (0, "")
    assert "7,087,872,039,385,344 parameters" in done.out
    done = attndsl("inspect", "gpt2", *HUGE)
    assert done.code == 0
    assert "25.2 PiB" in done.out


@pytest.mark.parametrize(
    "argv",
    [
        ("run", "gpt2", *HUGE, "--backend", "numpy"),
        ("run", "gpt2", *HUGE, "--backend", "numpy", "--weights", "nameless.safetensors"),
        ("run", "gpt2", *NARROW, "--backend", "numpy"),
        ("train", "gpt2", *NARROW, "--backend", "numpy", "--data", "song.txt", "--out", "new"),
        ("train", "gpt2", *HUGE, "--backend", "numpy", "--data", "song.txt", "--out", "new"),
        ("train", "gpt3:175b", "--backend", "numpy", "--data", "song.txt", "--out", "new"),
        ("compare", "gpt2", *HUGE, "--against", "passes"),
        pytest.param(("run", "gpt2", *HUGE, "--backend", "torch"), marks=pytest.mark.torch),
        pytest.param(("compare", "gpt2", *HUGE), marks=pytest.mark.torch),
    ],
)
def test_what_no_memory_holds_is_refused_with_its_size_at_once(
    refused: Refused, place: Path, argv: tuple[str, ...]
) -> None:
    save_file(load_file("good.safetensors"), place / "nameless.safetensors")  # which does not say its own depth
    if importlib.util.find_spec("torch"):
        import torch  # noqa: F401 — what that takes is not part of it
    with less_than(5):
        refused(argv, "E0806", " GiB, and this machine has ")


@pytest.mark.parametrize("stage", ["graph", "optimized", "python", "dot"])
def test_a_billion_layers_compile(attndsl: Callable, place: Path, stage: str) -> None:
    attndsl("compile", "gpt_nano", "--emit", stage, "-o", "first.txt")  # what is loaded for it is not part of it
    with less_than(5):
        assert attndsl("compile", "gpt2", *HUGE, "--emit", stage, "-o", "out.txt").code == 0
    assert (place / "out.txt").stat().st_size < 200_000


# ---------------------------------------------------------------- arrays

TOKENS = np.zeros((1, 4), int)
ARRAYS: dict[str, tuple[dict[str, np.ndarray], str, str]] = {
    "missing": ({}, "E0803", "the input `tokens` is missing"),
    "misspelt": ({"token": TOKENS}, "E0803", "did you mean `tokens`?"),
    "unknown": ({"tokens": TOKENS, "extra": TOKENS}, "E0803", "there is no input `extra`"),
    "one axis": ({"tokens": TOKENS[0]}, "E0802", "`tokens` has 1 axes"),
    "three axes": ({"tokens": TOKENS[None]}, "E0802", "its shape is [1, 1, 4]"),
    "floats": ({"tokens": TOKENS.astype(float)}, "E0802", "holds float64"),
    "booleans": ({"tokens": TOKENS.astype(bool)}, "E0802", "holds bool"),
    "text": ({"tokens": np.array([["a", "b"]])}, "E0802", "holds <U1"),
    "complex": ({"tokens": TOKENS.astype(complex)}, "E0802", "holds complex128"),
    "dates": ({"tokens": TOKENS.astype("datetime64[s]")}, "E0802", "holds datetime64[s]"),
    "records": ({"tokens": np.zeros((1, 4), [("a", int)])}, "E0802", "`tokens` holds"),
    "objects": ({"tokens": np.array([[1, None]], object)}, "E0882", "would run code from the file"),
    "a token too large": ({"tokens": TOKENS + 256}, "E0801", "`tokens[0, 0]` is 256, and it must be < `vocab` (256)"),
    "a negative token": ({"tokens": TOKENS - 1}, "E0801", "`tokens[0, 0]` is -1"),
    "unsigned beyond int64": ({"tokens": np.full((1, 4), 2**63, np.uint64)}, "E0801", "is 9223372036854775808"),
    "the least integer": ({"tokens": np.full((1, 4), -(2**63))}, "E0801", "is -9223372036854775808"),
    "longer than the context": ({"tokens": np.zeros((1, 17), int)}, "E0211", "`T` (17) must be at most `context` (16)"),
    "another batch": ({"tokens": TOKENS, "targets": np.zeros((2, 4), int)}, "E0802", "B = 1, from the input `tokens`"),
    "another length": ({"tokens": TOKENS, "targets": np.zeros((1, 5), int)}, "E0802", "T = 4, from the input `tokens`"),
    "a target below": ({"tokens": TOKENS, "targets": TOKENS - 101}, "E0801", "`targets[0, 0]` is -101"),
    "a target above": ({"tokens": TOKENS, "targets": TOKENS + 256}, "E0801", "`targets[0, 0]` is 256"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_wrong_arrays(refused: Refused, place: Path, name: str) -> None:
    arrays, code, said = ARRAYS[name]
    np.savez(place / "in.npz", **arrays)
    refused((*RUN, "--inputs", "in.npz", "-o", "out.npz"), code, said)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["a token too large", "a negative token", "longer than the context", "floats"])
def test_wrong_arrays_are_wrong_on_pytorch_too(refused: Refused, place: Path, name: str) -> None:
    arrays, code, said = ARRAYS[name]
    np.savez(place / "in.npz", **arrays)
    refused((*RUN[:-1], "torch", "--inputs", "in.npz", "-o", "out.npz"), code, said)


@pytest.mark.parametrize("dtype", ["uint8", "int16", ">i4", "uint64"])
def test_every_kind_of_integer_will_do(attndsl: Callable, place: Path, dtype: str) -> None:
    found = []
    for kind in ("int64", dtype):
        np.savez(place / "in.npz", tokens=np.array([[1, 2, 3]]).astype(kind))
        assert attndsl(*RUN, "--inputs", "in.npz", "-o", "out.npz").code == 0
        with np.load("out.npz") as arrays:
            found.append(arrays["logits"])
    np.testing.assert_array_equal(*found)


def _archive(path: Path, member: bytes, *, flags: int = 0, method: int | None = None) -> None:
    """A zip archive with `tokens.npy`, whose flags and method are then overwritten in both of their places."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tokens.npy", member)
    data = bytearray(path.read_bytes())
    for start, at in ((data.find(b"PK\x03\x04"), 6), (data.find(b"PK\x01\x02"), 8)):
        data[start + at] |= flags
        if method is not None:
            data[start + at + 2] = method
    path.write_bytes(data)


def _npy(shape: str) -> bytes:
    header = f"{{'descr': '<i8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


def _corrupt(path: Path) -> None:
    data = bytearray(Path("ok.npz").read_bytes())
    data[180] ^= 255
    path.write_bytes(data)


FILES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "text": (lambda p: p.write_text("hello"), "E0881", "is not an .npz file"),
    "nothing": (lambda p: p.write_bytes(b""), "E0881", "is not an .npz file"),
    "half": (lambda p: p.write_bytes(Path("ok.npz").read_bytes()[:150]), "E0881", "is not an .npz file"),
    "a bit flipped": (_corrupt, "E0881", "is damaged"),
    "a pickle": (lambda p: p.write_bytes(pickle.dumps({"tokens": TOKENS})), "E0881", "is not an .npz file"),
    "an encrypted archive": (lambda p: _archive(p, _npy("(1, 4)"), flags=1), "E0881", "encrypted"),
    "an unknown compression": (lambda p: _archive(p, _npy("(1, 4)"), method=99), "E0881", "compression"),
    "a negative shape": (lambda p: _archive(p, _npy("(-1, 4)")), "E0881", "is damaged"),
    "exabytes": (lambda p: _archive(p, _npy("(1000000000, 1000000000)")), "E0881", "bytes are stated"),
    "a folder": (lambda p: p.mkdir(), "E0881", "is a folder, not an .npz file"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_inputs_that_is_none(refused: Refused, place: Path, name: str) -> None:
    write, code, said = FILES[name]
    write(place / "in.npz")
    refused((*RUN, "--inputs", "in.npz", "-o", "out.npz"), code, said)


def test_inputs_are_refused_before_weights_are_drawn(refused: Refused, place: Path) -> None:
    """GPT-2 of a billion parameters and a half takes a while to draw; that a token is out of range is said at once."""
    np.savez(place / "in.npz", tokens=TOKENS - 1)
    with less_than(2):
        refused(("run", "gpt2:xl", "--backend", "numpy", "--inputs", "in.npz"), "E0801", "`tokens[0, 0]` is -1")
        refused(("run", "gpt2:xl", "--backend", "numpy", "--size", "T=2000"), "E0211", "`T` (2000)")


def test_a_single_array_is_no_file_of_inputs(refused: Refused, place: Path) -> None:
    np.save(place / "in.npy", TOKENS)
    refused((*RUN, "--inputs", "in.npy"), "E0881", "one array without a name", "numpy.savez")


def test_inputs_that_are_not_there(refused: Refused) -> None:
    refused((*RUN, "--inputs", "okk.npz"), "E0880", "did you mean `ok.npz`?")


def test_inputs_and_sizes_contradict_each_other(refused: Refused) -> None:
    refused((*RUN, "--inputs", "ok.npz", "--size", "B=1"), 2, "give one of the two")


@pytest.mark.parametrize(("address", "near"), [("h.0.atn", "h.0.attn"), ("h.9.attn", "h.0.attn"), ("h.-1.attn", "h.")])
def test_a_dump_of_nothing(refused: Refused, address: str, near: str) -> None:
    refused((*RUN, "--inputs", "ok.npz", "--dump", address, "-o", "out.npz"), "E0808", f"`{address}`", near)


# ---------------------------------------------------------------- machines and outputs


def test_numpy_has_no_cuda_and_no_bfloat16(refused: Refused) -> None:
    refused((*RUN, "--device", "cuda"), "E0811", "no device `cuda`", "a backend that can: `torch`")
    refused((*RUN, "--dtype", "bfloat16"), "E0812", "no precision `bfloat16`", "a backend that can: `torch`")


@pytest.mark.torch
@pytest.mark.parametrize(
    "argv",
    [
        ("run", "gpt2", *SMALL, "--device", "cuda"),
        ("compare", "gpt2", *SMALL, "--device", "cuda"),
        ("train", "gpt2", *SMALL, "--device", "cuda", "--backend", "torch", "--data", "song.txt", "--out", "new"),
        ("generate", "run", "--backend", "torch", "--device", "cuda"),
    ],
)
def test_no_cuda(refused: Refused, argv: tuple[str, ...]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    refused(argv, "E0811", "there is no CUDA device here", "`--device cpu`")


WRITERS = {
    "run": (*RUN, "--inputs", "ok.npz"),
    "compile": ("compile", "gpt2", "--emit", "python"),
    "render": ("render", "gpt2"),
}
ENDINGS = {"run": "npz", "compile": "py", "render": "dot"}


@pytest.mark.parametrize("verb", WRITERS)
def test_an_output_that_cannot_be_written(refused: Refused, verb: str) -> None:
    file = f"x.{ENDINGS[verb]}"
    code = "E0905" if verb == "render" else "E0883"
    refused((*WRITERS[verb], "-o", f"no/such/{file}"), code, "there is no folder `no/such`", "`mkdir -p no/such`")
    for folder in ("ok.npz", "ok.npz/deeper"):
        err = refused((*WRITERS[verb], "-o", f"{folder}/{file}"), code, f"there is no folder `{folder}`", "is a file")
        assert "mkdir" not in err
    refused((*WRITERS[verb], "-o", "."), "E0902" if verb == "render" else "E0883", "`.`")
    refused((*WRITERS[verb], "-o", f"/proc/{file}"), "E0905" if verb == "render" else "E0705", "cannot", bare=True)


@pytest.mark.parametrize("verb", WRITERS)
def test_an_old_output_survives_a_full_disk(
    refused: Refused, place: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    import errno
    import os

    old = place / f"old.{ENDINGS[verb]}"
    old.write_text("what was there before")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    refused(
        (*WRITERS[verb], "-o", old),
        "E0905" if verb == "render" else "E0705",
        "space left on device",
        bare=verb != "render",
    )


def test_a_drawing_in_an_unknown_format(refused: Refused) -> None:
    refused(("render", "gpt2", "-o", "x.bmp"), "E0902", ".svg, .png, .pdf, .dot", "`x.svg`")
    refused(("render", "gpt2", "-o", "x"), "E0902", "no ending")


# ---------------------------------------------------------------- for programs


@pytest.mark.parametrize(
    "argv",
    [
        ("check", "gpt2", "gpt_nano"), ("check", "gpt2", "gtp2"), ("check", "gpt2", "--set", "heads=5"), ("list",),
        ("inspect", "gpt2"), ("inspect", "gtp2"), ("explain", "E0203"),
        ("compare", "gpt2", *SMALL, "--set", "vocab=20", "--against", "passes"),
        ("compare", "gpt2", *SMALL, "--size", "T=99", "--against", "passes"),
    ],
)  # fmt: skip
def test_json_is_json_and_names_its_schema(attndsl: Callable, argv: tuple[str, ...]) -> None:
    done = attndsl(*argv, "--json")
    if argv[0] == "explain" and done.code == 2:
        pytest.skip("`explain` has no --json")
    plain = json.loads(done.out)
    assert re.fullmatch(r"attndsl\.\w+/\d+", plain["schema"])
    assert done.err == ""


def test_colour_is_for_terminals(attndsl: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    for settings in ({"NO_COLOR": "1", "FORCE_COLOR": ""}, {"NO_COLOR": "", "TERM": "dumb"}):
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        done = attndsl("check", "gpt2", "--set", "heads=5")
        assert done.code == 1
        assert "\x1b" not in done.out + done.err
