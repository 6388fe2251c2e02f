"""Write docs/commands.md from the commands themselves: `python scripts/commands.py` (a test says when it is due)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from attndsl.cli.arguments import Parser
from attndsl.cli.verbs import VERBS, Verb

PAGE = Path(__file__).resolve().parents[1] / "docs" / "commands.md"

HEAD = """# Commands

A SPEC is a file (`my.attn`), a shipped spec (`gpt2`), or a variant of either (`gpt2:medium`). Every command ends with
exit code 0 if it went well, 1 if what was asked for failed (a spec is wrong, two backends differ; the reason is on
stderr, or on stdout with `--json`), 2 if the command line makes no sense, 130 if it was interrupted. JSON carries a
`schema` with a version. `NO_COLOR` and `FORCE_COLOR` are obeyed; `ATTNDSL_TRACEBACK=1` shows where an error comes from.

This page is written by `scripts/commands.py`.
"""


def page() -> str:
    """The text of docs/commands.md."""
    parts = [HEAD]
    group = ""
    for verb in VERBS.values():
        if verb.group != group:
            group = verb.group
            parts.append(f"## {group[:1].upper()}{group[1:]}\n")
        parts.append(_section(verb))
    return "\n".join(parts)


def _section(verb: Verb) -> str:
    parser = Parser(f"attndsl {verb.name}")
    verb.module.configure(parser)
    lines = [f"### attndsl {verb.name}", ""]
    for paragraph in (verb.module.__doc__ or "").strip().split("\n\n"):
        lines += (
            ["```text", paragraph, "```", ""] if paragraph.startswith("--") and "  " in paragraph else [paragraph, ""]
        )
    lines += ["```text", f"attndsl {verb.example}", "```", ""]
    for action in parser._actions:
        if action.dest != "help":
            lines.append(f"- `{_written(action)}`: {action.help}")
    return "\n".join(lines) + "\n"


def _written(action: argparse.Action) -> str:
    """`-o, --output PATH`, `--dtype float32|float64`, `SPEC…`."""
    value = "|".join(map(str, action.choices)) if action.choices else action.metavar or action.dest.upper()
    several = "…" if action.nargs == "+" else ""
    if not action.option_strings:
        return f"{value}{several}"
    return ", ".join(action.option_strings) + ("" if action.nargs == 0 else f" {value}{several}")


def main() -> int:
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
