"""A mixture of experts against the dense model that costs as much, at equal steps, on the sources of Python's standard
library:

    python scripts/mixture.py [--steps 400] [--seeds 1] [--out runs/mixture]

The mixture is `mixtral:nano`: 8 experts of 128, of which each token goes through 2. The dense model is the same decoder
(`llama`, of the same width, depth and heads) with one feed-forward layer of 256. Both see the same batches in the same
order and are trained by the same recipe; the operations of a forward pass are those that `inspect` counts. A few
minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import attndsl  # noqa: E402
from attndsl.inspection import inspect  # noqa: E402

SHAPE = {"vocab": 256, "context": 128, "depth": 3, "width": 96, "heads": 4, "kv_heads": 2, "eps": 1e-5, "std": 0.08}
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
    parser.add_argument("--seeds", type=int, default=1, help="how often, from other first values and batches")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "mixture")
    given = parser.parse_args(arguments)
    models, margins = sides(), []
    for seed in range(given.seeds):
        losses = {name: trained(name, model, seed, given) for name, model in models.items()}
        mixture, dense = losses.values()
        margins.append(dense - mixture)
        print(f"seed {seed}: {mixture:.4f} nats per byte of held-out text, dense {dense:.4f}", flush=True)
    for name, model in models.items():
        totals = inspect(model.graph, SIZES).totals
        print(f"{name}: {totals.parameters:,} parameters, {totals.flops / 1e6:.0f} MFLOPs for a text of 128 bytes")
    mean = sum(margins) / len(margins)
    print(
        f"after {given.steps} steps the mixture is better by {mean:.4f} nats per byte in the mean "
        f"({min(margins):.4f} to {max(margins):.4f})"
    )
    return 0 if min(margins) > 0 else 1


def trained(name: str, model: attndsl.Model, seed: int, given: argparse.Namespace) -> float:
    """The loss per byte of a run, whose experts' load is printed as its log has it."""
    out = given.out / f"{name.split(',')[0]}-{seed}"
    if out.exists():
        shutil.rmtree(out)
    print(f"{name}, seed {seed}:", flush=True)
    run = model.train("example:stdlib", out, steps=given.steps, seed=seed, **RECIPE)
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    load = [(row["step"], row["scalars"]) for row in rows if "busiest" in row.get("scalars", {})]
    for step, at in [*load[:: max(1, len(load) // 4)], *load[-1:]]:
        print(
            f"  step {step}: times an even load, the busiest expert {at['busiest']:.2f}, the idlest {at['idlest']:.2f}"
        )
    return float(dict(run.metrics)["loss per byte"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
