"""Print what a spec becomes, at any stage of its way.

--emit tree       what was parsed, as an outline
--emit graph      the checked graph, as text that can be read back
--emit optimized  the graph after the passes: attention and norms recognised, constants folded, dead code gone
--emit python     the PyTorch module, a file that runs without attndsl
--emit dot        the graph in Graphviz's language

--explain says which patterns were rewritten, where, and why others were not.
"""

from __future__ import annotations

from typing import Any

from attndsl.cli.arguments import Parser, Usage, add_output, add_settings, add_spec

STAGES = ("tree", "graph", "optimized", "python", "dot")


def configure(parser: Parser) -> None:
    add_spec(parser)
    add_settings(parser)
    parser.add_argument(
        "--backend",
        choices=("numpy", "torch"),
        default="torch",
        help="for whom: torch runs the module made from the optimized graph, numpy the graph itself (default: torch)",
    )
    parser.add_argument(
        "--emit", choices=STAGES, help="what to print (default: optimized, or graph for numpy; python for -o FILE.py)"
    )
    parser.add_argument("--explain", action="store_true", help="say what was rewritten and what was not, and why")
    add_output(parser, "write there instead of printing")


def run(args: Any) -> int:
    from attndsl.cli.files import write_text

    default = "graph" if args.backend == "numpy" else "optimized"
    stage = args.emit or ("python" if (args.output or "").endswith(".py") else default)
    if stage == "python" and args.backend == "numpy":
        raise Usage("the numpy backend runs the graph and has no source", "leave `--backend` out, or `--emit graph`")
    if args.explain:
        print(_explain(args))
        if args.emit is None and args.output is None:
            return 0
    write_text(_emit(stage, args), args.output)
    return 0


def _emit(stage: str, args: Any) -> str:
    if stage == "tree":
        from attndsl.elaborate import open_spec
        from attndsl.syntax.printer import to_outline

        return to_outline(open_spec(args.spec).file)
    from attndsl.elaborate import load

    graph = load(args.spec, args.settings)
    if stage == "graph":
        from attndsl.graph.text import to_text

        return to_text(graph)
    if stage == "dot":
        from attndsl.drawing import draw

        return str(draw(graph))
    from attndsl.passes import optimize

    graph, _ = optimize(graph)
    if stage == "python":
        from attndsl.backends.pytorch import generate_source

        return generate_source(graph)
    from attndsl.graph.text import to_text

    return to_text(graph)


def _explain(args: Any) -> str:
    from attndsl.elaborate import load
    from attndsl.passes import explain, optimize

    return explain(optimize(load(args.spec, args.settings))[1]).rstrip("\n")
