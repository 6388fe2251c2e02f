"""Print a model's layers as a tree, with repeated bodies shown once.

For each layer: its shape, in the spec's own names and in numbers, its parameters, the floating point operations of one
forward pass, and the memory of its activations. Sizes that the inputs bind can be given with --size.
"""

from __future__ import annotations

import json
from typing import Any

from attndsl.cli.arguments import Parser, add_json, add_settings, add_sizes, add_spec, add_warnings


def configure(parser: Parser) -> None:
    add_spec(parser)
    add_settings(parser)
    add_warnings(parser)
    add_sizes(parser, "sizes that the inputs bind, for concrete shapes, FLOPs and memory")
    add_json(parser)


def run(args: Any) -> int:
    from attndsl.cli.models import load_graph
    from attndsl.inspection import inspect, render_tree

    summary = inspect(load_graph(args.spec, args.settings), args.sizes or None)
    print(json.dumps(summary.to_json(), indent=2, ensure_ascii=False) if args.json else render_tree(summary))
    return 0
