"""Check that specs are right: names, sizes, axes, masks, before a tensor exists.

Each mistake is reported with its place, what it conflicts with, and a way out where there is one: the first twenty,
and how many more there are. `attndsl explain E0203` says what a code means. For a spec that is right the number of the
model's parameters at these hyperparameters is printed.
"""

from __future__ import annotations

from typing import Any

from attndsl.cli.arguments import Parser, add_json, add_settings, add_spec
from attndsl.diagnostics import AttnError

SCHEMA = "attndsl.check/1"


def configure(parser: Parser) -> None:
    add_spec(parser, several=True)
    add_settings(parser)
    add_json(parser)


def run(args: Any) -> int:
    from attndsl.cli.failures import report, with_settings

    results: list[dict[str, Any]] = []
    for spec in args.specs:
        try:
            results.append(_check(spec, args.settings))
        except AttnError as problem:
            results.append(
                {"spec": spec, "ok": False, "diagnostics": with_settings(problem.diagnostics, args.settings)}
            )
    if args.json:
        print(_json(results))
    else:
        for result in results:
            if result["ok"]:
                print(_line(result))
            else:
                report(result["diagnostics"])
    return 0 if all(result["ok"] for result in results) else 1


def _check(spec: str, settings: dict[str, str]) -> dict[str, Any]:
    from attndsl.api.checking import check

    graph = check(spec, settings)
    return {
        "spec": spec,
        "ok": True,
        "model": graph.name,
        "variant": graph.variant,
        "parameters": graph.parameter_count,
        "hyperparameters": dict(graph.hyperparameters),
        "sizes_from_inputs": list(graph.free_sizes),
    }


def _line(result: dict[str, Any]) -> str:
    model = result["model"] + (f":{result['variant']}" if result["variant"] else "")
    return f"{result['spec']}: ok · {model} · {result['parameters']:,} parameters"


def _json(results: list[dict[str, Any]]) -> str:
    import json

    from attndsl.diagnostics.report import to_json

    def told(result: dict[str, Any]) -> dict[str, Any]:
        said = to_json(result["diagnostics"])
        return {**result, "diagnostics": said["diagnostics"], "more": said["more"]}

    shown = [told(result) if "diagnostics" in result else result for result in results]
    return json.dumps({"schema": SCHEMA, "results": shown}, indent=2, ensure_ascii=False, default=str)
