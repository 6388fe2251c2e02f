"""Print what a spec becomes, at any stage of compilation.

--emit tree       what was parsed, as an outline
--emit graph      the checked graph, as text that can be read back
--emit optimized  the graph after the passes: attention and norms recognised, constants folded, dead code gone
--emit incremental  the graph that reads a text on, token by token, with what it keeps of those before; as the source of
                  a module with -o FILE.py
--emit layout     with --layout: where each parameter and value lies on the devices, and what these send one another
--emit python     the PyTorch module, a file that runs without attndsl
--emit dot        the graph in Graphviz's language

--explain says which patterns were rewritten, where, and why others were not; and by which kernels the products are
computed on this machine, which is timed once. With --layout, the graphs are those of one device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attndsl.cli.arguments import Parser, Usage, add_output, add_settings, add_spec, add_warnings

if TYPE_CHECKING:
    from attndsl.graph import Graph
    from attndsl.layouts.laid_out import LaidOut
    from attndsl.running.backends import Backend


_STAGES = ("tree", "graph", "optimized", "incremental", "dot", "layout")  # besides the sources of backends


def configure(parser: Parser) -> None:
    from attndsl.running import backends

    known = backends.backends()
    emitted = dict.fromkeys(each.emits.stage for each in known.values() if each.emits is not None)
    default = backends.preferred(lambda each: each.emits is not None)  # installed or not: writing needs no package
    add_spec(parser)
    add_settings(parser)
    add_warnings(parser)
    parser.add_argument(
        "--backend",
        type=backends.canonical,
        choices=tuple(known),
        default=default.name,
        help=f"the backend to compile for (default: {default.name}): its graph, and the source that it writes",
    )
    parser.add_argument(
        "--emit",
        choices=(*_STAGES, *emitted),
        help="what to print (default: what the backend runs, optimized or graph; its source for -o FILE.py)",
    )
    devices = dict.fromkeys(device for each in known.values() if each.emits is not None for device in each.devices)
    parser.add_argument(
        "--device",
        choices=tuple(devices),
        help="the device that a source is written for (default: the backend's first)",
    )
    parser.add_argument(
        "--layout",
        metavar="LAYOUT",
        help="a layout of the spec, or one that is written here: 'data=2, model=4; B on data; heads, hidden on model'",
    )
    parser.add_argument("--explain", action="store_true", help="list what was rewritten and what was not, and why")
    add_output(parser, "write to this file instead of printing")


def run(args: Any) -> int:
    from attndsl.cli.paths import write_text
    from attndsl.running import backends

    backend = backends.find(args.backend)
    stage = args.emit or _stage(backend, args.output or "")
    if stage not in _STAGES and (backend.emits is None or backend.emits.stage != stage):
        other = backends.preferred(lambda each: each.emits is not None and each.emits.stage == stage)
        ways = f"give `--backend {other.name}`, or `--emit {_runs(backend)}`"
        raise Usage(f"the {backend.name} backend has no {stage} source", ways)
    read = None if stage == "tree" and not args.explain else _graph(args)
    if args.explain and read is not None:
        print(_explain(backend, args, *read))
        if args.emit is None and args.output is None:
            return 0
    write_text(_emit(stage, backend, args, read), args.output)
    return 0


def _stage(backend: Backend, output: str) -> str:
    """What is printed where nothing is asked for: source into a file that is called so, else what the backend runs."""
    from attndsl.running import backends

    written = (each.emits for each in backends.backends().values() if each.emits is not None)
    return next((source.stage for source in written if output.endswith(source.ending)), _runs(backend))


def _runs(backend: Backend) -> str:
    return "optimized" if backend.optimizes else "graph"


def _emit(stage: str, backend: Backend, args: Any, read: tuple[Graph, LaidOut | None] | None) -> str:
    if stage == "tree" or read is None:
        from attndsl.api.checking import of_run
        from attndsl.elaborate import open_spec
        from attndsl.syntax.printer import to_outline

        return to_outline(open_spec(of_run(args.spec)[0]).file)
    graph, laid_out = read
    if stage == "layout":
        from attndsl.layouts.telling import tell

        if laid_out is None:
            raise Usage("`--emit layout` tells of a layout", "give one: `--layout 'data=2; B on data'`")
        return tell(laid_out)
    if stage == "dot":
        from attndsl.drawing import draw

        return str(draw(graph))
    if stage not in _STAGES:
        from attndsl.cli.models import other_sizes

        again = other_sizes(args.spec, args.settings) if laid_out is None else None
        return backend.source(graph, args.device, again)
    from attndsl.graph.text import to_text

    if stage == "optimized":
        from attndsl.passes import optimize

        graph, _ = optimize(graph)
    elif stage == "incremental":
        from attndsl.passes.incremental import incremental

        graph = incremental(graph)
        if backend.emits is not None and (args.output or "").endswith(backend.emits.ending):
            return backend.source(graph, args.device)
    return to_text(graph)


def _graph(args: Any) -> tuple[Graph, LaidOut | None]:
    """The graph to compile: that of one device where a layout is given."""
    from attndsl.cli.models import load

    spec, graph = load(args.spec, args.settings)
    if args.layout is None:
        return graph, None
    from attndsl.diagnostics import warn
    from attndsl.layouts import choose_layout
    from attndsl.layouts.laid_out import lay_out

    laid_out = lay_out(graph, choose_layout(args.layout, spec, graph))
    warn(*laid_out.warnings)
    return laid_out.graph, laid_out


def _explain(backend: Backend, args: Any, graph: Graph, laid_out: LaidOut | None) -> str:
    from attndsl.passes import explain, optimize

    if args.emit == "incremental":
        from attndsl.passes.incremental import incremental, kept

        return "\n".join(["kept from call to call", *(f"  {line}" for line in kept(incremental(graph)))])
    graph, reports = optimize(graph)
    forms = backend.attention_forms(graph)
    lines = list(backend.kernels(graph)) if backend.installed else []
    if laid_out is not None and args.emit != "layout":
        from attndsl.layouts.telling import tell

        lines.append(tell(laid_out))
    return "\n".join([explain(reports, backend.taken_apart(graph), backend.title, forms).rstrip("\n"), *lines])
