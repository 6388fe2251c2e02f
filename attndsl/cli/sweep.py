"""Train a spec with every combination of some settings, each with several seeds, and compare what comes of them.

Values are separated by commas (--set lr=3e-4,1e-3 --set norm=layer_norm,rms_norm); those in brackets belong together
(--set 'betas=[0.9,0.95],[0.9,0.999]'). A setting with one value is that of all runs. With --random N so many
combinations are drawn instead of all, also from ranges: --set 'lr=log(1e-4,1e-2)', --set 'dropout=uniform(0,0.5)'.

All combinations are checked before the first run starts. Each run is a folder in --out, as `attndsl train` writes it,
so that `attndsl runs` compares them. A sweep that was stopped, in whatever way, is resumed with --resume; one that is
finished shows its table again. At the end there is a line for each combination, with the mean over the seeds ± their
standard deviation, and which differences are larger than that.

SPEC may be a TOML file: `spec`, `data`, and what is not said otherwise of `out`, `seeds`, `random`, `jobs`, `weights`,
`backend`, `device`, `compile`, with the values in a table `[set]`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attndsl.cli.arguments import Parser, Usage, add_backend, add_json, add_settings, add_warnings, path, positive

if TYPE_CHECKING:
    from attndsl.training.console import Console
    from attndsl.training.sweep import Sweep

SCHEMA = "attndsl.sweep/1"
GIVEN = ("spec", "data", "out", "seeds", "random", "jobs", "weights", "backend", "device", "compile", "set")
"""What the file of a sweep may say."""


def configure(parser: Parser) -> None:
    from attndsl.training.logs import LOGS

    parser.add_argument("spec", metavar="SPEC", type=path, nargs="?", help="a spec, or a .toml file that says it all")
    parser.add_argument("--data", metavar="PATH", type=path, nargs="+", help="what to train on, as for `attndsl train`")
    add_settings(parser, "a setting with the values to try, separated by commas (may be repeated)")
    parser.add_argument("--seeds", metavar="N", type=positive, help="train each combination with N seeds (default: 1)")
    parser.add_argument("--random", metavar="N", type=positive, help="draw N combinations instead of taking all")
    parser.add_argument("--jobs", metavar="N", type=positive, help="how many runs at a time (default: 1)")
    parser.add_argument("--out", metavar="FOLDER", type=path, help="the sweep's folder (default: runs/SPEC-sweep)")
    parser.add_argument("--resume", metavar="FOLDER", type=path, help="go on with this sweep")
    parser.add_argument("--weights", metavar="PATH", type=path, help="start each run from these weights")
    add_backend(parser)
    parser.add_argument(
        "--log", choices=tuple(LOGS), action="append", default=[],
        help="write the runs' logs in this form too, as `attndsl train` does (may be repeated)",
    )  # fmt: skip
    parser.add_argument("--compile", action="store_true", default=None, help="compile the models with torch.compile")
    add_warnings(parser)
    add_json(parser)


def run(args: Any) -> int:
    from attndsl.cli.failures import INTERRUPTED
    from attndsl.training.console import console_for
    from attndsl.training.sweep import open_sweep
    from attndsl.training.sweeping import run_sweep

    console = console_for(sys.stderr if args.json else sys.stdout)
    if (args.spec is None) == (args.resume is None):
        raise Usage("give a SPEC to train, or a sweep to go on with: `--resume FOLDER`")
    if args.resume is not None:
        given = [f"--{name}" for name in ("data", "seeds", "random", "out", "weights") if getattr(args, name)]
        given += ["--set"] if args.settings else []
        if given:
            raise Usage(f"`--resume` goes on with what the sweep began with, and `{given[0]}` would change it",
                        "leave it out, or start another sweep")  # fmt: skip
        sweep = open_sweep(Path(args.resume))
    else:
        sweep = _planned(args, console)
    console.say(f"{len(sweep.runs)} runs in {sweep.folder}{_what(sweep)}")
    progress = run_sweep(sweep, args.jobs or 1, console)
    if progress.interrupted:
        print(f"stopped; to go on: attndsl sweep --resume {sweep.folder}")
        return INTERRUPTED
    _report(args, sweep, progress.finished)
    if progress.failed:
        print(f"{len(progress.failed)} of {len(sweep.runs)} runs failed; to try them again: "
              f"attndsl sweep --resume {sweep.folder}", file=sys.stderr)  # fmt: skip
    return 1 if progress.failed else 0


def _planned(args: Any, console: Console) -> Sweep:
    """The sweep that the words of the command line and its file ask for."""
    from attndsl.training.grid import split_values
    from attndsl.training.sweep import default_folder, plan

    values = {name: split_values(value) for name, value in args.settings.items()}
    if args.spec.endswith(".toml"):
        values = {**_from_file(args), **values}
    if not args.data:
        raise Usage("`--data` is missing: say what to train on", f"attndsl sweep {args.spec} --data book.txt --set …")
    out = Path(args.out) if args.out else default_folder(args.spec)
    return plan(
        args.spec, args.data, out, values, seeds=args.seeds or 1, tries=args.random, weights=args.weights,
        backend=args.backend, device=args.device, compile=bool(args.compile), logs=args.log, console=console,
    )  # fmt: skip


def _from_file(args: Any) -> dict[str, list[str]]:
    """What the file says goes where the command line says nothing. Raises E0725."""
    from attndsl.diagnostics import did_you_mean, error, listed
    from attndsl.training.grid import as_values
    from attndsl.training.settings_file import flat, read_toml

    file = Path(args.spec)
    said = read_toml(file)
    for name in said:
        if name not in GIVEN:
            raise error(
                "E0725", f"`{file}` says `{name}`, which is nothing of a sweep",
                help=did_you_mean(name, GIVEN) or f"it may say {listed(GIVEN, 'and')}; settings stand in `[set]`",
            )  # fmt: skip
    kinds = {"seeds": int, "random": int, "jobs": int, "compile": bool}
    for name, value in said.items():
        wanted = kinds.get(name, str)
        plain = value if name != "data" or isinstance(value, str) else "".join(map(str, value))
        if name != "set" and (type(plain) is not wanted or (wanted is int and value < 1)):
            what = {int: "a whole number of at least 1", bool: "true or false", str: "a text in quotes"}[wanted]
            raise error("E0725", f"`{name}` in `{file}` is {what}, not {value}", help=f"write `{name} = …` so")
        if name != "set" and getattr(args, name, None) in (None, args.spec):
            setattr(args, name, [value] if name == "data" and isinstance(value, str) else value)
    if args.spec == str(file):
        raise error("E0725", f"`{file}` does not say which spec", help='write `spec = "gpt_nano"`')
    return {name: as_values(value) for name, value in flat(said.get("set", {}), file).items()}


def _what(sweep: Sweep) -> str:
    seeds = f", {sweep.seeds} seeds each" if sweep.seeds > 1 else ""
    return (f": {', '.join(sweep.axes)}" if sweep.axes else "") + seeds


def _report(args: Any, sweep: Sweep, histories: Any) -> None:
    from attndsl.cli.using import print_table
    from attndsl.runs.spread import by_settings, table, to_json, verdict
    from attndsl.training.sweeping import in_order

    groups = by_settings(in_order(sweep, histories))
    if args.json:
        import json

        found = {"schema": SCHEMA, "folder": str(sweep.folder), "combinations": to_json(groups)}
        print(json.dumps({**found, "verdict": verdict(groups)}, indent=2, ensure_ascii=False, default=str))
    elif groups:
        print_table(*table(groups))
        print(verdict(groups) or f"`attndsl runs {sweep.folder}` shows each run")
