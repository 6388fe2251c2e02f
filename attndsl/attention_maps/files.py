"""Maps as files: a page or a picture, as the ending says."""

from __future__ import annotations

from pathlib import Path

from attndsl.attention_maps.html import to_html
from attndsl.attention_maps.maps import Maps
from attndsl.attention_maps.png import to_png
from attndsl.attention_maps.svg import to_svg
from attndsl.diagnostics import error
from attndsl.storage.whole import write_bytes

ENDINGS = (".html", ".htm", ".svg", ".png")


def save(maps: Maps, path: Path, how: str = "attndsl attend") -> None:
    """Write `maps` to `path`, whole or not at all; `how` is what a page says of the command. Raises E0902 for an ending
    that is none of ENDINGS, and what `to_html`, `to_svg` and `to_png` raise."""
    match path.suffix.lower():
        case ".html" | ".htm":
            data = to_html(maps, how).encode()
        case ".svg":
            data = to_svg(maps).encode()
        case ".png":
            data = to_png(maps)
        case _:
            raise error("E0902", f"attention is drawn as .html, .svg or .png, not as `{path.name}`")
    write_bytes(path, data)
