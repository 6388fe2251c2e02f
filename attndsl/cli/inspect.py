"""Print a model's layers as a tree, with repeated bodies shown once.

For each layer: its shape, in the spec's own names and in numbers, its parameters, the floating point operations of one
forward pass, and the memory of its activations. Sizes that the inputs bind can be given with --size.

--markdown and --latex print tables as papers have them: hyperparameters, sizes and totals, then the layers. Several
specs are columns side by side; what they have in common is said once. LaTeX's tables are set with `booktabs`. With
--json, one spec gives an object, several give a list.

With --machine, a step of training is planned on paper: what each device holds, what it sends, how long the step takes,
by a stated model of the machine (docs/planning.md). The layout says what is divided over the devices (without one: rows
and parameters), --plan how the rest is done, --size how many rows and tokens a step has. --search looks for the fastest
plan that fits.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from attndsl.cli.arguments import Parser, Usage, add_json, add_settings, add_sizes, add_spec, add_warnings, positive


def configure(parser: Parser) -> None:
    add_spec(parser, several=True)
    add_settings(parser)
    add_warnings(parser)
    add_sizes(parser, "sizes that the inputs bind, for concrete shapes, FLOPs and memory")
    _add_planning(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="print tables as papers have them, in Markdown")
    form.add_argument("--latex", action="store_true", help="print tables as papers have them, in LaTeX")
    add_json(form)


def _add_planning(parser: Parser) -> None:
    parser.add_argument(
        "--machine",
        metavar="NAME",
        help="plan a step of training on these machines: h100x8, a100-80x8, or one of your own, my.toml:name",
    )
    parser.add_argument("--nodes", type=positive, metavar="N", help="how many of them there are")
    parser.add_argument(
        "--layout",
        metavar="LAYOUT",
        help="a layout of the spec, or one that is written here: 'data=8, model=8; B on data; heads, hidden on model'",
    )
    parser.add_argument(
        "--plan",
        metavar="NAME=VALUE,…",
        help="what no layout says: virtual=N, micro_batch=N (1 without), recompute=none|selective|full, "
        "parameters=divided|states|whole, kernels=eager|fused|compiled, precision=bf16|fp8|fp32, "
        "loss=plain|fused|chunked, schedule=gpipe|1f1b, dispatch=allgather|alltoall, "
        "attention=flash2|materialised|…, async_tensor=no|yes",
    )
    parser.add_argument("--search", action="store_true", help="look for the fastest plan that fits")
    parser.add_argument("--tokens", type=_tokens, metavar="N", help="a training's tokens, for its days: 300G, 15T")


def run(args: Any) -> int:
    if args.machine is not None:
        return _plan(args)
    for option in ("nodes", "layout", "plan", "search", "tokens"):
        if getattr(args, option) not in (None, False):
            raise Usage(f"`--{option}` is for a plan, which needs a `--machine`", "for example `--machine h100x8`")
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


def _plan(args: Any) -> int:
    from attndsl.cli.models import load
    from attndsl.planning.request import plan_on_paper
    from attndsl.planning.shown import render, to_json

    if args.markdown or args.latex:
        raise Usage("a plan is printed as text, or with --json")
    if args.search and args.layout is not None:
        raise Usage("`--search` looks for a layout; leave out `--layout`")
    texts, found = [], []
    for name in args.specs:
        spec, graph = load(name, args.settings)
        plan = plan_on_paper(
            spec, graph, machine_name=args.machine, nodes=args.nodes, layout=args.layout, choices=args.plan or "",
            sizes=args.sizes, searching=args.search,
        )  # fmt: skip
        texts.append(render(plan, graph.title, args.tokens))
        found.append(to_json(plan, args.tokens))
    if args.json:
        print(json.dumps(found[0] if len(found) == 1 else found, indent=2, ensure_ascii=False))
    else:
        print("\n\n".join(texts), end="")
    return 0


def _tokens(text: str) -> float:
    from attndsl.planning.request import read_tokens

    try:
        return read_tokens(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}` is not a number of tokens, such as 300G or 15T") from None
