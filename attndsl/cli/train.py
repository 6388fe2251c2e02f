"""Train a model on text: files, folders or globs.

The recipe is the spec's `train` section; --set changes it as it changes hyperparameters (--set lr=1e-3,
--set batch=16, --set precision=bfloat16, --set tokenizer=bpe:1024). The run's folder gets checkpoints, a log, the loss
curve and, at the end, the weights. A run that was stopped, in whatever way, goes on with --resume as if it had not
been.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from attndsl.cli.arguments import Parser, Usage, add_settings, natural, path

if TYPE_CHECKING:
    from attndsl.training import Outcome


def configure(parser: Parser) -> None:
    parser.add_argument(
        "spec", metavar="SPEC", type=path, nargs="?", help="a file, a shipped spec or a variant (not with --resume)"
    )
    parser.add_argument(
        "--data",
        metavar="PATH",
        type=path,
        nargs="+",
        help="text: files, folders, or quoted globs ('src/**/*.py')",
    )
    parser.add_argument("--out", metavar="RUN", type=path, help="the new run's folder (default: runs/SPEC)")
    parser.add_argument(
        "--steps", type=natural, metavar="N", help="how many steps to take in all; the same as --set steps=N"
    )
    add_settings(parser)
    parser.add_argument(
        "--backend",
        choices=("numpy", "torch"),
        help="numpy (always there) or torch (`pip install attndsl[torch]`); default: torch where it is installed",
    )
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), help="where torch computes (default: cuda where there is one)"
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        default=None,
        help="let torch.compile translate the model: slower to start, faster to run",
    )
    parser.add_argument("--resume", metavar="RUN", type=path, help="go on with this run instead of starting one")


def run(args: Any) -> int:
    from attndsl.cli.failures import INTERRUPTED
    from attndsl.training import console_for, train

    if (args.spec is None) == (args.resume is None):
        raise Usage("give a SPEC to train, or a run to go on with: `--resume RUN`")
    if args.resume is not None and args.out is not None:
        raise Usage("`--resume` goes on in the run's own folder", "leave `--out` away")
    if args.resume is None and not args.data:
        raise Usage("`--data` is missing: the text to train on", f"attndsl train {args.spec} --data book.txt")
    settings = dict(args.settings)
    if args.steps is not None and settings.setdefault("steps", str(args.steps)) != str(args.steps):
        raise Usage(f"`--steps {args.steps}` and `--set steps={settings['steps']}` contradict each other")
    outcome = train(
        args.spec,
        args.data,
        args.out,
        settings=settings,
        backend=args.backend,
        device=args.device,
        resume=args.resume,
        compile=args.compile,
        console=console_for(sys.stdout),
    )
    for line in _ending(outcome):
        print(line)
    return INTERRUPTED if outcome.interrupted else 0


def _ending(outcome: Outcome) -> list[str]:
    lines = []
    if outcome.held_out is not None:
        loss, entropy = outcome.held_out.per_byte, outcome.unigram_entropy
        share = f", {loss / entropy:.0%} of it" if entropy else ""
        lines += [
            f"unigram entropy of the held-out text: {entropy:.4f} nats per byte",
            f"held-out loss:                        {loss:.4f} nats per byte{share}",
        ]
    if outcome.interrupted:
        lines.append(f"stopped after step {outcome.step:,}; to go on: attndsl train --resume {outcome.run}")
    else:
        lines.append(f"{outcome.step:,} steps done; to sample: attndsl generate {outcome.run}")
    return lines
