"""Draw an architecture as papers do: blocks, residual arrows, a frame marked × 12 around a repeated body.

The ending of the output file decides the format: .svg, .png, .pdf or .dot. The same spec gives the same bytes.
"""

from __future__ import annotations

from typing import Any

from attndsl.cli.arguments import Parser, add_output, add_settings, add_sizes, add_spec, add_warnings, natural


def configure(parser: Parser) -> None:
    add_spec(parser)
    add_settings(parser)
    add_warnings(parser)
    add_sizes(parser, "sizes that the inputs bind: shapes on the edges are then numbers")
    add_output(parser, "the file to draw into: FILE.svg, .png, .pdf or .dot", required=True)
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--depth",
        type=natural,
        metavar="N",
        help="how many levels of layers to open (default: as many as stay readable)",
    )
    how.add_argument(
        "--expand",
        metavar="PATH",
        action="append",
        default=[],
        help="open the layer at this address: h.attn (may be repeated)",
    )


def run(args: Any) -> int:
    from attndsl.cli.models import load_graph
    from attndsl.drawing import render

    render(
        load_graph(args.spec, args.settings),
        args.output,
        depth=args.depth,
        expand=tuple(args.expand),
        sizes=args.sizes or None,
    )
    print(f"drew {args.output}")
    return 0
