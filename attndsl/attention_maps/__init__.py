"""Where a model looks: attention weights found in its graph, read from a run, and drawn.

Given a trained model and an example; gives `Maps`, the weights of every layer and head with what stands at their
positions, and an SVG or PNG file or an HTML page of them.
"""

from attndsl.attention_maps.files import ENDINGS, save
from attndsl.attention_maps.find import AttentionSite, find_attention
from attndsl.attention_maps.html import to_html
from attndsl.attention_maps.maps import LayerMap, MapGroup, Maps, Picture, Side, Tokens, attention_maps
from attndsl.attention_maps.png import to_png
from attndsl.attention_maps.svg import to_svg

__all__ = [
    "ENDINGS",
    "AttentionSite",
    "LayerMap",
    "MapGroup",
    "Maps",
    "Picture",
    "Side",
    "Tokens",
    "attention_maps",
    "find_attention",
    "save",
    "to_html",
    "to_png",
    "to_svg",
]
