"""Compare training runs: what differs between them, and how well each went.

Each line is a run: its spec, the settings and the texts in which the runs differ from each other (and no others), its
parameters, the steps it did, the FLOPs it spent (three times those of the forward passes), tokens per second (the
median), the best and the last loss on held-out data, the metrics at its end, and whether it is running, finished,
stopped, or broken. The loss is the cross entropy where an output says the answers, whatever was minimised.

--sort and --where take the name of any column, of those that only --json and --csv show too: every setting, every
metric. --plot draws the runs' curves over each other: thin as measured, thick as smoothed, a marker for each evaluation
on held-out data; a .html has the table below the picture.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from attndsl.cli.arguments import Parser, Usage, add_json, path

if TYPE_CHECKING:
    from attndsl.runs.found import Unreadable
    from attndsl.runs.history import History
    from attndsl.runs.overview import Column

SCHEMA = "attndsl.runs/1"
SPARED = ("FLOPs", "at step", "tokens/s", "parameters", "step", "spec", "best")
"""What a narrow terminal is not shown, in this order, as far as is needed."""


def configure(parser: Parser) -> None:
    from attndsl.runs.plot import AGAINST

    parser.add_argument(
        "places", metavar="RUN|FOLDER", type=path, nargs="*", default=["runs"],
        help="runs, and folders with runs somewhere in them (default: runs)",
    )  # fmt: skip
    parser.add_argument("--sort", metavar="NAME", help="sort by a column; -NAME sorts downwards (--sort=-best)")
    parser.add_argument(
        "--where", metavar="CONDITION", action="append", default=[],
        help="only runs of which this holds: 'lr<=1e-3', state=finished (may be repeated: all hold)",
    )  # fmt: skip
    parser.add_argument("--plot", metavar="FILE", type=path, help="draw the curves into FILE.svg or FILE.html")
    parser.add_argument(
        "--curve", metavar="NAME", default="loss",
        help="what is drawn: a number of the log, such as scalars.balance, grad_norm, held_out (default: loss)",
    )  # fmt: skip
    parser.add_argument(
        "--against", choices=tuple(AGAINST), default="steps", help="what it is drawn over (default: steps)"
    )
    parser.add_argument("--csv", action="store_true", help="print all columns as CSV")
    add_json(parser)


def run(args: Any) -> int:
    from attndsl.runs.found import find_runs
    from attndsl.runs.overview import Misasked, columns_of, keep, sort

    if args.json and args.csv:
        raise Usage("`--json` and `--csv` are two ways to print the same", "give one of them")
    histories, unreadable = find_runs(args.places)
    columns = columns_of(histories)
    try:
        for condition in args.where:
            histories = keep(histories, columns, condition)
        if args.sort:
            histories = sort(histories, columns, args.sort)
        columns = columns_of(histories)
        if args.plot:
            _draw(args, histories, columns)
    except Misasked as problem:
        raise Usage(problem.message, *problem.helps) from None
    if args.where and not histories:
        print("no run is as `--where` asks", file=sys.stderr)
    if args.json:
        print(_json(histories, columns, unreadable))
    elif args.csv:
        _csv(histories, columns)
    elif histories:
        _table(histories, columns)
    _complain(unreadable)
    return 0 if histories else 1


def _cells(histories: list[History], columns: list[Column]) -> tuple[list[str], list[list[str]]]:
    shown = [column for column in columns if column.for_people]
    shown = [column for column in shown if any(column.value(each) is not None for each in histories)]
    return [column.name for column in shown], [[column.text(each) for column in shown] for each in histories]


def _table(histories: list[History], columns: list[Column]) -> None:
    from shutil import get_terminal_size

    from attndsl.cli.using import print_table, table_width
    from attndsl.runs.overview import remarks
    from attndsl.runs.texts import changes

    numbers = [each.name for each in columns if each.is_numeric(histories)]
    left_out: list[str] = []
    cells = _cells(histories, columns)
    if sys.stdout.isatty():
        room = get_terminal_size().columns
        for name in SPARED:
            if table_width(*cells) > room and name in cells[0]:
                left_out.append(name)
                cells = _cells(histories, [each for each in columns if each.name not in left_out])
    print_table(*cells, numbers=numbers)
    if left_out:
        print(f"for want of room without {', '.join(left_out)}: `--csv` and `--json` have all")
    for line in (*changes(histories), *remarks(histories)):
        print(line)


def _json(histories: list[History], columns: list[Column], unreadable: list[Unreadable]) -> str:
    import json

    from attndsl.diagnostics.report import to_json
    from attndsl.runs.history import BROKEN, differing
    from attndsl.runs.overview import remarks
    from attndsl.runs.texts import changes

    def plain(each: History) -> dict[str, Any]:
        beside = {column.name: column.value(each) for column in columns if column.name not in each.settings}
        return {"folder": str(each.folder), **beside, "settings": each.settings, "metrics": list(each.metrics.values())}

    broken = [
        {"folder": str(each.folder), "state": BROKEN, **to_json((each.problem,))["diagnostics"][0]}
        for each in unreadable
    ]
    found = {
        "schema": SCHEMA,
        "differing": differing(histories),
        "texts": list(changes(histories)),
        "remarks": remarks(histories),
        "runs": [plain(each) for each in histories],
        "broken": broken,
    }
    return json.dumps(found, indent=2, ensure_ascii=False, default=str)


def _csv(histories: list[History], columns: list[Column]) -> None:
    import csv

    from attndsl.runs.overview import written

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([column.name for column in columns])
    for each in histories:
        values = (column.value(each) for column in columns)
        writer.writerow(["" if v is None else repr(v) if isinstance(v, float) else written(v) for v in values])


def _draw(args: Any, histories: list[History], columns: list[Column]) -> None:
    from pathlib import Path

    from attndsl.cli.paths import write_text
    from attndsl.diagnostics import error
    from attndsl.runs.overview import remarks
    from attndsl.runs.plot import page, plot
    from attndsl.runs.texts import changes

    kind = Path(args.plot).suffix.lower()
    if kind not in (".svg", ".html"):
        name = Path(args.plot).name
        raise error("E0902", f"curves are drawn as .svg or .html, not as `{name}`", help="end its name in `.svg`")
    if not histories:
        return
    drawn = plot(histories, args.curve, args.against)
    if kind == ".html":
        drawn = page(drawn, *_cells(histories, columns), [*changes(histories), *remarks(histories)])
    write_text(drawn, args.plot)
    print(f"drew {args.plot}", file=sys.stderr if args.json or args.csv else sys.stdout)


def _complain(unreadable: list[Unreadable]) -> None:
    """Each folder that cannot be read, on stderr: the table of the rest is as good as without it."""
    from attndsl.runs.history import BROKEN

    for each in unreadable:
        way = f"; {each.problem.helps[0]}" if each.problem.helps else ""
        print(f"{each.folder}: {BROKEN}: {each.problem.message}{way}", file=sys.stderr)
