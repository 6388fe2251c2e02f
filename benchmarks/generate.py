"""What a token costs that a model with states writes, early and late in a text: since the states say what came before,
the thousandth should cost what the first one does.

    python benchmarks/generate.py

Texts of 100 tokens and of 1,000 are written in turn, by weights after one step of training; printed are the medians of
the processor time for a token, and of the ratio of a pair.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import attndsl

MODELS = ("rnn_lm", "transformer_xl:nano")
RECIPE: dict[str, Any] = {
    "steps": 1,
    "batch": 2,
    "length": 64,
    "tokenizer": "bytes",
    "evaluate": 0,
    "evaluate_batches": 1,
}
SHORT, LONG, ROUNDS = 100, 1000, 3


def seconds(run: Any, tokens: int, backend: str) -> float:
    start = time.process_time()
    run.generate("attndsl ", tokens=tokens, backend=backend)
    return time.process_time() - start


def main() -> None:
    for spec in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            run = attndsl.load(spec).train("README.md", folder + "/run", quiet=True, **RECIPE)
            for backend in ("pytorch", "numpy"):
                pairs = [
                    (seconds(run, SHORT, backend) / SHORT, seconds(run, LONG, backend) / LONG)
                    for _ in range(ROUNDS + 1)
                ][1:]
                short, long = (1e3 * statistics.median(each) for each in zip(*pairs, strict=True))
                ratio = statistics.median(b / a for a, b in pairs)
                print(
                    f"{spec}, {run.graph.parameter_count:,} parameters, {backend}: {short:.2f} ms a token in a text of "
                    f"{SHORT}, {long:.2f} ms in one of {LONG:,}, ratio {ratio:.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
