"""Weights as pixels: one for each, in a PNG that needs no package to be written."""

from __future__ import annotations

import base64
from functools import cache

from attndsl.lazy import Array, np
from attndsl.storage.png import png_bytes

# From nothing to the most: each darker than the one before, in one hue, so that it reads in grey as well.
_STOPS = ((255, 255, 255), (186, 206, 236), (98, 146, 208), (32, 84, 160), (10, 26, 72))
GLOW = (255, 96, 0)  # over a picture, by how much of the picture it hides
MOST = 0.85  # of the picture is hidden by the largest weight


@cache
def palette() -> Array:
    """uint8 [256, 3]; the sums over the channels fall strictly, by which a reader finds the level of a colour."""
    at = np.linspace(0, len(_STOPS) - 1, 256)
    stops = np.array(_STOPS, dtype=np.float64)
    colours = np.stack([np.interp(at, range(len(_STOPS)), stops[:, channel]) for channel in range(3)], axis=1)
    return np.round(colours).astype(np.uint8)


def levels(weights: Array, most: float) -> Array:
    """Weights of any shape as levels from 0 to 255, which `most` is."""
    if most <= 0:
        return np.zeros(weights.shape, np.uint8)
    found: Array = np.round(np.clip(weights, 0, most) * (255 / most)).astype(np.uint8)
    return found


def heat(weights: Array, most: float) -> str:
    """The address of a picture of weights `[rows, columns]`: white for 0, dark for `most`."""
    return _address(png_bytes(levels(weights, most)[:, :, None], 3, palette()))


def veil(weights: Array, most: float) -> str:
    """The address of a picture of weights `[rows, columns]` to lay over another: clear for 0, glowing for `most`."""
    pixels = np.empty((*weights.shape, 4), np.uint8)
    pixels[:, :, :3] = GLOW
    pixels[:, :, 3] = np.round(levels(weights, most) * MOST)
    return _address(png_bytes(pixels, 6))


def picture(pixels: Array) -> str:
    """The address of a picture, uint8 `[height, width, 3]`."""
    return _address(png_bytes(np.ascontiguousarray(pixels), 2))


def colour(share: float) -> str:
    """The colour of a weight that is `share` of the largest, as `#rrggbb`."""
    return "#" + bytes(palette()[round(255 * share)].tolist()).hex()


def _address(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")
