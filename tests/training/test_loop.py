"""A run from its first step to its weights: what is written, what ends it, and what is refused."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from attndsl.diagnostics import AttnError
from attndsl.running import initial
from attndsl.runs.checkpoint import list_checkpoints
from attndsl.runs.log import FILE, Line, read_log
from attndsl.runs.record import RECORD
from attndsl.storage.safetensors import TensorFile
from attndsl.storage.whole import PARTIAL, write_text
from attndsl.training import Outcome, loop, session, train
from attndsl.training.console import Plain, Silent
from tests.training.reading import losses, refused

Train = Callable[..., Outcome]


def test_a_run_leaves_everything_behind(trained: Train, tmp_path: Path) -> None:
    outcome = trained(steps=12)
    run = tmp_path / "run"
    assert outcome.step == 12
    assert not outcome.interrupted
    assert outcome.held_out is not None
    lines = read_log(run)
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 13))
    assert [line["step"] for line in lines if "held_out" in line] == [5, 10, 12]
    assert lines[-1]["held_out"] == outcome.held_out.per_token == outcome.held_out.per_byte
    assert [step for step, _ in list_checkpoints(run)] == [8, 12]
    weights = load_file(run / "weights.safetensors")
    assert weights["h.0.attn.q.weight"].dtype == np.float32
    facts = json.loads((run / RECORD).read_text())
    assert facts["recipe"]["batch"] == 4
    assert facts["versions"]["numpy"] == np.__version__
    assert (run / "spec" / "tiny.attn").is_file()
    curve = (run / "loss.svg").read_text()
    assert "held out" in curve
    assert "training" in curve
    assert not list(run.rglob(f"*{PARTIAL}"))


def test_the_loss_falls_on_real_text(trained: Train, tmp_path: Path) -> None:
    outcome = trained(steps=60, p=0)
    found = losses(tmp_path / "run")
    assert found[0] == pytest.approx(math.log(256), abs=0.2)
    assert found[-1] < 3.6
    assert outcome.held_out is not None
    assert outcome.held_out.per_byte < 4.2


def test_the_same_run_twice_is_the_same(trained: Train, tmp_path: Path) -> None:
    trained("one")
    trained("two")
    trained("three", seed=1)
    assert losses(tmp_path / "one") == losses(tmp_path / "two") != losses(tmp_path / "three")
    assert (tmp_path / "one/weights.safetensors").read_bytes() == (tmp_path / "two/weights.safetensors").read_bytes()


def test_a_longer_run_that_was_stopped_is_the_same(
    trained: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained("whole")

    def stop_after_six(self: Silent, step: int, loss: float, tokens_per_second: float) -> None:
        if step == 6:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Silent, "step", stop_after_six)
    outcome = trained("stopped")
    assert outcome.interrupted
    assert outcome.step == 6
    assert outcome.weights is None
    monkeypatch.undo()
    assert trained(resume=tmp_path / "stopped").step == 12
    assert losses(tmp_path / "whole") == losses(tmp_path / "stopped")
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "stopped")]
    assert weights[0] == weights[1]


INT, TERM = signal.SIGINT, signal.SIGTERM


@pytest.mark.parametrize("sent", [(TERM, TERM), (TERM, INT, TERM), (INT, TERM), (INT, INT), (TERM, INT, INT)])
def test_only_a_second_ctrl_c_ends_a_run_without_a_checkpoint(
    trained: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: tuple[signal.Signals, ...]
) -> None:
    """A SIGTERM may come from whoever stops the job, and again from the launcher."""

    def send(self: Silent, step: int, loss: float, tokens_per_second: float) -> None:
        for number in sent if step == 3 else ():
            os.kill(os.getpid(), number)

    before = signal.getsignal(INT), signal.getsignal(TERM)
    monkeypatch.setattr(Silent, "step", send)
    if sent.count(INT) == 2:
        with pytest.raises(KeyboardInterrupt):
            trained()
    else:
        assert trained().interrupted
    assert bool(list_checkpoints(tmp_path / "run")) == (sent.count(INT) < 2)
    assert (signal.getsignal(INT), signal.getsignal(TERM)) == before


def test_a_run_that_is_stopped_as_it_begins_can_be_resumed(
    trained: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From when it has a folder a Ctrl-C ends it after a step."""
    write = session.write_record

    def then_stop(*given: Any) -> None:
        write(*given)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(session, "write_record", then_stop)
    outcome = trained()
    assert outcome.interrupted
    assert outcome.step == 1
    monkeypatch.undo()
    assert trained(resume=tmp_path / "run").step == 12


def test_the_curve_of_many_steps_has_few_points_evenly_chosen(
    trained: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the run is, drawing it takes no longer; and it is the same where the run was resumed."""
    drawn: list[list[float]] = []

    def draw(title: str, training: list[tuple[float, float]], held_out: object) -> str:
        drawn.append([step for step, _ in training])
        return ""

    monkeypatch.setattr(loop, "MOST_POINTS", 4)
    monkeypatch.setattr(loop, "loss_curve", draw)
    trained(steps=11, evaluate=1)
    assert drawn[:6] == [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4], [2, 4], [2, 4, 6]]
    assert drawn[-1] == [4, 8]
    trained(resume=tmp_path / "run", steps=13)
    assert drawn[-2:] == [[4, 8, 12]] * 2


def test_accumulated_batches_are_one_step(trained: Train, tmp_path: Path) -> None:
    trained("run", accumulate=3, steps=4)
    lines = [line for line in read_log(tmp_path / "run") if "loss" in line]
    assert [line["tokens"] for line in lines] == [192, 384, 576, 768]


def test_what_was_written_by_half_is_swept_up_and_cut_back(trained: Train, tmp_path: Path) -> None:
    trained(steps=6)
    run = tmp_path / "run"
    for step, path in list_checkpoints(run):
        if step > 4:
            path.unlink()
    (run / "checkpoints" / f".step-000008.safetensors{PARTIAL}").write_bytes(b"half")
    with open(run / "log.jsonl", "a") as log:
        log.write('{"step": 7, "lo')
    before = losses(run)
    trained(resume=run)
    assert losses(run) == before
    assert not list(run.rglob(f"*{PARTIAL}"))


def test_the_log_is_on_the_disk_before_its_checkpoint(
    trained: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power loss a run would go on with a log of fewer steps, and count tokens and seconds from there."""
    log, synced, kept = tmp_path / "run" / FILE, [0], list[int]()
    fsync, save = os.fsync, loop.save_checkpoint

    def syncs(number: int) -> None:
        fsync(number)
        if log.exists() and os.path.samestat(os.fstat(number), log.stat()):
            synced.append(log.stat().st_size)

    def saves(run: Path, step: int, *given: Any, **named: Any) -> Path:
        assert synced[-1] == log.stat().st_size
        kept.append(step)
        return save(run, step, *given, **named)

    monkeypatch.setattr(os, "fsync", syncs)
    monkeypatch.setattr(loop, "save_checkpoint", saves)
    trained(steps=6)
    assert kept == [4, 6]


def cut_short(data: bytes) -> bytes:
    return data[:1000]


def flipped_at_the_end(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def flipped_in_the_middle(data: bytes) -> bytes:
    """In what the optimizer keeps, which is set when the parameters are."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("spoiled", [cut_short, flipped_at_the_end, flipped_in_the_middle])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    trained: Train, tmp_path: Path, spoiled: Callable[[bytes], bytes]
) -> None:
    trained("run")
    run = tmp_path / "run"
    whole, weights = losses(run), (run / "weights.safetensors").read_bytes()
    newest = list_checkpoints(run)[-1][1]
    newest.write_bytes(spoiled(newest.read_bytes()))
    console = Silent()
    train(resume=run, console=console)
    (told,) = (text for text in console.warned if "damaged" in text)
    assert told.startswith(f"the checkpoint `{newest}` is damaged: ")
    assert losses(run) == whole
    assert (run / "weights.safetensors").read_bytes() == weights


def test_a_checkpoint_is_read_once(trained: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And takes the place of initial values."""
    trained(steps=4)
    read, names = TensorFile.read, list[str]()

    def counted(self: TensorFile, name: str) -> Any:
        names.append(name)
        return read(self, name)

    monkeypatch.setattr(TensorFile, "read", counted)
    monkeypatch.setattr(initial, "initial_value", lambda *given: pytest.fail("a value was drawn"))
    trained(resume=tmp_path / "run")
    found = [name for name in names if name != "updates"]  # which is looked at as it is checked, too
    assert len(found) == len(set(found)) > 30


def test_all_checkpoints_damaged(trained: Train, tmp_path: Path) -> None:
    trained()
    for _, path in list_checkpoints(tmp_path / "run"):
        path.write_bytes(b"junk")
    with pytest.raises(AttnError) as problem:
        trained(resume=tmp_path / "run")
    assert refused(problem) == "E0733"


def test_numpy_takes_no_option_that_it_would_ignore(spec: str, text: str, tmp_path: Path) -> None:
    for options in ({"device": "cuda"}, {"compile": True}):
        with pytest.raises(AttnError) as problem:
            train(spec, text, tmp_path / "run", backend="numpy", console=Silent(), **options)  # type: ignore[arg-type]
        assert refused(problem) == "E0811"
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("vocab", "suggested"), [(255, False), (299, True)])
def test_a_smaller_tokenizer_is_suggested_where_there_is_one(
    spec: str, text: str, tmp_path: Path, vocab: int, suggested: bool
) -> None:
    pytest.importorskip("tokenizers")
    settings: dict[str, int | str] = {"vocab": vocab, "tokenizer": "bpe:300" if suggested else "bytes"}
    with pytest.raises(AttnError) as problem:
        train(spec, text, tmp_path / "run", settings=settings, backend="numpy", console=Silent())
    assert refused(problem) == "E0709"
    assert any("tokenizer=bytes" in way for way in problem.value.diagnostics[0].helps) == suggested


def test_a_setting_from_outside_is_not_looked_for_in_the_spec(spec: str, text: str, tmp_path: Path) -> None:
    for name, value in (("minimize", "logits"), ("minimize", "nope"), ("batches", "next_token(tokens, goals)")):
        with pytest.raises(AttnError) as problem:
            train(spec, text, tmp_path / "run", settings={name: value}, backend="numpy", console=Silent())
        assert refused(problem) == "E0722"
        assert problem.value.diagnostics[0].primary is None


@pytest.mark.parametrize(
    ("data", "settings", "code"),
    [
        ("missing", {}, "E0701"),
        ("empty.txt", {}, "E0702"),
        ("binary.txt", {}, "E0703"),
        ("short.txt", {}, "E0704"),
        ("good.txt", {"vocab": 100}, "E0709"),
        ("good.txt", {"tokenizer": "bites"}, "E0706"),
        ("good.txt", {"optimizer": "leon"}, "E0720"),
        ("good.txt", {"length": 17}, "E0211"),
        ("good.txt", {"batches": "next_token(tokens, goals)"}, "E0722"),
        ("good.txt", {"depth": 10**9}, "E0806"),
        ("good.txt", {"depht": 1}, "E0402"),
        ("good.txt", {"bach": 1}, "E0720"),
    ],
)
def test_nothing_is_begun_where_something_is_wrong(
    spec: str, tmp_path: Path, data: str, settings: dict[str, str | int | float], code: str
) -> None:
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "binary.txt").write_bytes(b"a\0b")
    (tmp_path / "short.txt").write_text("0123456789")
    (tmp_path / "good.txt").write_text("0123456789" * 10)
    with pytest.raises(AttnError) as problem:
        train(spec, str(tmp_path / data), tmp_path / "run", settings=settings, backend="numpy", console=Silent())
    assert problem.value.diagnostics[0].code == code
    assert not (tmp_path / "run").exists()


def test_a_vocabulary_that_was_set_may_be_larger(spec: str, text: str, tmp_path: Path) -> None:
    train(spec, text, tmp_path / "run", settings={"vocab": 300, "steps": 1}, backend="numpy", console=Silent())
    assert load_file(tmp_path / "run" / "weights.safetensors")["wte.table"].shape == (300, 16)


def test_the_tokenizer_sets_the_vocabulary(spec: str, text: str, tmp_path: Path) -> None:
    train(spec, text, tmp_path / "run", settings={"tokenizer": "chars", "steps": 1}, backend="numpy", console=Silent())
    facts = json.loads((tmp_path / "run" / RECORD).read_text())
    assert facts["settings"]["vocab"] == facts["tokenizer"]["vocab"] < 256


def test_an_old_run_is_not_written_over(trained: Train, tmp_path: Path) -> None:
    trained(steps=1)
    with pytest.raises(AttnError) as problem:
        trained(steps=1)
    assert refused(problem) == "E0731"
    assert any("--resume" in help for help in problem.value.diagnostics[0].helps)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(AttnError) as problem:
        trained("other")
    assert refused(problem) == "E0731"


@pytest.mark.parametrize(
    "record", [None, "", "{}", '{"format": 99, "spec": {}, "settings": {}, "recipe": {}, "tokenizer": {}, "data": {}}']
)
def test_what_is_no_run_cannot_go_on(tmp_path: Path, record: str | None) -> None:
    if record is not None:
        write_text(tmp_path / RECORD, record)
    with pytest.raises(AttnError) as problem:
        train(resume=tmp_path, console=Silent())
    assert refused(problem) == "E0732"


@pytest.mark.parametrize("settings", [{"tokenizer": "chars"}, {"width": 32}, {"optimizer": "sgd"}, {"seed": 3}])
def test_what_a_run_cannot_change(trained: Train, tmp_path: Path, settings: dict[str, str | int]) -> None:
    trained(steps=1)
    with pytest.raises(AttnError) as problem:
        trained(resume=tmp_path / "run", **settings)
    assert refused(problem) == "E0734"


@pytest.mark.parametrize(("settings", "code"), [({"widht": 3}, "E0402"), ({"bach": 3}, "E0720")])
def test_unknown_settings_of_a_run_that_goes_on(
    trained: Train, tmp_path: Path, settings: dict[str, int], code: str
) -> None:
    trained(steps=1)
    with pytest.raises(AttnError) as problem:
        trained(resume=tmp_path / "run", **settings)
    assert refused(problem) == code


def test_changed_data_is_noticed(trained: Train, tmp_path: Path, spec: str) -> None:
    other = tmp_path / "other.txt"
    other.write_text("other text\n" * 100)
    trained(steps=1)
    with pytest.raises(AttnError) as problem:
        train(resume=tmp_path / "run", data=str(other), console=Silent())
    assert refused(problem) == "E0734"


def test_a_run_that_goes_on_longer_says_so(trained: Train, tmp_path: Path) -> None:
    trained(steps=4)
    console = Silent()
    outcome = train(resume=tmp_path / "run", settings={"steps": 8, "lr": 1e-4}, console=console)
    assert outcome.step == 8
    assert any("steps" in text and "optimizer" in text for text in console.warned)


def test_another_machine_is_named(trained: Train, tmp_path: Path) -> None:
    trained(steps=1)
    path = tmp_path / "run" / RECORD
    facts = json.loads(path.read_text())
    facts["threads"] += 5
    facts["versions"]["numpy"] = "0.1"
    write_text(path, json.dumps(facts))
    console = Silent()
    train(resume=tmp_path / "run", console=console)
    assert [text.split(":")[0].split(" was ")[0] for text in console.warned] == ["threads", "numpy"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(trained: Train, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked").chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(AttnError) as problem:
        trained("locked/run")
    assert refused(problem) == "E0705"


def test_a_folder_that_is_a_file(trained: Train, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("file", "file/run"):
        with pytest.raises(AttnError) as problem:
            trained(name)
        assert refused(problem) in ("E0731", "E0705")


def test_plain_lines_say_how_far_it_is(
    spec: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(spec, text, tmp_path / "run", settings={"steps": 3}, backend="numpy", console=Plain(seconds=0))
    lines = capsys.readouterr().out.splitlines()
    pattern = r"step \d/3  loss \d\.\d{4}  [\d,]+ tokens/s  \d+:\d\d left"
    assert sum(bool(re.fullmatch(pattern, line)) for line in lines) == 3


def test_a_spec_is_copied_with_what_it_imports(spec: str, text: str, tmp_path: Path) -> None:
    own = (tmp_path / "tiny.attn").read_text().replace("layer_norm as ln_f", "my_norm as ln_f")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m.attn").write_text(f'use "../parts/norm.attn"\n{own}')
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "norm.attn").write_text(
        "block my_norm()(x: [*, D]) -> [*, D] { return layer_norm(x) as inner }\n"
    )
    train(
        str(tmp_path / "models" / "m.attn"),
        text,
        tmp_path / "run",
        settings={"steps": 2},
        backend="numpy",
        console=Silent(),
    )
    assert (tmp_path / "run" / "spec" / "models" / "m.attn").is_file()
    for name in ("models/m.attn", "parts/norm.attn"):
        (tmp_path / name).unlink()
    assert train(resume=tmp_path / "run", settings={"steps": 3}, console=Silent()).step == 3


def test_cross_entropy_is_told_apart_from_what_is_minimised(spec: str, text: str, tmp_path: Path, backend: str) -> None:
    """Perplexity and nats per byte are those of the answers, whatever else the loss is made of, and every scalar output
    is logged and reported."""
    path = tmp_path / "tiny.attn"
    penalised = """
  output squares = mean(logsumexp(logits, over=vocab) ^ 2, over=[B, T])
  output plain = cross_entropy(logits, targets, over=vocab)
  output loss = cross_entropy(logits, targets, over=vocab, smoothing=0.1) + 0.01 * squares
  output asked = sum(targets >= 0, over=[B, T])
  output many = asked > 3
"""
    source = path.read_text()
    assert "  output loss = cross_entropy(logits, targets, over=vocab)\n" in source
    path.write_text(source.replace("  output loss = cross_entropy(logits, targets, over=vocab)\n", penalised))
    settings = {"steps": 5, "accumulate": 2}
    outcome = train(
        str(path), text, tmp_path / "run", settings=settings, backend=backend, device="cpu", console=Silent()
    )
    held, found = outcome.held_out, {metric.name: metric.value for metric in outcome.metrics}
    assert held is not None
    assert held.cross_entropy == pytest.approx(held.scalars["plain"], rel=1e-6)
    assert held.loss > held.scalars["plain"] + 0.1
    assert held.per_byte == held.per_token == held.cross_entropy
    assert found["loss per byte"] == found["loss per token"] == held.cross_entropy
    assert found["perplexity"] == pytest.approx(math.exp(held.scalars["plain"]), rel=1e-5)
    assert found["minimised loss"] == held.loss
    assert found["squares"] == held.scalars["squares"] > 1
    lines = read_log(tmp_path / "run")
    steps = [line for line in lines if "loss" in line]
    assert all(line["scalars"].keys() == {"squares", "plain", "asked", "many"} for line in steps)
    assert all(
        line["scalars"]["asked"] == line["tokens"] - before for before, line in zip(_before(steps), steps, strict=True)
    )
    assert all(line["scalars"]["many"] == 1 for line in steps)
    assert all(line["cross_entropy"] == line["scalars"]["plain"] < line["loss"] for line in steps), (
        "it is computed anyway"
    )
    (evaluated,) = [line for line in lines if "held_out" in line]
    assert evaluated["held_out"] == held.loss
    assert evaluated["held_out_cross_entropy"] == held.cross_entropy
    others = ("squares", "plain", "asked", "many")
    assert evaluated["held_out_scalars"] == {name: held.scalars[name] for name in others}


def _before(lines: list[Line]) -> list[int]:
    """The tokens that had been seen before each step."""
    return [0, *(line["tokens"] for line in lines[:-1])]


def test_a_run_goes_on_with_what_its_optimizer_keeps(trained: Train, tmp_path: Path) -> None:
    """Other options may change, but not those that ask for averages which no checkpoint has."""
    trained(steps=2, optimizer="sgd(momentum=0)")
    with pytest.raises(AttnError) as problem:
        trained(resume=tmp_path / "run", steps=4, momentum=0.9)
    assert refused(problem) == "E0734"
    assert trained(resume=tmp_path / "run", steps=4, lr=0.01).step == 4
