"""Pictures as PNG, which needs no package to be written."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from attndsl.diagnostics import error
from attndsl.lazy import Array, np
from attndsl.storage.refusals import file_errors
from attndsl.storage.whole import replacing

_KINDS = {1: 0, 3: 2, 4: 6}  # grey, colours, colours and opacity


def require_png(path: Path, channels: int) -> None:
    """That a picture of so many channels can be written to `path` (E0902)."""
    if path.suffix.lower() != ".png":
        raise error("E0902", f"pictures are written as .png, not as `{path.name}`", help=f"name it `{path.stem}.png`")
    if channels not in _KINDS:
        raise error("E0902", f"a PNG has 1, 3 or 4 channels, and these pictures have {channels}")


def write_png(path: Path, image: Array) -> None:
    """Write values between 0 and 1, `[channels, height, width]`. Raises E0902, and E0904 where it cannot be written."""
    require_png(path, len(image))
    pixels = np.round(np.moveaxis(image, 0, -1) * 255).clip(0, 255).astype(np.uint8)
    with file_errors("write", path), replacing(path) as stream:
        stream.write(png_bytes(pixels, _KINDS[len(image)]))


def png_bytes(pixels: Array, kind: int, colours: Array | None = None) -> bytes:
    """A PNG (ISO/IEC 15948) of eight bits a channel: `pixels` is uint8 [height, width, channels]."""
    height, width = pixels.shape[:2]
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)  # 0: no filter
    parts = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))]
    if colours is not None:
        parts.append(_chunk(b"PLTE", colours.tobytes()))
    parts += [_chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
