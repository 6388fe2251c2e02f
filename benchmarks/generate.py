"""What a token costs that a model with states writes, early and late in a text: since the states say what came before,
the thousandth should cost what the first one does.

    python benchmarks/generate.py

Texts of 100 tokens and of 1,000 are written in turn, by weights after one step of training; printed are the medians of
the processor time for a token, and of the ratio of a pair.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from in_turn import in_turn

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


def writing(run: Any, tokens: int, backend: str) -> Callable[[], object]:
    return lambda: run.generate("attndsl ", tokens=tokens, backend=backend)


def main() -> None:
    for spec in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            run = attndsl.load(spec).train("README.md", folder + "/run", quiet=True, **RECIPE)
            for backend in ("pytorch", "numpy"):
                sides = {str(tokens): writing(run, tokens, backend) for tokens in (SHORT, LONG)}
                times = in_turn(sides, ROUNDS, clock=time.process_time)
                short, long = (1e3 * times.median(side) / int(side) for side in sides)
                ratio = times.ratio(str(LONG), str(SHORT)) * SHORT / LONG
                print(
                    f"{spec}, {run.graph.parameter_count:,} parameters, {backend}: {short:.2f} ms a token in a text of "
                    f"{SHORT}, {long:.2f} ms in one of {LONG:,}, ratio {ratio:.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
