"""Print a model's layers as a tree, with repeated bodies shown once.

For each layer: its shape, in the spec's own names and in numbers, its parameters, the floating point operations of one
forward pass, and the memory of its activations. Sizes that the inputs bind can be given with --size.

--markdown and --latex print tables as papers have them: hyperparameters, sizes and totals, then the layers. Several
specs are columns side by side; what they have in common is said once. LaTeX's tables are set with `booktabs`. With
--json, one spec gives an object, several give a list.
"""

from __future__ import annotations

import json
from typing import Any

from attndsl.cli.arguments import Parser, add_json, add_settings, add_sizes, add_spec, add_warnings


def configure(parser: Parser) -> None:
    add_spec(parser, several=True)
    add_settings(parser)
    add_warnings(parser)
    add_sizes(parser, "sizes that the inputs bind, for concrete shapes, FLOPs and memory")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="print tables as papers have them, in Markdown")
    form.add_argument("--latex", action="store_true", help="print tables as papers have them, in LaTeX")
    add_json(form)


def run(args: Any) -> int:
    from attndsl.cli.models import load_graph
    from attndsl.inspection import inspect, render_tree

    reports = {spec: inspect(load_graph(spec, args.settings), args.sizes or None) for spec in args.specs}
    if args.json:
        found = [report.to_json() for report in reports.values()]
        print(json.dumps(found[0] if len(found) == 1 else found, indent=2, ensure_ascii=False))
    elif args.markdown or args.latex:
        from attndsl.typesetting import as_latex, as_markdown, paper_tables

        tables = paper_tables(reports)
        print((as_latex if args.latex else as_markdown)(tables), end="")
    else:
        print("\n\n".join(map(render_tree, reports.values())))
    return 0
