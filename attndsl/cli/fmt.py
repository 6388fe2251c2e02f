"""Put `.attn` files into the one layout that all specs have. What they say stays the same, and so do their comments.

Each FILE is rewritten where that changes it; of a folder, all `.attn` files in it and in its folders. `-` reads stdin
and writes to stdout. With --check or --diff nothing is written, and the exit code is 1 where something would change. A
file with a mistake is reported as `attndsl check` reports it, and left alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attndsl.cli.arguments import Parser, path
from attndsl.diagnostics import AttnError, error

STDIN = "-"


def configure(parser: Parser) -> None:
    parser.add_argument(
        "files", metavar="FILE", type=path, nargs="+", help="a file, a folder, or - for what comes from stdin"
    )
    parser.add_argument("--check", action="store_true", help="write nothing, and name the files that would change")
    parser.add_argument("--diff", action="store_true", help="write nothing, and print what would change")


def run(args: Any) -> int:
    from attndsl.cli.failures import report

    wrong = changed = same = 0
    for name in dict.fromkeys(_files(args.files)):  # each once
        try:
            differs = _format(name, args)
        except AttnError as problem:
            report(problem.diagnostics)
            wrong += 1
            continue
        changed += differs
        same += not differs
    if args.files != [STDIN] and (changed or same):
        counts = ((changed, "would change" if args.check or args.diff else "formatted"), (same, "unchanged"))
        said = (f"{count} {'file' if count == 1 else 'files'} {what}" for count, what in counts if count)
        print(", ".join(said), file=sys.stderr if args.diff else sys.stdout)  # what is printed with --diff is a patch
    return 1 if wrong or (changed and (args.check or args.diff)) else 0


def _files(names: list[str]) -> Iterator[str]:
    """The files that are meant: those of folders in the order of their names, without hidden ones."""
    for name in names:
        if not os.path.isdir(name):
            yield name
            continue
        found = [
            os.path.join(folder, file)
            for folder, _, files in os.walk(name)
            for file in files
            if file.endswith(".attn") and not _is_hidden(os.path.relpath(os.path.join(folder, file), name))
        ]
        if not found:
            raise error("E0001", f"there is no `.attn` file in `{name}`", help="name a file, or another folder")
        yield from sorted(found)


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in Path(name).parts)


def _format(name: str, args: Any) -> bool:
    """Format one file as asked, and say whether that changes it."""
    from attndsl.formatting import format_text
    from attndsl.storage.whole import write_text
    from attndsl.syntax.reading import decode

    written = _bytes(name)
    shown = "<stdin>" if name == STDIN else name
    source = decode(written, shown)
    text = format_text(source.text, shown)
    differs = text.encode() != written
    if args.diff:
        _print_diff(source.text, text, shown)
    elif name == STDIN:
        if not args.check:
            sys.stdout.buffer.write(text.encode())
    elif differs:
        if not args.check:
            write_text(Path(name), text)
        print(f"{name}: {'would change' if args.check else 'formatted'}")
    return differs


def _bytes(name: str) -> bytes:
    if name == STDIN:
        return sys.stdin.buffer.read()
    from attndsl.syntax.reading import read_bytes

    return read_bytes(name, name)


def _print_diff(before: str, after: str, name: str) -> None:
    import difflib

    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), name, f"{name}, formatted"
    )
    for line in lines:
        print(line, end="" if line.endswith("\n") else "\n\\ No newline at end of file\n")
