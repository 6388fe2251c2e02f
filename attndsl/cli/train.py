"""Train a model on text, on tables or on pictures.

The recipe is the spec's `train` section; --set changes it as it changes hyperparameters (--set lr=1e-3,
--set batch=16, --set tokenizer=bpe:1024, --set batches.share=0.2, --set 'freeze=h.*'). What its objective learns from
is text (files, folders, globs), a table with named columns (.jsonl, .tsv, .csv, .npz, a folder of pictures by class),
or data that every machine has: example:stdlib (text), example:docstrings (text, label), example:questions
(question, context, answer, start), example:dates (source, target), example:digits (image, label), example:captions
(image, caption, label). With --weights it begins from a body that was trained before; layers that the body lacks are
new, and its tokenizer is kept. The run's folder gets checkpoints, a log, the loss curve and, at the end, the weights
and how good they are on held-out data. A run that was stopped, in whatever way, can be resumed with --resume as if it
had not been.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from attndsl.cli.arguments import Parser, Usage, add_backend, add_settings, add_warnings, natural, path

if TYPE_CHECKING:
    from attndsl.training import Outcome


def configure(parser: Parser) -> None:
    from attndsl.training.logs import LOGS

    parser.add_argument(
        "spec", metavar="SPEC", type=path, nargs="?", help="a file, a shipped spec or a variant (not with --resume)"
    )
    parser.add_argument(
        "--data",
        metavar="PATH",
        type=path,
        nargs="+",
        help="text or tables: files, folders, quoted globs ('src/**/*.py'), or example:NAME",
    )
    parser.add_argument(
        "--weights",
        metavar="PATH",
        type=path,
        help="start from these weights: a run's folder, a published folder, or a file",
    )
    parser.add_argument("--out", metavar="RUN", type=path, help="the new run's folder (default: runs/SPEC)")
    parser.add_argument(
        "--steps", type=natural, metavar="N", help="the total number of steps; the same as --set steps=N"
    )
    add_settings(parser)
    parser.add_argument(
        "--settings",
        dest="file",
        metavar="FILE",
        type=path,
        help="settings from a TOML file (lr = 3e-4), or those of a run, given back; --set changes them",
    )
    add_warnings(parser)
    add_backend(parser)
    parser.add_argument(
        "--compile",
        action="store_true",
        default=None,
        help="compile the model with torch.compile: slower to start, faster to run",
    )
    parser.add_argument(
        "--recompute",
        action="store_true",
        help="compute each layer once more for the gradients: less memory, a third more work; the same as "
        "--set recompute=true",
    )
    parser.add_argument(
        "--log",
        metavar="FORM",
        choices=tuple(LOGS),
        action="append",
        default=[],
        help="write the log as csv or for tensorboard too, in the run's folder (may be repeated)",
    )
    parser.add_argument(
        "--processes",
        metavar="N",
        type=natural,
        help="train in so many processes of this machine (default: as many as a layout has devices); on several "
        "machines torchrun starts them",
    )
    parser.add_argument(
        "--layout",
        metavar="LAYOUT",
        help="how the model lies on the processes: a layout of the spec, or one like `data=2, model=2; B on data; "
        "heads on model` (default: each has its share of rows and parameters)",
    )
    parser.add_argument("--resume", metavar="RUN", type=path, help="resume this run instead of starting a new one")


def run(args: Any) -> int:
    from attndsl.cli.failures import INTERRUPTED
    from attndsl.training import console_for, train

    if (args.spec is None) == (args.resume is None):
        raise Usage("give a SPEC to train, or a run to resume: `--resume RUN`")
    if args.resume is not None and args.out is not None:
        raise Usage("`--resume` continues in the run's own folder", "leave `--out` out")
    if args.resume is not None and args.weights is not None:
        raise Usage("`--resume` continues with the run's own weights", "leave `--weights` out")
    if args.resume is None and not args.data:
        raise Usage("`--data` is missing: say what to train on", f"attndsl train {args.spec} --data book.txt")
    settings = dict(args.settings)
    if args.steps is not None and settings.setdefault("steps", str(args.steps)) != str(args.steps):
        raise Usage(f"`--steps {args.steps}` and `--set steps={settings['steps']}` contradict each other")
    if args.recompute and settings.setdefault("recompute", "true") != "true":
        raise Usage(f"`--recompute` and `--set recompute={settings['recompute']}` contradict each other")
    if args.file is not None:
        from attndsl.training.settings_file import read_settings

        settings = {**read_settings(args.file), **settings}
    if (code := _launched(args)) is not None:
        return code
    outcome = train(
        args.spec,
        args.data,
        args.out,
        weights=args.weights,
        settings=settings,
        backend=args.backend,
        device=args.device,
        resume=args.resume,
        compile=args.compile,
        log=args.log,
        console=console_for(sys.stdout),
        layout=args.layout,
    )
    if outcome.is_first:
        for line in _ending(outcome):
            print(line)
    return INTERRUPTED if outcome.interrupted else 0


def _launched(args: Any) -> int | None:
    """The exit code of the processes that it is started in, where it is to train in several and is none of them."""
    from attndsl.running import backends
    from attndsl.running.processes import Launch

    launch, wanted = Launch.of_environment(), args.processes
    if launch is not None and wanted not in (None, launch.size):
        raise Usage(f"`--processes {wanted}` contradicts the launcher, which started {launch.size}", "leave it out")
    if wanted == 0:
        raise Usage("`--processes 0` leaves nobody to train", "give at least 1")
    if launch is None and wanted is None and (args.layout is not None or args.resume):
        from attndsl.training.session import processes_of

        wanted = processes_of(args.layout, args.spec, args.resume)
    if launch is not None or wanted in (None, 1):
        return None
    backend = backends.preferred(lambda each: each.parallel)
    backend.require()
    return backend.launch(wanted, ["-m", "attndsl", *args.words])


def _mask(outcome: Outcome) -> str:
    """The name of the run's mask token; nothing where it has none."""
    from attndsl.runs.record import open_record

    special = open_record(outcome.run).facts["recipe"].get("special") or {}
    return str(special.get("mask", ""))


def _ending(outcome: Outcome) -> list[str]:
    from attndsl.objectives.choice import OBJECTIVES
    from attndsl.objectives.metrics import metrics_table

    if outcome.interrupted:
        return [f"stopped after step {outcome.step:,}; to resume: attndsl train --resume {outcome.run}"]
    lines = metrics_table(outcome.metrics)
    lines = ["on held-out data:", *(f"  {line}" for line in lines)] if lines else []
    use = OBJECTIVES[outcome.objective].command.format(run=outcome.run, mask=_mask(outcome))
    return [*lines, f"{outcome.step:,} steps done; to use it: attndsl {use}"]
