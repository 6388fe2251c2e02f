"""Measure a trained model on its held-out data.

What is held out, and how it is measured, is as `attndsl train` recorded it. --set changes hyperparameters that the
weights do not depend on (--set memory=512), and keys of the recipe (--set length=64, --set evaluate_batches=200).
--weights-as says what keeping the matrices in fewer bits costs: each number stands beside the one with float32 weights.
"""

from __future__ import annotations

import sys
from typing import Any

from attndsl.cli.arguments import Parser, add_backend, add_json, add_settings, add_weights_as, path


def configure(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", type=path, help="the folder that `attndsl train` wrote")
    add_settings(parser)
    add_weights_as(parser)
    add_backend(parser, default="the one that the run was trained with")
    add_json(parser)


def run(args: Any) -> int:
    import json

    from attndsl.objectives.metrics import metrics_table
    from attndsl.training.console import console_for
    from attndsl.training.evaluation import evaluate_run

    metrics = evaluate_run(
        args.run,
        settings=args.settings,
        backend=args.backend,
        device=args.device,
        console=console_for(sys.stderr),
        weights_as=args.weights_as,
    )
    if args.json:
        print(json.dumps([metric.to_json() for metric in metrics]))
        return 0
    print("\n".join(metrics_table(metrics)) if metrics else "the held-out data are too few to measure anything")
    return 0
