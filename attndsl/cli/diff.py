"""Say what changes in meaning from one model to another, whatever changes in their texts.

Each side is a file, a shipped spec, a variant, the folder of a run, or a file as git has it: `HEAD~1:specs/my.attn`.
Hyperparameters, layers (added, removed, moved, renamed, rewired), parameters, shapes, states, masks and positions as
formulas. With -o both sides are drawn in one picture: kept grey, gone struck out, new with a thick border.

Every change has a class, worst first: weights (files of weights no longer fit), numerics (other numbers come out),
state, shape (of inputs and outputs), layout (the same in another order), cosmetic (names alone). The exit code is 0
where both mean the same, 1 where they differ (with --fail-on, by a change of that class or a worse one), 2 where one
of them cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attndsl.cli.arguments import USAGE, Parser, add_json, add_output, add_settings, path
from attndsl.diagnostics import AttnError, error

if TYPE_CHECKING:
    from attndsl.differences import Differences
    from attndsl.graph import Graph

_REVISION = re.compile(r"(?P<revision>[^:]*):(?P<path>.+\.attn)(?::(?P<wanted>[^:]+))?")


def configure(parser: Parser) -> None:
    from attndsl.differences.classes import CLASSES

    parser.add_argument("before", metavar="BEFORE", type=path, help="a spec, a run, or REV:FILE as git spells it")
    parser.add_argument("after", metavar="AFTER", type=path, help="the other one")
    add_settings(parser, "set a hyperparameter of both sides (may be repeated)")
    add_output(parser, "draw both sides into FILE.svg, .png, .pdf or .dot")
    parser.add_argument(
        "--fail-on", metavar="CLASS", choices=CLASSES, default=CLASSES[-2],
        help=f"the mildest class of a change that gives exit code 1: {', '.join(CLASSES)} (default: {CLASSES[-2]})",
    )  # fmt: skip
    add_json(parser)


def run(args: Any) -> int:
    from attndsl.cli.failures import report
    from attndsl.differences import differences

    try:
        graphs = [_side(name, args.settings) for name in (args.before, args.after)]
        found = differences(graphs[0], graphs[1], (args.before, args.after))
        if args.output:
            _draw(graphs[0], graphs[1], found, args.output)
    except AttnError as problem:
        report(problem.diagnostics, as_json=args.json)
        return USAGE
    if args.json:
        import json

        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        from attndsl.differences.telling import told

        print(told(found))
    return 1 if found.reaching(args.fail_on) else 0


def _draw(before: Graph, after: Graph, found: Differences, output: str) -> None:
    from attndsl.differences.picture import scene_of_both
    from attndsl.drawing.output import write_scene

    write_scene(lambda: scene_of_both(before, after, found.matching, found.names), output)


def _side(name: str, settings: Mapping[str, str]) -> Graph:
    from attndsl.api.checking import of_run
    from attndsl.elaborate import elaborate, open_spec, open_text

    revision = _REVISION.fullmatch(name)
    if revision is not None:
        text = _as_git_has_it(f"{revision['revision']}:{revision['path']}")
        return elaborate(open_text(text, revision["wanted"] or "", name), settings)
    spec, merged = of_run(name, settings)
    return elaborate(open_spec(spec), merged)


def _as_git_has_it(name: str) -> str:
    import subprocess

    try:
        done = subprocess.run(["git", "show", "--end-of-options", name], capture_output=True, check=False)
    except FileNotFoundError:
        raise error("E0001", f"`{name}` names a revision, and there is no `git` here", help="install git") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().split("\n")[0].removeprefix("fatal: ")
        raise error(
            "E0001", f"git has no `{name}`", note=said,
            help="paths start at the top of the repository; `REV:./FILE` starts in this folder",
        )  # fmt: skip
    from attndsl.syntax.reading import decode

    return decode(done.stdout, name).text
