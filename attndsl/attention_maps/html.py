"""Attention as one HTML page that needs nothing else: every layer and head small, the one that is pointed at large.

The overview is plain HTML and SVG. A script of the page's own draws the large map, with the tokens on its sides and the
weight under the pointer, from the very pixels of the small one.
"""

from __future__ import annotations

import json
from html import escape

from attndsl.attention_maps import raster
from attndsl.attention_maps.maps import LayerMap, MapGroup, Maps, label
from attndsl.attention_maps.svg import colours, describe, head_title, legend, symbol, thumbnail
from attndsl.shipped import SHIPPED


def to_html(maps: Maps, how: str = "attndsl attend") -> str:
    """The text of the page; `how` is the command that draws one map large without a script. Raises E0747."""
    maps.require_size()
    title = f"Attention of {maps.model}"
    shown = f'<p class="shown">{escape(_readable(maps.shown))}</p>' if maps.shown else ""
    most = maps.most
    drawn = [_section(maps, most, group, number) for number, group in enumerate(maps.groups)]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            f'<head><meta charset="utf-8"><title>{escape(title)}</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta name="description" content="{escape(describe(maps))}">',
            f"<style>\n{_own('page.css')}</style></head>",
            f"<body><header><h1>{escape(title)}</h1>{shown}<p>{escape(legend(maps))}</p>",
            f'<svg width="260" height="32" aria-hidden="true">{"".join(colours(maps, maps.most, 10, 2))}</svg>',
            f"<noscript><p>Without JavaScript the maps stay small; <code>{escape(how)} --layer 0 --head 0 -o map.svg"
            "</code> draws one large.</p></noscript></header>",
            f'<svg width="0" height="0" style="position: absolute" aria-hidden="true">{symbol(maps)}</svg>',
            "<main>",
            *drawn,
            "</main>",
            '<aside id="panel" aria-live="polite" hidden></aside>',
            f'<script type="application/json" id="data">{_data(maps)}</script>',
            f"<script>\n{_own('page.js')}</script>",
            "</body></html>",
            "",
        ]
    )


def _section(maps: Maps, most: float, group: MapGroup, number: int) -> str:
    heads = max((layer.heads for layer in group.layers), key=len)
    columns = "".join(f'<th scope="col">head {escape(head)}</th>' for head in heads)
    rows = "\n".join(_row(maps, most, layer, f"{number} {at}") for at, layer in enumerate(group.layers))
    return (
        f'<section><h2>{escape(group.title)}</h2><div class="wide"><table>\n<thead><tr><td></td>{columns}</tr></thead>'
        f"\n<tbody>\n{rows}\n</tbody></table></div></section>"
    )


def _row(maps: Maps, most: float, layer: LayerMap, place: str) -> str:
    cells = []
    for head in range(len(layer.heads)):
        elements, wide, high = thumbnail(maps, layer.weights[head], most)
        said = escape(head_title(maps, layer, head))
        cells.append(
            f'<td><button type="button" data-map="{place} {head}" title="{said}">'
            f'<svg role="img" aria-label="{said}" width="{wide:g}" height="{high:g}">{elements}</svg></button></td>'
        )
    return f'<tr><th scope="row">{escape(layer.path)}</th>{"".join(cells)}</tr>'


def _data(maps: Maps) -> str:
    """What the script needs besides the pixels, safe inside a script element."""
    palette = raster.palette()
    groups = [
        [
            {
                "titles": [head_title(maps, layer, head) for head in range(len(layer.heads))],
                "rows": [label(text) for text in layer.rows.labels],
                "columns": [label(text) for text in layer.columns.labels],
                "picture": bool(len(layer.weights)) and maps.over_picture(layer.weights[0]) is not None,
            }
            for layer in group.layers
        ]
        for group in maps.groups
    ]
    shape = maps.picture.pixels.shape[:2] if maps.picture is not None else None
    facts = {
        "groups": groups,
        "most": round(maps.most, 6),
        "sums": palette.sum(axis=1).tolist(),
        "veiled": raster.MOST,
        "grid": maps.grid,
        "picture": shape,
    }
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _readable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _own(name: str) -> str:
    return (SHIPPED / "attention_maps" / name).read_text(encoding="utf-8")
