"""The drawings: pixels are weights, tokens are escaped, a page needs nothing else, size is bounded."""

from __future__ import annotations

import base64
import io
import json
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from attndsl.attention_maps import Maps, Picture, Tokens, attention_maps, raster, to_html, to_png, to_svg
from attndsl.attention_maps.maps import LONGEST, _grid, label
from attndsl.attention_maps.run import seen
from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.diagnostics import AttnError
from attndsl.elaborate import load
from attndsl.graph import Graph
from attndsl.sizes import Size

NASTY = ("<fox>", "&", '"it"', "</script>", "\x00\x1b[31m", "\ud800", "]]>", " the", "\n", "x" * 99, "'", "ünï", "<!--")
SVG = "{http://www.w3.org/2000/svg}"

DECODER = """
model Decoder(vocab=20, width=12, heads=3, kv_heads=none, depth=2) {
  input tokens: int[B, T] where tokens < vocab
  x = embedding(tokens, vocab, width, normal(1.0))
  repeat h in depth { x += attention(x, heads, mask=causal, kv_heads=kv_heads, init=normal(1.0)) as attn }
  output y = x
}
"""
EYES = """
model Eyes(patch=2, width=8, heads=2, class=true) {
  P = patch
  Q = patch
  input image: [B, 1, Y*P, X*Q]
  x = rearrange(image, [1, Y*P, X*Q] -> [Y*X, P*Q]) |> linear(width, true, normal(1.0))
  if class {
    param cls: [width] = normal(1.0)
    y = concat(cls, x, over=[1, Y*X] -> S) |> attention(heads, init=normal(1.0)) as attn
    output first = y[S=0]
  } else {
    output mean = x |> attention(heads, init=normal(1.0)) as attn |> mean(over=Y*X)
  }
}
"""
BOTH = """
model Both(vocab=20, width=8, heads=2) {
  input source: int[B, S] where source < vocab
  input target: int[B, T] where target < vocab
  layer words = embedding(vocab, width, normal(1.0))
  x = words(source)
  x += attention(x, heads, init=normal(1.0)) as own
  y = words(target)
  y += attention(y, heads, mask=causal, init=normal(1.0)) as said
  output z = attention(y, x, heads, init=normal(1.0)) as cross
}
"""


@pytest.fixture
def graph_of(tmp_path: Path) -> Callable[..., Graph]:
    def make(text: str, **settings: object) -> Graph:
        (tmp_path / "m.attn").write_text(text)
        return load(str(tmp_path / "m.attn"), settings)

    return make


def text_maps(graph: Graph, labels: Sequence[str] = NASTY, shown: str = "") -> Maps:
    tokens = np.arange(len(labels))[None] % 20
    return attention_maps(
        graph, NumpyProgram, {"tokens": tokens}, [Tokens("text", Size.symbol("T"), tuple(labels))], shown=shown
    )


def picture_maps(graph: Graph, height: int = 8, width: int = 8) -> Maps:
    pixels = np.random.default_rng(0).integers(0, 256, (1, height, width)).astype(np.uint8)
    image = (pixels[None] / 255).astype(np.float32)
    return attention_maps(graph, NumpyProgram, {"image": image}, [], picture=Picture(seen(pixels)))


def pixels_of(address: str) -> tuple[np.ndarray, np.ndarray | None]:
    """A PNG read by what the standard says: pixels `[height, width, channels]`, and the palette."""
    data = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(name + body)
        chunks[name] = body
        at += 12 + length
    width, height, depth, kind = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert depth == 8
    channels = {2: 3, 3: 1, 6: 4}[kind]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + width * channels)
    assert not rows[:, 0].any()
    palette = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3) if b"PLTE" in chunks else None
    return rows[:, 1:].reshape(height, width, channels), palette


# ---------------------------------------------------------------------------------------------- reading a run


@pytest.mark.parametrize(("heads", "groups"), [(1, "none"), (3, "none"), (12, "none"), (6, 2), (4, 1)])
def test_every_layer_and_head_is_there_and_rows_sum_to_one(graph_of, heads, groups):
    maps = text_maps(graph_of(DECODER, heads=heads, kv_heads=groups))
    (group,) = maps.groups
    assert group.title == "Self-attention of the text"
    assert [layer.path for layer in group.layers] == ["h.0.attn", "h.1.attn"]
    for layer in group.layers:
        assert layer.weights.shape == (heads, len(NASTY), len(NASTY))
        assert len(set(layer.heads)) == len(layer.heads) == heads
        np.testing.assert_allclose(layer.weights.sum(-1), 1, rtol=1e-5)
        assert layer.rows.labels == layer.columns.labels == NASTY


def test_a_row_with_nothing_to_attend_to_is_empty(tmp_path):
    (tmp_path / "m.attn").write_text(
        "model M(width=4) {\n  input x: [B, T, width]\n  input valid: bool[B, T]\n"
        "  output y = attention(x, 2, mask=keys(valid) & causal)\n}\n"
    )
    inputs = {"x": np.ones((1, 3, 4), np.float32), "valid": np.array([[False, True, True]])}
    (group,) = attention_maps(load(str(tmp_path / "m.attn"), {}), NumpyProgram, inputs, []).groups
    assert group.layers[0].weights.sum(-1).round(5).tolist() == [[0, 1, 1], [0, 1, 1]]
    for drawn in (to_svg, to_html):
        assert drawn(Maps("m", "", (group,)))


def test_grouped_heads_keep_their_order(graph_of):
    graph = graph_of(DECODER, heads=4, kv_heads=2, depth=1)
    (layer,) = text_maps(graph).groups[0].layers
    assert layer.heads == ("0.0", "0.1", "1.0", "1.1")
    again = NumpyProgram(graph).run({"tokens": np.arange(len(NASTY))[None]}, [], dump=["h.0.attn.weight"])
    np.testing.assert_array_equal(layer.weights, again["h.0.attn.weight"].reshape(4, len(NASTY), len(NASTY)))


def test_an_encoder_and_a_decoder_give_three_groups(graph_of):
    inputs = {"source": np.array([[1, 2, 3]]), "target": np.array([[4, 5]])}
    sequences = [Tokens("source", Size.symbol("S"), ("a", "b", "c")), Tokens("target", Size.symbol("T"), ("<s>", "A"))]
    maps = attention_maps(graph_of(BOTH), NumpyProgram, inputs, sequences)
    found = {group.title: group.layers[0] for group in maps.groups}
    assert list(found) == [
        "Self-attention of the source",
        "Self-attention of the target",
        "Cross-attention: target against source",
    ]
    cross = found["Cross-attention: target against source"]
    assert (cross.rows.labels, cross.columns.labels) == (("<s>", "A"), ("a", "b", "c"))
    assert cross.weights.shape == (2, 2, 3)


@pytest.mark.parametrize(
    ("keys", "shape", "grid", "before"),
    [
        (17, (8, 8), (4, 4), 1),
        (16, (8, 8), (4, 4), 0),
        (197, (224, 224), (14, 14), 1),
        (198, (224, 224), (14, 14), 2),
        (7, (4, 6), (2, 3), 1),
        (6, (4, 6), (2, 3), 0),
        (2, (8, 8), (1, 1), 1),
    ],
)
def test_the_grid_of_patches_is_found(keys, shape, grid, before):
    assert _grid(keys, shape) == (grid, before)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (4, 6)])
def test_a_picture_shows_where_the_class_token_looks(graph_of, height, width):
    maps = picture_maps(graph_of(EYES), height, width)
    assert maps.grid == (height // 2, width // 2)
    assert maps.before == 1
    (layer,) = maps.groups[0].layers
    assert layer.columns.labels[:3] == ("class", "0,0", "0,1")
    over = maps.over_picture(layer.weights[1])
    np.testing.assert_array_equal(over.ravel(), layer.weights[1, 0, 1:])


def test_without_a_class_token_it_is_the_mean(graph_of):
    maps = picture_maps(graph_of(EYES, **{"class": False}))
    assert maps.before == 0
    (layer,) = maps.groups[0].layers
    np.testing.assert_allclose(maps.over_picture(layer.weights[0]).ravel(), layer.weights[0].mean(0), rtol=1e-6)


def test_what_cannot_be_drawn_is_told(graph_of, tmp_path):
    with pytest.raises(AttnError, match="E0747"):
        text_maps(graph_of(DECODER), ["x"] * (LONGEST + 1))
    (tmp_path / "none.attn").write_text(
        "model N {\n  input tokens: int[B, T] where tokens < 5\n  output y = embedding(tokens, 5, 4)\n}\n"
    )
    with pytest.raises(AttnError, match="E0748"):
        text_maps(load(str(tmp_path / "none.attn"), {}), ["x"] * 5)


def test_a_file_has_a_bound(graph_of, monkeypatch):
    maps = text_maps(graph_of(DECODER))
    monkeypatch.setattr("attndsl.attention_maps.maps.MOST", 2 * 3 * len(NASTY) ** 2 - 1)
    for drawn in (to_svg, to_html):
        with pytest.raises(AttnError, match="E0747"):
            drawn(maps)
        assert drawn(maps.chosen(1, None))


def test_layers_and_heads_are_chosen_by_number(graph_of):
    maps = text_maps(graph_of(DECODER))
    (layer,) = maps.chosen(1, 2).groups[0].layers
    assert (layer.path, layer.heads) == ("h.1.attn", ("2",))
    np.testing.assert_array_equal(layer.weights[0], maps.groups[0].layers[1].weights[2])
    for layer, head in ((2, None), (None, 3), (0, 9)):
        with pytest.raises(AttnError, match="E0746"):
            maps.chosen(layer, head)


# ---------------------------------------------------------------------------------------------- pixels


def test_levels_can_be_told_by_the_sum_of_the_channels():
    sums = raster.palette().astype(int).sum(axis=1)
    assert (np.diff(sums) < 0).all()


def test_pixels_are_weights():
    weights = np.random.default_rng(1).random((5, 7)).astype(np.float32)
    pixels, palette = pixels_of(raster.heat(weights, weights.max()))
    np.testing.assert_array_equal(palette, raster.palette())
    np.testing.assert_allclose(pixels[:, :, 0] / 255 * weights.max(), weights, atol=weights.max() / 500)
    veil, _ = pixels_of(raster.veil(weights, weights.max()))
    assert (veil[:, :, :3] == raster.GLOW).all()
    np.testing.assert_allclose(veil[:, :, 3] / 255 / raster.MOST * weights.max(), weights, atol=weights.max() / 200)
    shown = np.random.default_rng(1).integers(0, 256, (3, 4, 3)).astype(np.uint8)
    np.testing.assert_array_equal(pixels_of(raster.picture(shown))[0], shown)


def test_weights_of_zero_are_white():
    pixels, palette = pixels_of(raster.heat(np.zeros((2, 2)), 0.0))
    assert not pixels.any()
    assert palette[0].tolist() == [255, 255, 255]


# ---------------------------------------------------------------------------------------------- SVG


def test_an_svg_shows_all_and_says_what_it_is(graph_of):
    maps = text_maps(graph_of(DECODER), shown='<b>"fox"</b> & \x07')
    root = ElementTree.fromstring(to_svg(maps))
    assert root.attrib["role"] == "img"
    named = {e.attrib["id"]: e.text for e in root if e.tag in (SVG + "title", SVG + "desc")}
    assert named.keys() == set(root.attrib["aria-labelledby"].split())
    assert "2 layers, 6 heads" in named["attention-desc"]
    *images, scale = root.findall(f".//{SVG}image")
    assert len(images) == 6
    assert pixels_of(scale.attrib["href"])[0].ravel().tolist() == list(range(256))
    weights = [w for layer in maps.groups[0].layers for w in layer.weights]
    for image, expected in zip(images, weights, strict=True):
        pixels, _ = pixels_of(image.attrib["href"])
        np.testing.assert_array_equal(pixels[:, :, 0], raster.levels(expected, maps.most))
    said = [e.text for e in root.iter(SVG + "text")]
    assert {"0", f"{maps.most / 2:.3g}", f"{maps.most:.3g}"} <= set(said)
    for token in NASTY:
        assert said.count(label(token)) == 2 + 6  # left of each layer, above each map
    assert any('<b>"fox"</b> &' in (e.text or "") for e in root.iter(SVG + "text"))


@pytest.mark.parametrize("kind", ["text", "picture"])
def test_a_png_shows_what_the_svg_does(graph_of, kind):
    image = pytest.importorskip("PIL.Image")
    maps = text_maps(graph_of(DECODER)) if kind == "text" else picture_maps(graph_of(EYES))
    root = ElementTree.fromstring(to_svg(maps))
    drawn = image.open(io.BytesIO(to_png(maps)))
    assert drawn.size == tuple(round(2 * float(root.attrib[side])) for side in ("width", "height"))
    pixels = np.asarray(drawn)
    if kind == "text":
        weights = maps.groups[0].layers[1].weights[2]
        place = root.findall(f".//{SVG}image")[5].attrib
        x, y, wide = (2 * float(place[name]) for name in ("x", "y", "width"))
        cell = wide / len(weights)
        for row, column in ((0, 0), (12, 3), (3, 12), (12, 12)):
            shown = pixels[int(y + (row + 0.5) * cell), int(x + (column + 0.5) * cell)]
            share = weights[row, column] / maps.most
            np.testing.assert_allclose(shown, raster.palette()[round(255 * float(share))], atol=2)
    written = [e for e in root.iter(SVG + "text") if e.text and e.attrib.get("text-anchor") == "middle"]
    for element in written:  # there is something dark where a text stands
        x, y = (round(2 * float(element.attrib[name])) for name in ("x", "y"))
        assert pixels[y - 14 : y + 2, x - 10 : x + 10].min() < 128


def test_one_head_is_drawn_large_with_its_tokens(graph_of):
    maps = text_maps(graph_of(DECODER)).chosen(0, 1)
    root = ElementTree.fromstring(to_svg(maps))
    said = [e.text for e in root.iter(SVG + "text")]
    for token in NASTY:
        assert said.count(label(token)) == 2  # once at each side
    cells = [e for e in root.iter(SVG + "rect") if e.find(SVG + "title") is not None]
    weights = maps.groups[0].layers[0].weights[0]
    assert len(cells) == weights.size
    told = [float(e.find(SVG + "title").text.rpartition(": ")[2]) for e in cells]
    np.testing.assert_allclose(np.reshape(told, weights.shape), weights, atol=0.0006)
    darkest = cells[int(weights.argmax())]
    assert darkest.attrib["fill"] == raster.colour(1.0)
    assert float(weights.max()) == maps.most


def test_a_long_text_is_one_picture_instead_of_cells(graph_of):
    root = ElementTree.fromstring(to_svg(text_maps(graph_of(DECODER), ["x"] * 100).chosen(0, 0)))
    image, _ = root.findall(f".//{SVG}image")
    assert pixels_of(image.attrib["href"])[0].shape == (100, 100, 1)


def test_a_picture_is_in_the_file_once(graph_of):
    maps = picture_maps(graph_of(EYES))
    root = ElementTree.fromstring(to_svg(maps))
    assert len(root.findall(f".//{SVG}symbol")) == 1
    assert len(root.findall(f".//{SVG}use")) == 2
    veils = [pixels_of(e.attrib["href"])[0] for e in root.findall(f".//{SVG}g/{SVG}image")]
    assert [v.shape for v in veils] == [(4, 4, 4)] * 2
    large = ElementTree.fromstring(to_svg(maps.chosen(0, 0)))
    told = [e.text for e in large.iter(SVG + "title")]
    assert sum(text.startswith("patch ") for text in told) == 16


# ---------------------------------------------------------------------------------------------- HTML


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data):
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data)


def test_a_page_shows_every_head_without_a_script(graph_of):
    maps = text_maps(graph_of(DECODER), shown="<i>the fox</i>")
    page = Page(to_html(maps))
    buttons = [a for tag, a in page.tags if tag == "button"]
    images = [a for tag, a in page.tags if tag == "image"]
    assert [b["data-map"] for b in buttons] == [f"0 {layer} {head}" for layer in range(2) for head in range(3)]
    assert len(images) == 1 + 6  # the scale, and the maps
    assert all(a["aria-label"] for tag, a in page.tags if tag == "svg" and a.get("role") == "img")
    assert "<i>the fox</i>" in page.text["p"]
    assert [t.strip() for t in page.text["th"]].count("head 2") == 1


def test_a_page_needs_nothing_else(graph_of):
    for maps in (text_maps(graph_of(DECODER), shown="http://example.org/x.js"), picture_maps(graph_of(EYES))):
        text = to_html(maps)
        for tag, attributes in Page(text).tags:
            assert tag not in ("link", "iframe", "object", "embed")
            for name in ("src", "href", "action", "data"):
                value = attributes.get(name) or ""
                assert value == "" or value.startswith(("data:image/png;base64,", "#picture"))
        assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|import\(", text)


def test_tokens_cannot_leave_the_data_of_a_page(graph_of):
    maps = text_maps(graph_of(DECODER))
    text = to_html(maps)
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert "<" not in data
    facts = json.loads(data)
    assert facts["groups"][0][1]["rows"] == [label(token) for token in NASTY]
    assert facts["sums"] == raster.palette().sum(axis=1).tolist()
    np.testing.assert_allclose(facts["most"], max(layer.weights.max() for layer in maps.groups[0].layers), atol=1e-6)
    assert text.count("</script>") == 2
    text.encode("utf-8")


def test_a_page_of_a_picture_says_the_largest_weight_over_the_picture(graph_of):
    maps = picture_maps(graph_of(EYES))
    (data,) = re.findall(r'id="data">(.*?)</script>', to_html(maps), re.DOTALL)
    facts = json.loads(data)
    (layer,) = maps.groups[0].layers
    assert facts["grid"] == [4, 4]
    assert facts["picture"] == [8, 8]
    np.testing.assert_allclose(facts["most"], layer.weights[:, 0, 1:].max(), atol=1e-6)


@pytest.mark.parametrize(
    ("token", "expected"),
    [(" the", "·the"), ("\n", "⏎"), ("\x00", "\ufffd"), ("\ud800", "\ufffd"), ("\u202e", "\ufffd"), ("ü", "ü")],
)
def test_a_label_can_be_seen(token, expected):
    assert label(token) == expected
    assert len(label("x" * 500)) < 30
