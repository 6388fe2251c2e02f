"""Serve an editor: diagnostics, types, completion, renaming, by the Language Server Protocol on stdin and stdout.

An editor starts this; docs/editors.md says how for each. It needs pygls: pip install 'attndsl[editor]'.
"""

from __future__ import annotations

from typing import Any

from attndsl.cli.arguments import Parser


def configure(parser: Parser) -> None:
    parser.add_argument("--stdio", action="store_true", help="speak on stdin and stdout, as it does anyway")


def run(args: Any) -> int:
    from attndsl.language_server import serve

    serve()
    return 0
