"""Kill a training again and again, a random one of its processes at a random moment, and resume it with another number
of them: it must come to the weights of a training that was left alone.

    python scripts/kills.py [COUNT] [SEED]

Prints for each kill which process it was, after which step, and how long the others took to end. Fails where that is
longer than half a minute, where the message does not name the process, or where the weights differ.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from attndsl.runs.checkpoint import read_tensors
from attndsl.runs.log import read_log
from attndsl.runs.record import RECORD, WEIGHTS

ROOT = Path(__file__).resolve().parents[1]
PROCESSES, LONGEST, BOUND = 3, 30.0, 1e-10
MODEL = """
model Small(vocab=256, width=24, depth=2, heads=2) {
  input tokens: int[B, T] where T <= 32, tokens < vocab
  x = embedding(tokens, vocab, width) as word
  repeat h in depth {
    x += x |> layer_norm as ln_1 |> attention(heads, mask=causal, dropout=0.1) as attn
    x += x |> layer_norm as ln_2 |> mlp(4 * width) as mlp
  }
  output logits = linear(x, vocab) as head
  input targets: int[B, T] optional
  output loss = cross_entropy(logits, targets, over=vocab)
}

train Small {
  batches    = next_token(tokens, targets)
  minimize   = loss
  optimizer  = adamw(lr=1e-3)
  schedule   = constant()
  precision  = "float64"
  batch      = 6
  length     = 24
  evaluate   = 20
  checkpoint = 5
}
"""


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "attndsl", "train", *map(str, words)]


def workers(launcher: int) -> dict[int, int]:
    """The processes that the launcher has started, by rank."""
    listed = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    found = {}
    for process in listed:
        try:
            given = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        for each in given:
            if each.startswith(b"RANK="):
                found[int(each[5:])] = int(process)
    return found


def steps_done(run: Path) -> int:
    return max((line["step"] for line in read_log(run)), default=0)


def killed(words: list[str], run: Path, count: int, steps: int, chance: random.Random) -> str:
    """Start so many processes, kill one after some `steps`, and what happened; empty where they were done before."""
    before = steps_done(run)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as launcher:
        try:
            while launcher.poll() is None and (len(workers(launcher.pid)) < count or steps_done(run) < before + steps):
                time.sleep(0.01)
            time.sleep(chance.uniform(0.0, 0.1))
            there = workers(launcher.pid) if launcher.poll() is None else {}
            if len(there) < count:
                _, err = launcher.communicate(timeout=LONGEST)
                assert launcher.returncode == 0, err
                return ""
            rank = chance.choice(sorted(there))
            os.kill(there[rank], signal.SIGKILL)
            began = time.monotonic()
            out, err = launcher.communicate(timeout=LONGEST)
        finally:
            launcher.kill()
    name = f"error[E0771]: process {rank} of {count} was killed (SIGKILL)"
    assert launcher.returncode == 1, launcher.returncode
    assert name in err, err
    assert err.count("error[") == 1, err
    assert "Traceback" not in out + err
    took = time.monotonic() - began
    return f"process {rank} of {count} after step {steps_done(run)}: the others ended in {took:.1f} s"


def try_kills(kills: int, seed: int, folder: Path) -> None:
    chance = random.Random(seed)
    steps = 25 * (kills + 1)
    spec, text = folder / "small.attn", ROOT / "tests" / "samples" / "prose.txt"
    spec.write_text(MODEL)
    new = [spec, "--data", text, "--steps", steps]
    whole, run = folder / "whole", folder / "run"
    subprocess.run(command(*new, "--out", whole), check=True, stdout=subprocess.DEVNULL)
    done, count = 0, PROCESSES
    while done < kills:
        started = (run / RECORD).is_file()
        words = command("--resume", run) if started else command(*new, "--out", run)
        said = killed([*words, "--processes", str(count)], run, count, chance.randint(0, 30), chance)
        if not said:
            break
        done += 1
        print(f"{done}: {said}", flush=True)
        count = 2 if count == PROCESSES else PROCESSES
    subprocess.run(command("--resume", run), check=True, stdout=subprocess.DEVNULL)
    found, wanted = (read_tensors(each / WEIGHTS, "the weights")[0] for each in (run, whole))
    furthest = max(float(np.abs(found[name] - array).max()) for name, array in wanted.items())
    print(f"{done} kills; the weights differ by {furthest:.1e} at most")
    assert furthest < BOUND


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as place:
        try_kills(given[0] if given else 30, given[1] if len(given) > 1 else 0, Path(place))
