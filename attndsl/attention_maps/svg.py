"""Attention as SVG: every layer and head as a small map, or one map large with the tokens on its sides."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from attndsl.attention_maps import raster
from attndsl.attention_maps.maps import LayerMap, MapGroup, Maps, label
from attndsl.lazy import Array, np

THUMB, GAP, MARGIN = 96, 8, 24
READ, READABLE = 9, 40  # the size of the smallest letters that are read with ease; up to so many tokens are written
WIDEST = 512  # pixels of a picture that are kept
CELLS = 4096  # up to so many are drawn one by one, and tell their weight
FONT = "font-family=\"ui-sans-serif, 'Helvetica Neue', Arial, sans-serif\""


def to_svg(maps: Maps) -> str:
    """The text of an SVG file. One head of one layer (in each group) is drawn large. Raises E0747."""
    maps.require_size()
    most = maps.most
    parts: list[str] = []
    y, width = MARGIN + 20.0, 320.0
    parts.append(_text(MARGIN, y, f"{maps.model}: attention", 18, weight=600))
    if maps.shown:
        y += 22
        parts.append(_text(MARGIN, y, _short(maps.shown, 110), 13, fill="#555"))
    single = all(len(group.layers) == 1 and len(group.layers[0].heads) == 1 for group in maps.groups)
    for group in maps.groups:
        y += 34
        parts.append(_text(MARGIN, y, group.title, 15, weight=600))
        y += 14
        drawn, wide, high = _large(maps, group.layers[0], most, y) if single else _overview(maps, group, most, y)
        parts += drawn
        y, width = y + high, max(width, wide)
    parts += [_text(MARGIN, y + 22, legend(maps), 12, fill="#555"), *colours(maps, most, MARGIN, y + 32)]
    width = max(width, MARGIN + _wide(legend(maps), 12), MARGIN + _wide(_short(maps.shown, 110), 13))
    return _document(maps, parts, width + MARGIN, y + 64 + MARGIN)


def legend(maps: Maps) -> str:
    """How the maps are to be read, in a sentence."""
    if maps.grid is not None:
        who = "the class token" if maps.before else "all patches on average"
        return f"Where {who} looks: clear is 0, glowing {maps.most:.3g}, the largest weight shown."
    return f"Rows attend to columns: white is 0, dark {maps.most:.3g}, the largest weight shown; a row sums to 1."


def colours(maps: Maps, most: float, x: float, y: float) -> list[str]:
    """The elements of the one scale of all maps: its colours, and the weights that they stand for, up to `most`."""
    ramp = np.linspace(0, 1, 256)[None]
    drawn = raster.veil(ramp, 1) if maps.grid is not None else raster.heat(ramp, 1)
    box = f'x="{x:g}" y="{y:g}" width="240" height="12"'
    marks = [(0, "start"), (0.5, "middle"), (1, "end")]
    return [
        _image(drawn, box),
        f'<rect {box} fill="none" stroke="#888"/>',
        *(_text(x + 240 * at, y + 25, f"{at * most:.3g}", 11, fill="#555", anchor=end) for at, end in marks),
    ]


def head_title(maps: Maps, layer: LayerMap, head: int) -> str:
    """One head in words: `h.3.attn, head 2: the largest weight is 0.83, of “it” to “cat”`."""
    weights = layer.weights[head]
    name = f"{layer.path or 'attention'}, head {layer.heads[head]}"
    over = maps.over_picture(weights)
    if over is not None:
        row, column = divmod(int(over.argmax()), over.shape[1])
        return f"{name}: the largest weight is {over[row, column]:.2f}, of patch {row},{column}"
    row, column = divmod(int(weights.argmax()), weights.shape[1])
    from_, to = layer.rows.labels[row], layer.columns.labels[column]
    whose = f", of “{label(from_)}” to “{label(to)}”" if from_ else f", to “{label(to)}”"
    return f"{name}: the largest weight is {weights[row, column]:.2f}{whose}"


def thumbnail(
    maps: Maps, weights: Array, most: float, x: float = 0, y: float = 0, size: float = THUMB
) -> tuple[str, float, float]:
    """The elements that show a head's weights `[queries, keys]` small, and how wide and high they are. The darkest
    colour is `most`. A picture is used by its name, `#picture`."""
    over = maps.over_picture(weights)
    rows, columns = weights.shape if over is None or maps.picture is None else maps.picture.pixels.shape[:2]
    scale = size / max(rows, columns)
    wide, high = max(columns * scale, 4), max(rows * scale, 4)
    box = f'x="{x:g}" y="{y:g}" width="{wide:g}" height="{high:g}"'
    if over is None:
        return _image(raster.heat(weights, most), box), wide, high
    # Drawn from the same symbol at every size, so that a file holds the picture once.
    return f'<use href="#picture" {box}/>' + _image(raster.veil(over, most), box), wide, high


def symbol(maps: Maps) -> str:
    """The definition of `#picture` that thumbnails use; nothing where there is no picture."""
    if maps.picture is None:
        return ""
    height, width = maps.picture.pixels.shape[:2]
    box = f'width="{width}" height="{height}"'
    step = -(-max(height, width) // WIDEST)
    inside = _image(raster.picture(maps.picture.pixels[::step, ::step]), box)
    return (
        f'<defs><symbol id="picture" viewBox="0 0 {width} {height}" preserveAspectRatio="none">{inside}</symbol></defs>'
    )


def _overview(maps: Maps, group: MapGroup, most: float, top: float) -> tuple[list[str], float, float]:
    """A row for each layer, a column for each head. Where there are few tokens, they stand on the sides of the maps."""
    parts: list[str] = []
    first = group.layers[0]
    longest = max(first.weights.shape[1:])
    is_labelled = longest <= READABLE and maps.over_picture(first.weights[0]) is None
    size = max(THUMB, READ * longest) if is_labelled else THUMB
    down = 8 + max((_wide(label(text), READ) for text in first.rows.labels), default=0) if is_labelled else 0.0
    across = 8 + max((_wide(label(text), READ) for text in first.columns.labels), default=0) if is_labelled else 0.0
    left, y = MARGIN + 10 + max(_wide(layer.path, 11) for layer in group.layers) + down, top + 18
    heads = max((layer.heads for layer in group.layers), key=len)
    step = size + GAP
    for column, name in enumerate(heads):
        parts.append(_text(left + column * step + size / 2, top + 12, f"head {name}", 11, fill="#555", anchor="middle"))
    for layer in group.layers:
        tallest = 0.0
        y += across
        parts.append(_text(left - 10 - down, y + 14, layer.path, 11, fill="#333", anchor="end"))
        for head in range(len(layer.heads)):
            x = left + head * step
            drawn, wide, high = thumbnail(maps, layer.weights[head], most, x, y, size)
            frame = f'<rect x="{x:g}" y="{y:g}" width="{wide:g}" height="{high:g}" fill="none" stroke="#bbb"/>'
            parts.append(f"<g><title>{escape(head_title(maps, layer, head))}</title>{drawn}{frame}</g>")
            if is_labelled:
                parts += _across(layer, x, y, wide / layer.weights.shape[2], READ)
                parts += _down(layer, x, y, high / layer.weights.shape[1], READ) if head == 0 else []
            tallest = max(tallest, high)
        y += tallest + GAP
    return parts, left + len(heads) * step, y - top


def _down(layer: LayerMap, x: float, y: float, cell: float, font: float) -> list[str]:
    """The tokens that attend, left of a map whose corner is at x, y."""
    return [
        _text(x - 6, y + (i + 0.5) * cell + 0.35 * font, label(text), font, anchor="end")
        for i, text in enumerate(layer.rows.labels)
    ]


def _across(layer: LayerMap, x: float, y: float, cell: float, font: float) -> list[str]:
    """The tokens that are attended to, above a map."""
    return [
        _text(x + (i + 0.5) * cell + 0.35 * font, y - 6, label(text), font, turned=True)
        for i, text in enumerate(layer.columns.labels)
    ]


def _large(maps: Maps, layer: LayerMap, most: float, top: float) -> tuple[list[str], float, float]:
    weights = layer.weights[0]
    said = head_title(maps, layer, 0)
    parts, least = [_text(MARGIN, top + 12, said, 12, fill="#555")], MARGIN + _wide(said, 12)
    if maps.over_picture(weights) is not None:
        drawn, wide, high = thumbnail(maps, weights, most, MARGIN, top + 24, 384)
        return [*parts, drawn, *_patches(maps, layer, top + 24, wide, high)], max(least, MARGIN + wide), high + 32
    rows, columns = weights.shape
    cell = min(28.0, max(6.0, 640 / max(rows, columns)))
    font = min(12.0, cell + 1)
    left = MARGIN + 8 + max((_wide(label(text), font) for text in layer.rows.labels), default=0)
    head = 8 + max((_wide(label(text), font) for text in layer.columns.labels), default=0)
    y = top + 24 + head
    parts += [*_down(layer, left, y, cell, font), *_across(layer, left, y, cell, font)]
    box = f'x="{left:g}" y="{y:g}" width="{columns * cell:g}" height="{rows * cell:g}"'
    parts += _cells(layer, most, left, y, cell) if weights.size <= CELLS else [_image(raster.heat(weights, most), box)]
    parts.append(f'<rect {box} fill="none" stroke="#888"/>')
    return parts, max(least, left + columns * cell), head + 32 + rows * cell


def _cells(layer: LayerMap, most: float, left: float, top: float, cell: float) -> list[str]:
    weights = layer.weights[0]
    found = []
    for row, from_ in enumerate(layer.rows.labels):
        for column, to in enumerate(layer.columns.labels):
            weight = float(weights[row, column])
            what = f"{label(from_)} → {label(to)}: {weight:.3f}"
            found.append(
                f'<rect x="{left + column * cell:g}" y="{top + row * cell:g}" width="{cell:g}" height="{cell:g}" '
                f'fill="{raster.colour(max(0.0, weight / most) if most else 0.0)}"><title>{escape(what)}</title></rect>'
            )
    return found


def _patches(maps: Maps, layer: LayerMap, top: float, width: float, height: float) -> list[str]:
    """The grid of patches over a large picture, each telling its weight."""
    assert maps.grid is not None
    over = maps.over_picture(layer.weights[0])
    assert over is not None
    rows, columns = maps.grid
    return [
        f'<rect x="{MARGIN + x * width / columns:g}" y="{top + y * height / rows:g}" width="{width / columns:g}" '
        f'height="{height / rows:g}" fill="transparent" stroke="#fff" stroke-opacity="0.35">'
        f"<title>patch {y},{x}: {float(over[y, x]):.3f}</title></rect>"
        for y in range(rows)
        for x in range(columns)
    ]


def _image(address: str, box: str) -> str:
    return f'<image {box} href="{address}" preserveAspectRatio="none" style="image-rendering: pixelated"/>'


def _text(
    x: float, y: float, text: str, size: float, *, fill: str = "#111", weight: int = 400, anchor: str = "start",
    turned: bool = False,
) -> str:  # fmt: skip
    place = f'x="{x:g}" y="{y:g}"' + (f' transform="rotate(-90 {x:g} {y:g})"' if turned else "")
    bold = f' font-weight="{weight}"' if weight != 400 else ""
    return f'<text {place} font-size="{size:g}" fill="{fill}" text-anchor="{anchor}"{bold}>{escape(text)}</text>'


def _wide(text: str, size: float) -> float:
    """About how wide a line of text is; what is wider than Latin letters counts double."""
    return size * sum(0.58 if ord(c) < 0x1100 else 1.05 for c in text)


def _short(text: str, most: int) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def _document(maps: Maps, parts: Sequence[str], width: float, height: float) -> str:
    title, said = f"Attention of {maps.model}", describe(maps)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="attention-title attention-desc" '
            f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}" {FONT}>',
            f'<title id="attention-title">{escape(title)}</title>',
            f'<desc id="attention-desc">{escape(said)}</desc>',
            symbol(maps),
            f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def describe(maps: Maps) -> str:
    """What is drawn, for those who do not see it."""
    said = [legend(maps)]
    for group in maps.groups:
        heads = sum(len(layer.heads) for layer in group.layers)
        said.append(f"{group.title}: {len(group.layers)} layers, {heads} heads.")
        if heads <= 4:
            said += [head_title(maps, layer, head) + "." for layer in group.layers for head in range(len(layer.heads))]
    return " ".join(said)
