"""Attention as PNG: the picture that `to_svg` draws, element by element, by Pillow."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

from attndsl.attention_maps.maps import Maps
from attndsl.attention_maps.svg import to_svg
from attndsl.diagnostics import error

SCALE = 2  # pixels for each unit of the SVG: letters of 9 units are read with ease
_SPACE = "{http://www.w3.org/2000/svg}"


def to_png(maps: Maps) -> bytes:
    """The bytes of a PNG file. Raises E0747, and E0708 where Pillow is missing."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        raise error(
            "E0708", "drawing attention as PNG needs the package Pillow, which is not installed",
            help=("install it with `pip install 'attndsl[images]'`", "or name the file .svg or .html"),
        ) from None  # fmt: skip
    root = ElementTree.fromstring(to_svg(maps))
    width, height = (round(float(root.get(side, "0")) * SCALE) for side in ("width", "height"))
    canvas = _Canvas(Image, ImageFont, Image.new("RGB", (width, height), "white"))
    canvas.pen = ImageDraw.Draw(canvas.sheet)
    canvas.draw(root)
    found = io.BytesIO()
    canvas.sheet.save(found, "PNG")
    return found.getvalue()


class _Canvas:
    """Draws the elements that our own SVG files consist of."""

    def __init__(self, image: Any, fonts: Any, sheet: Any) -> None:
        self.image, self.fonts, self.sheet = image, fonts, sheet
        self.pen: Any = None
        self.symbols: dict[str, str] = {}  # the addresses of pictures that are used by name

    def draw(self, element: ElementTree.Element) -> None:
        match element.tag.removeprefix(_SPACE):
            case "rect":
                self.rectangle(element)
            case "image" | "use":
                self.picture(element)
            case "text":
                self.text(element)
            case "symbol":
                self.symbols[f"#{element.get('id')}"] = element[0].get("href", "")
                return
        for inner in element:
            self.draw(inner)

    def box(self, element: ElementTree.Element) -> tuple[int, int, int, int]:
        x, y, w, h = (SCALE * float(element.get(name, "0")) for name in ("x", "y", "width", "height"))
        return round(x), round(y), round(x + w), round(y + h)

    def rectangle(self, element: ElementTree.Element) -> None:
        fill, line = element.get("fill", "none"), element.get("stroke")
        solid = None if fill in ("none", "transparent") else fill
        if line is not None and element.get("stroke-opacity") is not None:
            line = None  # the faint grid over a picture tells where to point, and nobody points here
        left, top, right, bottom = self.box(element)
        self.pen.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), fill=solid, outline=line)

    def picture(self, element: ElementTree.Element) -> None:
        address = element.get("href", "")
        data = self.symbols.get(address, address).partition(",")[2]
        left, top, right, bottom = self.box(element)
        drawn = self.image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA")
        drawn = drawn.resize((max(1, right - left), max(1, bottom - top)), self.image.Resampling.NEAREST)
        self.sheet.paste(drawn, (left, top), drawn)

    def text(self, element: ElementTree.Element) -> None:
        words, size = element.text or "", SCALE * float(element.get("font-size", "12"))
        x, y = (SCALE * float(element.get(name, "0")) for name in ("x", "y"))
        font = self.fonts.load_default(size)
        anchor = {"start": "l", "middle": "m", "end": "r"}[element.get("text-anchor", "start")]
        if re.match(r"rotate\(-90", element.get("transform", "")) is None:
            self.pen.text((x, y), words, element.get("fill", "#111"), font=font, anchor=f"{anchor}s")
            return
        wide, high = max(1, round(font.getlength(words))), round(1.4 * size)
        sign = self.image.new("L", (wide, high), 0)
        self.drawn_on(sign).text((0, size), words, 255, font=font, anchor="ls")
        sign = sign.rotate(90, expand=True)
        self.sheet.paste(
            self.image.new("RGB", sign.size, element.get("fill", "#111")), (round(x - size), round(y) - wide), sign
        )

    def drawn_on(self, sheet: Any) -> Any:
        return type(self.pen)(sheet)
