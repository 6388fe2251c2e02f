"""Pictures from files, through Pillow: bytes `[channels, height, width]`, all of one size and one mode."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attndsl.diagnostics import error
from attndsl.lazy import Array, np
from attndsl.storage.refusals import file_errors

if TYPE_CHECKING:
    pass

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}
_AS = {"1": "L", "P": "RGB"}  # what is kept otherwise only to save room


def read_image(path: str | os.PathLike[str], mode: str | None = None) -> Array:
    """One picture, uint8 `[channels, height, width]`: 1 channel (grey), 3 (red, green, blue) or 4 (and opacity), or
    those of `mode` (`L`, `RGB`, `RGBA`), which it is brought to. Raises E0705, E0708 (Pillow is missing), E0715 (a mode
    that is none of these), E0718 (no picture)."""
    return _read(Path(path), mode)[0]


def read_classes(paths: Sequence[Path]) -> Array:
    """All pictures, uint8 `[rows, channels, height, width]`. Raises what `read_image` raises, and E0715 where a picture
    is of another size or mode than the first."""
    first, mode = _read(paths[0], None)
    pictures = np.empty((len(paths), *first.shape), dtype=np.uint8)
    for row, path in enumerate(paths):
        picture, own = _read(path, None)
        if picture.shape != first.shape:
            size, other = (f"{p.shape[2]}×{p.shape[1]} {m}" for p, m in ((first, mode), (picture, own)))
            raise error(
                "E0715",
                f"`{path}` is {other}, and `{paths[0]}` is {size}",
                note="a model takes pictures of one size and one mode (width × height, then the mode)",
                help=f"bring them to one first, for example `mogrify -resize '{first.shape[2]}x{first.shape[1]}!' "
                f"{'-colorspace Gray ' if mode == 'L' else ''}{path.name}`, or leave it out",
            )
        pictures[row] = picture
    return pictures


def _read(path: Path, mode: str | None) -> tuple[Array, str]:
    """A picture, the right way up, with its mode."""
    pillow = _pillow(f"the picture `{path}`")
    with file_errors("read", path), open(path, "rb") as file:
        try:
            with pillow.open(file) as picture:
                wanted = mode or _AS.get(picture.mode, picture.mode)
                if wanted not in _CHANNELS:
                    raise error(
                        "E0715",
                        f"`{path}` has the mode {picture.mode}",
                        note=f"pictures are {', '.join(_CHANNELS)} of 8 bits a channel, or have a palette",
                        help="convert it first, for example with `mogrify -depth 8 -colorspace sRGB`",
                    )
                # A camera that was held upright stores rows as columns, and says so beside them.
                upright = _turning().exif_transpose(picture)
                values = np.asarray(upright.convert(wanted), dtype=np.uint8)
        except (OSError, ValueError, SyntaxError, EOFError, pillow.DecompressionBombError) as problem:
            raise error(
                "E0718",
                f"`{path}` cannot be read as a picture",
                note=str(problem),
                help="restore the file, convert it, or leave it out",
            ) from None
    if values.ndim == 2:
        values = values[:, :, None]
    return np.ascontiguousarray(np.moveaxis(values, -1, 0)), wanted


def _pillow(what: str) -> Any:
    try:
        import PIL.Image
    except ImportError:
        raise error(
            "E0708",
            f"{what} needs the package Pillow, which is not installed",
            help=(
                "install it with `pip install 'attndsl[images]'`",
                "or give the pictures as arrays: `numpy.savez('data.npz', image=…, label=…)`",
            ),
        ) from None
    return PIL.Image


def _turning() -> Any:
    import PIL.ImageOps

    return PIL.ImageOps
