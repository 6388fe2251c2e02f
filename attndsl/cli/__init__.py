"""The `attndsl` command: `attndsl VERB …`, one module for each verb, found through the table in `attndsl.cli.verbs`.

Given the words of a command line; gives what the verb prints and an exit code. A verb reads its words, calls the
library and prints: nothing is worked out here.
"""

from __future__ import annotations

import sys

from attndsl.cli.arguments import USAGE, Parser, Usage
from attndsl.cli.verbs import VERBS
from attndsl.diagnostics import AttnError, did_you_mean, listening


def main(argv: list[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's) and give its exit code: 0 it went well, 1 what was asked
    for failed and why is said, 2 the command line makes no sense, 130 interrupted."""
    from attndsl.cli import failures

    argv = sys.argv[1:] if argv is None else argv
    return failures.guarded(lambda: _dispatch(argv), as_json="--json" in argv)


def _dispatch(argv: list[str]) -> int:
    name = argv[0] if argv else "--help"
    if name in ("-h", "--help", "help"):
        if len(argv) > 1 and argv[1] in VERBS:
            return _dispatch([argv[1], "--help"])
        print(overview())
        return 0 if argv else USAGE
    if name in ("-V", "--version"):
        from attndsl import __version__

        print(f"attndsl {__version__}")
        return 0
    if name not in VERBS:
        from attndsl.diagnostics.report import as_message
        from attndsl.habits import VERBS as ELSEWHERE
        from attndsl.habits import called_here

        helps = called_here(name, ELSEWHERE, VERBS) or did_you_mean(name, [*VERBS, "--help", "--version"])
        what = "option" if name.startswith("-") else "verb"
        lines = [f"attndsl: there is no {what} `{name}`", *helps, "`attndsl --help` lists the verbs"]
        print("\n  ".join(map(as_message, lines)), file=sys.stderr)
        return USAGE
    verb = VERBS[name]
    module = verb.module
    parser = Parser(
        f"attndsl {verb.name}", description=(module.__doc__ or "").strip(), epilog=f"example:\n  attndsl {verb.example}"
    )
    module.configure(parser)
    args = parser.parse_strictly(argv[1:])
    args.words = argv
    from attndsl.cli.failures import Warnings, with_settings

    try:
        with listening(Warnings(args)):
            return int(module.run(args))
    except AttnError as problem:
        raise AttnError(*with_settings(problem.diagnostics, getattr(args, "settings", {}))) from None
    except Usage as problem:
        parser.error(problem.message, *problem.helps)


def overview() -> str:
    """What `attndsl --help` prints."""
    lines = [
        "attndsl: a language for neural architectures, and its compiler.",
        "",
        "A SPEC is a file (my.attn), a shipped spec (gpt2), or a variant of either (gpt2:medium).",
    ]
    groups = dict.fromkeys(verb.group for verb in VERBS.values())
    for group in groups:
        lines += ["", f"{group}:"]
        for verb in VERBS.values():
            if verb.group == group:
                lines += [f"  {verb.name:<9} {verb.summary}", f"  {'':<9}   attndsl {verb.example}"]
    lines += [
        "",
        "`attndsl VERB --help` explains a verb; `attndsl --version` prints the version.",
        "Start with:  attndsl check gpt2",
    ]
    return "\n".join(lines)
