"""Handwritten digits with captions: each picture drawn thick or thin, shifted or not, and a sentence that says so."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from attndsl.data.columns import Table
from attndsl.data.counter import integers
from attndsl.data.examples.digits import digits_table
from attndsl.lazy import Array, np

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
STROKES = ("", "thick", "thin")
SHIFTS = {"": (0, 0), "left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}  # rows, columns
_PURPOSE = 0x63617074


def _some(words: str) -> str:
    """`a seven`, `an eight`."""
    return f"{'an' if words.startswith('eight') else 'a'} {words}"


def _named(digit: int, stroke: str) -> str:
    return f"{stroke} {WORDS[digit]}".strip()


# Ways to say which digit (a number), which stroke and which shift (texts of `STROKES` and `SHIFTS`).
FORMS: tuple[Callable[[int, str, str], str], ...] = (
    lambda d, s, m: _some(_named(d, s)) + (f", shifted {m}" if m else ""),
    lambda d, s, m: f"a picture of {_some(_named(d, s))}" + (f" shifted {m}" if m else ""),
    lambda d, s, m: f"the digit {d}" + (f" in {s} strokes" if s else "") + (f", moved {m}" if m else ""),
    lambda d, s, m: f"a handwritten {WORDS[d]}" + (f", {s}" if s else "") + (f", shifted {m}" if m else ""),
    lambda d, s, m: f"this is {_some(_named(d, s))}" + (f" and it is moved {m}" if m else ""),
    lambda d, s, m: f"number {WORDS[d]}" + (f", written {s}" if s else "") + (f", further {m}" if m else ""),
)


@lru_cache(maxsize=2)
def captions_table(count: int) -> Table:
    """`count` rows, drawn by a counter: columns `image` (as in `example:digits`, redrawn), `caption`, `label` (`seven`)
    and `group`, the number of the picture that it was drawn from, so that pictures that are held out were never seen.
    Every picture has been used before one is used again. Raises E0708 where scikit-learn is not installed."""
    digits = digits_table()
    pictures, labels = np.asarray(digits.columns["image"]), np.asarray(digits.columns["label"])
    chosen = np.arange(count) % len(pictures)
    strokes, shifts, forms = (
        integers(_PURPOSE, what, below=below, count=count)
        for what, below in enumerate((len(STROKES), len(SHIFTS), len(FORMS)))
    )
    images = np.empty((count, *pictures.shape[1:]), dtype=np.float32)
    for stroke, name in enumerate(STROKES):
        for shift, by in enumerate(SHIFTS.values()):
            rows = np.flatnonzero((strokes == stroke) & (shifts == shift))
            images[rows] = moved(drawn(pictures[chosen[rows]], name), *by)
    moves = tuple(SHIFTS)
    facts = zip(labels[chosen].tolist(), strokes.tolist(), shifts.tolist(), forms.tolist(), strict=True)
    captions = [FORMS[form](digit, STROKES[stroke], moves[shift]) for digit, stroke, shift, form in facts]
    names = [WORDS[label] for label in labels[chosen].tolist()]
    columns: dict[str, Any] = {"image": images, "caption": captions, "label": names, "group": chosen}
    return Table(columns, "`example:captions`")


def drawn(images: Array, stroke: str) -> Array:
    """Pictures `[rows, channels, height, width]` with other strokes: thick ones spread to the pixels beside them, thin
    ones lose what their surroundings share."""
    around = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    beside = np.stack(
        [around[:, :, 1:-1, :-2], around[:, :, 1:-1, 2:], around[:, :, :-2, 1:-1], around[:, :, 2:, 1:-1]]
    )
    if stroke == "thick":
        thick: Array = np.maximum(images, np.float32(0.5) * beside.max(axis=0))
        return thick
    if stroke == "thin":
        thin: Array = np.maximum(images - np.float32(0.5) * beside.mean(axis=0), 0)
        return thin
    return images


def moved(images: Array, down: int, right: int) -> Array:
    """Pictures moved by so many pixels; what comes in at the edge is 0."""
    height, width = images.shape[2:]
    around = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return around[:, :, 1 - down : 1 - down + height, 1 - right : 1 - right + width]
