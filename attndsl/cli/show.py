"""Print the text of a spec, or of the standard library's file that has a block, mask or bias.

`attndsl show gpt2 > my.attn` gives a spec to change; `attndsl show layer_norm` shows how the norm is written.
"""

from __future__ import annotations

import sys
from typing import Any

from attndsl.cli.arguments import Parser, path


def configure(parser: Parser) -> None:
    parser.add_argument(
        "spec", metavar="SPEC", type=path, help="a spec, or a name of the standard library: gpt2, layer_norm, causal"
    )


def run(args: Any) -> int:
    sys.stdout.write(_text(args.spec))
    return 0


def _text(name: str) -> str:
    from attndsl.elaborate import open_spec, shipped
    from attndsl.elaborate.files import standard_names

    place = standard_names().get(name)
    if place is not None and name not in shipped():
        return place.read_text(encoding="utf-8")
    return open_spec(name).source.text
