"""Draw an architecture as papers do: blocks, residual arrows, a frame marked × 12 around a repeated body.

The ending of the output file decides the format: .svg, .png, .pdf or .dot. The same spec gives the same bytes. .html
writes a page that needs nothing else, with layers that open and close by a click, and the text, the table of layers and
the masks beside it. --optimized draws what is left after the passes, with the operations that they have fused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attndsl.cli.arguments import Parser, add_output, add_settings, add_sizes, add_spec, add_warnings, natural
from attndsl.drawing.style import PAGES, PARTS, Style


def configure(parser: Parser) -> None:
    add_spec(parser)
    add_settings(parser)
    add_warnings(parser)
    add_sizes(parser, "sizes that the inputs bind: shapes on the edges are then numbers")
    add_output(parser, "the file to draw into: FILE.svg, .png, .pdf, .dot or .html", required=True)
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
    parser.add_argument("--landscape", action="store_true", help="draw from left to right")
    parser.add_argument("--fit", choices=PAGES, help="fit a slide (16:9, from left to right) or a column of a paper")
    parser.add_argument(
        "--no",
        dest="without",
        choices=PARTS,
        action="append",
        default=[],
        help="leave out the loss (with all that is a single number), the legend, the title or the shapes (may be "
        "repeated)",
    )
    parser.add_argument("--plain", action="store_true", help="leave out all of these")
    parser.add_argument(
        "--unrolled", action="store_true", help="draw a scan as its first two steps and its last one, not folded"
    )
    parser.add_argument("--optimized", action="store_true", help="draw the graph that the passes make")


def run(args: Any) -> int:
    style = Style(args.landscape, frozenset(PARTS if args.plain else args.without), args.fit or "", args.unrolled)
    if Path(args.output).suffix.lower() in (".html", ".htm"):
        _write_page(args, style)
    else:
        from attndsl.cli.models import load_graph
        from attndsl.drawing import render

        graph = load_graph(args.spec, args.settings)
        if args.optimized:
            from attndsl.passes import optimize

            graph, _ = optimize(graph)
        depth, expand = args.depth, tuple(args.expand)
        render(graph, args.output, depth=depth, expand=expand, sizes=args.sizes or None, style=style)
    print(f"drew {args.output}")
    return 0


def _write_page(args: Any, style: Style) -> None:
    from attndsl.api.checking import of_run
    from attndsl.cli.paths import checked, write_text
    from attndsl.diagnostics import warn
    from attndsl.model_page import FollowedSpec, standalone

    checked(args.output)
    examined = FollowedSpec(*of_run(args.spec, args.settings)).now
    if examined.graph is not None:
        warn(*examined.diagnostics)
    text = standalone(
        examined, args.sizes, depth=args.depth, expand=tuple(args.expand), style=style, optimized=args.optimized
    )
    write_text(text, args.output)
