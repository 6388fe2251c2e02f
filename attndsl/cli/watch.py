"""Follow a file in a browser while it is being written: its diagram, layers and masks, and what is wrong, in place.

The page is served on this machine alone (127.0.0.1) and changes whenever the file, or one that it imports, is written.
While the text is broken, it shows the last model that was right beside the errors. A click on a box opens the layer
and shows its line; a click on a line shows its box; sizes are chosen on the page. Ctrl-C ends it. `attndsl render SPEC
-o model.html` writes the same page as one file.
"""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Any

from attndsl.cli.arguments import Parser, add_settings, add_sizes, add_spec, natural

if TYPE_CHECKING:
    from attndsl.model_page import Examined


def configure(parser: Parser) -> None:
    add_spec(parser)
    add_settings(parser)
    add_sizes(parser, "sizes that the inputs bind, for shapes, FLOPs and memory, until others are chosen on the page")
    parser.add_argument(
        "--port", type=natural, metavar="N", help="the port to serve on (default: 8765, or a free one; 0: a free one)"
    )
    parser.add_argument("--no-open", action="store_true", help="open no browser")


def run(args: Any) -> int:
    from attndsl.api.checking import of_run
    from attndsl.model_page import FollowedSpec, PageServer, serve

    followed = FollowedSpec(*of_run(args.spec, args.settings))
    server = PageServer(followed, args.port, args.sizes)
    print(f"{args.spec} is shown at {server.address} (Ctrl-C ends it)", flush=True)
    if not args.no_open and not _opens(server.address):
        print("no browser was found: open that address in one", file=sys.stderr, flush=True)
    try:
        serve(server, _tell)
    except KeyboardInterrupt:
        gc.freeze()  # else Python looks through the whole model before it goes
        print("\nended", flush=True)
    return 0


def _opens(address: str) -> bool:
    import webbrowser

    try:
        return webbrowser.open(address)
    except webbrowser.Error:
        return False


def _tell(now: Examined) -> None:
    """A line for each text that the file has."""
    errors = [it for it in now.diagnostics if not it.is_warning]
    if errors:
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        place = f"line {first.primary.span.in_file.line}: " if first.primary else ""
        print(f"{now.name}: {place}error[{first.code}]: {first.message}{more}", flush=True)
    elif now.graph is not None:
        warnings = f" · {len(now.diagnostics)} warning{'s' * (len(now.diagnostics) > 1)}" if now.diagnostics else ""
        print(f"{now.name}: ok · {now.graph.parameter_count:,} parameters{warnings}", flush=True)
