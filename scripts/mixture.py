"""A mixture of experts against the dense model that costs as much, at equal steps, on the sources of Python's standard
library:

    python scripts/mixture.py [--steps 400] [--out runs/mixture]

The mixture is `mixtral:nano`: 8 experts of 128, of which each token goes through 2. The dense model is the same decoder
(`llama`, of the same width, depth and heads) with one feed-forward layer of 256. Both see the same batches in the same
order and are trained by the same recipe; the operations of a forward pass are those that `inspect` counts. A few
minutes on two cores.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import attndsl  # noqa: E402
from attndsl.inspection import inspect  # noqa: E402

SHAPE = {"vocab": 256, "context": 128, "depth": 3, "width": 96, "heads": 4, "kv_heads": 2, "eps": 1e-5}
RECIPE = {"tokenizer": "bytes", "lr": 3e-3, "batch": 16, "warmup": 40}
SIZES = {"B": 1, "T": 128}


def sides() -> dict[str, attndsl.Model]:
    return {
        "mixture, 2 of 8 experts": attndsl.load("mixtral:nano"),
        "dense": attndsl.load("llama:nano", **SHAPE, hidden=256),
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "mixture")
    given = parser.parse_args(arguments)
    rows, losses = [], {}
    for name, model in sides().items():
        out = given.out / name.split(",")[0]
        if out.exists():
            shutil.rmtree(out)
        print(f"{name}:", flush=True)
        run = model.train("example:stdlib", out, steps=given.steps, **RECIPE)
        found = dict(run.metrics)
        losses[name] = found["loss per byte"]
        totals = inspect(model.graph, SIZES).totals
        busy = "".join(f", {each} expert {found[each]:.2f}" for each in ("busiest", "idlest") if each in found)
        rows.append(
            f"{name}: {totals.parameters:,} parameters, {totals.flops / 1e6:.0f} MFLOPs for a text of 128 bytes, "
            f"{losses[name]:.4f} nats per byte on held-out text after {given.steps} steps{busy}"
        )
    print(*rows, sep="\n")
    mixture, dense = losses.values()
    print(
        f"the mixture is better by {dense - mixture:.4f} nats per byte"
        if mixture < dense
        else "the dense model is better"
    )
    return 0 if mixture < dense else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
