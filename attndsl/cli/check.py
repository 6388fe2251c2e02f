"""Check that specs are right: names, sizes, axes, masks, before a tensor exists.

Each mistake is reported with its place, what it conflicts with, and how to fix it where that is known: the first
twenty, and how many more there are. `attndsl explain E0203` explains a code. For a spec without mistakes the number of
the model's parameters at these hyperparameters is printed. What is allowed but was hardly meant is a warning, or an
error with --strict. `-` reads a spec from stdin, as editors pass on what is not saved yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attndsl.cli.arguments import Parser, add_json, add_settings, add_spec, add_warnings

if TYPE_CHECKING:
    from attndsl.elaborate import Spec

SCHEMA = "attndsl.check/1"
STDIN = "-"


def configure(parser: Parser) -> None:
    add_spec(parser, several=True)
    add_settings(parser)
    add_warnings(parser)
    add_json(parser)


def run(args: Any) -> int:
    from attndsl.cli.failures import report

    results = [_check(spec, args) for spec in args.specs]
    if args.json:
        print(_json(results))
    else:
        for result in results:
            if result["diagnostics"]:
                report(result["diagnostics"])
            if result["ok"]:
                print(_line(result), flush=True)
    return 0 if all(result["ok"] for result in results) else 1


def _check(spec: str, args: Any) -> dict[str, Any]:
    from attndsl.api.checking import examine, of_run
    from attndsl.cli.failures import Warnings, with_settings
    from attndsl.elaborate import open_spec

    name, settings = of_run(spec, args.settings)
    graph, found = examine(lambda: _from_stdin() if spec == STDIN else open_spec(name), settings)
    if graph is None:
        return {"spec": spec, "ok": False, "diagnostics": with_settings(found, args.settings)}
    diagnostics = Warnings(args).judged(found)
    if not all(it.is_warning for it in diagnostics):
        return {"spec": spec, "ok": False, "diagnostics": diagnostics}
    return {
        "spec": spec,
        "ok": True,
        "diagnostics": diagnostics,
        "model": graph.name,
        "variant": graph.variant,
        "parameters": graph.parameter_count,
        "hyperparameters": dict(graph.hyperparameters),
        "sizes_from_inputs": list(graph.free_sizes),
    }


def _from_stdin() -> Spec:
    import sys

    from attndsl.elaborate import open_text
    from attndsl.syntax.reading import decode

    source = decode(sys.stdin.buffer.read(), "<stdin>")
    return open_text(source.text, name=source.name)


def _line(result: dict[str, Any]) -> str:
    model = result["model"] + (f":{result['variant']}" if result["variant"] else "")
    return f"{result['spec']}: ok · {model} · {result['parameters']:,} parameters"


def _json(results: list[dict[str, Any]]) -> str:
    import json

    from attndsl.diagnostics.report import to_json

    def plain(result: dict[str, Any]) -> dict[str, Any]:
        said = to_json(result["diagnostics"])
        return {**result, "diagnostics": said["diagnostics"], "more": said["more"]}

    return json.dumps(
        {"schema": SCHEMA, "results": [plain(it) for it in results]}, indent=2, ensure_ascii=False, default=str
    )
