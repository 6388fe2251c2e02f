"""The page as one HTML file: its data, its style and its script inside, and nothing that comes over a network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from attndsl.diagnostics import AttnError
from attndsl.drawing.style import PLAIN, Style
from attndsl.inspection.sizes import choose_sizes
from attndsl.model_page.contents import LinesNow, contents
from attndsl.model_page.diagrams import Diagrams, key
from attndsl.model_page.examined import Examined
from attndsl.shipped import SHIPPED

SCRIPTS = ("diagram.js", "panels.js", "page.js")


def standalone(
    examined: Examined,
    sizes: Mapping[str, int] | None = None,
    *,
    depth: int | None = None,
    expand: Sequence[str] = (),
    style: Style = PLAIN,
    optimized: bool = False,
) -> str:
    """The page of a spec without mistakes as the text of a file. It has the diagram with each layer open by itself, and
    with all open; at first, what `depth` and `expand` say is. Raises what `choose_sizes` and `scene_of` raise, and
    E0901 where nothing on the machine can lay diagrams out."""
    if examined.graph is None:
        raise AttnError(*examined.diagnostics)
    chosen = {choice.name: choice.value for choice in choose_sizes(examined.graph, sizes or {})}
    found = contents(examined, sizes)
    graph = examined.graph
    if optimized:
        from attndsl.passes import optimize

        graph, _ = optimize(graph)
    diagrams = Diagrams(graph, chosen, style)
    lines = LinesNow(examined)
    first = diagrams.begin(depth, expand)
    everything = diagrams.everything()
    wanted = dict.fromkeys((first, *diagrams.one_by_one(), everything))
    views = {key(opened): diagrams.view(opened, lines) for opened in wanted}
    return page({"contents": found, "views": views, "open": first, "everything": everything})


def page(data: Mapping[str, Any]) -> str:
    """The text of the page that shows `data`. Its policy forbids whatever is not in it, but a server that it came
    from."""
    title = escape(str(data["contents"]["name"]))
    connect = "connect-src 'self'; " if data.get("follows") else ""
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; {connect}img-src data:"
    script = "\n".join(_own(name) for name in SCRIPTS)
    inside = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    body = _own("body.html")
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<style>\n{_own("page.css")}</style></head>\n'
        f'<body>\n{body}<script type="application/json" id="data">{inside}</script>\n'
        f'<script>\n"use strict";\n{script}</script>\n</body></html>\n'
    )


def _own(name: str) -> str:
    return (SHIPPED / "model_page" / name).read_text(encoding="utf-8")
