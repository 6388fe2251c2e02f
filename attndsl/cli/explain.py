"""Explain a code of an error or a warning: what it means, a program that has it and one that does not.

Without a code, all codes are listed.
"""

from __future__ import annotations

import sys
from typing import Any

from attndsl.cli.arguments import USAGE, Parser, add_json

SCHEMA = "attndsl.explain/1"


def configure(parser: Parser) -> None:
    parser.add_argument("code", metavar="CODE", nargs="?", help="a code as it appears in messages: E0203, W0101")
    add_json(parser)


def run(args: Any) -> int:
    from attndsl.diagnostics import did_you_mean
    from attndsl.diagnostics.codes import RANGES, codes, explanation, read_code

    known = codes()
    if args.code is None:
        entries = [read_code(code) for code in known]
    else:
        code = args.code.strip().strip("[]:").upper()
        code = f"E{code.zfill(4)}" if code.isdecimal() else code
        if code not in known:
            from attndsl.diagnostics.report import as_message

            helps = (*did_you_mean(code, known), "`attndsl explain` lists all codes")
            lines = [f"attndsl explain: there is no code `{args.code}`", *helps]
            print("\n  ".join(map(as_message, lines)), file=sys.stderr)
            return USAGE
        entries = [read_code(code)]
    if args.json:
        import json

        print(json.dumps({"schema": SCHEMA, "codes": [e._asdict() for e in entries]}, indent=2, ensure_ascii=False))
    elif args.code is not None:
        print(explanation(entries[0]))
    else:
        for prefix, about in RANGES.items():
            print(f"{prefix}xx  {about}")
            for entry in entries:
                if entry.code.startswith(prefix):
                    print(f"  {entry.code}  {entry.title}")
    return 0
